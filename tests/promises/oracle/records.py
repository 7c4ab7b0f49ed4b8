"""Read the facts a second time: the fields of each record, and the records of a line.

A field that is stated otherwise than its notation says makes its line a bad one.
"""

import calendar
import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time
from functools import lru_cache, partial
from typing import Any

from tests.promises.oracle.features import Feature, Features
from tests.promises.oracle.standards import STANDARDS

ADULT_AGE = 18
MAX_LINE_BYTES = 1 << 20  # bytes
MAX_ID_BYTES = 2048
MAX_SIGNAL_LENGTH = 1 << 16  # bytes
MEDIA_KINDS = {"PHOTO", "VIDEO", "AUDIO"}
ALWAYS = datetime.min.replace(tzinfo=UTC)
NEVER = datetime.max.replace(tzinfo=UTC)
NOON = time(12, tzinfo=UTC)
TARGETS = ("account", "person", "contact")  # of an objection

Record = dict[str, Any]
Parser = Callable[[Any], Any]
Parsers = Mapping[str, Mapping[str, Parser]]

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
    "reference": "account:id? contact:sha256? relation:TAG|MENTION|COAUTHOR|DEPICTED|QUOTE",
    "right": "source:AIPREF|TDMREP|C2PA|PLATFORM|NATURAL_LANGUAGE train_ai:y|n|unknown",
    "scans": "special_category:CLEAR|FLAGGED? safety:CLEAR|FLAGGED?",
}
# What a feature adds, or states otherwise.
FIELDS_OF = {
    Feature.UNLISTED: {"content": "audience:PUBLIC|UNLISTED|FRIENDS|GROUP|ONLY_ME?"},
    Feature.CONVERSATION: {"content": "conversation:ASSISTANT_ONLY|GROUP?"},
    Feature.BLANK_TEXT: {"content": "text_format:PLAIN|HTML?"},
    Feature.PERSONAL_SPANS: {"content": "personal_spans:spans?", "span": "start:count end:count kind:text"},
    Feature.SIGNALS: {
        "content": "signals:signals",
        "account": "signals:signals",
        "signal": "standard:standard value:signal_value location:text? path:text? seen_at:instant?",
    },
    Feature.MINORS_SCANNER: {"scans": "minors:CLEAR|FLAGGED?"},
    Feature.MEDIA_ALT: {"media": "alt:text?"},
    Feature.PHONE: {"objection": "channel:FORM|EMAIL|LETTER|PHONE|API|THIRD_PARTY"},
    Feature.RIGHTS_SOURCES: {
        "right": """source:AIPREF|TDMREP|C2PA|IPTC|ATPROTO|ACTIVITYPUB|CONTENT_SIGNALS|PLATFORM|NATURAL_LANGUAGE
            train_ai:y|n|unknown"""
    },
    Feature.CAMPAIGNS: {
        "campaign": "id:epoch told:told* texts:texts observed_at:instant",
        "told": "purposes:texts_of* kinds:texts_of* products:texts_of*",
    },
}
RECORDS = ("account", "content", "notice", "objection", "consent", "campaign")


def _matching(pattern: str) -> Parser:
    shape = re.compile(pattern)

    def parse(value: Any) -> str:
        if not isinstance(value, str) or not shape.fullmatch(value):
            raise ValueError("not a text of the required shape")
        value.encode()  # half of a surrogate pair is no text
        return value

    return parse


