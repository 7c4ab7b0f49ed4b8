"""Coverage over HTTP: exact for officers, and for dashboards so that an attacker with every table learns nothing."""

import asyncio
from collections import Counter
from datetime import timedelta
from itertools import combinations, product
from pathlib import Path
from random import Random
from typing import Any

import pytest

from db.protection import DIMENSIONS, PUBLISHED, Published, PublishedTotal
from schema.actor import Role
from tests.attack import Attacker, Item, counted, facts_of, generated_items
from tests.facts import DAY, NOW, fact
from tests.gateway import TestGateway, open_gateway

FAULTS: tuple[dict[str, Any], ...] = (
    {"deleted_at": "2026-05-01T00:00:00Z"},
    {"rights": [{"source": "TDMREP", "train_ai": "n"}]},
    {"scans": {"special_category": "FLAGGED", "safety": "CLEAR"}},
    {"scans": {"special_category": "CLEAR", "safety": "FLAGGED"}},
)
CODES = ("CONTENT_LIVE", "NO_RIGHTS_RESERVATION", "NO_SPECIAL_CATEGORY", "CONTENT_SAFE")
FILTERS = {"KIND": "kinds", "PRODUCT": "products", "COUNTRY": "countries", "LANGUAGE": "languages", "MONTH": "months"}
FILTERS["GROUND"] = "grounds"
COVERAGE = """query Coverage($groupBy: [CoverageDimension!]! = [], $filter: CoverageFilter, $day: Date) {
  coverage(groupBy: $groupBy, filter: $filter, day: $day) {
    day takenAt policyVersion exact
    total { key { value } items permitted delivered retracted permittedShare skew excluded { condition any alone } }
    rows { key { dimension value } items permitted delivered retracted permittedShare skew
      excluded { condition any alone } }
    way { condition left }
  }
}"""


def facts(items: list[Item]) -> list[dict[str, Any]]:
    """State a platform's items; an account for each country and product."""
    authors = sorted({(item.country, item.product) for item in items})
    records = [fact("account", id=f"{c}-{p}", country=c, product=p) for c, p in authors]
    records += [fact("notice", id=f"n-{c}-{p}", account=f"{c}-{p}") for c, p in authors]
    for number, item in enumerate(items):
        made = f"{item.month}-01T00:00:00Z"
        stated = fact("content", id=f"item-{number}", account=f"{item.country}-{item.product}", kind=item.kind)
        stated |= {"language": item.language, "created_at": made, "audience_since": made, "observed_at": made}
        for place in sorted(item.failing):
            fault = FAULTS[place]
            stated["scans"] = {**stated["scans"], **{k: v for k, v in fault.get("scans", {}).items() if v == "FLAGGED"}}
            stated |= {name: value for name, value in fault.items() if name != "scans"}
        records.append(stated | {"observed_at": "2026-05-02T00:00:00Z"})
    return records


async def counted_gateway(gateway: TestGateway, items: list[Item]) -> TestGateway:
    gateway.set_clock(NOW)
    answer = await gateway.ingest(facts(items))
    assert answer["total"]["rejected"] == 0
    await gateway.take_coverage()
    return gateway


async def ask(gateway: TestGateway, role: Role, *by: str, **given: Any) -> Any:
    variables = {"groupBy": list(by), **given}
    return (await gateway.ask(role, COVERAGE, variables))["coverage"]


async def refused(gateway: TestGateway, *by: str, **given: Any) -> str:
    answer = (await gateway.post(Role.DASHBOARD, COVERAGE, {"groupBy": list(by), **given})).json()
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    return str(error["message"])


def table(answer: Any) -> dict[tuple[str, ...], tuple[int | None, int | None]]:
    return {tuple(v["value"] for v in row["key"]): (row["items"], row["permitted"]) for row in answer["rows"]}


