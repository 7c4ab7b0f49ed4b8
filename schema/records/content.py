"""An item, for officers, auditors and the owner of its account."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

import strawberry

from db.delivery.pages import client_names
from db.policy.document import Policy
from db.records.as_of import decision_as_of, policy_as_of
from db.records.content import ContentRow, find_content_id, page_of_contents
from db.records.retention import versions_from
from schema.context import Context, Info
from schema.enums import Audience, ContentKind, Conversation, Role
from schema.errors import BadInput
from schema.execution.row_compiler import Column, EnumColumn, FromList
from schema.governed import EXAMINERS, EXAMINERS_AND_OWNER, OFFICERS, SUBJECTS, governed
from schema.oversight.canaries import Canary, canary_of
from schema.records.account import Account, account_of
from schema.records.consent import MAX_PAGE_SIZE
from schema.records.eligibility import AsOf, Eligibility, ForPurpose, eligibility_of
from schema.records.signals import RightsSignal, signals_of
from schema.records.timeline import Recipient, TimelineEntry, recipient_of, timeline_page
from schema.records.viewer import LATEST_ITEMS
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
from schema.relay.node import Node

MAX_IDS = 100


async def _resolve_account_of_content(root: "Content", info: Info) -> Account | None:
    """Resolve `Content.account`: the account of the item's author."""
    row = await info.context.accounts.load(root.row.account)
    return account_of(info.context, row) if row else None


async def _resolve_eligibility_of_content(root: "Content", info: Info, purpose: ForPurpose = None) -> Eligibility:
    """Resolve `Content.eligibility`: the item's decision for a purpose."""
    eligibility = await eligibility_now(info.context, root.row.id, purpose)
    assert eligibility is not None, "an item that is there has a decision"
    return eligibility


async def _resolve_eligibility_by_purpose(root: "Content", info: Info) -> list[Eligibility]:
    """Resolve `Content.eligibilityByPurpose`: the item's decision for each purpose."""
    context = info.context
    purposes = (await context.gateway.policy_in_force()).purposes
    found = await asyncio.gather(*(context.decisions.load((root.row.id, purpose)) for purpose in purposes))
    return [eligibility_of(row, await context.gateway.policy(row.policy)) for row in found if row]


async def _resolve_own_number(root: "Content", info: Info) -> int | None:
    """Resolve `Content.number`: the item's place among a data subject's own items."""
    # A field beside it that fails ends the wait for this one, which an alias of it might share.
    return await asyncio.shield(info.context.own_numbers.load(root.row.id))


async def _resolve_recipients(root: "Content", info: Info) -> list[Recipient]:
    """Resolve `Content.recipients`: the clients that received the item."""
    return [recipient_of(root.row.id, row) for row in await info.context.recipients.load(root.row.id)]


async def _resolve_canary(root: "Content", info: Info) -> Canary | None:
    """Resolve `Content.canary`: that the item is planted, for officers."""
    row = await info.context.canaries.load(root.row.id)
    return canary_of(info.context, row) if row else None


async def _resolve_timeline(
    root: "Content",
    info: Info,
    first: First,
    after: After = None,
) -> Connection[TimelineEntry]:
    """Resolve `Content.timeline`: a page of the item's history."""
    return await timeline_page(info.context, root.row.id, first, after)


async def _resolve_signals_of_content(root: "Content") -> list[RightsSignal]:
    """Resolve `Content.signals`: what signals about the item state of training."""
    return signals_of(root.row.signals)


