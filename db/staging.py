"""From a line to a row: read it, judge it, take identifiers out, and lay it out for its stage."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import datetime, timedelta
from typing import Any

import orjson
from asyncpg import Range
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from db.deidentify import PIPELINE_VERSION, deidentify
from db.lines import LINE_LIMIT, Line
from db.policy.document import PRIVATE_KINDS
from db.records import (
    MODELS,
    Account,
    Consent,
    Content,
    ContentKind,
    Instant,
    Notice,
    Objection,
)

CLOCK_TOLERANCE = timedelta(minutes=5)

COLUMNS: dict[str, tuple[str, ...]] = {
    "account": (
        *("line", "platform_id", "person", "product", "kind", "born_on", "country", "status", "status_since"),
        *("compromised", "contacts", "observed_at", "digest"),
    ),
    "content": (
        *("line", "platform_id", "account", "kind", "audience", "audience_since", "language", "text", "media"),
        *("created_at", "edited_at", "deleted_at", "parent", "referenced", "relations", "reserved"),
        *("special_category", "safety", "pipeline", "media_deidentified", "observed_at", "digest"),
    ),
    "notice": (
        *("line", "platform_id", "account", "channel", "epoch", "sent_at", "delivered_at", "bounced_at"),
        *("observed_at", "digest"),
    ),
    "objection": (
        *("line", "platform_id", "account", "person", "contact", "scope", "received_at", "channel", "withdrawn_at"),
        *("observed_at", "digest"),
    ),
    "consent": ("line", "platform_id", "account", "given_at", "withdrawn_at", "observed_at", "digest"),
    "rejected": ("line", "record", "platform_id", "digest", "observed_at", "account", "person", "contact"),
}

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Rejected:
    """Say why a line was set aside, and as much of what it is about as could be read.

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
    original: bytes | None = dataclass_field(default=None, repr=False)

    @property
    def row(self) -> Row | None:
        """Lay out what has to stay shut; None where nothing can be told of it."""
        name = self.id
        if self.record == "objection" and name is None and (self.account or self.person or self.contact):
            name = f"line:{self.digest.hex()}"
        if self.record is None or name is None:
            return None
        return (
            *(self.number, self.record, name, self.digest, self.observed_at),
            *(self.account, self.person, self.contact),
        )


def stage(line: Line, products: frozenset[str], now: datetime) -> tuple[str, str, Row] | Rejected:
    """Turn a line into its record's name, its id and its row, or into a rejection."""
    if line.too_long:
        return _rejected(line, now, None, f"is longer than {LINE_LIMIT} bytes (send the record in fewer)")
    found = _RECORD.search(line.data)
    model = MODELS.get(found[1].decode()) if found else None
    if model is None:
        return _rejected(line, now, *_unreadable(line.data))
    try:
        record = model.model_validate_json(line.data)
    except ValidationError as error:
        return _rejected(line, now, *_first_fault(error))
    if _states_a_field_twice(line.data):
        return _rejected(line, now, None, "states a field twice; readers differ in which they take (state it once)")
    if record.observed_at > now + CLOCK_TOLERANCE:
        return _rejected(line, now, "observed_at", "is more than 5 minutes ahead of the clock (correct the clock)")
    if isinstance(record, Account) and record.product not in products:
        known = ", ".join(sorted(products))
        return _rejected(line, now, "product", f"is none of {known} (correct it, or name it in the policy)")
    return record.record, record.id, _LAYOUT[record.record](line.number, record)


def _states_a_field_twice(data: bytes) -> bool:
    """Tell whether an object of the line names a field twice; look closely only where a name is there twice."""
    names = _NAMES.findall(data)
    if len(set(names)) == len(names) and not _ESCAPED_LETTER.search(data):
        return False
    try:
        json.loads(data, object_pairs_hook=_each_named_once)
    except ValueError:
        return True
    return False


