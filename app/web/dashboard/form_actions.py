"""What a form does: it runs one mutation, then redirects to the page, or shows the form again with the error."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import RedirectResponse, Response

from app.web.pages import OperationError, PageRequest

FormFields = dict[str, str]
ShowWithForm = Callable[[PageRequest, FormFields, str | None], Awaitable[Response]]
"""A function that shows a page with the submitted fields and the error message."""


async def run_form_action(
    request: PageRequest,
    show_again: ShowWithForm,
    operation: str,
    variables: Callable[[FormFields], dict[str, Any]],
    outcome: Callable[[dict[str, Any]], str],
) -> Response:
    """Execute a mutation with the fields submitted on a page of the dashboard.

    `outcome` names the message to show afterwards and, after `#`, the place on the page. Raises OperationError if the
    operation fails for another reason than its input.
    """
    fields = await request.form()
    try:
        data = await request.execute(operation, **variables(fields))
    except OperationError as why:
        if not why.is_input_error:
            raise
        return await show_again(request, fields, why.message)
    return RedirectResponse(f"{request.here.path}?done={outcome(data)}", 303)


def stripped(*names: str) -> Callable[[FormFields], dict[str, Any]]:
    """Make a function that returns these fields of a dashboard form without surrounding blanks."""
    return lambda fields: {name: fields.get(name, "").strip() for name in names}
