"""A year of changes: updates are HOT, earlier versions are removed after their time, and the database stays small."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from app.server.jobs import background_jobs
from app.server.scheduler import run_job_once
from db.connection import open_database
from schema.actor import Role
from tests.support.facts import NOW, fact
from tests.support.gateway import SECRET, TestGateway, open_gateway
from tests.support.mutants import Killed

ROUNDS, VERSIONS_DAYS = 12, 30
MONTH = timedelta(days=30)
UPDATES = """
SELECT sum(n_tup_upd)::bigint, sum(n_tup_hot_upd)::bigint FROM pg_stat_user_tables
WHERE schemaname = 'grounds' AND relname = 'content'
"""
SIZE = """
SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class
WHERE relnamespace = 'grounds'::regnamespace AND relkind = 'r'
"""
AS_OF = """query D($id: ID!, $at: DateTime!) {
  eligibility(contentId: $id, asOf: { validAt: $at, knownAt: $at }) { permitted }
}"""
PAGE = "{ trainableContent(first: 100) { nodes { id } } }"
ID_OF = "query I { contents(first: 1) { nodes { id } } }"


@pytest.fixture
async def year(database_url: str, tmp_path: Path) -> AsyncIterator[TestGateway]:
    async with open_gateway(database_url, tmp_path, versions_days=VERSIONS_DAYS) as gateway:
        yield gateway


def maintain(gateway: TestGateway) -> None:
    """Vacuum, as PostgreSQL does by itself after so many changes."""
    with psycopg.connect(gateway.database_url, autocommit=True) as connection:
        connection.execute("VACUUM")


async def remove_versions(gateway: TestGateway, days: int) -> int:
    """Do the job of retention until it finds nothing; return how much was removed."""
    (job,) = [
        each for each in background_jobs(gateway.database_url, SECRET, versions_days=days) if each.name == "versions"
    ]
    total = 0
    async with open_database(gateway.database_url, SECRET) as database:
        while done := await run_job_once(database, job):
            total += done
    return total


async def churn(gateway: TestGateway, items: int, rounds: int, days: int | None, name: str) -> tuple[float, float]:
    """Let every item change once a month; return the share of HOT updates, and the size by that of live data."""
    chance = random.Random(12)
    gateway.set_clock(NOW)
    await gateway.ingest(
        [fact("account", id=f"{name} a{n}") for n in range(items // 10)]
        + [fact("notice", id=f"{name} n{n}", account=f"{name} a{n}") for n in range(items // 10)]
        + [fact("content", id=f"{name} i{n}", account=f"{name} a{n % (items // 10)}") for n in range(items)]
    )
    maintain(gateway)
    before = gateway.execute(UPDATES)[0]
    for month in range(1, rounds + 1):
        now = NOW + month * MONTH
        gateway.set_clock(now)
        order = chance.sample(range(items), items)
        seen = (now - timedelta(days=1)).isoformat()
        for start in range(0, items, items // 20):
            await gateway.ingest(
                fact(
                    "content",
                    id=f"{name} i{n}",
                    account=f"{name} a{n % (items // 10)}",
                    text=f"Text {month} of {n}.",
                    observed_at=seen,
                )
                for n in order[start : start + items // 20]
            )
        await gateway.ask(Role.TRAINING_CLIENT, PAGE, client=f"{name}-{month}")
        if days is not None:
            await remove_versions(gateway, days)
        maintain(gateway)
    await asyncio.sleep(1)  # statistics come a moment later
    updates, hot = (after - first for after, first in zip(gateway.execute(UPDATES)[0], before, strict=True))
    size = gateway.execute(SIZE)[0][0]
    with psycopg.connect(gateway.database_url, autocommit=True) as connection:
        connection.execute("VACUUM FULL")
    return hot / updates, size / gateway.execute(SIZE)[0][0]


@pytest.mark.long
async def test_twelve_months_of_changes_are_hot_and_leave_a_small_database(year: TestGateway, killed: Killed) -> None:
    hot, size = await churn(year, 3_000, ROUNDS, VERSIONS_DAYS, "first")
    print(f"HOT {hot:.1%}, size {size:.2f} x the live data")
    assert hot > 0.9
    assert size <= 1.5
    year.execute("CREATE INDEX recorded ON grounds.content (recorded_at)")
    hot, _ = await churn(year, 300, 1, None, "second")
    killed("an index on a column that every update changes", "facts.sql", f"HOT {hot:.0%}" if hot < 0.9 else None)


async def test_a_decision_about_the_past_is_refused_once_its_versions_are_removed(gateway: TestGateway) -> None:
    gateway.set_clock(NOW - MONTH)
    await gateway.ingest([fact("account"), fact("notice"), fact("content")])
    (item,) = (await gateway.ask(Role.AUDITOR, ID_OF))["contents"]["nodes"]
    then = {"id": item["id"], "at": (NOW - MONTH + timedelta(days=1)).isoformat()}
    gateway.set_clock(NOW)
    await gateway.ingest([fact("content", 9, audience="FRIENDS"), fact("content", 9, id="other")])
    assert (await gateway.ask(Role.AUDITOR, AS_OF, then))["eligibility"] == {"permitted": True}
    assert await remove_versions(gateway, 1) == 0
    assert (await gateway.ask(Role.AUDITOR, AS_OF, then | {"at": NOW.isoformat()}))["eligibility"] == {
        "permitted": False
    }
    gateway.set_clock(NOW + timedelta(days=40))
    assert await remove_versions(gateway, 30) == 1
    answer = (await gateway.post(Role.AUDITOR, AS_OF, then)).json()
    assert answer["errors"][0]["message"].startswith(
        "asOf.knownAt: versions that were replaced before 2026-06-11T12:00:00Z"
    )
