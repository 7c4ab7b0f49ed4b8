"""A world in which whatever may not be shown carries a canary in every free text it has, and how to hear one.

The oracle decides what is permitted; from that alone follows what carries a canary. A mark says where it stood and
whose it is: `canary7-text-0012` stood in a text of account 12. Hashes, which are hexadecimal, have one of their own.
"""

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import psycopg

from schema.relay.ids import IdKind, ids_of
from tests.promises.oracle import NOT_REQUIRED, World
from tests.support.agreement import enforce, load, oracle_for
from tests.support.facts import NOW, fact
from tests.support.gateway import SECRET, open_gateway
from tests.support.turning_cases import LATELY, batch_of_cases
from tests.support.worlds import Batch, Facts

CANARY, HEX_CANARY = "canary7", "ca9a41e5"  # with a digit, for there are islands in every list of time zones
NOBODYS = "0000"
FILLER = "while the rain went on and on over the fields behind the old mill"  # longer than a preview, with the rest
CHILD, PLAIN_AUTHORS = "child", 6
TRAILING = 40  # hidden items behind the last permitted one

Thing = tuple[str, str]  # a record, "person" or "contact", and the platform's id
Stages = list[tuple[Any, list[Facts]]]
Reading = tuple[IdKind, int]

# What excludes an item of an author whose other items are permitted.
FAULTS: list[Facts] = [
    {"audience": "FRIENDS"},
    {"kind": "PRIVATE_MESSAGE"},
    {"kind": "PRIVATE_MESSAGE", "audience": "ONLY_ME"},
    {"kind": "BUSINESS_MESSAGE"},
    {"kind": "VIDEO"},
    {"kind": "AUDIO"},
    {"deleted_at": "2026-05-01T00:00:00Z"},
    {"edited_at": NOW.isoformat()},
    {"rights": [{"source": "TDMREP", "train_ai": "n"}]},
    {"scans": {"special_category": "FLAGGED", "safety": "CLEAR", "minors": "CLEAR"}},
    {"scans": {"special_category": "CLEAR", "safety": "FLAGGED", "minors": "CLEAR"}},
    {"references": [{"account": CHILD, "relation": "DEPICTED"}]},
    {"kind": "COMMENT", "parent": "never there"},
    {"audience": None},
]


class Item(NamedTuple):
    """The values of a permitted item that filters can name."""

    kind: str
    product: str
    language: str | None
    ground: str
    month: str


@dataclass(frozen=True)
class CanaryWorld:
    """The facts, the oracle's decisions on them at NOW, and the owners of the canaries."""

    batch: Batch
    permitted: dict[str, Item]
    excluded: dict[str, frozenset[str]]  # a hidden item, and the required conditions that it does not pass
    numbers: dict[str, str]  # an account, and the number that its canaries bear


@cache
def canary_world(permitted: int = 12) -> CanaryWorld:
    """Make the world: every hand-made case, and some more items that are permitted, hidden ones among and behind them.

    Every condition has an item that fails through it alone, or with what it implies.
    """
    stages, batch = _stages(permitted), batch_of_cases()
    oracle, stated = _decided(batch, stages)
    before = {item for item in oracle.content_ids() if oracle.decide(item, NOW).permitted}
    marking = _Marking([record for _, records in stages for record in records], stated, before)
    stages = [(clock, [marking.marked(record) for record in records]) for clock, records in stages]
    holds = [
        replace(hold, value=marking.name("account", hold.value)) if hold.scope == "ACCOUNT" and hold.value else hold
        for hold in batch.holds
    ]
    lines = [(clock, [json.dumps(record).encode() for record in records]) for clock, records in stages]
    batch = replace(batch, stages=lines, holds=holds)
    oracle, stated = _decided(batch, stages)
    found = {item: oracle.decide(item, NOW) for item in oracle.content_ids()}
    shown = {item for item, decision in found.items() if decision.permitted}
    assert shown == before, "a canary changed what is permitted"
    excluded = {
        item: frozenset(
            code for code, outcome in decision.outcomes.items()
            if outcome != "PASS" and code not in NOT_REQUIRED[decision.ground]
        )
        for item, decision in found.items() if not decision.permitted
    }  # fmt: skip
    items = {item: _item(stated["content", item], stated, found[item].ground) for item in sorted(shown)}
    numbers = {marking.name("account", account): number for account, number in marking.numbers.items()}
    return CanaryWorld(batch, items, excluded, numbers)


def _item(record: Facts, stated: dict[Thing, Facts], ground: str) -> Item:
    product = stated["account", record["account"]]["product"]
    return Item(record["kind"], product, record.get("language"), ground, f"{record['created_at'][:7]}-01")


