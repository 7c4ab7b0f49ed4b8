"""Altered media: the media store sent other bytes of a file than the platform had stated."""

from datetime import datetime

import strawberry

from db.oversight.altered_media import AlteredMediumRow, page_of_altered_media
from schema.context import Context, Info
from schema.governed import EXAMINERS, governed
from schema.records.consent import MAX_PAGE_SIZE
from schema.relay.connection import After, Connection, First, check_page_size, connection_of_objects, read_cursor
from schema.relay.ids import IdKind


@strawberry.type(
    description=(
        "A fetch in which the bytes of a media file differed from the bytes that the platform had stated, so that the "
        "item was quarantined."
    )
)
class AlteredMedium:
    content_id: strawberry.ID = governed(EXAMINERS, description="The id of the item.")
    client: str = governed(EXAMINERS, description="The name of the client that fetched the file.")
    purpose: str = governed(EXAMINERS, description="The purpose of the client.")
    stated_sha256: str = governed(EXAMINERS, description="The SHA-256 that the platform had stated, in hexadecimal.")
    found_sha256: str = governed(
        EXAMINERS, description="The SHA-256 of the file's bytes in the media store, in hexadecimal."
    )
    found_at: datetime = governed(EXAMINERS, description="The time of the fetch.")


async def altered_media_page(info: Info, first: First, after: After = None) -> Connection[AlteredMedium]:
    """Resolve `alteredMedia` for officers and auditors: files whose bytes were not those that the platform stated."""
    context = info.context
    number = read_cursor(context.ids, IdKind.ALTERED_MEDIUM_CURSOR, after)
    rows, has_next = await page_of_altered_media(context.reader, number, check_page_size(first, MAX_PAGE_SIZE))
    cursors = context.ids.encode_all(IdKind.ALTERED_MEDIUM_CURSOR, [row.id for row in rows])
    return connection_of_objects([_altered_medium(context, row) for row in rows], cursors, after, has_next=has_next)


def _altered_medium(context: Context, row: AlteredMediumRow) -> AlteredMedium:
    """Show an incident with a media file as a GraphQL object."""
    return AlteredMedium(
        content_id=strawberry.ID(context.ids.encode(IdKind.CONTENT, row.item)),
        client=row.client,
        purpose=row.purpose,
        stated_sha256=row.stated.hex(),
        found_sha256=row.found.hex(),
        found_at=row.found_at,
    )
