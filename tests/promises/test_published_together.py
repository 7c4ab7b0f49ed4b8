"""All that dashboards and everyone are shown of counts, together: nothing but what was published on the fixed calendar.

The attacks of tests/db/coverage read the published tables. Here it is shown that there is nothing else to read: pages,
CSV files, filters, ratios and the public JSON stay as they are, whatever happens in 30 days, until they are published
again.
"""

import csv
import io
import re
from datetime import timedelta
from itertools import combinations
from random import Random
from typing import Any

import pytest
from graphql import ObjectTypeDefinitionNode, parse, print_ast

from app.web.privacy import public_data
from db.access.declaration import DASHBOARD, FUNCTIONS, TABLES, VIEWS
from db.coverage import noise
from schema.actor import Role
from tests.support.counted_platform import COVERAGE, FILTERS, counted_gateway, generated_platform
from tests.support.dashboard import dashboard_browser
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import TestGateway
from tests.support.mutants import Killed
from tests.support.repository import ROOT

pytestmark = pytest.mark.database

PAGES = (
    "/dashboard",
    "/dashboard?format=csv&table=funnel",
    "/dashboard?format=csv&table=changes",
    "/dashboard/conditions",
    "/dashboard/conditions?format=csv",
    *(
        f"/dashboard/representation?view={view}{file}"
        for view in ("country-kind", "language-kind", "country-language")
        for file in ("", "&format=csv&table=rows", "&format=csv&table=cells")
    ),
)
CLOSED = ("/dashboard/notices-and-objections", "/dashboard/clients", "/dashboard/explain?id=item-1-0", "/metrics")
HOLD = """mutation Hold($value: String!) {
  openHold(scope: ACCOUNT, value: $value, authority: "An authority", reason: "An inquiry") { id }
}"""
EVERY_DAY = (
    "CREATE OR REPLACE FUNCTION grounds.publication_is_due(on_day date) RETURNS boolean LANGUAGE sql STABLE AS"
    " $$ SELECT TRUE $$"
)


async def everything_shown(gateway: TestGateway) -> dict[str, Any]:
    """Read all counts that dashboards and everyone can read, by where they stand."""
    shown: dict[str, Any] = {}
    by = [(), *((name,) for name in (*FILTERS, "CONDITION")), *combinations(FILTERS, 2)]
    chosen: list[dict[str, Any]] = [{}, *({FILTERS[name]: [value]} for name, value in VALUES.items())]
    for groups in by:
        for filter in chosen if len(groups) < 2 else [{}]:
            variables = {"groupBy": [*groups], "filter": filter}
            answer = await gateway.post(Role.DASHBOARD, COVERAGE, variables)
            shown[f"{groups} {filter}"] = answer.json()
    series = '{ coverageSeries(firstDay: "2026-01-01", lastDay: "2026-12-31") { day items permitted margin } }'
    shown["series"] = (await gateway.post(Role.DASHBOARD, series)).json()
    assert shown["series"]["data"]["coverageSeries"]
    async with dashboard_browser(gateway, Role.DASHBOARD) as browser:
        for page in PAGES:
            answer = await browser.get(page)
            assert answer.status_code == 200, page
            shown[page] = answer.text
        for page in CLOSED:
            assert (await browser.get(page)).status_code in (403, 404), page
    shown["/transparency.json"] = (await gateway.client.get("/transparency.json")).json()["coverage"]
    page = (await gateway.client.get("/", headers={"Accept": "text/html"})).text
    shown["/"] = page.partition('<h2 id="counts">')[2].partition("</section>")[0]
    assert "<table>" in shown["/"]
    return shown


VALUES = {"KIND": "POST", "COUNTRY": "IE", "PRODUCT": "FACEBOOK", "LANGUAGE": "en", "MONTH": "2026-01"}


def what_differs(one: dict[str, Any], other: dict[str, Any]) -> str | None:
    return next((place for place, value in one.items() if other[place] != value), None)


async def live(gateway: TestGateway, random: Random, day: int) -> None:
    """Let persons object, delete and come, one account be held, a client read, and an attacker post in Breton."""
    now = (NOW + day * DAY).isoformat()
    accounts = [name for (name,) in gateway.execute("SELECT platform_id FROM grounds.account ORDER BY id")]
    news: list[dict[str, Any]] = [
        fact("objection", id=f"o-{day}-{n}", account=random.choice(accounts), received_at=now, observed_at=now)
        for n in range(3)
    ]
    news += [fact("account", id=f"new-{day}", country="LI"), fact("notice", id=f"n-{day}", account=f"new-{day}")]
    news += [
        fact("content", id=f"new-{day}-{n}", account=f"new-{day}", language="br", observed_at=now)
        for n in range(random.randrange(1, 12))
    ]
    news += [fact("content", id=f"new-{day - 1}-0", account=f"new-{day - 1}", deleted_at=now, observed_at=now)]
    await gateway.ingest(news)
    await gateway.ask(Role.PRIVACY_OFFICER, HOLD, {"value": random.choice(accounts)})
    await gateway.pull(client=f"client-{day}")


