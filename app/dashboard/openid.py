"""Sign in by an OpenID provider: the authorization code flow of OpenID Connect with PKCE (RFC 7636), state and nonce.

What a sign-in began with lies in a signed cookie of its own for ten minutes. That one is Lax, as the provider's page
leads back here; the session's is Strict, and a page of ours leads on, so that the browser sends it.
"""

import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import httpx
from joserfc.errors import JoseError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.auth import Unauthorized, read_signed
from app.dashboard.desk import SIGN_IN
from app.dashboard.entrance import PER_MINUTE, refused_role
from app.dashboard.frame import answer, render
from app.dashboard.signing_in import HOME, Sessions, local_path, may_sign_in, serializer, unsealed
from app.forms import TokenBucket
from app.issuer import MAX_LIFETIME_SECONDS, is_identifier
from app.keys import KeysUnavailable, VerificationKeys
from app.observe import observe
from app.settings import Settings
from schema.actor import Actor, Role

BEGIN: Final = f"{HOME}/openid"
RETURN: Final = f"{BEGIN}/return"
COOKIE: Final = "grounds_openid"
MINUTES: Final = 10
SECONDS: Final = 5.0
LEEWAY: Final = 30


class Refusal(Exception):
    """Say why nobody was signed in; safe to show."""


@dataclass(frozen=True, slots=True)
class Provider:
    """Hold where the provider answers, as it states itself (OpenID Connect Discovery)."""

    authorization: str
    token: str
    keys: str