_NAMES = re.compile(rb'"(\w+)"\s*:')
_ESCAPED_LETTER = re.compile(rb"\\u00[4-7]")
_RECORD = re.compile(rb'"record"\s*:\s*"([a-z]{1,20})"')
# What a broken line says of itself. No quote stands behind a backslash, so no text in a string is taken for a key.
_SAID = {
    name: re.compile(rf'"{name}"\s*:\s*"([^"\\\x00-\x1f]{{1,200}})"', re.ASCII)
    for name in ("record", "id", "observed_at", "account", "person", "contact")
}
_INSTANT = TypeAdapter(Instant)


def _rejected(line: Line, now: datetime, field: str | None, reason: str) -> Rejected:
    said = _said(line)
    record = _name(said.get("record"))
    observed_at = _believable(said.get("observed_at"), now)
    return Rejected(
        line.number,
        field,
        reason,
        hashlib.blake2b(line.data, digest_size=16).digest(),
        record if record in MODELS else None,
        *(_name(said.get("id")), observed_at, _name(said.get("account"))),
        *((_name(said.get("person")), _name(said.get("contact"))) if record == "objection" else (None, None)),
        line.data if _may_be_shown(line) else None,
    )


def _may_be_shown(line: Line) -> bool:
    """Say whether a bad line is a whole JSON object that cannot be a private message, whichever way it is read."""
    try:
        said = None if line.too_long else json.loads(line.data.decode(), object_pairs_hook=_each_named_once)
    except (ValueError, RecursionError):
        return False
    if not isinstance(said, dict):
        return False
    if said.get("record") == "content":
        return said.get("kind") in _SHOWN_KINDS
    return _name(said.get("record")) in MODELS and "text" not in said


def _each_named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    said = dict(pairs)
    if len(said) < len(pairs):
        raise ValueError("a name stands twice, and readers differ in which they take")
    return said


_SHOWN_KINDS = [kind.value for kind in ContentKind if kind not in PRIVATE_KINDS]


def _said(line: Line) -> dict[str, Any]:
    """Read what can be read of a bad line: as JSON, or else by the look of its keys."""
    if not line.too_long:
        try:
            said = from_json(line.data)
            return said if isinstance(said, dict) else {}
        except ValueError:
            pass
    text = line.data.decode(errors="replace")
    return {name: found[1] for name, pattern in _SAID.items() if (found := pattern.search(text))}


