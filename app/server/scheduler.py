"""Run background jobs: each at its interval, in one process at a time."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from app import metrics
from app.server.status import ServerStatus
from app.telemetry import observe
from db.connection import UNAVAILABLE, Connection, Database, connection
from db.jobs import record_job, start_jobs

RECORD_SECONDS: Final = 30.0
"""The minimum time between two records of a job's success. The first success after a failure is recorded at once."""
WAIT_SECONDS: Final = 60.0
"""The time for which a job waits for a database connection. There are more jobs than connections."""


@dataclass(frozen=True, slots=True)
class Job:
    """A background job, which runs at an interval of some seconds with the worker's login.

    It says how much it did; where that is something, it goes on at once.
    """

    name: str
    seconds: float
    work: Callable[[Connection], Awaitable[int]]


@asynccontextmanager
async def run_jobs(jobs: Sequence[Job], database: Database, status: ServerStatus) -> AsyncIterator[None]:
    """Run background jobs at their intervals. Every server process may do this: a lock lets one at a time run a job."""
    running = [asyncio.create_task(_repeat_job(database, job, status)) for job in jobs]
    if jobs:
        running.append(asyncio.create_task(_record_start(database, jobs)))
    try:
        yield
    finally:
        for task in running:
            task.cancel()  # what is under way is taken back by the database
        await asyncio.gather(*running, return_exceptions=True)


async def run_job_once(database: Database, job: Job) -> int | None:
    """Run a background job and return how much was done; None if another process runs it at this moment."""
    async with connection(database.worker, wait_seconds=WAIT_SECONDS) as borrowed:  # given back, it unlocks
        free = await borrowed.fetchval("SELECT pg_try_advisory_lock(hashtextextended($1, 0))", f"job:{job.name}")
        return await job.work(borrowed) if free else None


@asynccontextmanager
async def hold_job_lock(database: Database, name: str) -> AsyncIterator[Connection]:
    """Lock a background job against every other process, and yield the worker's connection for it."""
    async with connection(database.worker, wait_seconds=WAIT_SECONDS) as borrowed:
        await borrowed.execute("SELECT pg_advisory_lock(hashtextextended($1, 0))", f"job:{name}")
        yield borrowed


def in_transaction(work: Callable[[Connection], Awaitable[int]]) -> Callable[[Connection], Awaitable[int]]:
    """Make a background job run in one transaction. A single statement needs none: it commits by itself."""

    async def worked(connection: Connection) -> int:
        """Run a background job in one transaction."""
        async with connection.transaction():
            return await work(connection)

    return worked


async def _repeat_job(database: Database, job: Job, status: ServerStatus) -> None:
    """Repeat a background job at its interval, and note each failure."""
    recorded_at = -math.inf
    while True:
        done, failed = None, job.name in status.failing_jobs
        try:
            done = await run_job_once(database, job)
            status.failing_jobs.pop(job.name, None)
            if done is not None:  # else another process does it, or hangs in it
                metrics.JOB_SUCCESS.labels(job.name).set_to_current_time()
                if failed or time.monotonic() - recorded_at > RECORD_SECONDS:
                    await _record_outcome(database, job, None)
                    recorded_at = time.monotonic()
        except Exception as error:  # whatever it is, the next round may do better, and other jobs go on
            observe.job_failed(job.name, error)
            status.job_failed(job.name, error)
            if not failed:
                await _record_outcome(database, job, error)
        if not done:
            await asyncio.sleep(job.seconds)


async def _record_start(database: Database, jobs: Sequence[Job]) -> None:
    """Record the background jobs of this server process, so that one that never succeeds is overdue."""
    with suppress(*UNAVAILABLE):
        async with connection(database.worker, wait_seconds=WAIT_SECONDS) as borrowed:
            await start_jobs(borrowed, {job.name: job.seconds for job in jobs})


async def _record_outcome(database: Database, job: Job, error: Exception | None) -> None:
    """Record the outcome of a background job for `grounds status`; without a database nothing can be recorded."""
    with suppress(*UNAVAILABLE):
        async with connection(database.worker, wait_seconds=WAIT_SECONDS) as borrowed:
            await record_job(borrowed, job.name, error)
