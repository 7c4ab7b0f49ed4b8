"""Deliver items in the order in which they became available, so that a client can ask for what is new.

A page passes over what it may not show at this moment, such as a marked offer, and its cursor names these positions.
The next page looks at them again. A cursor names at most MAX_PASSED_OVER positions: a page ends before there would be
more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count

import asyncpg

from db.connection import DeliveryPaused, Pool, connection
from db.delivery.pages import ATTEMPTS, MAX_ID, Delivered, Filter, Narrowed, narrowing, numbered_clauses
from db.policy.compile import page_columns

MAX_PASSED_OVER = 64


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the order of availability: up to where a client has read, and the positions that it passed over."""

    position: int = 0
    passed_over: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class DeliveredAvailable:
    """A delivered page in the order of availability; each row has its position behind the columns of a page."""

    delivered: Delivered
    end: Place


async def deliver_available(
    pool: Pool, client: int, purpose: str, after: Place, first: int, narrowed: Filter
) -> DeliveredAvailable | None:
    """Read a page in the order of availability and write its receipt, as `deliver` does; None without offers."""
    used, values = narrowing(narrowed)
    statement = available_statement(used)
    for window, seconds in ATTEMPTS:
        up_to = MAX_ID if window is None else min(after.position + window, MAX_ID)
        places = (str(client), purpose, after.position, first, up_to, [*after.passed_over], *values)
        try:
            async with connection(pool) as borrowed:
                rows = await borrowed.fetch(statement, *places, timeout=seconds)
        except TimeoutError:
            continue
        return _with_place(rows)
    raise asyncpg.QueryCanceledError("reading a page in the order AVAILABILITY took too long")


def _with_place(rows: list[asyncpg.Record]) -> DeliveredAvailable | None:
    """Separate the receipt of a page in the order of availability from its rows."""
    last = rows.pop()
    if last["id"] is not None:
        raise RuntimeError("a page in the order of availability has no receipt")
    if last["policy"] is None:
        raise DeliveryPaused
    if last["position"] is None:
        return None
    delivered = Delivered(rows, last["receipt"], last["decided_at"], last["policy"], last["has_next"])
    return DeliveredAvailable(delivered, Place(last["position"], tuple(last["passed_over"])))


def place_of(row_position: int, after: Place, end: Place, later: Sequence[int]) -> Place:
    """Return the place behind one row of a page in the order of availability; `later` are the positions after it.

    A row that an earlier page had passed over lies before the place at which the page began.
    """
    if row_position > after.position:
        return Place(row_position, tuple(each for each in end.passed_over if each < row_position))
    waiting = {each for each in (*end.passed_over, *later) if each <= after.position}
    return Place(after.position, tuple(sorted(waiting)))


@lru_cache(maxsize=512)
def available_statement(used: Narrowed) -> str:
    """Write the SQL of a page in the order of availability: as for `page_statement`, and $6 what was passed over.

    The page is a beginning of what was found: as many rows as are asked for, and no more passed over than a cursor can
    name. The last row tells at which position the page ends, NULL without offers, and what it passed over. A page that
    comes no further has no next one: the client asks again later.
    """
    listed = ", ".join(page_columns())
    narrowed = [
        f"({' OR '.join(_passing(clause) for clause in alternatives)})"
        for alternatives in numbered_clauses(used, count(7))
    ]
    walk = (
        f"SELECT {listed}, position, is_clear FROM grounds.available_content"
        f" WHERE {' AND '.join(('claim.client IS NOT NULL', 'claim.purpose IS NOT NULL', *narrowed))}"
    )
    return f"""
WITH found AS MATERIALIZED (
    SELECT p.*
    FROM (SELECT set_config('grounds.client', $1, TRUE) AS client, set_config('grounds.purpose', $2, TRUE) AS purpose
          OFFSET 0) claim -- gone with the transaction
    CROSS JOIN LATERAL (
        (SELECT * FROM ({walk}) w WHERE w.position = ANY ($6::bigint[]) AND w.position <= $3 ORDER BY w.position)
        UNION ALL
        (SELECT * FROM ({walk}) w WHERE w.position > $3 AND w.position <= $5 ORDER BY w.position
         LIMIT $4::int + 1)) p
), {_PAGE_OF_FOUND}
(SELECT {listed}, c.position, NULL::bigint AS receipt, NULL::timestamptz AS decided_at, NULL::text AS policy,
     NULL::boolean AS has_next, NULL::bigint[] AS passed_over
 FROM counted c WHERE is_within AND is_clear AND (SELECT w.policy FROM written w) IS NOT NULL ORDER BY c.position)
UNION ALL
SELECT {", ".join("NULL" for _ in page_columns())}, w.position, w.receipt, w.decided_at, w.policy, w.has_next,
    coalesce(w.passed_over, '{{}}')
FROM written w
"""


_PAGE_OF_FOUND = f"""counted AS MATERIALIZED (
    SELECT f.*, count(*) FILTER (WHERE is_clear) OVER so_far <= $4::int
        AND count(*) FILTER (WHERE NOT is_clear) OVER so_far <= {MAX_PASSED_OVER} AS is_within
    FROM found f WINDOW so_far AS (ORDER BY f.position)
), page AS MATERIALIZED (
    SELECT array_agg(id ORDER BY id) FILTER (WHERE is_within AND is_clear) AS items,
        array_agg(position ORDER BY position) FILTER (
            WHERE CASE WHEN is_within THEN NOT is_clear ELSE position <= $3 END) AS passed_over,
        max(position) FILTER (WHERE is_within) AS last,
        coalesce(bool_or(NOT is_within), FALSE) OR count(*) FILTER (WHERE position > $3) > $4::int AS is_cut,
        (SELECT grounds.available_up_to()) AS up_to
    FROM counted
), written AS MATERIALIZED (
    SELECT r.receipt, r.decided_at, r.policy, p.passed_over,
        (p.is_cut OR $5 < p.up_to) AND (e.position > $3 OR p.items IS NOT NULL) AS has_next,
        CASE WHEN p.up_to IS NOT NULL THEN e.position END AS position
    FROM page p CROSS JOIN LATERAL (
        SELECT greatest($3, CASE WHEN p.is_cut THEN p.last ELSE least($5, p.up_to) END) AS position) e
    CROSS JOIN LATERAL grounds.write_receipt(p.items) r
)"""


def _passing(clause: str) -> str:
    """Let a clause about a column that the order of availability hides pass every row that a page may not show now."""
    return f"({clause} OR NOT is_clear)" if "media" in clause or "language" in clause else f"({clause})"
