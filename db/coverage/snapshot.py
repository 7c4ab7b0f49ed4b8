"""The daily snapshot of coverage: all items, the permitted items per purpose, and the conditions that exclude items."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Any, NamedTuple

from db.connection import Connection, Pool, Reader, fetch_rows
from db.coverage.measurement import KINDS, MEASURED_PAIRS, OPEN_DIMENSIONS, CountedCoverage, CountedTotal, Key, Layers
from db.coverage.noise import MAX_ITEMS_BELOW, MAX_ITEMS_IN_TABLES, MAX_ITEMS_IN_TOTAL
from db.coverage.publication import CountRow, protect_counts
from db.policy.conditions import CONDITIONS
from db.policy.grounds import GroundCode

ITEMS_PER_STEP = 20_000
ITEM = 1_000_000
"""The unit in which items are counted for publication. If a person has many items, each of these items counts for less
than one unit."""
CONDITION_CODES = [condition.code for condition in CONDITIONS]
CODES_OF_OTHERS = [condition.code for condition in CONDITIONS if condition.of_author is not None]
"""The conditions that an item can fail only because of other persons' data."""
FULL_DETAIL_DAYS = 35
"""The number of days for which the database keeps counts by all dimensions; see db/sql/coverage.sql."""


class Dimension(StrEnum):
    """The dimensions that items are counted by, in the order of the bits of a table's shape."""

    KIND = "KIND"
    PRODUCT = "PRODUCT"
    COUNTRY = "COUNTRY"
    LANGUAGE = "LANGUAGE"
    MONTH = "MONTH"
    GROUND = "GROUND"


Filters = Mapping[Dimension, Sequence[str]]


class CoverageSnapshot(NamedTuple):
    """A snapshot, the purposes of its policy, and the purpose of the query (by default, the first)."""

    day: date
    taken_at: datetime
    policy: str
    conditions: list[str]
    purposes: list[str]
    purpose: str


async def take_coverage(worker: Connection) -> int:
    """Count the next piece of today's coverage snapshot, and commit it; return 0 when none is left."""
    state: str = await worker.fetchval(
        "SELECT grounds.count_coverage($1, $2, $3, $4, $5)",
        *(CONDITION_CODES, ITEMS_PER_STEP, MAX_ITEMS_IN_TOTAL, MAX_ITEMS_IN_TABLES, CODES_OF_OTHERS),
    )
    if state == "COUNTED":
        counted = await worker.fetchval("SELECT grounds.counted_coverage($1)", MAX_ITEMS_BELOW)
        tables = None if counted is None else await asyncio.to_thread(_publish_tables, counted)
        await worker.execute("SELECT grounds.publish_coverage($1)", tables)
    return 0 if state == "NOTHING" else 1


async def exact_snapshot(reader: Reader, day: date | None, purpose: str | None) -> CoverageSnapshot | None:
    """Read the coverage snapshot of a day, or the newest one."""
    rows = await reader.fetch(
        "SELECT day, taken_at, policy, conditions, purposes, coalesce($2, purposes[1])"
        " FROM grounds.coverage_snapshot"
        " WHERE taken_at IS NOT NULL AND day = coalesce($1, day) ORDER BY day DESC LIMIT 1",
        *(day, purpose),
    )
    return CoverageSnapshot(*rows[0]) if rows else None


async def exact_rows(
    reader: Reader, snapshot: CoverageSnapshot, by: Sequence[Dimension], filters: Filters
) -> list[CountRow] | None:
    """Read coverage by some dimensions; None if the snapshot is too old for these dimensions."""
    asked = {*by, *filters}
    shape = sum(1 << place for place, dimension in enumerate(Dimension) if dimension in asked or len(asked) > 2)
    if len(asked) > 2 and await reader.fetchval(_HAS_FULL_DETAIL, snapshot.day, snapshot.purpose) is None:
        return None
    columns = [dimension.lower() for dimension in by]
    places = 4 + 3 * len(snapshot.conditions)
    sums = ", ".join(f"sum(counts[{place}])::bigint" for place in range(1, places + 1))
    given = list(filters.items())
    chosen = "".join(
        f" AND {dimension.lower()} = ANY (${number}::text[])" for number, (dimension, _) in enumerate(given, 4)
    )
    rows = await reader.fetch(
        f"SELECT ARRAY[{', '.join(columns)}]::text[] AS key, ARRAY[{sums}] AS counts FROM grounds.coverage_cell"
        f" WHERE day = $1 AND purpose = $2 AND shape = $3{chosen} GROUP BY {', '.join(columns) or '()'} ORDER BY 1",
        *(snapshot.day, snapshot.purpose, shape),
        *(list(values) for _, values in given),
    )
    return [_exact_row(row["key"], row["counts"], len(snapshot.conditions)) for row in rows]


