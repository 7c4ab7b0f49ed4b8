"""The administrator's connection, for work that only the owner of the database can do."""

import time
from collections.abc import Callable

import psycopg

_LOCK = 0x67726F756E6473  # "grounds"
LIMIT_LOCKS = "SET LOCAL lock_timeout = 300"
"""The statement that limits how long a change waits for a lock. Requests wait at most 500 ms (db/sql/roles.sql)."""
PAUSE_SECONDS = 1.0
PATIENCE_SECONDS = 600.0


class DatabaseError(Exception):
    """A fault of the database that an operator can correct. The message explains how."""


def administrator_connection(url: str, *, lock: int = _LOCK) -> psycopg.Connection:
    """Connect to the database as the administrator, and wait until no other administrator with this lock is at work.

    Raises DatabaseError where PostgreSQL cannot be reached, or only through a connection pooler.
    """
    try:
        connection = psycopg.connect(url, autocommit=True, connect_timeout=10)
    except psycopg.OperationalError as error:
        raise DatabaseError(f"cannot connect to PostgreSQL (check DATABASE_URL): {str(error).strip()}") from None
    if not _is_direct(connection):
        connection.close()
        raise DatabaseError(
            "DATABASE_URL leads to a connection pooler, such as PgBouncer (use the address of PostgreSQL itself: the"
            " gateway keeps connections open and shares them between requests)"
        )
    # Polled: a blocking lock can deadlock with concurrent index builds.
    while connection.execute("SELECT pg_try_advisory_lock(%s)", [lock]).fetchone() != (True,):
        time.sleep(0.05)
    return connection


def change_when_unlocked(connection: psycopg.Connection, change: Callable[[], None]) -> None:
    """Change the database in one transaction as the administrator; take it back and try again while it must wait.

    Requests that need the same tables wait behind a change that waits for its locks. Therefore, the change waits for
    less time than requests do, and not again for a second. Raises DatabaseError if the change cannot be made.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with connection.transaction():
                connection.execute(LIMIT_LOCKS)
                change()
            return
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            if time.monotonic() > end:
                raise DatabaseError(
                    "the database cannot be changed while other transactions use its tables (end the long transactions"
                    " that pg_stat_activity lists, then run the command again)"
                ) from None
        time.sleep(PAUSE_SECONDS)


def _is_direct(connection: psycopg.Connection) -> bool:
    """Return whether a connection reaches PostgreSQL itself, and not a connection pooler.

    A pooler may use another session for each transaction. Session locks and claims would then reach other requests. A
    pooler states a made-up process number when a client connects.
    """
    return connection.execute("SELECT pg_backend_pid()").fetchone() == (connection.info.backend_pid,)
