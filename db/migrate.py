"""Create a new database from the files in db/sql, or update an older database with migrations.

db/sql describes the database as it is, one file per domain. db/migrations holds what changed between releases, as
`NNNN_name.sql` from 0002 on; version 0001 is the description as it was at the first release. Indexes that are built
beside running gateways are in files `NNNN_name.concurrently.sql`. A new database is built from the description and is
stamped with the newest version.
"""

import hashlib
import inspect
from pathlib import Path

import psycopg

from db import past_views
from db.access.declaration import OWNER
from db.access.grants import access_statements, row_security
from db.access.role_names import RoleNames, role_names
from db.index_builds import SUFFIX

DESCRIPTION = Path(__file__).parent / "sql"
MIGRATIONS = Path(__file__).parent / "migrations"
# In the order in which they are applied: the bodies of functions are not checked, but columns and views are.
DOMAINS = (
    *("calendar", "facts", "claims", "consent", "campaign", "policy", "hold", "canary", "client", "person"),
    *("standing", "family", "taking_back"),
    *("standing_queue", "referenced_contact", "delivery", "staff_read", "ledger", "retraction", "release", "lake"),
    *(
        "training_run",
        "incarnation",
        "objection",
        "placeholder",
        "offer",
        "availability",
        "altered_medium",
        "notice_task",
        "history",
        "coverage",
    ),
    *("installation", "journal", "session", "reading_link", "job", "metrics", "public_record", "report"),
)
FIRST_VERSION = "0001"
_STAMP_TABLE = """
CREATE TABLE grounds.migration (
    version text PRIMARY KEY,
    description text NOT NULL, -- a digest of db/sql: the same version has the same description everywhere
    derived text NOT NULL,     -- a digest of the roles, the grants, and the views of the past
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class MigrationError(Exception):
    """A database that this release cannot bring up to date: the version that it has, and why."""


def apply_migrations(
    connection: psycopg.Connection,
    description: Path = DESCRIPTION,
    migrations: Path = MIGRATIONS,
    names: RoleNames | None = None,
) -> bool:
    """Apply migrations to the database in one transaction, or in the one that is open; return whether any did.

    The connection is the administrator's. The roles, which exist, have these `names`; by default those that the
    database already uses. Raises MigrationError for a database of a later release, or of
    an unreleased one whose tables are described differently.
    """
    newest, digest, derived = (
        newest_version(migrations),
        _digest(_description_sources(description)),
        _digest(_derivations()),
    )
    found = _current_version(connection)
    if found == (newest, digest, derived):
        return False
    names = names or role_names(connection) or RoleNames()
    with connection.transaction():
        connection.execute(names.of(f"CREATE SCHEMA IF NOT EXISTS grounds AUTHORIZATION {OWNER}").encode())
        connection.execute(names.of(f"SET LOCAL ROLE {OWNER}").encode())
        if found is None:
            build_description(connection, description, names)
            connection.execute(_STAMP_TABLE)
        else:
            _upgrade(connection, found[:2], newest, digest, migrations)
        past_views.derive_past_views(connection)
        for statement in access_statements(*row_security(connection, names)):
            connection.execute(names.of(statement).encode())
        connection.execute(
            "INSERT INTO grounds.migration (version, description, derived) VALUES (%s, %s, %s)"
            " ON CONFLICT (version) DO UPDATE SET description = excluded.description, derived = excluded.derived",
            [newest, digest, derived],
        )
    return True


def is_current(connection: psycopg.Connection) -> bool:
    """Return whether the database has the version, the description and the grants of this release.

    Raises MigrationError for a database that was set up before the first release.
    """
    return _current_version(connection) == (
        newest_version(),
        _digest(_description_sources(DESCRIPTION)),
        _digest(_derivations()),
    )


def build_description(
    connection: psycopg.Connection, description: Path = DESCRIPTION, names: RoleNames | None = None
) -> None:
    """Create all tables and functions that a description's SQL describes, in the current transaction."""
    connection.execute("SET LOCAL check_function_bodies = off")  # a function may call one of a later domain
    for source in _description_sources(description):
        connection.execute((names or RoleNames()).of_file(source))


def newest_version(migrations: Path = MIGRATIONS) -> str:
    """Return the version that a database has once every migration is applied."""
    return max((version for version, _ in _numbered_migrations(migrations)), default=FIRST_VERSION)


def _upgrade(
    connection: psycopg.Connection, found: tuple[str, str], newest: str, digest: str, migrations: Path
) -> None:
    """Apply the migrations that an older database lacks. Raises MigrationError for a newer or foreign one."""
    version, description = found
    if version > newest:
        raise MigrationError(
            f"the database has version {version}, and this release supports up to {newest} (use a later release)"
        )
    if version == newest and description != digest:
        raise MigrationError(
            f"the database was set up by another build of version {version} (load the facts into a new database)"
        )
    for later, path in _numbered_migrations(migrations):
        if later > version and not path.name.endswith(SUFFIX):
            connection.execute((role_names(connection) or RoleNames()).of_file(path.read_bytes()))


def _current_version(connection: psycopg.Connection) -> tuple[str, str, str] | None:
    """Read the version of a database's tables; None for an empty database."""
    if connection.execute("SELECT to_regclass('grounds.migration')").fetchone() == (None,):
        if connection.execute("SELECT to_regclass('grounds.account')").fetchone() != (None,):
            raise MigrationError(
                "the database was set up before the first release (load the facts into a new database)"
            )
        return None
    return connection.execute(
        "SELECT version, description, derived FROM grounds.migration ORDER BY version DESC LIMIT 1"
    ).fetchone()


def _numbered_migrations(migrations: Path) -> list[tuple[str, Path]]:
    """List the migrations' SQL files with their numbers, in order."""
    return sorted((path.name.partition("_")[0], path) for path in migrations.glob("[0-9][0-9][0-9][0-9]_*.sql"))


def _description_sources(description: Path) -> list[bytes]:
    """Read the SQL files that describe the database, in order."""
    return [(description / f"{domain}.sql").read_bytes() for domain in DOMAINS]


def _derivations() -> list[bytes]:
    """Return the sources of what is derived from the tables: the roles, the grants and the views of the past."""
    roles = (DESCRIPTION / "roles.sql").read_bytes()
    return [roles, *(statement.encode() for statement in access_statements()), inspect.getsource(past_views).encode()]


def _digest(parts: list[bytes]) -> str:
    """Hash the sources of the database's description, so that a change of them is noticed."""
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
