"""Read the facts a second time, in plain Python and from the specification alone: records, lines, what takes back what.

Nothing of the product is imported. A field that is stated otherwise than FIELDS says makes its line a bad one.
"""

import calendar
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time
from functools import lru_cache, partial
from typing import Any

REGIONS = [
    "AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IE", "IT",
    "LV", "LT", "LU", "MT", "NL", "PL", "PT", "RO", "SK", "SI", "ES", "SE", "IS", "LI", "NO",
]  # fmt: skip
DEFAULT_POLICY: dict[str, Any] = {
    "version": "2025-05-27",
    "effective_from": "2025-05-27T12:00:00Z",
    "effective_until": None,
    "purposes": ["GENAI_TRAINING"],
    "regions": REGIONS,
    "account_kinds": ["PERSONAL"],
    "notice": {"epoch": "2025-04", "period_days": 30},
    "dwell": {
        "account_days": 7,
        "audience_days": 7,
        "content_hours": 24,
        "withdrawal_days": 14,
        "hold_hours": 24,
        "taken_back_days": 7,
    },
    "grounds": {
        "PUBLIC_CONTENT": {"kinds": ["POST", "COMMENT", "CAPTION", "PHOTO"], "products": ["FACEBOOK", "INSTAGRAM"]},
        "AI_INTERACTION": {"kinds": ["AI_INTERACTION"], "products": ["FACEBOOK", "INSTAGRAM", "MESSENGER"]},
    },
}

CONDITIONS = (
    "PROGRAMME_ACTIVE", "PURPOSE_MATCH", "NO_REGULATORY_HOLD", "REGION_COVERED",
    "ACCOUNT_IN_GOOD_STANDING", "ACCOUNT_KIND_COVERED",
    "AUTHOR_ADULT_NOW", "AUTHOR_ADULT_AT_CREATION", "NOT_COMPROMISED_AT_CREATION",
    "NOTICE_DELIVERED", "NOTICE_PERIOD_ELAPSED", "NO_ACTIVE_OBJECTION",
    "CONTENT_KIND_COVERED", "AUDIENCE_PUBLIC", "AUDIENCE_STABLE", "CONTENT_LIVE", "CONTENT_SETTLED",
    "NO_OBJECTOR_REFERENCED", "NO_MINOR_REFERENCED", "NO_RIGHTS_RESERVATION",
    "NO_SPECIAL_CATEGORY", "CONTENT_SAFE", "DEIDENTIFIED", "OPTED_IN",
)  # fmt: skip
NOT_REQUIRED = {
    "PUBLIC_CONTENT": {"OPTED_IN"},
    "AI_INTERACTION": {"AUDIENCE_PUBLIC", "AUDIENCE_STABLE", "OPTED_IN"},
    "OPTED_IN": {"NOTICE_DELIVERED", "NOTICE_PERIOD_ELAPSED", "NO_ACTIVE_OBJECTION"},
}
RECORDS = ("account", "content", "notice", "objection", "consent")
LEAVING = {"DELETED", "DELETION_PENDING"}
ADULT_AGE = 18
LONGEST_LINE = 1 << 20  # bytes
LONGEST_ID = 200
ALWAYS = datetime.min.replace(tzinfo=UTC)
NEVER = datetime.max.replace(tzinfo=UTC)
NOON = time(12, tzinfo=UTC)

Record = dict[str, Any]
Parser = Callable[[Any], Any]
Verdict = bool | None  # SQL's TRUE, FALSE and NULL
Target = tuple[str, str]  # what a line is about: ("person", id), or ("standing", id) of an account

