"""What the benchmarks measure on: a made-up platform of any size, kept in a folder, and a real server over it."""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from time import perf_counter

import asyncpg

from app.demo.demo import in_blocks
from app.demo.population import population_lines
from app.server.bootstrap import open_current_database
from app.server.scheduler import hold_job_lock
from app.settings import Settings
from db.connection import Connection, connection, open_database
from db.coverage.snapshot import take_coverage
from db.delivery.offers import keep_offers
from db.ingest.merge import ingest_lines
from db.ingest.staging import Stager
from db.secrets import role_password

QUIET_POLLS = 10


@contextmanager
def loaded(data: Path, items: int) -> Iterator[tuple[Settings, str]]:
    """Yield a database that holds so many items; a folder that holds them already is used as it is."""
    settings = Settings(data=data)
    with open_current_database(settings) as url:
        asyncio.run(_load(settings, url, items))
        yield settings, url


async def _load(settings: Settings, url: str, items: int) -> None:
    stager = Stager()
    async with open_database(url, settings.secret_bytes()) as database, connection(database.ingest) as borrowed:
        there = await database.examiner("benchmark").fetchval("SELECT count(*) FROM grounds.content")
        if there < items:
            started = perf_counter()
            await ingest_lines(borrowed, blocks(population_lines(items, datetime.now(UTC))), stager, on_rejected=print)
            print(f"loaded {items:,} items in {perf_counter() - started:.1f} s", flush=True)
        async with hold_job_lock(database, "coverage") as worker:
            while await take_coverage(worker):  # the day's count, or a server would take it beside what is measured
                pass
    stager.close()
    admin = await asyncpg.connect(url)
    await admin.execute("VACUUM ANALYZE")
    await admin.close()


async def blocks(lines: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Yield lines as a stream of blocks."""
    for block in in_blocks(lines):
        yield block


class Client(HTTPConnection):
    """A connection to a server with little overhead, which knows the server's process."""

    server: int

    def cpu(self) -> float:
        """Return the seconds of CPU that the server used so far, all its threads: see clock_getcpuclockid(3)."""
        return time.clock_gettime((~self.server << 3) | 2)


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[Client]:
    """Run `grounds serve` as a process of its own, as in production, and give a connection to it."""
    command = [sys.executable, "-c", "from app.cli.main import main; main()", "serve", "--port", "0"]
    environment = {**os.environ, "GROUNDS_DATA": str(settings.data)}
    process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=subprocess.PIPE)
    assert process.stderr is not None
    try:
        started = (await process.stderr.readline()).decode()
        address = started.partition('"address": "')[2].partition('"')[0]
        # A server whose log nobody reads stands still.
        draining = asyncio.create_task(_drain(process.stderr))
        with closing(Client(address.removeprefix("http://"), timeout=60)) as client:
            client.server = process.pid
            await _idle(settings)
            yield client
        draining.cancel()
    finally:
        process.terminate()
        await process.wait()


async def _drain(log: asyncio.StreamReader) -> None:
    while await log.read(65_536):
        pass


async def _idle(settings: Settings) -> None:
    """Wait until the jobs have done what they begin a server's life with: it takes a core for seconds."""
    with open_current_database(settings) as url:
        admin = await asyncpg.connect(url)
        quiet = 0
        while quiet < QUIET_POLLS:
            await asyncio.sleep(0.2)
            quiet = 0 if await admin.fetchval(_LONG_DUTIES) else quiet + 1
        await admin.close()


_LONG_DUTIES = """SELECT count(*) FROM pg_stat_activity
WHERE usename = 'grounds_worker' AND state = 'active' AND now() - query_start > interval '0.1 s'"""


async def build_offers(settings: Settings, url: str) -> None:
    """Build the offers, and say how long it takes. A server with GROUNDS_OFFERS=true reads its pages from them."""
    started = perf_counter()
    async with open_database(url, settings.secret_bytes()) as database, hold_job_lock(database, "offers") as worker:
        while await keep_offers(worker):
            pass
    print(f"built the offers in {perf_counter() - started:.1f} s", flush=True)
    admin = await asyncpg.connect(url)
    await admin.execute("VACUUM ANALYZE")
    await admin.close()


async def training_connection(settings: Settings, url: str) -> Connection:
    """Connect as training clients do."""
    password = role_password(settings.secret_bytes(), "grounds_training")
    return await asyncpg.connect(url, user="grounds_training", password=password)


async def interleaved(calls: Mapping[str, Callable[[int], Awaitable[object]]], rounds: int) -> dict[str, float]:
    """Time calls in turn, each round at another place, so that noise meets all of them; give medians in seconds.

    Each round begins with another of them: who comes first to a place fetches what it reads from disk.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    order = list(calls.items())
    for turn in range(-5, rounds):
        order.append(order.pop(0))
        for name, call in order:
            started = perf_counter()
            await call(turn % rounds)
            if turn >= 0:
                times[name].append(perf_counter() - started)
    return {name: statistics.median(taken) for name, taken in times.items()}
