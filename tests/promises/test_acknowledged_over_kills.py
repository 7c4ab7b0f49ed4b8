"""An acknowledged objection is in effect, whichever process is killed between its statement and its commit."""

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg
import pytest

from app.auth.dev_issuer import DevelopmentIssuer
from db.embedded_postgres import remove_embedded_postgres
from schema.actor import Role
from tests.promises.test_immediacy_during_ingest import SERVED, claim
from tests.promises.test_served_implies_logged import World, kill, started
from tests.support.command import Serving
from tests.support.facts import NOW, fact
from tests.support.fork_server import BUILD
from tests.support.gateway import set_clock
from tests.support.mutants import Killed

pytestmark = pytest.mark.xdist_group("serve")

OBJECTORS = 4
OBJECT = "mutation O($account: String!) { fileObjection(input: { account: $account, scope: ALL }) { reference } }"
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('grounds.standing', 0))"
WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
STORED = "SELECT value FROM grounds.objection_target"
# A broken build: objections are acknowledged first, and committed a moment later.
EARLY = """
import asyncio, db.oversight.objection_filing
from contextlib import asynccontextmanager
from app.cli.main import main

@asynccontextmanager
async def write_transaction(pool, **claims):
    borrowed = await pool.connections.acquire()
    transaction = borrowed.transaction()
    await transaction.start()
    await borrowed.execute("SET TRANSACTION READ WRITE")
    for claim, who in claims.items():
        await borrowed.execute("SELECT set_config($1, $2, TRUE)", f"grounds.{claim}", who)
    yield borrowed
    asyncio.get_running_loop().create_task(later(pool, borrowed, transaction))

async def later(pool, borrowed, transaction):
    await transaction.commit()
    await pool.connections.release(borrowed)

db.oversight.objection_filing.write_transaction = write_transaction
main()
"""


@dataclass
class Objections:
    """The accounts that object, one after the other, and those whose objection was acknowledged."""

    world: World
    left: list[str]
    acknowledged: set[str] = field(default_factory=set)
    broken_off: int = 0

    def file(self) -> None:
        """File one objection after the other, whatever becomes of the server; none is sent twice."""
        token = DevelopmentIssuer.open(self.world.data).token(Role.PRIVACY_OFFICER)
        with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=20) as client:
            while self.left and not self.world.ended:
                account = self.left.pop()
                try:
                    body = {"query": OBJECT, "variables": {"account": account}}
                    answer = client.post(f"{self.world.address}/graphql", json=body).json()
                except httpx.ConnectError:
                    self.left.append(account)
                    time.sleep(0.05)
                except (httpx.HTTPError, ValueError):
                    self.broken_off += 1
                else:
                    if "errors" not in answer:
                        self.acknowledged.add(account)


def kill_before_commit(server: Serving, turn: int, chance: random.Random) -> None:
    """Kill a process while objections wait for the lock that their commit takes."""
    with suppress(psycopg.Error), psycopg.connect(server.database_url) as holder:
        holder.execute(LOCK)
        for _ in range(100):
            if holder.execute(WAITING).fetchone() != (0,):
                break
            time.sleep(0.02)
        kill(server, turn, chance)


def object_through(objections: Objections, kills: int) -> None:
    """Let accounts object, and kill so often."""
    chance = random.Random(kills)
    threads = [threading.Thread(target=objections.file) for _ in range(OBJECTORS)]
    turn, apart = 0, len(objections.left) // (kills + 1)
    try:
        while turn < kills:
            with started(objections.world) as server:
                for thread in threads:
                    if thread.ident is None:
                        thread.start()
                survives = True
                while survives and turn < kills:
                    if len(objections.left) <= apart * (kills - turn):
                        kill_before_commit(server, turn, chance)
                        survives = turn % 3 == 1  # a database that lost one process mends itself
                        turn += 1
                    time.sleep(0.01)
    finally:
        objections.world.ended = True
        for thread in threads:
            if thread.is_alive():
                thread.join()


def lost(objections: Objections) -> list[str]:
    """Start once more, and give every account whose objection is acknowledged or stored, and not in effect."""
    with started(objections.world) as server, psycopg.connect(server.database_url, autocommit=True) as connection:
        claim(connection)
        stored = {name for (name,) in connection.execute(STORED)}
        served = {name for (name,) in connection.execute(SERVED, [sorted(stored | objections.acknowledged)])}
    return sorted((objections.acknowledged - stored) | served)


@pytest.fixture
def objections(tmp_path: Path) -> Iterator[Objections]:
    """A gateway with its own database, and accounts with an item each."""
    world = World(tmp_path / "data", BUILD)
    accounts = [f"account-{number}" for number in range(300)]
    with started(world) as server:
        set_clock(server.database_url, NOW)
        records = [
            record
            for name in accounts
            for record in (
                fact("account", id=name),
                fact("notice", id=name, account=name),
                fact("content", id=name, account=name),
            )
        ]
        headers = {"Authorization": f"Bearer {DevelopmentIssuer.open(world.data).token(Role.PLATFORM_INGEST)}"}
        body = "\n".join(map(json.dumps, records))
        answer = httpx.post(f"{server.address}/ingest", content=body, headers=headers, timeout=60).json()
        assert answer["total"]["accepted"] == len(records)
        server.stop()
    yield Objections(world, accounts)
    remove_embedded_postgres(world.data / "postgres")


def all_are_in_effect(objections: Objections, kills: int) -> None:
    object_through(objections, kills)
    assert lost(objections) == []
    assert len(objections.acknowledged) > 20
    assert objections.broken_off > 0, "it was killed while nobody objected"


@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.ci)])
def test_whatever_is_killed_each_acknowledged_objection_is_in_effect(objections: Objections, kills: int) -> None:
    all_are_in_effect(objections, kills)


@pytest.mark.exhaustive
def test_each_acknowledged_objection_is_in_effect_after_thirty_kills(objections: Objections) -> None:
    all_are_in_effect(objections, 30)


@pytest.mark.long
def test_a_build_that_acknowledges_before_the_commit_is_noticed(objections: Objections, killed: Killed) -> None:
    objections.world.build = EARLY
    object_through(objections, 1)
    objections.world.build = BUILD
    objections.world.ended = False
    missing = lost(objections)
    killed("acknowledged before the commit", "file_objection()", f"{len(missing)} are lost" if missing else None)
