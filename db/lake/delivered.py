"""What another engine wrote for a client: decided about again, and receipted, before its files are handed over."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from db.connection import Connection
from db.releases.shards import bits_of

_ITEMS_PER_LOOK: Final = 20_000
_ITEMS_PER_RECEIPT: Final = 1 << 20
"""The longest range of a receipt: a bitset of 128 kB."""


class OpenedFile(NamedTuple):
    """A file of another engine that is about to be handed over: the items to be cut from it.

    `state` is OPEN, or says why nothing may be handed over.
    """

    state: str
    gone: set[int]


async def open_lake_file(
    training: Connection, items: Sequence[int], revisions: Sequence[datetime], policy: str
) -> OpenedFile:
    """Decide about the items of another engine's file for the claimed client, and lock them for the transaction.

    `revisions` is when each item's text changed last, as the lake has it; `policy` is the lake's.
    """
    gone: set[int] = set()
    for start in range(0, max(len(items), 1), _ITEMS_PER_LOOK):
        part = slice(start, start + _ITEMS_PER_LOOK)
        row = await training.fetchrow(
            "SELECT * FROM grounds.open_lake_file($1, $2, $3)", items[part], revisions[part], policy
        )
        assert row is not None, "the function returns one row"
        if row["state"] != "OPEN":
            return OpenedFile(row["state"], set())
        gone.update(row["gone"])
    return OpenedFile("OPEN", gone)


async def newest_receipt(training: Connection, client: int) -> int:
    """Return the number of a client's newest receipt; 0 if it has none."""
    found: int = await training.fetchval(
        "SELECT coalesce((SELECT d.id FROM grounds.delivery d WHERE d.client = $1 ORDER BY d.id DESC LIMIT 1), 0)",
        client,
    )
    return found


async def write_lake_receipts(
    training: Connection, items: Sequence[int], sha256: bytes, since: int | None
) -> list[int] | None:
    """Write the receipts of a file of another engine; return their numbers, or None where an item is planted.

    `items` are distinct and ascend; `sha256` is the file's. If an earlier attempt was interrupted, `since` is the
    newest receipt before it, and receipts that it wrote are not written again.
    """
    written = []
    for part in _ranges(items):
        bits = bits_of(part, part[0], part[-1])
        receipt = await training.fetchval(
            "SELECT grounds.write_lake_receipt($1, $2, $3, $4, $5)", part[0], bits, len(part), sha256, since
        )
        if receipt is None:
            return None
        written.append(receipt)
    return written


def _ranges(items: Sequence[int]) -> Iterator[Sequence[int]]:
    """Split ascending items of a lake so that the range of each part is short enough for a receipt."""
    start = 0
    for place, item in enumerate(items):
        if item - items[start] >= _ITEMS_PER_RECEIPT:
            yield items[start:place]
            start = place
    if items:
        yield items[start:]
