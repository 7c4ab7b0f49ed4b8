"""An objection is all that its versions say together, in whatever order they arrive."""

from collections.abc import Iterable
from datetime import datetime
from itertools import permutations
from typing import Any

import pytest

from tests.support.facts import NOW, fact, instant
from tests.support.gateway import TestGateway

pytestmark = pytest.mark.database

IN_FORCE = """SELECT platform_id, scope, received_at, withdrawn_at FROM grounds.objection_in_force"""
EARLY, LATE, LATER = "2024-06-10T00:00:00Z", "2024-07-10T00:00:00Z", "2024-08-10T00:00:00Z"
Facts = dict[str, Any]
# Versions in the order of their instants, and what they say together: scope, receipt, withdrawal.
VERSIONS: dict[str, tuple[list[Facts], tuple[str, str, str | None]]] = {
    "narrowed": ([{"scope": "ALL"}, {"scope": "AI_INTERACTIONS"}], ("ALL", EARLY, None)),
    "two halves": ([{"scope": "PUBLIC_CONTENT"}, {"scope": "AI_INTERACTIONS"}], ("ALL", EARLY, None)),
    "the same half": ([{"scope": "PUBLIC_CONTENT"}, {"scope": "PUBLIC_CONTENT"}], ("PUBLIC_CONTENT", EARLY, None)),
    "moved later": ([{}, {"received_at": LATE}], ("ALL", EARLY, None)),
    "moved earlier": ([{"received_at": LATE}, {}], ("ALL", EARLY, None)),
    "withdrawn": ([{}, {"withdrawn_at": LATE}], ("ALL", EARLY, LATE)),
    "withdrawn at receipt": ([{}, {"withdrawn_at": EARLY}], ("ALL", EARLY, None)),
    "withdrawn once": ([{"withdrawn_at": LATE}, {}], ("ALL", EARLY, None)),
    "withdrawn before another receipt": ([{"received_at": LATER}, {"withdrawn_at": LATE}], ("ALL", EARLY, None)),
    "withdrawn after every receipt": (
        [{"received_at": LATE}, {"withdrawn_at": LATE}, {"withdrawn_at": LATER}],
        ("ALL", EARLY, LATER),
    ),
    "all at once": (
        [{"scope": "PUBLIC_CONTENT", "received_at": LATE}, {"withdrawn_at": LATER}, {"scope": "AI_INTERACTIONS"}],
        ("ALL", EARLY, None),
    ),
}


def _orders() -> Iterable[tuple[str, list[Facts], tuple[str, str, str | None]]]:
    """Return every order of every case's versions under a name of its own."""
    for name, (versions, expected) in VERSIONS.items():
        for order in permutations(enumerate(versions)):
            identity = f"{name} {[day for day, _ in order]}"
            lines = [fact("objection", 2 + day, id=identity, account="a", **each) for day, each in order]
            yield identity, lines, expected


async def test_every_order_of_versions_says_the_same(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    orders = list(_orders())
    answer = await gateway.ingest([line for _, lines, _ in orders for line in lines])
    assert answer["total"]["rejected"] == 0
    assert answer["total"]["stale"] > 0
    found = {name: stated for name, *stated in gateway.execute(IN_FORCE)}
    for name, _, (scope, received_at, withdrawn_at) in orders:
        withdrawn = instant(withdrawn_at) if withdrawn_at else None
        assert found[name] == [scope, instant(received_at), withdrawn], name
    assert len(found) == len(orders) > 25


async def test_an_older_version_that_comes_later_is_in_effect_at_once(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    await gateway.ingest([fact("account"), fact("content"), fact("notice")])
    await gateway.ingest([fact("objection", 4, account="author", scope="AI_INTERACTIONS")])
    assert len(await gateway.pull()) == 1
    await gateway.ingest([fact("objection", 3, account="author", scope="PUBLIC_CONTENT")])
    assert await gateway.pull() == []


async def test_a_bad_version_counts_for_everything_from_its_own_receipt(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    bad = {
        "stated": fact("objection", id="stated", scope="SOME", account="a", received_at=LATE),
        "observed": fact("objection", id="observed", account="a", received_at="in spring"),
        "loaded": fact("objection", id="loaded", account="a", received_at="soon") | {"observed_at": "today"},
        "ahead": fact("objection", id="ahead", scope="SOME", account="a", received_at="2030-01-01T00:00:00Z"),
        "stored": fact("objection", 4, id="stored", scope="SOME", account="a", received_at=EARLY),
    }
    good = fact("objection", id="stored", account="a", scope="AI_INTERACTIONS", received_at=LATE, withdrawn_at=LATER)
    await gateway.ingest([good, *bad.values()])
    expected: dict[str, datetime] = {
        **{"stated": instant(LATE), "observed": instant("2026-01-02T00:00:00Z"), "loaded": NOW, "ahead": NOW},
        "stored": instant(EARLY),
    }
    found = {name: stated for name, *stated in gateway.execute(IN_FORCE)}
    assert found == {name: ["ALL", received_at, None] for name, received_at in expected.items()}
    replaced = [fact("objection", 5, id=name, account="a", scope="PUBLIC_CONTENT", received_at=LATER) for name in bad]
    await gateway.ingest(replaced)
    found = {name: stated for name, *stated in gateway.execute(IN_FORCE)}
    assert found.pop("stored") == ["ALL", instant(LATE), None], "what good versions said stays"
    assert found.pop("loaded") == ["ALL", instant(LATER), None], "only a record later than its loading replaces it"
    assert all(stated == ["PUBLIC_CONTENT", instant(LATER), None] for stated in found.values())
