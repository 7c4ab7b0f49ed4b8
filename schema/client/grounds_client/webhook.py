"""Webhooks in the format of Standard Webhooks 1.0: the gateway signs them, and a client that receives one verifies it.

Needs Python's standard library only. https://github.com/standard-webhooks/standard-webhooks has verifiers in other
languages.
"""

import base64
import binascii
import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from typing import Final

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"

_PREFIX: Final = "whsec_"
_SECONDS: Final = re.compile("[0-9]{1,12}", re.ASCII)


class WebhookVerificationError(Exception):
    """A webhook that must not be trusted. The message names the header and what to do."""


def webhook_secret(key: bytes) -> str:
    """Write the secret by which a client verifies webhooks: `whsec_` and the key in base64."""
    return _PREFIX + base64.b64encode(key).decode()


def sign_webhook(secret: str, webhook_id: str, body: bytes, now: float) -> dict[str, str]:
    """Make the three headers by which a client verifies a webhook posted at `now`, in seconds since 1970.

    HMAC-SHA256 covers the id, the time and the body, so that a body cannot be sent again as another or later message.
    Raises ValueError if the secret is not `whsec_` and base64.
    """
    seconds = str(int(now))
    return {
        ID: webhook_id,
        TIMESTAMP: seconds,
        SIGNATURE: _compute_signature(_decode_secret(secret), webhook_id, seconds, body),
    }


def verify_webhook(
    secret: str, headers: Mapping[str, str], body: bytes, now: float | None = None, tolerance_seconds: float = 300
) -> None:
    """Check for a client that the gateway signed this raw webhook body, and that its time is within the tolerance.

    The names of headers can be in any case. `now` is seconds since 1970, the clock by default. One of the signatures
    must match. A webhook has several signatures while a secret is replaced. Raises WebhookVerificationError if the
    webhook must not be trusted, and ValueError if the secret is not `whsec_` and base64.
    """
    key = _decode_secret(secret)
    found = {name.lower(): value for name, value in headers.items()}
    for name in (ID, TIMESTAMP, SIGNATURE):
        if not found.get(name):
            raise WebhookVerificationError(f"{name}: is missing (discard the message; it is not from the gateway)")
    if not _SECONDS.fullmatch(found[TIMESTAMP]):
        raise WebhookVerificationError(f"{TIMESTAMP}: must be whole seconds since 1970 (discard the message)")
    expected = _compute_signature(key, found[ID], found[TIMESTAMP], body).encode()
    matches = [hmac.compare_digest(expected, each.encode()) for each in found[SIGNATURE].split(" ")]
    if not any(matches):
        raise WebhookVerificationError(
            f"{SIGNATURE}: no signature matches this secret and body (pass the body as received, before it is parsed)"
        )
    if abs((time.time() if now is None else now) - int(found[TIMESTAMP])) > tolerance_seconds:
        raise WebhookVerificationError(
            f"{TIMESTAMP}: differs by more than {tolerance_seconds:g} s from the clock (discard the message,"
            " or correct the clock)"
        )


def _decode_secret(secret: str) -> bytes:
    """Decode the secret by which a client verifies webhooks."""
    encoded = secret.removeprefix(_PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or not key:
        raise ValueError(f"secret: must be {_PREFIX} followed by base64 (use signingSecret of registerClient)")
    return key


def _compute_signature(key: bytes, webhook_id: str, seconds: str, body: bytes) -> str:
    """Compute the signature by which a client verifies a webhook."""
    signed = f"{webhook_id}.{seconds}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
