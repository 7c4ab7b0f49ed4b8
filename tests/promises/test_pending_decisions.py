"""While decisions are pending, no item is permitted for a moment: nothing follows from that which cannot be taken back.

Decisions can become pending in the middle of a job, after the job asked. They are pending while standings are derived,
and from the approval of a policy until the policy is in force.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from schema.actor import Role
from tests.support.database_pauses import changed_in_the_pause, job_stopped, pause_before
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import TestGateway
from tests.support.mutants import Killed
from tests.support.retractions import alter, deliver

pytestmark = pytest.mark.database

PENDING = "INSERT INTO grounds.standing_backlog (accounts, of_person, own_facts) VALUES ('{}', FALSE, FALSE)"
NO_LONGER_PENDING = "DELETE FROM grounds.standing_backlog"
RETRACT = "SELECT grounds.retract_due()"
PURGE = "SELECT grounds.purge_texts(10)"
PLANT = """SELECT grounds.plant_canary('item-0', 'It can never qualify.') FROM (
    SELECT set_config('grounds.examiner', 'PRIVACY_OFFICER', TRUE), set_config('grounds.officer', 'officer', TRUE)
    OFFSET 0
) claims"""
TOLD = "SELECT kind, count(*)::int FROM grounds.retraction GROUP BY kind"
TEXTS = "SELECT count(*)::int FROM grounds.content WHERE text IS NOT NULL"
RETRACTED_EARLIER = """INSERT INTO grounds.retraction_batch (
    client, first_id, last_id, kind, is_incident, retracted_at, due_by, delivery, items)
SELECT client, id, id, 'RETRACT', FALSE, decided_at, decided_at, id, ARRAY[lowest] FROM grounds.delivery"""
OPEN_LAKE_FILE = "open_lake_file(bigint[], timestamptz[], text)"
OPEN = """SELECT f.state || coalesce(f.gone::text, '') FROM (
    SELECT set_config('grounds.client', '1', TRUE) AS client, set_config('grounds.purpose', 'GENAI_TRAINING', TRUE)
) claims
CROSS JOIN LATERAL (
    SELECT array_agg(c.id) AS ids, array_agg(greatest(c.revised_at, '1600-01-01 00:00:00+00')) AS revisions
    FROM grounds.content c WHERE claims.client = '1') listed
