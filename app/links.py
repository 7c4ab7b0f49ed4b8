"""Signed links: who may open a page without logging in, for what, and until when.

A token is sealed with AES-SIV (RFC 5297), which encrypts and authenticates at once and compares in constant time:
whoever sees the address reads no account in it, and cannot make it say anything else. What a token is for is bound to
it, so that a link to object opens nothing else.
"""

import base64
import binascii
import hashlib
import hmac
import struct
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final
from urllib.parse import urlencode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

LONGEST_TOKEN: Final = 2048
_EXPIRY: Final = struct.Struct(">Q")


class Purpose(StrEnum):
    """Name what a link is for; its value is the path of the page that it opens."""

    OBJECT = "/object"
    ME = "/me"
    RECEIPT = "/object/receipt"


def sign_link(secret: bytes, account: str, purpose: Purpose, expires_at: datetime) -> str:
    """Make the token that lets its bearer act for an account, by the platform's id, until `expires_at`.

    It goes into the address as `?t=`; see `link_path`.
    """
    return seal(secret, purpose, _EXPIRY.pack(int(expires_at.timestamp())) + account.encode())


def read_link(secret: bytes, token: str, purpose: Purpose, now: datetime) -> str | None:
    """Give the account that a token of this purpose acts for; None when it is forged, altered or over."""
    content = unseal(secret, purpose, token)
    if content is None or datetime.fromtimestamp(_EXPIRY.unpack_from(content)[0], UTC) <= now:
        return None
    return content[_EXPIRY.size :].decode()


def link_path(token: str, purpose: Purpose, language: str | None = None) -> str:
    """Write the path and query of a link: `/object?t=…&lang=de`. The operator's own address goes before it."""
    return f"{purpose}?{urlencode({'t': token} | ({'lang': language} if language else {}))}"


def seal(secret: bytes, purpose: Purpose, content: bytes) -> str:
    """Encrypt and sign content for one purpose; the same content gives the same token."""
    return base64.urlsafe_b64encode(_cipher(secret).encrypt(content, [_label(purpose)])).decode().rstrip("=")


def unseal(secret: bytes, purpose: Purpose, token: str) -> bytes | None:
    """Give the content of a token; None when it is not one of ours for this purpose."""
    if len(token) > LONGEST_TOKEN:
        return None
    try:
        sealed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        return _cipher(secret).decrypt(sealed, [_label(purpose)])
    except (InvalidTag, ValueError, binascii.Error):
        return None


def _label(purpose: Purpose) -> bytes:
    return f"grounds link {purpose.name}".encode()


@lru_cache(maxsize=8)
def _cipher(secret: bytes) -> AESSIV:
    """Derive the key of links from the gateway's secret (HMAC-SHA-512 under a label of its own)."""
    return AESSIV(hmac.new(secret, b"links", hashlib.sha512).digest())
