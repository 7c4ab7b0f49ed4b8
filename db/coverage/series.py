"""The counts of coverage day by day: exact from the snapshots, or as they were published."""

import json
from datetime import date
from typing import NamedTuple

from db.connection import Pool, Reader, connection
from db.coverage.publication import CountRow


class DayCounts(NamedTuple):
    """The counts of all items of one day, with the policy that decided and the codes of its conditions."""

    day: date
    policy: str
    conditions: list[str]
    counts: CountRow


async def exact_series(reader: Reader, first: date, last: date, purpose: str | None) -> list[DayCounts]:
    """Read from the database the exact counts of each day with a snapshot, the earliest first."""
    rows = await reader.fetch(_EXACT, first, last, purpose)
    return [DayCounts(row["day"], row["policy"], [], CountRow((), *row["counts"])) for row in rows]


async def published_series(pool: Pool, first: date, last: date, purpose: str | None) -> list[DayCounts]:
    """Read from the database the counts of each publication in an interval of days, the earliest first."""
    async with connection(pool) as borrowed:
        rows = await borrowed.fetch(_PUBLISHED, first, last, purpose)
    found = ((row, json.loads(row["total"] or "[]")) for row in rows)
    return [
        DayCounts(row["day"], row["policy"], row["conditions"], CountRow(tuple(key), *counts))
        for row, total in found
        for key, *counts in total
    ]


_EXACT = """
SELECT s.day, s.policy, c.counts[1:4]::bigint[] AS counts
FROM grounds.coverage_snapshot s
JOIN grounds.coverage_cell c ON c.day = s.day AND c.shape = 0 AND c.purpose = coalesce($3, s.purposes[1])
WHERE s.taken_at IS NOT NULL AND s.day BETWEEN $1 AND $2 ORDER BY s.day"""
_PUBLISHED = """
SELECT p.day, p.policy, p.conditions, p.tables -> coalesce($3, p.purposes[1]) ->> '' AS total
FROM grounds.coverage_published p
WHERE p.day BETWEEN $1 AND $2 ORDER BY p.day"""
