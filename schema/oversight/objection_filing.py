"""File and withdraw objections, and list those that match no account."""

from datetime import datetime, timedelta
from functools import partial
from typing import Annotated

import strawberry

from db.oversight.objection_filing import (
    ObjectionSubmitter,
    ReceiptTimeError,
    Target,
    TargetError,
    UnmatchedRow,
    file_objection,
    is_unmatched,
    references_of,
    stated_target,
    unmatched_objections,
    withdraw_objection,
)
from schema.context import Context, Info
from schema.enums import ObjectionChannel, ObjectionScope, Role, TargetKind
from schema.errors import BadInput
from schema.execution.row_compiler import Column, EnumColumn, FromList
from schema.governed import OFFICERS, governed
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

OBJECTION_FILERS = (*OFFICERS, Role.DATA_SUBJECT)


@strawberry.type(description="An objection that was filed and is active from `receivedAt`.")
class FiledObjection:
    reference: str = governed(OBJECTION_FILERS, description="The reference of the objection.")
    received_at: datetime = governed(OBJECTION_FILERS, description="The time at which the objection was received.")
    scope: ObjectionScope = governed(OBJECTION_FILERS, description="The content that the objection covers.")
    unmatched: bool = governed(
        OFFICERS,
        description="Whether the objection matches no known account yet; the gateway retains it and applies it later.",
    )


@strawberry.type(description="An objection that was withdrawn and stays active until `activeUntil`.")
class WithdrawnObjection:
    reference: str = governed(OBJECTION_FILERS, description="The reference of the objection.")
    withdrawn_at: datetime = governed(OBJECTION_FILERS, description="The time of the withdrawal.")
    active_until: datetime = governed(
        OBJECTION_FILERS, description="The time at which the objection stops being active."
    )


@strawberry.type(description="An entry of an objection that identifies an account, a person or a contact.")
class ObjectionTarget:
    kind: TargetKind = governed(OFFICERS, description="Whether the entry identifies an account, a person or a contact.")
    value: str = governed(OFFICERS, description="The platform's id, or the SHA-256 of a contact.")


def targets_of(listed: list[str]) -> list[ObjectionTarget]:
    """Show an objection's targets as GraphQL objects, from words like `ACCOUNT value`."""
    pairs = (target.partition(" ") for target in listed)
    return [ObjectionTarget(kind=TargetKind(kind), value=value) for kind, _, value in pairs]


@strawberry.type(
    description=("An objection that matches no known account; it is retained until a matching account appears.")
)
class UnmatchedObjection:
    id: strawberry.ID = governed(OFFICERS, row=FromList("ids"), description="The id of the objection.")
    reference: str = governed(OFFICERS, row=Column("reference"), description="The reference of the objection.")
    scope: ObjectionScope = governed(
        OFFICERS, row=EnumColumn("scope", ObjectionScope), description="The content that the objection covers."
    )
    channel: ObjectionChannel | None = governed(
        OFFICERS,
        row=EnumColumn("channel", ObjectionChannel),
        description="The channel through which the objection was received, null if unknown.",
    )
    received_at: datetime = governed(
        OFFICERS, row=Column("received_at"), description="The time at which the objection was received."
    )
    targets: list[ObjectionTarget] = governed(
        OFFICERS, description="The entries of the objection that identify accounts, persons or contacts."
    )


class UnmatchedPage(KeysetPage):
    """A page of unmatched objections."""

    columns = {name: position for position, name in enumerate(UnmatchedRow._fields)}  # noqa: RUF012 - never changed
    prepared = "UnmatchedObjection"


def _unmatched_objection(context: Context, row: UnmatchedRow) -> UnmatchedObjection:
    """Show officers an objection that matches no account, as a GraphQL object."""
    return UnmatchedObjection(
        id=strawberry.ID(context.ids.encode(IdKind.OBJECTION, row.id)),
        reference=row.reference,
        scope=ObjectionScope(row.scope),
        channel=ObjectionChannel(row.channel) if row.channel else None,
        received_at=row.received_at,
        targets=targets_of(row.targets),
    )


async def unmatched_page(
    info: Info,
    first: First,
    after: After = None,
) -> Connection[UnmatchedObjection]:
    """Resolve `unmatchedObjections` for officers: a page of objections that match no account."""
    context = info.context
    number = read_cursor(context.ids, IdKind.OBJECTION_CURSOR, after)
    rows, has_next = await unmatched_objections(context.reader, number, check_page_size(first, MAX_PAGE_SIZE))
    page = UnmatchedPage(
        context.ids, IdKind.OBJECTION, IdKind.OBJECTION_CURSOR, rows, partial(_unmatched_objection, context)
    )
    return connection_of_rows(page, after=after, has_next=has_next)


