"""The number of accounts to which a notice of each epoch was delivered."""

from datetime import datetime
from itertools import groupby
from typing import Annotated

import strawberry

from db.notices.counts import NoticeCountRow, notice_counts
from schema.context import Info
from schema.enums import NoticeChannel, Region
from schema.governed import EXAMINERS, governed


@strawberry.type(
    description=(
        "The number of accounts by the state of their notices; each account counts once, under the most "
        "advanced state of its notices."
    )
)
class NoticeCount:
    country: Region | None = governed(
        EXAMINERS, description="The country of the accounts, null for all countries together."
    )
    channel: NoticeChannel | None = governed(
        EXAMINERS, description="The channel of the notices, null for all channels together."
    )
    accounts: int = governed(EXAMINERS, description="The number of accounts that need a notice or received a notice.")
    delivered: int = governed(
        EXAMINERS,
        description=("The number of accounts to which a notice of this epoch or of a later epoch was delivered."),
    )
    pending: int = governed(
        EXAMINERS,
        description="The number of accounts whose notice waits to be sent, or was sent but not yet delivered.",
    )
    unknown: int = governed(
        EXAMINERS,
        description=(
            "The number of accounts for which it is not known whether the notice was sent, because sending was "
            "interrupted."
        ),
    )
    bounced: int = governed(EXAMINERS, description="The number of accounts whose notice bounced.")
    not_sent: int = governed(EXAMINERS, description="The number of accounts to which no notice was sent.")


@strawberry.type(description="The notices of an epoch, counted every few minutes.")
class NoticeSummary:
    epoch: str = governed(EXAMINERS, description="The epoch of the campaign, as YYYY-MM.")
    counted_at: datetime = governed(EXAMINERS, description="The time of the count.")
    requiring_notice: int = governed(
        EXAMINERS, description="The number of accounts, in all countries, that need a notice and have received none."
    )
    counts: list[NoticeCount] = governed(
        EXAMINERS, description="The counts by country and channel, beginning with the overall count."
    )


async def resolve_notice_summary(
    info: Info,
    epoch: Annotated[
        str | None, strawberry.argument(description="The epoch of the campaign as YYYY-MM, by default all.")
    ] = None,
) -> list[NoticeSummary]:
    """Resolve `noticeSummary`: how many accounts the notices of each epoch reached, the latest first."""
    rows = await notice_counts(info.context.reader, epoch)
    return [_campaign_summary(each, [*counted]) for each, counted in groupby(rows, key=lambda row: row.epoch)]


def _campaign_summary(epoch: str, rows: list[NoticeCountRow]) -> NoticeSummary:
    """Show the `noticeSummary` of one epoch from its counted rows."""
    counts = [_notice_count(row) for row in rows]
    left = counts[0].accounts - counts[0].delivered
    return NoticeSummary(epoch=epoch, counted_at=rows[0].counted_at, requiring_notice=left, counts=counts)


def _notice_count(row: NoticeCountRow) -> NoticeCount:
    """Show one count of `noticeSummary` by country and channel."""
    return NoticeCount(
        country=Region(row.country) if row.country else None,
        channel=NoticeChannel(row.channel) if row.channel else None,
        accounts=row.reached + row.waiting + row.unknown + row.bounced + row.never,
        delivered=row.reached,
        pending=row.waiting,
        unknown=row.unknown,
        bounced=row.bounced,
        not_sent=row.never,
    )
