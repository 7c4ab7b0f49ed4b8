"""Served implies logged: server and database are killed while clients read, and all that arrived has its receipt."""

import json
import os
import random
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg
import pytest

from app.auth.dev_issuer import DevelopmentIssuer
from db.embedded_postgres import remove_embedded_postgres
from db.incarnations import Incarnations
from schema.actor import Role
from schema.relay.ids import ids_of
from tests.support.command import Serving, address_from, environment, grounds
from tests.support.facts import NOW, fact
from tests.support.fork_server import BUILD, ForkedCommand
from tests.support.gateway import set_clock
from tests.support.mutants import Killed

pytestmark = pytest.mark.xdist_group("serve")

ITEMS = 120
CLIENTS = 4
QUERY = """query Pull($first: Int!, $after: String) {
  trainableContent(first: $first, after: $after) {
    nodes { id reason { receipt } } pageInfo { hasNextPage endCursor }
  }
}"""
NODE = re.compile(rb'\{"id":"([\w-]{22})","reason":\{"receipt":"([\w-]{22})"\}\}')
# A broken build: pages are answered first, and their receipts committed a moment later.
LATE = """
import asyncio, schema.training.trainable_content
from app.cli.main import main
from db.delivery.pages import narrowing
from db.delivery.pages import Delivered, page_statement

async def deliver(pool, client, purpose, after, first, narrowed, **_):
    used, values = narrowing(narrowed)
    borrowed = await pool.connections.acquire()
    transaction = borrowed.transaction()
    await transaction.start()
    rows = await borrowed.fetch(page_statement(used), str(client), purpose, after, first, 2**63 - 1, *values)
    last = rows.pop()
    asyncio.get_running_loop().create_task(later(pool, borrowed, transaction))
    return Delivered(rows, last["receipt"], last["decided_at"], last["policy"], bool(last["has_next"]))

async def later(pool, borrowed, transaction):
    await asyncio.sleep(0.2)
    await transaction.commit()
    await pool.connections.release(borrowed)

schema.training.trainable_content.deliver = schema.training.trainable_content.deliver_offers = deliver
main()
"""


@dataclass
class World:
    """The running server, and what every client received from any server."""

    data: Path
    build: str
    address: str = ""
    ended: bool = False
    broken_off: int = 0
    # Client -> receipt -> items in order, as the client knows them, and whether the page arrived whole.
    received: dict[str, dict[str, tuple[list[str], bool]]] = field(default_factory=dict)

    @property
    def reads(self) -> int:
        return sum(len(pages) for pages in self.received.values())


def pull_pages(world: World, name: str) -> None:
    """Pull page after page, whatever becomes of the server; keep even what arrived of a page in part."""
    issuer = DevelopmentIssuer.open(world.data)
    token = issuer.token(Role.TRAINING_CLIENT, client=name, purpose="GENAI_TRAINING")
    headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"}
    mine = world.received.setdefault(name, {})
    chance, after = random.Random(name), None
    http = httpx.Client(headers=headers, timeout=10)
    while not world.ended:
        body = {"query": QUERY, "variables": {"first": chance.randint(1, 60), "after": after}}
        arrived, whole = b"", False
        try:
            with http.stream("POST", f"{world.address}/graphql", json=body) as answer:
                for part in answer.iter_raw():
                    arrived += part
            page = json.loads(arrived)["data"]["trainableContent"]["pageInfo"]
            after, whole = page["endCursor"] if page["hasNextPage"] else None, True
        except (httpx.HTTPError, ValueError, TypeError, KeyError):  # it was killed, or it says that it cannot answer
            world.broken_off += 1
            time.sleep(0.02)
        nodes = NODE.findall(arrived)
        if nodes:
            (receipt,) = {receipt.decode() for _, receipt in nodes}
            mine[receipt] = [id.decode() for id, _ in nodes], whole
    http.close()


@contextmanager
def started(world: World) -> Iterator[Serving]:
    """Serve until the block ends, or somebody kills it."""
    log = world.data.with_name("log")
    settings = environment(world.data)
    arguments = ("serve", "--port", 0)
    with (
        log.open("wb") as stderr,
        ForkedCommand(*arguments, build=world.build, env=settings, stderr=stderr.fileno()) as process,
    ):
        try:
            server = Serving(process, address_from(process, log), world.data, log)
            world.address = server.address
            yield server
        finally:
            process.kill()


def postmaster(data: Path) -> int:
    cluster = (data / "postgres" / "cluster").resolve()
    return int((cluster / "database" / "data" / "postmaster.pid").read_text().split()[0])