@strawberry.type(description="An item of the platform, permitted or not.")
class Content(Node):
    row: strawberry.Private[ContentRow]
    id: strawberry.ID = governed(EXAMINERS_AND_OWNER, row=FromList("ids"), description="The id of the item.")
    platform_id: str = governed(EXAMINERS, row=Column("platform_id"), description="The platform's id of the item.")
    kind: ContentKind = governed(
        EXAMINERS_AND_OWNER, row=EnumColumn("kind", ContentKind), description="The kind of the item."
    )
    product: str | None = governed(
        EXAMINERS_AND_OWNER,
        row=Column("product"),
        description=("The product to which the item's account belongs, null while the account is unknown."),
    )
    audience: Audience | None = governed(
        EXAMINERS_AND_OWNER,
        row=EnumColumn("audience", Audience),
        description="The audience of the item on the platform, null if unknown.",
    )
    conversation: Conversation | None = governed(
        EXAMINERS_AND_OWNER,
        row=EnumColumn("conversation", Conversation),
        description=(
            "The participants of the conversation if the item is a prompt to the AI assistant, null for other "
            "items or if unknown."
        ),
    )
    language: str | None = governed(
        EXAMINERS_AND_OWNER,
        row=Column("language"),
        description="The language of the item as a BCP 47 tag, null if unknown.",
    )
    created_at: datetime = governed(
        EXAMINERS_AND_OWNER, row=Column("created_at"), description="The time at which the item was created."
    )
    deleted_at: datetime | None = governed(
        EXAMINERS_AND_OWNER,
        row=Column("deleted_at"),
        description="The time at which the item was deleted, null if the item was not deleted.",
    )
    number: int | None = governed(
        SUBJECTS,
        resolver=_resolve_own_number,
        description="The position of the item in the list of the data subject's own items (1 is the item that the "
        f"gateway received first), null for all but the latest {LATEST_ITEMS} items.",
    )
    text_preview: str | None = governed(
        (*OFFICERS, *SUBJECTS),
        row=Column("preview"),
        description="The beginning of the de-identified text, null if the gateway has no text.",
    )
    text: str | None = governed(
        SUBJECTS,
        row=Column("text"),
        description="The whole de-identified text, null if the gateway has no text.",
    )
    text_sha256: str | None = governed(
        (Role.AUDITOR,),
        row=Column("text_sha256"),
        description="The SHA-256 of the de-identified text in UTF-8, in hexadecimal, null if the gateway has no text.",
    )
    account: Account | None = governed(
        EXAMINERS_AND_OWNER,
        resolver=_resolve_account_of_content,
        description="The author's account, null while the account is unknown.",
    )
    signals: list[RightsSignal] = governed(
        EXAMINERS_AND_OWNER,
        resolver=_resolve_signals_of_content,
        description="The signals about the item, and the rights that the platform stated for the item.",
    )
    eligibility: Eligibility = governed(
        EXAMINERS_AND_OWNER,
        resolver=_resolve_eligibility_of_content,
        description="The decision on the item for one purpose, with the reasons.",
    )
    eligibility_by_purpose: list[Eligibility] = governed(
        EXAMINERS_AND_OWNER,
        resolver=_resolve_eligibility_by_purpose,
        description="The decision on the item for each purpose of the policy in force.",
    )
    recipients: list[Recipient] = governed(
        EXAMINERS, resolver=_resolve_recipients, description="The clients that received the item, earliest first."
    )
    canary: Canary | None = governed(
        OFFICERS,
        resolver=_resolve_canary,
        description="The record of the canary if the item is a canary, else null.",
    )
    timeline: Connection[TimelineEntry] = governed(
        EXAMINERS,
        resolver=_resolve_timeline,
        description="The events of the item and its account, in the order in which they became known.",
    )


class ContentPage(KeysetPage):
    """A page of items."""

    columns = {name: position for position, name in enumerate(ContentRow._fields)}  # noqa: RUF012 - never changed
    prepared = "Content"


def content_of(context: Context, row: ContentRow) -> Content:
    """Show an item's record to its audience as a GraphQL object."""
    return Content(
        row=row,
        id=strawberry.ID(context.ids.encode(IdKind.CONTENT, row.id)),
        platform_id=row.platform_id,
        kind=ContentKind(row.kind),
        product=row.product,
        audience=Audience(row.audience) if row.audience else None,
        conversation=Conversation(row.conversation) if row.conversation else None,
        language=row.language,
        created_at=row.created_at,
        deleted_at=row.deleted_at,
        text_preview=row.preview,
        text=row.text,
        text_sha256=row.text_sha256,
    )


