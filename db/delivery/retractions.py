"""Retractions of items that a client received, the client's webhook, and its acknowledgements."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from db.connection import Connection, Database, Pool, Reader, fetch_rows, write_transaction
from db.secrets import KeyUse, derive_key


class RetractionRow(NamedTuple):
    """A retraction as its client sees it."""

    id: int
    item: int
    kind: str
    retracted_at: datetime
    due_by: datetime | None


class IncidentRow(NamedTuple):
    """A delivery after an objection to it had been received, as officers see it."""

    id: int
    client: str
    content: int
    delivered_at: datetime
    retracted_at: datetime
    due_by: datetime
    acknowledged: bool


class DueWebhook(NamedTuple):
    """The retractions to post to a client next: at least one, in the feed's order."""

    client: int
    name: str
    url: str
    rows: list[RetractionRow]


class RetractionsSetAside(Exception):
    """Items whose retraction fails. The job tries them again every minute, and continues with all other items."""


async def retract_due(worker: Connection) -> int:
    """Write the retractions to clients that follow from what changed; return 0 when nothing is left to look at.

    Raises RetractionsSetAside when there is nothing else to do, so that the job shows as failing while there are any.
    """
    taken: int = await worker.fetchval("SELECT grounds.retract_due()")
    if taken == 0:
        items, since, failures = await worker.fetchrow("SELECT * FROM grounds.retractions_set_aside()") or (0, None, [])
        if items:
            raise RetractionsSetAside(f"retractions of {items} items have been waiting since {since} ({failures})")
    return taken


async def record_deliveries(worker: Connection) -> int:
    """Record from settled receipts which clients received which items; return how many receipts were read."""
    taken: int = await worker.fetchval("SELECT grounds.record_deliveries(200)")
    return taken


async def purge_texts(worker: Connection) -> int:
    """Remove the text of items that were deleted, or retracted for good, six days ago; return their number."""
    purged: int = await worker.fetchval("SELECT grounds.purge_texts(1000)")
    return purged


async def page_of_retractions(reader: Reader, after: int, first: int) -> tuple[list[RetractionRow], bool]:
    """Read a page of a client's retractions in the order written, and whether there are more."""
    rows = await reader.fetch(
        "SELECT r.* FROM grounds.retractions_after(grounds.claimed_client(), $1, $2::int + 1) r",
        *(after, first),
    )
    return [RetractionRow(*row) for row in rows[:first]], len(rows) > first


async def acknowledge_retractions(pool: Pool, client: int, up_to: int) -> int:
    """Store that a client acknowledged every retraction up to one; return how many are left."""
    async with write_transaction(pool, client=str(client)) as borrowed:
        left: int = await borrowed.fetchval("SELECT grounds.acknowledge_retractions($1)", up_to)
        return left


async def withheld(database: Database, client: int) -> str | None:
    """Return why deliveries to a client are withheld: SUSPENDED by an officer, OVERDUE acknowledgements, or None."""
    why: str | None = await database.client(client).fetchval("SELECT grounds.delivery_suspension()")
    return why


async def eligibility_states(pool: Pool, client: int, purpose: str, items: Sequence[int]) -> dict[int, str]:
    """Read what a client may do with items delivered to it: PERMITTED, HELD, RETRACTED or ASK_AGAIN.

    Nothing is delivered, and no receipt written.
    """
    rows = await fetch_rows(pool, _ELIGIBILITY, str(client), purpose, items)
    return {row["item"]: row["state"] for row in rows}


async def page_of_incidents(reader: Reader, after: int, first: int) -> tuple[list[IncidentRow], bool]:
    """Read a page of deliveries after an objection, in the order they were found, and whether there are more."""
    rows = await reader.fetch(
        "SELECT r.id, k.name, r.item, d.decided_at, r.retracted_at, r.due_by, r.id <= k.acknowledged"
        " FROM grounds.retraction r JOIN grounds.client k ON k.id = r.client"
        " JOIN grounds.delivery d ON d.id = r.delivery"
        " WHERE r.is_incident AND r.id > $1 ORDER BY r.id LIMIT $2::int + 1",
        *(after, first),
    )
    reader.people.items.update(row["item"] for row in rows[:first])
    return [IncidentRow(*row) for row in rows[:first]], len(rows) > first


def webhook_key(secret: bytes, client: str) -> bytes:
    """Derive the key that signs what is posted to a client's webhook: 32 bytes."""
    return derive_key(secret, KeyUse.WEBHOOK, client)


async def register_webhook(pool: Pool, officer: str, client: str, *, stated: bool, url: str | None) -> str | None:
    """Store a client, and set or clear its webhook where one is `stated`; return the webhook that it has then."""
    async with write_transaction(pool, examiner="PRIVACY_OFFICER", officer=officer) as borrowed:
        found: str | None = await borrowed.fetchval("SELECT grounds.register_webhook($1, $2, $3)", client, stated, url)
        return found


async def due_webhooks(
    worker: Connection, under_way: Sequence[int], most_webhooks: int, most_retractions: int
) -> list[DueWebhook]:
    """Read which retractions are to be posted now, but for clients to which a request is under way."""
    rows = await worker.fetch(
        "SELECT * FROM grounds.due_webhooks($1::int[], $2, $3)", under_way, most_webhooks, most_retractions
    )
    by_client = groupby(rows, key=lambda row: (row["client"], row["name"], row["url"]))
    return [DueWebhook(*who, [RetractionRow(*tuple(row)[3:]) for row in theirs]) for who, theirs in by_client]


async def record_webhook(worker: Connection, due: DueWebhook, *, arrived: bool) -> None:
    """Record that a client's webhook answered with a 2xx, or that it did not and waits longer each time."""
    up_to = due.rows[-1].id if arrived else None
    await worker.execute("SELECT grounds.record_webhook($1, $2, $3)", due.client, due.url, up_to)


_ELIGIBILITY = """
SELECT e.item, e.state
FROM (SELECT set_config('grounds.client', $1, TRUE) AS client, set_config('grounds.purpose', $2, TRUE) AS purpose
      OFFSET 0) claim -- gone with the transaction
CROSS JOIN LATERAL (
    SELECT * FROM grounds.check_eligibility($3::bigint[])
    WHERE claim.client IS NOT NULL AND claim.purpose IS NOT NULL OFFSET 0) e
"""