def _name(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= 200 and "\0" not in value else None


def _believable(value: object, now: datetime) -> datetime | None:
    try:
        instant = _INSTANT.validate_python(value)
    except ValidationError:
        return None
    return instant if instant <= now + CLOCK_TOLERANCE else None


def _unreadable(data: bytes) -> tuple[str | None, str]:
    try:
        said = from_json(data)
    except ValueError as error:
        return None, f"is not JSON: {str(error).partition(' at line')[0]} (write one JSON object a line, in UTF-8)"
    if not isinstance(said, dict):
        return None, "is not a JSON object (write one JSON object a line)"
    return "record", f"is none of {', '.join(MODELS)} (say what the line is)"


_FIELD_SHOWN = 200  # an unknown field is named as the line names it


def _first_fault(error: ValidationError) -> tuple[str | None, str]:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    fault = faults[0]
    if fault["type"] == "json_invalid":
        reason = fault["msg"].removeprefix("Invalid JSON: ").partition(" at line")[0]
        return None, f"is not JSON: {reason} (write one JSON object a line, in UTF-8)"
    more = f"; {len(faults) - 1} more" if len(faults) > 1 else ""
    place = ".".join(str(part) for part in fault["loc"])[:_FIELD_SHOWN] or None
    reason = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "string_pattern_mismatch" and r"[^\x00]" in reason:
        reason = "holds the character NUL, which cannot be stored (remove it)"
    return place, _REASONS.get(fault["type"], reason) + more


_REASONS = {
    "missing": "is missing (state it; an empty list is [])",
    "extra_forbidden": "is not a field of this record (remove it)",
}


def _digest(*values: object) -> bytes:
    return hashlib.blake2b(orjson.dumps(values), digest_size=16).digest()


def _account(number: int, record: Account) -> Row:
    windows = [
        Range(w.since, w.until, lower_inc=w.since is not None, upper_inc=w.until is not None)
        for w in record.compromised
    ]
    contacts = sorted(set(record.contacts))
    stated = (record.person, record.product, record.kind, record.born_on, record.country, record.status)
    ends = sorted({(str(window.since), str(window.until)) for window in record.compromised})
    digest = _digest(*stated, record.status_since, ends, contacts)
    return (
        *(number, record.id, *stated, record.status_since, windows, contacts),
        *(record.observed_at, digest),
    )


def _content(number: int, record: Content) -> Row:
    private = record.kind is ContentKind.PRIVATE_MESSAGE
    text = None if private or not record.text else deidentify(record.text)
    pipeline = 0 if not record.text else None if private else PIPELINE_VERSION
    media = [{"type": m.type, "url": m.url, "sha256": m.sha256} for m in record.media]
    scans = record.scans
    special_category = scans.special_category if scans else None
    safety = scans.safety if scans else None
    references = sorted({(r.account, r.relation) for r in record.references})
    rights = sorted({(r.source, r.train_ai) for r in record.rights})
    said = (record.account, record.kind, record.audience, record.audience_since, record.language)
    times = (record.created_at, record.edited_at, record.deleted_at, record.parent)
    flags = [m.deidentified for m in record.media]
    # A private message leaves nothing of its text behind, not even in a digest.
    digest = _digest(
        *said, None if private else record.text, media, flags, *times, references, rights, special_category, safety
    )
    return (
        *(number, record.id, *said, text, orjson.dumps(media).decode() if media and not private else None),
        *(*times, [account for account, _ in references], [relation for _, relation in references]),
        *(any(train_ai == "n" for _, train_ai in rights), special_category, safety, pipeline),
        *(_media_deidentified(flags, bool(record.text)), record.observed_at, digest),
    )


def _media_deidentified(flags: list[bool | None], has_text: bool) -> bool | None:
    """Say whether every medium is de-identified; unknown as well where there is neither text nor media."""
    if not flags:
        return True if has_text else None
    return False if False in flags else None if None in flags else True


def _notice(number: int, record: Notice) -> Row:
    stated = (record.account, record.channel, record.epoch, record.sent_at, record.delivered_at, record.bounced_at)
    return (number, record.id, *stated, record.observed_at, _digest(*stated))


def _objection(number: int, record: Objection) -> Row:
    stated = (
        *(record.account, record.person, record.contact, record.scope),
        *(record.received_at, record.channel, record.withdrawn_at),
    )
    return (number, record.id, *stated, record.observed_at, _digest(*stated))


def _consent(number: int, record: Consent) -> Row:
    stated = (record.account, record.given_at, record.withdrawn_at)
    return (number, record.id, *stated, record.observed_at, _digest(*stated))


_LAYOUT: dict[str, Callable[[int, Any], Row]] = {
    "account": _account,
    "content": _content,
    "notice": _notice,
    "objection": _objection,
    "consent": _consent,
}


@dataclass(frozen=True, slots=True)
class Chunk:
    """Hold staged lines in rounds: within one round no id occurs twice, so each round merges as a set."""

    rounds: list[dict[str, list[Row]]]
    rejected: list[Rejected]
    lines: int


def stage_chunk(lines: Iterable[Line], products: frozenset[str], now: datetime) -> Chunk:
    """Stage lines in order. The n-th line about one id goes into the n-th round."""
    rounds: list[dict[str, list[Row]]] = []
    rejected: list[Rejected] = []
    seen: dict[tuple[str, str], int] = {}
    count = 0
    for line in lines:
        count += 1
        staged = stage(line, products, now)
        if isinstance(staged, Rejected):
            rejected.append(staged)
            row = staged.row
            if row is None:
                continue
            record, name, stage_name = row[1], row[2], "rejected"
        else:
            record, name, row = staged
            stage_name = record
        at = seen.get((record, name), 0)
        seen[record, name] = at + 1
        if at == len(rounds):
            rounds.append({})
        rounds[at].setdefault(stage_name, []).append(row)
    return Chunk(rounds, rejected, count)
