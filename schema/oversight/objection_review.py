"""Objections as officers review them: counted, listed, matched to an account, or rejected by two."""

from datetime import date, datetime
from functools import partial
from typing import Annotated

import strawberry

from db.oversight.objection_review import ObjectionCounts, RecordRow, count_objections, objection_of, page_of_objections
from db.oversight.objection_review import received_objections as received_rows
from db.oversight.officer import ActOutcome
from schema.context import Context, Info
from schema.enums import ObjectionChannel, ObjectionScope
from schema.errors import BadInput
from schema.execution.row_compiler import Column, EnumColumn, FromList
from schema.governed import EXAMINERS, OFFICERS, governed
from schema.oversight.holds import MAX_LENGTH, acting_officer
from schema.oversight.objection_filing import ObjectionTarget, targets_of
from schema.records.consent import MAX_PAGE_SIZE
from schema.relay.connection import (
    After,
    Connection,
    First,
    KeysetPage,
    check_page_size,
    connection_of_rows,
    read_cursor,
)
from schema.relay.ids import IdKind


@strawberry.type(description="The number of objections that arrived on one day through one channel.")
class DailyObjectionCount:
    day: date = governed(EXAMINERS, description="The day in UTC.")
    channel: ObjectionChannel | None = governed(EXAMINERS, description="The channel, null if unknown.")
    received: int = governed(EXAMINERS, description="The number of objections received.")


@strawberry.type(description="The seconds that passed from the arrival of an objection to its effect in the gateway.")
class TimeToEffect:
    median: float = governed(EXAMINERS, description="The median.")
    p95: float = governed(EXAMINERS, description="The 95th percentile.")
    max: float = governed(EXAMINERS, description="The maximum.")


@strawberry.type(description="The number of objections by state; an objection can count in several states.")
class ObjectionSummary:
    received: int = governed(EXAMINERS, description="The number of objections ever received.")
    active: int = governed(
        EXAMINERS,
        description=(
            "The number of objections in effect; a withdrawn objection stays in effect until its waiting time has"
            " passed."
        ),
    )
    withdrawn: int = governed(EXAMINERS, description="The number of withdrawn objections.")
    unmatched: int = governed(
        EXAMINERS, description="The number of active objections that match no known account and were not rejected."
    )
    rejected: int = governed(EXAMINERS, description="The number of rejected objections.")
    time_to_effect: TimeToEffect | None = governed(
        EXAMINERS,
        description=(
            "The delay from arrival to effect of the objections of the last 90 days, null if no objections were"
            " received."
        ),
    )
    by_day: list[DailyObjectionCount] = governed(
        EXAMINERS,
        description="The number of objections by day and channel in the last 90 days, newest first; days without"
        " objections are left out.",
    )


@strawberry.type(
    description=(
        "The rejection of an objection that matches no account, requested by one officer and confirmed by another; if "
        "the objection matches an account later, it applies to this account."
    )
)
class ObjectionRejection:
    reason: str = governed(EXAMINERS, description="The reason for the rejection.")
    requested_by: str = governed(EXAMINERS, description="The name of the officer who requested the rejection.")
    requested_at: datetime = governed(EXAMINERS, description="The time of the request.")
    rejected_by: str | None = governed(
        EXAMINERS, description="The name of the officer who confirmed the rejection, null until then."
    )
    rejected_at: datetime | None = governed(
        EXAMINERS,
        description="The time of the confirmation, null until then.",
    )


@strawberry.type(description="An objection with all data that are recorded about it.")
class ObjectionRecord:
    id: strawberry.ID = governed(EXAMINERS, row=FromList("ids"), description="The id of the objection.")
    reference: str = governed(EXAMINERS, row=Column("reference"), description="The reference of the objection.")
    scope: ObjectionScope = governed(
        EXAMINERS, row=EnumColumn("scope", ObjectionScope), description="The content that the objection covers."
    )
    channel: ObjectionChannel | None = governed(
        EXAMINERS,
        row=EnumColumn("channel", ObjectionChannel),
        description="The channel through which the objection was received, null if unknown.",
    )
    received_at: datetime = governed(
        EXAMINERS, row=Column("received_at"), description="The time at which the objection was received."
    )
    recorded_at: datetime = governed(
        EXAMINERS, row=Column("recorded_at"), description="The time at which the objection took effect in the gateway."
    )
    withdrawn_at: datetime | None = governed(
        EXAMINERS,
        row=Column("withdrawn_at"),
        description="The time of the withdrawal, null if the objection was not withdrawn.",
    )
    active_until: datetime | None = governed(
        EXAMINERS,
        row=Column("active_until"),
        description="The time at which the objection stops being active, null if it was not withdrawn.",
    )
    matched: bool = governed(
        EXAMINERS, row=Column("matched"), description="Whether the objection matches a known account."
    )
    rejection: ObjectionRejection | None = governed(
        EXAMINERS, description="The rejection of the objection, null if none was requested."
    )
    targets: list[ObjectionTarget] = governed(
        OFFICERS,
        description=(
            "The entries of the objection that identify accounts, persons or contacts; empty when the objection "
            "matches an account."
        ),
    )


class ObjectionRecordPage(KeysetPage):
    """A page of objections."""

    columns = {name: position for position, name in enumerate(RecordRow._fields)}  # noqa: RUF012 - never changed
    prepared = "ObjectionRecord"


