"""The report for an authority: its figures, and the signature with which everyone can check it."""

import json
from collections.abc import Mapping
from datetime import date
from typing import Any, Final, NamedTuple

import psycopg
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from db.access.role_names import BECOME_OWNER
from db.connection import Reader
from db.delivery.ledger import signing_key

SIGNED_PREFIX: Final = b"grounds report\n"
"""The beginning of what is signed. No checkpoint of the ledger begins with it, so neither can stand for the other."""


class SignedReport(NamedTuple):
    """A report with its signature and the public key, both in hexadecimal."""

    report: Mapping[str, Any]
    signature: str
    public_key: str

    def as_json(self) -> str:
        """Write a signed report as the file that an authority receives."""
        content = {"report": self.report, "signature": self.signature, "publicKey": self.public_key}
        return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


async def read_report(reader: Reader, first_day: date, last_day: date) -> dict[str, Any]:
    """Compute in the database the figures of a report for an authority, for an officer or auditor."""
    return _report_of_json(await reader.fetchval("SELECT grounds.authority_report($1, $2)", first_day, last_day))


def make_report(url: str, first_day: date, last_day: date) -> dict[str, Any]:
    """Compute in the database the figures of a report for an authority, for the operator."""
    with psycopg.connect(url) as connection:
        connection.execute(BECOME_OWNER.encode())
        connection.execute("SELECT set_config('grounds.examiner', 'operator', TRUE)")
        row = connection.execute("SELECT grounds.authority_report(%s, %s)", [first_day, last_day]).fetchone()
    assert row is not None
    return _report_of_json(row[0])


def sign_report(report: Mapping[str, Any], secret: bytes) -> SignedReport:
    """Sign a report for an authority with the key that also seals the ledger."""
    key = signing_key(secret)
    return SignedReport(report, key.sign(_signed_bytes(report)).hex(), key.public_key().public_bytes_raw().hex())


def has_valid_signature(report: Mapping[str, Any], signature: str, public_key: str) -> bool:
    """Return whether a report for an authority has the signature that a key makes."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(
            bytes.fromhex(signature), _signed_bytes(report)
        )
    except (InvalidSignature, ValueError):
        return False
    return True


def _signed_bytes(report: Mapping[str, Any]) -> bytes:
    """Write a report in the form that is signed: keys in order, no white space, UTF-8."""
    return SIGNED_PREFIX + json.dumps(report, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _report_of_json(found: Any) -> dict[str, Any]:
    """Parse the figures of a report from the database; a driver returns JSON as text or parsed."""
    report: dict[str, Any] = json.loads(found) if isinstance(found, str) else found
    return report
