"""A later release of Grounds: a copy of the code with a later version, migrations, a slow index and other rules."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from db.migrate import newest_version
from tests.support.command import Serving, address_from, environment
from tests.support.repository import ROOT

NEWER_VERSION = "0.2.0"
COLUMN = "    lifted_by text\n"
RULE = '("s.country IN ({regions})",)'
NEWER_RULE = "(\"s.country IN ({regions}) AND s.country <> 'XX'\",)"
SLOW = """
CREATE FUNCTION grounds.slowly(id bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $$
BEGIN
    IF current_query() LIKE 'CREATE INDEX CONCURRENTLY%' THEN
        PERFORM pg_sleep({seconds});
    END IF;
    RETURN id;
END $$;
"""
INDEX = "content_slowly"
START = "from app.cli.main import main; main()"


def this_release(folder: Path) -> Path:
    """Write a copy of this code into a folder, which later changes of the checkout do not reach."""
    for part in ("app", "schema", "db"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "client", "*.md"))
    return folder


def newer_release(folder: Path, *, seconds_per_item: float = 0) -> Path:
    """Write a later release into a folder. The build of its index needs these seconds per item."""
    stated = this_release(folder) / f"grounds-{NEWER_VERSION}.dist-info"
    stated.mkdir()
    (stated / "METADATA").write_text(f"Metadata-Version: 2.1\nName: grounds\nVersion: {NEWER_VERSION}\n")
    migrations = folder / "db" / "migrations"
    migrations.mkdir(exist_ok=True)
    number = int(newest_version(migrations)) + 1
    slow = SLOW.format(seconds=seconds_per_item)
    index = f"INDEX CONCURRENTLY {INDEX} ON grounds.content (grounds.slowly(id))"
    (migrations / f"{number:04}_reviews.sql").write_text(f"ALTER TABLE grounds.hold ADD reviewed_at timestamptz;{slow}")
    (migrations / f"{number + 1:04}_slow.concurrently.sql").write_text(f"CREATE {index};\n")
    _replace(folder / "db" / "sql" / "hold.sql", COLUMN, COLUMN.replace("\n", ",\n    reviewed_at timestamptz\n"))
    facts = folder / "db" / "sql" / "facts.sql"
    facts.write_text(f"{facts.read_text()}{slow}CREATE {index.replace(' CONCURRENTLY', '')};\n")
    called = '    "claim(text)": LOGIN_ROLES,\n'
    _replace(folder / "db" / "access" / "declaration.py", called, f'{called}    "slowly(bigint)": (INGEST, WORKER),\n')
    _replace(folder / "db" / "policy" / "conditions.py", RULE, NEWER_RULE)
    return folder


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1, f"{file} has changed: {old}"
    file.write_text(text.replace(old, new))


def run_release(release: Path, *arguments: str, data: Path, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run a command of a release to its end."""
    given = environment(data, env | {"PYTHONPATH": str(release)})
    command = [sys.executable, "-c", START, *arguments]
    return subprocess.run(command, env=given, cwd=release, capture_output=True, text=True)


@contextmanager
def starting_release(release: Path, data: Path, log: Path, env: dict[str, str]) -> "Iterator[subprocess.Popen[bytes]]":
    """Start to serve with a release; the block decides when it ends."""
    given = environment(data, env | {"PYTHONPATH": str(release)})
    command = [sys.executable, "-c", START, "serve", "--port", "0"]
    with log.open("wb") as stderr, subprocess.Popen(command, env=given, cwd=release, stderr=stderr) as process:
        try:
            yield process
        finally:
            process.terminate()


def served_by(process: "subprocess.Popen[bytes]", data: Path, log: Path) -> Serving:
    """Wait until a release that was started listens."""
    return Serving(process, address_from(process, log), data, log)