async def published(gateway: TestGateway) -> Published:
    """Ask for all that a dashboard is answered, as an attacker would."""
    total = (await ask(gateway, Role.DASHBOARD))["total"]
    values: dict[str, Any] = {
        d: {key[0]: n for key, n in table(await ask(gateway, Role.DASHBOARD, d)).items()} for d in DIMENSIONS
    }
    pairs: dict[Any, Any] = {}
    for pair in combinations(DIMENSIONS, 2):
        cells = table(await ask(gateway, Role.DASHBOARD, *pair))
        if any(set(pair) == set(each) for each in PUBLISHED):
            pairs[pair] = {key: None if counts[0] is None else counts for key, counts in cells.items()}
        else:
            assert set(cells) == set(product(*(values[d] for d in pair))), (
                "it tells which values there are, and no more"
            )
            assert set(cells.values()) <= {(None, None)}
    shown = PublishedTotal(total["items"], total["permitted"], None, None, (), (), ())
    return Published(shown, values, pairs)


@pytest.mark.parametrize("seed", [3, 5, 11])
async def test_an_attacker_with_every_table_recovers_no_small_count(gateway: TestGateway, seed: int) -> None:
    items = generated_items(Random(seed))
    found = await published(await counted_gateway(gateway, items))
    numbers = [n for cells in found.pairs.values() for counts in cells.values() for n in counts or (0,)]
    assert {n % 5 for n in numbers if n is not None} == {0}
    known = list(facts_of(found, items))
    assert len(known) > 10
    assert Attacker(items, known, slack=2).recovered(items) == []


async def test_a_filter_reads_the_same_tables(gateway: TestGateway) -> None:
    await counted_gateway(gateway, generated_items(Random(11)))
    whole = await published(gateway)
    for (a, b), cells in whole.pairs.items():
        for value in whole.values[a]:
            if value == "other":
                continue
            sliced = await ask(gateway, Role.DASHBOARD, b, filter={FILTERS[a]: [value]})
            wanted = {(key[1],): counts or (None, None) for key, counts in cells.items() if key[0] == value}
            assert table(sliced) == wanted
            assert (sliced["total"]["items"], sliced["total"]["permitted"]) == whole.values[a][value]
    both = [value for value in whole.values["COUNTRY"] if value != "other"]
    summed = await ask(gateway, Role.DASHBOARD, filter={"countries": both})
    assert summed["total"]["items"] == sum(whole.values["COUNTRY"][value][0] for value in both)


async def test_officers_and_auditors_read_exact_counts_of_everything(gateway: TestGateway) -> None:
    items = generated_items(Random(3))
    await counted_gateway(gateway, items)
    total, _, pairs = counted(items)
    for role in (Role.PRIVACY_OFFICER, Role.AUDITOR):
        answer = await ask(gateway, role, "COUNTRY", "KIND")
        assert answer["exact"]
        wanted = {(c, k): (sum(n), n[0]) for (k, c), n in pairs["KIND", "COUNTRY"].items()}
        assert table(answer) == wanted
        found = {each["condition"]: (each["any"], each["alone"]) for each in answer["total"]["excluded"]}
        assert [found[code] for code in CODES] == list(zip(total.failing, total.alone, strict=True))
        assert sum(any for any, _ in found.values()) == sum(total.failing)
        assert answer["way"][-1]["left"] == answer["total"]["permitted"] == total.permitted
        finest = Counter(tuple(item[:5]) for item in items)
        everything = await ask(gateway, role, *DIMENSIONS[:5])
        assert {key: n for key, (n, _) in table(everything).items()} == finest
    row = (await ask(gateway, Role.AUDITOR, "KIND", filter={"countries": ["IE"], "languages": ["en"]}))["rows"][0]
    matching = [i for i in items if (i.country, i.language, i.kind) == ("IE", "en", row["key"][0]["value"])]
    assert row["items"] == len(matching)
    assert row["permittedShare"] == pytest.approx(sum(not i.failing for i in matching) / len(matching))
    assert (await ask(gateway, Role.AUDITOR, "KIND", "PRODUCT", filter={"languages": ["xx"]}))["total"]["items"] == 0


