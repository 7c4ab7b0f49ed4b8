"""Whom the notices of each epoch reached, for those who watch a campaign."""

from datetime import datetime
from itertools import groupby
from typing import Annotated

import strawberry

from db.notices import NoticeCountRow, notice_counts
from schema.context import Context
from schema.governed import EXAMINERS, governed
from schema.values import NoticeChannel, Region

Info = strawberry.Info[Context, None]


@strawberry.type(
    description="How many accounts notices reached. Each is counted once, by the best that became of its notices:"
    " reached, else waiting, unknown, bounced, or never reached."
)
class NoticeCount:
    """Count accounts."""

    country: Region | None = governed(EXAMINERS, description="Null: all of them.")
    channel: NoticeChannel | None = governed(EXAMINERS, description="Null: by any of them.")
    accounts: int = governed(EXAMINERS, description="Whose items a notice can make qualify: the sum of the others.")
    reached: int = governed(EXAMINERS, description="A notice of the epoch or later was delivered, and did not bounce.")
    waiting: int = governed(EXAMINERS, description="A notice waits to be sent, or was sent and is not delivered yet.")
    unknown: int = governed(EXAMINERS, description="Sending was broken off; nobody knows whether it arrived.")
    bounced: int = governed(EXAMINERS)
    never_reached: int = governed(EXAMINERS, description="No notice was sent, or none could be.")


@strawberry.type(description="How far the notices of an epoch came. Counted every few minutes.")
class NoticeSummary:
    """Hold the counts of an epoch."""

    epoch: str = governed(EXAMINERS, description="The campaign, YYYY-MM.")
    counted_at: datetime = governed(EXAMINERS)
    must_be_told: int = governed(EXAMINERS, description="How many accounts no notice reached, in all countries.")
    counts: list[NoticeCount] = governed(EXAMINERS, description="By country and channel; all of them first.")


async def notice_summary(
    info: Info,
    epoch: Annotated[str | None, strawberry.argument(description="Of this campaign alone, YYYY-MM.")] = None,
) -> list[NoticeSummary]:
    """Say how far the notices of each epoch came, the latest first."""
    rows = await notice_counts(info.context.reader, epoch)
    return [_summary(each, [*counted]) for each, counted in groupby(rows, key=lambda row: row.epoch)]


def _summary(epoch: str, rows: list[NoticeCountRow]) -> NoticeSummary:
    counts = [_count(row) for row in rows]
    left = counts[0].accounts - counts[0].reached
    return NoticeSummary(epoch=epoch, counted_at=rows[0].counted_at, must_be_told=left, counts=counts)


def _count(row: NoticeCountRow) -> NoticeCount:
    return NoticeCount(
        country=Region(row.country) if row.country else None,
        channel=NoticeChannel(row.channel) if row.channel else None,
        accounts=row.reached + row.waiting + row.unknown + row.bounced + row.never,
        reached=row.reached,
        waiting=row.waiting,
        unknown=row.unknown,
        bounced=row.bounced,
        never_reached=row.never,
    )
