"""Deliver a page to a training client: one statement reads it and writes its receipt."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from itertools import count, product

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


# Those that have the most values come first: to walk one of theirs is short.
_COLUMNS = {
    "languages": ("language", "text"),
    "months": ("created_month", "date"),
    "products": ("product", "text"),
    "kinds": ("kind", "text"),
    "grounds": ("ground", "text"),
}
MOST_WALKS = 24  # each takes 0.3 ms to begin

Narrowed = tuple[tuple[str, ...], ...]
"""The clauses that narrow a page, each with a place for its value: of each column the alternatives."""


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


def narrowing(narrowed: Filter) -> tuple[Narrowed, list[object]]:
    """Write clauses for each column that a filter names, and the values for their places, in order.

    One value is compared by `=`: then its index is in the order of pages. Of several, each is an alternative of its
    own, so that a value that nothing has costs a look-up and not a walk along all items; above four they are filled up
    to a multiple of four, so that there are few statements. A column that would make more than MOST_WALKS combinations
    is compared.
    """
    clauses: list[tuple[str, ...]] = []
    values: list[object] = []
    walks = 1
    for name, (column, kind) in _COLUMNS.items():
        wanted = getattr(narrowed, name)
        if wanted is None:
            continue
        alternatives = len(wanted) if len(wanted) <= 4 else -len(wanted) // 4 * -4
        if wanted and column != "ground" and walks * alternatives <= MOST_WALKS:
            walks *= alternatives
            clauses.append((f"{column} = ${{}}::{kind}",) * alternatives)
            values += [*wanted, *[None] * (alternatives - len(wanted))]
        else:
            clauses.append((f"{column} = ANY (${{}}::{kind}[])",))
            values.append(wanted)
    if narrowed.item is not None:
        clauses.append(("id = ${}::bigint",))
        values.append(narrowed.item)
    return tuple(clauses), values


@lru_cache(maxsize=512)
def page_statement(used: Narrowed) -> str:
    """Write the page statement: $1 client, $2 purpose, $3 after, $4 first, then the values of the clauses.

    Each combination of alternatives is a walk along an index in the order of pages; they are merged as they come.
    """
    columns = page_columns()
    listed = ", ".join(columns)
    places = count(5)
    placed = [[clause.format(next(places)) for clause in alternatives] for alternatives in used]
    walks = "\n        UNION ALL ".join(
        f"(SELECT {listed} FROM grounds.trainable_content\n"
        f"         WHERE {' AND '.join(('id > $3', 'claim.client IS NOT NULL', 'claim.purpose IS NOT NULL', *walk))}\n"
        "         ORDER BY id LIMIT $4::int + 1)"  # in order, or PostgreSQL would sort what it could merge
        for walk in product(*placed)
    )
    return f"""
WITH page AS MATERIALIZED (
    SELECT p.*
    FROM (SELECT set_config('grounds.client', $1, TRUE) AS client, set_config('grounds.purpose', $2, TRUE) AS purpose
          OFFSET 0) claim -- gone with the transaction
    CROSS JOIN LATERAL (
        SELECT {listed} FROM ({walks}) walk
        ORDER BY id LIMIT $4::int + 1) p
)
(SELECT p.*, NULL::bigint AS receipt, NULL::timestamptz AS decided_at, NULL::text AS policy, NULL::boolean AS has_next
 FROM page p LIMIT $4::int)
UNION ALL
SELECT {", ".join("NULL" for _ in columns)}, r.receipt, r.decided_at, r.policy, cardinality(x.items) > $4::int
FROM (SELECT array_agg(id) AS items FROM page) x CROSS JOIN LATERAL grounds.write_receipt(x.items[:$4::int]) r
"""
