"""The Clients page: deliveries, retractions and suspensions per training client; the last verification; failing
jobs."""

from typing import Any, Final

from starlette.responses import Response

from app.web.dashboard.form_actions import FormFields, run_form_action, stripped
from app.web.pages import PageRequest
from app.web.tables import Table
from schema.actor import Role

_OUTCOMES: Final = {
    "suspended": "The client is suspended, and receives nothing from the next page on.",
    "resume-asked": "You asked to resume the client. The client stays suspended until a second officer agrees.",
    "resumed": "The client receives items again.",
}
_COLUMNS: Final = {
    "name": "client",
    "pages": "pages",
    "items": "items delivered",
    "retractions": "retractions",
    "acknowledged": "acknowledged",
    "unacknowledged": "not acknowledged",
    "overdue": "overdue",
}


async def show_clients(request: PageRequest) -> Response:
    """Show the Clients page of the dashboard."""
    return await _clients_page(request, {}, None)


async def suspend_client(request: PageRequest) -> Response:
    """Handle the suspend form of the dashboard's Clients page: suspend a client at once."""
    return await run_form_action(
        request, _clients_page, "suspend_client", stripped("name", "reason"), lambda _: "suspended"
    )


async def resume_client(request: PageRequest) -> Response:
    """Handle the resume form of the dashboard's Clients page: ask to resume a client, or confirm that."""

    def outcome(data: dict[str, Any]) -> str:
        """Choose the message that the dashboard's Clients page shows after the resume form."""
        return "resume-asked" if data["resumeClient"]["suspended"] else "resumed"

    return await run_form_action(request, _clients_page, "resume_client", stripped("name"), outcome)


async def _clients_page(request: PageRequest, fields: FormFields, problem: str | None) -> Response:
    """Build the Clients page of the dashboard."""
    data = await request.execute("clients")
    clients = data["clients"]
    columns = (*_COLUMNS.values(), "last delivered", "overdue since", "suspended")
    rows = [
        (
            *(each[name] for name in _COLUMNS),
            each["lastDeliveredAt"] or "",
            each["overdueSince"] or "",
            "yes" if each["suspended"] else "no",
        )
        for each in clients
    ]
    return request.respond(
        "clients.html",
        Table("clients", "Every training client", columns, rows),
        status=422 if problem else 200,
        clients=clients,
        overdue=sum(each["overdueSince"] is not None for each in clients),
        suspended=sum(each["suspended"] for each in clients),
        verification=data["ledgerVerification"],
        troubled=[each for each in data["backgroundJobs"] if each["failingSince"] or each["isOverdue"]],
        is_officer=request.actor.role is Role.PRIVACY_OFFICER,
        fields=fields,
        problem=problem,
        outcome=_OUTCOMES.get(request.parameter("done") or ""),
    )