# A field's parser, or its values; "?" may be missing or null, "*" is a list.
FIELDS = {
    "account": """id:id person:id? product:text kind:PERSONAL|PAGE|BUSINESS born_on:birth? country:country?
        status:ACTIVE|DEACTIVATED|DELETION_PENDING|DELETED|MEMORIALISED|SUSPENDED status_since:instant?
        compromised:window* contacts:sha256* observed_at:instant""",
    "content": """id:id account:id audience:PUBLIC|FRIENDS|GROUP|ONLY_ME? audience_since:instant? language:language?
        kind:POST|COMMENT|CAPTION|PHOTO|VIDEO|AUDIO|AI_INTERACTION|PRIVATE_MESSAGE|BUSINESS_MESSAGE text:text?
        media:media* created_at:instant edited_at:instant? deleted_at:instant? parent:id? references:reference*
        rights:right* scans:scans? observed_at:instant""",
    "notice": """id:id account:id channel:IN_APP|EMAIL epoch:epoch sent_at:instant? delivered_at:instant?
        bounced_at:instant? observed_at:instant""",
    "objection": """id:id account:id? person:id? contact:sha256? scope:ALL|PUBLIC_CONTENT|AI_INTERACTIONS
        received_at:instant channel:FORM|EMAIL|LETTER|API|THIRD_PARTY withdrawn_at:instant? observed_at:instant""",
    "consent": "id:id account:id given_at:instant? withdrawn_at:instant? observed_at:instant",
    "window": "from:instant? to:instant?",
    "media": "type:text url:text sha256:sha256? deidentified:flag?",
    "reference": "account:id relation:TAG|MENTION|COAUTHOR|DEPICTED|QUOTE",
    "right": "source:AIPREF|TDMREP|C2PA|PLATFORM|NATURAL_LANGUAGE train_ai:y|n|unknown",
    "scans": "special_category:CLEAR|FLAGGED? safety:CLEAR|FLAGGED?",
}
TARGETS = ("account", "person", "contact")  # of an objection


def _matching(pattern: str) -> Parser:
    shape = re.compile(pattern)

    def parse(value: Any) -> str:
        if not isinstance(value, str) or not shape.fullmatch(value):
            raise ValueError("not a text of the required shape")
        value.encode()  # half of a surrogate pair is no text
        return value

    return parse


