"""Objections as officers work on them: counted, listed, matched to an account, or set aside by two."""

from datetime import date, datetime
from functools import partial
from typing import Annotated

import strawberry

from db.objections import ObjectionCounts, RecordRow, count_objections, objection_of, page_of_objections
from db.objections import received_objections as received_rows
from db.officers import Outcome
from schema.compiled import Column, Listed, Word
from schema.connection import Connection, KeysetPage, checked_first, page_of, read_cursor
from schema.consent import MOST_ROWS
from schema.context import Context
from schema.errors import BadInput
from schema.governed import EXAMINERS, OFFICERS, governed
from schema.holds import LONGEST, acting
from schema.ids import Kind
from schema.objecting import ObjectionTarget, targets_of
from schema.values import ObjectionChannel, ObjectionScope

Info = strawberry.Info[Context, None]


@strawberry.type(description="How many objections were received on a day.")
class ReceivedObjections:
    """Count what was received."""

    day: date = governed(EXAMINERS, description="In UTC.")
    channel: ObjectionChannel | None = governed(EXAMINERS)
    received: int = governed(EXAMINERS)


@strawberry.type(description="How long it took from being received to being in force here, in seconds.")
class TimeToForce:
    """Hold how long objections took."""

    median: float = governed(EXAMINERS)
    p95: float = governed(EXAMINERS)
    max: float = governed(EXAMINERS)


@strawberry.type(description="How many objections there are, by how they stand. Some are counted more than once.")
class ObjectionSummary:
    """Count objections."""

    received: int = governed(EXAMINERS, description="All that were ever received.")
    in_force: int = governed(EXAMINERS, description="Those withdrawn less than the dwell ago are.")
    withdrawn: int = governed(EXAMINERS)
    unmatched: int = governed(EXAMINERS, description="In force, but reaching no known account, and not rejected.")
    rejected: int = governed(EXAMINERS)
    time_to_force: TimeToForce | None = governed(
        EXAMINERS, description="Of those received in the last 90 days; null where there are none."
    )
    by_day: list[ReceivedObjections] = governed(
        EXAMINERS, description="Of the last 90 days, the latest first; what is not there is 0."
    )


@strawberry.type(
    description="That an objection which reaches nobody is set aside: what one officer asks, another agrees."
)
class ObjectionRejection:
    """Hold a rejection."""

    reason: str = governed(EXAMINERS)
    asked_by: str = governed(EXAMINERS)
    asked_at: datetime = governed(EXAMINERS)
    rejected_by: str | None = governed(EXAMINERS)
    rejected_at: datetime | None = governed(
        EXAMINERS,
        description="When a second officer agreed: it is listed as unmatched no more. It is kept, and still counts for"
        " whomever its own targets reach later.",
    )


@strawberry.type(description="An objection with all that is recorded of it.")
class ObjectionRecord:
    """Hold an objection as officers see it."""

    id: strawberry.ID = governed(EXAMINERS, row=Listed("ids"))
    reference: str = governed(EXAMINERS, row=Column("reference"))
    scope: ObjectionScope = governed(EXAMINERS, row=Word("scope", ObjectionScope))
    channel: ObjectionChannel | None = governed(EXAMINERS, row=Word("channel", ObjectionChannel))
    received_at: datetime = governed(EXAMINERS, row=Column("received_at"))
    recorded_at: datetime = governed(
        EXAMINERS, row=Column("recorded_at"), description="Since when it is in force here."
    )
    withdrawn_at: datetime | None = governed(EXAMINERS, row=Column("withdrawn_at"))
    active_until: datetime | None = governed(
        EXAMINERS, row=Column("active_until"), description="Null: until it is withdrawn."
    )
    matched: bool = governed(EXAMINERS, row=Column("matched"), description="Whether it reaches a known account.")
    rejection: ObjectionRejection | None = governed(EXAMINERS)
    targets: list[ObjectionTarget] = governed(
        OFFICERS, description="Whom it names while it reaches nobody; of those whom it reaches no name is told."
    )


class ObjectionRecordPage(KeysetPage):
    """Hold a page of objections."""

    columns = {name: position for position, name in enumerate(RecordRow._fields)}  # noqa: RUF012 - never changed
    prepared = "ObjectionRecord"


async def objections_page(
    info: Info,
    first: Annotated[int, strawberry.argument(description="How many: 1 to 100.")],
    after: Annotated[str | None, strawberry.argument(description="The endCursor of the page before.")] = None,
    unmatched: Annotated[
        bool, strawberry.argument(description="Only those that reach no known account and are not set aside.")
    ] = False,
) -> Connection[ObjectionRecord]:
    """Read a page of objections."""
    context = info.context
    number = read_cursor(context.ids, Kind.OBJECTION_CURSOR, after)
    rows, has_next = await page_of_objections(
        context.reader, number, checked_first(first, MOST_ROWS), unmatched=unmatched
    )
    page = ObjectionRecordPage(context.ids, Kind.OBJECTION, Kind.OBJECTION_CURSOR, rows, partial(_record, context))
    return page_of(page, after=after, has_next=has_next)


