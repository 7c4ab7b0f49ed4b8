"""Quarantine an item whose file has other bytes than the platform stated."""

from db.connection import Pool, connection


async def quarantine_altered_medium(pool: Pool, item: int, stated: str, found: str, client: int, purpose: str) -> None:
    """Quarantine a delivered item whose file has other bytes than stated, and record the incident."""
    async with connection(pool) as borrowed:
        await borrowed.execute(
            "SELECT grounds.quarantine_altered_medium($1, $2, $3, $4, $5)", item, stated, found, client, purpose
        )
