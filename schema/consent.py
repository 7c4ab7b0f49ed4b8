"""An account's position towards the training: a state with a history, not a flag."""

from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Annotated

import strawberry

from db.account import AccountRow
from db.consent import ConsentEventRow, page_of_events
from schema.compiled import Column, Listed, Word
from schema.connection import Connection, KeysetPage, checked_first, page_of, read_cursor
from schema.context import Context
from schema.decision import LegalBasis, legal_basis
from schema.governed import CONCERNED, governed
from schema.ids import Kind
from schema.values import GroundCode, NoticeChannel, ObjectionChannel, ObjectionScope

MOST_ROWS = 100


@strawberry.enum(description="Where an account stands.")
class ConsentPosition(StrEnum):
    """Name where an account stands."""

    NOT_NOTICED = "NOT_NOTICED"
    NOTICE_PERIOD = "NOTICE_PERIOD"
    NOT_OBJECTED = "NOT_OBJECTED"
    OBJECTED = "OBJECTED"
    OPTED_IN = "OPTED_IN"


@strawberry.enum(description="What happened to a position.")
class ConsentEventKind(StrEnum):
    """Name what happened."""

    NOTICE_SENT = "NOTICE_SENT"
    NOTICE_DELIVERED = "NOTICE_DELIVERED"
    NOTICE_BOUNCED = "NOTICE_BOUNCED"
    OBJECTION_RECEIVED = "OBJECTION_RECEIVED"
    OBJECTION_WITHDRAWN = "OBJECTION_WITHDRAWN"
    CONSENT_GIVEN = "CONSENT_GIVEN"
    CONSENT_WITHDRAWN = "CONSENT_WITHDRAWN"


@strawberry.type(description="A notice to an account.")
class Notice:
    """Hold a notice."""

    id: strawberry.ID = governed(CONCERNED)
    channel: NoticeChannel = governed(CONCERNED)
    epoch: str = governed(CONCERNED, description="The campaign, YYYY-MM.")
    sent_at: datetime | None = governed(CONCERNED)
    delivered_at: datetime | None = governed(CONCERNED)
    bounced_at: datetime | None = governed(CONCERNED)


@strawberry.type(description="An objection that reaches an account, as it counts.")
class Objection:
    """Hold an objection."""

    id: strawberry.ID = governed(CONCERNED)
    scope: ObjectionScope = governed(CONCERNED)
    channel: ObjectionChannel | None = governed(CONCERNED)
    received_at: datetime = governed(CONCERNED)
    withdrawn_at: datetime | None = governed(CONCERNED)
    active_until: datetime | None = governed(CONCERNED, description="Null: until it is withdrawn.")


@strawberry.type(description="An entry of the ledger of positions.")
class ConsentEvent:
    """Hold an event."""

    id: strawberry.ID = governed(CONCERNED, row=Listed("ids"))
    kind: ConsentEventKind = governed(CONCERNED, row=Word("kind", ConsentEventKind))
    occurred_at: datetime = governed(CONCERNED, row=Column("occurred_at"))
    recorded_at: datetime = governed(
        CONCERNED, row=Column("recorded_at"), description="When the gateway learned of it."
    )


class ConsentEventPage(KeysetPage):
    """Hold a page of the ledger."""

    columns = {name: position for position, name in enumerate(ConsentEventRow._fields)}  # noqa: RUF012 - never changed
    prepared = "ConsentEvent"


async def events_page(context: Context, first: int, after: str | None, account: int | None) -> Connection[ConsentEvent]:
    """Read a page of the ledger, of one account or of all."""
    rows, has_next = await page_of_events(
        context.reader,
        read_cursor(context.ids, Kind.CONSENT_EVENT_CURSOR, after),
        checked_first(first, MOST_ROWS),
        account=account,
    )
    page = ConsentEventPage(
        context.ids, Kind.CONSENT_EVENT, Kind.CONSENT_EVENT_CURSOR, rows, partial(_event_of, context)
    )
    return page_of(page, after=after, has_next=has_next)


