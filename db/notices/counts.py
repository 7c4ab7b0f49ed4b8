"""The number of accounts to which the notices of each epoch were delivered, as a job counted them."""

from datetime import datetime
from typing import NamedTuple

from db.connection import Connection, Reader


class NoticeCountRow(NamedTuple):
    """The accounts of an epoch by the state of their notices; None is every country, and any channel."""

    epoch: str
    country: str | None
    channel: str | None
    reached: int
    waiting: int
    unknown: int
    bounced: int
    never: int
    counted_at: datetime


async def count_notices(worker: Connection) -> int:
    """Count in the database the accounts to which notices were delivered, as a job; return 0."""
    await worker.execute("SELECT grounds.count_notices()")
    return 0


async def notice_counts(reader: Reader, epoch: str | None) -> list[NoticeCountRow]:
    """Read from the database the counts of notices for every epoch, or for one epoch; latest first."""
    rows = await reader.fetch(_COUNTS, epoch)
    return [NoticeCountRow(*row) for row in rows]


_COUNTS = """
SELECT epoch, country, channel, reached, waiting, unknown, bounced, never, counted_at FROM grounds.notice_count
WHERE $1::text IS NULL OR epoch = $1 ORDER BY epoch DESC, country NULLS FIRST, channel NULLS FIRST
"""
