"""The position of an account: a state with a history."""

from datetime import datetime
from enum import StrEnum
from functools import partial

import strawberry

from db.policy.document import Policy
from db.records.account import AccountRow
from db.records.consent import ConsentEventRow, page_of_events
from schema.context import Context, Info
from schema.enums import GroundCode, MessageKind, NoticeChannel, ObjectionChannel, ObjectionScope, described_enum
from schema.execution.row_compiler import Column, EnumColumn, FromList
from schema.governed import EXAMINERS_AND_OWNER, governed
from schema.records.campaign import Campaign, CampaignText, campaign_of, campaign_text_of
from schema.records.eligibility import LegalBasis, legal_basis
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

MAX_PAGE_SIZE = 100


@described_enum(
    "Whether an account has received a notice, objected or given consent.",
    NOT_NOTICED="No notice was delivered.",
    NOTICE_PERIOD="The notice period has not ended.",
    NOT_OBJECTED="The notice period ended without an objection.",
    OBJECTED="An objection is active.",
    OPTED_IN="Consent was given.",
)
class ConsentPosition(StrEnum):
    NOT_NOTICED = "NOT_NOTICED"
    NOTICE_PERIOD = "NOTICE_PERIOD"
    NOT_OBJECTED = "NOT_OBJECTED"
    OBJECTED = "OBJECTED"
    OPTED_IN = "OPTED_IN"


@described_enum(
    "The kind of an event about an account's notices, objections and consent.",
    NOTICE_SENT="A notice was sent.",
    NOTICE_DELIVERED="A notice was delivered.",
    NOTICE_BOUNCED="A notice bounced.",
    OBJECTION_RECEIVED="An objection was received.",
    OBJECTION_WITHDRAWN="An objection was withdrawn.",
    CONSENT_GIVEN="Consent was given.",
    CONSENT_WITHDRAWN="Consent was withdrawn.",
)
class ConsentEventKind(StrEnum):
    NOTICE_SENT = "NOTICE_SENT"
    NOTICE_DELIVERED = "NOTICE_DELIVERED"
    NOTICE_BOUNCED = "NOTICE_BOUNCED"
    OBJECTION_RECEIVED = "OBJECTION_RECEIVED"
    OBJECTION_WITHDRAWN = "OBJECTION_WITHDRAWN"
    CONSENT_GIVEN = "CONSENT_GIVEN"
    CONSENT_WITHDRAWN = "CONSENT_WITHDRAWN"


async def _resolve_campaign(root: "Notice", info: Info) -> Campaign | None:
    """Resolve `Notice.campaign`: the campaign of a notice to an account."""
    row = await info.context.campaigns.load(root.epoch)
    return campaign_of(row) if row else None


async def _resolve_sent_text(root: "Notice", info: Info) -> CampaignText | None:
    """Resolve `Notice.sentText`: the text of a notice in the language in which it was sent."""
    row = await info.context.campaigns.load(root.epoch)
    sent = (MessageKind.NOTICE, root.language)
    texts = [text for text in row.texts if (text.message, text.language) == sent] if row else []
    return campaign_text_of(texts[0]) if texts else None


@strawberry.type(description="A notice to an account.")
class Notice:
    id: strawberry.ID = governed(EXAMINERS_AND_OWNER, description="The id of the notice.")
    channel: NoticeChannel = governed(EXAMINERS_AND_OWNER, description="The channel of the notice.")
    epoch: str = governed(EXAMINERS_AND_OWNER, description="The epoch of the campaign, as YYYY-MM.")
    language: str | None = governed(
        EXAMINERS_AND_OWNER,
        description="The language in which the gateway sent the notice, null if the platform sent it.",
    )
    sent_text: CampaignText | None = governed(
        EXAMINERS_AND_OWNER,
        resolver=_resolve_sent_text,
        description=(
            "The text of the notice as registered for the campaign, null if the gateway does not know the text."
        ),
    )
    campaign: Campaign | None = governed(
        EXAMINERS_AND_OWNER,
        resolver=_resolve_campaign,
        description="The campaign of the notice, null if the gateway does not know the campaign.",
    )
    sent_at: datetime | None = governed(
        EXAMINERS_AND_OWNER, description="The time at which the notice was sent, null if the time is not known."
    )
    delivered_at: datetime | None = governed(
        EXAMINERS_AND_OWNER, description="The time at which the notice was delivered, null if it was not delivered."
    )
    bounced_at: datetime | None = governed(
        EXAMINERS_AND_OWNER, description="The time at which the notice bounced, null if it did not bounce."
    )


