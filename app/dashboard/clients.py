"""What each training client received and owes, who is suspended, and when receipts were verified."""

from typing import Any, Final

from starlette.responses import Response

from app.dashboard.acting import Sent, act, stated
from app.dashboard.desk import Visit
from app.dashboard.tables import Table
from schema.actor import Role

_DONE: Final = {
    "suspended": "The client is suspended: it receives nothing from the next page on.",
    "resume-asked": "You asked that the client receive items again. It stays suspended until a second officer agrees.",
    "resumed": "The client receives items again.",
}
_COLUMNS: Final = {
    "name": "client",
    "pages": "pages",
    "items": "items delivered",
    "retractions": "retracted",
    "acknowledged": "acknowledged",
    "unacknowledged": "not yet",
    "overdue": "overdue",
}


async def show(visit: Visit) -> Response:
    """Show every client."""
    return await _page(visit, {}, None)


async def suspend(visit: Visit) -> Response:
    """Suspend a client at once."""
    return await act(visit, _page, "suspend_client", stated("name", "reason"), lambda _: "suspended")


async def resume(visit: Visit) -> Response:
    """Ask that a client be resumed, or agree that it is."""

    def done(answered: dict[str, Any]) -> str:
        return "resume-asked" if answered["resumeClient"]["suspended"] else "resumed"

    return await act(visit, _page, "resume_client", stated("name"), done)


async def _page(visit: Visit, typed: Sent, problem: str | None) -> Response:
    found = await visit.ask("clients")
    clients = found["clients"]
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
    return visit.page(
        "clients.html",
        Table("clients", "Every training client", columns, rows),
        status=422 if problem else 200,
        clients=clients,
        late=sum(each["overdueSince"] is not None for each in clients),
        suspended=sum(each["suspended"] for each in clients),
        verification=found["verification"],
        officer=visit.actor.role is Role.PRIVACY_OFFICER,
        typed=typed,
        problem=problem,
        done=_DONE.get(visit.asked("done") or ""),
    )