async def test_what_is_shown_in_30_days_changes_with_the_publications_only(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    monkeypatch.setattr(noise, "PRIVACY_LOSS", 10.0**6)  # so that there is something to see
    monkeypatch.setattr(public_data, "SECONDS_KEPT", 0.0)
    await counted_gateway(gateway, generated_platform(3))
    first = await everything_shown(gateway)
    assert what_differs(first, await everything_shown(gateway)) is None
    random = Random(20)
    for day in (1, 9, 20, 29):
        gateway.set_clock(NOW + day * DAY)
        await live(gateway, random, day)
        await gateway.take_coverage()
        assert what_differs(first, await everything_shown(gateway)) is None
    gateway.set_clock(NOW + 30 * DAY + timedelta(hours=1))
    await gateway.take_coverage()
    then = await everything_shown(gateway)
    assert {place for place in PAGES if then[place] == first[place]} == set(), "every page shows the new counts"
    gateway.execute(EVERY_DAY)
    gateway.set_clock(NOW + 31 * DAY)
    await gateway.take_coverage()
    killed("published every day", "db/sql/coverage.sql", what_differs(then, await everything_shown(gateway)))


async def test_files_and_pages_show_published_numbers_and_what_follows_from_them(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noise, "PRIVACY_LOSS", 10.0**6)
    await counted_gateway(gateway, generated_platform(3))
    ((published,),) = gateway.execute("SELECT tables -> 'GENAI_TRAINING' FROM grounds.coverage_published")
    numbers = {row[1] for rows in published.values() for row in rows} | {
        row[2] for rows in published.values() for row in rows
    }
    async with dashboard_browser(gateway, Role.DASHBOARD) as browser:
        for page in PAGES:
            if "representation" in page and "csv" in page:
                for row in csv.DictReader(io.StringIO((await browser.get(page)).text)):
                    assert {int(row[name]) if row[name] else None for name in ("items", "permitted")} <= numbers
                    if row["items"] and row["items"] != "0":
                        share = int(row["permitted"]) / int(row["items"])
                        assert float(row["permitted share"]) == pytest.approx(share, abs=0.001)
    total = (await gateway.client.get("/transparency.json")).json()["coverage"]["total"]
    assert {total["items"], total["permitted"]} <= numbers


NOT_OF_PERSONS = {"Policy", "LedgerCheckpoint", "CoverageProtection"}
"""Types whose numbers say nothing of persons' data: rules, the numbers of checkpoints, the method's own parameters."""
PUBLISHED = {"CoverageRow", "CoverageStep", "CoverageDay", "Exclusion"}


def readable_numbers(*roles: str) -> dict[str, set[str]]:
    """List the fields with numbers that some roles can read, by type, from the schema."""
    found: dict[str, set[str]] = {}
    for kind in parse((ROOT / "schema" / "schema.graphql").read_text(encoding="utf-8")).definitions:
        if isinstance(kind, ObjectTypeDefinitionNode):
            for field in kind.fields or ():
                governed = " ".join(print_ast(each) for each in field.directives or ())
                is_number = re.sub(r"[\[\]!]", "", print_ast(field.type)) in ("Int", "Float")
                if is_number and any(re.search(rf"\b{role}\b", governed) for role in roles):
                    found.setdefault(kind.name.value, set()).add(field.name.value)
    return found


def test_dashboards_and_everyone_read_no_number_but_published_counts(killed: Killed) -> None:
    found = readable_numbers("DASHBOARD", "PUBLIC")
    assert found.keys() <= PUBLISHED | NOT_OF_PERSONS
    assert found.keys() >= PUBLISHED
    others = readable_numbers("AUDITOR").keys() - PUBLISHED - NOT_OF_PERSONS
    killed("an auditor's counts for dashboards", "schema/oversight", ", ".join(sorted(others))[:60])


def test_the_database_lets_dashboards_read_nothing_of_which_counts_are_made() -> None:
    tables = {table for table, roles in TABLES.items() if DASHBOARD in roles}
    assert tables == {"campaign", "campaign_text", "coverage_published", "policy"}
    assert not {view for view, roles in VIEWS.items() if DASHBOARD in roles}
    assert {function.partition("(")[0] for function, roles in FUNCTIONS.items() if DASHBOARD in roles} == {
        *("decision_time", "claim", "claimed", "claimed_client", "newest_checkpoint", "checkpoints_from"),
        *("public_holds", "public_policies", "had_incidents", "incarnations", "keeps_journal", "previous_secrets"),
        *("public_releases", "public_models", "job_states"),
    }, "a new one is named here once it is known to tell nothing of persons"
