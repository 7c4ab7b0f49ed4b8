"""Decide about all items of a lake with DuckDB, in this process. Needs the extra `lake`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from app.lakes.folder import LakeError, fact_files, new_folder, open_lake
from db.lake.compile import LakeCompiler
from db.lake.dialects import DialectName
from db.lake.facts import FACTS

DECISIONS: Final = "decisions.parquet"
PERMITTED: Final = "permitted.parquet"
_FORMAT: Final = "(FORMAT parquet, COMPRESSION zstd)"
_OF_TEXT: Final = ("kind", "product", "language", "text")


@dataclass(frozen=True, slots=True)
class LakeDecisions:
    """What was decided about a lake: how many items, and how many of them are permitted."""

    items: int
    permitted: int
    has_texts: bool


def decide_lake(folder: Path, output: Path, public_key: str | None = None) -> LakeDecisions:
    """Decide about all items of a lake, and write a new folder with the decisions, and with the permitted texts.

    Raises LakeError.
    """
    snapshot, manifest = open_lake(folder, public_key)
    statement = LakeCompiler(snapshot, DialectName.DUCKDB).statement()
    with new_folder(output) as unfinished, open_duckdb(folder, manifest, unfinished) as engine:
        try:
            decided = _decide(engine, statement, unfinished)
        except duckdb.Error as error:
            raise LakeError(
                f"{output}: cannot be written by DuckDB: {_first_line(error)} (make space on the disk, and repeat)"
            ) from None
        for path in unfinished.iterdir():
            if path.is_file():
                path.chmod(0o600)
    return decided


def open_duckdb(folder: Path, manifest: dict[str, Any], scratch: Path) -> duckdb.DuckDBPyConnection:
    """Open an engine that reads the facts of a lake. What exceeds its memory is written to a folder for a while."""
    engine = duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})
    engine.execute("SET TimeZone = 'UTC'")
    engine.execute(f"SET temp_directory = {_path_literal(scratch / 'spilled')}")
    for name in (*(f"facts/{facts.name}" for facts in FACTS), "texts/text"):
        listed = ", ".join(map(_path_literal, fact_files(folder, manifest, name)))
        if listed:
            engine.execute(f"CREATE VIEW {name.partition('/')[2]} AS SELECT * FROM read_parquet([{listed}])")
    return engine


def _decide(engine: duckdb.DuckDBPyConnection, statement: str, folder: Path) -> LakeDecisions:
    """Write the decisions about a lake, and the texts that they permit. Raises LakeError."""
    decisions = _path_literal(folder / DECISIONS)
    engine.execute(f"COPY ({statement}) TO {decisions} {_FORMAT}")
    items, permitted = _only_row(engine, f"SELECT count(*), count(*) FILTER (permitted) FROM read_parquet({decisions})")
    (has_texts,) = _only_row(engine, "SELECT count(*) FROM duckdb_views() WHERE view_name = 'text'")
    if has_texts:
        named = ", ".join(f"t.{name}" for name in _OF_TEXT)
        shown = f"d.* EXCLUDE (id, account, kind, permitted, {', '.join(_codes(engine, decisions))})"
        joined = f"read_parquet({decisions}) d JOIN text t ON t.id = d.id WHERE d.permitted"
        target = _path_literal(folder / PERMITTED)
        engine.execute(
            f"COPY (SELECT t.pseudonym AS id, t.author, {named}, {shown} FROM {joined}) TO {target} {_FORMAT}"
        )
        (written,) = _only_row(engine, f"SELECT count(*) FROM read_parquet({target})")
        if written != permitted:
            raise LakeError(
                f"{permitted - written} items are permitted by DuckDB and not by the database in the same snapshot"
                " (use nothing of this lake, and report the error to the developers)"
            )
    return LakeDecisions(items, permitted, bool(has_texts))


def _codes(engine: duckdb.DuckDBPyConnection, decisions: str) -> list[str]:
    """Return the columns of a lake's decisions that are conditions, which permitted items all pass."""
    described = engine.execute(f"DESCRIBE SELECT * FROM read_parquet({decisions})").fetchall()
    return [f'"{name}"' for name, *_ in described if name.isupper()]


def _only_row(engine: duckdb.DuckDBPyConnection, statement: str) -> tuple[Any, ...]:
    """Read the only row of a statement on a lake."""
    (row,) = engine.execute(statement).fetchall()
    found: tuple[Any, ...] = row
    return found


def _path_literal(path: Path) -> str:
    """Write a path as an SQL literal."""
    return "'" + str(path).replace("'", "''") + "'"


def _first_line(error: Exception) -> str:
    """Return the first line of an engine's error, which names no value."""
    return str(error).partition("\n")[0]