async def objection_summary(info: Info) -> ObjectionSummary:
    """Count objections."""
    reader = info.context.reader
    counted, received = await count_objections(reader), await received_rows(reader)
    return ObjectionSummary(
        received=counted.received,
        in_force=counted.in_force,
        withdrawn=counted.withdrawn,
        unmatched=counted.unmatched,
        rejected=counted.rejected,
        time_to_force=_time_to_force(counted),
        by_day=[
            ReceivedObjections(day=row.day, channel=_channel(row.channel), received=row.received) for row in received
        ],
    )


def _time_to_force(counted: ObjectionCounts) -> TimeToForce | None:
    if counted.median is None or counted.p95 is None or counted.longest is None:
        return None
    return TimeToForce(median=counted.median, p95=counted.p95, max=counted.longest)


def _channel(channel: str | None) -> ObjectionChannel | None:
    return ObjectionChannel(channel) if channel else None


def _record(context: Context, row: RecordRow) -> ObjectionRecord:
    rejection = None
    if row.rejection_reason is not None and row.rejection_asked_by is not None and row.rejection_asked_at is not None:
        rejection = ObjectionRejection(
            reason=row.rejection_reason,
            asked_by=row.rejection_asked_by,
            asked_at=row.rejection_asked_at,
            rejected_by=row.rejected_by,
            rejected_at=row.rejected_at,
        )
    return ObjectionRecord(
        id=strawberry.ID(context.ids.write(Kind.OBJECTION, row.id)),
        reference=row.reference,
        scope=ObjectionScope(row.scope),
        channel=_channel(row.channel),
        received_at=row.received_at,
        recorded_at=row.recorded_at,
        withdrawn_at=row.withdrawn_at,
        active_until=row.active_until,
        matched=row.matched,
        rejection=rejection,
        targets=[] if row.matched else targets_of(row.targets),
    )


async def _match(
    info: Info,
    id: strawberry.ID,
    account: Annotated[str, strawberry.argument(description="By our id or the platform's; it must be known here.")],
) -> ObjectionRecord:
    context = info.context
    number = context.ids.read_as(Kind.ACCOUNT, account)
    row = None if number is None else await context.accounts.load(number)
    named = row.platform_id if row else account
    objection = context.ids.read_as(Kind.OBJECTION, id)
    outcome = None if objection is None else await acting(context).match_objection(objection, named)
    if objection is None or outcome is None:
        raise BadInput("id: is no objection that is not withdrawn (take it from objections)")
    if outcome is Outcome.NO_ACCOUNT:
        raise BadInput("account: is not known here (take it from accounts)")
    return await _found(context, objection)


async def _reject(
    info: Info,
    id: strawberry.ID,
    reason: Annotated[
        str | None, strawberry.argument(description="For whoever asks first; a second officer agrees with it.")
    ] = None,
) -> ObjectionRecord:
    context = info.context
    if reason is not None and not 0 < len(reason.strip()) <= LONGEST:
        raise BadInput(f"reason: is empty or longer than {LONGEST} characters (say it in a sentence)")
    objection = context.ids.read_as(Kind.OBJECTION, id)
    outcome = None if objection is None else await acting(context).reject_objection(objection, reason)
    if objection is None or outcome is None:
        raise BadInput("id: is no objection that reaches nobody (take it from objections, unmatched ones)")
    if outcome in _REFUSED:
        raise BadInput(_REFUSED[outcome])
    return await _found(context, objection)


_REFUSED = {
    Outcome.NO_REASON: "reason: is missing (say why this is no objection, or cannot be matched)",
    Outcome.OTHER_REASON: "reason: another one was given by who asked (leave it out to agree, or ask them)",
    Outcome.SAME_OFFICER: "id: you asked for this already, and it takes two officers (have another one agree)",
    Outcome.REJECTED_BEFORE: "id: was rejected already (see objections)",
}


async def _found(context: Context, number: int) -> ObjectionRecord:
    row = await objection_of(context.reader, number)
    assert row is not None, "an objection is never removed"
    return _record(context, row)


@strawberry.type
class ObjectionMutation:
    """Work on objections that reach nobody."""

    match_objection: ObjectionRecord = governed(
        OFFICERS,
        resolver=_match,
        description="Say whose objection it is: it reaches that account as well, at once and for good.",
    )
    reject_objection: ObjectionRecord = governed(
        OFFICERS,
        resolver=_reject,
        description="Ask that an objection which reaches nobody be set aside; a second officer's call makes it so."
        " It is kept, and still counts for whomever its own targets reach later: set aside is not withdrawn.",
    )
