"""Retractions: what a client was told of what it holds, and what it acknowledged."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from db.session import Connection, Database, Pool, Reader, connection, writing


class RetractionRow(NamedTuple):
    """Hold a retraction as its client sees it."""

    id: int
    item: int
    kind: str
    urgent: bool
    retracted_at: datetime
    due_by: datetime | None


class IncidentRow(NamedTuple):
    """Hold what was delivered after an objection to it had been received, as officers see it."""

    id: int
    client: str
    content: int
    delivered_at: datetime
    retracted_at: datetime
    due_by: datetime
    acknowledged: bool


async def retract_due(worker: Connection) -> int:
    """Write the retractions that follow from what changed; give how many changes were looked at."""
    looked_at: int = await worker.fetchval("SELECT grounds.retract_due()")
    return looked_at


async def purge_texts(worker: Connection) -> int:
    """Remove the text of what was deleted, or retracted for good, six days ago; give of how many items."""
    purged: int = await worker.fetchval("SELECT grounds.purge_texts(1000)")
    return purged


async def page_of_retractions(reader: Reader, after: int, first: int) -> tuple[list[RetractionRow], bool]:
    """Read a page of a client's feed, in the order it was written, and whether there is more."""
    rows = await reader.fetch(
        "SELECT id, item, kind, urgent, retracted_at, nullif(due_by, 'infinity') AS due_by FROM grounds.retraction"
        " WHERE client = (SELECT grounds.claimed_client()) AND id > $1 ORDER BY id LIMIT $2::int + 1",
        *(after, first),
    )
    return [RetractionRow(*row) for row in rows[:first]], len(rows) > first


async def acknowledge_retractions(pool: Pool, client: int, up_to: int) -> int:
    """Acknowledge every retraction up to one; give how many are left."""
    async with writing(pool, client=str(client)) as borrowed:
        left: int = await borrowed.fetchval("SELECT grounds.acknowledge_retractions($1)", up_to)
        return left


async def withheld(database: Database, client: int) -> str | None:
    """Tell why a client receives nothing: SUSPENDED by an officer, OVERDUE with acknowledging, or None."""
    why: str | None = await database.client(client).fetchval("SELECT grounds.withheld()")
    return why


async def permitted_of(pool: Pool, client: int, purpose: str, items: Sequence[int]) -> set[int]:
    """Find which of some items are permitted for a client now. Nothing is delivered, and no receipt written."""
    async with connection(pool) as borrowed:
        rows = await borrowed.fetch(_PERMITTED, str(client), purpose, items)
        return {row["id"] for row in rows}


async def page_of_incidents(reader: Reader, after: int, first: int) -> tuple[list[IncidentRow], bool]:
    """Read a page of incidents, in the order they were found, and whether there is more."""
    rows = await reader.fetch(
        "SELECT r.id, k.name, r.item, d.decided_at, r.retracted_at, r.due_by, r.id <= k.acknowledged"
        " FROM grounds.retraction r JOIN grounds.client k ON k.id = r.client"
        " JOIN grounds.delivery d ON d.id = r.delivery WHERE r.urgent AND r.id > $1 ORDER BY r.id LIMIT $2::int + 1",
        *(after, first),
    )
    return [IncidentRow(*row) for row in rows[:first]], len(rows) > first


_PERMITTED = """
SELECT p.id
FROM (SELECT set_config('grounds.client', $1, TRUE) AS client, set_config('grounds.purpose', $2, TRUE) AS purpose
      OFFSET 0) claim -- gone with the transaction
CROSS JOIN LATERAL (
    SELECT id FROM grounds.trainable_content
    WHERE id = ANY ($3::bigint[]) AND claim.client IS NOT NULL AND claim.purpose IS NOT NULL OFFSET 0) p
"""
