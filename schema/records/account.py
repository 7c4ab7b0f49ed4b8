"""An account, for officers, auditors and its owner."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

import strawberry

from db.oversight.search import same_person
from db.records.account import AccountRow, page_of_accounts
from schema.context import Context, Info
from schema.enums import AccountKind, AccountStatus, Region, Role
from schema.execution.row_compiler import Column, Computed, EnumColumn, FromList
from schema.governed import EXAMINERS, EXAMINERS_AND_OWNER, governed
from schema.oversight.staff_reads import StaffRead, staff_reads_about
from schema.records.consent import MAX_PAGE_SIZE, Consent, consent_of
from schema.records.eligibility import TriState, tri_state
from schema.records.signals import RightsSignal, signals_of
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

if TYPE_CHECKING:
    from schema.records.content import Content


async def _resolve_consent_of_account(root: "Account", info: Info) -> Consent:
    """Resolve `Account.consent`: the account's position under the policy."""
    policy = await info.context.gateway.policy(root.row.policy)
    return consent_of(root.row, policy)


async def _resolve_contents_of_account(
    root: "Account",
    info: Info,
    first: First,
    after: After = None,
) -> Connection[Annotated["Content", strawberry.lazy("schema.records.content")]]:
    """Resolve `Account.contents`: a page of the account's items."""
    from schema.records.content import contents_page

    return await contents_page(info.context, first, after, account=root.row.id)


async def _resolve_staff_reads(root: "Account", info: Info, first: First, after: After = None) -> Connection[StaffRead]:
    """Resolve `Account.staffReads`: a page of the reads of the account by officers and auditors."""
    return await staff_reads_about(info.context, first, after, root.row.id)


async def _resolve_same_person(root: "Account", info: Info) -> list["Account"]:
    """Resolve `Account.samePerson`: the accounts of the person, the account itself included."""
    context = info.context
    rows = await context.accounts.load_many(await same_person(context.reader, root.row.id))
    return [account_of(context, row) for row in rows if row]


async def _resolve_signals_of_account(root: "Account") -> list[RightsSignal]:
    """Resolve `Account.signals`: what signals about the account state of training."""
    return signals_of(root.row.signals)


def _birth_year(born_on: str | None) -> int | None:
    """Return the birth year that `Account` shows of a stated birthday."""
    return int(born_on[:4]) if born_on else None


@strawberry.type(description="An account of the platform, identified by a pseudonym.")
class Account(Node):
    row: strawberry.Private[AccountRow]
    id: strawberry.ID = governed(EXAMINERS_AND_OWNER, row=FromList("ids"), description="The id of the account.")
    product: str = governed(
        EXAMINERS_AND_OWNER,
        row=Column("product"),
        description=("The product to which the account belongs, such as an app or a site of the platform."),
    )
    kind: AccountKind = governed(
        EXAMINERS_AND_OWNER, row=EnumColumn("kind", AccountKind), description="The kind of the account."
    )
    status: AccountStatus = governed(
        EXAMINERS_AND_OWNER,
        row=EnumColumn("status", AccountStatus),
        description="The status of the account on the platform.",
    )
    adult: TriState = governed(
        EXAMINERS_AND_OWNER,
        row=Computed(lambda adult: tri_state[adult].value, ("adult",)),
        description="Whether the person is an adult according to every known birth date of the person.",
    )
    region: Region | None = governed(
        EXAMINERS_AND_OWNER, row=Column("country"), description="The person's country, null if unknown."
    )
    birth_year: int | None = governed(
        (Role.PRIVACY_OFFICER, Role.DATA_SUBJECT),
        row=Computed(_birth_year, ("born_on",)),
        description="The person's year of birth, null if unknown.",
    )
    consent: Consent = governed(
        EXAMINERS_AND_OWNER,
        resolver=_resolve_consent_of_account,
        description="Whether the account has received a notice, objected or given consent.",
    )
    signals: list[RightsSignal] = governed(
        EXAMINERS_AND_OWNER,
        resolver=_resolve_signals_of_account,
        description="The signals about training that apply to every item of the account.",
    )
    same_person: list["Account"] = governed(
        EXAMINERS,
        resolver=_resolve_same_person,
        description="The accounts of the same person, at most 100; the account itself is one of them.",
    )
    staff_reads: Connection[StaffRead] = governed(
        EXAMINERS,
        resolver=_resolve_staff_reads,
        description="The reads of the account's data by officers and auditors, newest first.",
    )
    contents: Connection[Annotated["Content", strawberry.lazy("schema.records.content")]] = governed(
        EXAMINERS_AND_OWNER,
        resolver=_resolve_contents_of_account,
        description="The items of the account, permitted or not.",
    )


class AccountPage(KeysetPage):
    """A page of accounts."""

    columns = {name: position for position, name in enumerate(AccountRow._fields)}  # noqa: RUF012 - never changed
    prepared = "Account"


def account_of(context: Context, row: AccountRow) -> Account:
    """Show an account's record to its audience as a GraphQL object."""
    return Account(
        row=row,
        id=strawberry.ID(context.ids.encode(IdKind.ACCOUNT, row.id)),
        product=row.product,
        kind=AccountKind(row.kind),
        status=AccountStatus(row.status),
        adult=tri_state[row.adult],
        region=Region(row.country) if row.country else None,
        birth_year=_birth_year(row.born_on),
    )


async def accounts_page(context: Context, first: int, after: str | None) -> Connection[Account]:
    """Resolve a page of account records: all of them for examiners, a data subject's own for that person."""
    rows, has_next = await page_of_accounts(
        context.reader,
        read_cursor(context.ids, IdKind.ACCOUNT_CURSOR, after),
        check_page_size(first, MAX_PAGE_SIZE),
        owner=context.owner,
    )
    page = AccountPage(context.ids, IdKind.ACCOUNT, IdKind.ACCOUNT_CURSOR, rows, partial(account_of, context))
    return connection_of_rows(page, after=after, has_next=has_next)