def children(parent: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(status.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(status.parent.name))
    return found


def kill(server: Serving, turn: int, chance: random.Random) -> None:
    """Kill the server process, the database's first process, or one of those that answer statements."""
    time.sleep(chance.uniform(0, 0.3))
    database = postmaster(server.data)
    victims = ([server.process.pid], children(database)[-3:], [database, *children(database)])[turn % 3]
    for pid in victims:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def read_through(world: World, reads: int, kills: int) -> None:
    """Read so many pages, and kill so often between."""
    chance = random.Random(kills)
    readers = [threading.Thread(target=pull_pages, args=(world, f"client-{number}")) for number in range(CLIENTS)]
    turn = 0
    try:
        while turn < kills or world.reads < reads:
            with started(world) as server:
                for reader in readers:
                    if not reader.is_alive():
                        reader.start()
                survives = True
                while survives and (turn < kills or world.reads < reads):
                    if turn < kills and world.reads >= reads * turn // kills + 5:
                        kill(server, turn, chance)
                        survives = turn % 3 == 1  # a database that lost one process mends itself, and the server waits
                        turn += 1
                    time.sleep(0.01)
    finally:
        world.ended = True
        for reader in readers:
            if reader.is_alive():
                reader.join()


def unlogged(world: World) -> list[str]:
    """Start once more, and give every page that a client received and no receipt has."""
    secret = (world.data / "secret").read_bytes().strip()
    missing = []
    with started(world) as server, psycopg.connect(server.database_url) as connection:
        logged = {
            (name, receipt): items
            for name, receipt, items in connection.execute(
                "SELECT c.name, d.id, ARRAY(SELECT grounds.items_of(d))"
                " FROM grounds.delivery d JOIN grounds.client c ON c.id = d.client"
            )
        }
        incarnations = Incarnations(
            tuple(value for (value,) in connection.execute("SELECT value FROM grounds.incarnations()"))
        )
        for name, pages in world.received.items():
            ids = ids_of(secret, f"client:{name}", incarnations)
            for receipt, (items, whole) in pages.items():
                found, numbers = ids.decode(receipt), [ids.decode(item) for item in items]
                assert found is not None
                told = [number[1] for number in numbers if number is not None]
                kept = logged.get((name, found[1]), [])
                if kept[: len(told)] != told or (whole and kept != told):
                    missing.append(f"receipt {found[1]} of {name}: {len(told)} items")
    return missing


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A gateway with items that are permitted, and its data folder; PostgreSQL's settings are those of a real one."""
    world = World(tmp_path / "data", BUILD)
    with started(world) as server:
        set_clock(server.database_url, NOW)
        facts = [fact("account"), fact("notice"), *(fact("content", id=f"item-{number}") for number in range(ITEMS))]
        headers = {"Authorization": f"Bearer {DevelopmentIssuer.open(world.data).token(Role.PLATFORM_INGEST)}"}
        body = "\n".join(map(json.dumps, facts))
        answer = httpx.post(f"{server.address}/ingest", content=body, headers=headers, timeout=60).json()
        assert answer["total"]["accepted"] == len(facts)
        with psycopg.connect(server.database_url) as connection:
            durable = [
                connection.execute(f"SHOW {name}".encode()).fetchone() for name in ("fsync", "synchronous_commit")
            ]
        assert durable == [("on",), ("on",)]
        server.stop()
    yield world
    remove_embedded_postgres(world.data / "postgres")


def all_is_logged(world: World, reads: int, kills: int) -> None:
    read_through(world, reads, kills)
    assert unlogged(world) == []
    assert world.reads >= reads
    assert world.broken_off >= kills // 3  # it was killed while somebody read
    told = grounds("verify", data=world.data)
    assert (told.returncode, told.stdout.startswith("The ledger is sound.")) == (0, True)


def test_whatever_is_killed_no_page_arrived_without_its_receipt(world: World) -> None:
    all_is_logged(world, 150, 3)


@pytest.mark.exhaustive
def test_ten_thousand_reads_and_twenty_kills(world: World) -> None:
    all_is_logged(world, 10_000, 20)


@pytest.mark.exhaustive
def test_a_build_that_writes_receipts_after_the_answer_is_noticed(world: World, killed: Killed) -> None:
    world.build = LATE
    read_through(world, 60, 3)
    world.build = BUILD
    missing = unlogged(world)
    killed("the receipt is committed after the answer", "deliver()", missing[0] if missing else None)
