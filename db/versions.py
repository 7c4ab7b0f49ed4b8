"""Which version of Grounds brought a database up to date. An older version of Grounds never replaces its rules."""

from importlib import metadata
from typing import Final

import psycopg

from db.access.role_names import BECOME_OWNER
from db.administrator import DatabaseError

VERSION: Final = metadata.version("grounds")


def raise_if_newer(connection: psycopg.Connection) -> None:
    """Raise DatabaseError if a later version of Grounds brought the database up to date."""
    found = _stored_version(connection)
    if found is not None and _sort_key(found) > _sort_key(VERSION):
        raise DatabaseError(
            f"the database was brought up to date by Grounds {found}, and this is Grounds {VERSION} (use Grounds"
            f" {found} or later)"
        )


def record_version(connection: psycopg.Connection) -> None:
    """Record in the open transaction that this version of Grounds brought the database up to date."""
    connection.execute(BECOME_OWNER)
    connection.execute("UPDATE grounds.installation SET version = %s", [VERSION])


def _stored_version(connection: psycopg.Connection) -> str | None:
    """Read the newest version of Grounds that brought the database up to date; None for a new database."""
    if connection.execute("SELECT to_regclass('grounds.installation')").fetchone() == (None,):
        return None
    with connection.transaction():
        connection.execute(BECOME_OWNER)
        row = connection.execute("SELECT version FROM grounds.installation").fetchone()
        connection.execute("RESET ROLE")
    return row[0] if row else None


def _sort_key(version: str) -> list[int]:
    """Return the numbers of a version of Grounds, by which versions are sorted."""
    return [int(part) for part in version.split(".") if part.isdecimal()]
