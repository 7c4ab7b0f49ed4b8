"""The Parquet files of a lake: written from CSV as it is read. Needs the extra `lake`."""

from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from app.lakes.folder import private_file
from db.lake.facts import ColumnType, LakeColumn
from schema.relay.ids import IdKind, Ids

ROWS_PER_FILE: Final = 1_000_000
_ROWS_PER_GROUP: Final = 100_000
_INSTANT: Final = pa.timestamp("us", tz="UTC")
_SPAN: Final = pa.struct([("from", _INSTANT), ("until", _INSTANT)])
_TYPES: Final = {
    ColumnType.NUMBER: pa.int64(),
    ColumnType.TEXT: pa.string(),
    ColumnType.TRUTH: pa.bool_(),
    ColumnType.INSTANT: _INSTANT,
    ColumnType.DATE: pa.date32(),
    ColumnType.TEXTS: pa.list_(pa.string()),
    ColumnType.INSTANTS: pa.list_(_INSTANT),
    ColumnType.SPANS: pa.list_(_SPAN),
}
_AS_JSON: Final = (ColumnType.TEXTS, ColumnType.INSTANTS, ColumnType.SPANS)


class FactWriter:
    """The writer of the files of one table: rows come as CSV in the order of their key."""

    def __init__(self, stem: Path, columns: tuple[LakeColumn, ...]) -> None:
        self._stem, self._columns = stem, columns
        self._schema = pa.schema([(column.name, _TYPES[column.type]) for column in columns])
        self._waiting: list[Any] = []
        self._files = 0
        self.rows = 0

    def add(self, csv: bytes) -> None:
        """Add rows of a lake's table."""
        if csv:
            table = self._parse(csv)
            self._waiting.append(table)
            self.rows += table.num_rows
        if sum(table.num_rows for table in self._waiting) >= ROWS_PER_FILE:
            self._write_file()

    def close(self) -> None:
        """Write the rest of a lake's table; a table without rows gets a file too."""
        if self._waiting or not self._files:
            self._write_file()

    def _write_file(self) -> None:
        """Write the rows that wait to the next file of a lake's table."""
        table = pa.concat_tables(self._waiting) if self._waiting else self._schema.empty_table()
        self._waiting.clear()
        with private_file(self._stem.with_name(f"{self._stem.name}-{self._files:05}.parquet")) as stream:
            pq.write_table(table, stream, compression="zstd", row_group_size=_ROWS_PER_GROUP)
        self._files += 1

    def _parse(self, csv: bytes) -> Any:
        """Parse the CSV of rows as PostgreSQL writes it, and decode lists."""
        return self._parsed(csv, self._schema)

    def _parsed(self, csv: bytes, schema: Any) -> Any:
        """Parse the CSV of rows to the columns of a lake's table."""
        names = [column.name for column in self._columns]
        read = pa.csv.read_csv(
            pa.BufferReader(csv),
            pa.csv.ReadOptions(column_names=names),
            pa.csv.ParseOptions(newlines_in_values=True),
            pa.csv.ConvertOptions(
                column_types={
                    column.name: pa.string() if column.type in _AS_JSON else _TYPES[column.type]
                    for column in self._columns
                },
                null_values=[""],  # PostgreSQL quotes what is empty and not NULL
                true_values=["t"],
                false_values=["f"],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        return pa.table([self._decoded(read[column.name], column) for column in self._columns], schema=schema)

    def _decoded(self, values: Any, column: LakeColumn) -> Any:
        """Decode a column of lists; others are as they are."""
        if column.type not in _AS_JSON:
            return values
        rows = [None if text is None else orjson.loads(text) for text in values.to_pylist()]
        if column.type is ColumnType.SPANS:
            rows = [row and [{"from": first, "until": last} for first, last in row] for row in rows]
        return pa.array(rows, _TYPES[column.type])


class TextWriter(FactWriter):
    """The writer of the files of de-identified texts, with the pseudonyms that a client knows."""

    READ: Final = ("id", "account", "kind", "product", "language", "text")
    """The columns that are read from the database's view of permitted items."""

    def __init__(self, stem: Path, ids: Ids) -> None:
        columns = (
            LakeColumn(name, ColumnType.NUMBER if name in self.READ[:2] else ColumnType.TEXT, "") for name in self.READ
        )
        super().__init__(stem, tuple(columns))
        self._ids = ids
        self._read_schema = self._schema
        names = ("pseudonym", "author", *self.READ[2:])
        self._schema = pa.schema([("id", pa.int64()), *((name, pa.string()) for name in names)])

    def _parse(self, csv: bytes) -> Any:
        """Parse the CSV of texts, and replace the author's number by the client's pseudonyms."""
        read = self._parsed(csv, self._read_schema)
        numbers = read["id"].to_pylist()
        pseudonyms = self._ids.encode_all(IdKind.TRAINABLE_CONTENT, numbers)
        authors = self._ids.encode_all(IdKind.AUTHOR, read["account"].to_pylist())
        kept = [read[name] for name in self.READ[2:]]
        return pa.table([read["id"], pa.array(pseudonyms), pa.array(authors), *kept], schema=self._schema)
