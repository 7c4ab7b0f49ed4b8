"""Coverage as dashboards are answered: what is published once a month, and nothing else."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import combinations, pairwise, product
from random import Random

import psycopg
import pytest

from db.coverage import noise, snapshot
from db.coverage.measurement import CountedCoverage
from db.coverage.publication import PUBLISHED_PAIRS, CountRow, protect_counts
from db.coverage.snapshot import CONDITION_CODES
from schema.actor import Role
from tests.support.counted_platform import (
    CODES,
    DIMENSIONS,
    all_items,
    ask,
    counted_gateway,
    generated_platform,
    refused,
    table,
)
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import TestGateway
from tests.support.mutants import Killed
from tests.support.publication_attack import Item, count_persons

pytestmark = pytest.mark.database


@pytest.fixture
def little_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Publish with so little noise that a test can read what was counted; few persons are enough then."""
    monkeypatch.setattr(noise, "PRIVACY_LOSS", 10.0**6)


async def test_what_was_counted_of_persons_is_as_a_second_count_has_it(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[CountedCoverage] = []

    def kept(each: CountedCoverage) -> dict[str, list[CountRow]]:
        counted.append(each)
        return protect_counts(each)

    monkeypatch.setattr(snapshot, "protect_counts", kept)
    monkeypatch.setattr(snapshot, "ITEMS_PER_STEP", 20)  # accounts of one person in several steps
    places = [CONDITION_CODES.index(code) for code in CODES]
    platform = generated_platform(3)
    await counted_gateway(gateway, platform)
    as_judged = [[item._replace(failing=frozenset(places[n] for n in item.failing)) for item in p] for p in platform]
    expected, (found,) = count_persons(as_judged), counted
    for name, number in expected.total._asdict().items():
        assert getattr(found.total, name) == pytest.approx(number, abs=0.01), name
    for dimensions, cells in expected.tables.items():
        assert found.tables[dimensions].keys() == cells.keys()
        for key, layers in cells.items():
            assert found.tables[dimensions][key] == pytest.approx(layers, abs=0.01), (dimensions, key)
    assert found.grounds == expected.grounds
    assert found.total.in_tables < 0.5 * (found.total.permitted + found.total.others), "some have many items"


@pytest.mark.usefixtures("little_noise")
async def test_a_dashboard_reads_the_published_tables(gateway: TestGateway) -> None:
    persons = [[Item(*item[:6]) for item in person[:3]] for person in generated_platform(5, 120)]
    items = all_items(persons)
    await counted_gateway(gateway, persons)
    whole = await ask(gateway, Role.DASHBOARD)
    assert not whole["exact"]
    assert whole["protection"]["greatestAdvantage"] == 0.0492
    assert whole["total"]["items"] == pytest.approx(len(items), abs=10)
    for name in DIMENSIONS[:4]:
        counts = Counter(item.value(name) for item in items)
        shown = table(await ask(gateway, Role.DASHBOARD, name))
        assert {key[0]: n for key, (n, _) in shown.items() if n} == {
            value: pytest.approx(count, abs=10) for value, count in counts.items()
        }
    published = [set(pair) for pair in PUBLISHED_PAIRS]
    for pair in combinations((*DIMENSIONS, "GROUND"), 2):
        cells = table(await ask(gateway, Role.DASHBOARD, *pair))
        rows = [table(await ask(gateway, Role.DASHBOARD, name)) for name in pair]
        if set(pair) not in published:
            assert set(cells.values()) == {(None, None)}
        if "GROUND" not in pair:
            assert {*cells} == {(*x, *y) for x, y in product(*rows)}, "an empty cell is listed as any other"
    by_kind = await ask(gateway, Role.DASHBOARD, "KIND", "COUNTRY")
    for row in by_kind["rows"]:
        assert row["suppressed"] == (row["items"] is None)
        assert row["delivered"] is None
        if row["items"]:
            share = row["permitted"] / row["items"]
            assert row["permittedShare"] == pytest.approx(share)
            assert row["representationRatio"] == pytest.approx(share / by_kind["total"]["permittedShare"])


@pytest.mark.usefixtures("little_noise")
async def test_a_filter_reads_the_same_tables(gateway: TestGateway) -> None:
    await counted_gateway(gateway, generated_platform(11))
    names = {"KIND": "kinds", "COUNTRY": "countries", "PRODUCT": "products", "LANGUAGE": "languages"}
    for a, b in (("KIND", "COUNTRY"), ("COUNTRY", "LANGUAGE"), ("PRODUCT", "KIND")):
        cells = table(await ask(gateway, Role.DASHBOARD, a, b))
        values = table(await ask(gateway, Role.DASHBOARD, a))
        for (value,), counts in values.items():
            sliced = await ask(gateway, Role.DASHBOARD, b, filter={names[a]: [value]})
            assert table(sliced) == {(key[1],): numbers for key, numbers in cells.items() if key[0] == value}
            assert (sliced["total"]["items"], sliced["total"]["permitted"]) == counts
    answer = await ask(gateway, Role.DASHBOARD, "COUNTRY")
    shown = {row["key"][0]["value"]: row for row in answer["rows"] if not row["suppressed"]}
    assert len(shown) > 1
    summed = (await ask(gateway, Role.DASHBOARD, filter={"countries": [*shown]}))["total"]
    assert summed["items"] == sum(row["items"] for row in shown.values())
    margins = [row["margin"] for row in shown.values()]
    assert max(margins) < summed["margin"] < sum(margins)


async def test_a_training_client_is_told_before_a_pull_what_a_dashboard_reads_and_no_more(gateway: TestGateway) -> None:
    await counted_gateway(gateway, generated_platform(11))
    for by in ([], ["KIND"], ["PRODUCT"], ["LANGUAGE"], ["MONTH"], ["KIND", "PRODUCT"], ["KIND", "MONTH"]):
        told = await ask(gateway, Role.TRAINING_CLIENT, *by)
        assert told == await ask(gateway, Role.DASHBOARD, *by)
        assert told != await ask(gateway, Role.AUDITOR, *by)
        assert not told["exact"]
    query = "query C($purpose: String) { coverage(purpose: $purpose) { purpose } }"
    own = await gateway.ask(Role.TRAINING_CLIENT, query)
    assert own["coverage"]["purpose"] == "GENAI_TRAINING"
    refusal = (await gateway.post(Role.TRAINING_CLIENT, query, purpose="ADVERTISING")).json()
    assert "must be a purpose of policy" in refusal["errors"][0]["message"]


async def test_of_few_persons_a_dashboard_is_told_nothing(gateway: TestGateway) -> None:
    await counted_gateway(gateway, generated_platform(3))
    answer = await ask(gateway, Role.DASHBOARD, "KIND")
    assert (answer["total"]["items"], answer["total"]["suppressed"], answer["rows"]) == (None, True, [])
    assert {step["remaining"] for step in answer["funnel"]} == {None}
    assert {each["total"] for each in answer["total"]["exclusions"]} == {None}


def publication_days(connection: psycopg.Connection, first: date, days: Sequence[int]) -> list[date]:
    """Publish on each of some days on which it is due."""
    published: list[date] = []
    for number in days:
        day = first + timedelta(days=number)
        if connection.execute("SELECT grounds.publication_is_due(%s)", [day]).fetchone() == (True,):
            connection.execute(
                "INSERT INTO grounds.coverage_published VALUES (%s, now(), 'V', '{}', '{}', '{}')", [day]
            )
            published.append(day)
    return published


def too_many_in_30_days(days: Sequence[date]) -> str | None:
    return next((f"three from {a} to {c}" for a, c in zip(days, days[2:], strict=False) if (c - a).days < 30), None)


CALENDARS = {
    "every day": "SELECT TRUE",
    "the first of every month": "SELECT on_day >= coalesce(date_trunc('month', max(p.day) + interval '1 month'),"
    " '-infinity') FROM grounds.coverage_published p",
}


def test_in_any_30_days_there_are_two_publications_at_most(database_url: str, killed: Killed) -> None:
    lives: list[tuple[date, Sequence[int]]] = [(date(2026, 1, first), range(75)) for first in (1, 16, 17, 31)]
    lives += [(date(2026, 1, 31), sorted(Random(1).sample(range(400), 90)))]
    for name, due in {"": "", **CALENDARS}.items():
        found = []
        for first, days in lives:
            with psycopg.connect(database_url) as connection:
                if due:
                    connection.execute(
                        "CREATE OR REPLACE FUNCTION grounds.publication_is_due(on_day date) RETURNS boolean"
                        f" LANGUAGE sql STABLE AS $$ {due} $$".encode()
                    )
                published = publication_days(connection, first, days)
                connection.rollback()
            found.append(too_many_in_30_days(published))
            if not due and len(days) == 75:
                assert len(published) in (3, 4), "one per month"
                assert {day.day for day in published[1:]} == {1}
        if due:
            killed(f"published {name}", "db/sql/coverage.sql", next(filter(None, found), None))
        else:
            assert found == [None] * len(lives)


@pytest.mark.usefixtures("little_noise")
async def test_a_dashboard_reads_conditions_of_all_items_only(gateway: TestGateway) -> None:
    await counted_gateway(gateway, generated_platform(3))
    shown = await ask(gateway, Role.DASHBOARD, "CONDITION")
    excluded = (await ask(gateway, Role.DASHBOARD))["total"]["exclusions"]
    assert {(row["key"][0]["value"], row["items"], row["margin"]) for row in shown["rows"]} == {
        (each["condition"], each["total"], each["margin"]) for each in excluded if each["total"] != 0
    }
    assert {row["key"][0]["value"] for row in shown["rows"]} == {*CODES, "NO_OBJECTOR_REFERENCED"}
    (of_others,) = [each for each in excluded if each["condition"] == "NO_OBJECTOR_REFERENCED"]
    assert (of_others["total"], of_others["exclusive"]) == (None, None), "nothing of the author decides it"
    remaining = [shown["total"]["items"], *(step["remaining"] for step in shown["funnel"])]
    assert all(before >= after for before, after in pairwise(remaining))
    assert remaining[-1] == shown["total"]["permitted"]
    for by, filter in ((("CONDITION", "KIND"), {}), (("CONDITION",), {"months": ["2026-01"]})):
        kept_out = await ask(gateway, Role.DASHBOARD, *by, filter=filter)
        assert len(kept_out["rows"]) >= len(CODES)
        assert {(row["items"], row["permittedShare"], row["representationRatio"]) for row in kept_out["rows"]} == {
            (None, None, None)
        }


async def test_a_dashboard_is_told_what_it_cannot_have(gateway: TestGateway) -> None:
    await counted_gateway(gateway, generated_platform(3))
    assert "at most two dimensions" in await refused(gateway, "KIND", "COUNTRY", "LANGUAGE")
    assert "at most two dimensions" in await refused(gateway, "KIND", "COUNTRY", filter={"languages": ["en"]})
    assert "as YYYY-MM" in await refused(gateway, "KIND", filter={"months": ["May"]})


async def test_what_is_rare_is_as_if_it_were_not(gateway: TestGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise, "PRIVACY_LOSS", 50.0)
    rare = [[Item(language=language)] for language in ("mt", "ga", "lv")]
    await counted_gateway(gateway, [[Item()]] * 400 + rare)
    answer = await ask(gateway, Role.DASHBOARD, "LANGUAGE")
    assert {key for key, (items, _) in table(answer).items() if items is not None} == {("en",)}
    assert {*table(answer)} == {("en",), ("other",)}
    by_rare, by_none = [await ask(gateway, Role.DASHBOARD, "COUNTRY", filter={"languages": [n]}) for n in ("mt", "xx")]
    assert by_rare == by_none
    assert by_none["total"]["suppressed"]


@pytest.mark.usefixtures("little_noise")
async def test_a_dashboard_is_answered_the_same_until_the_next_month(gateway: TestGateway) -> None:
    await counted_gateway(gateway, generated_platform(3))
    before = [await ask(gateway, role, "COUNTRY") for role in (Role.DASHBOARD, Role.AUDITOR)]
    accounts = gateway.execute("SELECT platform_id FROM grounds.account WHERE product = 'FACEBOOK'")
    await gateway.ingest(
        fact("objection", id=f"o-{account}", account=account, received_at="2026-05-30T00:00:00Z")
        for (account,) in accounts
    )
    gateway.set_clock(NOW + timedelta(hours=11))
    await gateway.take_coverage()
    assert [await ask(gateway, role, "COUNTRY") for role in (Role.DASHBOARD, Role.AUDITOR)] == before
    for days in (1, 16, 29):
        gateway.set_clock(NOW + days * DAY)
        await gateway.take_coverage()
        assert await ask(gateway, Role.DASHBOARD, "COUNTRY") == before[0]
        assert (await ask(gateway, Role.AUDITOR))["total"]["permitted"] < before[1]["total"]["permitted"]
    first = NOW.date().isoformat()
    gateway.set_clock(NOW + 30 * DAY)
    await gateway.take_coverage()
    now = await ask(gateway, Role.DASHBOARD, "COUNTRY")
    assert now["day"] == "2026-07-01"
    assert now["total"]["permitted"] < before[0]["total"]["permitted"]
    for role, was in zip((Role.DASHBOARD, Role.AUDITOR), before, strict=True):
        assert await ask(gateway, role, "COUNTRY", day=first) == was
        assert await ask(gateway, role, "COUNTRY", day="2020-01-01") is None
    assert await ask(gateway, Role.DASHBOARD, "COUNTRY", day="2026-06-30") == before[0]


@pytest.mark.usefixtures("little_noise")
async def test_a_series_has_exact_days_for_officers_and_publications_for_dashboards(gateway: TestGateway) -> None:
    await counted_gateway(gateway, [[Item(*item[:6]) for item in person[:3]] for person in generated_platform(5, 120)])
    gateway.set_clock(NOW + DAY)
    await gateway.take_coverage()
    series = """query S($first: Date!, $last: Date!) { coverageSeries(firstDay: $first, lastDay: $last) {
        day policyVersion items permitted delivered retracted margin } }"""
    days = {"first": f"{NOW - DAY:%Y-%m-%d}", "last": f"{NOW + DAY:%Y-%m-%d}"}
    exact = (await gateway.ask(Role.AUDITOR, series, days))["coverageSeries"]
    counts = "query C($day: Date!) { coverage(day: $day) { total { items permitted delivered retracted margin } } }"
    for role, found in {
        Role.AUDITOR: exact,
        Role.DASHBOARD: (await gateway.ask(Role.DASHBOARD, series, days))["coverageSeries"],
    }.items():
        assert found == sorted(found, key=lambda each: each["day"])
        for each in found:
            total = (await gateway.ask(role, counts, {"day": each["day"]}))["coverage"]["total"]
            assert {name: each[name] for name in total} == total
    assert len(exact) == 2
    assert len(found) == 1, "a dashboard sees the days of publications only"
    wide = {"first": "2024-01-01", "last": "2026-12-31"}
    (error,) = (await gateway.post(Role.DASHBOARD, series, wide)).json()["errors"]
    assert error["message"].startswith("lastDay: must be 0 to 400 days after firstDay")
