"""Lakes of generated facts, decided by DuckDB and by PostgreSQL, and how the decisions differ."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from db.connection import open_database
from tests.support.agreement import CLIENT, enforce, load, reading
from tests.support.gateway import SECRET, TestGateway
from tests.support.worlds import Batch, make_batch

pa = pytest.importorskip("pyarrow", reason="pyarrow is missing: ./run --with release,lake pytest")
pq = pytest.importorskip("pyarrow.parquet")
duckdb = pytest.importorskip("duckdb", reason="DuckDB is missing: ./run --with release,lake pytest")
pytest.importorskip("sqlglot", reason="sqlglot is missing: ./run --with release,lake pytest")

from app.lakes.decide import open_duckdb  # noqa: E402 - needs the extra
from app.lakes.export import export_lake  # noqa: E402
from app.lakes.folder import open_lake  # noqa: E402
from db.lake.compile import LakeCompiler  # noqa: E402
from db.lake.dialects import DialectName  # noqa: E402
from db.lake.facts import PRIVATE  # noqa: E402
from db.policy.compile import evidence_columns  # noqa: E402
from db.policy.condition import Condition  # noqa: E402
from db.policy.conditions import CONDITIONS  # noqa: E402

PURPOSE = "GENAI_TRAINING"
Rows = dict[int, tuple[Any, ...]]


@dataclass(frozen=True)
class DecidedLake:
    """A lake, and what PostgreSQL decides about its items at the same instant: columns, and rows by the item."""

    folder: Path
    at: datetime
    columns: tuple[str, ...]
    expected: Rows

    def decide(self, statement: str, zone: str = "UTC") -> Rows:
        """Decide about the items by a statement for DuckDB, in a session of a time zone."""
        _, manifest = open_lake(self.folder)
        with open_duckdb(self.folder, manifest, self.folder) as engine:
            engine.execute(f"SET TimeZone = '{zone}'")
            return self._rows(engine, f"({statement})")

    def rows_of(self, relation: str) -> Rows:
        """Read the decisions that another engine wrote."""
        with duckdb.connect() as engine:
            return self._rows(engine, relation)

    def _rows(self, engine: Any, relation: str) -> Rows:
        listed = ", ".join(f'"{name}"' for name in self.columns)
        rows = engine.execute(f"SELECT {listed} FROM {relation}").fetchall()
        found = {row[0]: row for row in rows}
        assert len(found) == len(rows), "an item is decided twice"
        return found

    def texts(self) -> set[str]:
        """Read every text of every file of the lake."""
        found: set[str] = set()
        for path in self.folder.rglob("*.parquet"):
            for column in pq.read_table(path).columns:
                if pa.types.is_string(column.type):
                    found.update(text for text in column.unique().to_pylist() if text is not None)
        return found

    def differences(self, statement: str, zone: str = "UTC") -> dict[str, int]:
        """Decide by a statement for DuckDB, and count the values that differ from the database."""
        return self.compared(self.decide(statement, zone))

    def compared(self, got: Rows) -> dict[str, int]:
        """Count the values that differ, by the column; a row that only one side has is one of the column `row`."""
        found = Counter({"row": len(got.keys() ^ self.expected.keys())})
        for item in got.keys() & self.expected.keys():
            pairs = zip(self.columns, got[item], self.expected[item], strict=True)
            found.update(name for name, ours, theirs in pairs if ours != theirs)
        return {name: count for name, count in found.items() if count}


async def loaded(gateway: TestGateway, seed: int, worlds: int, instants: int) -> Batch:
    """Load a batch of generated facts, and put its policy in force."""
    batch = make_batch(seed, worlds, instants)
    await enforce(gateway, batch)
    await load(gateway, batch)
    with reading(gateway.database_url):
        pass  # registers the client
    return batch


async def lakes_of(gateway: TestGateway, instants: Iterable[datetime], folder: Path) -> list[DecidedLake]:
    """Export a lake at each instant, with what PostgreSQL decides then."""
    made = []
    for number, at in enumerate(instants):
        gateway.set_clock(at)
        lake = folder / f"lake-{number}"
        async with open_database(gateway.database_url, SECRET) as database:
            await export_lake(database, gateway.database_url, SECRET, lake, CLIENT, PURPOSE, with_texts=True)
        made.append(decided_lake(gateway, lake, at))
    return made


def decided_lake(gateway: TestGateway, folder: Path, at: datetime) -> DecidedLake:
    """Read what PostgreSQL decides about the items of a lake at this moment."""
    evidence = [name for name in evidence_columns(examined=False) if name != "kind"]
    columns = ("id", "account", "kind", "ground", *evidence, *(each.code for each in CONDITIONS), "permitted")
    listed = ", ".join(f'd."{name}"' for name in columns)
    with reading(gateway.database_url) as connection:
        decided = "grounds.decision d JOIN grounds.content c ON c.id = d.id"
        rows = connection.execute(f"SELECT {listed} FROM {decided} WHERE NOT ({PRIVATE})".encode()).fetchall()
    return DecidedLake(folder, at, columns, {row[0]: tuple(row) for row in rows})


def statement_of(
    lake: DecidedLake,
    dialect: DialectName = DialectName.DUCKDB,
    conditions: tuple[Condition, ...] = CONDITIONS,
) -> str:
    """Compile the statement of a lake's decisions for an engine."""
    return LakeCompiler(open_lake(lake.folder)[0], dialect, conditions).statement()
