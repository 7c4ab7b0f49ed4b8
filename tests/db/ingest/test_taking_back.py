"""Taking back waits, in whatever order versions arrive, and an item of a private kind stays one."""

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import permutations, product
from typing import Any

import pytest

from tests.support.facts import DAY, NOW, SCANS, fact
from tests.support.gateway import TestGateway
from tests.support.mutants import Killed
from tests.support.retractions import alter, settled

pytestmark = pytest.mark.database

OTHER = {"account": "friend", "relation": "TAG"}
MEDIUM = {"type": "image/png", "url": "https://media.example.org/1.png"}
# What an item's version says otherwise than a good one, and whether to say so no longer takes something back.
OF_ITEMS: dict[str, tuple[dict[str, Any], bool]] = {
    "deletion": ({"deleted_at": "2026-01-01T00:00:00Z"}, True),
    "reservation": ({"rights": [{"source": "C2PA", "train_ai": "n"}]}, True),
    "special category": ({"scans": {"special_category": "FLAGGED", "safety": "CLEAR"}}, True),
    "safety": ({"scans": {"special_category": "CLEAR", "safety": "FLAGGED"}}, True),
    "audience": ({"audience": "FRIENDS"}, True),
    "kind": ({"kind": "VIDEO"}, True),
    "account": ({"account": "friend"}, True),
    "reference": ({"references": [OTHER]}, True),
    "parent": ({"parent": "another"}, True),
    "de-identification": ({"media": [MEDIUM | {"deidentified": False}]}, True),
    "another kind": ({"kind": "COMMENT"}, False),
    "an unknown audience": ({"audience": None}, False),
    "another text": ({"text": "Something else."}, False),
}
OF_ACCOUNTS: dict[str, tuple[dict[str, Any], bool]] = {
    "deletion": ({"status": "DELETED"}, True),
    "status": ({"status": "SUSPENDED"}, True),
    "kind": ({"kind": "PAGE"}, True),
    "country": ({"country": "US"}, True),
    "birth date": ({"born_on": "2012"}, True),
    "compromised": ({"compromised": [{"from": "2025-01-01T00:00:00Z", "to": "2025-02-01T00:00:00Z"}]}, True),
    "another country": ({"country": "FR"}, False),
    "another birth date": ({"born_on": "1980"}, False),
}
WAITS = "SELECT platform_id, reverted_at > '-infinity' FROM grounds.content WHERE platform_id <> 'another'"


@pytest.fixture
async def people(gateway: TestGateway) -> TestGateway:
    gateway.set_clock(NOW)
    await gateway.ingest([fact("account"), fact("notice"), fact("account", id="friend")])
    return gateway


async def test_an_item_waits_whichever_version_comes_first(people: TestGateway) -> None:
    lines, expected = [], {}
    for name, (stated, waits) in OF_ITEMS.items():
        for order in permutations([(2, {}), (3, stated), (4, {})]):
            identity = f"{name} {[day for day, _ in order]}"
            lines += [fact("content", day, id=identity) | said for day, said in order]
            expected[identity] = waits
    answer = await people.ingest(lines)
    assert answer["total"]["rejected"] == 0
    assert dict(people.execute(WAITS)) == expected
    again = await people.ingest(lines)
    assert again["total"]["accepted"] == 0
    good = {node for node, (allowed, *_) in (await people.decisions()).items() if allowed}
    assert good == {identity for identity, waits in expected.items() if not waits} - {"another"}


async def test_an_account_waits_whichever_version_comes_first(people: TestGateway) -> None:
    lines, expected = [], {}
    for name, (stated, waits) in OF_ACCOUNTS.items():
        for order in permutations([(2, {}), (3, stated), (4, {})]):
            identity = f"{name} {[day for day, _ in order]}"
            lines += [fact("account", day, id=identity) | said for day, said in order]
            expected[identity] = waits
    await people.ingest(lines)
    waiting = "SELECT a.platform_id, s.reverted_at > '-infinity' FROM grounds.account_standing s"
    found = dict(people.execute(f"{waiting} JOIN grounds.account a ON a.id = s.account"))
    assert {name: found[name] for name in expected} == expected


# How a version says that a fact fails, that it is not known, and that it passes.
STATES: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "audience": ("content", [{"audience": "FRIENDS"}, {"audience": None}, {}]),
    "scan": ("content", [{"scans": {**SCANS, "safety": said}} for said in ("FLAGGED", None, "CLEAR")]),
    "country": ("account", [{"country": "US"}, {"country": None}, {}]),
    "birth date": ("account", [{"born_on": "2012"}, {"born_on": None}, {}]),
}
FAILS, UNKNOWN, PASSES = range(3)


