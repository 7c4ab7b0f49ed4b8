"""The pages of an account and of a person: facts, notices, objections, items, reads by staff, and reading links."""

from typing import Any

from starlette.responses import Response

from app.web.pages import OperationError, PageRequest
from schema.actor import Role


async def show_account(request: PageRequest) -> Response:
    """Show the dashboard's page of an account."""
    return await _account_page(request, request.parameter("id") or "")


async def show_person(request: PageRequest) -> Response:
    """Show the dashboard's page of a person: every account that links connect with the account."""
    account = (await request.execute("person", id=request.parameter("id") or ""))["account"]
    return request.respond("person.html", account=_known(account))


async def issue_reading_link(request: PageRequest) -> Response:
    """Issue a link to a person's own data by the form of the dashboard, and show the link once."""
    account = (await request.form()).get("account", "").strip()
    issued = (await request.execute("issue_reading_link", account=account))["issueReadingLink"]
    base = request.public_url or str(request.request.base_url).removesuffix("/")
    return await _account_page(request, account, link=issued | {"address": f"{base}{issued['path']}"})


async def revoke_reading_links(request: PageRequest) -> Response:
    """Revoke every reading link of an account by the form of the dashboard."""
    account = (await request.form()).get("account", "").strip()
    count = (await request.execute("revoke_reading_links", account=account))["revokeReadingLinks"]["count"]
    return await _account_page(request, account, outcome=f"{count} reading link{'s' if count != 1 else ''} revoked.")


async def _account_page(
    request: PageRequest, id: str, *, link: dict[str, Any] | None = None, outcome: str | None = None
) -> Response:
    """Build the dashboard's page of an account."""
    is_officer = request.actor.role is Role.PRIVACY_OFFICER
    found = await request.execute("account", id=id, officer=is_officer, after=request.parameter("after"))
    account = _known(found["account"])
    return request.respond(
        "account.html",
        account=account,
        next_items=request.next_page_link(account["contents"]["pageInfo"], "items"),
        link=link,
        outcome=outcome,
        is_officer=is_officer,
    )


def _known(account: dict[str, Any] | None) -> dict[str, Any]:
    """Return an account that the dashboard read. Raises OperationError if there is none."""
    if account is None:
        raise OperationError("No account has this id. Search for the account.", 404)
    return account
