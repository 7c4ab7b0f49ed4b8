"""Coverage: how many items there are, how many are permitted and what keeps the others out, from one snapshot a day."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple

from asyncpg import Record

from db.policy.conditions import CONDITIONS
from db.protection import JOINS, Published, Total, protect
from db.session import Connection, Pool, Reader, connection
from db.suppression import Layers, Pair

SLICE = 20_000
CODES = [condition.code for condition in CONDITIONS]
KEPT_IN_FULL = 35
"""For how many days items are kept by everything; see migration 0013."""


class Dimension(StrEnum):
    """Name what items are counted by, in the order of the bits of a table's shape."""

    KIND = "KIND"
    PRODUCT = "PRODUCT"
    COUNTRY = "COUNTRY"
    LANGUAGE = "LANGUAGE"
    MONTH = "MONTH"
    GROUND = "GROUND"


Filters = Mapping[Dimension, Sequence[str]]


class Snapshot(NamedTuple):
    """Say which snapshot was read."""

    day: date
    taken_at: datetime
    policy: str
    conditions: list[str]


class Row(NamedTuple):
    """Hold what is counted of the items that have some values; None is suppressed.

    Each condition has a place in `failing` (fails it), `alone` (fails it only) and `left` (passed it and all before);
    these are empty where nothing is published of them.
    """

    key: tuple[str, ...]
    items: int | None
    permitted: int | None
    delivered: int | None = None
    retracted: int | None = None
    failing: Sequence[int | None] = ()
    alone: Sequence[int | None] = ()
    left: Sequence[int | None] = ()


async def take_coverage(worker: Connection) -> int:
    """Do the next piece of today's snapshot; give 0 when nothing is left to do. Each piece commits by itself."""
    state: str = await worker.fetchval("SELECT grounds.count_coverage($1, $2)", CODES, SLICE)
    if state == "COUNTED":
        cells = await worker.fetch("SELECT * FROM grounds.counted_coverage()")
        tables = await asyncio.to_thread(lambda: json.dumps(_as_tables(_published(cells))))
        await worker.execute("SELECT grounds.publish_coverage($1)", tables)
    return 0 if state == "NOTHING" else 1


async def exact_snapshot(reader: Reader, day: date | None) -> Snapshot | None:
    """Find the snapshot of a day, or the newest one."""
    rows = await reader.fetch(
        "SELECT day, taken_at, policy, conditions FROM grounds.coverage_snapshot"
        " WHERE taken_at IS NOT NULL AND day = coalesce($1, day) ORDER BY day DESC LIMIT 1",
        day,
    )
    return Snapshot(*rows[0]) if rows else None


async def exact_rows(reader: Reader, snapshot: Snapshot, by: Sequence[Dimension], filters: Filters) -> list[Row] | None:
    """Count by some dimensions; None where the snapshot is too old to be counted by so many."""
    asked = {*by, *filters}
    shape = sum(1 << place for place, dimension in enumerate(Dimension) if dimension in asked or len(asked) > 2)
    if len(asked) > 2 and await reader.fetchval(_IN_FULL, snapshot.day) is None:
        return None
    columns = [dimension.lower() for dimension in by]
    places = 4 + 3 * len(snapshot.conditions)
    sums = ", ".join(f"sum(counts[{place}])::bigint" for place in range(1, places + 1))
    given = list(filters.items())
    chosen = "".join(
        f" AND {dimension.lower()} = ANY (${number}::text[])" for number, (dimension, _) in enumerate(given, 3)
    )
    rows = await reader.fetch(
        f"SELECT ARRAY[{', '.join(columns)}]::text[] AS key, ARRAY[{sums}] AS counts FROM grounds.coverage_cell"
        f" WHERE day = $1 AND shape = $2{chosen} GROUP BY {', '.join(columns) or '()'} ORDER BY 1",
        *(snapshot.day, shape),
        *(list(values) for _, values in given),
    )
    return [_exact(row["key"], row["counts"], len(snapshot.conditions)) for row in rows]


async def published_coverage(
    pool: Pool, day: date | None, tables: Sequence[str]
) -> tuple[Snapshot, list[list[Row]]] | None:
    """Read tables of what was published of a day, or of the newest one. A table is named by its dimensions."""
    async with connection(pool) as borrowed:
        row = await borrowed.fetchrow(
            "SELECT day, taken_at, policy, conditions, ARRAY(SELECT p.tables ->> t FROM unnest($2::text[])"
            " WITH ORDINALITY n (t, place) ORDER BY place) AS tables"
            " FROM grounds.coverage_published p WHERE day = coalesce($1, day) ORDER BY day DESC LIMIT 1",
            *(day, tables),
        )
    if row is None:
        return None
    found = [[Row(tuple(key), *counts) for key, *counts in json.loads(table)] for table in row["tables"]]
    return Snapshot(*row[:4]), found


_IN_FULL = "SELECT 1 FROM grounds.coverage_cell WHERE day = $1 AND shape = 63 LIMIT 1"


def _exact(key: Sequence[str], counts: Sequence[int | None], conditions: int) -> Row:
    found = [count or 0 for count in counts]
    items, permitted, delivered, retracted, *others = found
    failing, alone, first = (others[place * conditions : (place + 1) * conditions] for place in range(3))
    left = [items - sum(first[: place + 1]) for place in range(conditions)]
    return Row(tuple(key), items, permitted, delivered, retracted, failing, alone, left)


def _published(cells: Sequence[Record]) -> Published:
    """Protect the exact tables that were counted."""
    values: dict[str, dict[str, Layers]] = {dimension: {} for dimension in Dimension}
    pairs: dict[Pair, dict[Pair, Layers]] = {pair: {} for pair in (*JOINS, ("KIND", "GROUND"))}
    total = Total(0, 0, 0, 0)
    for cell in cells:
        key = {str(dimension): cell[dimension.lower()] for dimension in Dimension if cell[dimension.lower()]}
        counts: list[int] = cell["counts"]
        layers = (counts[1], counts[0] - counts[1])
        if not key:
            third = (len(counts) - 4) // 3
            failing, alone, first = (tuple(counts[at : at + third]) for at in range(4, len(counts), third))
            total = Total(counts[0], counts[1], counts[2], counts[3], failing, alone, first)
        elif len(key) == 1:
            ((dimension, value),) = key.items()
            values[dimension][str(value)] = layers
        else:
            for pair, table in pairs.items():
                if set(pair) == set(key):
                    table[str(key[pair[0]]), str(key[pair[1]])] = layers
    return protect(total, values, pairs)


def _as_tables(published: Published) -> dict[str, list[list[object]]]:
    """Write tables as they are kept: by the names of their dimensions, a row is its key and its counts."""
    total = published.total
    tables: dict[str, list[list[object]]] = {"": [[[], *total]]}
    for dimension, values in published.values.items():
        tables[dimension] = [[[value], *counts] for value, counts in values.items()]
    for pair, cells in published.pairs.items():
        tables[",".join(pair)] = [[list(key), *(counts or (None, None))] for key, counts in cells.items()]
    return tables
