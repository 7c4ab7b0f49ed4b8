"""The pages Overview, Conditions and Representation: what they count, and which numbers a DASHBOARD sees."""

import csv
import io
import json
import re

import httpx
import pytest

from app.web.dashboard.charts import (
    BASELINE,
    MAX_STEPS,
    WIDTH,
    FunnelStep,
    draw_columns,
    draw_waterfall,
    merge_small_steps,
)
from db.coverage import noise
from db.policies.activation import activate_policy
from db.policy.document import parse_policy
from schema.actor import Role
from tests.promises.oracle import DEFAULT_POLICY
from tests.support.dashboard import dashboard_browser
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import TestGateway


@pytest.fixture
async def counted_gateway(gateway: TestGateway) -> TestGateway:
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


def csv_rows(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text)))


def headline(answer: httpx.Response) -> str:
    found = re.search(r"<h1>(.*?)</h1>", answer.text, re.DOTALL)
    assert found is not None
    return " ".join(re.sub("<[^>]*>", "", found[1]).split())


async def test_the_overview_says_how_many_qualify_and_what_keeps_the_others_out(counted_gateway: TestGateway) -> None:
    async with dashboard_browser(counted_gateway, Role.AUDITOR) as browser:
        page = await browser.get("/dashboard")
        assert headline(page) == "30 of 60 items qualify (50.0%); “no active objection” excludes the most items."
        assert "This condition fails or is unknown for 20 items" in page.text
        assert page.text.count('class="value lost"') == 2
        funnel = csv_rows(await browser.get("/dashboard?format=csv&table=funnel"))
        lost = {row["condition"]: row["excluded at this step"] for row in funnel if row["excluded at this step"] != "0"}
        assert lost == {"NO_ACTIVE_OBJECTION": "20", "AUDIENCE_PUBLIC": "10"}
        changes = {
            row["items"]: row["change"] for row in csv_rows(await browser.get("/dashboard?format=csv&table=changes"))
        }
        assert changes["items"] == "20"
        assert changes["qualify"] == "0"
        assert "+20 since 2026-05-31" in page.text


async def test_each_purpose_of_the_policy_is_shown(counted_gateway: TestGateway) -> None:
    policy = DEFAULT_POLICY | {"version": "research-too", "purposes": ["GENAI_TRAINING", "RESEARCH"]}
    told = {"purposes": ["RESEARCH"], "kinds": ["POST"], "products": ["FACEBOOK"]}
    await counted_gateway.ingest([fact("campaign", id="2025-12", told=[told], texts={})])
    activate_policy(counted_gateway.database_url, parse_policy(json.dumps(policy)))
    counted_gateway.set_clock(NOW + DAY)
    await counted_gateway.take_coverage()
    async with dashboard_browser(counted_gateway, Role.AUDITOR) as browser:
        for path, qualify in (("/dashboard", "30 of 60 items qualify"), ("/dashboard/representation", "50.0% of all")):
            page = await browser.get(path)
            assert headline(page).startswith(qualify)
            assert "research" in page.text
            for_research = await browser.get(path, params={"purpose": "RESEARCH"})
            assert headline(for_research).startswith(qualify.replace("30 of", "0 of").replace("50.0%", "0.0%"))
        assert 'href="/dashboard?purpose=GENAI_TRAINING"' in (await browser.get("/dashboard?purpose=RESEARCH")).text
        assert "no count before" in (await browser.get("/dashboard?purpose=RESEARCH")).text
        assert "/dashboard/conditions?purpose=RESEARCH" in (await browser.get("/dashboard/conditions")).text
        unknown = await browser.get("/dashboard?purpose=ADVERTISING")
        assert (unknown.status_code, "use one of GENAI_TRAINING, RESEARCH" in unknown.text) == (422, True)


async def test_before_anything_was_counted_the_pages_say_so(gateway: TestGateway) -> None:
    async with dashboard_browser(gateway, Role.DASHBOARD) as browser:
        for path in ("/dashboard", "/dashboard/representation"):
            assert "There is no count yet" in (await browser.get(path)).text
        assert (await browser.get("/dashboard/conditions")).status_code == 200


async def test_each_condition_says_what_it_keeps_out(counted_gateway: TestGateway) -> None:
    async with dashboard_browser(counted_gateway, Role.PRIVACY_OFFICER) as browser:
        page = await browser.get("/dashboard/conditions")
        assert "excludes the most items: 20 of 60" in headline(page)
        rows = {row["condition"]: row for row in csv_rows(await browser.get("/dashboard/conditions?format=csv"))}
        assert rows["AUDIENCE_PUBLIC"]["excludes"] == rows["AUDIENCE_PUBLIC"]["excludes exclusively"] == "10"


