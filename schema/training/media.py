"""The media of permitted items: what a page says of a file, and the decision about each fetch of a file.

A page names a file by an address of the gateway. The address is made from the ids of the client, so another client's
address, an altered one or a guess names nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import strawberry
from graphql import GraphQLField, GraphQLObjectType, get_named_type

from db.delivery.pages import Filter, medium_digest
from schema.execution.row_compiler import Compiler, Shape
from schema.governed import TRAINING, governed
from schema.relay.ids import IdKind, Ids

MEDIA_PATH: Final = "/media/"
MEDIA_TYPES: Final = frozenset(
    {
        *("image/jpeg", "image/png", "image/apng", "image/gif", "image/webp", "image/avif", "image/heic", "image/tiff"),
        *("video/mp4", "video/webm", "video/ogg", "video/quicktime", "video/mpeg"),
        *("audio/mpeg", "audio/mp4", "audio/aac", "audio/ogg", "audio/webm", "audio/wav", "audio/flac"),
    }
)
"""The media types of files that are delivered. A browser runs no scripts in files of these types."""
OTHER_TYPE: Final = "application/octet-stream"
_ID_LENGTH: Final = 22


@dataclass(frozen=True, slots=True)
class StoredMedium:
    """A file that a client may fetch now: its item, and the file's type, place and hash as the platform states them."""

    item: int
    type: str
    url: str
    sha256: str | None


class MediaSource:
    """The media of a row, from the list that the page makes of all its rows' media."""

    def expression(self, compiler: Compiler, declared: GraphQLField, shape: Shape | None) -> str:
        """Compile the media of trainable content; most rows have none."""
        kind = get_named_type(declared.type)
        assert isinstance(kind, GraphQLObjectType)

        def media(files: list[dict[str, Any]]) -> list[Any]:
            """Build the media of one trainable item."""
            return [compiler.render(kind, shape, medium) for medium in files]

        files = compiler.listed("media_files")
        return f"({compiler.bind(media)}({files}) if {files} else [])"


@strawberry.type(description="A de-identified photo, video or audio file.")
class Media:
    type: str = governed(
        TRAINING,
        description=(
            "The media type, such as `image/jpeg`; if the gateway does not deliver files of this media type, the "
            "value is `application/octet-stream`."
        ),
    )
    url: str = governed(
        TRAINING,
        description="The address of the file at the gateway, which decides again at each request whether to deliver"
        " the file.",
    )
    sha256: str | None = governed(TRAINING, description="The SHA-256 of the file, in hexadecimal, null if unknown.")
    alt: str | None = governed(
        TRAINING, description=("The de-identified description of the file, null if the file has no description.")
    )


def media_of_item(naming: Ids, base: str, item: int, text: str) -> list[dict[str, Any]]:
    """Describe the media of one trainable item for the client, with the gateway's addresses and media types."""
    return media_of_items(naming, base, [item], [text])[0]


def media_of_items(
    naming: Ids, base: str, items: Sequence[int], texts: Sequence[str | None]
) -> list[list[dict[str, Any]]]:
    """Describe the media of trainable items, as JSON, for the client; all addresses by one call of the cipher."""
    stated: list[list[dict[str, Any]]] = [orjson.loads(text) if text else [] for text in texts]
    numbers: list[int] = []
    for item, media in zip(items, stated, strict=True):
        if media:
            numbers.append(item)
            numbers += map(_number, media)
    ids = iter(naming.encode_all(IdKind.MEDIUM, numbers))
    return [_describe_files(base, media, ids) if media else media for media in stated]


def _describe_files(base: str, media: list[dict[str, Any]], ids: Iterator[str]) -> list[dict[str, Any]]:
    """Describe the media of one trainable item; of `ids`, the item's comes first, and then one for each file."""
    first = next(ids)
    return [
        medium | {"type": _known_type(medium["type"]), "url": f"{base}{MEDIA_PATH}{first}{next(ids)}"}
        for medium in media
    ]


def _number(medium: Mapping[str, Any]) -> int:
    """Number a file of an item by its place and hash, so that the address of a replaced file names nothing."""
    return int(medium_digest(medium["url"], medium["sha256"]), 16)


def _known_type(stated: str) -> str:
    """Return the type of a file as a client sees it: one of the list, for a platform can state any text."""
    return stated.lower() if stated.lower() in MEDIA_TYPES else OTHER_TYPE


def media_filter(naming: Ids, address: str) -> Filter | None:
    """Turn the address of a media file into a filter for the file's item; None for any other text."""
    item = naming.decode_as(IdKind.MEDIUM, address[:_ID_LENGTH])
    number = naming.decode_as(IdKind.MEDIUM, address[_ID_LENGTH:])
    if item is None or number is None or not 0 <= number < 1 << 60:
        return None
    return Filter(item=item, medium=f"{number:015x}")


def fetched_medium(rows: Sequence[Mapping[str, Any]], narrowed: Filter) -> StoredMedium | None:
    """Find a fetched media file in the page that was delivered for it; None if the client may not fetch it."""
    for row in rows:
        for medium in orjson.loads(row["media"]):
            if medium_digest(medium["url"], medium["sha256"]) == narrowed.medium:
                type_ = _known_type(medium["type"])
                return None if type_ == OTHER_TYPE else StoredMedium(row["id"], type_, medium["url"], medium["sha256"])
    return None
