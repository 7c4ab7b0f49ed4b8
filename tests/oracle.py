"""Decide a second time, in plain Python and from the specification alone, what may be trained on.

Nothing of the product is imported: where this oracle and the product disagree, one of the two misreads the rules.
"""

import calendar
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from enum import StrEnum
from functools import lru_cache, partial
from typing import Any


class Outcome(StrEnum):
    PASS = "PASS"
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True)
class Decision:
    permitted: bool
    ground: str
    outcomes: dict[str, Outcome]  # every condition that was evaluated, in the order of the specification


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
NEVER_TRAINED_ON = {"PRIVATE_MESSAGE", "BUSINESS_MESSAGE"}
PRODUCTS = {"FACEBOOK", "INSTAGRAM", "MESSENGER", "WHATSAPP"}
ADULT_AGE = 18
CLOCK_SKEW = timedelta(minutes=5)
LONGEST_LINE = 1 << 20  # bytes
LONGEST_ID = 200
ALWAYS = datetime.min.replace(tzinfo=UTC)
NEVER = datetime.max.replace(tzinfo=UTC)
FIRST_ZONE, NOON = timezone(timedelta(hours=14)), time(12, tzinfo=UTC)  # a day has ended everywhere at the next noon

Record = dict[str, Any]
Parser = Callable[[Any], Any]
Verdict = bool | None  # SQL's TRUE, FALSE and NULL
OUTCOMES: dict[Verdict, Outcome] = {True: Outcome.PASS, False: Outcome.FAIL, None: Outcome.UNKNOWN}
Target = tuple[str, str]  # what a line is about: ("person", id), or ("standing", id) of an account
Source = tuple[str, str]  # a record and its id

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