CROSS JOIN LATERAL grounds.open_lake_file(
    listed.ids, listed.revisions, (SELECT p.version FROM grounds.policy p WHERE p.active)) f"""
SHARD = """INSERT INTO grounds.release_shard (release, number, client, first, last, state, item_bits, file)
SELECT 1, 0, 1, min(id), max(id), 'WRITTEN', '\\xff', 'a file' FROM grounds.content"""
STRIKE = """INSERT INTO grounds.release_strike (release, number, items, is_revised)
SELECT 1, 0, array_agg(id), FALSE FROM grounds.content"""
OPEN_SHARD = """SELECT f.state || coalesce(f.gone::text, '') FROM (
    SELECT set_config('grounds.client', '1', TRUE) AS client, set_config('grounds.purpose', 'GENAI_TRAINING', TRUE)
) claims CROSS JOIN LATERAL grounds.open_shard(claims.client::bigint, 0) f"""
COVERAGE = "{ coverage(groupBy: [KIND]) { rows { items permitted } } }"


@pytest.fixture
async def quiet(gateway: TestGateway) -> AsyncIterator[TestGateway]:
    """A gateway whose jobs do nothing to standings and retractions."""
    async with AsyncExitStack() as stopped:
        for job in ("standings", "retract", "purge"):
            await stopped.enter_async_context(job_stopped(gateway, job))
        yield gateway


async def told_of_permitted_items(gateway: TestGateway) -> str | None:
    """Let decisions become pending while retractions are written; return what is wrong."""
    await deliver(gateway, 2)
    while gateway.execute(RETRACT) != [(0,)]:
        pass
    pause_before(gateway, "retract_due()", "taken := grounds.queue_checks(1000);")
    gateway.execute("INSERT INTO grounds.retraction_queue (scope) VALUES ('EVERYTHING')")
    await changed_in_the_pause(gateway, RETRACT, PENDING)
    gateway.execute(NO_LONGER_PENDING)
    if told := gateway.execute(TOLD):
        return f"the client was told of permitted items: {told}"
    await gateway.ingest([fact("objection", account="author")])
    while gateway.execute(RETRACT) != [(0,)]:
        pass
    return None if gateway.execute(TOLD) == [("RETRACT", 2)] else "the client is not told of the objection"


async def purged_of_permitted_items(gateway: TestGateway) -> str | None:
    """Let decisions become pending while texts are removed; return what is wrong."""
    await deliver(gateway, 1)
    gateway.execute(RETRACTED_EARLIER)
    gateway.set_clock(NOW + 8 * DAY)
    pause_before(gateway, "purge_texts(integer)", "WITH gone AS MATERIALIZED")
    assert await changed_in_the_pause(gateway, PURGE, "SELECT 1") == 0, "the item is permitted again"
    await changed_in_the_pause(gateway, PURGE, PENDING)
    gateway.execute(NO_LONGER_PENDING)
    return None if gateway.execute(TEXTS) == [(1,)] else "the text of a permitted item was removed"


async def planted_a_permitted_item(gateway: TestGateway) -> str | None:
    """Plant an item while decisions are pending; return what is wrong."""
    gateway.set_clock(NOW - 60 * DAY)
    await gateway.ingest([fact("account"), fact("notice"), fact("content", id="item-0")])
    gateway.set_clock(NOW)
    assert gateway.execute(PLANT) == [("QUALIFIES",)]
    gateway.execute(PENDING)
    ((outcome,),) = gateway.execute(PLANT)
    gateway.execute(NO_LONGER_PENDING)
    return None if outcome == "PENDING" else f"a permitted item is {outcome}"


async def counted_permitted_items(gateway: TestGateway) -> str | None:
    """Count the coverage while decisions are pending; return what is wrong."""
    await deliver(gateway, 2)
    gateway.execute(PENDING)
    await gateway.take_coverage()
    gateway.execute(NO_LONGER_PENDING)
    await gateway.take_coverage()
    found = (await gateway.ask(Role.PRIVACY_OFFICER, COVERAGE))["coverage"]["rows"]
    return None if found == [{"items": 2, "permitted": 2}] else f"counted: {found}"


async def cut_of_permitted_items(gateway: TestGateway) -> str | None:
    """Let decisions become pending while a file of a lake is opened; return what is wrong."""
    await deliver(gateway, 2)
    pause_before(gateway, OPEN_LAKE_FILE, "gone := ARRAY(")
    assert await changed_in_the_pause(gateway, OPEN, "SELECT 1") == "OPEN{}"
    found = await changed_in_the_pause(gateway, OPEN, PENDING)
    gateway.execute(NO_LONGER_PENDING)
    return None if found == "PAUSED" else f"permitted items are cut: {found}"


async def cut_of_a_release(gateway: TestGateway) -> str | None:
    """Let decisions become pending while a file of a release is opened; return what is wrong."""
    await deliver(gateway, 2)
    while gateway.execute(RETRACT) != [(0,)]:
        pass
    gateway.execute(SHARD)
    gateway.execute(STRIKE)
    pause_before(gateway, "open_shard(bigint, integer)", "gone := ARRAY(")
    assert await changed_in_the_pause(gateway, OPEN_SHARD, STRIKE) == "WRITTEN{}"
    found = await changed_in_the_pause(gateway, OPEN_SHARD, PENDING)
    gateway.execute(NO_LONGER_PENDING)
    return None if found == "PAUSED" else f"permitted items are cut: {found}"


PROMISES = {
    "retract()": told_of_permitted_items,
    "is_permitted_for_any()": purged_of_permitted_items,
    "plant_canary()": planted_a_permitted_item,
    "count_items()": counted_permitted_items,
    "open_lake_file()": cut_of_permitted_items,
    "open_shard()": cut_of_a_release,
}


@pytest.mark.parametrize("function", PROMISES)
async def test_nothing_final_follows_from_decisions_that_are_pending(quiet: TestGateway, function: str) -> None:
    assert await PROMISES[function](quiet) is None


@pytest.mark.parametrize("function", PROMISES)
async def test_a_build_that_does_not_ask_again_is_noticed(quiet: TestGateway, killed: Killed, function: str) -> None:
    alter(quiet, "require_decisions()", ("IF grounds", "IF FALSE AND grounds"))
    killed("decisions are pending, and are not asked for", function, await PROMISES[function](quiet))
