"""A rejected line: its faults, and the fields that can still be read."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, from_json

from db.ingest.examples import example_of
from db.ingest.records import MODELS, Instant, Line, fits_id
from db.ingest.stages import Row
from db.vocabulary import PRIVATE_KINDS, ContentKind

CLOCK_TOLERANCE = timedelta(minutes=5)
MAX_FAULTS = 50
"""The maximum number of faults that are listed for one line."""


class Fault(NamedTuple):
    """One thing that is wrong with a line: its place, the reason, and an example of a right value."""

    field: str | None
    reason: str
    example: Any = None

    def as_dict(self) -> dict[str, Any]:
        """Describe the fault for the sender of its line."""
        return {"field": self.field, "reason": self.reason, "example": self.example}


@dataclass(frozen=True, slots=True)
class Rejected:
    """A rejected line: the reasons, and the ids and other fields that could be read.

    `original` is the line itself, where it is a whole JSON object that cannot be a private message.
    """

    number: int
    field: str | None
    reason: str
    digest: bytes = dataclass_field(repr=False)
    record: str | None = None
    id: str | None = None
    observed_at: datetime | None = None
    account: str | None = None
    person: str | None = None
    contact: str | None = None
    received_at: datetime | None = None
    original: bytes | None = dataclass_field(default=None, repr=False)
    further_ids: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Describe a rejected line of ingest for its sender: its place and what to correct; never its content."""
        said = {"line": self.number, "record": self.record, "id": self.id, "field": self.field, "reason": self.reason}
        return said | {"faults": [each.as_dict() for each in self.faults or (Fault(self.field, self.reason),)]}

    @property
    def rows(self) -> list[Row]:
        """Return the rows that quarantine every id that a rejected line of ingest can be read to name."""
        name = self.id
        if self.record == "objection" and name is None and (self.account or self.person or self.contact):
            name = f"line:{self.digest.hex()}"
        if self.record is None or name is None:
            return []
        said = (self.digest, self.observed_at, self.account, self.person, self.contact, self.received_at)
        return [(self.number, self.record, each, *said) for each in (name, *self.further_ids)]


def reject(line: Line, now: datetime, faults: Sequence[Fault]) -> Rejected:
    """Reject a line of ingest with its faults and its readable fields."""
    more = f"; the record has {len(faults)} faults" if len(faults) > 1 else ""
    said = _readable_fields(line)
    record = _readable_name(said.get("record"))
    observed_at = _believable(said.get("observed_at"), now)
    ids = _ids(line, said)
    return Rejected(
        line.number,
        faults[0].field,
        faults[0].reason + more,
        hashlib.blake2b(line.data, digest_size=16).digest(),
        record if record in MODELS else None,
        *(next(iter(ids), None), observed_at, _readable_name(said.get("account"))),
        *(_said_of_objection(said) if record == "objection" else (None, None, None)),
        line.data if _may_be_shown(line) else None,
        tuple(ids[1:]),
        tuple(faults[:MAX_FAULTS]),
    )


