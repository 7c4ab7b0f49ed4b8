"""Every client that received an item is told what became of it: however many, whatever stalls or is killed."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta

import asyncpg
import psycopg
import pytest

from db.access.declaration import FUNCTIONS, TRAINING
from db.delivery.pages import MAX_ID, Filter, narrowing, page_statement
from db.secrets import role_password
from schema.actor import Role
from tests.support.facts import NOW, fact
from tests.support.gateway import SECRET, TestGateway
from tests.support.mutants import Killed
from tests.support.retractions import alter, deliver, retract, settled

pytestmark = pytest.mark.database

TOLD = "SELECT count(*), count(DISTINCT (client, item)) FROM grounds.retraction WHERE kind = 'RETRACT'"
COUNTED = "SELECT coalesce(sum(cardinality(items)), 0)::bigint FROM grounds.retraction_batch WHERE kind = 'RETRACT'"
FEED = "query F($after: String) { retractions(first: 100, after: $after) { edges { cursor node { contentId } } } }"


async def wait_until_retracted(gateway: TestGateway, expected: int) -> float:
    """Wait until so many clients' items are retracted, each once, as long as more are; return the seconds."""
    began = progressed = time.monotonic()
    counted = 0
    while counted < expected:
        await asyncio.sleep(0.05)
        ((now,),) = gateway.execute(COUNTED)
        if now > counted:
            counted, progressed = now, time.monotonic()
        assert time.monotonic() - progressed < 60, f"{counted} of {expected} are told, and no more"
    seconds = time.monotonic() - began
    assert gateway.execute(TOLD) == [(expected, expected)], "some were told twice"
    return seconds


