"""Codes that sign in to the dashboard of the demo: each opens one session, within some minutes, on this machine."""

import secrets
import time
from ipaddress import ip_address
from typing import Final

from starlette.requests import Request

from app.auth.sessions import Session, Sessions, cookie_serializer, read_signed_cookie
from schema.actor import Actor, Role

CODE_SECONDS: Final = 600
SESSION_SECONDS: Final = 3600
_PURPOSE: Final = "sign-in code"


def issue_code(secret: bytes, actor: Actor) -> str:
    """Sign a code that signs in to the dashboard as an actor, once and within CODE_SECONDS."""
    content = {"id": secrets.token_urlsafe(16), "name": actor.name, "role": actor.role}
    code: str = cookie_serializer(secret, _PURPOSE).dumps(content | {"expires": time.time() + CODE_SECONDS})
    return code


async def redeem_code(secret: bytes, sessions: Sessions, request: Request, code: str) -> Session | None:
    """Return the session that a code opens; None if it was used, has expired, or comes from another machine."""
    content = read_signed_cookie(cookie_serializer(secret, _PURPOSE), code)
    if content is None or not _is_of_this_machine(request) or time.time() >= content["expires"]:
        return None
    used = Session(content["id"], Actor(content["name"], Role(content["role"])), content["expires"], expired=False)
    if await sessions.has_ended(used):
        return None
    await sessions.end(used)
    return Session(used.id, used.actor, time.time() + SESSION_SECONDS, expired=False)


def _is_of_this_machine(request: Request) -> bool:
    """Return whether a request for a dashboard session comes from this machine."""
    try:
        return request.client is not None and ip_address(request.client.host).is_loopback
    except ValueError:
        return False
