"""Stops background jobs, and pauses a function of the database in the middle while a test changes facts."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from tests.support.gateway import TestGateway
from tests.support.retractions import alter

WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 4711"
PAUSE = "PERFORM pg_advisory_xact_lock(4711);"


@asynccontextmanager
async def job_stopped(gateway: TestGateway, job: str) -> AsyncIterator[None]:
    """Keep a background job from running, as another process does that is in the middle of it.

    The jobs of a shared server run in the event loop of the tests, so nothing may block it while one ends.
    """
    lock = f"hashtextextended('job:{job}', 0)"
    await until(lambda: gateway.execute(f"SELECT pg_try_advisory_lock({lock})") == [(True,)])
    try:
        yield
    finally:
        gateway.execute(f"SELECT pg_advisory_unlock({lock})")


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    for _ in range(600):
        if holds():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it does not come true")


def pause_before(gateway: TestGateway, function: str, statement: str) -> None:
    """Let a function of the database pause before a statement; see `changed_in_the_pause`."""
    alter(gateway, function, (statement, f"{PAUSE} {statement}"))


async def changed_in_the_pause(gateway: TestGateway, call: str, change: str) -> Any:
    """Call a function that pauses, change something in its pause, and return what the function returns."""
    gateway.execute("SELECT pg_advisory_lock(4711)")
    calling = asyncio.create_task(_fetch(gateway.database_url, call))
    await until(lambda: gateway.execute(WAITING) == [(1,)])
    gateway.execute(change)
    gateway.execute("SELECT pg_advisory_unlock(4711)")
    return await calling


async def _fetch(url: str, call: str) -> Any:
    """Call a function as the administrator, on a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(call)
    finally:
        await connection.close()
