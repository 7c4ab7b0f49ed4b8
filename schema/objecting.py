"""File objections and take them back; see those that nobody could be matched to."""

from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Annotated

import strawberry

from db.contacts import stated_hash
from db.objecting import (
    Filer,
    Target,
    UnmatchedRow,
    file_objection,
    references_of,
    unmatched_objections,
    withdraw_objection,
)
from schema.compiled import Column, Listed, Word
from schema.connection import Connection, KeysetPage, checked_first, page_of, read_cursor
from schema.consent import MOST_ROWS
from schema.context import Context
from schema.errors import BadInput
from schema.governed import OFFICERS, governed
from schema.ids import Kind
from schema.values import ObjectionChannel, ObjectionScope, Role

OBJECTING = (*OFFICERS, Role.DATA_SUBJECT)
LONGEST_ID = 200

Info = strawberry.Info[Context, None]


@strawberry.enum(description="By what an objection names somebody.")
class TargetKind(StrEnum):
    """Name by what an objection names somebody."""

    ACCOUNT = "ACCOUNT"
    PERSON = "PERSON"
    CONTACT = "CONTACT"


@strawberry.type(description="An objection that was filed; it is in force from the instant it was received.")
class FiledObjection:
    """Hold what is told of a filed objection."""

    reference: str = governed(OBJECTING)
    received_at: datetime = governed(OBJECTING)
    scope: ObjectionScope = governed(OBJECTING)


@strawberry.type(description="An objection that was taken back; it stays in force until `activeUntil`.")
class WithdrawnObjection:
    """Hold what is told of a withdrawn objection."""

    reference: str = governed(OBJECTING)
    withdrawn_at: datetime = governed(OBJECTING)
    active_until: datetime = governed(OBJECTING)


@strawberry.type(description="Whom an objection names.")
class ObjectionTarget:
    """Hold a target."""

    kind: TargetKind = governed(OFFICERS)
    value: str = governed(OFFICERS, description="The platform's id, or a contact's SHA-256.")


def targets_of(listed: list[str]) -> list[ObjectionTarget]:
    """Show whom an objection names, of words like `ACCOUNT value`."""
    pairs = (target.partition(" ") for target in listed)
    return [ObjectionTarget(kind=TargetKind(kind), value=value) for kind, _, value in pairs]


@strawberry.type(description="An objection that reaches no known account. It is kept, and takes hold when one appears.")
class UnmatchedObjection:
    """Hold an objection that reaches nobody yet."""

    id: strawberry.ID = governed(OFFICERS, row=Listed("ids"))
    reference: str = governed(OFFICERS, row=Column("reference"))
    scope: ObjectionScope = governed(OFFICERS, row=Word("scope", ObjectionScope))
    channel: ObjectionChannel | None = governed(OFFICERS, row=Word("channel", ObjectionChannel))
    received_at: datetime = governed(OFFICERS, row=Column("received_at"))
    targets: list[ObjectionTarget] = governed(OFFICERS)


class UnmatchedPage(KeysetPage):
    """Hold a page of unmatched objections."""

    columns = {name: position for position, name in enumerate(UnmatchedRow._fields)}  # noqa: RUF012 - never changed
    prepared = "UnmatchedObjection"


def _unmatched(context: Context, row: UnmatchedRow) -> UnmatchedObjection:
    return UnmatchedObjection(
        id=strawberry.ID(context.ids.write(Kind.OBJECTION, row.id)),
        reference=row.reference,
        scope=ObjectionScope(row.scope),
        channel=ObjectionChannel(row.channel) if row.channel else None,
        received_at=row.received_at,
        targets=targets_of(row.targets),
    )


async def unmatched_page(
    info: Info,
    first: Annotated[int, strawberry.argument(description="How many: 1 to 100.")],
    after: str | None = None,
) -> Connection[UnmatchedObjection]:
    """Read a page of unmatched objections."""
    context = info.context
    number = read_cursor(context.ids, Kind.OBJECTION_CURSOR, after)
    rows, has_next = await unmatched_objections(context.reader, number, checked_first(first, MOST_ROWS))
    page = UnmatchedPage(context.ids, Kind.OBJECTION, Kind.OBJECTION_CURSOR, rows, partial(_unmatched, context))
    return page_of(page, after=after, has_next=has_next)


