"""Sign in by a token, and out: the token is checked as /graphql checks it, and not kept."""

from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.auth import Authenticator, Unauthorized
from app.dashboard.desk import SIGN_IN
from app.dashboard.frame import answer, render
from app.dashboard.signing_in import Sessions, is_of_own_page, local_path, may_sign_in
from app.edges import Refused
from app.forms import TokenBucket, read_form
from schema.governed import STAFF

FORM_LIMIT: Final = 16 * 1024
PER_MINUTE: Final = 120


class Entrance:
    """Serve the page where somebody signs in."""

    def __init__(self, authenticator: Authenticator, sessions: Sessions, *, by_openid: bool) -> None:
        self._authenticator = authenticator
        self._sessions = sessions
        self._by_openid = by_openid
        self._attempts = TokenBucket(PER_MINUTE)

    async def form(self, request: Request) -> Response:
        """Show the form, or let somebody in."""
        if request.method == "GET":
            session = self._sessions.read(request)
            over = session is not None and session.over
            said = "Your sign-in is over: it ends when the token does. Sign in again to go on." if over else None
            return self._page(request.query_params.get("next"), 200, said)
        try:
            sent = await read_form(request, FORM_LIMIT)
        except Refused as refused:
            return self._page(None, refused.status, refused.message)
        return await self._let_in(request, sent.get("token", "").strip(), sent.get("next"))

    async def _let_in(self, request: Request, token: str, wanted: str | None) -> Response:
        if not is_of_own_page(request):
            return self._page(wanted, 403, "This form was not sent from this page, so nobody was signed in.")
        if not self._attempts.take():
            return self._page(wanted, 429, "Too many try to sign in at the moment. Try again in a minute.", retry=60)
        if not token:
            return self._page(wanted, 422, "There is no token. Paste one.")
        try:
            actor, expires = await self._authenticator.identify(f"Bearer {token}")
        except Unauthorized as why:
            return self._page(wanted, 401, f"Nobody was signed in: {why.reason}.")
        if not may_sign_in(actor.role):
            return refused_role(str(actor.role))
        response = RedirectResponse(local_path(wanted), 303)
        self._sessions.begin(response, actor, expires)
        return response

    async def leave(self, request: Request) -> Response:
        """Sign somebody out."""
        if not is_of_own_page(request):
            return self._page(None, 403, "This form was not sent from a page of the dashboard, so nothing was done.")
        response = RedirectResponse(SIGN_IN, 303)
        self._sessions.end(response)
        return response

    def _page(self, wanted: str | None, status: int, said: str | None, retry: int | None = None) -> Response:
        wanted = local_path(wanted)
        body = render("sign_in.html", wanted=wanted, said=said, action=SIGN_IN, by_openid=self._by_openid)
        response = answer(body, status, retry=retry)
        if status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        return response


def refused_role(role: str) -> Response:
    """Say plainly that the dashboard is not for a role."""
    return answer(render("refused.html", role=role, readers=STAFF, action=SIGN_IN), 403)
