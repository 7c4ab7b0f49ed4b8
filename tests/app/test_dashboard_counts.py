"""Overview, conditions and skew at the dashboard: what they count, and what of it a DASHBOARD may see."""

import csv
import io
import re

import httpx
import pytest

from app.dashboard.charts import FLOOR, MOST_STEPS, WIDTH, Step, columns, together, waterfall
from schema.actor import Role
from tests.dashboard import at_desk
from tests.facts import DAY, NOW, fact
from tests.gateway import TestGateway


@pytest.fixture
async def counted(gateway: TestGateway) -> TestGateway:
    """Two days: 30 public posts and 10 for friends in IE, then 20 comments more in FR, the author of which objected."""
    gateway.set_clock(NOW - DAY)
    posts = [fact("content", id=f"p{n}", audience="PUBLIC" if n < 30 else "FRIENDS") for n in range(40)]
    await gateway.ingest([fact("account"), fact("notice"), *posts])
    await gateway.take_coverage()
    gateway.set_clock(NOW)
    other = fact("account", id="other", country="FR")
    notice = fact("notice", id="other's", account="other")
    photos = [fact("content", id=f"q{n}", account="other", kind="PHOTO") for n in range(20)]
    await gateway.ingest([other, notice, *photos, fact("objection", account="other")])
    await gateway.pull()
    await gateway.take_coverage()
    return gateway


def read(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text)))


def headline(answer: httpx.Response) -> str:
    found = re.search(r"<h1>(.*?)</h1>", answer.text, re.DOTALL)
    assert found is not None
    return " ".join(re.sub("<[^>]*>", "", found[1]).split())


async def test_the_overview_says_how_many_qualify_and_what_keeps_the_others_out(counted: TestGateway) -> None:
    async with at_desk(counted, Role.AUDITOR) as browser:
        page = await browser.get("/dashboard")
        assert headline(page) == "30 of 60 items qualify (50.0%); “no active objection” keeps out most."
        assert "does not hold, or is not known to, for 20 items" in page.text
        assert page.text.count('class="value lost"') == 2
        way = read(await browser.get("/dashboard?format=csv&table=way"))
        lost = {row["condition"]: row["excluded here"] for row in way if row["excluded here"] != "0"}
        assert lost == {"NO_ACTIVE_OBJECTION": "20", "AUDIENCE_PUBLIC": "10"}
        days = {row["items that"]: row["change"] for row in read(await browser.get("/dashboard?format=csv&table=days"))}
        assert days["items"] == "20"
        assert days["qualify"] == "0"
        assert "+20 since the day before" in page.text


async def test_before_anything_was_counted_the_pages_say_so(gateway: TestGateway) -> None:
    async with at_desk(gateway, Role.DASHBOARD) as browser:
        for path in ("/dashboard", "/dashboard/skew"):
            assert "Nothing was counted yet" in (await browser.get(path)).text
        assert (await browser.get("/dashboard/conditions")).status_code == 200


async def test_each_condition_says_what_it_keeps_out(counted: TestGateway) -> None:
    async with at_desk(counted, Role.PRIVACY_OFFICER) as browser:
        page = await browser.get("/dashboard/conditions")
        assert "keeps out most, 20 of 60 items" in headline(page)
        rows = {row["condition"]: row for row in read(await browser.get("/dashboard/conditions?format=csv"))}
        assert rows["AUDIENCE_PUBLIC"]["excludes"] == rows["AUDIENCE_PUBLIC"]["excludes alone"] == "10"


async def test_the_skew_is_shown_by_country_and_kind(counted: TestGateway) -> None:
    async with at_desk(counted, Role.AUDITOR) as browser:
        page = await browser.get("/dashboard/skew")
        assert headline(page) == "50.0% of all items qualify."
        rows = read(await browser.get("/dashboard/skew?format=csv"))
        assert {(row["country"], row["kind"]): row["permitted share"] for row in rows} == {
            ("IE", "POST"): "0.75",
            ("FR", "PHOTO"): "0.0",
        }
        assert 'class="number heat-6">75%' in page.text
        assert 'class="number heat-0">0%' in page.text


async def test_an_officer_narrows_the_skew_to_a_kind_and_a_dashboard_cannot(counted: TestGateway) -> None:
    asked = {"view": "country-language", "kind": "PHOTO"}
    async with at_desk(counted, Role.PRIVACY_OFFICER) as browser:
        assert headline(await browser.get("/dashboard/skew", params=asked)) == "0.0% of photo items qualify."
    async with at_desk(counted, Role.DASHBOARD) as browser:
        page = await browser.get("/dashboard/skew", params=asked)
        assert (page.status_code, 'name="kind"' in page.text) == (200, False)


@pytest.mark.parametrize("asked", [{"view": "nonsense"}, {"kind": "nonsense"}, {"view": "<b>", "kind": "POST"}])
async def test_a_view_that_there_is_not_is_the_first(counted: TestGateway, asked: dict[str, str]) -> None:
    async with at_desk(counted, Role.AUDITOR) as browser:
        page = await browser.get("/dashboard/skew", params=asked)
        assert (page.status_code, headline(page)) == (200, "50.0% of all items qualify.")


async def test_a_dashboard_sees_small_numbers_neither_on_a_page_nor_in_a_file(counted: TestGateway) -> None:
    counted.set_clock(NOW + DAY)
    await counted.ingest([fact("account", id="rare", country="MT"), fact("content", id="rare", account="rare")])
    await counted.take_coverage()
    async with at_desk(counted, Role.DASHBOARD) as browser:
        assert "rounded, small numbers withheld" in (await browser.get("/dashboard/skew")).text
        for table in ("cells", "ones"):
            answer = await browser.get(f"/dashboard/skew?format=csv&table={table}")
            assert not [row for row in read(answer) if row["items"] in set("123456789")]
            assert "MT" not in answer.text
    async with at_desk(counted, Role.AUDITOR) as browser:
        assert "MT" in (await browser.get("/dashboard/skew?format=csv")).text


def steps(*left: int | None) -> list[Step]:
    return [Step((f"step {number}",), each) for number, each in enumerate(left)]


@pytest.mark.parametrize(
    ("way", "joined"),
    [
        ((100, 100), []),
        ((90, 80), [(1, 90), (1, 80)]),
        ((99, 98, 50), [(2, 98), (1, 50)]),
        ((None, None, 40), [(3, 40)]),
        ((60, None), [(1, 60)]),
        ((99, 100, 100), []),
    ],
)
def test_steps_that_take_little_stand_together_and_none_is_lost(
    way: tuple[int | None, ...], joined: list[tuple[int, int]]
) -> None:
    assert [(len(step.names), step.left) for step in together(100, steps(*way))] == joined


def test_a_waterfall_ends_where_the_way_does_and_fits_its_box() -> None:
    way = steps(*range(95, 0, -4))
    chart = waterfall(100, way, "all", "left")
    first, *lost, last = chart.bars
    assert len(lost) <= MOST_STEPS
    assert (first.number, last.number) == ("100", "3")
    assert sum(int(bar.number[1:]) for bar in lost) == 97
    assert all(bar.x >= 0 and bar.x + bar.width <= WIDTH and bar.y + bar.height <= FLOOR + 1 for bar in chart.bars)
    for before, after in zip([first, *lost], lost, strict=False):
        assert before.joint == pytest.approx(after.y, abs=0.1)


def test_columns_are_as_high_as_their_numbers() -> None:
    low, high, none = columns([("a", 1), ("b", 4), ("c", 0)])
    assert (low.height * 4, none.height) == (pytest.approx(high.height, abs=0.5), 0)
