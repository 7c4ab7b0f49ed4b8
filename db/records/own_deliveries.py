"""Read what was delivered of a data subject's own items."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from db.connection import Reader

MAX_ITEMS = 1000


class DeliveryRow(NamedTuple):
    """A page that a client received, and which of a data subject's own items were on it."""

    id: int
    client: str
    purpose: str
    policy: str
    decided_at: datetime
    items: list[int]
    told_to_delete_at: datetime | None
    has_confirmed: bool | None
    """Whether the client acknowledged that it must delete these items; None if the client was not told to delete
    them."""


async def load_own_deliveries(reader: Reader, items: Sequence[int]) -> list[DeliveryRow]:
    """Read from the database which clients received some of a data subject's own items.

    The latest is the first. What is not the reader's own is left out. Raises ValueError for more than MAX_ITEMS items.
    """
    if len(items) > MAX_ITEMS:
        raise ValueError(f"{len(items)} items were requested, but the maximum is {MAX_ITEMS}")
    rows = await reader.fetch("SELECT * FROM grounds.deliveries_of_subject($1::bigint[])", items)
    return [DeliveryRow(*row) for row in rows]


async def number_own_items(reader: Reader) -> tuple[dict[int, int], int]:
    """Number a data subject's own item records in the order in which they came: item -> 1, 2, 3 …

    Gives the latest MAX_ITEMS of them, the latest first, and how many there are in all.
    """
    rows = await reader.fetch(
        "SELECT c.id, count(*) OVER () AS held FROM grounds.content c ORDER BY c.id DESC LIMIT $1", MAX_ITEMS
    )
    held = rows[0]["held"] if rows else 0
    return {row["id"]: held - behind for behind, row in enumerate(rows)}, held