_identifier = _matching(rf"[^\0]{{1,{LONGEST_ID}}}")
_sha256 = _matching("[0-9a-f]{64}")
_birth_shape = _matching("[0-9]{4}(-[0-9]{2}){0,2}")
_clock = "([01][0-9]|2[0-3]):[0-5][0-9]"
_instant_shape = _matching(rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[Tt]{_clock}:[0-5][0-9](\.[0-9]+)?([Zz]|[+-]{_clock})")


def _instant(value: Any) -> datetime:
    try:
        return datetime.fromisoformat(_instant_shape(value).upper()).astimezone(UTC)
    except OverflowError as error:
        raise ValueError("an instant outside the calendar") from error


@lru_cache(maxsize=1 << 16)
def _adult_from(born_on: str) -> datetime:
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
    _adult_from(_birth_shape(value))
    return str(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("neither true nor false")
    return value


def _window(value: Any) -> tuple[datetime, datetime]:
    stated = _object(PARSERS["window"], value)
    start, end = stated["from"] or ALWAYS, stated["to"] or NEVER
    if start > end:
        raise ValueError("a window that ends before it begins")
    return start, end


def _object(parsers: Mapping[str, Parser], value: Any) -> Record:
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
            return tuple(_object(PARSERS[name], value).values())
    else:
        parse = _matching(name)
    if mark == "?":
        return lambda value: None if value is None else parse(value)
    if mark == "*":
        return partial(_list, parse, tuple if name == "media" else frozenset)
    return parse


SHAPES: dict[str, Parser] = {
    "id": _identifier,
    "text": _matching(r"[^\0]*"),
    "instant": _instant,
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
_made_out = {name: re.compile(rb'"%s"\s*:\s*("(?:[^"\\]|\\.)*")' % name.encode()) for name in ("record", "id")}


def _read(line: bytes) -> Record:
    """Return the object in a line, or, where there is none, the record and id that can be made out."""
    if len(line) <= LONGEST_LINE:
        try:
            value = _json.decode(line.decode())
            return value if isinstance(value, dict) else {}
        except (ValueError, RecursionError):
            pass
    found = {name: shape.search(line, 0, LONGEST_LINE) for name, shape in _made_out.items()}
    return {name: _readable(_json_text, match[1]) for name, match in found.items() if match}


def _json_text(value: bytes) -> Any:
    return _json.decode(value.decode())


def _readable(parse: Parser, value: Any) -> Any:
    try:
        return parse(value)
    except ValueError:
        return None


def _all(*verdicts: Verdict) -> Verdict:
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


def _taken_back(name: str, old: Record, new: Record, at: datetime) -> Iterator[Target]:
    """Yield what must wait because a later record takes a protective value back."""

    def gone(holds: Callable[[Record], bool]) -> bool:
        return holds(old) and not holds(new)

    if name == "content" and (
        gone(lambda item: item["deleted_at"] is not None)
        or gone(_reserved)
        or any("FLAGGED" == before != after for before, after in zip(old["scans"], new["scans"], strict=True))
    ):
        yield "content", new["id"]
    if name == "account" and gone(lambda account: bool(account["born_on"] and _adult_from(account["born_on"]) > at)):
        yield "birth", new["id"]
    if name == "account" and (
        gone(lambda account: account["status"] in LEAVING)
        or not all(_covered(window, new["compromised"]) for window in old["compromised"])
    ):
        yield "standing", new["id"]
    if name == "notice" and gone(lambda notice: notice["bounced_at"] is not None):
        yield "standing", new["account"]


def _reserved(item: Record) -> bool:
    return any(train_ai == "n" for _, train_ai in item["rights"])


@dataclass(frozen=True)
class _Person:
    """What the accounts of one person share."""

    objected: set[str]  # scopes of the active objections
    adult_from: datetime  # by the youngest birth date of any account
    birth_waits: bool


@dataclass(frozen=True)
class _Author:
    record: Record | None  # None while the account is not known
    person: _Person
    verdicts: dict[str, Verdict]  # conditions that depend on nothing but the account and the time

    def free_of_objections(self, scopes: set[str]) -> Verdict:
        return False if scopes & self.person.objected else True if self.record else None

    def adult(self, at: datetime) -> Verdict:
        if self.person.adult_from > at:
            return False
        return True if self.record and self.record["born_on"] else None


class World:
    """Keep the facts that were loaded, and decide on them."""

    def __init__(self, policy: Mapping[str, Any] = DEFAULT_POLICY) -> None:
        grounds = policy["grounds"]
        kinds = [kind for ground in grounds.values() for kind in ground["kinds"]]
        if grounds.keys() - NOT_REQUIRED.keys() or len(kinds) > len(set(kinds)) or NEVER_TRAINED_ON & set(kinds):
            raise ValueError("grounds: one is unknown, two share a kind, or one names a private kind")
        self._policy = policy
        self._dwell = {
            name.rpartition("_")[0]: timedelta(**{name.rpartition("_")[2]: count})
            for name, count in policy["dwell"].items()
        }
        self._from = _instant(policy["effective_from"])
        self._until = NEVER if policy["effective_until"] is None else _instant(policy["effective_until"])
        self._ground_of = {kind: name for name, ground in grounds.items() for kind in ground["kinds"]}
        self._products = PRODUCTS.union(*(ground["products"] for ground in grounds.values()))
        self._codes = [code for code in CONDITIONS if code != "OPTED_IN" or code in grounds]
        self._stored: dict[str, dict[str, Record]] = {name: {} for name in RECORDS}
        self._by_account: defaultdict[Target, dict[str, Record]] = defaultdict(dict)  # notices and consents
        self._links: defaultdict[Target, set[Target]] = defaultdict(set)
        self._objections: defaultdict[Target, set[str]] = defaultdict(set)
        self._doubts: defaultdict[Target, dict[Source, datetime]] = defaultdict(dict)  # observed_at of bad lines
        self._waiting: dict[Target, datetime] = {}
        self._rejected: set[bytes] = set()
        self._holds: list[tuple[str, str | None, datetime, datetime]] = []
        self._forget(None)

    def _forget(self, now: datetime | None) -> None:
        self._now = now
        self._authors: dict[str, _Author] = {}
        self._people: dict[str, _Person] = {}

    def load(self, line: str | bytes, at: datetime) -> str:
        """Load one line at an instant; return "accepted", "unchanged", "stale" or "rejected"."""
        self._forget(None)
        raw = (line.encode("utf-8", "surrogatepass") if isinstance(line, str) else line).rstrip(b"\r\n")
        fields = _read(raw)
        try:
            name, record = self._normalised(fields, at)
        except ValueError:
            digest = hashlib.sha256(raw).digest()
            if digest not in self._rejected:
                self._rejected.add(digest)
                self._set_aside(fields, at)
            return "rejected"
        if name == "account":
            self._link(record)
        stored = self._stored[name].get(record["id"])
        if stored and record["observed_at"] < stored["observed_at"]:
            return "stale"
        if stored and record["observed_at"] == stored["observed_at"]:
            bodies = {"text": None} if record.get("kind") == "PRIVATE_MESSAGE" else {}
            if record | bodies == stored | bodies:
                return "unchanged"
            self._set_aside(fields, at)
            return "rejected"
        self._store(name, record, stored, at)
        return "accepted"

    def _normalised(self, fields: Record, at: datetime) -> tuple[str, Record]:
        name = fields.get("record")
        if not isinstance(name, str) or name not in RECORDS:
            raise ValueError("record: not a known one")
        record = _object(PARSERS[name], {field: value for field, value in fields.items() if field != "record"})
        if record["observed_at"] > at + CLOCK_SKEW:
            raise ValueError("observed_at: ahead of the clock")
        if name == "account" and record["product"] not in self._products:
            raise ValueError("product: not a known one")
        if name == "objection" and not any(record[target] for target in TARGETS):
            raise ValueError("objection: without a target")
        if name == "content":
            record["scans"] = record["scans"] or (None, None)
            if record["kind"] == "PRIVATE_MESSAGE" and record["text"]:
                record["text"] = "not kept"
        return name, record

    def _link(self, account: Record) -> None:
        me: Target = ("account", account["id"])
        self._links[me] |= {("contact", contact) for contact in account["contacts"]}
        if account["person"]:
            self._links[me].add(("person", account["person"]))
            self._links["person", account["person"]].add(me)

    def _store(self, name: str, record: Record, stored: Record | None, at: datetime) -> None:
        identity = record["id"]
        self._stored[name][identity] = record
        if stored:
            for target in _taken_back(name, stored, record, at):
                self._waiting[target] = max(at, self._waiting.get(target, at))
        if name in ("notice", "consent"):
            if stored:
                del self._by_account[name, stored["account"]][identity]
            self._by_account[name, record["account"]][identity] = record
        if name == "objection":
            for kind in TARGETS:
                if record[kind]:
                    self._objections[kind, record[kind]].add(identity)

    def _set_aside(self, fields: Record, at: datetime) -> None:
        """Let a bad line open no door: doubt what it is about until a later good line is stored."""
        name, identity = fields.get("record"), _readable(_identifier, fields.get("id"))
        if not isinstance(name, str) or name not in RECORDS or (identity is None and name != "objection"):
            return
        stored = self._stored[name].get(identity)
        observed_at = _readable(_instant, fields.get("observed_at"))
        if identity is None:
            observed_at = NEVER
        elif observed_at is None or observed_at > at + CLOCK_SKEW:
            if stored is None and name != "objection":
                return
            observed_at = stored["observed_at"] if stored else ALWAYS
        for target in self._doubtful(name, identity, fields, stored):
            doubts, source = self._doubts[target], (name, identity or "")
            doubts[source] = max(observed_at, doubts.get(source, observed_at))

    def _doubtful(self, name: str, identity: str | None, fields: Record, stored: Record | None) -> Iterator[Target]:
        if name in ("notice", "consent"):
            account = _readable(_identifier, fields.get("account")) or (stored and stored["account"])
            if account:
                yield "standing", account
        elif identity:
            yield {"account": "standing"}.get(name, name), identity
        if name == "objection":
            for kind in TARGETS:
                value = _readable(PARSERS[name][kind], fields.get(kind))
                if value:
                    yield kind, value

    def _doubted(self, target: Target) -> bool:
        return any(
            (stored := self._stored[name].get(identity)) is None or observed_at >= stored["observed_at"]
            for (name, identity), observed_at in self._doubts.get(target, {}).items()
        )

    def open_hold(self, scope: str, value: str | None, opened_at: datetime, lifted_at: datetime | None = None) -> None:
        """Open a hold on GLOBAL, or on one COUNTRY, PRODUCT or ACCOUNT (by its id)."""
        self._forget(None)
        if scope not in ("GLOBAL", "COUNTRY", "PRODUCT", "ACCOUNT") or (value is None) != (scope == "GLOBAL"):
            raise ValueError("hold: needs a known scope, and a value unless it is GLOBAL")
        over_at = NEVER if lifted_at is None else lifted_at + self._dwell["hold"]
        self._holds.append((scope, value, opened_at, over_at))

    def content_ids(self) -> list[str]:
        return list(self._stored["content"])

    def decide(
        self, content_id: str, now: datetime, purpose: str = "GENAI_TRAINING", suspended: bool = False
    ) -> Decision:
        """Decide on one item; KeyError if it is not known."""
        if now != self._now:
            self._forget(now)
        item = self._stored["content"][content_id]
        ground, author = self._ground_of.get(item["kind"], "PUBLIC_CONTENT"), self._author(item["account"], now)
        verdicts = {
            "PROGRAMME_ACTIVE": self._from <= now < self._until,
            "PURPOSE_MATCH": purpose in self._policy["purposes"] and not suspended,
            **author.verdicts,
            **self._of_creation(item, author),
            **self._of_references(item, now),
            **self._of_item(item, now),
        }
        # Whatever reads an account that is not known gave no verdict above.
        outcomes = {code: OUTCOMES[verdicts.get(code)] for code in self._codes}
        permitted = all(outcomes[code] is Outcome.PASS for code in self._codes if code not in NOT_REQUIRED[ground])
        return Decision(permitted, ground, outcomes)

    def _person(self, account: str, now: datetime) -> _Person:
        if account not in self._people:
            reached: set[Target] = set()
            frontier: list[Target] = [("account", account)]
            while frontier:
                target = frontier.pop()
                if target not in reached:
                    reached.add(target)
                    frontier.extend(self._links.get(target, ()))
            accounts = {identity for name, identity in reached if name == "account"}
            births = (self._stored["account"].get(identity, {}).get("born_on") for identity in accounts)
            person = _Person(
                objected={scope for target in reached for scope in self._objected(target, now)},
                adult_from=max((_adult_from(birth) for birth in births if birth), default=ALWAYS),
                birth_waits=any(self._waits(("birth", identity), now) for identity in accounts),
            )
            self._people |= dict.fromkeys(accounts, person)
        return self._people[account]

    def _objected(self, target: Target, now: datetime) -> Iterator[str]:
        if self._doubted(target):
            yield "ALL"
        for identity in self._objections.get(target, ()):
            objection = self._stored["objection"][identity]
            withdrawn_at = objection["withdrawn_at"]
            if self._doubted(("objection", identity)):
                yield "ALL"
            if (
                withdrawn_at is None
                or withdrawn_at < objection["received_at"]
                or now - self._dwell["withdrawal"] < withdrawn_at
            ):
                yield objection["scope"]

    def _waits(self, target: Target, now: datetime) -> bool:
        return self._waiting.get(target, ALWAYS) > now - self._dwell["taken_back"]

    def _author(self, identity: str, now: datetime) -> _Author:
        if identity not in self._authors:
            record = self._stored["account"].get(identity)
            author = _Author(record, self._person(identity, now), {})
            author.verdicts["NO_REGULATORY_HOLD"] = self._free_of_holds(identity, record, now)
            author.verdicts["AUTHOR_ADULT_NOW"] = author.adult(now)
            if record:
                author.verdicts.update(self._of_account(record, author.person, now))
            self._authors[identity] = author
        return self._authors[identity]

    def _free_of_holds(self, identity: str, account: Record | None, now: datetime) -> Verdict:
        own = {"ACCOUNT": identity}
        if account:
            own |= {"COUNTRY": account["country"], "PRODUCT": account["product"]}
        verdicts: list[Verdict] = [True if account else None]
        for scope, value, opened_at, over_at in self._holds:
            if opened_at <= now < over_at:
                mine = own.get(scope)
                verdicts.append(False if scope == "GLOBAL" else None if mine is None else mine != value)
        return _all(*verdicts)

    def _of_account(self, account: Record, person: _Person, now: datetime) -> dict[str, Verdict]:
        policy, standing = self._policy, ("standing", account["id"])
        return {
            "REGION_COVERED": None if account["country"] is None else account["country"] in policy["regions"],
            "ACCOUNT_IN_GOOD_STANDING": _all(
                account["status"] == "ACTIVE",
                _by(now - self._dwell["account"], account["status_since"]),
                not (person.birth_waits or self._waits(standing, now)),
                None if self._doubted(standing) else True,
            ),
            "ACCOUNT_KIND_COVERED": account["kind"] in policy["account_kinds"],
            **self._of_notices(account["id"], now),
            "OPTED_IN": self._opted_in(account["id"], now),
        }

    def _of_notices(self, account: str, now: datetime) -> dict[str, Verdict]:
        rule = self._policy["notice"]
        valid = (
            notice["delivered_at"]
            for notice in self._by_account["notice", account].values()
            if notice["epoch"] >= rule["epoch"] and notice["delivered_at"] and not notice["bounced_at"]
        )
        earliest = min(valid, default=None)
        if earliest is None or earliest > now:
            return {"NOTICE_DELIVERED": False, "NOTICE_PERIOD_ELAPSED": None if earliest is None else False}
        last_day = earliest.astimezone(FIRST_ZONE).date() + timedelta(days=rule["period_days"])
        last_day += timedelta(days={5: 2, 6: 1}.get(last_day.weekday(), 0))
        ended_at = datetime.combine(last_day + timedelta(days=1), NOON)
        return {"NOTICE_DELIVERED": True, "NOTICE_PERIOD_ELAPSED": ended_at <= now}

    def _opted_in(self, account: str, now: datetime) -> bool:
        consents = self._by_account["consent", account].values()
        last_withdrawn_at = max((consent["withdrawn_at"] or ALWAYS for consent in consents), default=ALWAYS)
        return any(
            consent["given_at"] and not consent["withdrawn_at"] and last_withdrawn_at < consent["given_at"] <= now
            for consent in consents
        )

    def _of_creation(self, item: Record, author: _Author) -> dict[str, Verdict]:
        kind, created_at, account = item["kind"], item["created_at"], author.record
        narrow_scope = "AI_INTERACTIONS" if kind == "AI_INTERACTION" else "PUBLIC_CONTENT"
        verdicts: dict[str, Verdict] = {
            "AUTHOR_ADULT_AT_CREATION": author.adult(created_at),
            "NO_ACTIVE_OBJECTION": author.free_of_objections({"ALL", narrow_scope}),
        }
        if kind not in self._ground_of:
            verdicts["CONTENT_KIND_COVERED"] = False
        elif account:
            products = self._policy["grounds"][self._ground_of[kind]]["products"]
            verdicts["CONTENT_KIND_COVERED"] = account["product"] in products
        if account:
            windows = account["compromised"]
            verdicts["NOT_COMPROMISED_AT_CREATION"] = not any(start <= created_at <= end for start, end in windows)
        return verdicts

    def _of_references(self, item: Record, now: datetime) -> dict[str, Verdict]:
        referenced = [self._author(account, now) for account, _ in item["references"]]
        return {
            "NO_OBJECTOR_REFERENCED": _all(*(one.free_of_objections({"ALL", "PUBLIC_CONTENT"}) for one in referenced)),
            "NO_MINOR_REFERENCED": _all(*(one.adult(now) for one in referenced)),
        }

    def _of_item(self, item: Record, now: datetime) -> dict[str, Verdict]:
        target = ("content", item["id"])
        last_edit = max(item["created_at"], item["edited_at"] or ALWAYS)
        special_category, safety = item["scans"]
        return {
            "AUDIENCE_PUBLIC": _all(_is("PUBLIC", item["audience"]), self._parent_public(item)),
            "AUDIENCE_STABLE": _by(now - self._dwell["audience"], item["audience_since"]),
            "CONTENT_LIVE": item["deleted_at"] is None,
            "CONTENT_SETTLED": _all(
                last_edit <= now - self._dwell["content"],
                not self._waits(target, now),
                None if self._doubted(target) else True,
            ),
            "NO_RIGHTS_RESERVATION": not _reserved(item),
            "NO_SPECIAL_CATEGORY": _is("CLEAR", special_category),
            "CONTENT_SAFE": _is("CLEAR", safety),
            "DEIDENTIFIED": _deidentified(item),
        }

    def _parent_public(self, item: Record) -> Verdict:
        if item["kind"] != "COMMENT":
            return True
        parent = self._stored["content"].get(item["parent"])
        return None if parent is None else _all(_is("PUBLIC", parent["audience"]), parent["deleted_at"] is None)


def _is(wanted: str, value: str | None) -> Verdict:
    return None if value is None else value == wanted


def _by(limit: datetime, since: datetime | None) -> Verdict:
    return None if since is None else since <= limit


def _deidentified(item: Record) -> Verdict:
    parts: list[Verdict] = [deidentified for _, _, _, deidentified in item["media"]]
    if item["text"]:
        parts.append(None if item["kind"] == "PRIVATE_MESSAGE" else True)
    return _all(*parts) if parts else None