def last_wait(history: Sequence[int], loaded: Sequence[int]) -> int | None:
    """Return the day of the last load that takes something back, given the day on which each version was loaded.

    A failing version is taken back by the version after it that is unknown, and by the next known one that passes.
    """
    days = []
    for place, state in enumerate(history):
        known = [before for before in range(place) if history[before] != UNKNOWN]
        if known and history[known[-1]] == FAILS and (state == PASSES or (state == UNKNOWN and known[-1] == place - 1)):
            days.append(max(loaded[known[-1]], loaded[place]))
    return max(days, default=None)


async def kept_differently(
    people: TestGateway, cases: Iterable[tuple[str, Sequence[int], Sequence[int]]]
) -> str | None:
    """Load versions, one a day; return a case in which the wait begins on another day than it should.

    A case is the name of a fact, its states in the order of `observed_at`, and the order in which they are loaded.
    """
    days: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    expected = {}
    for name, history, order in cases:
        identity = f"{name} {history} {order}"
        record, states = STATES[name]
        for day, place in enumerate(order):
            days[day].append(fact(record, 2 + place, id=identity) | states[history[place]])
        expected[identity] = last_wait(history, [order.index(place) for place in range(len(history))])
    for day, lines in days.items():
        people.set_clock(NOW + day * DAY)
        await people.ingest(lines)
    since = "CASE WHEN {0}.reverted_at > '-infinity' THEN extract(day FROM {0}.reverted_at - %s)::int END"
    accounts = f"SELECT a.platform_id, {since.format('s')} FROM grounds.account_standing s"
    found = dict(people.execute(f"{accounts} JOIN grounds.account a ON a.id = s.account", NOW))
    found |= dict(people.execute(f"SELECT c.platform_id, {since.format('c')} FROM grounds.content c", NOW))
    return next((name for name in expected if found[name] != expected[name]), None)


EVERY_ORDER = [
    (name, history, order)
    for name, history, order in product(STATES, product(range(3), repeat=3), permutations(range(3)))
]


async def test_what_was_last_known_is_the_same_in_every_order_of_arrival(people: TestGateway) -> None:
    assert await kept_differently(people, EVERY_ORDER) is None


async def test_what_was_last_known_is_carried_over_several_versions(people: TestGateway) -> None:
    shuffled = random.Random(5)
    cases = [
        (name, tuple(shuffled.choices(range(3), k=5)), tuple(shuffled.sample(range(5), 5)))
        for name in STATES
        for _ in range(100)
    ]
    assert await kept_differently(people, cases) is None


@pytest.mark.parametrize(
    ("known", "kept", "lost"),
    [
        ("facts", "coalesce(before.last_failing_facts, 0)", "0"),
        ("countries", "coalesce(after.country, before.last_country)", "after.country"),
        ("birth dates", "coalesce(after.adult_from, before.last_adult_from)", "after.adult_from"),
    ],
)
async def test_a_late_line_that_forgets_what_was_last_known_is_noticed(
    people: TestGateway, known: str, kept: str, lost: str, killed: Killed
) -> None:
    carry = "carry_last_known(grounds.stated_version, grounds.stated_version)"
    alter(people, carry, (kept, lost))
    late = [(name, (FAILS, UNKNOWN, PASSES, PASSES), order) for name, order in product(STATES, permutations(range(4)))]
    killed(f"{known} before a late line", "carry_last_known", await kept_differently(people, late))


async def test_a_late_version_restarts_the_dwell_when_it_is_loaded(people: TestGateway) -> None:
    await people.ingest([fact("content", 4)])
    assert len(await people.pull()) == 1
    people.set_clock(NOW + DAY)
    late = fact("content", 3, deleted_at="2026-01-03T00:00:00Z")
    await people.ingest([late])
    assert await people.pull() == []
    people.set_clock(NOW + 2 * DAY)
    assert (await people.ingest([late]))["total"]["stale"] == 1
    # Another client: this one can be overdue with what it was told.
    people.set_clock(NOW + 8 * DAY - timedelta(microseconds=1))
    assert await people.pull(client="another") == []
    people.set_clock(NOW + 8 * DAY)
    assert len(await people.pull(client="another")) == 1, "the same line again changes nothing"


