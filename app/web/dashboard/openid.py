"""Sign in by an OpenID provider: the authorization code flow with PKCE, by Authlib's client for Starlette.

The state of a sign-in lies in a signed cookie of its own for ten minutes. That one is Lax, as the provider's page leads
back here; the session's is Strict, and a page of ours leads on, so that the browser sends it.
"""

import base64
import time
import warnings
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from joserfc.errors import JoseError
from starlette.requests import Request
from starlette.responses import Response

from app.auth.dev_issuer import MAX_LIFETIME_SECONDS
from app.auth.jwks import ALGORITHMS
from app.auth.sessions import Sessions, cookie_serializer, read_signed_cookie
from app.auth.token_claims import find_claim, held_roles, is_identifier
from app.http.boundary import HTTPError
from app.settings import Settings
from app.web.dashboard.layout import HOME, SIGN_IN, TEMPLATES, local_page, may_sign_in
from app.web.dashboard.sign_in import ATTEMPTS_PER_MINUTE, TOO_MANY_ATTEMPTS, role_denied
from app.web.forms import RateLimiter, client_address
from app.web.pages import html_response
from schema.actor import Actor, Role

START_PATH: Final = f"{HOME}/openid"
CALLBACK_PATH: Final = f"{START_PATH}/return"
COOKIE: Final = "grounds_openid"
SIGN_IN_MINUTES: Final = 10
TIMEOUT_SECONDS: Final = 5.0
LEEWAY_SECONDS: Final = 30


class SignInError(HTTPError):
    """A sign-in that failed; the message is safe to show."""

    def __init__(self, message: str) -> None:
        super().__init__(403, message)


