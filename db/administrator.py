"""The administrator's connection, for work that only the owner of the database can do."""

import time

import psycopg

_LOCK = 0x67726F756E6473  # "grounds"


class DatabaseError(Exception):
    """A fault of the database that an operator can correct. The message explains how."""


def administrator_connection(url: str) -> psycopg.Connection:
    """Connect to the database as the administrator, and wait until no other administrator is at work.

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
    while connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK]).fetchone() != (True,):
        time.sleep(0.05)
    return connection


def _is_direct(connection: psycopg.Connection) -> bool:
    """Return whether a connection reaches PostgreSQL itself, and not a connection pooler.

    A pooler may use another session for each transaction. Session locks and claims would then reach other requests. A
    pooler states a made-up process number when a client connects.
    """
    return connection.execute("SELECT pg_backend_pid()").fetchone() == (connection.info.backend_pid,)