async def objections_page(
    info: Info,
    first: First,
    after: After = None,
    unmatched: Annotated[
        bool,
        strawberry.argument(
            description="Whether to return only objections that match no known account and were not rejected."
        ),
    ] = False,
) -> Connection[ObjectionRecord]:
    """Resolve `objections` for officers: a page of objections."""
    context = info.context
    number = read_cursor(context.ids, IdKind.OBJECTION_CURSOR, after)
    rows, has_next = await page_of_objections(
        context.reader, number, check_page_size(first, MAX_PAGE_SIZE), unmatched=unmatched
    )
    page = ObjectionRecordPage(
        context.ids, IdKind.OBJECTION, IdKind.OBJECTION_CURSOR, rows, partial(_objection_record, context)
    )
    return connection_of_rows(page, after=after, has_next=has_next)


async def resolve_objection_summary(info: Info) -> ObjectionSummary:
    """Resolve `objectionSummary` for officers: how many objections there are, and how fast they took effect."""
    reader = info.context.reader
    counted, received = await count_objections(reader), await received_rows(reader)
    return ObjectionSummary(
        received=counted.received,
        active=counted.in_force,
        withdrawn=counted.withdrawn,
        unmatched=counted.unmatched,
        rejected=counted.rejected,
        time_to_effect=_time_to_effect(counted),
        by_day=[
            DailyObjectionCount(day=row.day, channel=_objection_channel(row.channel), received=row.received)
            for row in received
        ],
    )


def _time_to_effect(counted: ObjectionCounts) -> TimeToEffect | None:
    """Show in `objectionSummary` how fast objections took effect; None where there is none."""
    if counted.median is None or counted.p95 is None or counted.longest is None:
        return None
    return TimeToEffect(median=counted.median, p95=counted.p95, max=counted.longest)


def _objection_channel(channel: str | None) -> ObjectionChannel | None:
    """Show officers the channel by which an objection came."""
    return ObjectionChannel(channel) if channel else None


def _objection_record(context: Context, row: RecordRow) -> ObjectionRecord:
    """Show officers an objection with its rejection, as a GraphQL object."""
    rejection = None
    if row.rejection_reason is not None and row.rejection_asked_by is not None and row.rejection_asked_at is not None:
        rejection = ObjectionRejection(
            reason=row.rejection_reason,
            requested_by=row.rejection_asked_by,
            requested_at=row.rejection_asked_at,
            rejected_by=row.rejected_by,
            rejected_at=row.rejected_at,
        )
    return ObjectionRecord(
        id=strawberry.ID(context.ids.encode(IdKind.OBJECTION, row.id)),
        reference=row.reference,
        scope=ObjectionScope(row.scope),
        channel=_objection_channel(row.channel),
        received_at=row.received_at,
        recorded_at=row.recorded_at,
        withdrawn_at=row.withdrawn_at,
        active_until=row.active_until,
        matched=row.matched,
        rejection=rejection,
        targets=[] if row.matched else targets_of(row.targets),
    )


async def _match_objection(
    info: Info,
    id: Annotated[strawberry.ID, strawberry.argument(description="The id of the objection.")],
    account: Annotated[
        str, strawberry.argument(description="The id of a known account, either the gateway's id or the platform's.")
    ],
) -> ObjectionRecord:
    """Resolve the officers' mutation `matchObjection`: match an objection to an account."""
    context = info.context
    objection = context.ids.decode_as(IdKind.OBJECTION, id)
    named = await context.platform_account(account)
    outcome = None if objection is None else await acting_officer(context).match_objection(objection, named)
    if objection is None or outcome is None:
        raise BadInput("id: must be an objection that was not withdrawn (use an id from objections)")
    if outcome is ActOutcome.NO_ACCOUNT:
        raise BadInput("account: must be a known account (use an id from accounts)")
    return await _find_objection(context, objection)


async def _reject_objection(
    info: Info,
    id: Annotated[strawberry.ID, strawberry.argument(description="The id of the objection.")],
    reason: Annotated[
        str | None,
        strawberry.argument(description="The reason for the rejection; the first officer must give a reason."),
    ] = None,
) -> ObjectionRecord:
    """Resolve the officers' mutation `rejectObjection`: ask to reject one, or agree as the second officer."""
    context = info.context
    if reason is not None and not 0 < len(reason.strip()) <= MAX_LENGTH:
        raise BadInput(f"reason: must have 1 to {MAX_LENGTH} characters (state it in one sentence)")
    objection = context.ids.decode_as(IdKind.OBJECTION, id)
    outcome = None if objection is None else await acting_officer(context).reject_objection(objection, reason)
    if objection is None or outcome is None:
        raise BadInput(
            "id: must be the id of an objection that matches no account (find it with objections(unmatched: true))"
        )
    if outcome in _REFUSALS:
        raise BadInput(_REFUSALS[outcome])
    return await _find_objection(context, objection)


_REFUSALS = {
    ActOutcome.NO_REASON: "reason: is missing (state why this is not an objection, or why no account matches)",
    ActOutcome.OTHER_REASON: (
        "reason: differs from the reason of the officer who requested the rejection (leave the reason out to agree,"
        " or ask that officer)"
    ),
    ActOutcome.SAME_OFFICER: "id: you already requested to reject this objection (ask another officer to agree)",
    ActOutcome.REJECTED_BEFORE: "id: was already rejected (read objections for the reason)",
}


async def _find_objection(context: Context, number: int) -> ObjectionRecord:
    """Show the officer an objection after a mutation."""
    row = await objection_of(context.reader, number)
    assert row is not None, "an objection is never removed"
    return _objection_record(context, row)


@strawberry.type
class ObjectionMutation:
    """The mutations on objections that match no account."""

    match_objection: ObjectionRecord = governed(
        OFFICERS,
        resolver=_match_objection,
        description="Applies an unmatched objection to an account.",
    )
    reject_objection: ObjectionRecord = governed(
        OFFICERS,
        resolver=_reject_objection,
        description="Requests the rejection of an unmatched objection, or confirms the request of another officer.",
    )
