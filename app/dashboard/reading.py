"""What the dashboard reads and does: operations that are kept as files, executed as whoever is signed in.

Nothing here has another way to data than a client of /graphql: the same documents, limits, roles and time.
"""

import asyncio
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Final

import orjson

from app.http import REQUEST_SECONDS, GraphQLEndpoint, GraphQLRequest, is_busy, shown
from schema.actor import Actor
from schema.contracts import identify

_BAD_INPUT: Final = "BAD_USER_INPUT"
_TIMEOUT: Final = "TIMEOUT"


class Unanswered(Exception):
    """Say why an operation was not answered; `status` is that of the page, `of_input` that an argument was wrong."""

    def __init__(self, message: str, status: int, *, of_input: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.of_input = of_input


@cache
def operations() -> Mapping[str, str]:
    """Give the text of every operation, by the name of its file."""
    folder = resources.files("app.dashboard") / "operations"
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return {file.name.removesuffix(".graphql"): file.read_text(encoding="utf-8") for file in files}


async def ask(endpoint: GraphQLEndpoint, actor: Actor, name: str, variables: dict[str, Any]) -> dict[str, Any]:
    """Execute an operation for somebody, and give its data. Raises Unanswered."""
    document = identify(operations()[name])
    asked = GraphQLRequest(query=None, document=document, variables=variables, operation=None, read_only=False)
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            result = await endpoint.execute(actor, asked)
    except TimeoutError:
        raise Unanswered("It took too long. Try again, or ask for less.", 503) from None
    errors = result.errors or []
    if is_busy(errors):
        raise Unanswered("All connections to the database are in use. Try again in a moment.", 503)
    if errors:
        raise _unanswered(shown(errors)[0])
    # As a client of /graphql reads it: what is compiled holds instants and ids as they are until it is encoded.
    data: dict[str, Any] = orjson.loads(orjson.dumps(result.data))
    return data


def _unanswered(error: dict[str, Any]) -> Unanswered:
    message, code = error["message"], error.get("extensions", {}).get("code")
    if code == _BAD_INPUT or "path" not in error:  # a variable's error comes before any field's
        return Unanswered(message, 422, of_input=True)
    statuses = {_TIMEOUT: 503, "FORBIDDEN": 403}
    return Unanswered(message, statuses.get(code, 500))
