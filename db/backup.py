"""Back up and restore a database with PostgreSQL's own tools, as the user that set it up (no superuser is needed).

Row security is forced on the owner of the tables too. Its rules show all rows to the owner with the claim of a job, and
the dump is taken so.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psycopg
from psycopg import pq, sql

from db.access.declaration import OWNER
from db.access.role_names import RoleNames, role_names
from db.administrator import DatabaseError, administrator_connection
from db.embedded_postgres import embedded_tools
from db.migrate import DESCRIPTION
from db.setup import check_secret, check_server_version, prepare_database, secret_in_force

_CLAIM: Final = "-c grounds.job=backup -c statement_timeout=0 -c idle_in_transaction_session_timeout=0"


def write_backup(url: str, file: Path) -> None:
    """Write a backup of the database to a new file, for its owner alone. Raises DatabaseError."""
    with psycopg.connect(url) as connection:
        major = connection.info.server_version // 10000
        names = role_names(connection) or RoleNames()
    unfinished = file.with_name(f".{file.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        _run_tool("pg_dump", major, url, *map(names.of, _DUMP), f"--file={unfinished}")
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        unfinished.rename(file)
    finally:
        unfinished.unlink(missing_ok=True)


def restore_backup(url: str, secrets: Sequence[bytes], file: Path) -> None:
    """Restore a backup of a gateway with one of these secrets into an empty database, and bring it up to date.

    The database is that of before then, with the ids of before: it has to be accepted before a gateway starts. Raises
    DatabaseError. The roles have the names that the backup states.
    """
    with administrator_connection(url) as connection:
        check_server_version(connection)
        if connection.execute("SELECT to_regnamespace('grounds')").fetchone() != (None,):
            raise DatabaseError("the database is not empty (restore into a new database)")
        names = _names_in_backup(file, connection.info.server_version // 10000)
        connection.execute(names.of_file((DESCRIPTION / "roles.sql").read_bytes()))
        may_create = sql.SQL("{} CREATE ON DATABASE {} {} {}")
        database, owner = sql.Identifier(connection.info.dbname), sql.Identifier(names.of(OWNER))
        connection.execute(may_create.format(sql.SQL("GRANT"), database, sql.SQL("TO"), owner))
        try:
            _run_tool("pg_restore", connection.info.server_version // 10000, url, *map(names.of, _RESTORE), str(file))
        finally:
            connection.execute(may_create.format(sql.SQL("REVOKE"), database, sql.SQL("FROM"), owner))
        try:
            check_secret(connection, secret_in_force(url, secrets))
        except DatabaseError:
            connection.execute("DROP SCHEMA grounds CASCADE")
            raise
        # Of the whole database, so not in the backup of a schema.
        with connection.transaction():
            connection.execute(sql.SQL("SET LOCAL ROLE {}").format(owner))
            connection.execute("ALTER DEFAULT PRIVILEGES REVOKE ALL ON FUNCTIONS FROM PUBLIC")
        connection.execute("ANALYZE")
    prepare_database(url, secret_in_force(url, secrets))


def _names_in_backup(file: Path, major: int) -> RoleNames:
    """Read from a backup's table of contents which names the roles have: those of the schema's owner."""
    listed = subprocess.run(  # noqa: S603 - PostgreSQL's tool, without a shell
        [_find_tool("pg_restore", major), "--list", file], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    found = re.search(r" SCHEMA - grounds (\w+)_owner$", listed.stdout, re.MULTILINE)
    if listed.returncode or found is None:
        raise DatabaseError(f"{file}: is not a backup (pass a file that grounds backup wrote)")
    return RoleNames(found[1])


def _run_tool(name: str, major: int, url: str, *arguments: str) -> None:
    """Run a tool of PostgreSQL to back up or restore. Its output can contain data and is not shown."""
    options = {option.envvar.decode(): option.val.decode() for option in pq.Conninfo.parse(url.encode())
               if option.envvar and option.val}  # fmt: skip
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")} | options
    environment["PGOPTIONS"] = f"{options.get('PGOPTIONS', '')} {_CLAIM}"
    program = _find_tool(name, major)
    run = subprocess.run(  # noqa: S603 - PostgreSQL's tool, without a shell
        [program, *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True
    )
    if run.returncode:
        raise DatabaseError(f"{name} failed: {_first_error(run.stderr)}")


def _first_error(said: bytes) -> str:
    """Return the first line of a backup tool's error, without what PostgreSQL adds of the data."""
    lines = [line for line in said.decode(errors="replace").splitlines() if "error" in line.lower()]
    return lines[0].partition(": ")[2] if lines else "it gave no reason"


def _find_tool(name: str, major: int) -> Path:
    """Find a backup tool of the server's own major version: Debian's, the one on the PATH, or the embedded one."""
    on_path = shutil.which(name)
    embedded = embedded_tools()
    candidates = [Path(f"/usr/lib/postgresql/{major}/bin/{name}"), Path(f"/usr/pgsql-{major}/bin/{name}")]
    candidates += [Path(on_path)] if on_path else []
    candidates += [embedded / name] if embedded else []
    for program in candidates:
        if program.exists() and _major_of(program) == major:
            return program
    raise DatabaseError(f"{name} of PostgreSQL {major} is not installed (install the client tools of that version)")


def _major_of(program: Path) -> int:
    """Return the major version of a backup tool."""
    said = subprocess.run(  # noqa: S603 - the same tool
        [program, "--version"], capture_output=True, text=True, check=True
    ).stdout
    return int(said.split()[2].partition(".")[0])


_DUMP: Final = ("--format=custom", "--schema=grounds", f"--role={OWNER}", "--enable-row-security")
_RESTORE: Final = ("--dbname=", "--no-owner", f"--role={OWNER}", "--single-transaction", "--exit-on-error")