parse_identifier = _matching(rf"[^\0]{{1,{LONGEST_ID}}}")
_sha256 = _matching("[0-9a-f]{64}")
_birth_shape = _matching("[0-9]{4}(-[0-9]{2}){0,2}")
_clock = "([01][0-9]|2[0-3]):[0-5][0-9]"
_instant_shape = _matching(rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[Tt]{_clock}:[0-5][0-9](\.[0-9]+)?([Zz]|[+-]{_clock})")


def parse_instant(value: Any) -> datetime:
    try:
        return datetime.fromisoformat(_instant_shape(value).upper()).astimezone(UTC)
    except OverflowError as error:
        raise ValueError("an instant outside the calendar") from error


@lru_cache(maxsize=1 << 16)
def adult_from(born_on: str) -> datetime:
    """Return the noon in UTC at which the 18th birthday has begun everywhere on earth; ValueError for no such day."""
    year, *rest = (int(part) for part in born_on.split("-"))
    month = rest[0] if rest else 12
    day = rest[1] if len(rest) == 2 else calendar.monthrange(year, month)[1]
    if date(year, month, day).year + ADULT_AGE > date.max.year:
        return NEVER
    if (month, day) == (2, 29) and not calendar.isleap(year + ADULT_AGE):
        month, day = 3, 1
    return datetime.combine(date(year + ADULT_AGE, month, day), NOON)


def _birth(value: Any) -> str:
    adult_from(_birth_shape(value))
    return str(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("neither true nor false")
    return value


def _window(value: Any) -> tuple[datetime, datetime]:
    stated = parse_object(PARSERS["window"], value)
    start, end = stated["from"] or ALWAYS, stated["to"] or NEVER
    if start > end:
        raise ValueError("a window that ends before it begins")
    return start, end


def parse_object(parsers: Mapping[str, Parser], value: Any) -> Record:
    if not isinstance(value, dict) or value.keys() - parsers.keys():
        raise ValueError("not an object, or one with an unknown field")
    return {name: parse(value.get(name)) for name, parse in parsers.items()}


def _list(of: Parser, gather: Callable[[Iterable[Any]], Any], value: Any) -> Any:
    if not isinstance(value, list):
        raise ValueError("not a list")
    return gather(of(member) for member in value)


def _parser(notation: str) -> Parser:
    name, mark = notation.rstrip("?*"), notation[-1]
    if name in SHAPES:
        parse = SHAPES[name]
    elif name in FIELDS:

        def parse(value: Any) -> Any:
            return tuple(parse_object(PARSERS[name], value).values())
    else:
        parse = _matching(name)
    if mark == "?":
        return lambda value: None if value is None else parse(value)
    if mark == "*":
        return partial(_list, parse, tuple if name == "media" else frozenset)
    return parse


SHAPES: dict[str, Parser] = {
    "id": parse_identifier,
    "text": _matching(r"[^\0]*"),
    "instant": parse_instant,
    "birth": _birth,
    "country": _matching("[A-Z]{2}"),
    "language": _matching("[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*"),
    "epoch": _matching("[0-9]{4}-(0[1-9]|1[0-2])"),
    "sha256": _sha256,
    "flag": _flag,
    "window": _window,
}
PARSERS = {
    name: {field: _parser(notation) for field, _, notation in (entry.partition(":") for entry in fields.split())}
    for name, fields in FIELDS.items()
}


def _not_json(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_json = json.JSONDecoder(parse_constant=_not_json)
_made_out = {
    name: re.compile(rf'"{name}"\s*:\s*"([^"\\\x00-\x1f]{{1,{LONGEST_ID}}})"', re.ASCII)
    for name in ("record", "id", "observed_at", "account", "person", "contact")
}


def read_line(line: bytes) -> tuple[Record, bool]:
    """Return the object in a line and True, or else what can be made out of its first LONGEST_LINE bytes and False."""
    if len(line) <= LONGEST_LINE:
        try:
            value = _json.decode(line.decode())
            return (value, True) if isinstance(value, dict) else ({}, False)
        except (ValueError, RecursionError):
            pass
    text = line[:LONGEST_LINE].decode(errors="replace")
    found = {name: shape.search(text) for name, shape in _made_out.items()}
    return {name: match[1] for name, match in found.items() if match}, False


def readable(parse: Parser, value: Any) -> Any:
    try:
        return parse(value)
    except ValueError:
        return None


def all_of(*verdicts: Verdict) -> Verdict:
    """Return SQL's AND."""
    return False if False in verdicts else None if None in verdicts else True


def _covered(window: tuple[datetime, datetime], windows: Iterable[tuple[datetime, datetime]]) -> bool:
    uncovered_from, end = window
    for start, stop in sorted(windows):
        if start <= uncovered_from <= stop:
            uncovered_from = stop
            if stop >= end:
                return True
    return False


def taken_back(name: str, old: Record, new: Record, at: datetime) -> Iterator[Target]:
    """Yield what must wait because a later record takes a protective value back."""

    def gone(holds: Callable[[Record], bool]) -> bool:
        return holds(old) and not holds(new)

    if name == "content" and (
        gone(lambda item: item["deleted_at"] is not None)
        or gone(is_reserved)
        or any("FLAGGED" == before != after for before, after in zip(old["scans"], new["scans"], strict=True))
    ):
        yield "content", new["id"]
    if name == "account" and gone(lambda account: bool(account["born_on"] and adult_from(account["born_on"]) > at)):
        yield "birth", new["id"]
    if name == "account" and (
        gone(lambda account: account["status"] in LEAVING)
        or not all(_covered(window, new["compromised"]) for window in old["compromised"])
    ):
        yield "standing", new["id"]
    if name == "notice" and gone(lambda notice: notice["bounced_at"] is not None):
        yield "standing", new["account"]


def is_reserved(item: Record) -> bool:
    return any(train_ai == "n" for _, train_ai in item["rights"])


def is_deidentified(item: Record) -> Verdict:
    parts: list[Verdict] = [deidentified for _, _, _, deidentified in item["media"]]
    if item["text"]:
        parts.append(None if item["kind"] == "PRIVATE_MESSAGE" else True)
    return all_of(*parts) if parts else None


def is_value(wanted: str, value: str | None) -> Verdict:
    return None if value is None else value == wanted


def is_reached(limit: datetime, since: datetime | None) -> Verdict:
    return None if since is None else since <= limit
