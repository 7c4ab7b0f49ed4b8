"""Background work: duties that some process of ours does, each by one process at a time, again and again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.observe import observe
from db.session import Connection, Database, connection


@dataclass(frozen=True, slots=True)
class Duty:
    """Name what is done every so many seconds, as the worker's login.

    It says how much it did; where that is something, it goes on at once.
    """

    name: str
    seconds: float
    work: Callable[[Connection], Awaitable[int]]


@asynccontextmanager
async def doing(duties: Sequence[Duty], database: Database) -> AsyncIterator[None]:
    """Do duties in the background. Every server process may run this: a lock lets one at a time do a duty."""
    running = [asyncio.create_task(_do(database, duty)) for duty in duties]
    try:
        yield
    finally:
        for task in running:
            task.cancel()  # what is under way is taken back by the database
        await asyncio.gather(*running, return_exceptions=True)


async def do_once(database: Database, duty: Duty) -> int:
    """Do a duty unless another process does it at this moment; give how much was done."""
    async with connection(database.worker) as borrowed:  # which lets go of the lock when it is given back
        free = await borrowed.fetchval("SELECT pg_try_advisory_lock(hashtextextended($1, 0))", f"duty:{duty.name}")
        return await duty.work(borrowed) if free else 0


@asynccontextmanager
async def instead_of(database: Database, name: str) -> AsyncIterator[Connection]:
    """Keep every process from a duty, and give the worker's connection that does: to do it when it is time."""
    async with connection(database.worker) as borrowed:
        await borrowed.execute("SELECT pg_advisory_lock(hashtextextended($1, 0))", f"duty:{name}")
        yield borrowed


def in_transaction(work: Callable[[Connection], Awaitable[int]]) -> Callable[[Connection], Awaitable[int]]:
    """Do work of several statements in one transaction. What is one statement commits by itself, and holds no lock."""

    async def worked(connection: Connection) -> int:
        async with connection.transaction():
            return await work(connection)

    return worked


async def _do(database: Database, duty: Duty) -> None:
    while True:
        done = 0
        try:
            done = await do_once(database, duty)
        except Exception as error:  # whatever it is, the next round may do better, and other duties go on
            observe.duty_failed(duty.name, error)
        if done == 0:
            await asyncio.sleep(duty.seconds)