def _event_of(context: Context, row: ConsentEventRow) -> ConsentEvent:
    return ConsentEvent(
        id=strawberry.ID(context.ids.write(Kind.CONSENT_EVENT, row.id)),
        kind=ConsentEventKind(row.kind),
        occurred_at=row.occurred_at,
        recorded_at=row.recorded_at,
    )


async def notices_of(context: Context, account: int) -> list[Notice]:
    """Show the notices to an account."""
    return [
        Notice(
            id=strawberry.ID(context.ids.write(Kind.NOTICE, row.id)),
            channel=NoticeChannel(row.channel),
            epoch=row.epoch,
            sent_at=row.sent_at,
            delivered_at=row.delivered_at,
            bounced_at=row.bounced_at,
        )
        for row in await context.notices.load(account)
    ]


async def objections_of(context: Context, account: int) -> list[Objection]:
    """Show the objections that reach an account."""
    return [
        Objection(
            id=strawberry.ID(context.ids.write(Kind.OBJECTION, row.id)),
            scope=ObjectionScope(row.scope),
            channel=ObjectionChannel(row.channel) if row.channel else None,
            received_at=row.received_at,
            withdrawn_at=row.withdrawn_at,
            active_until=row.active_until,
        )
        for row in await context.objections.load(account)
    ]


async def _notices(root: "Consent", info: strawberry.Info[Context, None]) -> list[Notice]:
    return await notices_of(info.context, root.account.id)


async def _objections(root: "Consent", info: strawberry.Info[Context, None]) -> list[Objection]:
    return await objections_of(info.context, root.account.id)


async def _events(
    root: "Consent",
    info: strawberry.Info[Context, None],
    first: Annotated[int, strawberry.argument(description="How many: 1 to 100.")],
    after: str | None = None,
) -> Connection[ConsentEvent]:
    return await events_page(info.context, first, after, root.account.id)


@strawberry.type(description="An account's position towards the training, since when, and what it rests on.")
class Consent:
    """Hold a position."""

    account: strawberry.Private[AccountRow]
    position: ConsentPosition = governed(CONCERNED)
    since: datetime | None = governed(CONCERNED)
    scope: ObjectionScope | None = governed(CONCERNED, description="What the objection covers, if there is one.")
    legal_basis: LegalBasis = governed(CONCERNED)
    notices: list[Notice] = governed(CONCERNED, resolver=_notices)
    objections: list[Objection] = governed(CONCERNED, resolver=_objections)
    events: Connection[ConsentEvent] = governed(CONCERNED, resolver=_events)


def consent_of(account: AccountRow, *, opting_in: bool) -> Consent:
    """Tell an account's position; an objection comes first. `opting_in` says whether the policy rests on consent."""
    scope = None
    if account.objects_to_public or account.objects_to_ai:
        position, since = ConsentPosition.OBJECTED, account.objected_since
        both = account.objects_to_public and account.objects_to_ai
        scope = (
            ObjectionScope.ALL
            if both
            else ObjectionScope.PUBLIC_CONTENT
            if account.objects_to_public
            else ObjectionScope.AI_INTERACTIONS
        )
    elif opting_in and account.opted_in_since is not None:
        position, since = ConsentPosition.OPTED_IN, account.opted_in_since
    elif account.notice_delivered_at is None:
        position, since = ConsentPosition.NOT_NOTICED, None
    elif not account.notice_elapsed:
        position, since = ConsentPosition.NOTICE_PERIOD, account.notice_delivered_at
    else:
        position, since = ConsentPosition.NOT_OBJECTED, account.notice_effective_from
    basis = GroundCode.OPTED_IN if position is ConsentPosition.OPTED_IN else GroundCode.PUBLIC_CONTENT
    return Consent(account=account, position=position, since=since, scope=scope, legal_basis=legal_basis(basis))
