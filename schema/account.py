"""An account as those see it who examine, and the person whose it is."""

from typing import TYPE_CHECKING, Annotated

import strawberry

from db.account import AccountRow, page_of_accounts
from schema.connection import Connection, checked_first, page_of, read_cursor
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


@strawberry.type(description="An account, by a pseudonym of ours.")
class Account(Node):
    """Hold an account."""

    row: strawberry.Private[AccountRow]
    id: strawberry.ID = governed(CONCERNED)
    product: str = governed(CONCERNED)
    kind: AccountKind = governed(CONCERNED)
    status: AccountStatus = governed(CONCERNED)
    adult: TriState = governed(CONCERNED, description="By every birth date known of the person.")
    region: Region | None = governed(CONCERNED)
    birth_year: int | None = governed((Role.PRIVACY_OFFICER, Role.DATA_SUBJECT))
    consent: Consent = governed(CONCERNED, resolver=_consent)
    contents: Connection[Annotated["Content", strawberry.lazy("schema.content")]] = governed(
        CONCERNED, resolver=_contents
    )


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
        birth_year=int(row.born_on[:4]) if row.born_on else None,
    )


async def accounts_page(context: Context, first: int, after: str | None) -> Connection[Account]:
    """Read a page of accounts: all of them for examiners, a data subject's own for that person."""
    rows, has_next = await page_of_accounts(
        context.reader,
        read_cursor(context.ids, Kind.ACCOUNT_CURSOR, after),
        checked_first(first, MOST_ROWS),
        owner=context.owner,
    )
    accounts = [account_of(context, row) for row in rows]
    return page_of(accounts, [row.id for row in rows], context.ids, Kind.ACCOUNT_CURSOR, after=after, has_next=has_next)
