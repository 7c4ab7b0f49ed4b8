"""Find accounts, objections, clients and holds for officers and auditors, by their ids, names and contacts."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from db.connection import Reader

MAX_RESULTS: Final = 20
"""The maximum number of results of each kind."""


class FoundAccount(NamedTuple):
    """An account that a search found: by a person's id if `by_person`, else by its own id or by a contact."""

    id: int
    product: str
    by_person: bool


class FoundObjection(NamedTuple):
    """An objection that a search found by its reference, or by what it names."""

    id: int
    reference: str


class FoundHold(NamedTuple):
    """A hold that a search found by what it covers, or by its authority."""

    id: int
    scope: str
    value: str | None
    authority: str


async def search_accounts(
    reader: Reader, platform_id: str, person: str | None, contacts: Sequence[str]
) -> list[FoundAccount]:
    """Find in the database the accounts with an id, of a person, or with one of these hashes of a contact."""
    rows = await reader.fetch(_ACCOUNTS, platform_id, person, contacts, MAX_RESULTS)
    reader.people.accounts.update(row["id"] for row in rows)
    return [FoundAccount(*row) for row in rows]


async def search_objections(
    reader: Reader, reference: str, named: str | None, contacts: Sequence[str]
) -> list[FoundObjection]:
    """Find in the database the objections with a reference, or that name an account, a person or a contact."""
    rows = await reader.fetch(_OBJECTIONS, reference, named, contacts, MAX_RESULTS)
    reader.people.objections.update(row["id"] for row in rows)
    return [FoundObjection(*row) for row in rows]


async def search_clients(reader: Reader, text: str) -> list[str]:
    """Find in the database the training clients whose name begins with a text, in upper or lower case."""
    found = await reader.fetch(
        "SELECT name FROM grounds.client WHERE starts_with(lower(name), lower($1)) ORDER BY name LIMIT $2",
        *(text, MAX_RESULTS),
    )
    return [row["name"] for row in found]


async def search_holds(reader: Reader, text: str) -> list[FoundHold]:
    """Find in the database the holds of a country or a product, and those of an authority; not those of accounts."""
    return [FoundHold(*row) for row in await reader.fetch(_HOLDS, text, MAX_RESULTS)]


async def same_person(reader: Reader, account: int) -> list[int]:
    """Read from the database the accounts of the person of an account, the account itself included."""
    return [row["id"] for row in await reader.fetch("SELECT id FROM grounds.same_person($1) id ORDER BY 1", account)]


_ACCOUNTS = """
SELECT a.id, a.product, NOT (f.direct) AS by_person
FROM (
    SELECT id, bool_or(direct) AS direct FROM (
        SELECT a.id, TRUE AS direct FROM grounds.account a WHERE a.platform_id = $1
        UNION ALL SELECT a.id, TRUE FROM grounds.account a WHERE a.own_contact = ANY ($3::text[])
        UNION ALL SELECT c.account, TRUE FROM grounds.account_contact c WHERE c.contact = ANY ($3::text[])
        UNION ALL SELECT p.account, FALSE FROM grounds.account_person p WHERE p.person = $2) named
    GROUP BY id ORDER BY id LIMIT $4) f
JOIN grounds.account a ON a.id = f.id WHERE a.is_known ORDER BY a.id"""
_OBJECTIONS = """
SELECT o.id, o.platform_id FROM grounds.objection_in_force o
WHERE o.id IN (
    SELECT b.id FROM grounds.objection b WHERE b.platform_id = $1
    UNION SELECT t.objection FROM grounds.objection_target t
    WHERE t.kind IN ('ACCOUNT', 'PERSON') AND t.value = $2 OR t.kind = 'CONTACT' AND t.value = ANY ($3::text[]))
ORDER BY o.id LIMIT $4"""
_HOLDS = """
SELECT h.id, h.scope, h.value, h.authority FROM grounds.hold h
WHERE h.scope <> 'ACCOUNT' AND (lower(h.value) = lower($1) OR starts_with(lower(h.authority), lower($1)))
ORDER BY h.id DESC LIMIT $2"""
