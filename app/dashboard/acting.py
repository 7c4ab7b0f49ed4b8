"""What a form does: an operation, then the page again by a link of its own, or with what was wrong."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import RedirectResponse, Response

from app.dashboard.desk import Visit
from app.dashboard.reading import Unanswered

Sent = dict[str, str]
Again = Callable[[Visit, Sent, str | None], Awaitable[Response]]
"""Shows the page with what was typed, and with what was wrong."""


async def act(
    visit: Visit,
    again: Again,
    operation: str,
    variables: Callable[[Sent], dict[str, Any]],
    done: Callable[[dict[str, Any]], str],
) -> Response:
    """Execute an operation with what was sent; `done` names what to say then, and the place of the page (`#`)."""
    sent = await visit.form()
    try:
        answered = await visit.ask(operation, **variables(sent))
    except Unanswered as why:
        if not why.of_input:
            raise
        return await again(visit, sent, why.message)
    return RedirectResponse(f"{visit.here.path}?done={done(answered)}", 303)


def stated(*names: str) -> Callable[[Sent], dict[str, Any]]:
    """Take these fields of a form as they are, without the blanks around them."""
    return lambda sent: {name: sent.get(name, "").strip() for name in names}