async def test_representation_is_shown_by_country_and_kind(counted_gateway: TestGateway) -> None:
    async with dashboard_browser(counted_gateway, Role.AUDITOR) as browser:
        page = await browser.get("/dashboard/representation")
        assert headline(page) == "50.0% of all items qualify."
        rows = csv_rows(await browser.get("/dashboard/representation?format=csv"))
        assert {(row["country"], row["kind"]): row["permitted share"] for row in rows} == {
            ("IE", "POST"): "0.75",
            ("FR", "PHOTO"): "0.0",
        }
        assert 'class="number heat-6">75%' in page.text
        assert 'class="number heat-0">0%' in page.text


async def test_an_officer_narrows_representation_to_a_kind_and_a_dashboard_cannot(counted_gateway: TestGateway) -> None:
    asked = {"view": "country-language", "kind": "PHOTO"}
    async with dashboard_browser(counted_gateway, Role.PRIVACY_OFFICER) as browser:
        assert headline(await browser.get("/dashboard/representation", params=asked)) == "0.0% of photo items qualify."
    async with dashboard_browser(counted_gateway, Role.DASHBOARD) as browser:
        page = await browser.get("/dashboard/representation", params=asked)
        assert (page.status_code, 'name="kind"' in page.text) == (200, False)


@pytest.mark.parametrize("asked", [{"view": "nonsense"}, {"kind": "nonsense"}, {"view": "<b>", "kind": "POST"}])
async def test_a_view_that_there_is_not_is_the_first(counted_gateway: TestGateway, asked: dict[str, str]) -> None:
    async with dashboard_browser(counted_gateway, Role.AUDITOR) as browser:
        page = await browser.get("/dashboard/representation", params=asked)
        assert (page.status_code, headline(page)) == (200, "50.0% of all items qualify.")


async def test_of_few_persons_a_dashboard_sees_no_number_on_a_page_or_in_a_file(counted_gateway: TestGateway) -> None:
    async with dashboard_browser(counted_gateway, Role.DASHBOARD) as browser:
        assert headline(await browser.get("/dashboard")).startswith("withheld of withheld items qualify")
        assert "The numbers of the funnel are withheld." in (await browser.get("/dashboard")).text
        for path in ("/dashboard", "/dashboard/conditions", "/dashboard/representation"):
            assert "protect each person" in (await browser.get(path)).text
        for table in ("cells", "rows"):
            answer = await browser.get(f"/dashboard/representation?format=csv&table={table}")
            assert csv_rows(answer) == []
        for row in csv_rows(await browser.get("/dashboard?format=csv&table=funnel")):
            assert row["remaining"] == row["excluded at this step"] == ""
    async with dashboard_browser(counted_gateway, Role.AUDITOR) as browser:
        assert "protect each person" not in (await browser.get("/dashboard")).text


async def test_a_dashboard_sees_how_far_a_count_can_be_off(
    counted_gateway: TestGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noise, "PRIVACY_LOSS", 1000.0)  # enough of it for few persons
    counted_gateway.set_clock(NOW + 30 * DAY)
    authors = [f"a{n}" for n in range(60)]
    await counted_gateway.ingest([fact("account", id=author, country="DE") for author in authors])
    await counted_gateway.ingest([fact("content", id=f"of {author}", account=author) for author in authors])
    await counted_gateway.take_coverage()
    async with dashboard_browser(counted_gateway, Role.DASHBOARD) as browser:
        page = await browser.get("/dashboard")
        assert "counted on 2026-07-01" in page.text
        assert re.search(r"<dd>\d+ ± 10<span>withheld on 2026-05-31", page.text)
        rows = csv_rows(await browser.get("/dashboard/representation?format=csv&table=rows"))
        (germany,) = (row for row in rows if row["country"] == "DE")
        assert abs(int(germany["items"]) - 60) <= 30
        assert int(germany["off by at most"]) >= 10
        assert "± 10" in (await browser.get("/dashboard/conditions")).text


def steps(*left: int | None) -> list[FunnelStep]:
    return [FunnelStep((f"step {number}",), each) for number, each in enumerate(left)]


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
    assert [(len(step.names), step.remaining) for step in merge_small_steps(100, steps(*way))] == joined


def test_a_waterfall_ends_where_the_way_does_and_fits_its_box() -> None:
    way = steps(*range(95, 0, -4))
    chart = draw_waterfall(100, way, "all", "left")
    first, *lost, last = chart.bars
    assert len(lost) <= MAX_STEPS
    assert (first.number, last.number) == ("100", "3")
    assert sum(int(bar.number[1:]) for bar in lost) == 97
    assert all(bar.x >= 0 and bar.x + bar.width <= WIDTH and bar.y + bar.height <= BASELINE + 1 for bar in chart.bars)
    for before, after in zip([first, *lost], lost, strict=False):
        assert before.joint == pytest.approx(after.y, abs=0.1)


def test_columns_are_as_high_as_their_numbers() -> None:
    low, high, none = draw_columns([("a", 1), ("b", 4), ("c", 0)])
    assert low.height * 4 == pytest.approx(high.height, abs=0.5)
    assert none.height == 0
