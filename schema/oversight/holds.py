"""Holds: stop the delivery of everything, a country, a product or an account for an authority."""

from datetime import datetime
from enum import StrEnum
from functools import cached_property, partial
from typing import Annotated, Any

import strawberry

from db.oversight.holds import HoldRow, hold_of, page_of_holds
from db.oversight.officer import ActOutcome, Officer
from db.vocabulary import COUNTRIES
from schema.context import Context, Info
from schema.enums import described_enum
from schema.errors import BadInput
from schema.execution.row_compiler import Column, EnumColumn, FromList
from schema.governed import EXAMINERS, OFFICERS, governed
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
from schema.relay.ids import IdKind, Ids

MAX_LENGTH = 2000


@described_enum(
    "The scope of a hold.",
    GLOBAL="All content.",
    COUNTRY="The content of authors in one country.",
    PRODUCT="The content of one product.",
    ACCOUNT="The content of one account.",
)
class HoldScope(StrEnum):
    GLOBAL = "GLOBAL"
    COUNTRY = "COUNTRY"
    PRODUCT = "PRODUCT"
    ACCOUNT = "ACCOUNT"


@strawberry.type(
    description="An order that stops the delivery of some or all content, usually because an authority demands it."
)
class Hold:
    id: strawberry.ID = governed(EXAMINERS, row=FromList("ids"), description="The id of the hold.")
    scope: HoldScope = governed(EXAMINERS, row=EnumColumn("scope", HoldScope), description="The scope of the hold.")
    value: str | None = governed(
        EXAMINERS,
        row=FromList("values"),
        description="The country, the product or the id of the account that the hold covers, null for GLOBAL.",
    )
    authority: str = governed(EXAMINERS, row=Column("authority"), description="The authority that ordered the hold.")
    reason: str = governed(EXAMINERS, row=Column("reason"), description="The reason for the hold.")
    opened_at: datetime = governed(
        EXAMINERS, row=Column("opened_at"), description="The time at which the hold was opened."
    )
    opened_by: str | None = governed(
        EXAMINERS,
        row=Column("opened_by"),
        description="The name of the officer who opened the hold, null if the gateway opened it.",
    )
    lift_requested_at: datetime | None = governed(
        EXAMINERS,
        row=Column("lift_requested_at"),
        description=(
            "The time of the request to lift the hold, null without a request; a second officer must confirm the "
            "request."
        ),
    )
    lift_requested_by: str | None = governed(
        EXAMINERS,
        row=Column("lift_requested_by"),
        description="The name of the officer who requested to lift the hold, null if there is no request.",
    )
    lifted_at: datetime | None = governed(
        EXAMINERS,
        row=Column("lifted_at"),
        description="The time at which the hold was lifted, null while the hold is open.",
    )
    lifted_by: str | None = governed(
        EXAMINERS,
        row=Column("lifted_by"),
        description="The name of the officer who confirmed the request to lift the hold, null while the hold is open.",
    )
    ends_at: datetime | None = governed(
        EXAMINERS,
        row=Column("ends_at"),
        description="The time at which a lifted hold ends, null while the hold is open.",
    )


class HoldPage(KeysetPage):
    """A page of holds."""

    columns = {name: position for position, name in enumerate(HoldRow._fields)}  # noqa: RUF012 - never changed
    prepared = "Hold"

    @cached_property
    def values(self) -> list[str | None]:
        """Return what each hold of a page that officers read covers."""
        return [_hold_value(self.naming, row) for row in self.found]


def _hold_value(ids: Ids, row: Any) -> str | None:
    """Show officers what a hold covers; of an account, the gateway's id and never the platform's."""
    account: int | None = row.account
    value: str | None = row.value
    return value if account is None else ids.encode(IdKind.ACCOUNT, account)


def _hold_of_row(context: Context, row: HoldRow) -> Hold:
    """Show officers a hold as a GraphQL object."""
    shown = row._asdict() | {
        "id": strawberry.ID(context.ids.encode(IdKind.HOLD, row.id)),
        "scope": HoldScope(row.scope),
    }
    del shown["account"]
    return Hold(**shown | {"value": _hold_value(context.ids, row)})


