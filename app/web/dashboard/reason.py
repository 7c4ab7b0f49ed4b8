"""The page that asks once per session why an officer or auditor reads people's data."""

from starlette.responses import RedirectResponse, Response

from app.auth.sessions import Sessions
from app.web.dashboard.layout import local_page
from app.web.pages import PageRequest
from schema.oversight.read_reasons import REASON_LIMIT, is_reason

UNSAVED = "The change was not saved, because your session has no reason yet. State a reason, then repeat the change."


class ReasonPage:
    """The page of the reason, which a session keeps until it ends or states another."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def form(self, request: PageRequest) -> Response:
        """Show the dashboard's form for the reason, or keep the submitted reason in the session."""
        if request.request.method != "POST":
            problem = UNSAVED if request.parameter("unsaved") else None
            return _respond_with_form(request, request.parameter("next"), request.session.reason, problem)
        fields = await request.form()
        wanted, reason = fields.get("next"), fields.get("reason", "").strip()
        if not reason:
            return _respond_with_form(request, wanted, reason, "The reason is missing. Write one line.", 422)
        if not is_reason(reason):
            problem = f"The reason must be one line of at most {REASON_LIMIT} characters. Shorten the text."
            return _respond_with_form(request, wanted, reason, problem, 422)
        response = RedirectResponse(local_page(wanted), 303)
        self._sessions.state_reason(response, request.session, reason)
        return response


def _respond_with_form(
    request: PageRequest, wanted: str | None, entered: str | None, problem: str | None, status: int = 200
) -> Response:
    """Show the dashboard's form for the reason, with what was entered."""
    return request.respond(
        "reason.html",
        status=status,
        wanted=local_page(wanted),
        entered=entered or "",
        problem=problem,
        limit=REASON_LIMIT,
    )
