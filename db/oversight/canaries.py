"""Read canaries (planted items that can never qualify), and the incidents in which one was about to be delivered."""

from collections import defaultdict
from datetime import datetime
from typing import NamedTuple

from db.connection import Reader


class CanaryRow(NamedTuple):
    """A planted item."""

    item: int
    platform_id: str
    reason: str
    planted_by: str
    planted_at: datetime


class CanaryIncidentRow(NamedTuple):
    """A planted item that was about to be delivered to a client; `hold` stopped it."""

    item: int
    client: str | None
    purpose: str | None
    policy: str | None
    found_at: datetime
    hold: int


async def list_canaries(reader: Reader) -> list[CanaryRow]:
    """Read from the database every item that officers planted, in the order of planting."""
    rows = await reader.fetch(f"{_CANARIES} ORDER BY k.id")
    reader.people.items.update(row["item"] for row in rows)
    return [CanaryRow(*row) for row in rows]


async def load_canaries(reader: Reader, items: list[int]) -> list[CanaryRow | None]:
    """Read from the database which of some items officers planted, in their order."""
    rows = await reader.fetch(f"{_CANARIES} AND k.item = ANY ($1::bigint[])", items)
    found = {row["item"]: CanaryRow(*row) for row in rows}
    return [found.get(item) for item in items]


async def load_canary_incidents(reader: Reader, items: list[int]) -> list[list[CanaryIncidentRow]]:
    """Read from the database when each planted item was about to be delivered, the earliest first."""
    rows = await reader.fetch(
        "SELECT i.item, k.name AS client, i.purpose, i.policy, i.found_at, i.hold"
        " FROM grounds.canary_incident i LEFT JOIN grounds.client k ON k.id = i.client"
        " WHERE i.item = ANY ($1::bigint[]) ORDER BY i.id",
        items,
    )
    found: dict[int, list[CanaryIncidentRow]] = defaultdict(list)
    for row in rows:
        found[row["item"]].append(CanaryIncidentRow(*row))
    return [found[item] for item in items]


_CANARIES = (
    "SELECT k.item, c.platform_id, k.reason, k.planted_by, k.planted_at"
    " FROM grounds.canary k JOIN grounds.content c ON c.id = k.item WHERE k.removed_at IS NULL"
)