async def contents_page(
    context: Context,
    first: int,
    after: str | None,
    *,
    account: int | None = None,
    platform_ids: Sequence[str] | None = None,
) -> Connection[Content]:
    """Resolve a page of item records: all of them for examiners, a data subject's own for that person."""
    if platform_ids is not None and len(platform_ids) > MAX_IDS:
        raise BadInput(
            f"platformIds: must have at most {MAX_IDS} values, not {len(platform_ids)} (send several requests)"
        )
    rows, has_next = await page_of_contents(
        context.reader,
        read_cursor(context.ids, IdKind.CONTENT_CURSOR, after),
        check_page_size(first, MAX_PAGE_SIZE),
        owner=context.owner,
        account=account,
        platform_ids=platform_ids,
    )
    page = ContentPage(context.ids, IdKind.CONTENT, IdKind.CONTENT_CURSOR, rows, partial(content_of, context))
    return connection_of_rows(page, after=after, has_next=has_next)


async def find_any_content(context: Context, text: str) -> ContentRow | None:
    """Find an item's record for a resolver, by any id that a person may hold."""
    number = await find_any_content_id(context, text)
    return None if number is None else await context.contents.load(number)


async def find_any_content_id(context: Context, text: str) -> int | None:
    """Find an item's number for a resolver: by the gateway's id, and for examiners by other ids.

    There may be no such item, or none that this audience may see.
    """
    number = context.ids.decode_as(IdKind.CONTENT, text)
    if number is None and context.owner is None:
        number = await find_content_id(context.reader, text)
        if number is None:
            number = await _content_id_of_a_client(context, text)
    return number


async def eligibility_now(context: Context, number: int, purpose: str | None = None) -> Eligibility | None:
    """Decide an item now and explain it as `Eligibility`; raise BadInput for an unknown purpose."""
    if purpose is not None:
        _check_purpose(purpose, await context.gateway.policy_in_force())
    decision = await context.decisions.load((number, purpose))
    return eligibility_of(decision, await context.gateway.policy(decision.policy)) if decision else None


async def eligibility_as_of(
    context: Context, number: int, as_of: AsOf, purpose: str | None = None
) -> Eligibility | None:
    """Decide an item as of an earlier time, as `Eligibility`; None where the item was not known then.

    Raises BadInput for an instant without an offset, for one before the stored versions, and for a purpose that
    the policy did not have.
    """
    now = datetime.now(UTC)
    for name, instant in (("validAt", as_of.valid_at), ("knownAt", as_of.known_at or now)):
        if instant.tzinfo is None:
            raise BadInput(f"asOf.{name}: must have an offset (write it like 2026-05-27T12:00:00Z)")
    if (as_of.known_at or now) < (earliest := await versions_from(context.reader)):
        raise BadInput(
            f"asOf.knownAt: versions that were replaced before {earliest:%Y-%m-%dT%H:%M:%SZ} have been removed (use a"
            " later time)"
        )
    policy = await policy_as_of(context.reader, as_of.valid_at)
    if purpose is not None:
        _check_purpose(purpose, policy)
    decision = await decision_as_of(
        context.reader, number, policy, purpose or policy.purposes[0], as_of.valid_at, as_of.known_at or now
    )
    return eligibility_of(decision, policy) if decision else None


def _check_purpose(purpose: str, policy: Policy) -> None:
    """Raise BadInput for a purpose of an `Eligibility` that the policy does not have."""
    if purpose not in policy.purposes:
        raise BadInput(f"purpose: must be a purpose of the policy (use {' or '.join(policy.purposes)})")


async def _content_id_of_a_client(context: Context, text: str) -> int | None:
    """Decode an item's id that a client has. Each client has a key of its own, and only one fits."""
    for client in await client_names(context.reader):
        number = context.gateway.ids(f"client:{client}").decode_as(IdKind.TRAINABLE_CONTENT, text)
        if number is not None:
            return number
    return None
