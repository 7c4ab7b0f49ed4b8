"""The Search page: items, accounts, objections, clients and holds by an id, a name or a contact.

The form is a POST, so that no address of a person is in the address of a page, or in a log.
"""

from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from app.web.dashboard.layout import ACCOUNT, CLIENTS, EXPLAIN, NOTICES_AND_OBJECTIONS, POLICIES
from app.web.pages import OperationError, PageRequest
from schema.actor import Role


async def show_search(request: PageRequest) -> Response:
    """Show the Search page of the dashboard with its form, or with what a submitted text identifies."""
    if request.request.method != "POST":
        return _search_page(request, None, None, None)
    text = (await request.form()).get("text", "").strip()
    if not text:
        return _search_page(request, text, None, "The text is missing. Enter an id, a name or an address.")
    try:
        found = (await request.execute("search", text=text))["search"]
    except OperationError as why:
        if not why.is_input_error:
            raise
        return _search_page(request, text, None, why.message)
    return _search_page(request, text, found, None)


def _search_page(
    request: PageRequest, text: str | None, found: list[dict[str, Any]] | None, problem: str | None
) -> Response:
    """Build the Search page of the dashboard."""
    return request.respond(
        "search.html",
        status=422 if problem else 200,
        text=text,
        found=None if found is None else [each | {"link": _result_link(each)} for each in found],
        problem=problem,
        is_officer=request.actor.role is Role.PRIVACY_OFFICER,
    )


def _result_link(found: dict[str, Any]) -> str:
    """Link a result of the search to the page of the dashboard that shows it."""
    query = urlencode({"id": found["id"]})
    links = {
        "ITEM": f"{EXPLAIN.path}?{query}",
        "ACCOUNT": f"{ACCOUNT.path}?{query}",
        "OBJECTION": f"{NOTICES_AND_OBJECTIONS.path}?objections=all#objections",
        "CLIENT": CLIENTS.path,
        "HOLD": f"{POLICIES.path}?holds=all#holds",
    }
    return links[found["kind"]]
