"""The keys that are derived from the gateway's one secret: one function, and every use of it by name."""

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cryptography.hazmat.primitives.ciphers.aead import AESGCM


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
    """The fingerprint of the secret, which the database stores to recognise the secret."""
    JOURNAL = "journal"
    """Files of the journal."""
    LEDGER = "ledger"
    """Checkpoints of the ledger of deliveries."""
    PREVIOUS = "previous"
    """The secrets before this one, which the database keeps encrypted."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """The gateway's secret, those before it (the oldest first), and those that it may be rotated to."""

    current: bytes
    previous: tuple[bytes, ...] = ()
    coming: tuple[bytes, ...] = ()

    @property
    def first(self) -> bytes:
        """Return the first secret, from which clients' ids and webhook keys are derived; no rotation changes it."""
        return self.previous[0] if self.previous else self.current

    @property
    def readable(self) -> tuple[bytes, ...]:
        """Return every secret with which links, checkpoints and the journal can be written, the current one first."""
        return (self.current, *reversed(self.previous), *self.coming)


def wrap_secrets(secret: bytes, previous: Sequence[bytes]) -> bytes:
    """Encrypt the secrets before the gateway's secret with a key from it."""
    nonce = os.urandom(12)
    text = json.dumps([base64.b64encode(each).decode() for each in previous]).encode()
    return nonce + AESGCM(derive_key(secret, KeyUse.PREVIOUS)).encrypt(nonce, text, None)


def unwrap_secrets(secret: bytes, wrapped: bytes | None, coming: Sequence[bytes] = ()) -> Secrets:
    """Decrypt the secrets before the gateway's secret. Raises InvalidTag for another secret."""
    if wrapped is None:
        return Secrets(secret, (), tuple(coming))
    text = AESGCM(derive_key(secret, KeyUse.PREVIOUS)).decrypt(wrapped[:12], wrapped[12:], None)
    return Secrets(secret, tuple(base64.b64decode(each) for each in json.loads(text)), tuple(coming))


def derive_key(secret: bytes, use: KeyUse, name: str = "") -> bytes:
    """Derive the 32 bytes of a key from the gateway's secret: HMAC-SHA256 of its use and name (NIST SP 800-108)."""
    label = f"{use}:{name}" if name else use
    return hmac.digest(secret, label.encode(), hashlib.sha256)


def role_password(secret: bytes, role: str) -> str:
    """Derive the password of a database login role from the gateway's secret."""
    return derive_key(secret, KeyUse.ROLE, role).hex()