def named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a JSON object of a line of ingest; raise ValueError if a name appears twice."""
    said = dict(pairs)
    if len(said) < len(pairs):
        raise ValueError("a field appears twice, and it is not clear which of the two values is meant")
    return said


def unreadable(data: bytes) -> Fault:
    """Return what is wrong with a line of ingest that states no known record."""
    try:
        said = from_json(data)
    except ValueError as error:
        return _not_json(str(error))
    if not isinstance(said, dict):
        return Fault(None, "must be a JSON object (write one JSON object per line)")
    return Fault("record", f"must be one of {', '.join(MODELS)} (state the type of the record)", "content")


def record_faults(record: str, error: ValidationError) -> list[Fault]:
    """Return everything that is wrong with a record."""
    return [_record_fault(record, each) for each in error.errors(include_url=False, include_input=False)]


def _record_fault(record: str, said: ErrorDetails) -> Fault:
    """Describe one fault that pydantic found in a record of ingest."""
    if said["type"] == "json_invalid":
        return _not_json(said["msg"].removeprefix("Invalid JSON: "))
    place = ".".join(str(part) for part in said["loc"])[:_FIELD_SHOWN] or None
    reason = said["msg"].removeprefix("Value error, ")
    if said["type"] == "string_pattern_mismatch" and r"[^\x00]" in reason:
        reason = "contains the character NUL, which cannot be stored (remove it)"
    example = None if said["type"] == "extra_forbidden" else example_of(record, said["loc"])
    return Fault(place, _REASONS.get(said["type"], reason), example)


def _not_json(said: str) -> Fault:
    """Name the place at which a line of ingest is no JSON; the parser counts columns from 1."""
    reason, _, place = said.partition(" at line")
    column = place.rpartition("column ")[2].strip()
    at = f" at column {column}" if column.isdecimal() else ""
    return Fault(None, f"is not JSON, {reason}{at} (write one JSON object per line, in UTF-8)")


# What a broken line says of itself. No quote stands behind a backslash, so no text in a string is taken for a key.
_CHARACTER = r'(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9A-Fa-f]{4})'
_SAID = {
    name: re.compile(rf'"{name}"\s*:\s*("{_CHARACTER}{{1,2048}}")', re.ASCII)
    for name in ("record", "id", "observed_at", "account", "person", "contact", "received_at")
}
_HALF_OF_A_PAIR = re.compile("[\ud800-\udfff]")  # which cannot be stored
_MAX_IDS = 10
_INSTANT = TypeAdapter(Instant)
_FIELD_SHOWN = 200  # an unknown field is named as the line names it
_REASONS = {
    "missing": "is missing (state it; write [] for an empty list)",
    "extra_forbidden": "is not a field of this record (remove it)",
}
_SHOWN_KINDS = [kind.value for kind in ContentKind if kind not in PRIVATE_KINDS]


def _may_be_shown(line: Line) -> bool:
    """Return whether a rejected line of ingest can be shown: no reading of it is a private message."""
    try:
        said = None if line.too_long else json.loads(line.data.decode(), object_pairs_hook=named_once)
    except (ValueError, RecursionError):
        return False
    if not isinstance(said, dict):
        return False
    if said.get("record") == "content":
        return said.get("kind") in _SHOWN_KINDS
    return _readable_name(said.get("record")) in MODELS and "text" not in said


def _readable_fields(line: Line) -> dict[str, Any]:
    """Read what can be read of a rejected line of ingest: as JSON, or else by the look of its keys."""
    if not line.too_long:
        try:
            said = from_json(line.data)
            return said if isinstance(said, dict) else {}
        except ValueError:
            pass
    text = line.data.decode(errors="replace")
    return {name: json.loads(found[1]) for name, pattern in _SAID.items() if (found := pattern.search(text))}


def _ids(line: Line, said: dict[str, Any]) -> list[str]:
    """Read every id that a rejected line of ingest can be read to name, the one of its JSON first."""
    found = [json.loads(literal) for literal in _SAID["id"].findall(line.data.decode(errors="replace"))[:_MAX_IDS]]
    return list(
        dict.fromkeys(name for value in (said.get("id"), *found) if (name := _readable_name(value)) is not None)
    )


def _readable_name(value: object) -> str | None:
    """Return the id in a rejected line of ingest, None if it can be none."""
    if not isinstance(value, str) or not fits_id(value) or "\0" in value:
        return None
    return None if _HALF_OF_A_PAIR.search(value) else value


def is_ahead(value: object, now: datetime) -> bool:
    """Return whether an instant is further ahead of the clock than a record's can be."""
    instant = _instant_of_line(value)
    return instant is not None and instant > now + CLOCK_TOLERANCE


def _believable(value: object, now: datetime) -> datetime | None:
    """Return an instant in a rejected line of ingest, None if it is invalid or in the future."""
    instant = _instant_of_line(value)
    return instant if instant is not None and instant <= now + CLOCK_TOLERANCE else None


def _instant_of_line(value: object) -> datetime | None:
    """Parse an instant in a rejected line of ingest, None if it is invalid."""
    try:
        instant: datetime = _INSTANT.validate_python(value)
    except ValidationError:
        return None
    return instant


def _said_of_objection(said: dict[str, Any]) -> tuple[str | None, str | None, datetime | None]:
    """Read the target and the receipt of an objection in a rejected line of ingest."""
    return (
        _readable_name(said.get("person")),
        _readable_name(said.get("contact")),
        _instant_of_line(said.get("received_at")),
    )
