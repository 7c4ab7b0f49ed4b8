"""Search for items, accounts, objections, clients and holds."""

from enum import StrEnum
from typing import Annotated, Final

import strawberry

from db.ingest.contacts import ContactError, read_contact
from db.oversight.search import (
    search_accounts,
    search_clients,
    search_holds,
    search_objections,
)
from schema.context import Context, Info
from schema.enums import Role, described_enum
from schema.errors import BadInput
from schema.governed import EXAMINERS, governed
from schema.records.content import find_any_content
from schema.relay.ids import IdKind

MAX_TEXT_BYTES: Final = 2048


@described_enum(
    "What a search found.",
    ITEM="An item.",
    ACCOUNT="An account.",
    OBJECTION="An objection.",
    CLIENT="A training client.",
    HOLD="A hold.",
)
class SearchResultKind(StrEnum):
    ITEM = "ITEM"
    ACCOUNT = "ACCOUNT"
    OBJECTION = "OBJECTION"
    CLIENT = "CLIENT"
    HOLD = "HOLD"


@strawberry.type(description="An object that a search found.")
class SearchResult:
    kind: SearchResultKind = governed(EXAMINERS, description="The kind of the object.")
    id: strawberry.ID = governed(
        EXAMINERS, description="The id of the object; the id of a training client is its name."
    )
    name: str = governed(
        EXAMINERS,
        description="A short description of the object, such as the reference of an objection or the scope of a hold.",
    )
    by_person: bool = governed(
        EXAMINERS,
        description="Whether an account was found only because the searched text is the id of the account's person.",
    )


async def resolve_search(
    info: Info,
    text: Annotated[
        str,
        strawberry.argument(
            description=(
                "An id of an item, account, person, objection or hold, a reference, the name of a client or an"
                " authority, a country, a product, or for officers an e-mail address, phone number or user name."
            )
        ),
    ],
) -> list[SearchResult]:
    """Resolve `search` for officers and auditors: what an id, a name or a contact stands for."""
    context, wanted = info.context, text.strip()
    if not wanted or not wanted.isprintable() or len(wanted.encode()) > MAX_TEXT_BYTES:
        raise BadInput(f"text: must have 1 to {MAX_TEXT_BYTES} bytes and be printable (enter an id, name or contact)")
    is_officer = context.actor.role is Role.PRIVACY_OFFICER
    contacts, platform_id = (_contact_hashes(wanted), wanted) if is_officer else ([], None)
    return [
        *await _found_items(context, wanted),
        *await _found_accounts(context, wanted, platform_id, contacts),
        *await _found_objections(context, wanted, platform_id, contacts),
        *await _found_clients(context, wanted),
        *await _found_holds(context, wanted),
    ]


def _contact_hashes(text: str) -> list[str]:
    """Return the hashes of a contact that `search` looks for; none if the text is no contact."""
    try:
        return list(read_contact(text).hashes)
    except ContactError:
        return []


async def _found_items(context: Context, text: str) -> list[SearchResult]:
    """Return the item that `search` finds by any of its ids."""
    row = await find_any_content(context, text)
    return [_result(context, SearchResultKind.ITEM, IdKind.CONTENT, row.id, row.kind)] if row else []


async def _found_accounts(context: Context, text: str, person: str | None, contacts: list[str]) -> list[SearchResult]:
    """Return the accounts that `search` finds by an id, a person's id or a contact."""
    found = await search_accounts(context.reader, text, person, contacts)
    number = context.ids.decode_as(IdKind.ACCOUNT, text)
    named = None if number is None else await context.accounts.load(number)
    direct = [] if named is None else [(named.id, named.product, False)]
    return [
        _result(context, SearchResultKind.ACCOUNT, IdKind.ACCOUNT, id, product, by_person=by_person)
        for id, product, by_person in [*direct, *found]
    ]


async def _found_objections(context: Context, text: str, named: str | None, contacts: list[str]) -> list[SearchResult]:
    """Return the objections that `search` finds by a reference, or by what they name."""
    return [
        _result(context, SearchResultKind.OBJECTION, IdKind.OBJECTION, id, reference)
        for id, reference in await search_objections(context.reader, text, named, contacts)
    ]


async def _found_clients(context: Context, text: str) -> list[SearchResult]:
    """Return the training clients that `search` finds by the beginning of their names."""
    return [
        SearchResult(kind=SearchResultKind.CLIENT, id=strawberry.ID(name), name=name, by_person=False)
        for name in await search_clients(context.reader, text)
    ]


async def _found_holds(context: Context, text: str) -> list[SearchResult]:
    """Return the holds that `search` finds by a country, a product or an authority."""
    return [
        _result(context, SearchResultKind.HOLD, IdKind.HOLD, row.id, " ".join(filter(None, (row.scope, row.value))))
        for row in await search_holds(context.reader, text)
    ]


def _result(
    context: Context, kind: SearchResultKind, id_kind: IdKind, number: int, name: str, *, by_person: bool = False
) -> SearchResult:
    """Make a result of `search`, with the id that the role sees."""
    id = strawberry.ID(context.ids.encode(id_kind, number))
    return SearchResult(kind=kind, id=id, name=name, by_person=by_person)
