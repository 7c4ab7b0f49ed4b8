"""Placeholders: declared person ids and contacts that name no real person, and candidates that many accounts share."""

from datetime import datetime
from typing import NamedTuple

from db.connection import Connection, Reader

BATCH_SIZE = 1000
SHARED_FROM = 50
"""The minimum number of accounts that must share a person id or a contact before officers see it."""
MAX_SHARED = 1000


class PlaceholderRow(NamedTuple):
    """A declared placeholder with its state: PERSON or CONTACT, and the person id or the contact's hash."""

    kind: str
    value: str
    reason: str
    declared_by: str
    declared_at: datetime
    approved_by: str | None
    approved_at: datetime | None
    in_effect_from: datetime | None


class SharedLinkRow(NamedTuple):
    """A person id or a contact's hash, and how many accounts shared it when they were counted."""

    kind: str
    value: str
    accounts: int
    counted_at: datetime


async def list_placeholders(reader: Reader) -> list[PlaceholderRow]:
    """Read from the database every placeholder that officers declared, the newest first."""
    return [PlaceholderRow(*row) for row in await reader.fetch(f"{_PLACEHOLDERS} ORDER BY declared_at DESC, value")]


async def placeholder_of(reader: Reader, kind: str, value: str) -> PlaceholderRow | None:
    """Read from the database one placeholder that officers declared."""
    rows = await reader.fetch(f"{_PLACEHOLDERS} WHERE kind = $1 AND value = $2", kind, value)
    return PlaceholderRow(*rows[0]) if rows else None


async def list_shared_links(reader: Reader, first: int) -> list[SharedLinkRow]:
    """Read from the database the person ids and contacts that most accounts share, for officers."""
    rows = await reader.fetch(
        "SELECT s.kind, s.value, s.accounts, s.counted_at FROM grounds.shared_link s WHERE NOT EXISTS ("
        " SELECT FROM grounds.placeholder h"
        " WHERE h.kind = s.kind AND h.value = s.value AND h.in_effect_from IS NOT NULL)"
        " ORDER BY s.accounts DESC, s.kind, s.value LIMIT $1",
        first,
    )
    return [SharedLinkRow(*row) for row in rows]


async def apply_placeholders(worker: Connection) -> int:
    """Put officers' placeholders in effect whose dwell is over; return whether there may be more."""
    more: int = await worker.fetchval("SELECT grounds.apply_placeholders($1)", BATCH_SIZE)
    return more


async def count_shared_links(worker: Connection) -> int:
    """Count in the database the accounts that share a person id or a contact, for officers; return 0."""
    await worker.execute("SELECT grounds.count_shared_links($1, $2)", SHARED_FROM, MAX_SHARED)
    return 0


_PLACEHOLDERS = (
    "SELECT kind, value, reason, declared_by, declared_at, approved_by, approved_at, in_effect_from"
    " FROM grounds.placeholder"
)
