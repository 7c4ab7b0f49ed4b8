"""An objection that reaches very many accounts is in effect when acknowledged, before their standings are derived.

Its commit derives some of them; while a job derives the rest, nothing is delivered, retracted or told to be permitted.
"""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.server.scheduler import hold_job_lock
from db.connection import open_database
from schema.actor import Role
from tests.support.facts import NOW, fact
from tests.support.gateway import PULL, SECRET, TestGateway, open_gateway
from tests.support.mutants import Killed
from tests.support.retractions import alter, settled

CONTACT = hashlib.sha256(b"shared").hexdigest()
FILE = "mutation F($input: FileObjectionInput!) { fileObjection(input: $input) { reference } }"
OBJECTED = "SELECT count(*) FROM grounds.account_standing WHERE objected_public_until = 'infinity'"
ACCOUNTS = 1500


@pytest.fixture
async def shared(database_url: str, tmp_path: Path) -> AsyncIterator[TestGateway]:
    """Many accounts with one contact, of which each has an item."""
    async with open_gateway(database_url, tmp_path) as gateway:
        gateway.set_clock(NOW)
        await gateway.ingest(record for name in range(ACCOUNTS) for record in records(str(name), [CONTACT]))
        await gateway.ingest(records("other", []))
        yield gateway


def records(name: str, contacts: list[str]) -> list[dict[str, Any]]:
    account, notice = fact("account", id=name, contacts=contacts), fact("notice", id=name, account=name)
    return [account, notice, fact("content", id=name, account=name)]


async def object_while_the_job_waits(gateway: TestGateway) -> tuple[int, int, list[str]]:
    """Object by the contact; give a page's status and what is permitted meanwhile, and the feed's kinds afterwards."""
    delivered = [item["id"] for item in await gateway.pull(1000)]
    assert len(delivered) == ACCOUNTS + 1
    async with open_database(gateway.database_url, SECRET) as database, hold_job_lock(database, "standings"):
        await gateway.ask(Role.PRIVACY_OFFICER, FILE, {"input": {"contact": CONTACT}})
        page = await gateway.post(Role.TRAINING_CLIENT, PULL, {"first": 1000})
        served = page.json()["data"]["trainableContent"]["nodes"] if page.status_code == 200 else []
        gateway.execute("SELECT grounds.retract_due()")
        told = gateway.execute("SELECT count(*) FROM grounds.retraction")
    return page.status_code, len(served), [str(count) for (count,) in told]


async def test_nothing_is_delivered_until_the_standings_of_a_wide_objection_are_derived(shared: TestGateway) -> None:
    status, served, told = await object_while_the_job_waits(shared)
    assert (status, served, told) == (503, 0, ["0"])
    while shared.execute("SELECT grounds.derive_backlog()") != [(0,)]:
        pass
    assert shared.execute(OBJECTED) == [(ACCOUNTS,)]
    assert len(await shared.pull(1000)) == 1
    await settled(shared)
    assert shared.execute("SELECT count(*), count(DISTINCT item) FROM grounds.retraction") == [(ACCOUNTS, ACCOUNTS)]


async def test_a_build_that_delivers_while_standings_are_behind_is_noticed(shared: TestGateway, killed: Killed) -> None:
    alter(shared, "decisions_pending()", ("OR EXISTS", "OR FALSE AND EXISTS"))
    _, served, _ = await object_while_the_job_waits(shared)
    killed("deliveries go on", "grounds.decisions_pending", f"{served - 1} items served" if served > 1 else None)
