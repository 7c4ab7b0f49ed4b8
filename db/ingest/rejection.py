"""A line that is set aside: what is wrong with it, and what of it can be read nevertheless."""

import hashlib
import json
import re
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from db.ingest.records import MODELS, Instant, Line
from db.ingest.stages import Row
from db.vocabulary import PRIVATE_KINDS, ContentKind

CLOCK_TOLERANCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that was set aside: why, and as much of what it is about as could be read.

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

    def as_dict(self) -> dict[str, Any]:
        """Describe a rejected line of ingest for its sender: its place and what to correct; never its content."""
        return {"line": self.number, "record": self.record, "id": self.id, "field": self.field, "reason": self.reason}

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


def reject(line: Line, now: datetime, field: str | None, reason: str) -> Rejected:
    """Reject a line of ingest with what can be read of it."""
    said = _readable_fields(line)
    record = _readable_name(said.get("record"))
    observed_at = _believable(said.get("observed_at"), now)
    ids = _ids(line, said)
    return Rejected(
        line.number,
        field,
        reason,
        hashlib.blake2b(line.data, digest_size=16).digest(),
        record if record in MODELS else None,
        *(next(iter(ids), None), observed_at, _readable_name(said.get("account"))),
        *(_said_of_objection(said) if record == "objection" else (None, None, None)),
        line.data if _may_be_shown(line) else None,
        tuple(ids[1:]),
    )


def named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a JSON object of a line of ingest; raise ValueError where a name stands twice."""
    said = dict(pairs)
    if len(said) < len(pairs):
        raise ValueError("a name appears twice, and parsers differ in which value they use")
    return said


def unreadable(data: bytes) -> tuple[str | None, str]:
    """Return what is wrong with a line of ingest that states no known record: the field, and the reason."""
    try:
        said = from_json(data)
    except ValueError as error:
        return None, f"is not JSON, {str(error).partition(' at line')[0]} (write one JSON object per line, in UTF-8)"
    if not isinstance(said, dict):
        return None, "must be a JSON object (write one JSON object per line)"
    return "record", f"must be one of {', '.join(MODELS)} (state the type of the record)"


def first_fault(error: ValidationError) -> tuple[str | None, str]:
    """Return what is wrong first with a record of ingest: the field, and the reason."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    fault = faults[0]
    if fault["type"] == "json_invalid":
        reason = fault["msg"].removeprefix("Invalid JSON: ").partition(" at line")[0]
        return None, f"is not JSON, {reason} (write one JSON object per line, in UTF-8)"
    more = f"; the record has {len(faults)} faults" if len(faults) > 1 else ""
    place = ".".join(str(part) for part in fault["loc"])[:_FIELD_SHOWN] or None
    reason = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "string_pattern_mismatch" and r"[^\x00]" in reason:
        reason = "contains the character NUL, which cannot be stored (remove it)"
    return place, _REASONS.get(fault["type"], reason) + more


# What a broken line says of itself. No quote stands behind a backslash, so no text in a string is taken for a key.
_CHARACTER = r'(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9A-Fa-f]{4})'
_SAID = {
    name: re.compile(rf'"{name}"\s*:\s*("{_CHARACTER}{{1,400}}")', re.ASCII)
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
    if not isinstance(value, str) or not 0 < len(value) <= 200 or "\0" in value:
        return None
    return None if _HALF_OF_A_PAIR.search(value) else value


def _believable(value: object, now: datetime) -> datetime | None:
    """Return an instant in a rejected line of ingest, None if it is invalid or in the future."""
    instant = _instant(value)
    return instant if instant is not None and instant <= now + CLOCK_TOLERANCE else None


def _instant(value: object) -> datetime | None:
    """Parse an instant in a rejected line of ingest, None if it is invalid."""
    try:
        instant: datetime = _INSTANT.validate_python(value)
    except ValidationError:
        return None
    return instant


def _said_of_objection(said: dict[str, Any]) -> tuple[str | None, str | None, datetime | None]:
    """Read the target and the receipt of an objection in a rejected line of ingest."""
    return _readable_name(said.get("person")), _readable_name(said.get("contact")), _instant(said.get("received_at"))
