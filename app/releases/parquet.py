"""The Parquet files of releases: written from CSV as it is read, cut, and counted. Needs the extra `release`."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from app.releases.columns import COLUMN_TYPES, DATES, NUMBERS, column_name
from db.policy.compile import page_columns
from schema.relay.ids import IdKind, Ids
from schema.training.media import media_of_item

ROWS_PER_GROUP: Final = 50_000
_BYTES_PER_GROUP: Final = 32 * 1024 * 1024
"""The maximum size in bytes of a row group, so that long texts do not take more memory."""
_UNREPEATED: Final = ("id", "text")
COUNTED: Final = ("kind", "language", "product", "ground", "month")
SCHEMA: Final = pa.schema(
    [(name, pa.date32() if kind == "Date" else pa.string()) for name, kind in COLUMN_TYPES.items()]
)
"""The columns of a shard: the pseudonyms, the item, the ground of the item, and the evidence of its conditions."""
_READ: Final = pa.csv.ReadOptions(column_names=page_columns())
_PARSED: Final = pa.csv.ParseOptions(newlines_in_values=True)
_CONVERTED: Final = pa.csv.ConvertOptions(
    column_types={
        name: pa.int64() if name in NUMBERS else pa.date32() if name in DATES else pa.string()
        for name in page_columns()
    },
    null_values=[""],  # PostgreSQL quotes what is empty and not NULL
    strings_can_be_null=True,
    quoted_strings_can_be_null=False,
)


class ShardCounts:
    """The counts of a shard for summaries: items, characters, and items by the values of some columns."""

    def __init__(self) -> None:
        self._characters = 0
        self._items = 0
        self._by: dict[str, Counter[str]] = {name: Counter() for name in (*COUNTED, "mediaType")}

    def add(self, table: Any) -> None:
        """Count the rows of a part of a shard."""
        self._items += table.num_rows
        self._characters += pc.sum(pc.utf8_length(table["text"])).as_py() or 0
        for name in COUNTED:
            for found in pc.value_counts(table[name]).to_pylist():
                self._by[name][str(found["values"] or "")] += found["counts"]
        for media in table["media"].drop_null().to_pylist():
            self._by["mediaType"].update({str(medium.get("type")): 1 for medium in orjson.loads(media)})

    def as_dict(self) -> dict[str, Any]:
        """Return a shard's counts; the value of an item that states none is an empty text."""
        return {"items": self._items, "characters": self._characters} | {
            name: dict(by) for name, by in self._by.items()
        }


class ShardWriter:
    """The writer of a shard's file: rows come as CSV, and are written in groups."""

    def __init__(self, stream: BinaryIO, ids: Ids) -> None:
        self._writer = _new_writer(stream)
        self._ids = ids
        self._waiting: list[Any] = []
        self.counts = ShardCounts()
        self.items: list[int] = []

    def add(self, csv: bytes) -> None:
        """Add permitted items to a shard's file."""
        if not csv:
            return
        read = pa.csv.read_csv(pa.BufferReader(csv), _READ, _PARSED, _CONVERTED)
        table = self._with_pseudonyms(read)
        self.counts.add(table)
        self._waiting.append(table)
        if sum(each.num_rows for each in self._waiting) >= ROWS_PER_GROUP or (
            sum(each.nbytes for each in self._waiting) >= _BYTES_PER_GROUP
        ):
            self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        _discard(self._writer)

    def close(self) -> None:
        """Write what is left of a shard, and the end of its file."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        """Write the buffered rows of a shard to its Parquet file."""
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=ROWS_PER_GROUP)
            self._waiting.clear()

    def _media(self, item: int, text: str) -> str:
        """Describe the media of a shard's item as pages do: by addresses of the gateway."""
        return orjson.dumps(media_of_item(self._ids, "", item, text)).decode()

    def _with_pseudonyms(self, read: Any) -> Any:
        """Replace the numbers of a shard's items and authors by the client's pseudonyms, as in pages."""
        numbers = read["id"].to_pylist()
        self.items += numbers
        columns = {
            "id": pa.array(self._ids.encode_all(IdKind.TRAINABLE_CONTENT, numbers)),
            "author": pa.array(self._ids.encode_all(IdKind.AUTHOR, read["account"].to_pylist())),
            **{column_name(name): read[name] for name in page_columns() if name not in NUMBERS},
        }
        columns["text"] = columns["text"].fill_null("")
        media = zip(numbers, columns["media"].to_pylist(), strict=True)
        columns["media"] = pa.array([text and self._media(item, text) for item, text in media], pa.string())
        return pa.table(columns, schema=SCHEMA)


def cut_shard(source: Path, stream: BinaryIO, gone: Sequence[str]) -> dict[str, Any]:
    """Rewrite the Parquet file of a shard without the items of these pseudonyms; return the counts of the new file."""
    counts, writer, names = ShardCounts(), _new_writer(stream), pa.array(gone, pa.string())
    try:
        for group in _row_groups(source):
            kept = group.filter(pc.invert(pc.is_in(group["id"], value_set=names)))
            counts.add(kept)
            writer.write_table(kept)
        writer.close()
    finally:
        _discard(writer)
    return counts.as_dict()


def ids_as_parquet(ids: Sequence[str]) -> bytes:
    """Write a list of pseudonyms that a release no longer has as a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"id": pa.array(ids, pa.string())}), sink, compression="zstd")
    written: bytes = sink.getvalue().to_pybytes()
    return written


def _row_groups(source: Path) -> Iterator[Any]:
    """Read a shard's file, a group of rows at a time."""
    with pq.ParquetFile(source) as file:
        for place in range(file.num_row_groups):
            yield file.read_row_group(place)


def _new_writer(stream: BinaryIO) -> Any:
    """Open the writer of a shard's file, in the layout that was measured to be smallest at this speed."""
    repeated = [name for name in SCHEMA.names if name not in _UNREPEATED]
    return pq.ParquetWriter(stream, SCHEMA, compression="zstd", use_dictionary=repeated)


def _discard(writer: Any) -> None:
    """Close the writer of a shard's file that is not wanted, so that it does not write to a closed stream later."""
    if writer.is_open:
        with suppress(OSError):
            writer.close()
        writer.is_open = False