async def test_conditions_are_a_dimension(gateway: TestGateway) -> None:
    items = generated_items(Random(3))
    await counted_gateway(gateway, items)
    exact = table(await ask(gateway, Role.AUDITOR, "CONDITION", "KIND"))
    failing = Counter((CODES[place], item.kind) for item in items for place in item.failing)
    assert exact == {key: (count, 0) for key, count in failing.items()}
    shown = await ask(gateway, Role.DASHBOARD, "CONDITION")
    excluded = (await ask(gateway, Role.DASHBOARD))["total"]["excluded"]
    assert {row["key"][0]["value"]: row["items"] for row in shown["rows"]} == {
        each["condition"]: each["any"] for each in excluded if each["any"] != 0
    }


async def test_a_dashboard_is_told_what_it_cannot_have(gateway: TestGateway) -> None:
    await counted_gateway(gateway, generated_items(Random(3)))
    assert "at most two dimensions" in await refused(gateway, "KIND", "COUNTRY", "LANGUAGE")
    assert "at most two dimensions" in await refused(gateway, "KIND", "COUNTRY", filter={"languages": ["en"]})
    assert "write YYYY-MM" in await refused(gateway, "KIND", filter={"months": ["May"]})


async def test_of_a_table_that_is_not_published_every_cell_is_suppressed(gateway: TestGateway) -> None:
    await counted_gateway(gateway, generated_items(Random(3)))
    months = table(await ask(gateway, Role.DASHBOARD, "MONTH"))
    (month,) = next(iter(months))
    of_month = await ask(gateway, Role.DASHBOARD, "LANGUAGE", filter={"months": [month]})
    assert (of_month["total"]["items"], of_month["total"]["permitted"]) == months[month,]
    assert set(table(of_month).values()) == {(None, None)}
    languages = table(await ask(gateway, Role.DASHBOARD, "LANGUAGE"))
    both = {"months": [month], "languages": [language for (language,) in languages]}
    of_both = await ask(gateway, Role.DASHBOARD, filter=both)
    assert (of_both["total"]["items"], of_both["total"]["permitted"], of_both["rows"]) == (None, None, [])
    for by, filter in ((("CONDITION", "KIND"), {}), (("CONDITION",), {"months": [month]})):
        kept_out = await ask(gateway, Role.DASHBOARD, *by, filter=filter)
        assert len(kept_out["rows"]) >= len(CODES)
        assert {(row["items"], row["permittedShare"], row["skew"]) for row in kept_out["rows"]} == {(None, None, None)}


async def test_what_is_rare_is_as_if_it_were_not(gateway: TestGateway) -> None:
    rare = [Item("POST", "FACEBOOK", "IE", language, "2026-01") for language in ("mt", "ga", "lv") for _ in range(5)]
    common = [Item("POST", "FACEBOOK", "IE", "en", "2026-01")] * 100
    await counted_gateway(gateway, common + rare)
    answer = await ask(gateway, Role.DASHBOARD, "LANGUAGE")
    assert table(answer) == {("en",): (100, 100), ("other",): (15, 15)}
    by_rare, by_none = [await ask(gateway, Role.DASHBOARD, "COUNTRY", filter={"languages": [n]}) for n in ("mt", "xx")]
    assert by_rare == by_none
    assert by_none["total"]["items"] is None


async def test_the_same_question_has_the_same_answer_all_day(gateway: TestGateway) -> None:
    await counted_gateway(gateway, generated_items(Random(3)))
    before = [await ask(gateway, role, "COUNTRY") for role in (Role.DASHBOARD, Role.AUDITOR)]
    await gateway.ingest([fact("objection", account="IE-FACEBOOK", received_at="2026-05-30T00:00:00Z")])
    gateway.set_clock(NOW + timedelta(hours=11))
    await gateway.take_coverage()
    assert [await ask(gateway, role, "COUNTRY") for role in (Role.DASHBOARD, Role.AUDITOR)] == before
    gateway.set_clock(NOW + DAY)
    await gateway.take_coverage()
    assert (await ask(gateway, Role.AUDITOR))["total"]["permitted"] < before[1]["total"]["permitted"]
    for role, was in zip((Role.DASHBOARD, Role.AUDITOR), before, strict=True):
        assert await ask(gateway, role, "COUNTRY", day=NOW.date().isoformat()) == was
        assert await ask(gateway, role, "COUNTRY", day="2020-01-01") is None