async def holds_page(
    info: Info,
    first: First,
    after: After = None,
    open: Annotated[
        bool, strawberry.argument(description="Whether to return only holds that stop deliveries now.")
    ] = False,
) -> Connection[Hold]:
    """Resolve `holds` for officers: a page of holds."""
    context = info.context
    number = read_cursor(context.ids, IdKind.HOLD_CURSOR, after)
    rows, has_next = await page_of_holds(context.reader, number, check_page_size(first, MAX_PAGE_SIZE), open_only=open)
    page = HoldPage(context.ids, IdKind.HOLD, IdKind.HOLD_CURSOR, rows, partial(_hold_of_row, context))
    return connection_of_rows(page, after=after, has_next=has_next)


def acting_officer(context: Context) -> Officer:
    """Return the officer who sent a GraphQL mutation."""
    return Officer(context.database.staff, context.actor.name)


async def _open_hold(
    info: Info,
    scope: Annotated[HoldScope, strawberry.argument(description="The scope of the hold.")],
    authority: Annotated[str, strawberry.argument(description="The authority that orders the hold.")],
    reason: Annotated[str, strawberry.argument(description="The reason for the hold.")],
    value: Annotated[
        str | None,
        strawberry.argument(
            description=(
                "The value that the scope requires: an ISO 3166-1 country code, a product, or an account id of the "
                "gateway or the platform."
            )
        ),
    ] = None,
) -> Hold:
    """Resolve the officers' mutation `openHold`: stop the delivery of what a hold covers."""
    context = info.context
    for name, text in (("authority", authority), ("reason", reason), ("value", value)):
        if text is not None and not 0 < len(text.strip()) <= MAX_LENGTH:
            raise BadInput(f"{name}: must have 1 to {MAX_LENGTH} characters (state it in one sentence)")
    number = await acting_officer(context).open_hold(
        scope, await _check_hold_value(context, scope, value), authority, reason
    )
    if number is None:
        raise BadInput(
            "value: must be a known account (use an id from accounts, or open the hold once the account is known)"
        )
    return await _find_hold(context, number)


async def _lift_hold(
    info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="The id of the hold.")]
) -> Hold:
    """Resolve the officers' mutation `liftHold`: ask to lift a hold, or agree as the second officer."""
    context = info.context
    number = context.ids.decode_as(IdKind.HOLD, id)
    outcome = None if number is None else await acting_officer(context).lift_hold(number)
    if number is None or outcome is None:
        raise BadInput("id: must be a hold (use an id from holds)")
    if outcome is ActOutcome.SAME_OFFICER:
        raise BadInput("id: you already requested to lift this hold (ask another officer to lift the hold)")
    return await _find_hold(context, number)


async def _check_hold_value(context: Context, scope: HoldScope, value: str | None) -> str | None:
    """Check what an officer's mutation is to hold; of an account return the platform's id."""
    if scope is HoldScope.GLOBAL:
        if value is not None:
            raise BadInput("value: must be null for a GLOBAL hold (omit value)")
        return None
    if value is None:
        raise BadInput(f"value: is missing (pass the {scope.lower()} that the hold must cover)")
    if scope is HoldScope.COUNTRY and value not in COUNTRIES:
        raise BadInput("value: must be a country (write its ISO 3166-1 code, such as IE)")
    if scope is HoldScope.PRODUCT and value not in (await context.gateway.policy_in_force()).products:
        raise BadInput(
            "value: must be a product of the platform or of the policy (use one from policy.grounds.products)"
        )
    if scope is HoldScope.ACCOUNT:
        return await context.platform_account(value)
    return value


async def _find_hold(context: Context, number: int) -> Hold:
    """Show the officer a hold after a mutation."""
    row = await hold_of(context.reader, number)
    assert row is not None, "a hold is never removed"
    return _hold_of_row(context, row)


@strawberry.type
class HoldMutation:
    """The mutations on holds."""

    open_hold: Hold = governed(
        OFFICERS,
        resolver=_open_hold,
        description="Opens a hold; beginning with the next page, the content that the hold covers is no longer "
        "delivered.",
    )
    lift_hold: Hold = governed(
        OFFICERS,
        resolver=_lift_hold,
        description="Requests the lifting of a hold, or confirms the request of another officer.",
    )
