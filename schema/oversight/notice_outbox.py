"""Notices that the platform must show in its app, and the platform's reports about them."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import strawberry

from db.notices import outbox
from db.notices.outbox import DeliveryReport
from schema.context import Info
from schema.enums import MessageKind, Role, described_enum
from schema.errors import BadInput
from schema.governed import governed
from schema.records.consent import MAX_PAGE_SIZE
from schema.relay.connection import After, Connection, First, check_page_size, connection_of_objects, read_cursor
from schema.relay.ids import IdKind

PLATFORM = (Role.PLATFORM_INGEST,)
MAX_REPORTS = 500
YEARS = range(2000, 9001)


@described_enum(
    "The state of a notice of a campaign.",
    PENDING="The notice waits to be sent.",
    SENDING="The notice is being sent.",
    SENT="The notice was sent, and no report of its delivery has arrived.",
    UNKNOWN="Sending was interrupted, and it is not known whether the notice was sent.",
    DELIVERED="The notice was delivered.",
    BOUNCED="The notice bounced and does not count.",
    FAILED="The notice could not be sent.",
)
class NoticeState(StrEnum):
    PENDING = "PENDING"
    SENDING = "SENDING"
    SENT = "SENT"
    UNKNOWN = "UNKNOWN"
    DELIVERED = "DELIVERED"
    BOUNCED = "BOUNCED"
    FAILED = "FAILED"


@strawberry.type(description="A notice that the platform has to show in its app.")
class PendingNotice:
    notice_id: strawberry.ID = governed(
        PLATFORM, description="The id of the notice, to be passed to `recordNoticeDelivery`."
    )
    account_id: strawberry.ID = governed(PLATFORM, description="The platform's id of the account.")
    epoch: str = governed(PLATFORM, description="The epoch of the campaign, as YYYY-MM.")
    message: MessageKind = governed(
        PLATFORM, description="The kind of the message; conditions count only messages of the kind NOTICE."
    )
    language: str = governed(PLATFORM, description="The language of the text as a BCP 47 tag.")
    subject: str = governed(PLATFORM, description="The subject line of the message.")
    body: str = governed(
        PLATFORM, description="The plain text of the message, with links that are valid for this account only."
    )


@strawberry.type(description="The new state of a notice, after a report about its delivery was recorded.")
class NoticeDelivery:
    notice_id: strawberry.ID = governed(PLATFORM, description="The id of the notice.")
    state: NoticeState | None = governed(
        PLATFORM, description="The state of the notice, null if no notice has this id."
    )


@strawberry.input(
    description="A report that a notice was delivered or bounced, with either `deliveredAt` or `bouncedAt`."
)
class NoticeDeliveryInput:
    notice_id: strawberry.ID = strawberry.field(description="The id of the notice.")
    delivered_at: datetime | None = strawberry.field(
        default=None, description="The time at which the notice was delivered."
    )
    bounced_at: datetime | None = strawberry.field(default=None, description="The time at which the notice bounced.")


async def resolve_pending_notices(
    info: Info,
    first: First,
    after: After = None,
) -> Connection[PendingNotice]:
    """Resolve `pendingNotices`: a page of the notices that the platform is to show in its app."""
    context = info.context
    number = read_cursor(context.ids, IdKind.PENDING_NOTICE_CURSOR, after)
    # Not through the pool of the streams: a stream may take long, and what is said of notices must not wait for it.
    rows, has_next = await outbox.page_of_pending_notices(
        context.database.worker, number, check_page_size(first, MAX_PAGE_SIZE)
    )
    cursors = context.ids.encode_all(IdKind.PENDING_NOTICE_CURSOR, [row.task for row in rows])
    nodes = [_pending_notice(row) for row in rows]
    return connection_of_objects(nodes, cursors, after, has_next=has_next)


async def _record_notice_delivery(
    info: Info,
    input: Annotated[
        list[NoticeDeliveryInput], strawberry.argument(description="The reports on notices, at most 500.")
    ],
) -> list[NoticeDelivery]:
    """Resolve the mutation `recordNoticeDelivery`: the platform reports notices shown in its app."""
    if not 0 < len(input) <= MAX_REPORTS:
        raise BadInput(f"input: must have 1 to {MAX_REPORTS} reports, not {len(input)} (send several requests)")
    reports = [_parse_report(place, said) for place, said in enumerate(input)]
    states = await outbox.record_deliveries(info.context.database.worker, reports)
    return [
        NoticeDelivery(notice_id=said.notice_id, state=None if state is None else NoticeState(state))
        for said, state in zip(input, states, strict=True)
    ]


def _parse_report(place: int, said: NoticeDeliveryInput) -> DeliveryReport:
    """Check a report of `recordNoticeDelivery`. A future delivery does not count yet; a future bounce does."""
    if (said.delivered_at is None) == (said.bounced_at is None):
        raise BadInput(f"input.{place}: must have exactly one of deliveredAt and bouncedAt (correct it)")
    for name, instant in (("deliveredAt", said.delivered_at), ("bouncedAt", said.bounced_at)):
        if instant is not None and instant.tzinfo is None:
            raise BadInput(f"input.{place}.{name}: must have an offset (write it like 2025-05-27T12:00:00Z)")
        if instant is not None and instant.year not in YEARS:
            raise BadInput(f"input.{place}.{name}: must be in a year from 2000 to 9000 (correct it)")
    if "\0" in said.notice_id:
        raise BadInput(f"input.{place}.noticeId: must be the id of a notice (use an id from pendingNotices)")
    return DeliveryReport(said.notice_id, said.delivered_at, said.bounced_at)


def _pending_notice(row: outbox.PendingNoticeRow) -> PendingNotice:
    """Show the platform a waiting in-app notice as a GraphQL object."""
    return PendingNotice(
        notice_id=strawberry.ID(row.notice),
        account_id=strawberry.ID(row.account),
        epoch=row.epoch,
        message=MessageKind(row.message),
        language=row.language,
        subject=row.subject,
        body=row.body,
    )


@strawberry.type
class NoticeMutation:
    """The mutations on notices."""

    record_notice_delivery: list[NoticeDelivery] = governed(
        PLATFORM,
        resolver=_record_notice_delivery,
        description="Records that notices were delivered or bounced.",
    )
