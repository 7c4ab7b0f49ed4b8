"""The links with which people read their own data: issued, opened by one browser, and revoked.

A link's token is random and carries a code that only the gateway can compute, so that a forged one is refused without a
question to the database, which keeps only digests.
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from db.connection import Database, Pool, write_transaction
from db.secrets import KeyUse, derive_key

_RANDOM_BYTES = 16
_CODE_BYTES = 16
_MAX_LENGTH = 100


class IssuedLink(NamedTuple):
    """A link to a person's own data as its issuer gets it: the token, and until when it opens the page."""

    token: str
    expires_at: datetime


def make_link_token(secret: bytes) -> str:
    """Make the token of a link to a person's own data."""
    random = secrets.token_bytes(_RANDOM_BYTES)
    return base64.urlsafe_b64encode(random + _code(secret, random)).decode().rstrip("=")


def is_own_token(secret: bytes, token: str) -> bool:
    """Return whether the gateway made the token of a link to a person's own data."""
    try:
        made = base64.b64decode(token[:_MAX_LENGTH] + "=", altchars=b"-_", validate=True)
    except ValueError:
        return False
    return hmac.compare_digest(made[_RANDOM_BYTES:], _code(secret, made[:_RANDOM_BYTES]))


@dataclass(frozen=True, slots=True)
class LinkIssuer:
    """Issues and revokes the links of others, or revokes the own ones: the pool of an audience, and its claims."""

    pool: Pool
    claims: dict[str, str]

    @classmethod
    def platform(cls, database: Database) -> "LinkIssuer":
        """Make the issuer of reading links for the platform, which signs in the person itself."""
        return cls(database.worker, {})

    @classmethod
    def officer(cls, database: Database, name: str) -> "LinkIssuer":
        """Make the issuer of reading links for a privacy officer."""
        return cls(database.staff, {"examiner": "PRIVACY_OFFICER", "officer": name})

    @classmethod
    def subject(cls, database: Database, account: str) -> "LinkIssuer":
        """Make the issuer with which a data subject revokes the reading links of the own account."""
        return cls(database.subject, {"subject": account})

    async def issue(self, secret: bytes, account: str) -> IssuedLink:
        """Issue a reading link to the data of an account, by the platform's id."""
        token = make_link_token(secret)
        async with write_transaction(self.pool, **self.claims) as borrowed:
            expires_at = await borrowed.fetchval("SELECT grounds.issue_reading_link($1, $2)", account, _hash_of(token))
        return IssuedLink(token, expires_at)

    async def revoke(self, account: str) -> int:
        """Revoke every link to the own data of an account; return how many there were."""
        async with write_transaction(self.pool, **self.claims) as borrowed:
            revoked: int = await borrowed.fetchval("SELECT grounds.revoke_reading_links($1)", account)
        return revoked


async def open_reading_link(database: Database, secret: bytes, token: str, browser: str) -> str | None:
    """Open a link to a person's own data for a browser, by its cookie; return the account, None if it does not open."""
    if not is_own_token(secret, token):
        return None
    async with write_transaction(database.subject, form="/me") as borrowed:
        account: str | None = await borrowed.fetchval(
            "SELECT grounds.open_reading_link($1, $2)", _hash_of(token), _hash_of(browser)
        )
    return account


def _code(secret: bytes, random: bytes) -> bytes:
    """Compute the code of a link's token, which shows that the gateway made it."""
    return derive_key(secret, KeyUse.LINKS, f"reading:{random.hex()}")[:_CODE_BYTES]


def _hash_of(text: str) -> bytes:
    """Hash the token of a link, or the cookie of the browser that opened it."""
    return hashlib.sha256(text.encode()).digest()
