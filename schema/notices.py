"""Notices that the platform shows in its app: what waits to be shown, and what became of it."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import strawberry

from db import campaign as outbox
from db.campaign import Report
from schema.connection import Connection, checked_first, connection_of, read_cursor
from schema.consent import MOST_ROWS
from schema.context import Context
from schema.errors import BadInput
from schema.governed import governed
from schema.ids import Kind
from schema.values import Role

PLATFORM = (Role.PLATFORM_INGEST,)
MOST_REPORTS = 500
YEARS = range(2000, 9001)

Info = strawberry.Info[Context, None]


@strawberry.enum(description="Where a notice of a campaign stands. Sent is not delivered, and a bounce is for good.")
class NoticeState(StrEnum):
    """Name where a notice stands."""

    PENDING = "PENDING"
    SENDING = "SENDING"
    SENT = "SENT"
    UNKNOWN = "UNKNOWN"
    DELIVERED = "DELIVERED"
    BOUNCED = "BOUNCED"
    FAILED = "FAILED"


@strawberry.type(description="A notice that the platform is to show in its app.")
class PendingNotice:
    """Hold a notice to be shown."""

    notice: strawberry.ID = governed(PLATFORM, description="What recordNoticeDelivery calls it.")
    account: strawberry.ID = governed(PLATFORM, description="The platform's id of the account.")
    epoch: str = governed(PLATFORM, description="The campaign, YYYY-MM.")
    language: str = governed(PLATFORM, description="Of the text, BCP 47.")
    subject: str = governed(PLATFORM)
    body: str = governed(PLATFORM, description="Plain text, with a link that is the account's alone.")


@strawberry.type(description="What a notice is after a report.")
class NoticeDelivery:
    """Hold what became of a notice."""

    notice: strawberry.ID = governed(PLATFORM)
    state: NoticeState | None = governed(PLATFORM, description="Null: there is no such notice of a campaign.")


@strawberry.input(description="Says that a notice was delivered, or that it bounced: one of the two.")
class NoticeDeliveryInput:
    """State what became of a notice."""

    notice: strawberry.ID
    delivered_at: datetime | None = None
    bounced_at: datetime | None = None


async def pending_notices(
    info: Info,
    first: Annotated[int, strawberry.argument(description="How many: 1 to 100.")],
    after: Annotated[str | None, strawberry.argument(description="The endCursor of the page before.")] = None,
) -> Connection[PendingNotice]:
    """Read a page of what the platform is to show."""
    context = info.context
    number = read_cursor(context.ids, Kind.PENDING_NOTICE_CURSOR, after)
    # Not through the pool of the streams: a stream may take long, and what is said of notices must not wait for it.
    rows, has_next = await outbox.pending_notices(context.database.worker, number, checked_first(first, MOST_ROWS))
    cursors = context.ids.write_all(Kind.PENDING_NOTICE_CURSOR, [row.task for row in rows])
    nodes = [_pending(row) for row in rows]
    return connection_of(nodes, cursors, after, has_next=has_next)


async def _record_notice_delivery(
    info: Info, input: Annotated[list[NoticeDeliveryInput], strawberry.argument(description="At most 500.")]
) -> list[NoticeDelivery]:
    if not 0 < len(input) <= MOST_REPORTS:
        raise BadInput(f"input: {len(input)} reports are not between 1 and {MOST_REPORTS} (send several)")
    reports = [_report(place, said) for place, said in enumerate(input)]
    states = await outbox.record_deliveries(info.context.database.worker, reports)
    return [
        NoticeDelivery(notice=said.notice, state=None if state is None else NoticeState(state))
        for said, state in zip(input, states, strict=True)
    ]


def _report(place: int, said: NoticeDeliveryInput) -> Report:
    """Check a report. A delivery in the future does not count yet; a bounce in the future counts from now."""
    if (said.delivered_at is None) == (said.bounced_at is None):
        raise BadInput(f"input.{place}: states not one of deliveredAt and bouncedAt (state the one that happened)")
    for name, instant in (("deliveredAt", said.delivered_at), ("bouncedAt", said.bounced_at)):
        if instant is not None and instant.tzinfo is None:
            raise BadInput(f"input.{place}.{name}: has no offset (write it like 2025-05-27T12:00:00Z)")
        if instant is not None and instant.year not in YEARS:
            raise BadInput(f"input.{place}.{name}: is in no year between 2000 and 9000 (correct it)")
    if "\0" in said.notice:
        raise BadInput(f"input.{place}.notice: is no id (take it from pendingNotices)")
    return Report(said.notice, said.delivered_at, said.bounced_at)


def _pending(row: outbox.PendingNotice) -> PendingNotice:
    return PendingNotice(
        notice=strawberry.ID(row.notice),
        account=strawberry.ID(row.account),
        epoch=row.epoch,
        language=row.language,
        subject=row.subject,
        body=row.body,
    )


@strawberry.type
class NoticeMutation:
    """Take down what became of notices."""

    record_notice_delivery: list[NoticeDelivery] = governed(
        PLATFORM,
        resolver=_record_notice_delivery,
        description="Say what became of notices: delivered ones count, bounced ones are void at once, however late.",
    )