@asynccontextmanager
async def page_in_progress(gateway: TestGateway) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Read a page as a training client does, and commit it only at the end of the block."""
    connection = await asyncpg.connect(gateway.database_url, user=TRAINING, password=role_password(SECRET, TRAINING))
    try:
        await connection.execute(
            "SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0"
        )
        async with connection.transaction():
            yield connection
    finally:
        await connection.close()


async def read_pages(connection: "asyncpg.Connection[asyncpg.Record]", client: int) -> int:
    used, values = narrowing(Filter())
    rows = await connection.fetch(page_statement(used), str(client), "GENAI_TRAINING", 0, 1000, MAX_ID, *values)
    return len(rows) - 1


async def stalled_page(gateway: TestGateway, looks: float = 0) -> str | None:
    """Read a page, let its items be changed and looked at, and commit it then; say what its client is not told.

    Wait so many seconds at most for the last look.
    """
    await deliver(gateway, 3)
    gateway.execute("INSERT INTO grounds.client (name) VALUES ('slow')")
    async with page_in_progress(gateway) as connection:
        assert await read_pages(connection, 2) == 3
        await retract(gateway, [f"item-{number}" for number in range(3)])
        await wait_until_retracted(gateway, 3)
        await settled(gateway)
        for _ in range(int(looks / 0.05)):
            if not gateway.execute("SELECT 1 FROM grounds.retraction_check LIMIT 1"):
                break
            await asyncio.sleep(0.05)
    for _ in range(60):
        ((count,),) = gateway.execute("SELECT count(*) FROM grounds.retraction WHERE client = 2")
        if count == 3:
            return None
        await asyncio.sleep(0.05)
    return f"{3 - count} of 3 items of a page that was being read are not retracted"


async def test_a_page_whose_commit_stalls_is_retracted_when_it_is_there(gateway: TestGateway) -> None:
    assert await stalled_page(gateway) is None
    assert gateway.execute("SELECT count(*) FROM grounds.retraction_check") == [(0,)]


async def test_a_job_that_does_not_wait_for_pages_in_progress_is_noticed(gateway: TestGateway, killed: Killed) -> None:
    alter(gateway, "retract_due()", ("in_progress := grounds.pages_in_progress();", "in_progress := '{}';"))
    killed("no page is in progress", "retract_due()", await stalled_page(gateway))


async def test_a_second_look_that_looks_at_once_is_noticed(gateway: TestGateway, killed: Killed) -> None:
    alter(gateway, "retract_due()", ("WHERE NOT coalesce(o.pages, '{}') && in_progress", "WHERE TRUE"))
    killed("the second look does not wait", "retract_due()", await stalled_page(gateway, looks=20))


async def blocked(gateway: TestGateway) -> None:
    """Wait until a receipt waits to be written."""
    for _ in range(500):
        if gateway.execute("SELECT 1 FROM pg_locks WHERE relation = 'grounds.delivery'::regclass AND NOT granted"):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("no receipt waits")


async def test_a_page_that_waits_for_its_receipt_while_the_change_comes_is_retracted(gateway: TestGateway) -> None:
    await deliver(gateway, 3)
    gateway.execute("INSERT INTO grounds.client (name) VALUES ('slow')")
    async with page_in_progress(gateway) as connection:
        with psycopg.connect(gateway.database_url) as stall:
            stall.execute("LOCK TABLE grounds.delivery IN SHARE MODE")
            reading = asyncio.create_task(read_pages(connection, 2))
            await blocked(gateway)
            await retract(gateway, [f"item-{number}" for number in range(3)])
            await wait_until_retracted(gateway, 3)
            stall.rollback()
        assert await reading == 3
    await wait_until_retracted(gateway, 6)


async def test_of_two_pages_at_once_the_later_receipt_hides_no_retraction_of_the_earlier(gateway: TestGateway) -> None:
    await deliver(gateway, 1)
    async with page_in_progress(gateway) as connection:
        assert await read_pages(connection, 1) == 1
        assert len(await gateway.pull()) == 1  # has the higher number, and is there first
        await retract(gateway, ["item-0"])
        await wait_until_retracted(gateway, 1)
    for _ in range(100):
        if gateway.execute("SELECT delivery FROM grounds.retraction ORDER BY id") == [(3,), (2,)]:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the page that came last is not retracted")


async def test_a_page_of_items_that_nobody_received_before_is_told_of_a_hold(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    await gateway.ingest([fact("account"), fact("notice"), fact("content", id="first"), fact("content", id="second")])
    await settled(gateway)
    gateway.execute("INSERT INTO grounds.client (name) VALUES ('slow')")
    async with page_in_progress(gateway) as connection:
        assert await read_pages(connection, 1) == 2
        gateway.execute(
            "INSERT INTO grounds.hold (scope, authority, reason, opened_at) VALUES ('GLOBAL', 'a', 'b', %s)",
            NOW - timedelta(days=1),
        )
        await settled(gateway)
    for _ in range(100):
        if gateway.execute("SELECT kind FROM grounds.retraction") == [("HOLD",), ("HOLD",)]:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("a page that was being read when the hold was opened is not told of it")


def test_only_the_training_login_writes_receipts() -> None:
    assert FUNCTIONS["write_receipt(bigint[])"] == (TRAINING,)


async def received(gateway: TestGateway, items: int, authors: int, clients: int) -> None:
    """Let so many items be there, of so many authors, and each client have all of them."""
    gateway.set_clock(NOW)
    records = (
        [fact("account", id=f"author-{number}") for number in range(authors)]
        + [fact("notice", id=f"notice-{number}", account=f"author-{number}") for number in range(authors)]
        + [fact("content", id=f"item-{number}", account=f"author-{number % authors}") for number in range(items)]
    )
    for at in range(0, len(records), 20_000):
        await gateway.ingest(records[at : at + 20_000])
    await settled(gateway)
    gateway.execute("INSERT INTO grounds.client (name) SELECT 'client-' || n FROM generate_series(1, %s) n", clients)
    gateway.execute(
        "DO $$ BEGIN PERFORM set_config('grounds.purpose', 'GENAI_TRAINING', TRUE);"
        f" FOR holder IN 1..{clients} LOOP PERFORM set_config('grounds.client', holder::text, TRUE);"
        " PERFORM grounds.write_receipt(array_agg(id ORDER BY id)) FROM grounds.content GROUP BY id / 1000;"
        " END LOOP; END $$"
    )


async def change(gateway: TestGateway, way: str, authors: int) -> None:
    """Let every item be permitted no longer: by one statement, or because its author objects."""
    if way == "statement":
        gateway.execute("UPDATE grounds.content SET audience = 'FRIENDS'")
        return
    objections = (
        fact("objection", id=f"objection-{number}", account=f"author-{number}", received_at=NOW.isoformat())
        for number in range(authors)
    )
    await gateway.ingest(objections)


@pytest.mark.parametrize(
    ("items", "authors", "way"), [(101, 1, "author"), (1000, 1, "statement"), (1000, 100, "author")]
)
async def test_each_of_twenty_clients_is_told_of_every_item(
    gateway: TestGateway, items: int, authors: int, way: str
) -> None:
    await received(gateway, items, authors, 20)
    await change(gateway, way, authors)
    await wait_until_retracted(gateway, items * 20)


@pytest.mark.long
@pytest.mark.parametrize(("authors", "way"), [(1, "statement"), (1, "author"), (1000, "author")])
async def test_each_of_twenty_clients_is_told_of_a_hundred_thousand_items(
    gateway: TestGateway, authors: int, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await received(gateway, 100_000, authors, 20)
    while gateway.execute("SELECT grounds.record_deliveries(1000)") != [(0,)]:
        pass
    await change(gateway, way, authors)
    seconds = await wait_until_retracted(gateway, 2_000_000)
    with capsys.disabled():
        print(f"\n2,000,000 retractions of 100,000 items by {authors} authors, {way}: {seconds:.1f} s")


@contextmanager
def failing(gateway: TestGateway, name: str) -> Iterator[None]:
    """Let whatever is told of one item fail."""
    ((item,),) = gateway.execute("SELECT id FROM grounds.content WHERE platform_id = %s", name)
    gateway.execute(
        "CREATE FUNCTION grounds.fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE division_by_zero; END';"
        "CREATE TRIGGER fail BEFORE INSERT ON grounds.retraction_batch FOR EACH ROW"
        f" WHEN ({item} = ANY (NEW.items)) EXECUTE FUNCTION grounds.fail()"
    )
    yield
    gateway.execute("DROP TRIGGER fail ON grounds.retraction_batch; DROP FUNCTION grounds.fail()")


async def failing_jobs(gateway: TestGateway, *, fails: bool) -> dict[str, dict[str, str]]:
    for _ in range(100):
        found: dict[str, dict[str, str]] = (await gateway.client.get("/ready")).json().get("failing_jobs", {})
        if ("retract" in found) == fails:
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"/ready says {found}")


async def test_what_fails_for_one_item_is_set_aside_and_seen_and_the_rest_is_told(gateway: TestGateway) -> None:
    names = await deliver(gateway, 40)
    with failing(gateway, "item-7"):
        await retract(gateway, names)
        await wait_until_retracted(gateway, 39)
        assert (await failing_jobs(gateway, fails=True))["retract"]["kind"] == "RetractionsSetAside"
    gateway.execute("UPDATE grounds.retraction_check SET failed_at = '-infinity'")
    await wait_until_retracted(gateway, 40)
    assert "retract" not in await failing_jobs(gateway, fails=False)


async def test_a_client_that_reads_while_the_job_is_killed_misses_nothing(gateway: TestGateway) -> None:
    names = await deliver(gateway, 120)
    found: list[str] = []
    after = None
    changing = asyncio.create_task(one_by_one(gateway, names))
    for attempt in range(300):
        if attempt < 60:  # on a busy machine a job that is killed for ever never ends
            gateway.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'grounds_worker'"
                " AND datname = current_database() AND query LIKE '%%retract_due%%'"
            )
        page = (await gateway.ask(Role.TRAINING_CLIENT, FEED, {"after": after}))["retractions"]["edges"]
        found += [edge["node"]["contentId"] for edge in page]
        after = page[-1]["cursor"] if page else after
        if len(found) == len(names):
            break
        await asyncio.sleep(0.1)
    await changing
    assert (len(found), len(set(found))) == (120, 120)


async def one_by_one(gateway: TestGateway, names: list[str]) -> None:
    for at in range(0, len(names), 10):
        await retract(gateway, names[at : at + 10])
        await asyncio.sleep(0.05)
