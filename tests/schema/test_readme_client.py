"""The README's training client runs as it is printed, is killed, and still does everything that it is told."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from schema.actor import Role
from tests.support.documents import block
from tests.support.facts import NOW
from tests.support.gateway import TestGateway
from tests.support.retractions import deliver, retract, settled, supersede

LIFT = "mutation L($id: ID!) { liftHold(id: $id) { id } }"
CLIENT = block("schema/README.md", "client")
OPEN = 'mutation { openHold(scope: COUNTRY, value: "IE", authority: "an authority", reason: "an order") { id } }'


@asynccontextmanager
async def client(gateway: TestGateway, folder: Path) -> AsyncIterator[None]:
    """Run the client until the block ends; then kill it."""
    environment = {"GATEWAY": gateway.address, "TOKEN": gateway.token(Role.TRAINING_CLIENT)}
    command = [sys.executable, "-c", CLIENT]
    process = subprocess.Popen(command, cwd=folder, env=os.environ | environment)  # noqa: ASYNC220 - it takes a moment
    try:
        yield
    finally:
        process.kill()
        assert process.wait() == -signal.SIGKILL, "it ended by itself"


def corpus(folder: Path) -> list[tuple[Any, ...]]:
    """Return the text of each item that the client keeps, and whether it is set aside."""
    store = sqlite3.connect(folder / "corpus.db", timeout=30)
    try:
        return store.execute("SELECT text, held FROM item ORDER BY text").fetchall()
    except sqlite3.OperationalError:  # it has not begun
        return []
    finally:
        store.close()


async def holds(gateway: TestGateway, folder: Path, *expected: tuple[str, bool]) -> None:
    """Run the client, killed now and then, until it holds what is expected and acknowledged all it was told."""
    chance = random.Random(len(expected))
    for _ in range(4):
        async with client(gateway, folder):
            await asyncio.sleep(chance.uniform(0.1, 0.9))
    async with client(gateway, folder):
        for _ in range(200):
            found = await gateway.ask(Role.PRIVACY_OFFICER, "{ clients { unacknowledged } }")
            if found["clients"] == [{"unacknowledged": 0}] and corpus(folder) == sorted(expected):
                return
            await asyncio.sleep(0.1)
    assert (found["clients"], corpus(folder)) == ([{"unacknowledged": 0}], sorted(expected))


def test_the_loop_has_thirty_lines_and_needs_httpx_only() -> None:
    assert len(CLIENT.splitlines()) <= 30
    assert [line for line in CLIENT.splitlines() if "import" in line] == ["import os, sqlite3, time, httpx"]


async def test_the_client_does_what_it_is_told_and_acknowledges(gateway: TestGateway, tmp_path: Path) -> None:
    names = await deliver(gateway, 4)
    old, new = "A heron stood by the weir.", "A heron stood by the lake."
    await holds(gateway, tmp_path, *[(old, False)] * 4)
    await retract(gateway, names[:1])
    await supersede(gateway, names[1:2])
    await settled(gateway)
    await holds(gateway, tmp_path, *[(old, False)] * 2)
    hold = (await gateway.ask(Role.PRIVACY_OFFICER, OPEN))["openHold"]["id"]
    await settled(gateway)
    await holds(gateway, tmp_path, *[(old, True)] * 2)
    for officer in ("first", "second"):
        await gateway.ask(Role.PRIVACY_OFFICER, LIFT, {"id": hold}, name=officer)
    gateway.set_clock(NOW + timedelta(hours=24))
    gateway.execute("INSERT INTO grounds.retraction_queue (scope) VALUES ('EVERYTHING')")
    await settled(gateway)
    await holds(gateway, tmp_path, (new, False), *[(old, False)] * 2)
    kinds = gateway.execute("SELECT DISTINCT kind FROM grounds.retraction ORDER BY kind")
    assert kinds == [("HOLD",), ("RELEASE",), ("RETRACT",), ("SUPERSEDE",)]
