"""The dashboard for officers, auditors and dashboards: charts and lists read by GraphQL operations, without scripts."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.auth.authenticator import Authenticator
from app.auth.sessions import Sessions
from app.http.graphql import GraphQLEndpoint
from app.settings import Settings
from app.web.dashboard.accounts import issue_reading_link, revoke_reading_links, show_account, show_person
from app.web.dashboard.approvals import show_approvals
from app.web.dashboard.clients import resume_client, show_clients, suspend_client
from app.web.dashboard.conditions import show_conditions
from app.web.dashboard.explain import show_explanation
from app.web.dashboard.layout import (
    ACCOUNT,
    API_REFERENCE,
    APPROVALS,
    CLIENTS,
    CONDITIONS,
    EDIT_POLICY,
    EXPLAIN,
    FILE_OBJECTION,
    HOME,
    NOTICES_AND_OBJECTIONS,
    OVERVIEW,
    PERSON,
    POLICIES,
    REASON,
    REPORT,
    REPRESENTATION,
    SEARCH,
    SIGN_IN,
    STATE_REASON,
    STYLESHEET,
    TEMPLATES,
    dashboard_stylesheet,
)
from app.web.dashboard.notices_and_objections import match_objection, reject_objection, show_notices_and_objections
from app.web.dashboard.objection_forms import show_objection_form, submit_objection
from app.web.dashboard.openid import CALLBACK_PATH, START_PATH, OpenIDSignIn
from app.web.dashboard.overview import show_overview
from app.web.dashboard.policies import (
    approve_policy,
    lift_hold,
    open_hold,
    propose_policy,
    show_policies,
    show_simulation,
)
from app.web.dashboard.policy_form import review_policy, show_policy_form
from app.web.dashboard.reason import ReasonPage
from app.web.dashboard.reference import show_reference
from app.web.dashboard.report import show_report
from app.web.dashboard.representation import show_representation
from app.web.dashboard.search import show_search
from app.web.dashboard.sign_in import SignInPage
from app.web.pages import Page, PageGuard, PageHandler

Endpoint = Callable[[Request], Awaitable[Response]]


def dashboard_routes(
    endpoint: GraphQLEndpoint,
    authenticator: Authenticator,
    sessions: Sessions,
    secret: bytes,
    settings: Settings,
) -> list[Route]:
    """Return the routes of the dashboard's pages."""
    page = PageGuard(endpoint, sessions, TEMPLATES, SIGN_IN, STATE_REASON, settings.public_url).endpoint
    sign_in = SignInPage(authenticator, sessions, secret, settings)
    return [
        *(_openid_routes(OpenIDSignIn(settings, secret, sessions)) if settings.oidc_issuer else ()),
        Route(SIGN_IN, sign_in.form, methods=["GET", "POST"]),
        Route(f"{HOME}/sign-out", sign_in.sign_out, methods=["POST"]),
        Route(STATE_REASON, page(REASON, ReasonPage(sessions).form), methods=["GET", "POST"]),
        Route(STYLESHEET, dashboard_stylesheet),
        Route(OVERVIEW.path, page(OVERVIEW, show_overview)),
        Route(CONDITIONS.path, page(CONDITIONS, show_conditions)),
        Route(REPRESENTATION.path, page(REPRESENTATION, show_representation)),
        Route(NOTICES_AND_OBJECTIONS.path, page(NOTICES_AND_OBJECTIONS, show_notices_and_objections)),
        Route(f"{NOTICES_AND_OBJECTIONS.path}/match", page(NOTICES_AND_OBJECTIONS, match_objection), methods=["POST"]),
        Route(
            f"{NOTICES_AND_OBJECTIONS.path}/reject", page(NOTICES_AND_OBJECTIONS, reject_objection), methods=["POST"]
        ),
        Route(CLIENTS.path, page(CLIENTS, show_clients)),
        Route(f"{CLIENTS.path}/suspend", page(CLIENTS, suspend_client), methods=["POST"]),
        Route(f"{CLIENTS.path}/resume", page(CLIENTS, resume_client), methods=["POST"]),
        Route(EXPLAIN.path, page(EXPLAIN, show_explanation)),
        *_officer_routes(page),
    ]


def _officer_routes(page: Callable[[Page, PageHandler], Endpoint]) -> list[Route]:
    """Return the routes of the dashboard's pages about policies, holds, accounts and objections."""
    return [
        Route(POLICIES.path, page(POLICIES, show_policies)),
        Route(f"{POLICIES.path}/simulation", page(POLICIES, show_simulation), methods=["GET", "POST"]),
        Route(f"{POLICIES.path}/propose", page(POLICIES, propose_policy), methods=["POST"]),
        Route(f"{POLICIES.path}/approve", page(POLICIES, approve_policy), methods=["POST"]),
        Route(f"{POLICIES.path}/hold", page(POLICIES, open_hold), methods=["POST"]),
        Route(f"{POLICIES.path}/lift", page(POLICIES, lift_hold), methods=["POST"]),
        Route(EDIT_POLICY.path, page(EDIT_POLICY, show_policy_form)),
        Route(f"{EDIT_POLICY.path}/review", page(EDIT_POLICY, review_policy), methods=["POST"]),
        Route(SEARCH.path, page(SEARCH, show_search), methods=["GET", "POST"]),
        Route(APPROVALS.path, page(APPROVALS, show_approvals)),
        Route(REPORT.path, page(REPORT, show_report)),
        Route(API_REFERENCE.path, page(API_REFERENCE, show_reference), methods=["GET", "POST"]),
        Route(ACCOUNT.path, page(ACCOUNT, show_account)),
        Route(f"{ACCOUNT.path}/link", page(ACCOUNT, issue_reading_link), methods=["POST"]),
        Route(f"{ACCOUNT.path}/revoke", page(ACCOUNT, revoke_reading_links), methods=["POST"]),
        Route(PERSON.path, page(PERSON, show_person)),
        Route(FILE_OBJECTION.path, page(FILE_OBJECTION, show_objection_form)),
        Route(FILE_OBJECTION.path, page(FILE_OBJECTION, submit_objection), methods=["POST"]),
    ]


def _openid_routes(openid: OpenIDSignIn) -> list[Route]:
    """Return the routes of the dashboard's sign-in by OpenID."""
    return [Route(START_PATH, openid.start), Route(CALLBACK_PATH, openid.finish)]
