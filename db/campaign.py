"""Keep a campaign's outbox: who is to be told, what is under way, and what became of it.

Each function is one statement, and so one transaction unless its connection is in one: what has been claimed is
committed before anything is sent.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from db.session import Connection, Pool, connection


class TaskState(StrEnum):
    """Name where the task to tell somebody stands."""

    PENDING = "PENDING"
    SENDING = "SENDING"
    SENT = "SENT"
    UNKNOWN = "UNKNOWN"
    DELIVERED = "DELIVERED"
    BOUNCED = "BOUNCED"
    FAILED = "FAILED"


class Claimed(StrEnum):
    """Name what came of claiming a task; only what is CLAIMED may be sent."""

    CLAIMED = "CLAIMED"
    DONE = "DONE"
    NOT_NEEDED = "NOT_NEEDED"
    NOT_THEIRS = "NOT_THEIRS"


class Claim(NamedTuple):
    """Hold what came of claiming; but for the outcome all is None unless it was CLAIMED."""

    outcome: Claimed
    task: int
    notice: str
    product: str
    language: str | None
    claimed_at: datetime


class Unwritten(NamedTuple):
    """Hold an account that waits for a text in the app."""

    task: int
    account: str
    product: str
    language: str | None
    asked_at: datetime


class Written(NamedTuple):
    """Hold a text for a task."""

    task: int
    language: str
    subject: str
    body: str


class PendingNotice(NamedTuple):
    """Hold a notice that the platform is to show."""

    task: int
    notice: str
    account: str
    epoch: str
    language: str
    subject: str
    body: str


class Report(NamedTuple):
    """Say what became of a notice: delivered or bounced, and when."""

    notice: str
    delivered_at: datetime | None
    bounced_at: datetime | None


class AlreadyRunning(Exception):
    """Say that another run of the same epoch is under way."""


@asynccontextmanager
async def only_run(pool: Pool, epoch: str) -> AsyncIterator[None]:
    """Be the only run of an epoch until the block ends, or the process does; raise AlreadyRunning.

    What is found under way is then certain to be broken off.
    """
    name = f"campaign:{epoch}"
    async with connection(pool) as borrowed:
        if not await borrowed.fetchval("SELECT pg_try_advisory_lock(hashtextextended($1, 0))", name):
            raise AlreadyRunning
        try:
            yield
        finally:
            await borrowed.execute("SELECT pg_advisory_unlock(hashtextextended($1, 0))", name)


async def open_campaign(borrowed: Connection, epoch: str, channel: str) -> int:
    """Begin a campaign or go on with it, and give its number: whoever must be told and has no task is given one."""
    number: int = await borrowed.fetchval("SELECT grounds.open_campaign($1, $2)", epoch, channel)
    return number


async def settle_broken_off(borrowed: Connection, campaign: int) -> None:
    """Record as unknown what a run that is over left in the middle."""
    await borrowed.execute("SELECT grounds.settle_broken_off($1)", campaign)


async def claim(borrowed: Connection, campaign: int, account: str, contact: str, *, retry_unknown: bool) -> Claim:
    """Take an account's task for sending to the address whose hash this is."""
    row = await borrowed.fetchrow(
        "SELECT outcome, task, notice, product, language, claimed_at FROM grounds.claim_notice($1, $2, $3, $4)",
        *(campaign, account, contact, retry_unknown),
    )
    assert row is not None, "the function has one row"
    return Claim(Claimed(row[0]), *row[1:])


async def settle(borrowed: Connection, task: int, state: TaskState) -> None:
    """Say what became of a claimed task; with SENT the notice is recorded as sent, which is not delivered."""
    await borrowed.execute("SELECT grounds.settle_notice($1, $2)", task, state)


async def unwritten(borrowed: Connection, campaign: int, after: int, most: int) -> list[Unwritten]:
    """Read accounts that wait for a text in the app, behind a task."""
    rows = await borrowed.fetch("SELECT * FROM grounds.unwritten_notices($1, $2, $3)", campaign, after, most)
    return [Unwritten(*row) for row in rows]


async def write(borrowed: Connection, texts: Sequence[Written]) -> None:
    """Put texts into the outbox."""
    tasks, languages, subjects, bodies = zip(*texts, strict=True)
    await borrowed.execute("SELECT grounds.write_notices($1, $2, $3, $4)", tasks, languages, subjects, bodies)


async def pending_notices(pool: Pool, after: int, first: int) -> tuple[list[PendingNotice], bool]:
    """Read a page of what the platform is to show, and whether there is more."""
    async with connection(pool) as borrowed:
        rows = await borrowed.fetch("SELECT * FROM grounds.pending_notices($1, $2)", after, first + 1)
    return [PendingNotice(*row) for row in rows[:first]], len(rows) > first


async def record_deliveries(pool: Pool, reports: Sequence[Report]) -> list[TaskState | None]:
    """Take down what became of notices, together; give each one's state, None where there is no such notice."""
    async with connection(pool) as borrowed:
        rows = await borrowed.fetch(
            "SELECT state FROM grounds.record_notice_delivery($1, $2, $3)",
            [report.notice for report in reports],
            [report.delivered_at for report in reports],
            [report.bounced_at for report in reports],
        )
    return [None if row[0] is None else TaskState(row[0]) for row in rows]


async def counts(borrowed: Connection, campaign: int) -> dict[TaskState, int]:
    """Count a campaign's tasks by their states."""
    rows = await borrowed.fetch("SELECT state, tasks FROM grounds.campaign_counts($1)", campaign)
    return {TaskState(state): count for state, count in rows}
