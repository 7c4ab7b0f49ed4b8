"""Webhooks' signatures: how the gateway makes them, and how a client that receives them checks them.

A client may import this module, or copy what it does: it needs Python's own library only.
"""

import hashlib
import hmac
import re
from typing import Final

SIGNATURE: Final = "Grounds-Signature"

_FORM: Final = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})", re.ASCII)


def sign(key: bytes, body: bytes, now: float) -> str:
    """Make the header of a body that is posted at `now`, seconds since 1970: `t=<seconds>,v1=<hex of HMAC-SHA256>`.

    What is signed is the seconds, a full stop, and the body: a body cannot be sent again at another time.
    """
    seconds = int(now)
    return f"t={seconds},v1={_mac(key, body, str(seconds))}"


def verify(key: bytes, header: str | None, body: bytes, now: float, tolerance_seconds: float = 300) -> bool:
    """Tell whether the gateway signed this body, no longer ago than the tolerance, by the raw body and the header."""
    match = _FORM.fullmatch(header or "")
    if match is None or not hmac.compare_digest(match[2], _mac(key, body, match[1])):
        return False
    return abs(now - int(match[1])) <= tolerance_seconds


def _mac(key: bytes, body: bytes, seconds: str) -> str:
    return hmac.new(key, seconds.encode() + b"." + body, hashlib.sha256).hexdigest()
