"""A synchronous standby that stops stalls commits, and then no recipient of an item is missed.

It needs a PostgreSQL of this machine: `GROUNDS_TEST_POSTGRES=/usr/lib/postgresql/15/bin`.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from db.setup import prepare_database
from tests.promises.test_no_recipient_missed import page_in_progress, read_pages
from tests.support.gateway import SECRET, TestGateway, open_gateway
from tests.support.installed_postgres import BINARIES, Standby, installed_postgres, synchronous_standby
from tests.support.mutants import Killed
from tests.support.retractions import alter, deliver, settled

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(BINARIES is None, reason="GROUNDS_TEST_POSTGRES names no PostgreSQL of this machine"),
]
STALLED_SECONDS = 30


@pytest.fixture
def primary() -> Iterator[str]:
    """A server of its own, and the superuser's URL of a database in it."""
    with installed_postgres(Path(str(BINARIES)), settings={"fsync": "off"}) as url:
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute("CREATE DATABASE grounds")
        database = f"{url.rpartition('/')[0]}/grounds"
        prepare_database(database, SECRET)
        yield database


async def missed(gateway: TestGateway, seconds: float) -> str | None:
    """Stall the commit of a page by a standby that stops, change its items meanwhile; return what is not told."""
    await deliver(gateway, 3)
    await settled(gateway)
    gateway.execute("INSERT INTO grounds.client (name) VALUES ('slow')")
    with synchronous_standby(Path(str(BINARIES)), gateway.database_url) as standby:
        try:
            await stall(gateway, standby, seconds)
        finally:
            gateway.execute("ALTER SYSTEM RESET synchronous_standby_names")
            gateway.execute("SELECT pg_reload_conf()")
    await settled(gateway)
    for _ in range(100):
        ((told,),) = gateway.execute("SELECT count(*) FROM grounds.retraction WHERE client = 2")
        if told == 3:
            return None
        await asyncio.sleep(0.1)
    return f"{3 - told} of 3 items of a page whose commit stalled are not retracted"


async def stall(gateway: TestGateway, standby: Standby, seconds: float) -> None:
    """Let a page wait for a standby that stops, and its items change and be looked at before the standby is back."""
    gateway.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
    gateway.execute("SELECT pg_reload_conf()")
    await confirmed_by(gateway, 1)
    standby.stop()
    await confirmed_by(gateway, 0)
    async with asyncio.timeout(120):
        reading = asyncio.create_task(read_one_page(gateway))
        await waiting(gateway)
        gateway.execute("SET synchronous_commit = local; UPDATE grounds.content SET audience = 'FRIENDS'")
        await asyncio.sleep(seconds)
        assert not reading.done(), "the commit of the page did not stall"
        standby.start()
        assert await reading == 3


async def read_one_page(gateway: TestGateway) -> int:
    async with page_in_progress(gateway) as connection:
        return await read_pages(connection, 2)


async def confirmed_by(gateway: TestGateway, standbys: int) -> None:
    """Wait until so many standbys confirm commits."""
    for _ in range(600):
        found = gateway.execute("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'")
        if found == [(standbys,)]:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{found} standbys confirm commits")


async def waiting(gateway: TestGateway) -> None:
    """Wait until the commit of a page waits for the standby."""
    for _ in range(600):
        found = gateway.execute(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND usename = 'grounds_training'"
        )
        if found:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("no page waits for the standby")


async def test_a_page_whose_commit_a_standby_stalls_is_retracted(primary: str, tmp_path: Path) -> None:
    async with open_gateway(primary, tmp_path) as gateway:
        assert await missed(gateway, STALLED_SECONDS) is None


async def test_a_job_that_does_not_wait_for_the_standby_is_noticed(
    primary: str, tmp_path: Path, killed: Killed
) -> None:
    async with open_gateway(primary, tmp_path) as gateway:
        alter(gateway, "retract_due()", ("in_progress := grounds.pages_in_progress();", "in_progress := '{}';"))
        killed("no page is in progress", "retract_due(), a standby that stops", await missed(gateway, 3))
