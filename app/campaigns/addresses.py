"""Read the platform's file of e-mail addresses line by line. The addresses are never stored."""

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from pydantic import TypeAdapter, ValidationError

from app.settings import EMAIL, SettingsError
from db.ingest.contact_emails import email_writings
from db.ingest.contacts import contact_hash
from db.ingest.records import Id, Language

MAX_EMAIL_LENGTH = 254
MAX_FAULTS_SHOWN = 20
FIELDS = ("account", "email", "language")

_ID: TypeAdapter[str] = TypeAdapter(Id)
_LANGUAGE: TypeAdapter[str] = TypeAdapter(Language)


@dataclass(frozen=True, slots=True)
class Address:
    """The e-mail address of an account; `line` is its line in the file."""

    line: int
    account: str
    contact: str
    """The SHA-256 of the address, written in the same form as the contacts in facts."""
    language: str | None
    email: str = field(repr=False)


@dataclass(slots=True)
class AddressFaults:
    """The faults of a file of addresses: line numbers and reasons, but no content of the file."""

    file: Path
    shown: list[str] = field(default_factory=list)
    count: int = 0

    def add_fault(self, line: int, fault: str) -> None:
        """Record what is wrong with a line of a campaign's file of addresses."""
        self.count += 1
        if len(self.shown) < MAX_FAULTS_SHOWN:
            self.shown.append(f"{self.file}: line {line}: {fault}")


def read_addresses(file: Path, faults: AddressFaults) -> Iterator[Address]:
    """Read a campaign's file of addresses, CSV with a header or NDJSON: account, email and, optionally, language.

    What is wrong with a line is reported with its number, and never what it says; the others are read all the same.
    Raises SettingsError when the file is none of these.
    """
    with _open_stream(file) as stream:
        for line, said in _parse_lines(file, stream):
            try:
                yield _parse_address(line, said)
            except ValueError as fault:
                faults.add_fault(line, str(fault))


def count_lines(file: Path) -> int:
    """Count the lines of a campaign's file of addresses."""
    with _open_stream(file) as stream:
        return sum(1 for _ in stream)


def _open_stream(file: Path) -> TextIO:
    """Open a campaign's file of addresses; raises SettingsError when it cannot be read."""
    try:
        return file.open(encoding="utf-8-sig", errors="replace", newline="")
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror} (pass a file of addresses with --addresses)") from None


def _parse_lines(file: Path, stream: TextIO) -> Iterator[tuple[int, Any]]:
    """Parse each line of a campaign's file of addresses, NDJSON or CSV, with its number."""
    first = stream.readline()
    stream.seek(0)
    return _parse_ndjson(stream) if first.lstrip().startswith("{") else _parse_csv(file, stream)


def _parse_ndjson(stream: Iterable[str]) -> Iterator[tuple[int, Any]]:
    """Parse each line of an NDJSON file of addresses; a line that is no JSON becomes None."""
    for line, text in enumerate(stream, start=1):
        if text.strip():
            try:
                yield line, json.loads(text)
            except (ValueError, RecursionError):
                yield line, None


def _parse_csv(file: Path, stream: TextIO) -> Iterator[tuple[int, Any]]:
    """Parse each line of a CSV file of addresses; raises SettingsError for a wrong header or quote."""
    reader = csv.DictReader(stream, strict=True)
    try:
        named = reader.fieldnames or ()
        if not {"account", "email"} <= set(named) <= set(FIELDS):
            raise SettingsError(f"{file}: the header is missing (write {','.join(FIELDS)} in the first line)")
        for row in reader:
            yield reader.line_num, row
    except csv.Error:
        raise SettingsError(f"{file}: line {reader.line_num}: is not valid CSV (check the quotes)") from None


def _parse_address(line: int, said: Any) -> Address:
    """Check a line of a campaign's file of addresses; a ValueError describes the fault and quotes nothing of it."""
    if not isinstance(said, dict) or not {"account", "email"} <= said.keys() <= set(FIELDS):
        raise ValueError(f"must have the fields {', '.join(FIELDS)} and no others (correct the line)")
    account, email, language = (said.get(name) or None for name in FIELDS)
    contact = contact_hash(email.strip()) if isinstance(email, str) else None
    email = _deliverable(email.strip()) if isinstance(email, str) else None
    if email is None or contact is None:
        raise ValueError("email: must be an e-mail address (correct it)")
    if not isinstance(account, str) or not _is_well_formed(_ID, account):
        raise ValueError("account: must be the platform's id of the account (correct it)")
    if language is not None and not _is_well_formed(_LANGUAGE, language):
        raise ValueError("language: must be a language tag such as de or pt-BR (correct it, or leave it out)")
    return Address(line, account, contact, language, email)


def _deliverable(email: str) -> str | None:
    """Return how a campaign can send to an e-mail address: an international domain as ASCII; None if it cannot."""
    if not email.isascii():
        domains = [writing.rpartition("@")[2] for writing in email_writings(email)]
        email = f"{email.rpartition('@')[0]}@{next((domain for domain in domains if domain.isascii()), '')}"
    # Nothing that could end a header or a command gets past this.
    return email if EMAIL.fullmatch(email) and len(email) <= MAX_EMAIL_LENGTH else None


def _is_well_formed(kind: TypeAdapter[str], value: object) -> bool:
    """Return whether a value in a campaign's file of addresses is of the kind that its column needs."""
    try:
        kind.validate_python(value, strict=True)
    except ValidationError:
        return False
    return True