parse_sha256 = _matching("[0-9a-f]{64}")
_identifier = _matching(r"[^\0]+")
_text = _matching(r"[^\0]*")
_language = _matching("[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_birth_shape = _matching("[0-9]{4}(-[0-9]{2}){0,2}")
_clock = "([01][0-9]|2[0-3]):[0-5][0-9]"
_instant_shape = _matching(rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[Tt]{_clock}:[0-5][0-9](\.[0-9]+)?([Zz]|[+-]{_clock})")


def parse_identifier(value: Any) -> str:
    if len(_identifier(value).encode()) > MAX_ID_BYTES:
        raise ValueError("an id that is too long")
    return str(value)


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


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("not a count")
    return value


def _texts(value: Any) -> Record:
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return {_language(language): parse_sha256(digest) for language, digest in value.items()}


def _standard(value: Any) -> str:
    if value not in STANDARDS:
        raise ValueError("not a standard whose signals are read")
    return str(value)


def _signal_value(value: Any) -> str:
    """Keep a signal's value, whatever JSON it is, as a text that can be compared."""
    written = json.dumps(value, sort_keys=True, ensure_ascii=False)
    if len(written.encode()) > MAX_SIGNAL_LENGTH:
        raise ValueError("too long a signal")
    return written


def parse_object(parsers: Mapping[str, Parser], value: Any) -> Record:
    if not isinstance(value, dict) or value.keys() - parsers.keys():
        raise ValueError("not an object, or one with an unknown field")
    return {name: parse(value.get(name)) for name, parse in parsers.items()}


def _list(of: Parser, gather: Callable[[Iterable[Any]], Any], value: Any) -> Any:
    if not isinstance(value, list):
        raise ValueError("not a list")
    return gather(of(member) for member in value)


SHAPES: dict[str, Parser] = {
    "id": parse_identifier,
    "text": _text,
    "texts_of": _text,
    "instant": parse_instant,
    "birth": _birth,
    "country": _matching("[A-Z]{2}"),
    "language": _language,
    "epoch": _matching("[0-9]{4}-(0[1-9]|1[0-2])"),
    "sha256": parse_sha256,
    "flag": _flag,
    "count": _count,
    "texts": _texts,
    "signal_value": _signal_value,
    "standard": _standard,
}


def parsers_for(features: Features) -> Parsers:
    """Return the parsers of the fields of each record and of each object within one."""
    stated = dict(FIELDS)
    for feature in Feature:
        for name, fields in FIELDS_OF.get(feature, {}).items() if feature in features else ():
            stated[name] = f"{stated.get(name, '')} {fields}"  # a field that is stated twice counts as stated last
    if Feature.CONTACT_REFERENCES not in features:
        stated["reference"] = stated["reference"].replace("account:id? contact:sha256?", "account:id")
    parsers: dict[str, Mapping[str, Parser]] = {}
    for name, fields in stated.items():
        entries = (entry.partition(":") for entry in fields.split())
        parsers[name] = {field: _parser(notation, parsers) for field, _, notation in entries}
    return parsers


def _parser(notation: str, parsers: Parsers) -> Parser:
    name, mark = notation.rstrip("?*"), notation[-1]
    parse: Parser
    if name in SHAPES:
        parse = SHAPES[name]
    elif name == "spans":
        parse = partial(_list, partial(_values, "span", parsers), tuple)
    elif name == "signals":  # a list that is not stated is empty
        listed = partial(_list, partial(_values, "signal", parsers), frozenset)
        parse = lambda value: listed([] if value is None else value)  # noqa: E731
    elif name in OBJECTS:
        parse = partial(OBJECTS[name], name, parsers)
    else:
        parse = _matching(name)
    if mark == "?":
        return lambda value: None if value is None else parse(value)
    if mark == "*":
        return partial(_list, parse, tuple if name == "media" else frozenset)
    return parse


def _values(name: str, parsers: Parsers, value: Any) -> tuple[Any, ...]:
    return tuple(parse_object(parsers[name], value).values())


def _object(name: str, parsers: Parsers, value: Any) -> Record:
    return parse_object(parsers[name], value)


def _window(name: str, parsers: Parsers, value: Any) -> tuple[datetime, datetime]:
    stated = parse_object(parsers[name], value)
    start, end = stated["from"] or ALWAYS, stated["to"] or NEVER
    if start > end:
        raise ValueError("a window that ends before it begins")
    return start, end


def _reference(name: str, parsers: Parsers, value: Any) -> tuple[str, str, str]:
    """Return ("account" or "contact", which, relation); a reference that names both, or neither, is a bad one."""
    stated = parse_object(parsers[name], value)
    named = [(kind, stated[kind]) for kind in ("account", "contact") if stated.get(kind)]
    if len(named) != 1:
        raise ValueError("a reference names one account or one contact")
    return *named[0], stated["relation"]


OBJECTS: dict[str, Callable[[str, Parsers, Any], Any]] = {
    "window": _window,
    "reference": _reference,
    "media": _values,
    "right": _values,
    "scans": _object,
    "told": _values,
}
