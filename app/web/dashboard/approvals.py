"""The Approvals page: the requests of officers that wait for a second officer."""

from typing import Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from app.web.dashboard.layout import CLIENTS, NOTICES_AND_OBJECTIONS, POLICIES
from app.web.pages import PageRequest
from schema.actor import Role

_ACTS: Final = {
    "POLICY": "Put the policy in force",
    "HOLD": "Lift the hold",
    "CLIENT": "Resume the client",
    "OBJECTION": "Reject the objection",
    "PLACEHOLDER": "Declare the placeholder",
}


async def show_approvals(request: PageRequest) -> Response:
    """Show the Approvals page of the dashboard."""
    waiting = (await request.execute("approvals"))["approvalRequests"]
    is_officer = request.actor.role is Role.PRIVACY_OFFICER
    mine = sum(each["requestedBy"] == request.actor.name for each in waiting)
    return request.respond(
        "approvals.html",
        waiting=[each | {"act": _ACTS[each["kind"]], "link": _request_link(each)} for each in waiting],
        for_reader=len(waiting) - mine if is_officer else None,
    )


def _request_link(request: dict[str, Any]) -> str | None:
    """Link a request that waits for a second officer to the page of the dashboard on which the officer agrees."""
    return {
        "POLICY": f"{POLICIES.path}/simulation?{urlencode({'version': request['id'] or ''})}",
        "HOLD": f"{POLICIES.path}#holds",
        "CLIENT": CLIENTS.path,
        "OBJECTION": f"{NOTICES_AND_OBJECTIONS.path}#objections",
    }.get(request["kind"])
