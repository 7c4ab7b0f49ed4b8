"""Sessions of the dashboard: the signed cookie of a session, and the sign-out, which ends it on every server.

The session cookie holds name, role and expiry of the signed-in account and the session's id, signed by the gateway. It
holds no token.
"""

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from itsdangerous import BadSignature, URLSafeSerializer
from starlette.requests import Request
from starlette.responses import Response

from db.connection import Pool, borrowing_as, connection, write_transaction
from db.secrets import KeyUse, derive_key
from schema.actor import Actor, Role

COOKIE: Final = "grounds_dashboard"
MAX_COOKIE_LENGTH: Final = 4096


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in account; `expired` says that its token has ended, at `expires` in seconds since 1970.

    `reason` is why the account reads people's data, once it has stated that.
    """

    id: str
    actor: Actor
    expires: float
    expired: bool
    reason: str | None = None


class Sessions:
    """The sessions of signed-in accounts. A session ends with the token that it was opened for, or at sign-out."""

    def __init__(
        self, secret: bytes, pool: Pool, *, path: str, secure: bool, clock: Callable[[], float] = time.time
    ) -> None:
        self._serializer = cookie_serializer(secret, "session")
        self._pool, self._path, self._secure, self._clock = pool, path, secure, clock

    def start(self, response: Response, actor: Actor, expires: float) -> None:
        """Set the cookie of a signed-in session; `expires` is in seconds since 1970."""
        self._set_cookie(response, secrets.token_urlsafe(16), actor, expires, None)

    def state_reason(self, response: Response, session: Session, reason: str) -> None:
        """Set the cookie of a signed-in session again, with the reason for its reads."""
        self._set_cookie(response, session.id, session.actor, session.expires, reason)

    def _set_cookie(self, response: Response, id: str, actor: Actor, expires: float, reason: str | None) -> None:
        """Set the cookie that contains a session."""
        content = {"id": id, "name": actor.name, "role": actor.role, "expires": expires}
        if reason is not None:
            content["reason"] = reason
        # Without Max-Age the browser still sends an expired cookie, so that the sign-in page can say why it is shown.
        response.set_cookie(
            COOKIE,
            self._serializer.dumps(content),
            path=self._path,
            secure=self._secure,
            httponly=True,
            samesite="strict",
        )

    def clear(self, response: Response) -> None:
        """Delete the cookie of a session."""
        response.delete_cookie(COOKIE, path=self._path, secure=self._secure, httponly=True, samesite="strict")

    def read(self, request: Request) -> Session | None:
        """Read the session of a cookie; None if there is no cookie or its signature is wrong."""
        content = read_signed_cookie(self._serializer, request.cookies.get(COOKIE, ""))
        if content is None or "id" not in content:  # a release before this one wrote cookies without an id
            return None
        actor, expires = Actor(content["name"], Role(content["role"])), content["expires"]
        expired = self._clock() >= expires
        return Session(content["id"], actor, expires, expired, content.get("reason"))

    async def end(self, session: Session) -> None:
        """Refuse a signed-in session from now on, on every server."""
        with borrowing_as(f"session {session.id}", reserved=True):
            async with write_transaction(self._pool) as borrowed:
                ends_at = datetime.fromtimestamp(session.expires, UTC)
                await borrowed.execute("SELECT grounds.end_session($1, $2)", _hashed(session.id), ends_at)

    async def has_ended(self, session: Session) -> bool:
        """Return whether a session was signed out. Raises one of UNAVAILABLE where the database cannot answer."""
        with borrowing_as(f"session {session.id}", reserved=True):
            async with connection(self._pool) as borrowed:
                ended: bool = await borrowed.fetchval("SELECT grounds.session_has_ended($1)", _hashed(session.id))
                return ended


def cookie_serializer(secret: bytes, purpose: str) -> URLSafeSerializer:
    """Make a signer of cookies for one purpose; its key is derived from the gateway's secret."""
    return URLSafeSerializer(
        derive_key(secret, KeyUse.COOKIES),
        salt=purpose,
        signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
    )


def read_signed_cookie(by: URLSafeSerializer, cookie: str) -> dict[str, Any] | None:
    """Return the content of a signed cookie of a session or sign-in; None if the signature is wrong."""
    if len(cookie) > MAX_COOKIE_LENGTH:
        return None
    try:
        content: dict[str, Any] = by.loads(cookie)
    except BadSignature:
        return None
    return content


def _hashed(session: str) -> bytes:
    """Hash the id of a session: a reader of the stored digests can open no session."""
    return hashlib.sha256(session.encode()).digest()