def _stages(permitted: int) -> Stages:
    """Lay the facts out: half of the plain items, the cases, the other half; and last what is hidden."""
    cases = [[json.loads(line) for line in lines] for _, lines in batch_of_cases().stages]
    plain, trailing = _plain(permitted)
    half = len(plain) // 2
    return [
        (batch_of_cases().stages[0][0], [*plain[:half], *cases[0], *plain[half:]]),
        (LATELY, cases[1]),
        (LATELY, trailing),
    ]


def _plain(permitted: int) -> tuple[list[Facts], list[Facts]]:
    """Make items that are permitted with as many that are not, and what comes behind them all."""
    authors = [f"plain-{number}" for number in range(PLAIN_AUTHORS)]
    countries, products = cycle(["IE", "DE", "AT", "PT"]), cycle(["FACEBOOK", "INSTAGRAM", "FACEBOOK"])
    records = [
        fact("account", id=author, country=next(countries), product=next(products), person=f"p-{author}")
        | {"contacts": [sha256(author.encode()).hexdigest()]}
        for author in authors
    ]
    records += [fact("notice", id=f"notice-{author}", account=author) for author in authors]
    records += [fact("account", id=CHILD, born_on="2012-03-01"), fact("notice", id="notice-child", account=CHILD)]
    kinds, months = cycle(["POST", "CAPTION", "PHOTO", "COMMENT", "AI_INTERACTION"]), cycle(range(1, 8))
    languages, faults, writers = cycle(["de", "en-IE", "fr", None]), cycle(FAULTS), cycle(authors)
    for number in range(permitted):
        shared: Facts = {"account": next(writers), "language": next(languages)}
        shared["created_at"] = shared["audience_since"] = f"2025-{next(months):02}-11T08:00:00Z"
        text = f"Number {number}: a heron stood by the weir. Write to {CANARY}-raw-{NOBODYS}@example.org."
        kind = next(kinds)
        parent = "item-0" if kind in ("COMMENT", "CAPTION") else None
        records.append(fact("content", id=f"item-{number}", kind=kind, parent=parent, text=text, **shared))
        if number < 120:
            records.append(fact("content", id=f"hidden-{number}") | shared | next(faults))
            records.append(fact("content", id=f"childs-{number}") | shared | {"account": CHILD, "kind": kind})
    return records, [
        fact("content", id=f"trailing-{number}", account=next(writers)) | next(faults) for number in range(TRAILING)
    ]


def _decided(batch: Batch, stages: Stages) -> tuple[World, dict[Thing, Facts]]:
    """Load everything into an oracle; return it, and each record as it stands in the end."""
    oracle, stated = oracle_for(batch), dict[Thing, Facts]()
    for clock, records in stages:
        for record in records:
            if oracle.load(json.dumps(record), clock) == "accepted":
                stated[record["record"], record["id"]] = record
    for hold in batch.holds:
        oracle.open_hold(hold.scope, hold.value, hold.opened_at, hold.lifted_at)
    return oracle, stated


class _Marking:
    """The marking of everything hidden by canaries: all but permitted items and their authors.

    Items keep their names, so that the two decisions can be compared, but for a canary before them.
    """

    def __init__(self, records: list[Facts], stated: dict[Thing, Facts], permitted: set[str]) -> None:
        self._permitted = permitted
        self._authors = {stated["content", item]["account"] for item in permitted}
        self.numbers: dict[str, str] = {}
        self._accounts: defaultdict[Thing, set[str]] = defaultdict(set)  # whose a thing is
        for record in sorted(records, key=lambda record: record["record"] == "objection"):
            for account in _accounts_of(record):
                self.numbers.setdefault(account, f"{len(self.numbers) + 1:04}")
            self._link(record)

    def _link(self, record: Facts) -> None:
        thing, account = (record["record"], record["id"]), record.get("account")
        if thing[0] == "account":
            account = record["id"]
            for link in _links(record):
                self._accounts[link].add(account)
        if thing[0] == "objection":
            self._accounts[thing] |= {each for link in _links(record) for each in self._accounts[link]}
        if account:
            self._accounts[thing].add(account)
            self._accounts["account", account].add(account)
        for reference in record.get("references", ()):
            if "account" in reference:
                self._accounts["account", reference["account"]].add(reference["account"])

    def _hidden(self, thing: Thing) -> bool:
        if thing[0] == "content":
            return thing[1] not in self._permitted
        return self._accounts[thing].isdisjoint(self._authors)

    def _number(self, thing: Thing) -> str:
        return min((self.numbers[account] for account in self._accounts[thing]), default=NOBODYS)

    def name(self, kind: str, name: str) -> str:
        """Name a thing anew where it may not be shown."""
        thing = (kind, name)
        if not self._hidden(thing):
            return name
        if kind == "contact":
            return _hash(self._number(thing), name)
        return f"{CANARY}-{kind}-{self._number(thing)}.{name}"

    def marked(self, record: Facts) -> Facts:
        """State a record with its canaries."""
        changed = record | {"id": self.name(record["record"], record["id"])}
        for field, kind in (
            ("account", "account"),
            ("person", "person"),
            ("contact", "contact"),
            ("parent", "content"),
        ):
            if record.get(field):
                changed[field] = self.name(kind, record[field])
        if "contacts" in record:
            changed["contacts"] = [self.name("contact", contact) for contact in record["contacts"]]
        if "references" in record:
            changed["references"] = [
                {name: value if name == "relation" else self.name(name, value) for name, value in each.items()}
                for each in record["references"]
            ]
        thing = ("content", record["id"])
        return changed | _bodies(record, self._number(thing)) if self._hidden(thing) and "text" in record else changed


