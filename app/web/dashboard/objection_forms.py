"""The page on which an officer files an objection that arrived by letter, telephone or e-mail."""

from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from starlette.responses import Response

from app.web.dashboard.form_actions import FormFields, run_form_action
from app.web.pages import OperationError, PageRequest

IDENTIFIERS: Final = {
    "contact": "an e-mail address, a phone number or a user name",
    "account": "an account id",
    "person": "a person id of the platform",
}
CHANNELS: Final = {"LETTER": "letter", "PHONE": "telephone", "EMAIL": "e-mail", "THIRD_PARTY": "another organisation"}
SCOPES: Final = {
    "ALL": "everything",
    "PUBLIC_CONTENT": "public posts, comments, captions and photos",
    "AI_INTERACTIONS": "prompts to AI assistants",
}


async def show_objection_form(request: PageRequest) -> Response:
    """Show the dashboard's form that files an objection for a person."""
    account = request.parameter("account")
    return await _form_page(request, {"identifies": "account", "value": account} if account else {}, None)


async def submit_objection(request: PageRequest) -> Response:
    """File an objection by the form of the dashboard."""

    def outcome(data: dict[str, Any]) -> str:
        """Return which message the dashboard shows after the form that files an objection."""
        filed = data["fileObjection"]
        return f"{'unmatched' if filed['unmatched'] else 'filed'}&reference={quote(filed['reference'])}"

    return await run_form_action(request, _form_page, "file_objection", _objection_variables, outcome)


def _objection_variables(fields: FormFields) -> dict[str, Any]:
    """Return the mutation's variables from the dashboard's form that files an objection. Raises OperationError."""
    stated = {name: value for name, value in fields.items() if value.strip()}
    identifies = stated.get("identifies", "")
    if identifies not in IDENTIFIERS or "value" not in stated:
        raise OperationError("State the address or the id of the person.", 422, is_input_error=True)
    given: dict[str, Any] = {identifies: stated["value"].strip()}
    given |= {"scope": stated.get("scope", "ALL"), "channel": stated.get("channel", "LETTER")}
    if identifies == "contact" and "country" in stated:
        given["country"] = stated["country"].strip().upper()
    if "received" in stated:
        given["receivedAt"] = _received_at(stated["received"])
    return {"input": given}


def _received_at(stated: str) -> str:
    """Read the time at which a letter or call arrived, which the dashboard's form states in UTC."""
    try:
        return f"{datetime.fromisoformat(stated).replace(tzinfo=None).isoformat()}Z"
    except ValueError:
        raise OperationError("The time is wrong. Write it like 2026-05-27T09:30.", 422, is_input_error=True) from None


async def _form_page(request: PageRequest, fields: FormFields, problem: str | None) -> Response:
    """Build the dashboard's page that files an objection."""
    return request.respond(
        "file_objection.html",
        status=422 if problem else 200,
        fields=fields,
        problem=problem,
        done=request.parameter("done") if request.request.method == "GET" else None,
        reference=request.parameter("reference"),
        identifiers=IDENTIFIERS,
        channels=CHANNELS,
        scopes=SCOPES,
    )
