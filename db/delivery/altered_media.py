"""Quarantine an item if the SHA-256 of its file differs from the SHA-256 in the facts."""

from db.connection import Pool, connection


async def quarantine_altered_medium(pool: Pool, item: int, stated: str, found: str, client: int, purpose: str) -> None:
    """Quarantine a delivered item whose file differs from the stated SHA-256, and record the incident."""
    async with connection(pool) as borrowed:
        await borrowed.execute(
            "SELECT grounds.quarantine_altered_medium($1, $2, $3, $4, $5)", item, stated, found, client, purpose
        )