def _accounts_of(record: Facts) -> list[str]:
    named = [each["account"] for each in record.get("references", ()) if "account" in each]
    own = record["id"] if record["record"] == "account" else record.get("account")
    return [own, *named] if own else named


def _links(record: Facts) -> Iterator[Thing]:
    """Name what ties accounts together: what an account has, or an objection names."""
    for kind in ("account", "person", "contact"):
        if record.get(kind):
            yield kind, record[kind]
    for contact in record.get("contacts", ()):
        yield "contact", contact


def _hash(number: str, of: str) -> str:
    return f"{HEX_CANARY}{number}{sha256(of.encode()).hexdigest()[12:]}"


def _bodies(record: Facts, number: str) -> Facts:
    """Put canaries into the free texts of an item; one that has neither text nor media stays without."""
    text, media = record.get("text"), record.get("media", [])
    private = record["kind"] == "PRIVATE_MESSAGE"
    shown, shot = ("whisper", "whisper") if private else ("text", "media")
    if text:
        text += f" {CANARY}-{shown}-{number} {FILLER} {CANARY}-{'whisper' if private else 'tail'}-{number}"
        text += f" {CANARY}-raw-{number}@example.org"
        media = [*media, {"type": "image/png", "deidentified": True}]
    told = {"type": f"image/{CANARY}-{shot}-{number}", "url": f"https://media.example.org/{CANARY}-{shot}-{number}"}
    told["alt"] = f"A heron. Write to {CANARY}-{'whisper' if private else 'raw'}-{number}@example.org"
    told["sha256"] = _hash(number, record["id"])
    language = f"en-{CANARY}-lang-{number}"
    return {"text": text, "language": language, "media": [medium | told for medium in media]}


_MARK = re.compile(rf"{CANARY}-(?P<place>[a-z]+)-(?P<number>\d{{4}})|{HEX_CANARY}(?P<hash>\d{{4}})")
_TOKEN = re.compile(r"(?<![\w-])[\w-]{22}(?![\w-])", re.ASCII)


def heard(answer: str, places: Collection[str] = (), number: str | None = None) -> list[str]:
    """Find the forbidden canaries in an answer: all but those of some places, or of one account there.

    One that is cut short, or written otherwise, is found as well.
    """
    lowered = answer.lower()
    marks = list(_MARK.finditer(lowered))
    found = [
        mark[0] for mark in marks
        if (mark["place"] or "hash") not in places or number not in (None, mark["number"] or mark["hash"])
    ]  # fmt: skip
    whole = sum(lowered.count(each) for each in (CANARY, HEX_CANARY))
    return found + [f"a piece of a {CANARY}"] * (whole - len(marks))


def readings(answer: str, audience: str) -> list[Reading]:
    """Read every opaque id of an audience in an answer, in their order: what it numbers, and the number."""
    ids = ids_of(SECRET, audience)
    return [found for token in _TOKEN.findall(answer) if (found := ids.decode(token))]


def canary_database(cluster: str, world: CanaryWorld, data: Path) -> str:
    """Load a world into a database of its own, with statistics; return the administrator's URL."""
    url = copy_database(f"{cluster.rpartition('/')[0]}/template_of_tests")
    asyncio.run(_load(url, world, data))
    with psycopg.connect(url, autocommit=True) as connection:
        # The background removes the texts of what is deleted; here they stay, to be heard.
        connection.execute("UPDATE grounds.content SET purged_at = now() WHERE deleted_at IS NOT NULL")
        connection.execute("ANALYZE")
    return url


async def _load(url: str, world: CanaryWorld, data: Path) -> None:
    async with open_gateway(url, data) as gateway:
        await enforce(gateway, world.batch)
        _, differing = await load(gateway, world.batch)
        assert not differing
        gateway.set_clock(NOW)


def copy_database(url: str) -> str:
    """Copy a database that nobody is connected to; return the copy's URL."""
    server, _, template = url.rpartition("/")
    name = f"world_{uuid4().hex}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy".encode())
    return f"{server}/{name}"


@contextmanager
def copy_of(url: str) -> Iterator[str]:
    """Work on a copy of a database, and drop it."""
    made = copy_database(url)
    try:
        yield made
    finally:
        server, _, name = made.rpartition("/")
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
