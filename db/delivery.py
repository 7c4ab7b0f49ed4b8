"""Deliver a page to a training client: one statement reads it and writes its receipt."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache

import asyncpg

from db.policy.compile import page_columns
from db.session import Busy, Pool, Reader, connection


@dataclass(frozen=True, slots=True)
class Filter:
    """Narrow a page; None leaves a column as it is, an empty list nothing at all."""

    kinds: Sequence[str] | None = None
    products: Sequence[str] | None = None
    languages: Sequence[str] | None = None
    grounds: Sequence[str] | None = None
    months: Sequence[date] | None = None
    item: int | None = None


_COLUMNS = {
    "kinds": ("kind", "text"),
    "products": ("product", "text"),
    "languages": ("language", "text"),
    "grounds": ("ground", "text"),
    "months": ("created_month", "date"),
}


@dataclass(frozen=True, slots=True)
class Delivered:
    """Hold a page as it was decided: its rows in the order of `db.policy.compile.page_columns`, and its receipt.

    `receipt` is None where the page is empty: nothing was delivered.
    """

    rows: list[asyncpg.Record] = field(repr=False)
    receipt: int | None
    decided_at: datetime
    policy: str
    has_next: bool


async def register_client(pool: Pool, name: str) -> int:
    """Make a client known, or find it; give its number."""
    async with connection(pool) as borrowed:
        number: int = await borrowed.fetchval("SELECT grounds.register_client($1)", name)
        return number


async def client_names(reader: Reader) -> list[str]:
    """Name every client that ever asked."""
    return [row["name"] for row in await reader.fetch("SELECT name FROM grounds.client ORDER BY id")]


async def deliver(pool: Pool, client: int, purpose: str, after: int, first: int, narrowed: Filter) -> Delivered:
    """Read a page and write its receipt, in one statement and so in one snapshot and one commit.

    The receipt is the last row. asyncpg hands rows out when the statement has committed, so that nothing is served
    that was not logged; never read this with a cursor.
    """
    used, values = narrowing(narrowed)
    async with connection(pool) as borrowed:
        rows = await borrowed.fetch(page_statement(used), str(client), purpose, after, first, *values)
    last = rows.pop()
    if last["id"] is not None:
        raise RuntimeError("a page came without its receipt")
    if last["policy"] is None:  # the policy in force is over, and the next one is about to be put in force
        raise Busy
    return Delivered(rows, last["receipt"], last["decided_at"], last["policy"], bool(last["has_next"]))


def narrowing(narrowed: Filter) -> tuple[tuple[str, ...], list[object]]:
    """Write a clause for each column that a filter names, with a place for its value.

    One value is compared by `=`: then its index is in the order of pages. Of several the index of all items is, which
    has every column that a filter names.
    """
    clauses: list[str] = []
    values: list[object] = []
    for name, (column, kind) in _COLUMNS.items():
        wanted = getattr(narrowed, name)
        if wanted is not None:
            one = len(wanted) == 1
            clauses.append(f"{column} = ${{}}::{kind}" if one else f"{column} = ANY (${{}}::{kind}[])")
            values.append(wanted[0] if one else wanted)
    if narrowed.item is not None:
        clauses.append("id = ${}::bigint")
        values.append(narrowed.item)
    return tuple(clauses), values


@lru_cache(maxsize=512)
def page_statement(used: tuple[str, ...]) -> str:
    """Write the page statement: $1 client, $2 purpose, $3 after, $4 first, then the values of the clauses."""
    columns = page_columns()
    clauses = "".join(f" AND {clause.format(position)}" for position, clause in enumerate(used, start=5))
    return f"""
WITH page AS MATERIALIZED (
    SELECT p.*
    FROM (SELECT set_config('grounds.client', $1, TRUE) AS client, set_config('grounds.purpose', $2, TRUE) AS purpose
          OFFSET 0) claim -- gone with the transaction
    CROSS JOIN LATERAL (
        SELECT {", ".join(columns)} FROM grounds.trainable_content
        WHERE id > $3 AND claim.client IS NOT NULL AND claim.purpose IS NOT NULL{clauses}
        ORDER BY id LIMIT $4::int + 1) p
)
(SELECT p.*, NULL::bigint AS receipt, NULL::timestamptz AS decided_at, NULL::text AS policy, NULL::boolean AS has_next
 FROM page p LIMIT $4::int)
UNION ALL
SELECT {", ".join("NULL" for _ in columns)}, r.receipt, r.decided_at, r.policy, cardinality(x.items) > $4::int
FROM (SELECT array_agg(id) AS items FROM page) x CROSS JOIN LATERAL grounds.write_receipt(x.items[:$4::int]) r
"""
