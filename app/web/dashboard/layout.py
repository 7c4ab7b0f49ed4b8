"""The layout of every page of the dashboard: its navigation, templates, stylesheet and page of errors."""

import re
from importlib import resources
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from app.http.boundary import HTTPError
from app.http.negotiation import REFERENCE_PATH
from app.web.pages import Page, PageRequest, Templates, html_response
from schema.actor import Role
from schema.governed import EXAMINERS, OFFICERS, STAFF

HOME: Final = "/dashboard"
SIGN_IN: Final = f"{HOME}/sign-in"
STATE_REASON: Final = f"{HOME}/reason"
STYLESHEET: Final = f"{HOME}/dashboard.css"


_LOCAL: Final = re.compile(rf"{HOME}(?:[/?][!-\[\]-~]*)?")

OVERVIEW: Final = Page(HOME, "Overview", STAFF)
CONDITIONS: Final = Page(f"{HOME}/conditions", "Conditions", STAFF)
REPRESENTATION: Final = Page(f"{HOME}/representation", "Representation", STAFF)
NOTICES_AND_OBJECTIONS: Final = Page(f"{HOME}/notices-and-objections", "Notices and objections", EXAMINERS)
CLIENTS: Final = Page(f"{HOME}/clients", "Clients", EXAMINERS)
EXPLAIN: Final = Page(f"{HOME}/explain", "Explain", EXAMINERS)
POLICIES: Final = Page(f"{HOME}/policies", "Policies and holds", STAFF)
SEARCH: Final = Page(f"{HOME}/search", "Search", EXAMINERS)
APPROVALS: Final = Page(f"{HOME}/approvals", "Approvals", EXAMINERS)
ACCOUNT: Final = Page(f"{HOME}/account", "Account", EXAMINERS)
PERSON: Final = Page(f"{HOME}/person", "Person", EXAMINERS)
FILE_OBJECTION: Final = Page(f"{HOME}/objection", "File an objection", OFFICERS)
EDIT_POLICY: Final = Page(f"{HOME}/policies/edit", "Edit the policy", OFFICERS)
REPORT: Final = Page(f"{HOME}/report", "Report", EXAMINERS)
API_REFERENCE: Final = Page(REFERENCE_PATH, "API reference", STAFF)
REASON: Final = Page(STATE_REASON, "Reason", EXAMINERS)
PAGES: Final = (
    *(
        OVERVIEW,
        CONDITIONS,
        REPRESENTATION,
        NOTICES_AND_OBJECTIONS,
        CLIENTS,
        SEARCH,
        EXPLAIN,
        POLICIES,
        APPROVALS,
        REPORT,
        API_REFERENCE,
    ),
)
"""The pages in the navigation. Links on these pages lead to the other pages."""

TEMPLATES: Final = Templates(
    "app.web.dashboard",
    **{"stylesheet": STYLESHEET, "home": HOME, "pages": PAGES, "state_reason": STATE_REASON},
    **{"account_page": ACCOUNT.path, "person_page": PERSON.path, "explain_page": EXPLAIN.path},
    **{"policies_page": POLICIES.path, "objection_form": FILE_OBJECTION.path, "conditions_page": CONDITIONS.path},
    **dict.fromkeys(("actor", "here", "reason", "page_link")),
)
"""The templates of the dashboard's pages. `actor` is the signed-in account, `here` is the page, `reason` is the reason
why the account reads people's data, and `page_link` is the page's address."""


async def dashboard_stylesheet(_: Request) -> Response:
    """Respond with the stylesheet of the dashboard."""
    file = resources.files("app.web.dashboard") / "static" / "dashboard.css"
    return Response(file.read_bytes(), media_type="text/css")


def may_sign_in(role: Role) -> bool:
    """Return whether a role may use the dashboard."""
    return role in STAFF


def local_page(asked: str | None) -> str:
    """Return the dashboard page to open after signing in: `asked` if it is one, else the overview."""
    return asked if asked and _LOCAL.fullmatch(asked) else HOME


def error_page(request: Request, error: HTTPError) -> Response:
    """Write an error as a page of the dashboard, within the layout of a signed-in account where there is one."""
    if render_error := getattr(request.state, "render_error", None):  # the page has a form of its own for errors
        response: Response = render_error(request, error)
        return response
    page: PageRequest | None = getattr(request.state, "page", None)
    message = error.message
    if error.reference:
        message = f"Something failed in the gateway. Give the operator the reference {error.reference}."
    body = TEMPLATES.render(
        "error.html",
        actor=page.actor if page else None,
        here=page.here if page else OVERVIEW,
        reason=page.session.reason if page else None,
        message=message,
        status=error.status,
    )
    response = html_response(body, error.status)
    response.headers.update(error.headers)
    return response
