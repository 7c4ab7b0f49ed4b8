"""An account as those see it who examine, and the person whose it is."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

import strawberry

from db.account import AccountRow, page_of_accounts
from schema.compiled import Column, Listed, Made, Word
from schema.connection import Connection, KeysetPage, checked_first, page_of, read_cursor
from schema.consent import MOST_ROWS, Consent, consent_of
from schema.context import Context
from schema.decision import TriState, tri_state
from schema.governed import CONCERNED, governed
from schema.ids import Kind
from schema.node import Node
from schema.values import AccountKind, AccountStatus, GroundCode, Region, Role

if TYPE_CHECKING:
    from schema.content import Content


async def _consent(root: "Account", info: strawberry.Info[Context, None]) -> Consent:
    policy = await info.context.gateway.policy(root.row.policy)
    return consent_of(root.row, opting_in=GroundCode.OPTED_IN in policy.grounds)


async def _contents(
    root: "Account",
    info: strawberry.Info[Context, None],
    first: Annotated[int, strawberry.argument(description="How many: 1 to 100.")],
    after: str | None = None,
) -> Connection[Annotated["Content", strawberry.lazy("schema.content")]]:
    from schema.content import contents_page

    return await contents_page(info.context, first, after, account=root.row.id)


def _birth_year(born_on: str | None) -> int | None:
    return int(born_on[:4]) if born_on else None


@strawberry.type(description="An account, by a pseudonym of ours.")
class Account(Node):
    """Hold an account."""

    row: strawberry.Private[AccountRow]
    id: strawberry.ID = governed(CONCERNED, row=Listed("ids"))
    product: str = governed(CONCERNED, row=Column("product"))
    kind: AccountKind = governed(CONCERNED, row=Word("kind", AccountKind))
    status: AccountStatus = governed(CONCERNED, row=Word("status", AccountStatus))
    adult: TriState = governed(
        CONCERNED,
        row=Made(lambda adult: tri_state[adult].value, ("adult",)),
        description="By every birth date known of the person.",
    )
    region: Region | None = governed(CONCERNED, row=Column("country"))
    birth_year: int | None = governed((Role.PRIVACY_OFFICER, Role.DATA_SUBJECT), row=Made(_birth_year, ("born_on",)))
    consent: Consent = governed(CONCERNED, resolver=_consent)
    contents: Connection[Annotated["Content", strawberry.lazy("schema.content")]] = governed(
        CONCERNED, resolver=_contents
    )


class AccountPage(KeysetPage):
    """Hold a page of accounts."""

    columns = {name: position for position, name in enumerate(AccountRow._fields)}  # noqa: RUF012 - never changed
    prepared = "Account"


def account_of(context: Context, row: AccountRow) -> Account:
    """Show an account to its audience."""
    return Account(
        row=row,
        id=strawberry.ID(context.ids.write(Kind.ACCOUNT, row.id)),
        product=row.product,
        kind=AccountKind(row.kind),
        status=AccountStatus(row.status),
        adult=tri_state[row.adult],
        region=Region(row.country) if row.country else None,
        birth_year=_birth_year(row.born_on),
    )


async def accounts_page(context: Context, first: int, after: str | None) -> Connection[Account]:
    """Read a page of accounts: all of them for examiners, a data subject's own for that person."""
    rows, has_next = await page_of_accounts(
        context.reader,
        read_cursor(context.ids, Kind.ACCOUNT_CURSOR, after),
        checked_first(first, MOST_ROWS),
        owner=context.owner,
    )
    page = AccountPage(context.ids, Kind.ACCOUNT, Kind.ACCOUNT_CURSOR, rows, partial(account_of, context))
    return page_of(page, after=after, has_next=has_next)
