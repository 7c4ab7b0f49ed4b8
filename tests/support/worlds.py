"""Make worlds of facts, random but dense where a rule turns, and the same for the same seed.

A batch is many small worlds that share a policy, holds and clocks but no id, so that one database tries them all.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, timezone
from random import Random
from typing import Any

from tests.promises.oracle import DEFAULT_POLICY, Feature, Features
from tests.support.world_features import campaigns, further

# What the gateway does already. Add a feature in the commit that builds it: the worlds then have its facts, and the
# oracle decides by its rules. With all of them the oracle is the specification.
BUILT_FEATURES: Features = frozenset(
    {
        Feature.ASSESSMENTS,
        Feature.BLANK_TEXT,
        Feature.CAMPAIGNS,
        Feature.CONSENT,
        Feature.CONTACT_REFERENCES,
        Feature.CONVERSATION,
        Feature.FAMILIES,
        Feature.MEDIA_ALT,
        Feature.MINORS_SCANNER,
        Feature.NOTICES_SET_ASIDE,
        Feature.OBJECTIONS_WIDEN,
        Feature.PARENTS,
        Feature.PERSONAL_SPANS,
        Feature.PHONE,
        Feature.POLICY_FLOORS,
        Feature.PRIVATE_FOR_EVER,
        Feature.QUARANTINE_FROM_LOADING,
        Feature.QUARANTINE_REACH,
        Feature.RIGHTS_SOURCES,
        Feature.SIGNALS,
        Feature.STALE_LINES,
        Feature.TAKING_BACK,
        Feature.UNLISTED,
    }
)

MARK = "c0de"  # begins every id and hash of a batch, so that its lines can be loaded once more under another mark
TICK = timedelta(microseconds=1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PROGRAMME_START = datetime(2025, 5, 27, 12, tzinfo=UTC)
ZONES = [UTC, UTC, timezone(timedelta(hours=2)), timezone(timedelta(hours=-9, minutes=-30)), timezone(14 * HOUR)]
COVERED = ["POST", "POST", "PHOTO", "CAPTION", "COMMENT", "COMMENT", "AI_INTERACTION"]
KINDS = [*COVERED, "VIDEO", "AUDIO", "PRIVATE_MESSAGE", "BUSINESS_MESSAGE"]
PRODUCTS = ["FACEBOOK", "INSTAGRAM", "MESSENGER", "WHATSAPP", "THREADS"]
STATUSES = ["DEACTIVATED", "DELETION_PENDING", "DELETED", "MEMORIALISED", "SUSPENDED"]
# Birth dates, and the noon from which on the person is an adult.
ADULTHOODS = [
    ("2004-02-29", "2022-03-01"),
    ("2008-02-29", "2026-03-01"),
    ("2005-02", "2023-02-28"),
    ("2008-02", "2026-03-01"),
    ("2007", "2025-12-31"),
    ("2005-11", "2023-11-30"),
    ("2007-05-27", "2025-05-27"),
]

Facts = dict[str, Any]


@dataclass(frozen=True)
class Hold:
    scope: str
    value: str | None
    opened_at: datetime
    lifted_at: datetime | None


@dataclass(frozen=True)
class Batch:
    """A batch: the facts with their times, the policies and holds, and the instants to decide at."""

    seed: int
    policy: Facts
    stages: list[tuple[datetime, list[bytes]]]  # the clock, and the lines that arrive then
    holds: list[Hold]
    instants: list[datetime]
    features: Features = BUILT_FEATURES
    campaigns: tuple[bytes, ...] = ()  # lines that arrive before the policy is in force


def make_batch(
    seed: int, worlds: int, instants: int = 5, features: Features = BUILT_FEATURES, now: datetime | None = None
) -> Batch:
    """Make a batch of some worlds, to be decided at some instants; a world has 23 lines or so about 7 items.

    Its facts turn around `now`: an instant that the seed chooses, unless one is given.
    """
    random = Random(seed)
    now = now or _instant_of_decision(random)
    policy = DEFAULT_POLICY if random.random() < 0.5 else _policy(random, seed, now, features)
    taken_back = timedelta(days=policy["dwell"]["taken_back_days"])
    loaded_at = sorted(
        {now - 60 * DAY, *random.sample([now - taken_back, now - taken_back + TICK, now - HOUR, now], 2)}
    )
    decided_at = [now, now - TICK, now + TICK, now + taken_back]
    decided_at += (_around(random, now + random.randrange(-20, 90) * DAY) for _ in range(instants - len(decided_at)))
    stages: list[tuple[datetime, list[bytes]]] = [(clock, []) for clock in loaded_at]
    holds = _holds(random, now, timedelta(hours=policy["dwell"]["hold_hours"]))
    for number in range(worlds):
        maker = _Maker(random, f"{MARK}{number:04x}", policy, now, decided_at)
        maker.features = features
        for line in maker.lines(loaded_at):
            random.choice(stages)[1].append(line)
        holds += maker.holds()
    for _, lines in stages:
        random.shuffle(lines)
    told = campaigns(policy, random, now) if Feature.CAMPAIGNS in features else []
    return Batch(seed, policy, stages, holds, decided_at, features, tuple(told))


def _instant_of_decision(random: Random) -> datetime:
    special = [PROGRAMME_START, *(datetime.fromisoformat(f"2026-{day}T12:00Z") for day in ("02-28", "03-01", "01-01"))]
    if random.random() < 0.3:
        return random.choice(special)
    day = PROGRAMME_START + random.randrange(1, 600) * DAY
    return day if random.random() < 0.7 else day + timedelta(microseconds=random.randrange(86_400_000_000))


def _policy(random: Random, seed: int, now: datetime, features: Features) -> Facts:
    """Make a policy: other kinds and products, often a ground OPTED_IN, other dwells, and an end near `now`."""
    kinds = sorted(set(KINDS) - {"PRIVATE_MESSAGE", "BUSINESS_MESSAGE"})
    random.shuffle(kinds)
    grounds: Facts = {}
    for ground in random.sample(["PUBLIC_CONTENT", "AI_INTERACTION", "OPTED_IN"], random.choice([1, 2, 3])):
        count = random.choice([2, 3])
        grounds[ground] = {"kinds": kinds[:count], "products": random.sample(PRODUCTS, random.choice([1, 3, 5]))}
        del kinds[:count]
    starts = [DEFAULT_POLICY["effective_from"], _around(random, now).isoformat(), "2025-01-01T00:00:00+02:00"]
    ends = [None, None, *(at.isoformat() for at in (_around(random, now + DAY), now + 2 * TICK, now + 3 * TICK))]
    dwell = {name: random.choice([0, 1, 5, count]) for name, count in DEFAULT_POLICY["dwell"].items()}
    periods = [0, 14, 30]
    if Feature.POLICY_FLOORS in features:
        periods, dwell["withdrawal_days"] = [14, 15, 30], max(1, dwell["withdrawal_days"])
    purposes = ["GENAI_TRAINING", "ADVERTISING"] if Feature.CAMPAIGNS in features and random.random() < 0.5 else []
    return DEFAULT_POLICY | {
        "version": f"made-{seed}",
        "effective_from": random.choice(starts),
        "effective_until": random.choice(ends),
        "regions": random.choice([["IE"], ["IE", "FR", "US"]]),
        "account_kinds": random.choice([["PERSONAL"], ["PERSONAL", "PAGE"]]),
        "notice": {"epoch": random.choice(["2025-04", "2026-01"]), "period_days": random.choice(periods)},
        **({"names": random.choice(["required", "optional"])} if Feature.PERSONAL_SPANS in features else {}),
        "purposes": purposes or DEFAULT_POLICY["purposes"],
        "dwell": dwell,
        "grounds": grounds,
    }


def _holds(random: Random, now: datetime, dwell: timedelta) -> list[Hold]:
    """Make holds on everything, countries and products, that end or begin about `now`."""
    holds = []
    lifted = [None, _around(random, now - dwell), now - dwell - DAY]
    if random.random() < 0.3:
        holds.append(Hold("GLOBAL", None, now - 90 * DAY, random.choice(lifted[1:])))
    for value in random.sample(["IT", "FR", "US"], random.choice([0, 1, 2])):
        opened_at = random.choice([now - 90 * DAY, now - dwell - DAY, _around(random, now)])
        holds.append(Hold("COUNTRY", value, opened_at, max(opened_at, random.choice(lifted) or now)))
    if random.random() < 0.4:
        value = random.choice(["MESSENGER", "INSTAGRAM"])
        holds.append(Hold("PRODUCT", value, now - 90 * DAY, random.choice(lifted)))
    return holds


def _around(random: Random, instant: datetime) -> datetime:
    return instant + random.choice([-TICK, 0 * TICK, TICK])


class _Maker:
    """A generator of one world: facts that would all pass, each with none, one or two changes."""

    def __init__(self, random: Random, tag: str, policy: Facts, now: datetime, instants: list[datetime]) -> None:
        self.random, self.tag, self.policy, self.now, self.instants = random, tag, policy, now, instants
        self.features = BUILT_FEATURES
        self.accounts = [f"{tag}.a{number}" for number in range(random.choice([2, 3, 4]))]
        self.anyone = [*self.accounts, *self.accounts, f"{tag}.nobody"]
        self.persons = [f"{tag}.p{number}" for number in range(2)]
        self.contacts = [f"{tag}{number:056x}" for number in range(2)]
        self.items = [f"{tag}.c{number}" for number in range(random.randint(5, 11))]
        self.birth, adult_on = random.choice(ADULTHOODS)
        adult_at = datetime.combine(datetime.fromisoformat(adult_on), time(12), UTC)
        self.moments = [now - 200 * DAY, now - 40 * DAY, adult_at, adult_at - TICK]
        self.observed = [now - days * DAY for days in (80, 70, 65, 20)]
        self.kinds = [kind for ground in policy["grounds"].values() for kind in ground["kinds"]]

    def lines(self, clocks: list[datetime]) -> list[bytes]:
        """Make every line: each record in one version or more, bad and repeated lines among them."""
        records = [self.account(name) for name in self.accounts]
        records += [self.content(name) for name in self.items]
        records += [self.notice(f"{self.tag}.n{number}") for number in range(len(self.accounts))]
        records += [self.objection(f"{self.tag}.o{number}") for number in range(self.random.choice([0, 0, 1, 2]))]
        records += [self.consent(f"{self.tag}.k{number}") for number in range(self.random.choice([0, 1, 4]))]
        for record in list(records):
            while self.random.random() < 0.25:
                records.append(self.again(record))
        records = [further(record, self.features, self.random, self.items, self.contacts) for record in records]
        for record in records:
            record["observed_at"] = self.stamp(self.random.choice(self.observed))
        lines = [json.dumps(record).encode() + self.random.choice([b"", b"", b"\r"]) for record in records]
        for record in self.random.choices(records, k=self.random.choice([0, 0, 1, 3])):
            lines.append(self.bad(self.again(record) | {"observed_at": record["observed_at"]}, clocks))
        return lines + self.random.choices(lines, k=self.random.choice([0, 1]))

    def again(self, record: Facts) -> Facts:
        """State a record another time: as it was but for one thing, or afresh."""
        fresh: Facts = getattr(self, record["record"])(record["id"])
        if self.random.random() < 0.5:
            return fresh
        changed = [name for name in fresh if name in record and fresh[name] != record[name]]
        return record | {name: fresh[name] for name in self.random.sample(changed, min(1, len(changed)))}

    def holds(self) -> list[Hold]:
        """Make a hold on an account, or none."""
        if self.random.random() < 0.8:
            return []
        lifted_at = self.random.choice([None, self.turn("hold_hours"), self.now - 80 * DAY])
        return [Hold("ACCOUNT", self.random.choice(self.anyone), self.now - 90 * DAY, lifted_at)]

    def stamp(self, at: datetime) -> str:
        """Write an instant in some zone."""
        return at.astimezone(self.random.choice(ZONES)).isoformat().replace("+00:00", "Z")

    def turn(self, dwell: str) -> datetime:
        """Choose an instant at which a dwell that began then ends, or a tick beside it."""
        count, unit = self.policy["dwell"][dwell], dwell.rpartition("_")[2]
        return _around(self.random, self.random.choice(self.instants) - timedelta(**{unit: count}))

    def maybe(self, *instants: datetime | None) -> str | None:
        """Write one of some instants, None and an instant in the future among them."""
        chosen = self.random.choice([*instants, None, self.now + 100 * DAY])
        return None if chosen is None else self.stamp(chosen)

    def otherwise(self, record: Facts, changes: dict[str, Callable[[], Any]]) -> Facts:
        """State none, one or two fields of a record otherwise."""
        names = self.random.sample(sorted(changes), self.random.choice([0, 0, 0, 0, 1, 1, 2]))
        return record | {name: changes[name]() for name in names}

    def account(self, name: str) -> Facts:
        """State an account."""
        choice = self.random.choice
        record = {
            "record": "account", "id": name, "person": choice([None, None, *self.persons]),
            "product": choice(["FACEBOOK", "INSTAGRAM"]), "kind": "PERSONAL", "born_on": "1990-06-15", "country": "IE",
            "status": "ACTIVE", "status_since": "2020-02-02T00:00:00Z", "compromised": [],
            "contacts": choice([[], [], self.contacts[:1], self.contacts]),
        }  # fmt: skip
        return self.otherwise(record, {
            "product": lambda: choice(PRODUCTS[: 5 if "THREADS" in str(self.policy["grounds"]) else 4]),
            "kind": lambda: choice(["PAGE", "BUSINESS"]),
            "born_on": lambda: choice([self.birth, self.birth, self.birthday(), "2012", None]),
            "country": lambda: choice([None, "US", "FR", "IT"]),
            "status": lambda: choice(STATUSES),
            "status_since": lambda: self.maybe(self.turn("account_days"), self.turn("account_days")),
            "compromised": lambda: [self.window() for _ in range(choice([1, 2]))],
            "person": lambda: choice([None, *self.persons]),
        })  # fmt: skip

    def birthday(self) -> str:
        """Choose a birth date that makes an adult of a person within a day of a decision."""
        day = (self.random.choice(self.instants) + self.random.choice([-1, 0, 1]) * DAY).date()
        whole = f"{day.year - 18}-{day:%m-%d}" if (day.month, day.day) != (2, 29) else f"{day.year - 18}-03-01"
        return whole[: self.random.choice([10, 10, 7, 4])]

    def window(self) -> Facts:
        """Choose when an account was compromised: from, until, or about a moment at which items are made."""
        start, end = (_around(self.random, self.random.choice(self.moments)) for _ in range(2))
        if start > end:
            start, end = end, start
        return {
            "from": self.random.choice([self.stamp(start), None]),
            "to": self.random.choice([self.stamp(end), None]),
        }

    def content(self, name: str) -> Facts:
        """State an item."""
        choice, kind = self.random.choice, self.random.choice([*COVERED, *self.kinds])
        scan: Callable[[], Any] = lambda: choice(["CLEAR", "CLEAR", "FLAGGED", None])  # noqa: E731
        record = {
            "record": "content", "id": name, "account": choice(self.accounts), "kind": kind,
            "audience": None if kind == "AI_INTERACTION" else "PUBLIC", "audience_since": "2024-01-01T00:00:00Z",
            "language": choice(["en", "de-AT", None]), "text": f"A note about the weather, number {name[-2:]}.",
            "media": [], "created_at": self.stamp(choice(self.moments)), "rights": [],
            "references": choice([[], [], [], [{"account": choice(self.accounts), "relation": "MENTION"}]]),
            "parent": choice([*self.items, f"{self.tag}.none"]) if kind in ("COMMENT", "CAPTION") else None,
            "conversation": "ASSISTANT_ONLY" if kind == "AI_INTERACTION" else None,
            "scans": {"special_category": "CLEAR", "safety": "CLEAR", "minors": "CLEAR"},
        }  # fmt: skip
        return self.otherwise(record, {
            "account": lambda: choice(self.anyone),
            "kind": lambda: choice(KINDS),
            "audience": lambda: choice(["UNLISTED", "FRIENDS", "GROUP", "ONLY_ME", None]),
            "audience_since": lambda: self.maybe(self.turn("audience_days"), self.turn("audience_days")),
            "conversation": lambda: choice(["GROUP", None]),
            "text": lambda: choice([None, "", "Another note."]),
            "media": lambda: [self.medium() for _ in range(choice([1, 1, 2]))],
            "created_at": lambda: self.stamp(choice([*self.moments, self.turn("content_hours")])),
            "edited_at": lambda: self.maybe(self.turn("content_hours"), self.moments[0]),
            "deleted_at": lambda: self.maybe(self.now - DAY, self.now - DAY),
            "parent": lambda: choice([*self.items, None]),
            "references": lambda: [
                self.named() | {"relation": choice(["TAG", "QUOTE"])} for _ in range(choice([1, 1, 3]))
            ],
            "rights": lambda: [{"source": "C2PA", "train_ai": choice(["y", "n", "n", "unknown"])}
                               for _ in range(choice([1, 2]))],
            "scans": lambda: choice([
                None, {"special_category": scan(), "safety": scan(), "minors": scan()}, {"safety": scan()},
                {"special_category": "CLEAR", "safety": "CLEAR", "minors": scan()},
            ]),
        })  # fmt: skip

    def named(self) -> Facts:
        """Name somebody, by an account or by a contact."""
        if self.random.random() < 0.6:
            return {"account": self.random.choice(self.anyone)}
        return {"contact": self.random.choice([*self.contacts, f"{self.tag}{9:056x}"])}

    def medium(self) -> Facts:
        """State a medium."""
        return {"type": "image/png", "url": "https://media.example.org/1.png"} | self.random.choice(
            [{"deidentified": True}, {"deidentified": True}, {"deidentified": False}, {}]
        )

    def notice(self, name: str) -> Facts:
        """State a notice: one to each account, or to another."""
        choice = self.random.choice
        record = {
            "record": "notice", "id": name, "account": self.accounts[int(name[-1])], "epoch": "2026-01",
            "channel": choice(["IN_APP", "EMAIL"]), "delivered_at": "2025-02-03T04:05:06Z",
        }  # fmt: skip
        return self.otherwise(record, {
            "account": lambda: choice(self.anyone),
            "epoch": lambda: choice(["2025-03", "2025-04", "2025-12", "2027-01"]),
            "delivered_at": lambda: self.maybe(*(self.delivery() for _ in range(3)), _around(self.random, self.now)),
            "bounced_at": lambda: self.maybe(self.now - DAY, self.now - 300 * DAY),
        })  # fmt: skip

    def delivery(self) -> datetime:
        """Choose a delivery whose notice period ends within days of a decision, about the turn of the day at UTC+14."""
        ends_on = self.random.choice(self.instants).date() - self.random.choice([1, 1, 2, 3]) * DAY
        day = ends_on - timedelta(days=self.policy["notice"]["period_days"])
        return _around(self.random, datetime.combine(day, time(10), UTC) - self.random.choice([0, 1]) * DAY)

    def objection(self, name: str) -> Facts:
        """State an objection."""
        choice, received_at = self.random.choice, self.random.choice([self.now - 400 * DAY, self.now + DAY])
        targets = {
            "account": choice([*self.anyone, f"{self.tag}.later"]),
            "person": choice([*self.persons, f"{self.tag}.p9"]),
            "contact": choice([*self.contacts, f"{self.tag}{9:056x}"]),
        }
        named = self.random.sample(sorted(targets), choice([1, 1, 1, 2]))
        withdrawn = [None, *(self.turn("withdrawal_days") for _ in range(2)), _around(self.random, received_at)]
        return {
            "record": "objection", "id": name,
            "scope": choice(["ALL", "PUBLIC_CONTENT", "AI_INTERACTIONS"]), "received_at": self.stamp(received_at),
            "channel": choice(["FORM", "LETTER"]), "withdrawn_at": self.maybe(*withdrawn),
        } | {name: targets[name] for name in named}  # fmt: skip

    def consent(self, name: str) -> Facts:
        """State a consent."""
        given = [self.now - 100 * DAY, self.now - 10 * DAY]
        instants = [*given, _around(self.random, given[0]), _around(self.random, self.now)]
        return {
            "record": "consent", "id": name,
            "account": self.random.choice(self.anyone), "given_at": self.maybe(*given, *instants),
            "withdrawn_at": self.random.choice([None, None, None, self.maybe(*instants)]),
        }  # fmt: skip

    def bad(self, record: Facts, clocks: list[datetime]) -> bytes:
        """Write a record in a way that has to be set aside, whole or broken."""
        choice = self.random.choice
        ahead = [self.stamp(choice(clocks) + timedelta(minutes=5) + tick) for tick in (TICK, 0 * TICK)]
        wrong: Facts = choice([
            {"kind": "PUBLIK"}, {"scope": "SOME"}, {"epoch": "spring"}, {"given_at": "soon"}, {"nickname": "?"},
            {"country": "ie"}, {"media": None}, {"contacts": None}, {"account": None}, {"account": 7}, {"id": None},
            {"id": "i" * 2049}, {"id": ""}, {"text": "\ud800"}, {"person": "a\0b"}, {"record": "contents"},
            {"record": ["account"]}, {"observed_at": "yesterday"}, {"observed_at": None}, {"observed_at": 7},
            {"observed_at": "2026-01-03T00:00:00"}, {"observed_at": ahead[0]}, {"observed_at": ahead[1]},
        ])  # fmt: skip
        stated = list((record | wrong).items())
        self.random.shuffle(stated)
        line = json.dumps(dict(stated), ensure_ascii=choice([True, False])).encode("utf-8", "surrogatepass")
        how = self.random.random()
        if how < 0.2:
            return line[: self.random.randrange(1, len(line))]
        if how < 0.3:
            return line[:-1] + choice([b"", b",", b', "more": \xff}', b"}}", b', "n": NaN}'])
        return line
