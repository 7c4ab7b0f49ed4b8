"""Look for retracted items in every file of a folder, whatever wrote them. Needs the extra `lake`."""

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from app.lakes.folder import LakeError
from db.connection import Database, write_transaction
from schema.relay.ids import IdKind, ids_of

_ID: Final = re.compile(rb"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{22}(?![A-Za-z0-9_-])")
_IDS_PER_LOOK: Final = 10_000
_BLOCK: Final = 1 << 24
_ID_LENGTH: Final = 22
_PACKED: Final = (b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"BZh", b"\xfd7zX", b"\x04\x22\x4d\x18", b"ORC", b"Obj\x01")
"""The first bytes of files that the search cannot unpack: zstd, zip, bzip2, xz, LZ4, ORC and Avro."""


class _PackedError(Exception):
    """A file that cannot be searched, because it is packed."""


@dataclass(slots=True)
class SearchedFolder:
    """What a search found: how many files and items, and the retracted items of each file that has some."""

    files: int = 0
    items: int = 0
    retracted: dict[Path, list[str]] = field(default_factory=dict)
    unreadable: list[Path] = field(default_factory=list)


async def search_folder(database: Database, folder: Path, client: str, purpose: str) -> SearchedFolder:
    """Look in every file of a folder for items that a client must have deleted. Raises LakeError.

    Columns of Parquet files are read, also of files that a table no longer names; other files are searched as text,
    unpacked if they are gzip files.
    """
    paths = _all_files(folder)
    ids = ids_of(database.first_secret, f"client:{client}", database.incarnations)
    found = SearchedFolder()
    async with write_transaction(database.training, purpose=purpose) as borrowed:
        number = await borrowed.fetchval("SELECT grounds.register_client($1)", client)
    for path in paths:
        found.files += 1
        try:
            named = {item: text for text in _texts_of(path) if (item := ids.decode_as(IdKind.TRAINABLE_CONTENT, text))}
        except (OSError, EOFError, pa.ArrowException, _PackedError):
            found.unreadable.append(path)
            continue
        found.items += len(named)
        retracted = [named[item] for item in await _retracted(database, number, purpose, sorted(named))]
        if retracted:
            found.retracted[path] = retracted
    return found


def _all_files(folder: Path) -> list[Path]:
    """List every file of a folder. Raises LakeError."""
    if not folder.is_dir():
        raise LakeError(f"{folder}: is not a folder (name the folder of the client's files)")
    return sorted(path for path in folder.rglob("*") if path.is_file())


async def _retracted(database: Database, client: int, purpose: str, items: list[int]) -> list[int]:
    """Return those of some items that the client must have deleted. Raises LakeError while that cannot be told."""
    found = []
    for start in range(0, len(items), _IDS_PER_LOOK):
        async with write_transaction(database.training, client=str(client), purpose=purpose) as borrowed:
            rows = await borrowed.fetch(
                "SELECT item, state FROM grounds.check_eligibility($1)", items[start : start + _IDS_PER_LOOK]
            )
        if any(row["state"] == "ASK_AGAIN" for row in rows):
            raise LakeError("the gateway is changing its policy (repeat the search in a minute)")
        found += [row["item"] for row in rows if row["state"] == "RETRACTED"]
    return found


def _texts_of(path: Path) -> Iterator[str]:
    """Read the texts of a file that may be a client's ids."""
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PAR1":
        yield from _texts_of_parquet(path)
        return
    if start.startswith(_PACKED):
        raise _PackedError
    with gzip.open(path, "rb") if start[:2] == b"\x1f\x8b" else path.open("rb") as file:
        rest = b""
        while block := file.read(_BLOCK):
            for match in _ID.finditer(rest + block):
                yield match[0].decode()
            rest = (rest + block)[-_ID_LENGTH - 1 :]


def _texts_of_parquet(path: Path) -> Iterator[str]:
    """Read the texts of a Parquet file that may be a client's ids, from its columns, nested ones included."""
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            for column in file.read_row_group(group).columns:
                for values in _texts_in(column.combine_chunks()):
                    lengths = pc.utf8_length(values)
                    yield from (
                        text for text in values.filter(pc.equal(lengths, _ID_LENGTH)).unique().to_pylist() if text
                    )
                    for text in values.filter(pc.greater(lengths, _ID_LENGTH)).to_pylist():
                        yield from (match[0].decode() for match in _ID.finditer(text.encode()))


def _texts_in(values: Any) -> Iterator[Any]:
    """List the columns of texts in a column of a Parquet file, whatever they are nested in."""
    kind = values.type
    if isinstance(values, pa.ChunkedArray):
        for chunk in values.chunks:
            yield from _texts_in(chunk)
    elif pa.types.is_dictionary(kind):
        yield from _texts_in(values.dictionary)
    elif pa.types.is_struct(kind):
        for part in values.flatten():
            yield from _texts_in(part)
    elif pa.types.is_map(kind):
        yield from _texts_in(values.keys)
        yield from _texts_in(values.items)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _texts_in(values.flatten())
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        yield values.cast(pa.large_string())