async def test_time_that_passes_takes_nothing_back(people: TestGateway) -> None:
    young = {"born_on": (NOW + DAY).date().replace(year=NOW.year - 18).isoformat()}
    await people.ingest([fact("content"), fact("account", 3, **young)])
    assert await people.pull() == []
    people.set_clock(NOW + 2 * DAY)
    await people.ingest([fact("account", 4, country="FR", **young)])
    assert people.execute("SELECT count(*) FROM grounds.account_standing WHERE reverted_at > '-infinity'") == [(0,)]


async def test_a_bounce_that_is_taken_back_waits_in_any_order(people: TestGateway) -> None:
    bounced = fact("notice", 3, bounced_at="2025-04-15T00:00:00Z")
    await people.ingest([fact("content"), fact("notice", 4)])
    assert len(await people.pull()) == 1
    await people.ingest([bounced])
    assert await people.pull() == []
    people.set_clock(NOW + 7 * DAY)
    assert len(await people.pull(client="another")) == 1


# What a version of a notice says: of which account, and whether the notice bounced.
NOTICE_STATES = [("a", True), ("a", False), ("b", True), ("b", False)]


def accounts_that_wait(history: Sequence[int], loaded: Sequence[int]) -> dict[str, int]:
    """Return the accounts that wait for a notice, each with the day from which on.

    An account waits for a version that did not bounce, if the notice bounced in the version before it. Versions between
    the two that name another account, and did not bounce, do not count.
    """
    days: dict[str, int] = {}
    for place, state in enumerate(history):
        account, bounced = NOTICE_STATES[state]
        earlier = [NOTICE_STATES[history[before]] for before in range(place)]
        counting = [before for before, (named, did) in enumerate(earlier) if did or named == account]
        if not bounced and counting and earlier[counting[-1]][1]:
            days[account] = max(days.get(account, 0), loaded[counting[-1]], loaded[place])
    return days


async def bounces_kept_differently(people: TestGateway, lengths: Sequence[int]) -> str | None:
    """Load versions of notices, one a day; return an account that waits from another day than it should."""
    days: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    expected: dict[str, int | None] = {}
    for length in lengths:
        for history, order in product(product(range(4), repeat=length), permutations(range(length))):
            identity = f"{history} {order}"
            days[-1] += [fact("account", id=f"{name} {identity}") for name in "ab"]
            for day, place in enumerate(order):
                account, bounced = NOTICE_STATES[history[place]]
                said = {"bounced_at": "2025-04-15T00:00:00Z" if bounced else None}
                days[day].append(fact("notice", 2 + place, id=identity, account=f"{account} {identity}") | said)
            waits = accounts_that_wait(history, [order.index(place) for place in range(length)])
            expected |= {f"{name} {identity}": waits.get(name) for name in "ab"}
    for day, lines in sorted(days.items()):
        people.set_clock(NOW + day * DAY)
        await people.ingest(lines)
    since = "CASE WHEN s.reverted_at > '-infinity' THEN extract(day FROM s.reverted_at - %s)::int END"
    accounts = f"SELECT a.platform_id, {since} FROM grounds.account_standing s"
    found = dict(people.execute(f"{accounts} JOIN grounds.account a ON a.id = s.account", NOW))
    return next((name for name in expected if found[name] != expected[name]), None)


async def test_each_account_waits_for_a_bounced_notice_in_every_order_of_arrival(people: TestGateway) -> None:
    assert await bounces_kept_differently(people, [2, 3]) is None


