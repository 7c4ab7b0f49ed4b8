"""The keys that are derived from the gateway's one secret: one function, and every use of it by name."""

import hashlib
import hmac
from enum import StrEnum


class KeyUse(StrEnum):
    """What a derived key is for. Keys of different uses have nothing in common."""

    ROLE = "role"
    """Passwords of the login roles, per role."""
    IDS = "ids"
    """Ids and cursors, per audience."""
    SAMPLE = "sample"
    """Keys of samples, per seed."""
    LINKS = "links"
    """Signed links and receipts of objections."""
    COOKIES = "cookies"
    """Cookies of the dashboard."""
    WEBHOOK = "webhook"
    """Signatures of webhooks, per training client."""
    FINGERPRINT = "fingerprint"
    """What tells one secret from another, kept in the database."""
    LEDGER = "ledger"
    """Checkpoints of the ledger of deliveries."""


def derive_key(secret: bytes, use: KeyUse, name: str = "") -> bytes:
    """Derive the 32 bytes of a key from the gateway's secret: HMAC-SHA256 of its use and name (NIST SP 800-108)."""
    label = f"{use}:{name}" if name else use
    return hmac.digest(secret, label.encode(), hashlib.sha256)


def role_password(secret: bytes, role: str) -> str:
    """Derive the password of a database login role from the gateway's secret."""
    return derive_key(secret, KeyUse.ROLE, role).hex()
