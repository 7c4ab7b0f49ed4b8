"""Read the incidents in which the bytes of a media file were not those that the platform stated."""

from datetime import datetime
from typing import NamedTuple

from db.connection import Reader


class AlteredMediumRow(NamedTuple):
    """A fetch of a file whose SHA-256 differed from the one in the facts; the client did not get the whole file."""

    id: int
    item: int
    stated: bytes
    found: bytes
    client: str
    purpose: str
    found_at: datetime


async def page_of_altered_media(reader: Reader, after: int, first: int) -> tuple[list[AlteredMediumRow], bool]:
    """Read a page of the incidents with media files, in the order they were found, and whether there are more."""
    rows = await reader.fetch(
        "SELECT m.id, m.item, m.stated, m.found, k.name, m.purpose, m.found_at"
        " FROM grounds.altered_medium m JOIN grounds.client k ON k.id = m.client"
        " WHERE m.id > $1 ORDER BY m.id LIMIT $2::int + 1",
        *(after, first),
    )
    reader.people.items.update(row["item"] for row in rows[:first])
    return [AlteredMediumRow(*row) for row in rows[:first]], len(rows) > first
