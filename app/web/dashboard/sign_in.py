"""Sign-in with a token, and sign-out. The token is checked as /graphql checks it, and is not kept."""

from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.auth.authenticator import Authenticator, Unauthorized
from app.auth.sessions import Sessions
from app.auth.sign_in_codes import redeem_code
from app.http.boundary import HTTPError
from app.settings import Settings
from app.web.dashboard.layout import SIGN_IN, TEMPLATES, local_page, may_sign_in
from app.web.forms import RateLimiter, client_address, is_from_own_page, read_form
from app.web.pages import html_response
from schema.governed import STAFF

FORM_LIMIT: Final = 16 * 1024
ATTEMPTS_PER_MINUTE: Final = 120
TOO_MANY_ATTEMPTS: Final = "There are too many sign-in attempts. Try again in a minute."


class SignInPage:
    """The sign-in page and the sign-out action."""

    def __init__(
        self,
        authenticator: Authenticator,
        sessions: Sessions,
        secret: bytes,
        settings: Settings,
    ) -> None:
        self._authenticator = authenticator
        self._sessions, self._secret = sessions, secret
        self._by_openid = settings.oidc_issuer is not None
        self._public_url, self._trusted_proxies = settings.public_url, settings.trusted_proxies
        self._attempts = RateLimiter(ATTEMPTS_PER_MINUTE)

    async def form(self, request: Request) -> Response:
        """Show the dashboard's sign-in form, or check the submitted token."""
        if request.method == "GET" and (code := request.query_params.get("code")):
            return await self._sign_in_by_code(request, code)
        if request.method == "GET":
            session = self._sessions.read(request)
            expired = session is not None and session.expired
            problem = (
                "Your session has ended because the token expired. Sign in again to continue." if expired else None
            )
            return self._page(request.query_params.get("next"), 200, problem)
        try:
            fields = await read_form(request, FORM_LIMIT)
        except HTTPError as refused:
            return self._page(None, refused.status, refused.message)
        return await self._sign_in(request, fields.get("token", "").strip(), fields.get("next"))

    async def _sign_in(self, request: Request, token: str, wanted: str | None) -> Response:
        """Open a dashboard session for a submitted token, or show the sign-in form with the problem."""
        if is_from_own_page(request, self._public_url) is not True:
            return self._page(wanted, 403, "The form was not sent from this page, so you are not signed in.")
        if not self._attempts.take(client_address(request, self._trusted_proxies)):
            return self._page(wanted, 429, TOO_MANY_ATTEMPTS, retry=60)
        if not token:
            return self._page(wanted, 422, "The token is missing. Paste the token.")
        try:
            actor, expires = await self._authenticator.identify(f"Bearer {token}")
        except Unauthorized as why:
            return self._page(wanted, 401, f"You are not signed in: {why.reason}.")
        if not may_sign_in(actor.role):
            return role_denied(str(actor.role))
        response = RedirectResponse(local_page(wanted), 303)
        self._sessions.start(response, actor, expires)
        return response

    async def _sign_in_by_code(self, request: Request, code: str) -> Response:
        """Open a dashboard session for the code in a link of `grounds demo`, or show the sign-in form."""
        if not self._attempts.take(client_address(request, self._trusted_proxies)):
            return self._page(None, 429, TOO_MANY_ATTEMPTS, retry=60)
        session = await redeem_code(self._secret, self._sessions, request, code)
        if session is None:
            problem = "The link was used already, or is older than 10 minutes. Sign in with the token instead."
            return self._page(None, 401, problem)
        response = RedirectResponse(local_page(None), 303)
        self._sessions.start(response, session.actor, session.expires)
        return response

    async def sign_out(self, request: Request) -> Response:
        """End the dashboard's session on every server, and delete its cookie."""
        if is_from_own_page(request, self._public_url) is not True:
            return self._page(
                None, 403, "The form was not sent from a page of the dashboard, so you are still signed in."
            )
        session = self._sessions.read(request)
        if session is not None and not session.expired:
            await self._sessions.end(session)
        response = RedirectResponse(SIGN_IN, 303)
        self._sessions.clear(response)
        return response

    def _page(self, wanted: str | None, status: int, problem: str | None, retry: int | None = None) -> Response:
        """Build the sign-in page of the dashboard."""
        wanted = local_page(wanted)
        body = TEMPLATES.render(
            "sign_in.html", wanted=wanted, problem=problem, action=SIGN_IN, by_openid=self._by_openid
        )
        response = html_response(body, status, retry=retry)
        if status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        return response


def role_denied(role: str) -> Response:
    """Respond that a role cannot use the dashboard."""
    return html_response(TEMPLATES.render("role_denied.html", role=role, readers=STAFF, action=SIGN_IN), 403)
