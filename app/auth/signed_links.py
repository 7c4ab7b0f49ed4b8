"""Signed links. A link opens one page for one account and one action, until it expires.

A token is sealed with AES-SIV (RFC 5297), which encrypts and authenticates at once and compares in constant time:
the address shows no account and cannot be altered. What a token is for is bound to
it, so that a link to object opens nothing else.
"""

import base64
import binascii
import struct
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final
from urllib.parse import urlencode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from db.connection import borrowing_as
from db.oversight.objection_filing import decision_time
from db.oversight.reading_links import is_own_token, open_reading_link
from db.secrets import KeyUse, derive_key
from schema.context import Gateway

MAX_TOKEN_LENGTH: Final = 2048
WAIT_SECONDS: Final = 5.0
_EXPIRY: Final = struct.Struct(">Q")


class LinkAction(StrEnum):
    """The action that a link allows; its value is the path of the page that it opens."""

    OBJECT = "/object"
    ME = "/me"
    RECEIPT = "/object/receipt"


def sign_link(secret: bytes, account: str, action: LinkAction, expires_at: datetime) -> str:
    """Make the token of a link that lets its bearer act for an account, by the platform's id, until `expires_at`.

    It goes into the address as `?t=`; see `link_path`.
    """
    return encrypt_content(secret, action, _EXPIRY.pack(int(expires_at.timestamp())) + account.encode())


def read_link(secret: bytes, token: str, action: LinkAction, now: datetime) -> str | None:
    """Return the account that a signed link acts for; None if the token is forged, altered or expired."""
    content = decrypt_content(secret, action, token)
    if content is None or datetime.fromtimestamp(_EXPIRY.unpack_from(content)[0], UTC) <= now:
        return None
    return content[_EXPIRY.size :].decode()


async def account_of_link(gateway: Gateway, action: LinkAction, token: str) -> str | None:
    """Return the account that a signed link acts for now; None if the link is forged, altered or expired.

    It waits for a connection that is kept free of others, and asks the database for none if the link is forged.
    """
    for secret in gateway.database.secrets.readable:
        if decrypt_content(secret, action, token) is not None:
            with borrowing_as("links", reserved=True, wait_seconds=WAIT_SECONDS):
                return read_link(secret, token, action, await decision_time(gateway.database))
    return None


async def account_of_reading_link(gateway: Gateway, token: str, browser: str) -> str | None:
    """Return the account whose own data a link opens for a browser, by its cookie; None when it opens nothing."""
    if not is_own_token(gateway.secret, token):
        return None
    with borrowing_as("links", reserved=True, wait_seconds=WAIT_SECONDS):
        return await open_reading_link(gateway.database, gateway.secret, token, browser)


async def issue_link(gateway: Gateway, action: LinkAction, account: str, lifetime: timedelta) -> str:
    """Make the token of a link that lets its bearer act for an account from now on; see `sign_link`."""
    return sign_link(gateway.secret, account, action, await decision_time(gateway.database) + lifetime)


def link_path(token: str, action: LinkAction, language: str | None = None) -> str:
    """Write the path and query of a signed link: `/object?t=…&lang=de`. The operator's own address goes before it."""
    return f"{action}?{urlencode({'t': token} | ({'lang': language} if language else {}))}"


def encrypt_content(secret: bytes, action: LinkAction, content: bytes) -> str:
    """Encrypt and sign the content of a link for one purpose; the same content gives the same token."""
    return (
        base64.urlsafe_b64encode(_link_cipher(secret).encrypt(content, [_associated_data(action)])).decode().rstrip("=")
    )


def decrypt_content(secret: bytes, action: LinkAction, token: str) -> bytes | None:
    """Decrypt the content of a link's token; None when it was not signed by the gateway for this purpose."""
    if len(token) > MAX_TOKEN_LENGTH:
        return None
    try:
        sealed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        return _link_cipher(secret).decrypt(sealed, [_associated_data(action)])
    except (InvalidTag, ValueError, binascii.Error):
        return None


def _associated_data(action: LinkAction) -> bytes:
    """Return the bytes that bind the token of a signed link to its action."""
    return f"grounds link {action.name}".encode()


@lru_cache(maxsize=8)
def _link_cipher(secret: bytes) -> AESSIV:
    """Make the cipher of signed links, with a key of their own."""
    return AESSIV(derive_key(secret, KeyUse.LINKS))
