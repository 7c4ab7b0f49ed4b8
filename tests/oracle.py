"""Decide a second time, in plain Python and from the specification alone, what may be trained on.

Nothing of the product is imported: where this oracle and the product disagree, one of the two misreads the rules.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

from tests.oracle_records import (
    ALWAYS,
    CONDITIONS,
    DEFAULT_POLICY,
    NEVER,
    NOON,
    NOT_REQUIRED,
    PARSERS,
    RECORDS,
    TARGETS,
    Record,
    Target,
    Verdict,
    adult_from,
    all_of,
    is_deidentified,
    is_reached,
    is_reserved,
    is_value,
    parse_identifier,
    parse_instant,
    parse_object,
    read_line,
    readable,
    taken_back,
)  # fmt: skip


class Outcome(StrEnum):
    PASS = "PASS"
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True)
class Decision:
    permitted: bool
    ground: str
    outcomes: dict[str, Outcome]  # every condition that was evaluated, in the order of the specification


NEVER_TRAINED_ON = {"PRIVATE_MESSAGE", "BUSINESS_MESSAGE"}
PRODUCTS = {"FACEBOOK", "INSTAGRAM", "MESSENGER", "WHATSAPP"}
CLOCK_SKEW = timedelta(minutes=5)
FIRST_ZONE = timezone(timedelta(hours=14))  # where a day begins first; it has ended everywhere at the next noon
PUBLIC_SCOPES = {"ALL", "PUBLIC_CONTENT"}
OUTCOMES: dict[Verdict, Outcome] = {True: Outcome.PASS, False: Outcome.FAIL, None: Outcome.UNKNOWN}
Source = tuple[str, str]  # a record and its id


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
        self._from = parse_instant(policy["effective_from"])
        self._until = NEVER if policy["effective_until"] is None else parse_instant(policy["effective_until"])
        self._ground_of = {kind: name for name, ground in grounds.items() for kind in ground["kinds"]}
        self._products = PRODUCTS.union(*(ground["products"] for ground in grounds.values()))
        self.codes = [code for code in CONDITIONS if code != "OPTED_IN" or code in grounds]
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
        fields, whole = read_line(raw)
        try:
            name, record = self._normalised(fields if whole else {}, at)
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
        record = parse_object(PARSERS[name], {field: value for field, value in fields.items() if field != "record"})
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
            for target in taken_back(name, stored, record, at):
                self._waiting[target] = max(at, self._waiting.get(target, at))
        if name in ("notice", "consent"):
            if stored:
                del self._by_account[name, stored["account"]][identity]
            self._by_account[name, record["account"]][identity] = record
        if name == "objection":
            self._aim(identity, record)

    def _aim(self, identity: str, objection: Record) -> None:
        """Keep every target that an objection ever named, in a bad line as well."""
        for kind in TARGETS:
            value = readable(PARSERS["objection"][kind], objection.get(kind))
            if value:
                self._objections[kind, value].add(identity)

    def _set_aside(self, fields: Record, at: datetime) -> None:
        """Let a bad line open no door: doubt what it is about until a later good line is stored.

        A line whose own instant cannot be believed is as late as what is stored, and where nothing is stored any good
        line is later. Objections whose id cannot be read count together, as one of no id that no good line replaces.
        """
        name, identity = fields.get("record"), readable(parse_identifier, fields.get("id"))
        if not isinstance(name, str) or name not in RECORDS or (identity is None and name != "objection"):
            return
        stored = self._stored[name].get(identity)
        observed_at = readable(parse_instant, fields.get("observed_at"))
        if observed_at is None or observed_at > at + CLOCK_SKEW:
            observed_at = stored["observed_at"] if stored else ALWAYS
        target: Target = ({"account": "standing"}.get(name, name), identity or "")
        if name in ("notice", "consent"):
            account = readable(parse_identifier, fields.get("account")) or (stored and stored["account"])
            target = ("standing", account or "")
        if name == "objection":
            self._aim(identity or "", fields)
        doubts, source = self._doubts[target], (name, identity or "")
        doubts[source] = max(observed_at, doubts.get(source, observed_at))

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
        outcomes = {code: OUTCOMES[verdicts.get(code)] for code in self.codes}
        permitted = all(outcomes[code] is Outcome.PASS for code in self.codes if code not in NOT_REQUIRED[ground])
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
                adult_from=max((adult_from(birth) for birth in births if birth), default=ALWAYS),
                birth_waits=any(self._waits(("birth", identity), now) for identity in accounts),
            )
            self._people |= dict.fromkeys(accounts, person)
        return self._people[account]

    def _objected(self, target: Target, now: datetime) -> Iterator[str]:
        for identity in self._objections.get(target, ()):
            if self._doubted(("objection", identity)):
                yield "ALL"
            objection = self._stored["objection"].get(identity)
            if objection and self._active(objection, now):
                yield objection["scope"]

    def _active(self, objection: Record, now: datetime) -> bool:
        withdrawn_at: datetime | None = objection["withdrawn_at"]
        if withdrawn_at is None or withdrawn_at < objection["received_at"]:
            return True
        return now - self._dwell["withdrawal"] < withdrawn_at

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
        return all_of(*verdicts)

    def _of_account(self, account: Record, person: _Person, now: datetime) -> dict[str, Verdict]:
        policy, standing = self._policy, ("standing", account["id"])
        return {
            "REGION_COVERED": None if account["country"] is None else account["country"] in policy["regions"],
            "ACCOUNT_IN_GOOD_STANDING": all_of(
                account["status"] == "ACTIVE",
                is_reached(now - self._dwell["account"], account["status_since"]),
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
            "NO_OBJECTOR_REFERENCED": all_of(*(one.free_of_objections(PUBLIC_SCOPES) for one in referenced)),
            "NO_MINOR_REFERENCED": all_of(*(one.adult(now) for one in referenced)),
        }

    def _of_item(self, item: Record, now: datetime) -> dict[str, Verdict]:
        target = ("content", item["id"])
        last_edit = max(item["created_at"], item["edited_at"] or ALWAYS)
        special_category, safety = item["scans"]
        return {
            "AUDIENCE_PUBLIC": all_of(is_value("PUBLIC", item["audience"]), self._parent_public(item)),
            "AUDIENCE_STABLE": is_reached(now - self._dwell["audience"], item["audience_since"]),
            "CONTENT_LIVE": item["deleted_at"] is None,
            "CONTENT_SETTLED": all_of(
                last_edit <= now - self._dwell["content"],
                not self._waits(target, now),
                None if self._doubted(target) else True,
            ),
            "NO_RIGHTS_RESERVATION": not is_reserved(item),
            "NO_SPECIAL_CATEGORY": is_value("CLEAR", special_category),
            "CONTENT_SAFE": is_value("CLEAR", safety),
            "DEIDENTIFIED": is_deidentified(item),
        }

    def _parent_public(self, item: Record) -> Verdict:
        if item["kind"] != "COMMENT":
            return True
        parent = self._stored["content"].get(item["parent"])
        return None if parent is None else all_of(is_value("PUBLIC", parent["audience"]), parent["deleted_at"] is None)
