"""The dashboard for those who watch: charts and lists from the GraphQL schema alone, no script, no CDN."""

from starlette.routing import Route

from app.auth import Authenticator
from app.dashboard import clients, conditions, explain, overview, people, policies, skew
from app.dashboard.desk import SIGN_IN, Desk
from app.dashboard.entrance import Entrance
from app.dashboard.frame import CLIENTS, CONDITIONS, EXPLAIN, OVERVIEW, PEOPLE, POLICIES, SKEW, STYLESHEET, stylesheet
from app.dashboard.openid import BEGIN, RETURN, OpenID
from app.dashboard.signing_in import HOME, Sessions
from app.http import GraphQLEndpoint
from app.settings import Settings


def dashboard_routes(
    endpoint: GraphQLEndpoint, authenticator: Authenticator, secret: bytes, settings: Settings
) -> list[Route]:
    """Give the dashboard's routes."""
    sessions = Sessions(secret, secure=(settings.public_url or "").startswith("https:"))
    desk = Desk(endpoint, sessions)
    by_openid = settings.oidc_issuer is not None
    entrance = Entrance(authenticator, sessions, by_openid=by_openid)
    return [
        *(_openid_routes(OpenID(settings, secret, sessions)) if by_openid else ()),
        Route(CONDITIONS.path, desk.serve(CONDITIONS, conditions.show)),
        Route(PEOPLE.path, desk.serve(PEOPLE, people.show)),
        Route(f"{PEOPLE.path}/match", desk.serve(PEOPLE, people.match), methods=["POST"]),
        Route(f"{PEOPLE.path}/reject", desk.serve(PEOPLE, people.reject), methods=["POST"]),
        Route(CLIENTS.path, desk.serve(CLIENTS, clients.show)),
        Route(f"{CLIENTS.path}/suspend", desk.serve(CLIENTS, clients.suspend), methods=["POST"]),
        Route(f"{CLIENTS.path}/resume", desk.serve(CLIENTS, clients.resume), methods=["POST"]),
        Route(EXPLAIN.path, desk.serve(EXPLAIN, explain.show)),
        Route(POLICIES.path, desk.serve(POLICIES, policies.show)),
        Route(f"{POLICIES.path}/simulation", desk.serve(POLICIES, policies.simulate), methods=["GET", "POST"]),
        Route(f"{POLICIES.path}/propose", desk.serve(POLICIES, policies.propose), methods=["POST"]),
        Route(f"{POLICIES.path}/approve", desk.serve(POLICIES, policies.approve), methods=["POST"]),
        Route(f"{POLICIES.path}/hold", desk.serve(POLICIES, policies.open_hold), methods=["POST"]),
        Route(f"{POLICIES.path}/lift", desk.serve(POLICIES, policies.lift_hold), methods=["POST"]),
        Route(SIGN_IN, entrance.form, methods=["GET", "POST"]),
        Route(f"{HOME}/sign-out", entrance.leave, methods=["POST"]),
        Route(STYLESHEET, stylesheet),
        Route(OVERVIEW.path, desk.serve(OVERVIEW, overview.show)),
        Route(SKEW.path, desk.serve(SKEW, skew.show)),
    ]


def _openid_routes(openid: OpenID) -> list[Route]:
    return [Route(BEGIN, openid.begin), Route(RETURN, openid.finish)]