@strawberry.type(description="An objection that applies to an account.")
class Objection:
    id: strawberry.ID = governed(EXAMINERS_AND_OWNER, description="The id of the objection.")
    reference: str = governed(
        EXAMINERS_AND_OWNER, description="The reference that the person received for the objection."
    )
    scope: ObjectionScope = governed(EXAMINERS_AND_OWNER, description="The content that the objection covers.")
    channel: ObjectionChannel | None = governed(
        EXAMINERS_AND_OWNER, description="The channel through which the objection was received, null if unknown."
    )
    received_at: datetime = governed(EXAMINERS_AND_OWNER, description="The time at which the objection was received.")
    withdrawn_at: datetime | None = governed(
        EXAMINERS_AND_OWNER, description="The time of the withdrawal, null if the objection was not withdrawn."
    )
    active_until: datetime | None = governed(
        EXAMINERS_AND_OWNER,
        description="The time at which the objection stops being active, null if it was not withdrawn.",
    )


@strawberry.type(description="An event about an account's notices, objections and consent.")
class ConsentEvent:
    id: strawberry.ID = governed(EXAMINERS_AND_OWNER, row=FromList("ids"), description="The id of the event.")
    kind: ConsentEventKind = governed(
        EXAMINERS_AND_OWNER, row=EnumColumn("kind", ConsentEventKind), description="The kind of the event."
    )
    occurred_at: datetime = governed(
        EXAMINERS_AND_OWNER, row=Column("occurred_at"), description="The time of the event."
    )
    recorded_at: datetime = governed(
        EXAMINERS_AND_OWNER,
        row=Column("recorded_at"),
        description="The time at which the gateway learned of the event.",
    )


class ConsentEventPage(KeysetPage):
    """A page of the consent ledger."""

    columns = {name: position for position, name in enumerate(ConsentEventRow._fields)}  # noqa: RUF012 - never changed
    prepared = "ConsentEvent"


async def events_page(context: Context, first: int, after: str | None, account: int | None) -> Connection[ConsentEvent]:
    """Resolve a page of `ConsentEvent` records, of one account or of all."""
    rows, has_next = await page_of_events(
        context.reader,
        read_cursor(context.ids, IdKind.CONSENT_EVENT_CURSOR, after),
        check_page_size(first, MAX_PAGE_SIZE),
        account=account,
    )
    page = ConsentEventPage(
        context.ids, IdKind.CONSENT_EVENT, IdKind.CONSENT_EVENT_CURSOR, rows, partial(_event_of, context)
    )
    return connection_of_rows(page, after=after, has_next=has_next)


def _event_of(context: Context, row: ConsentEventRow) -> ConsentEvent:
    """Show a recorded event of an account's position as the GraphQL object `ConsentEvent`."""
    return ConsentEvent(
        id=strawberry.ID(context.ids.encode(IdKind.CONSENT_EVENT, row.id)),
        kind=ConsentEventKind(row.kind),
        occurred_at=row.occurred_at,
        recorded_at=row.recorded_at,
    )


async def notices_of(context: Context, account: int) -> list[Notice]:
    """Show the notices that are recorded for an account as GraphQL objects."""
    return [
        Notice(
            id=strawberry.ID(context.ids.encode(IdKind.NOTICE, row.id)),
            channel=NoticeChannel(row.channel),
            epoch=row.epoch,
            language=row.language,
            sent_at=row.sent_at,
            delivered_at=row.delivered_at,
            bounced_at=row.bounced_at,
        )
        for row in await context.notices.load(account)
    ]


async def objections_of(context: Context, account: int) -> list[Objection]:
    """Show the objections that are recorded for an account as GraphQL objects."""
    return [
        Objection(
            id=strawberry.ID(context.ids.encode(IdKind.OBJECTION, row.id)),
            reference=row.reference,
            scope=ObjectionScope(row.scope),
            channel=ObjectionChannel(row.channel) if row.channel else None,
            received_at=row.received_at,
            withdrawn_at=row.withdrawn_at,
            active_until=row.active_until,
        )
        for row in await context.objections.load(account)
    ]


async def _resolve_notices(root: "Consent", info: Info) -> list[Notice]:
    """Resolve `Consent.notices`: the notices to the account."""
    return await notices_of(info.context, root.account.id)


async def _resolve_objections(root: "Consent", info: Info) -> list[Objection]:
    """Resolve `Consent.objections`: the objections against use of the account."""
    return await objections_of(info.context, root.account.id)


