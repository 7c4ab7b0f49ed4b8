"""Keep the facts of one database: what is stored, what was ever stated, what was set aside, and what waits."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta

from tests.promises.oracle.features import Feature, Features
from tests.promises.oracle.lines import read_line, readable
from tests.promises.oracle.policies import PRIVATE_KINDS, Policy
from tests.promises.oracle.records import (
    ALWAYS,
    RECORDS,
    TARGETS,
    Record,
    parse_identifier,
    parse_instant,
    parse_object,
    parsers_for,
)
from tests.promises.oracle.signals import finding_of
from tests.promises.oracle.taking_back import Statement, Target, waits_for

CLOCK_SKEW = timedelta(minutes=5)
Key = tuple[str, str]  # a record's kind and id; or what an objection names: "account", "person" or "contact"


class Facts:
    """The lines that were loaded, and what follows from them at any time."""

    def __init__(self, policy: Policy, features: Features) -> None:
        self._policy, self._features = policy, features
        self._parsers = parsers_for(features)
        self.records = tuple(name for name in RECORDS if name in self._parsers)
        self.stored: dict[str, dict[str, Record]] = {name: {} for name in self.records}
        self.stated: defaultdict[Key, list[Record]] = defaultdict(list)  # by every good line, conflicting ones too
        self.of_account: defaultdict[Key, dict[str, Record]] = defaultdict(dict)  # notices and consents
        self.links: defaultdict[Key, set[Key]] = defaultdict(
            set
        )  # an account's persons and contacts, a person's accounts
        self.holders: defaultdict[str, set[str]] = defaultdict(set)  # the accounts that ever had a contact
        self.captions: defaultdict[str, set[str]] = defaultdict(set)  # the items that ever named a parent
        self.objections: defaultdict[Key, set[str]] = defaultdict(set)  # by what they ever named
        self._history: defaultdict[Key, list[Statement]] = defaultdict(list)
        self._waits: dict[Key, dict[Target, datetime]] = {}
        self._set_aside: dict[Key, datetime] = {}  # the latest instant of a record's bad lines
        self._doubts: defaultdict[str, dict[Key, datetime]] = defaultdict(dict)  # what else quarantines an account
        self._rejected: set[bytes] = set()

    def load(self, line: str | bytes, at: datetime) -> str:
        """Load one line at an instant; return "accepted", "unchanged", "stale" or "rejected"."""
        raw = (line.encode("utf-8", "surrogatepass") if isinstance(line, str) else line).rstrip(b"\r\n")
        fields, whole = read_line(raw)
        try:
            name, record = self._normalised(fields if whole else {}, at)
        except ValueError:
            digest = hashlib.sha256(raw).digest()
            if digest not in self._rejected:
                self._rejected.add(digest)
                self._quarantine(fields, at)
            return "rejected"
        key = (name, record["id"])
        self._keep_for_ever(key, record)
        stored = self.stored[name].get(record["id"])
        if stored and record["observed_at"] == stored["observed_at"]:
            if self._body(record) == self._body(stored):
                return "unchanged"
            self._quarantine(fields, at)
            return "rejected"
        stale = stored is not None and record["observed_at"] < stored["observed_at"]
        if not stale or Feature.STALE_LINES in self._features:
            self._history[key].append(Statement(record, at))
            self._waits[key] = waits_for(name, self._in_order(key), self._policy, self._features)
        if stale:
            return "stale"
        self._store(name, record)
        return "accepted"

    def _normalised(self, fields: Record, at: datetime) -> tuple[str, Record]:
        name = fields.get("record")
        if not isinstance(name, str) or name not in self.records:
            raise ValueError("record: not a known one")
        stated = {field: value for field, value in fields.items() if field != "record"}
        record = parse_object(self._parsers[name], stated)
        if record["observed_at"] > at + CLOCK_SKEW:
            raise ValueError("observed_at: ahead of the clock")
        if name == "account" and record["product"] not in self._policy.products:
            raise ValueError("product: not a known one")
        if name == "objection" and not any(record[target] for target in TARGETS):
            raise ValueError("objection: without a target")
        if name == "content":
            record["scans"] = record["scans"] or dict.fromkeys(self._parsers["scans"])
            spans = record.get("personal_spans") or ()
            if any(not start <= end <= len(record["text"] or "") for start, end, _ in spans):
                raise ValueError("personal_spans: one ends past the text, or before it begins")
        return name, record

    def _body(self, record: Record) -> Record:
        """Return a record as it is stored: a private message without its text, and now without its media."""
        if record.get("kind") != "PRIVATE_MESSAGE":
            return record
        kept_out = {"text": None}
        if Feature.PRIVATE_FOR_EVER in self._features:
            kept_out |= dict.fromkeys({"media", "personal_spans", "signals"} & record.keys())
        return record | kept_out

    def _keep_for_ever(self, key: Key, record: Record) -> None:
        """Keep what counts for ever once it is stated: links, an objection's targets, and all that was ever said.

        A line that conflicts with a stored one of the same instant is a good line, and counts for this like any other.
        """
        name, identity = key
        if record not in self.stated[key]:
            self.stated[key].append(record)
        if name == "account":
            self.links["account", identity] |= {("contact", contact) for contact in record["contacts"]}
            for contact in record["contacts"]:
                self.holders[contact].add(identity)
            if record["person"]:
                self.links["account", identity].add(("person", record["person"]))
                self.links["person", record["person"]].add(("account", identity))
        if name == "content" and record["parent"]:
            self.captions[record["parent"]].add(identity)
        if name == "objection":
            self._aim(identity, record)
        if name in ("account", "content"):
            for standard in finding_of(record).objections:
                self._object(standard, identity if name == "account" else record["account"])

    def _object(self, standard: str, account: str) -> None:
        """File the objection that a statement about a whole account is; to state it no longer withdraws nothing."""
        identity = f"signal:{standard}:{account}"
        filed = {"id": identity, "account": account, "scope": "PUBLIC_CONTENT", "withdrawn_at": None}
        instants = dict.fromkeys(("received_at", "observed_at"), ALWAYS)
        self.stored["objection"].setdefault(identity, filed | instants)
        self.stated["objection", identity].append(filed | instants)
        self.objections["account", account].add(identity)

    def _aim(self, identity: str, objection: Record) -> None:
        """Keep every target that an objection ever named, in a bad line as well."""
        for kind in TARGETS:
            value = readable(self._parsers["objection"][kind], objection.get(kind))
            if value:
                self.objections[kind, value].add(identity)

    def _store(self, name: str, record: Record) -> None:
        identity = record["id"]
        stored = self.stored[name].get(identity)
        self.stored[name][identity] = record
        if name in ("notice", "consent"):
            if stored:
                del self.of_account[name, stored["account"]][identity]
            self.of_account[name, record["account"]][identity] = record

    def _in_order(self, key: Key) -> list[Statement]:
        """Return the lines of a record in the order of `observed_at`; of equal instants the first that was loaded."""
        first: dict[datetime, Statement] = {}
        for statement in self._history[key]:
            first.setdefault(statement.record["observed_at"], statement)
        return [first[instant] for instant in sorted(first)]

    def _quarantine(self, fields: Record, at: datetime) -> None:
        """Let a bad line permit nothing: doubt its record until a later valid line is stored.

        An instant ahead of the clock cannot be believed, and is taken like one that cannot be read. Objections whose id
        cannot be read count together, as one of no id that no good line replaces.
        """
        name, identity = fields.get("record"), readable(parse_identifier, fields.get("id"))
        if not isinstance(name, str) or name not in self.records or (identity is None and name != "objection"):
            return
        key = (name, identity or "")
        stored = self.stored[name].get(key[1])
        observed_at = readable(parse_instant, fields.get("observed_at"))
        if observed_at is None or observed_at > at + CLOCK_SKEW:
            observed_at = stored["observed_at"] if stored else ALWAYS
            if Feature.QUARANTINE_FROM_LOADING in self._features:
                observed_at = max(at, observed_at)
        self._set_aside[key] = max(observed_at, self._set_aside.get(key, observed_at))
        if name == "objection":
            self._aim(key[1], fields)
        if name in ("notice", "consent") and Feature.NOTICES_SET_ASIDE not in self._features:
            account = readable(parse_identifier, fields.get("account")) or (stored and stored["account"])
            doubts = self._doubts[account or ""]
            doubts[key] = max(observed_at, doubts.get(key, observed_at))

    def is_set_aside(self, key: Key) -> bool:
        """Return whether a bad line of a record stands that no good line has replaced."""
        return key in self._set_aside and self._stands(key, self._set_aside[key])

    def _stands(self, key: Key, observed_at: datetime) -> bool:
        stored = self.stored[key[0]].get(key[1])
        return stored is None or observed_at >= stored["observed_at"]

    def is_account_doubted(self, account: str) -> bool:
        """Return whether an account is quarantined: by its own bad lines, or those of its notices and consents."""
        doubts = self._doubts.get(account, {})
        return self.is_set_aside(("account", account)) or any(self._stands(*doubt) for doubt in doubts.items())

    def waits_since(self) -> Iterator[tuple[Target, datetime]]:
        """Yield what waits, and from when."""
        for waits in self._waits.values():
            yield from waits.items()

    def item(self, identity: str) -> Record | None:
        """Return an item as it counts.

        An item that was ever of a private kind stays one, a private message rather than a message to a business. Its
        audience counts as ONLY_ME; of a private message there is neither text nor media.
        """
        stored = self.stored["content"].get(identity)
        if stored is None or Feature.PRIVATE_FOR_EVER not in self._features:
            return stored
        kinds = {record["kind"] for record in self.stated["content", identity]}
        for kind in PRIVATE_KINDS:
            if kind in kinds:
                bodies = {"text": None, "media": ()} if kind == "PRIVATE_MESSAGE" else {}
                return stored | {"kind": kind, "audience": "ONLY_ME"} | bodies
        return stored
