"""Remove versions of records that are no longer needed, and find from when on all versions are stored."""

from datetime import datetime
from typing import Final

from db.connection import Connection, Reader

DEFAULT_VERSIONS_DAYS: Final = 1095
_BATCH_SIZE: Final = 100_000


async def remove_versions(worker: Connection, days: int) -> int:
    """Remove versions of records that were replaced so many days ago; return how many, which are not all if many."""
    removed: int = await worker.fetchval("SELECT grounds.remove_versions($1, $2)", days, _BATCH_SIZE)
    return removed


async def versions_from(reader: Reader) -> datetime:
    """Read the time from which on all versions of records are stored. Before it, what was known is not stored."""
    found: datetime = await reader.fetchval("SELECT grounds.versions_from()")
    return found
