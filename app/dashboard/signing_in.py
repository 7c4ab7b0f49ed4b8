"""Who is signed in: a cookie that says who its bearer is and until when, signed by us; no token lies in it."""

import hashlib
import hmac
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from itsdangerous import BadSignature, URLSafeSerializer
from starlette.requests import Request
from starlette.responses import Response

from schema.actor import Actor, Role
from schema.governed import STAFF

HOME: Final = "/dashboard"
COOKIE: Final = "grounds_dashboard"
LONGEST_COOKIE: Final = 4096

_LOCAL: Final = re.compile(rf"{HOME}(?:[/?][!-\[\]-~]*)?")


@dataclass(frozen=True, slots=True)
class Session:
    """Hold who is signed in; `over` says that it was until lately."""

    actor: Actor
    over: bool


class Sessions:
    """Write and read the cookie. It ends with the token that it was given for, whatever the browser does."""

    def __init__(self, secret: bytes, *, secure: bool, clock: Callable[[], float] = time.time) -> None:
        self._serializer = serializer(secret, "session")
        self._secure, self._clock = secure, clock

    def begin(self, response: Response, actor: Actor, expires: float) -> None:
        """Sign somebody in until `expires`, in seconds since 1970."""
        said = {"name": actor.name, "role": actor.role, "expires": expires}
        # Without Max-Age the browser still sends one that is over, and its bearer is told so.
        response.set_cookie(
            COOKIE,
            self._serializer.dumps(said),
            path=HOME,
            secure=self._secure,
            httponly=True,
            samesite="strict",
        )

    def end(self, response: Response) -> None:
        """Take the cookie away."""
        response.delete_cookie(COOKIE, path=HOME, secure=self._secure, httponly=True, samesite="strict")

    def read(self, request: Request) -> Session | None:
        """Say who is signed in, or was; None for a cookie that is not there, or none of ours."""
        said = unsealed(self._serializer, request.cookies.get(COOKIE, ""))
        if said is None:
            return None
        return Session(Actor(said["name"], Role(said["role"])), over=self._clock() >= said["expires"])


def serializer(secret: bytes, purpose: str) -> URLSafeSerializer:
    """Make a signer for one purpose, with a key of its own that follows from the gateway's secret."""
    key = hmac.new(secret, b"dashboard", hashlib.sha256).digest()
    return URLSafeSerializer(
        key, salt=purpose, signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"}
    )


def unsealed(by: URLSafeSerializer, cookie: str) -> dict[str, Any] | None:
    """Give what a cookie of ours says; None for any other."""
    if len(cookie) > LONGEST_COOKIE:
        return None
    try:
        said: dict[str, Any] = by.loads(cookie)
    except BadSignature:
        return None
    return said


def may_sign_in(role: Role) -> bool:
    """Say whether the dashboard is for a role."""
    return role in STAFF


def local_path(asked: str | None) -> str:
    """Give the page to go to after signing in: one of the dashboard's own, or else its first."""
    return asked if asked and _LOCAL.fullmatch(asked) else HOME


def is_of_own_page(request: Request) -> bool:
    """Say whether a form was sent from a page of ours, by what a browser states; one that states nothing was not."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return False
    if origin is None:
        return site is not None
    return origin.partition("://")[2].lower() == request.headers["host"].lower()
