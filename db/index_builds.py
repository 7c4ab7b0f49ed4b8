"""Build large indexes beside running gateways (CREATE INDEX CONCURRENTLY), which no transaction can contain."""

import re
from pathlib import Path
from typing import Final

import psycopg

from db.access.role_names import RoleNames, role_names
from db.administrator import administrator_connection

SUFFIX: Final = ".concurrently.sql"
"""The end of the names of migrations that contain only statements CREATE INDEX CONCURRENTLY."""
_BUILD: Final = re.compile(r"CREATE (?:UNIQUE )?INDEX CONCURRENTLY (\w+) ON grounds\..*")
_LOCK: Final = 0x696E6465786573  # "indexes"


def build_missing_indexes(url: str, migrations: Path) -> None:
    """Build the indexes of migrations that the database lacks, and those whose build was interrupted.

    Other administrators can work meanwhile. If this process is killed, PostgreSQL ends the build within a second.
    """
    builds = [build for path in sorted(migrations.glob(f"*{SUFFIX}")) for build in _builds_in(path)]
    with psycopg.connect(url, autocommit=True) as connection:
        missing = [build for build in builds if not _is_valid(connection, build[0])]
    if not missing:
        return
    with administrator_connection(url, lock=_LOCK) as connection:
        connection.execute(
            "SET lock_timeout = 0; SET statement_timeout = 0; SET client_connection_check_interval = '1s'"
        )
        connection.execute(f"SET ROLE {(role_names(connection) or RoleNames()).of('grounds_owner')}".encode())
        for name, statement in missing:
            if _is_valid(connection, name):  # another process has built it
                continue
            connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS grounds.{name}".encode())
            connection.execute(statement.encode())


def _builds_in(path: Path) -> list[tuple[str, str]]:
    """Return the name of each index in a migration, with the statement that builds the index."""
    statements = [each.strip() for each in re.sub(r"^--.*$", "", path.read_text(), flags=re.MULTILINE).split(";")]
    found = [(match[1], match[0]) for each in statements if (match := _BUILD.fullmatch(each.replace("\n", " ")))]
    assert len(found) == len([each for each in statements if each]), f"{path}: contains other statements"
    return found


def _is_valid(connection: psycopg.Connection, name: str) -> bool:
    """Return whether the database has an index whose build was not interrupted."""
    row = connection.execute(
        "SELECT i.indisvalid FROM pg_index i WHERE i.indexrelid = to_regclass('grounds.' || %s)", [name]
    ).fetchone()
    return row == (True,)