# The versions of some items in their order, and whether `x` waits.
OF_FAMILIES: dict[str, tuple[list[tuple[str, dict[str, Any]]], bool]] = {
    "a post that loses a caption": (
        [("y", {"kind": "CAPTION", "parent": "x"}), ("y", {"kind": "CAPTION", "parent": "z"}), ("x", {})],
        False,
    ),
    "a post that loses a caption and becomes one": (
        [
            *(("x", {}), ("y", {"kind": "CAPTION", "parent": "x"}), ("y", {"kind": "CAPTION", "parent": "z"})),
            ("x", {"kind": "CAPTION", "parent": "y"}),
        ],
        False,
    ),
    "a photo that loses a caption": (
        [("x", {"kind": "PHOTO"}), ("y", {"kind": "CAPTION", "parent": "x"}), ("y", {})],
        True,
    ),
    "a photo that becomes a caption": (
        [
            ("x", {"kind": "PHOTO"}),
            ("y", {"kind": "CAPTION", "parent": "x"}),
            ("x", {"kind": "CAPTION", "parent": "z"}),
        ],
        True,
    ),
    "a photo that loses a caption and becomes a post": (
        [("x", {"kind": "PHOTO"}), ("y", {"kind": "CAPTION", "parent": "x"}), ("y", {}), ("x", {})],
        True,
    ),
    "a caption that stays as a comment": (
        [
            ("y", {"kind": "PHOTO"}),
            ("x", {"kind": "CAPTION", "parent": "y"}),
            ("x", {"kind": "COMMENT", "parent": "y"}),
        ],
        True,
    ),
    "a caption whose photo becomes a post": (
        [("y", {"kind": "PHOTO"}), ("x", {"kind": "CAPTION", "parent": "y"}), ("y", {})],
        True,
    ),
    "a caption whose photo turns out to be private": (
        [
            *(("y", {"kind": "PRIVATE_MESSAGE"}), ("y", {"kind": "PHOTO"}), ("x", {"kind": "CAPTION", "parent": "y"})),
            *(("z", {"kind": "CAPTION", "parent": "y"}), ("z", {})),
        ],
        True,
    ),
    "a photo to which another photo's caption moved": (
        [
            ("x", {"kind": "PHOTO"}),
            ("y", {"kind": "CAPTION", "parent": "z"}),
            ("y", {"kind": "CAPTION", "parent": "x"}),
        ],
        True,
    ),
}


async def families_kept_differently(people: TestGateway) -> str | None:
    """Load versions of two items in every order at once; return a case in which one waits otherwise than it should."""
    lines, expected = [], {}
    for name, (versions, waits) in OF_FAMILIES.items():
        for order in permutations(range(len(versions))):
            tag = f"{name} {order}"
            for place in order:
                item, said = versions[place]
                named = {"parent": f"{said['parent']} {tag}"} if "parent" in said else {}
                lines.append(fact("content", 2 + place, id=f"{item} {tag}") | said | named)
            expected[f"x {tag}"] = "FAIL" if waits else "PASS"
    for start in range(0, len(lines), 5_000):
        assert (await people.ingest(lines[start : start + 5_000]))["total"]["rejected"] == 0
    found = {name: outcomes["CONTENT_SETTLED"] for name, (_, _, outcomes) in (await people.decisions()).items()}
    return next((name for name in expected if found[name] != expected[name]), None)


async def test_a_family_waits_for_what_left_it_in_every_order_of_arrival(people: TestGateway) -> None:
    assert await families_kept_differently(people) is None


PRIVATE_ORDERS = list(permutations([(2, "PRIVATE_MESSAGE"), (3, "BUSINESS_MESSAGE"), (4, "POST")]))


async def test_an_item_of_a_private_kind_stays_one_without_a_body(people: TestGateway) -> None:
    lines = []
    for number, order in enumerate(PRIVATE_ORDERS):
        lines += [fact("content", day, id=f"i{number}", kind=kind) for day, kind in order]
    lines += [fact("content", id="b1", kind="BUSINESS_MESSAGE"), fact("content", 3, id="b1")]
    lines += [fact("content", 3, id="b2"), fact("content", id="b2", kind="BUSINESS_MESSAGE")]
    lines += [fact("content", id="c"), fact("content", id="c", kind="PRIVATE_MESSAGE")]
    answer = await people.ingest(lines)
    assert answer["total"]["rejected"] == 1
    stored = people.execute(
        "SELECT platform_id, kind, audience, text IS NULL FROM grounds.content ORDER BY platform_id"
    )
    private = [(f"i{number}", "PRIVATE_MESSAGE", "ONLY_ME", True) for number in range(len(PRIVATE_ORDERS))]
    business = [(name, "BUSINESS_MESSAGE", "ONLY_ME", False) for name in ("b1", "b2")]
    assert stored == [*business, ("c", "PRIVATE_MESSAGE", "ONLY_ME", True), *private]
    people.set_clock(NOW + 30 * DAY)
    assert await people.pull() == []


async def test_what_was_delivered_and_turns_out_to_be_private_is_retracted(people: TestGateway) -> None:
    await people.ingest([fact("content", 4)])
    assert len(await people.pull()) == 1
    await people.ingest([fact("content", 3, kind="PRIVATE_MESSAGE")])
    await settled(people)
    assert people.execute("SELECT kind FROM grounds.retraction") == [("RETRACT",)]
    assert people.execute("SELECT text, media::text FROM grounds.content") == [(None, None)]