@strawberry.input(
    description="The objection, for which an officer sets exactly one of `account`, `person` and `contact`, and a data"
    " subject sets none of them."
)
class FileObjectionInput:
    scope: ObjectionScope = strawberry.field(
        default=ObjectionScope.ALL, description="The content that the objection covers."
    )
    account: str | None = strawberry.field(
        default=None,
        description=("The gateway's id or the platform's id of the account; the account need not be known yet."),
    )
    person: str | None = strawberry.field(default=None, description="The platform's id of the person.")
    contact: str | None = strawberry.field(
        default=None,
        description="An e-mail address, phone number, user name or profile address, or its SHA-256.",
    )
    country: str | None = strawberry.field(
        default=None,
        description=(
            "The country, as an ISO 3166-1 code, of a phone number that does not begin with a code such as +49."
        ),
    )
    channel: ObjectionChannel | None = strawberry.field(
        default=None,
        description="The channel through which the objection was received; only officers can set this field.",
    )
    received_at: datetime | None = strawberry.field(
        default=None,
        description=(
            "The time at which a letter, call or e-mail with the objection was received, by default now; only "
            "officers can set this field."
        ),
    )


async def _file_objection(
    info: Info, input: Annotated[FileObjectionInput, strawberry.argument(description="The objection.")]
) -> FiledObjection:
    """Resolve the mutation `fileObjection`: file an objection for oneself, or as an officer."""
    context = info.context
    subject = context.owner
    target = await _read_target(context, input) if subject is None else _read_own_target(subject, input)
    submitter, channel = _objection_submitter(context), input.channel or ObjectionChannel.API
    try:
        filed = await file_objection(submitter, target, input.scope, channel, input.received_at)
    except ReceiptTimeError as error:
        raise BadInput(f"receivedAt: {error}") from None
    return FiledObjection(
        reference=filed.reference,
        received_at=filed.received_at,
        scope=input.scope,
        unmatched=subject is None and await is_unmatched(submitter, filed.reference),
    )


async def _withdraw_objection(
    info: Info,
    reference: Annotated[str, strawberry.argument(description="The reference or the id of the objection.")],
) -> WithdrawnObjection:
    """Resolve the mutation `withdrawObjection`: withdraw an objection for oneself, or as an officer."""
    context = info.context
    number = context.ids.decode_as(IdKind.OBJECTION, reference)
    if number is not None:
        reference = (await references_of(context.reader, [number])).get(number, reference)
    withdrawn_at = await withdraw_objection(_objection_submitter(context), reference)
    if withdrawn_at is None:
        raise BadInput(
            "reference: must be an objection that you can withdraw (use a reference from your list of objections)"
        )
    dwell = timedelta(days=(await context.gateway.policy_in_force()).dwell.withdrawal_days)
    return WithdrawnObjection(reference=reference, withdrawn_at=withdrawn_at, active_until=withdrawn_at + dwell)


def _objection_submitter(context: Context) -> ObjectionSubmitter:
    """Return who files or withdraws an objection by a mutation: the data subject or an officer."""
    if context.owner is not None:
        return ObjectionSubmitter.subject(context.database, context.owner)
    return ObjectionSubmitter.officer(context.database, context.actor.name)


def _read_own_target(subject: str, stated: FileObjectionInput) -> Target:
    """Read the target of a data subject's `fileObjection`: the own account and nothing else. Raises BadInput."""
    given = {name: getattr(stated, name) for name in ("account", "person", "contact", "country", "channel")}
    for name, value in (given | {"receivedAt": stated.received_at}).items():
        if value is not None:
            raise BadInput(
                f"{name}: only officers can set this (omit {name}; your objection applies to your own account)"
            )
    return Target(TargetKind.ACCOUNT, subject)


async def _read_target(context: Context, stated: FileObjectionInput) -> Target:
    """Read the target of an officer's `fileObjection`; either the gateway's or the platform's id names an account."""
    try:
        target = stated_target(stated.account, stated.person, stated.contact, stated.country)
    except TargetError as error:
        raise BadInput(f"{error.field or 'input'}: {error}") from None
    if target.kind is TargetKind.ACCOUNT:
        return target._replace(value=await context.platform_account(target.value))
    return target


@strawberry.type
class ObjectionFilingMutation:
    """The mutations that file and withdraw objections."""

    file_objection: FiledObjection = governed(
        OBJECTION_FILERS,
        resolver=_file_objection,
        description="Files an objection, which takes effect before the response is sent.",
    )
    withdraw_objection: WithdrawnObjection = governed(
        OBJECTION_FILERS,
        resolver=_withdraw_objection,
        description="Withdraws an objection, which stays active until the waiting time has passed.",
    )
