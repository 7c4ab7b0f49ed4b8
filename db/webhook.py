"""Webhooks: where clients want their retractions posted, what is due, and what became of it."""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from db.retraction import RetractionRow
from db.session import Connection, Pool, writing


class DueWebhook(NamedTuple):
    """Hold what is to be posted to a client next: at least one retraction, in the feed's order."""

    client: int
    name: str
    url: str
    rows: list[RetractionRow]


def webhook_key(secret: bytes, client: str) -> bytes:
    """Derive the key that signs what is posted to a client: 32 bytes, of the gateway's secret (RFC 5869)."""
    return HKDF(SHA256(), length=32, salt=None, info=b"grounds webhook:" + client.encode()).derive(secret)


async def register_webhook(pool: Pool, officer: str, client: str, *, stated: bool, url: str | None) -> str | None:
    """Make a client known, and set or clear its webhook where one is `stated`; give the webhook that it has then."""
    async with writing(pool, examiner="PRIVACY_OFFICER", officer=officer) as connection:
        found: str | None = await connection.fetchval(
            "SELECT grounds.register_webhook($1, $2, $3)", client, stated, url
        )
        return found


async def due_webhooks(
    worker: Connection, under_way: Sequence[int], most_webhooks: int, most_retractions: int
) -> list[DueWebhook]:
    """Find what is to be posted now, but to clients for which a request is under way."""
    rows = await worker.fetch(
        "SELECT * FROM grounds.due_webhooks($1::int[], $2, $3)", under_way, most_webhooks, most_retractions
    )
    by_client = groupby(rows, key=lambda row: (row["client"], row["name"], row["url"]))
    return [DueWebhook(*who, [RetractionRow(*tuple(row)[3:]) for row in theirs]) for who, theirs in by_client]


async def record_webhook(worker: Connection, due: DueWebhook, *, arrived: bool) -> None:
    """Record that a request was answered with a 2xx, or that it was not and waits longer each time."""
    up_to = due.rows[-1].id if arrived else None
    await worker.execute("SELECT grounds.record_webhook($1, $2, $3)", due.client, due.url, up_to)
