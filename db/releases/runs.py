"""Training runs: what clients state of the models that they trained, and on which deliveries."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from db.connection import Pool, Reader, write_transaction


class UsedVersion(NamedTuple):
    """A release that a training run used, by its id, and the version; None for the version that it has now."""

    release: int
    version: tuple[int, int] | None


class RunRow(NamedTuple):
    """A training run as its client stated it; of each release the name, the version used, and if a later one exists."""

    id: int
    client: int
    model: str
    purpose: str
    started_at: datetime
    recorded_at: datetime
    releases: list[int]
    names: list[str]
    versions: list[str]
    superseded: list[bool]
    receipt_intervals: int


class ItemRunRow(NamedTuple):
    """A training run that used an item, as its client states."""

    item: int
    client: str
    purpose: str
    model: str
    started_at: datetime
    release: str | None
    version: str | None


async def record_run(
    pool: Pool,
    client: int,
    model: str,
    purpose: str,
    started_at: datetime,
    releases: Sequence[UsedVersion],
    receipts: Sequence[tuple[int, int]],
) -> int | None:
    """Store a client's statement about a training run in the database.

    Returns None where a release or a receipt is not the client's for the purpose, or a version was not delivered.
    """
    async with write_transaction(pool, client=str(client)) as borrowed:
        recorded: int | None = await borrowed.fetchval(
            "SELECT grounds.record_run($1, $2, $3, $4, $5, $6, $7, $8)",
            *(model, purpose, started_at, [used.release for used in releases]),
            *([used.version and used.version[part] for used in releases] for part in (0, 1)),
            *([first for first, _ in receipts], [last for _, last in receipts]),
        )
        return recorded


async def page_of_runs(reader: Reader, after: int, first: int, run: int | None = None) -> tuple[list[RunRow], bool]:
    """Read a page of the training runs that the reader may see, as they were recorded, and whether there are more."""
    rows = await reader.fetch(_RUNS, run, after, first + 1)
    return [RunRow(*row) for row in rows[:first]], len(rows) > first


async def runs_of_items(reader: Reader, items: Sequence[int]) -> dict[tuple[int, str, str], list[ItemRunRow]]:
    """Read which training runs used some items, by the item, the client and the purpose."""
    found: defaultdict[tuple[int, str, str], list[ItemRunRow]] = defaultdict(list)
    for values in await reader.fetch("SELECT * FROM grounds.runs_of_items($1::bigint[])", items):
        row = ItemRunRow(*values)
        found[row.item, row.client, row.purpose].append(row)
    return dict(found)


_RUNS = """
SELECT t.id, t.client, t.model, t.purpose, t.started_at, t.recorded_at, r.ids, r.names, r.versions, r.superseded,
    i.intervals
FROM grounds.training_run t
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(r.id ORDER BY r.id), '{}') AS ids,
        coalesce(array_agg(r.name ORDER BY r.id), '{}') AS names,
        coalesce(array_agg(n.major || '.' || n.minor || '.0' ORDER BY r.id), '{}') AS versions,
        coalesce(array_agg((r.major, r.minor) > (n.major, n.minor) ORDER BY r.id), '{}') AS superseded
    FROM grounds.training_run_input n JOIN grounds.release r ON r.id = n.release WHERE n.run = t.id) r
CROSS JOIN LATERAL (
    SELECT count(*) AS intervals FROM grounds.training_run_input n WHERE n.run = t.id AND n.release IS NULL) i
WHERE ($1::bigint IS NULL OR t.id = $1) AND t.id > $2::bigint ORDER BY t.id LIMIT $3::int
"""
