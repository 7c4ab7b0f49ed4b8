"""Regulatory holds: an authority's order that stops the delivery of whatever it covers."""

from datetime import datetime
from enum import StrEnum
from functools import cached_property, partial
from typing import Annotated, Any

import strawberry

from db.officers import HoldRow, Officer, Outcome, hold_of, page_of_holds
from schema.compiled import Column, Listed, Word
from schema.connection import Connection, KeysetPage, checked_first, page_of, read_cursor
from schema.consent import MOST_ROWS
from schema.context import Context
from schema.errors import BadInput
from schema.governed import EXAMINERS, OFFICERS, governed
from schema.ids import Ids, Kind

LONGEST = 2000

Info = strawberry.Info[Context, None]


@strawberry.enum(description="What a hold covers.")
class HoldScope(StrEnum):
    """Name what a hold covers."""

    GLOBAL = "GLOBAL"
    COUNTRY = "COUNTRY"
    PRODUCT = "PRODUCT"
    ACCOUNT = "ACCOUNT"


@strawberry.type(description="An authority's order that nothing it covers is delivered.")
class Hold:
    """Hold a hold."""

    id: strawberry.ID = governed(EXAMINERS, row=Listed("ids"))
    scope: HoldScope = governed(EXAMINERS, row=Word("scope", HoldScope))
    value: str | None = governed(
        EXAMINERS,
        row=Listed("values"),
        description="The country, the product, or our id of the account once it is known.",
    )
    authority: str = governed(EXAMINERS, row=Column("authority"))
    reason: str = governed(EXAMINERS, row=Column("reason"))
    opened_at: datetime = governed(EXAMINERS, row=Column("opened_at"))
    opened_by: str | None = governed(EXAMINERS, row=Column("opened_by"))
    lift_asked_at: datetime | None = governed(
        EXAMINERS,
        row=Column("lift_asked_at"),
        description="When an officer asked that it be lifted; another has to agree.",
    )
    lift_asked_by: str | None = governed(EXAMINERS, row=Column("lift_asked_by"))
    lifted_at: datetime | None = governed(EXAMINERS, row=Column("lifted_at"))
    lifted_by: str | None = governed(EXAMINERS, row=Column("lifted_by"))
    until: datetime | None = governed(
        EXAMINERS, row=Column("until"), description="When a lifted hold ceases to cover anything."
    )


class HoldPage(KeysetPage):
    """Hold a page of holds."""

    columns = {name: position for position, name in enumerate(HoldRow._fields)}  # noqa: RUF012 - never changed
    prepared = "Hold"

    @cached_property
    def values(self) -> list[str | None]:
        """Give what each hold covers."""
        return [_value(self.naming, row) for row in self.found]


def _value(ids: Ids, row: Any) -> str | None:
    """Give what a hold covers; of an account, our id and never the platform's."""
    account: int | None = row.account
    value: str | None = row.value
    return value if account is None else ids.write(Kind.ACCOUNT, account)


def _hold(context: Context, row: HoldRow) -> Hold:
    shown = row._asdict() | {"id": strawberry.ID(context.ids.write(Kind.HOLD, row.id)), "scope": HoldScope(row.scope)}
    del shown["account"]
    return Hold(**shown | {"value": _value(context.ids, row)})


async def holds_page(
    info: Info,
    first: Annotated[int, strawberry.argument(description="How many: 1 to 100.")],
    after: str | None = None,
    open: Annotated[bool, strawberry.argument(description="Only those that cover something now.")] = False,
) -> Connection[Hold]:
    """Read a page of holds."""
    context = info.context
    number = read_cursor(context.ids, Kind.HOLD_CURSOR, after)
    rows, has_next = await page_of_holds(context.reader, number, checked_first(first, MOST_ROWS), open_only=open)
    page = HoldPage(context.ids, Kind.HOLD, Kind.HOLD_CURSOR, rows, partial(_hold, context))
    return page_of(page, after=after, has_next=has_next)


def acting(context: Context) -> Officer:
    """Give the officer who asks."""
    return Officer(context.database.staff, context.actor.name)


async def _open_hold(
    info: Info,
    scope: HoldScope,
    authority: Annotated[str, strawberry.argument(description="Who orders it.")],
    reason: str,
    value: Annotated[
        str | None,
        strawberry.argument(
            description="A country (ISO 3166-1), a product, or an account by our id or the platform's."
        ),
    ] = None,
) -> Hold:
    context = info.context
    for name, text in (("authority", authority), ("reason", reason), ("value", value)):
        if text is not None and not 0 < len(text.strip()) <= LONGEST:
            raise BadInput(f"{name}: is empty or longer than {LONGEST} characters (say it in a sentence)")
    number = await acting(context).open_hold(scope, await _held(context, scope, value), authority, reason)
    return await _found(context, number)


async def _lift_hold(info: Info, id: strawberry.ID) -> Hold:
    context = info.context
    number = context.ids.read_as(Kind.HOLD, id)
    outcome = None if number is None else await acting(context).lift_hold(number)
    if number is None or outcome is None:
        raise BadInput("id: is no hold (take it from holds)")
    if outcome is Outcome.SAME_OFFICER:
        raise BadInput("id: you asked for this already, and lifting takes two officers (have another one lift it)")
    return await _found(context, number)


async def _held(context: Context, scope: HoldScope, value: str | None) -> str | None:
    """Check what is to be held; of an account give the platform's id, known here or not."""
    if scope is HoldScope.GLOBAL:
        if value is not None:
            raise BadInput("value: a GLOBAL hold covers everything (leave it out)")
        return None
    if value is None:
        raise BadInput(f"value: is missing (name the {scope.lower()})")
    if scope is HoldScope.COUNTRY and not (len(value) == 2 and value.isascii() and value.isalpha() and value.isupper()):
        raise BadInput("value: is no country (write its code of ISO 3166-1, such as IE)")
    if scope is HoldScope.PRODUCT and value not in (await context.gateway.policy_in_force()).products:
        raise BadInput("value: is a product of neither the platform nor the policy (see policy.grounds.products)")
    if scope is HoldScope.ACCOUNT:
        number = context.ids.read_as(Kind.ACCOUNT, value)
        account = None if number is None else await context.accounts.load(number)
        return account.platform_id if account else value
    return value


async def _found(context: Context, number: int) -> Hold:
    row = await hold_of(context.reader, number)
    assert row is not None, "a hold is never removed"
    return _hold(context, row)


@strawberry.type
class HoldMutation:
    """Open and lift holds."""

    open_hold: Hold = governed(
        OFFICERS, resolver=_open_hold, description="Stop the delivery of what it covers, from the next page on."
    )
    lift_hold: Hold = governed(
        OFFICERS,
        resolver=_lift_hold,
        description="Ask that a hold be lifted; a second officer's call lifts it; it ends a dwell later.",
    )