async def test_what_was_delivered_and_retracted_is_counted_once_an_item(gateway: TestGateway) -> None:
    items = [Item("POST", "FACEBOOK", country, "en", "2026-01") for country in ("IE", "AT") for _ in range(30)]
    await counted_gateway(gateway, items)
    for client in ("client", "another"):
        assert len(await gateway.pull(client=client)) == 60
    await gateway.ingest([fact("objection", account="AT-FACEBOOK", received_at="2026-05-30T00:00:00Z")])
    gateway.execute("SELECT set_config('grounds.duty', 'test', FALSE)")
    for _ in range(3):
        gateway.execute("SELECT grounds.retract_due()")
    gateway.set_clock(NOW + DAY)
    await gateway.take_coverage()
    answer = await ask(gateway, Role.AUDITOR, "COUNTRY")
    assert {row["key"][0]["value"]: (row["delivered"], row["retracted"]) for row in answer["rows"]} == {
        "IE": (30, 0), "AT": (30, 30)
    }  # fmt: skip
    shown = (await ask(gateway, Role.DASHBOARD))["total"]
    assert (shown["delivered"], shown["retracted"]) == (60, 30)


async def test_there_is_nothing_before_the_first_snapshot(gateway: TestGateway) -> None:
    await gateway.take_coverage()
    for role in (Role.DASHBOARD, Role.AUDITOR):
        assert await ask(gateway, role, "KIND") is None


async def test_few_items_are_not_published_at_all(gateway: TestGateway) -> None:
    await counted_gateway(gateway, [Item("POST", "FACEBOOK", "IE", "en", "2026-01")] * 9)
    answer = await ask(gateway, Role.DASHBOARD, "KIND")
    assert (answer["total"]["items"], answer["rows"]) == (None, [])


async def test_what_is_old_is_kept_by_less(gateway: TestGateway) -> None:
    await counted_gateway(gateway, [Item("POST", "FACEBOOK", "IE", "en", "2026-01")] * 20)
    first = NOW.date().isoformat()
    three = ("KIND", "COUNTRY", "LANGUAGE")
    assert table(await ask(gateway, Role.AUDITOR, *three, day=first)) == {("POST", "IE", "en"): (20, 20)}
    gateway.set_clock(NOW + 36 * DAY)
    await gateway.take_coverage()
    assert table(await ask(gateway, Role.AUDITOR, *three[:2], day=first)) == {("POST", "IE"): (20, 20)}
    asked = {"groupBy": list(three), "day": first}
    answer = (await gateway.post(Role.AUDITOR, COVERAGE, asked)).json()
    assert "are kept for 35 days" in answer["errors"][0]["message"]
    gateway.set_clock(NOW + 402 * DAY)
    await gateway.take_coverage()
    assert await ask(gateway, Role.AUDITOR, day=first) is None


async def test_a_snapshot_that_was_broken_off_goes_on_or_begins_anew(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    await gateway.ingest(facts([Item("POST", "FACEBOOK", "IE", "en", "2026-01")] * 50))
    codes = "ARRAY(SELECT 'CODE' || n FROM generate_series(1, 24) n)"
    for statement in (codes, codes, codes):
        assert gateway.execute(f"SELECT grounds.count_coverage({statement}, 20)") == [("MORE",)]
    gateway.set_clock(NOW + DAY)
    await gateway.take_coverage()
    assert table(await ask(gateway, Role.AUDITOR, "KIND")) == {("POST",): (50, 50)}
    assert gateway.execute("SELECT count(*) FROM grounds.coverage_snapshot") == [(1,)]
    assert gateway.execute("SELECT count(*) FROM grounds.coverage_part") == [(0,)]


async def test_a_server_takes_the_days_snapshot_by_itself(gateway: TestGateway, tmp_path: Path) -> None:
    gateway.set_clock(NOW)
    await gateway.ingest(facts([Item("POST", "FACEBOOK", "IE", "en", "2026-01")] * 20))
    async with open_gateway(gateway.database_url, tmp_path / "another") as another, asyncio.timeout(30):
        while (answer := await ask(another, Role.AUDITOR, "KIND")) is None:  # noqa: ASYNC110 - by a duty
            await asyncio.sleep(0.1)
        assert table(answer) == {("POST",): (20, 20)}