async def _resolve_events(
    root: "Consent",
    info: Info,
    first: First,
    after: After = None,
) -> Connection[ConsentEvent]:
    """Resolve `Consent.events`: a page of the events of the account's position."""
    return await events_page(info.context, first, after, root.account.id)


@strawberry.type(description="Whether an account has received a notice, objected or given consent, for one purpose.")
class PurposePosition:
    """A position for a purpose."""

    purpose: str = governed(EXAMINERS_AND_OWNER, description="The purpose.")
    position: ConsentPosition = governed(
        EXAMINERS_AND_OWNER,
        description="Whether the account has received a notice, objected or given consent, for this purpose.",
    )
    since: datetime | None = governed(
        EXAMINERS_AND_OWNER,
        description="The time from which the account has had this position, null if no notice was delivered.",
    )


@strawberry.type(description="Whether an account has received a notice, objected or given consent.")
class Consent:
    account: strawberry.Private[AccountRow]
    position: ConsentPosition = governed(
        EXAMINERS_AND_OWNER,
        description=(
            "Whether the account has received a notice, objected or given consent, for the first purpose of the policy."
        ),
    )
    since: datetime | None = governed(
        EXAMINERS_AND_OWNER,
        description="The time from which the account has had this position, null if no notice was delivered.",
    )
    purposes: list[PurposePosition] = governed(
        EXAMINERS_AND_OWNER,
        description=(
            "For each purpose of the policy, whether the account has received a notice, objected or given consent."
        ),
    )
    scope: ObjectionScope | None = governed(
        EXAMINERS_AND_OWNER, description="The content that the active objection covers, null if there is none."
    )
    legal_basis: LegalBasis = governed(EXAMINERS_AND_OWNER, description="The legal basis for the use of the content.")
    asked_for: bool = governed(
        EXAMINERS_AND_OWNER,
        description="Whether the policy in force requires consent for at least some content of the account.",
    )
    given_at: datetime | None = governed(
        EXAMINERS_AND_OWNER, description="The time from which the account's consent counts, null without consent."
    )
    notices: list[Notice] = governed(
        EXAMINERS_AND_OWNER, resolver=_resolve_notices, description="The notices to the account."
    )
    objections: list[Objection] = governed(
        EXAMINERS_AND_OWNER, resolver=_resolve_objections, description="The objections that apply to the account."
    )
    events: Connection[ConsentEvent] = governed(
        EXAMINERS_AND_OWNER,
        resolver=_resolve_events,
        description=("The events about the account's notices, objections and consent."),
    )


def consent_of(account: AccountRow, policy: Policy) -> Consent:
    """Derive an account's position `Consent` under a policy; an objection comes first.

    The legal basis is consent for an account that gave it, and wherever the policy has no other for its product.
    """
    grounds = [ground for ground, coverage in policy.grounds.items() if account.product in coverage.products]
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
    elif GroundCode.OPTED_IN in policy.grounds and account.opted_in_since is not None:
        position, since = ConsentPosition.OPTED_IN, account.opted_in_since
    else:
        position, since = None, None
    noticed = zip(account.purposes, account.notice_deliveries, account.notice_ends, strict=True)
    purposes = [
        PurposePosition(purpose=purpose, position=stands, since=began)
        for purpose, delivered_at, ends_at in noticed
        for stands, began in [(position, since) if position else _by_notice(delivered_at, ends_at, account.now)]
    ]
    consenting = position is ConsentPosition.OPTED_IN or grounds == [GroundCode.OPTED_IN]
    basis = GroundCode.OPTED_IN if consenting else GroundCode.PUBLIC_CONTENT
    first = purposes[0]
    return Consent(
        account=account,
        position=first.position,
        since=first.since,
        scope=scope,
        legal_basis=legal_basis(basis),
        purposes=purposes,
        asked_for=GroundCode.OPTED_IN in grounds,
        given_at=account.opted_in_since,
    )


def _by_notice(
    delivered_at: datetime | None, ends_at: datetime | None, now: datetime
) -> tuple[ConsentPosition, datetime | None]:
    """Return the position of an account that neither objected nor gave consent, and since when it holds."""
    if delivered_at is None or ends_at is None:
        return ConsentPosition.NOT_NOTICED, None
    if ends_at > now:
        return ConsentPosition.NOTICE_PERIOD, delivered_at
    return ConsentPosition.NOT_OBJECTED, ends_at