class OpenID:
    """Lead people to the provider, and let them in when they come back."""

    def __init__(self, settings: Settings, secret: bytes, sessions: Sessions) -> None:
        stated = (settings.oidc_issuer, settings.oidc_client_id, settings.oidc_client_secret, settings.public_url)
        issuer, client, client_secret, public_url = map(str, stated)  # the settings have all of them, or none
        self._issuer, self._client, self._client_secret = issuer, client, client_secret
        self._claim = settings.oidc_role_claim
        self._redirect, self._secure = public_url + RETURN, public_url.startswith("https:")
        self._serializer = serializer(secret, "openid")
        self._sessions = sessions
        self._attempts = TokenBucket(PER_MINUTE)

    async def begin(self, request: Request) -> Response:
        """Send somebody to the provider."""
        # Loaded here, as few processes ever need it and a start should not wait for it.
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri  # type: ignore[import-untyped]  # it states no types
        from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]  # it states no types

        begun = {name: secrets.token_urlsafe(32) for name in ("state", "nonce", "verifier")}
        try:
            self._take()
            provider = await self._provider()
        except Exception as error:  # whatever it is, its text stays here: it may quote a token
            return _refused(error)
        address = prepare_grant_uri(
            provider.authorization,
            client_id=self._client,
            response_type="code",
            redirect_uri=self._redirect,
            scope="openid",
            state=begun["state"],
            nonce=begun["nonce"],
            code_challenge=create_s256_code_challenge(begun["verifier"]),
            code_challenge_method="S256",
        )
        response = RedirectResponse(address, 303)
        said = begun | {"next": local_path(request.query_params.get("next")), "until": time.time() + 60 * MINUTES}
        response.set_cookie(
            COOKIE, self._serializer.dumps(said), path=BEGIN, secure=self._secure, httponly=True, samesite="lax"
        )
        return response

    async def finish(self, request: Request) -> Response:
        """Let in whom the provider sends back."""
        try:
            self._take()
            begun = self._begun(request)
            claims = await self._claims(request.query_params["code"], begun)
            role = self._role(claims)
        except Exception as error:  # whatever it is, its text stays here: it may quote a token
            return self._ended(_refused(error))
        if role is None:
            return self._ended(refused_role("Somebody without a role that it knows"))
        response = answer(render("onward.html", target=begun["next"]))
        ends = min(float(claims["exp"]), time.time() + MAX_LIFETIME_SECONDS)
        self._sessions.begin(response, Actor(claims["sub"], role), ends)
        return self._ended(response)

    def _take(self) -> None:
        if not self._attempts.take():
            raise Refusal("Too many try to sign in at the moment. Try again in a minute.")

    def _ended(self, response: Response) -> Response:
        """Take the cookie away: a sign-in that was begun is finished once."""
        response.delete_cookie(COOKIE, path=BEGIN, secure=self._secure, httponly=True, samesite="lax")
        return response

    def _begun(self, request: Request) -> dict[str, Any]:
        """Give what this browser began; raise Refusal where the answer is not to that."""
        begun = unsealed(self._serializer, request.cookies.get(COOKIE, ""))
        if begun is None or time.time() >= begun["until"]:
            raise Refusal("This sign-in was not begun in this browser, or took longer than ten minutes. Begin again.")
        stated = request.query_params
        if not hmac.compare_digest(stated.get("state", "").encode(), begun["state"].encode()):
            raise Refusal("The answer belongs to another sign-in (its state differs). Begin again.")
        if stated.get("iss", self._issuer) != self._issuer:  # RFC 9207
            raise Refusal("The answer is another provider's.")
        if not stated.get("code"):
            raise Refusal("The provider let nobody in. Begin again, or ask whoever runs it.")
        return begun

    async def _provider(self) -> Provider:
        async with httpx.AsyncClient(timeout=SECONDS) as client:
            stated = await _json(client, f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        if stated.get("issuer") != self._issuer:
            raise Refusal("The provider states another issuer than GROUNDS_OIDC_ISSUER.")
        named = [stated.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
        scheme = self._issuer.partition(":")[0]
        if not all(isinstance(each, str) and each.startswith((f"{scheme}://", "https://")) for each in named):
            raise Refusal("The provider does not say where it answers, or says so without TLS.")
        return Provider(*map(str, named))

    async def _claims(self, code: str, begun: Mapping[str, Any]) -> dict[str, Any]:
        """Exchange the code, and read the ID token: checked as OpenID Connect Core 3.1.3.7 asks."""
        from authlib.oidc.core.claims import CodeIDToken  # type: ignore[import-untyped]  # it states no types

        provider = await self._provider()
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._redirect}
        # Percent-encoded first: RFC 6749, 2.3.1.
        credentials = httpx.BasicAuth(quote(self._client, safe=""), quote(self._client_secret, safe=""))
        async with httpx.AsyncClient(timeout=SECONDS) as client:
            answered = await client.post(
                provider.token, data=form | {"code_verifier": begun["verifier"]}, auth=credentials
            )
            if answered.status_code != httpx.codes.OK:
                raise Refusal("The provider did not accept its own code. Begin again.")
            tokens, keys = answered.json(), VerificationKeys.read(await _json(client, provider.keys)).or_refuse()
        header, claims = read_signed(str(tokens["id_token"]), keys)
        token = CodeIDToken(
            claims,
            header,
            {"iss": {"essential": True, "value": self._issuer}, "aud": {"essential": True, "value": self._client}},
            {"nonce": begun["nonce"], "client_id": self._client, "access_token": tokens.get("access_token")},
        )
        token.validate(leeway=LEEWAY)
        if not isinstance(claims["sub"], str) or not is_identifier(claims["sub"]):
            raise Refusal("The provider does not say who came (its claim sub).")
        return claims

    def _role(self, claims: Mapping[str, Any]) -> Role | None:
        """Give the one role of the dashboard that the claim holds; None where it holds none, or several."""
        stated = claims.get(self._claim)
        held = stated if isinstance(stated, list) else [stated]
        roles = [role for role in Role if role in held and may_sign_in(role)]
        return roles[0] if len(roles) == 1 else None


async def _json(client: httpx.AsyncClient, address: str) -> dict[str, Any]:
    found = (await client.get(address)).raise_for_status().json()
    if not isinstance(found, dict):
        raise Refusal("The provider does not answer as one does.")
    return found


def _refused(error: Exception) -> Response:
    """Say that nobody was signed in, and why as far as that may be told."""
    if isinstance(error, Refusal):
        said, status = str(error), 403
    elif isinstance(error, JoseError | Unauthorized | KeysUnavailable):
        said, status = "The provider's ID token is not for this sign-in, or not the provider's. Begin again.", 403
    else:
        told = "The provider does not answer, or not as one does. Try again; if that does not help, tell the operator"
        said, status = f"{told} the reference {observe.failure(error)}.", 502
    return answer(render("not_signed_in.html", said=said, action=SIGN_IN), status)