class OpenIDSignIn:
    """The sign-in that redirects a browser to the provider and opens a session when it returns."""

    def __init__(self, settings: Settings, secret: bytes, sessions: Sessions) -> None:
        stated = (settings.oidc_issuer, settings.oidc_client_id, settings.oidc_client_secret, settings.public_url)
        issuer, client, client_secret, public_url = map(str, stated)  # the settings have all of them, or none
        self._issuer, self._client_id, self._client_secret = issuer, client, client_secret
        self._claim = settings.oidc_role_claim
        self._redirect, self._secure = public_url + CALLBACK_PATH, public_url.startswith("https:")
        self._serializer = cookie_serializer(secret, "openid")
        self._sessions = sessions
        self._attempts = RateLimiter(ATTEMPTS_PER_MINUTE)
        self._trusted_proxies = settings.trusted_proxies

    async def start(self, request: Request) -> Response:
        """Redirect the browser to the OpenID provider, to sign in at the dashboard."""
        request.state.render_error = self.render_error
        self._take(request)
        session: dict[str, Any] = {}
        request.scope["session"] = session
        response: Response = await (await self._client()).authorize_redirect(request, self._redirect)
        response.status_code = 303
        begun = {
            "session": session,
            "next": local_page(request.query_params.get("next")),
            "until": time.time() + 60 * SIGN_IN_MINUTES,
        }
        response.set_cookie(
            COOKIE, self._serializer.dumps(begun), path=START_PATH, secure=self._secure, httponly=True, samesite="lax"
        )
        return response

    async def finish(self, request: Request) -> Response:
        """Open a dashboard session when the browser returns from the OpenID provider."""
        request.state.render_error = self.render_error
        self._take(request)
        begun = self._begun(request)
        request.scope["session"] = begun["session"]
        claims = await self._claims(request)
        role = self._role(claims)
        if role is None:
            return self._ended(role_denied("An account without a dashboard role"))
        response = html_response(TEMPLATES.render("redirect.html", target=begun["next"]))
        ends = min(float(claims["exp"]), time.time() + MAX_LIFETIME_SECONDS)
        self._sessions.start(response, Actor(claims["sub"], role), ends)
        return self._ended(response)

    def render_error(self, _: Request, error: HTTPError) -> Response:
        """Write an error of the OpenID provider as a sign-in page. The log has what the provider did wrong."""
        problem, status = error.message, error.status
        if error.reference:
            told = "The provider gave no valid answer. Try again. If the error remains, give the operator"
            problem, status = f"{told} the reference {error.reference}.", 502
        body = TEMPLATES.render("sign_in_failed.html", problem=problem, action=SIGN_IN)
        return self._ended(html_response(body, status))

    def _take(self, request: Request) -> None:
        """Raise SignInError where an address begins to sign in by OpenID too often."""
        if not self._attempts.take(client_address(request, self._trusted_proxies)):
            raise SignInError(TOO_MANY_ATTEMPTS)

    def _ended(self, response: Response) -> Response:
        """Delete the cookie of a sign-in by OpenID: it is finished once."""
        response.delete_cookie(COOKIE, path=START_PATH, secure=self._secure, httponly=True, samesite="lax")
        return response

    def _begun(self, request: Request) -> dict[str, Any]:
        """Return the sign-in by OpenID that this browser began; raise SignInError for another's answer."""
        begun = read_signed_cookie(self._serializer, request.cookies.get(COOKIE, ""))
        if begun is None or time.time() >= begun["until"]:
            raise SignInError(
                "This sign-in was not started in this browser, or took longer than ten minutes. Start again."
            )
        stated = request.query_params
        if stated.get("iss", self._issuer) != self._issuer:  # RFC 9207
            raise SignInError("The response is from another provider. Start again.")
        if not stated.get("code"):
            raise SignInError(
                "The sign-in provider refused the sign-in. Start again."
                " If the sign-in fails again, ask the operator of the provider."
            )
        return begun

    async def _client(self) -> Any:
        """Make a client of the OpenID provider from its own metadata. Raises SignInError if it is another provider."""
        client = _oauth().register(
            "openid",
            client_id=self._client_id,
            client_secret=self._client_secret,
            server_metadata_url=f"{self._issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={"scope": "openid", "code_challenge_method": "S256", "timeout": TIMEOUT_SECONDS},
            client_auth_methods=[("client_secret_basic", _authenticate)],
        )
        stated = await client.load_server_metadata()
        if stated.get("issuer") != self._issuer:
            raise SignInError(
                "The sign-in provider's issuer differs from GROUNDS_OIDC_ISSUER."
                " Report this to the operator of the gateway."
            )
        endpoints = {name: stated.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}
        schemes = (f"{self._issuer.partition(':')[0]}://", "https://")
        if not all(isinstance(each, str) and each.startswith(schemes) for each in endpoints.values()):
            raise SignInError(
                "The configuration of the sign-in provider lacks an endpoint, or has an endpoint without TLS."
                " Report this to the operator of the provider."
            )
        # Nothing else that is stated: the library would pass all of it to the HTTP client, as its TLS settings too.
        kept = {name: stated[name] for name in ("issuer", "_loaded_at")}
        client.server_metadata = kept | endpoints | {"id_token_signing_alg_values_supported": list(ALGORITHMS)}
        return client

    async def _claims(self, request: Request) -> Mapping[str, Any]:
        """Exchange the OpenID code, and check the ID token as OpenID Connect Core 3.1.3.7 asks."""
        from authlib.integrations.base_client import (  # type: ignore[import-untyped]  # it states no types
            MismatchingStateError,
            OAuthError,
        )

        client = await self._client()
        expected = {"iss": self._issuer, "aud": self._client_id}
        try:
            tokens = await client.authorize_access_token(
                request,
                claims_options={name: {"essential": True, "value": value} for name, value in expected.items()},
                leeway=LEEWAY_SECONDS,
            )
            claims: Mapping[str, Any] = tokens["userinfo"]
        except MismatchingStateError:
            raise SignInError("The response belongs to another sign-in. Start again.") from None
        except OAuthError:
            raise SignInError("The sign-in provider rejected the code that it had issued. Start again.") from None
        except (JoseError, KeyError):
            raise SignInError("The ID token is not for this sign-in, or not from the provider. Start again.") from None
        if not isinstance(claims["sub"], str) or not is_identifier(claims["sub"]):
            raise SignInError(
                "The ID token has no valid claim sub. Report this to the operator of the sign-in provider."
            )
        return claims

    def _role(self, claims: Mapping[str, Any]) -> Role | None:
        """Return the dashboard role in an ID token's claim; None if there is none, or if there are several."""
        roles = [role for role in held_roles(find_claim(claims, self._claim)) if may_sign_in(role)]
        return roles[0] if len(roles) == 1 else None


def _oauth() -> Any:
    """Load Authlib for the sign-in by OpenID: few processes need it, and a start should not wait for it."""
    with warnings.catch_warnings(record=True):  # of httpx, which it will replace by httpx2
        from authlib.integrations.starlette_client import OAuth  # type: ignore[import-untyped]  # it states no types

    return OAuth()


def _authenticate(client: Any, _: str, uri: str, headers: Any, body: Any) -> tuple[str, Any, Any]:
    """Authenticate the dashboard to the OpenID provider by HTTP Basic, percent-encoded as RFC 6749, 2.3.1 asks."""
    credentials = ":".join(quote(each, safe="") for each in (client.client_id, client.client_secret))
    headers["Authorization"] = f"Basic {base64.b64encode(credentials.encode()).decode()}"
    return uri, headers, body