async def exact_dialects(reader: Reader, snapshot: CoverageSnapshot) -> list[CountRow]:
    """Read coverage by whole language tags, in lower case."""
    rows = await reader.fetch(_DIALECTS, snapshot.day, snapshot.purpose)
    return [_exact_row([row["language"]], row["counts"], len(snapshot.conditions)) for row in rows]


async def published_coverage(
    pool: Pool, day: date | None, tables: Sequence[str], purpose: str | None
) -> tuple[CoverageSnapshot, list[list[CountRow]]] | None:
    """Read the coverage tables published on a day or last before it. A table is named by its dimensions.

    Of a purpose that is none of the publication's, every table is empty.
    """
    rows = await fetch_rows(pool, _PUBLISHED, day, tables, purpose)
    if not rows:
        return None
    (row,) = rows
    found = [[CountRow(tuple(key), *counts) for key, *counts in json.loads(each or "[]")] for each in row["tables"]]
    return CoverageSnapshot(*row[:6]), found


_PUBLISHED = """
SELECT p.day, p.taken_at, p.policy, p.conditions, p.purposes, k.purpose,
    ARRAY(SELECT of_purpose.tables ->> t FROM unnest($2::text[]) WITH ORDINALITY n (t, place) ORDER BY place) AS tables
FROM grounds.coverage_published p CROSS JOIN LATERAL (SELECT coalesce($3, p.purposes[1]) AS purpose) k
CROSS JOIN LATERAL (SELECT p.tables -> k.purpose AS tables OFFSET 0) of_purpose
WHERE p.day <= coalesce($1, p.day) ORDER BY p.day DESC LIMIT 1"""
_DIALECTS = (
    "SELECT language, counts FROM grounds.coverage_cell WHERE day = $1 AND purpose = $2 AND shape = 64 ORDER BY 1"
)
_HAS_FULL_DETAIL = "SELECT 1 FROM grounds.coverage_cell WHERE day = $1 AND purpose = $2 AND shape = 63 LIMIT 1"


def _exact_row(key: Sequence[str], counts: Sequence[int | None], conditions: int) -> CountRow:
    """Make a row of coverage from exact counts, with what is left after each condition."""
    found = [count or 0 for count in counts]
    items, permitted, delivered, retracted, *others = found
    failing, alone, first = (others[place * conditions : (place + 1) * conditions] for place in range(3))
    left = [items - sum(first[: place + 1]) for place in range(conditions)]
    return CountRow(tuple(key), items, permitted, delivered, retracted, failing, alone, left)


def _publish_tables(counted: str) -> str:
    """Protect the exact counts of a coverage snapshot, and return the tables to publish; both are JSON."""
    by_purpose: dict[str, Any] = json.loads(counted)
    return json.dumps(
        {purpose: protect_counts(_read_counted(each, len(by_purpose))) for purpose, each in by_purpose.items()}
    )


def _read_counted(counted: Mapping[str, Any], purposes: int) -> CountedCoverage:
    """Parse the exact counts of a coverage snapshot, from JSON."""
    tables: dict[Key, dict[Key, Layers]] = {
        table: {} for table in (("KIND",), *((name,) for name in OPEN_DIMENSIONS), *MEASURED_PAIRS)
    }
    for values, permitted, others in counted["cells"]:
        table = next(table for table in tables if set(table) == set(values))
        tables[table][tuple(values[name] for name in table)] = permitted / ITEM, others / ITEM
    total: dict[str, Any] = {
        name: [each / ITEM for each in count] if isinstance(count, list) else count / ITEM
        for name, count in counted["total"].items()
    }
    ground_of = {kind: ground for ground, covered in counted["grounds"].items() for kind in covered["kinds"]}
    before = counted["named"] or {}
    return CountedCoverage(
        CountedTotal(**total),
        tables,
        {kind: count / ITEM for kind, count in counted["below"].items()},
        {kind: ground_of.get(kind, GroundCode.PUBLIC_CONTENT) for kind in KINDS},
        {name: {key[0] for key, *_ in before[name]} for name in OPEN_DIMENSIONS if name in before},
        purposes,
    )
