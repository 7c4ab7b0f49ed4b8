"""Standings that are derived after the change that touches them, because it touches very many."""

from db.connection import Connection


async def derive_standing_backlog(worker: Connection) -> int:
    """Derive the oldest part of the backlog of accounts' standings; return whether there was any."""
    derived: int = await worker.fetchval("SELECT grounds.derive_backlog()")
    return derived
