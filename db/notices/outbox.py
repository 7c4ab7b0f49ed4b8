"""The outbox of a campaign: which notices are due, under way, sent or failed.

Each function is one statement, and so one transaction unless its connection is in one: what has been claimed is
committed before anything is sent.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from db.connection import Connection, Pool, connection
from db.vocabulary import MessageKind


class TaskState(StrEnum):
    """The states of the task to notify an account."""

    PENDING = "PENDING"
    SENDING = "SENDING"
    SENT = "SENT"
    UNKNOWN = "UNKNOWN"
    DELIVERED = "DELIVERED"
    BOUNCED = "BOUNCED"
    FAILED = "FAILED"


class ClaimOutcome(StrEnum):
    """The outcomes of claiming a task; only a CLAIMED task may be sent."""

    CLAIMED = "CLAIMED"
    DONE = "DONE"
    NOT_NEEDED = "NOT_NEEDED"
    NOT_THEIRS = "NOT_THEIRS"


class Claim(NamedTuple):
    """The result of claiming a task; all but the outcome is None unless it was CLAIMED."""

    outcome: ClaimOutcome
    task: int
    notice: str
    language: str
    claimed_at: datetime


class UnwrittenNotice(NamedTuple):
    """An account whose in-app text is not written yet."""

    task: int
    account: str
    language: str
    asked_at: datetime


class WrittenNotice(NamedTuple):
    """The text of a task."""

    task: int
    language: str
    subject: str
    body: str


class PendingNoticeRow(NamedTuple):
    """A notice that the platform is to show."""

    task: int
    notice: str
    account: str
    epoch: str
    message: str
    language: str
    subject: str
    body: str


class DeliveryReport(NamedTuple):
    """The result of a notice: delivered or bounced, and when."""

    notice: str
    delivered_at: datetime | None
    bounced_at: datetime | None


class CampaignRunning(Exception):
    """The failure to start a run because another run of the same epoch is active."""


@asynccontextmanager
async def hold_campaign_lock(pool: Pool, epoch: str) -> AsyncIterator[None]:
    """Lock the outbox of a campaign's notices until the block or the process ends; raises CampaignRunning.

    A task that is found in the middle of sending was then certainly interrupted.
    """
    name = f"campaign:{epoch}"
    async with connection(pool) as borrowed:
        if not await borrowed.fetchval("SELECT pg_try_advisory_lock(hashtextextended($1, 0))", name):
            raise CampaignRunning
        try:
            yield
        finally:
            await borrowed.execute("SELECT pg_advisory_unlock(hashtextextended($1, 0))", name)


async def open_campaign(borrowed: Connection, epoch: str, message: MessageKind, channel: str) -> int:
    """Fill the outbox of a campaign's notices by a channel, or resume it; each account gets a task."""
    number: int = await borrowed.fetchval("SELECT grounds.open_campaign($1, $2, $3)", epoch, message, channel)
    return number


async def settle_interrupted_tasks(borrowed: Connection, campaign: int) -> None:
    """Record in the outbox as unknown the notices that an earlier run left in the middle of sending."""
    await borrowed.execute("SELECT grounds.settle_broken_off($1)", campaign)


async def claim_task(
    borrowed: Connection, campaign: int, account: str, contact: str, language: str | None, *, retry_unknown: bool
) -> Claim:
    """Claim in the outbox an account's notice to the address whose hash this is, in a language if one is wanted."""
    row = await borrowed.fetchrow(
        "SELECT outcome, task, notice, language, claimed_at FROM grounds.claim_notice($1, $2, $3, $4, $5)",
        *(campaign, account, contact, language, retry_unknown),
    )
    assert row is not None, "the function has one row"
    return Claim(ClaimOutcome(row[0]), *row[1:])


async def settle_task(borrowed: Connection, task: int, state: TaskState) -> None:
    """Record in the outbox the outcome of a claimed notice; SENT is sent, which is not delivered."""
    await borrowed.execute("SELECT grounds.settle_notice($1, $2)", task, state)


async def unwritten_notices(borrowed: Connection, campaign: int, after: int, most: int) -> list[UnwrittenNotice]:
    """Read from the outbox the accounts whose in-app notice has no text yet, after a task."""
    rows = await borrowed.fetch("SELECT * FROM grounds.unwritten_notices($1, $2, $3)", campaign, after, most)
    return [UnwrittenNotice(*row) for row in rows]


async def write_notices(borrowed: Connection, texts: Sequence[WrittenNotice]) -> None:
    """Write the texts of in-app notices into the outbox."""
    tasks, languages, subjects, bodies = zip(*texts, strict=True)
    await borrowed.execute("SELECT grounds.write_notices($1, $2, $3, $4)", tasks, languages, subjects, bodies)


async def page_of_pending_notices(pool: Pool, after: int, first: int) -> tuple[list[PendingNoticeRow], bool]:
    """Read from the outbox a page of the notices that the platform is to show, and whether there are more."""
    async with connection(pool) as borrowed:
        rows = await borrowed.fetch("SELECT * FROM grounds.pending_notices($1, $2)", after, first + 1)
    return [PendingNoticeRow(*row) for row in rows[:first]], len(rows) > first


async def record_deliveries(pool: Pool, reports: Sequence[DeliveryReport]) -> list[TaskState | None]:
    """Record in the outbox which notices were delivered; return the state of each, None if there is none."""
    async with connection(pool) as borrowed:
        rows = await borrowed.fetch(
            "SELECT state FROM grounds.record_notice_delivery($1, $2, $3)",
            [report.notice for report in reports],
            [report.delivered_at for report in reports],
            [report.bounced_at for report in reports],
        )
    return [None if row[0] is None else TaskState(row[0]) for row in rows]


async def count_tasks(borrowed: Connection, campaign: int) -> dict[TaskState, int]:
    """Count the notices in a campaign's outbox by their states."""
    rows = await borrowed.fetch("SELECT state, tasks FROM grounds.campaign_counts($1)", campaign)
    return {TaskState(state): count for state, count in rows}