@strawberry.input(description="A data subject objects for the own account and names nobody; an officer names one.")
class FileObjectionInput:
    """State an objection."""

    scope: ObjectionScope = ObjectionScope.ALL
    account: str | None = strawberry.field(
        default=None, description="An account by our id or the platform's, known here or not."
    )
    person: str | None = strawberry.field(default=None, description="A person, by the platform's id.")
    contact: str | None = strawberry.field(
        default=None, description="An e-mail address, a phone number with its country code, or their SHA-256."
    )
    channel: ObjectionChannel | None = strawberry.field(
        default=None, description="How it came in; for officers. A data subject's comes by API."
    )


async def _file(info: Info, input: FileObjectionInput) -> FiledObjection:
    context = info.context
    subject = context.owner
    target = await _target(context, input) if subject is None else _own_target(subject, input)
    filed = await file_objection(_filer(context), target, input.scope, input.channel or ObjectionChannel.API)
    return FiledObjection(reference=filed.reference, received_at=filed.received_at, scope=input.scope)


async def _withdraw(
    info: Info,
    reference: Annotated[str, strawberry.argument(description="The reference, or the objection's id.")],
) -> WithdrawnObjection:
    context = info.context
    number = context.ids.read_as(Kind.OBJECTION, reference)
    if number is not None:
        reference = (await references_of(context.reader, [number])).get(number, reference)
    withdrawn_at = await withdraw_objection(_filer(context), reference)
    if withdrawn_at is None:
        raise BadInput("reference: is no objection that you can withdraw (take it from the objections that you see)")
    dwell = timedelta(days=(await context.gateway.policy_in_force()).dwell.withdrawal_days)
    return WithdrawnObjection(reference=reference, withdrawn_at=withdrawn_at, active_until=withdrawn_at + dwell)


def _filer(context: Context) -> Filer:
    if context.owner is not None:
        return Filer.subject(context.database, context.owner)
    return Filer.officer(context.database, context.actor.name)


def _own_target(subject: str, stated: FileObjectionInput) -> Target:
    for name in ("account", "person", "contact", "channel"):
        if getattr(stated, name) is not None:
            raise BadInput(f"{name}: is for officers; a data subject objects for the own account (leave it out)")
    return Target("ACCOUNT", subject)


async def _target(context: Context, stated: FileObjectionInput) -> Target:
    """Say whom an officer's objection is for; an address is hashed here and goes no further."""
    named = {name: getattr(stated, name) for name in ("account", "person", "contact")}
    given = [(name, value) for name, value in named.items() if value is not None]
    if len(given) != 1:
        raise BadInput(f"input: names {len(given)} of account, person and contact (name one)")
    ((name, value),) = given
    if name == "contact":
        digest = stated_hash(value)
        if digest is None:
            raise BadInput("contact: is no e-mail address, no phone number like +353… and no SHA-256 (mend it)")
        return Target("CONTACT", digest)
    if not 0 < len(value) <= LONGEST_ID:
        raise BadInput(f"{name}: is empty or longer than {LONGEST_ID} characters (write the platform's id)")
    if name == "account":
        number = context.ids.read_as(Kind.ACCOUNT, value)
        account = None if number is None else await context.accounts.load(number)
        return Target("ACCOUNT", account.platform_id if account else value)
    return Target("PERSON", value)


@strawberry.type
class ObjectingMutation:
    """File objections and take them back."""

    file_objection: FiledObjection = governed(
        OBJECTING,
        resolver=_file,
        description="Object. It is in force before this is answered; what reaches nobody yet is kept.",
    )
    withdraw_objection: WithdrawnObjection = governed(
        OBJECTING, resolver=_withdraw, description="Take an objection back. It stays in force for a while."
    )
