"""Whichever process is killed, every retraction reaches its client: in order, at least once, by every channel."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from schema.actor import Role
from tests.support.gateway import TestGateway
from tests.support.mutants import Killed
from tests.support.ordinary_cases import ordinary_every
from tests.support.repository import ROOT
from tests.support.retraction_consumer import applied
from tests.support.retractions import alter, deliver, fault, retract, retraction_ids, settled, supersede

WAYS = ("graphql", "events")
KILLED = -signal.SIGKILL
# The tempting way to let two processes share the work: each takes what the other has not.
UNORDERED = (
    ("PERFORM pg_advisory_xact_lock(hashtextextended('grounds.retraction', 0));", ""),
    ("ORDER BY o.id LIMIT 1)", "ORDER BY o.id LIMIT 1 FOR UPDATE SKIP LOCKED)"),
)


@dataclass(frozen=True)
class Consumer:
    """The command that starts a consumer, and the place where it stores retractions."""

    gateway: TestGateway
    store: Path
    arguments: Sequence[str]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let it run until the block ends; then kill it, whatever it does at that moment."""
        environment = {"GATEWAY": self.gateway.address, "TOKEN": self.gateway.token(Role.TRAINING_CLIENT)}
        way, *more = self.arguments
        command = [sys.executable, "-m", "tests.support.retraction_consumer", way, str(self.store), *more]
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment)  # noqa: ASYNC220 - it takes a moment
        try:
            yield
        finally:
            process.kill()
            assert process.wait() == KILLED, "it ended by itself"

    async def catch_up(self) -> None:
        """Let it run until it has everything, or nothing more comes."""
        async with self.running():
            quiet, before = 0, -1
            while quiet < 40 and (found := applied(self.store)) is not None:
                if set(retraction_ids(self.gateway)) == set(found):
                    return
                quiet, before = (quiet + 1, before) if len(found) == before else (0, len(found))
                await asyncio.sleep(0.1)


async def change(gateway: TestGateway, names: Sequence[str], seconds: float) -> None:
    """Let items be edited, and be permitted no longer, one after the other, by facts and by slow transactions."""
    chance = random.Random(len(names))
    database = await asyncpg.connect(gateway.database_url)
    try:
        for place, name in enumerate(names):
            await supersede(gateway, [name])
            if place % 10 == 0:
                await slowly(database, name, chance.uniform(0, 0.3))
            elif place > 20:
                await retract(gateway, [names[place - 20]])
            await asyncio.sleep(chance.uniform(0, seconds))
    finally:
        await database.close()
    await settled(gateway)


async def slowly(database: "asyncpg.Connection[asyncpg.Record]", name: str, seconds: float) -> None:
    """Write a retraction as the background does, and take long to commit it."""
    async with database.transaction():
        await database.execute("UPDATE grounds.content SET audience = 'FRIENDS' WHERE platform_id = $1", name)
        await database.execute("SELECT grounds.retract_due()")
        await asyncio.sleep(seconds)


async def kill_while_facts_change(consumer: Consumer, names: Sequence[str], kills: int) -> str | None:
    """Kill a consumer so often, at random, while facts change; return what it lost once it caught up."""
    chance = random.Random(kills)
    changing = asyncio.create_task(change(consumer.gateway, names, 0.1))
    try:
        for _ in range(kills):
            async with consumer.running():
                await asyncio.sleep(chance.uniform(0.2, 1.2))
    finally:
        await changing
    await consumer.catch_up()
    return fault(retraction_ids(consumer.gateway), applied(consumer.store))


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.http.retraction_stream.POLL_SECONDS", 0.1)


@pytest.mark.parametrize("way", ordinary_every(2, WAYS))
async def test_a_consumer_that_is_killed_at_random_misses_nothing(
    gateway: TestGateway, tmp_path: Path, way: str
) -> None:
    names = await deliver(gateway, 50)
    consumer = Consumer(gateway, tmp_path / "store", (way, "0.02"))
    assert await kill_while_facts_change(consumer, names, 10) is None
    assert len(retraction_ids(gateway)) > len(names)


@pytest.mark.exhaustive
@pytest.mark.parametrize("way", WAYS)
async def test_a_consumer_that_is_killed_a_hundred_times_misses_nothing(
    gateway: TestGateway, tmp_path: Path, way: str
) -> None:
    names = await deliver(gateway, 600)
    consumer = Consumer(gateway, tmp_path / "store", (way, "0.02"))
    assert await kill_while_facts_change(consumer, names, 100) is None
    assert len(retraction_ids(gateway)) > len(names)


@pytest.mark.exhaustive
async def test_a_consumer_that_keeps_its_cursor_before_it_applies_is_noticed(
    gateway: TestGateway, tmp_path: Path, killed: Killed
) -> None:
    names = await deliver(gateway, 300)
    await retract(gateway, names)
    await settled(gateway)
    consumer, found = Consumer(gateway, tmp_path / "store", ("graphql", "0.05", "cursor-first")), None
    chance = random.Random(1)
    for _ in range(40):
        async with consumer.running():
            await asyncio.sleep(chance.uniform(0.2, 0.6))
        if found := fault(retraction_ids(gateway)[: len(applied(consumer.store))], applied(consumer.store)):
            break
    killed("the cursor is kept before what it covers is applied", "the consumer", found)


async def interleaved(gateway: TestGateway, store: Path) -> str | None:
    """Let two write retractions at once, the first to begin commit last, while a client reads; return what it lost."""
    names = await deliver(gateway, 3)
    await retract(gateway, names[2:])  # else the first two would meet at the client's row, which says what falls due
    await settled(gateway)
    consumer = Consumer(gateway, store, ("graphql",))
    database = await asyncpg.connect(gateway.database_url)
    try:
        async with consumer.running():
            async with database.transaction():
                await slowly(database, names[0], 0)
                await retract(gateway, names[1:2])
                for _ in range(40):  # the other writer waits for this one, or it does not
                    if len(applied(store)) > 1:
                        break
                    await asyncio.sleep(0.1)
            await settled(gateway)
    finally:
        await database.close()
    await consumer.catch_up()
    return fault(retraction_ids(gateway), applied(store))


async def test_retractions_are_numbered_in_the_order_of_their_commits(gateway: TestGateway, tmp_path: Path) -> None:
    assert await interleaved(gateway, tmp_path / "store") is None


async def test_numbers_that_are_not_in_the_order_of_commits_are_noticed(
    gateway: TestGateway, tmp_path: Path, killed: Killed
) -> None:
    alter(gateway, "retract_due()", *UNORDERED)
    found = await interleaved(gateway, tmp_path / "store")
    killed("two write retractions at once", "grounds.retract_due()", found)
