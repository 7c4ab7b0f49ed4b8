"""A database that the tests of a worker share, and that each of them finds as the template is."""

from time import sleep
from typing import Any
from uuid import uuid4

import psycopg

# All of a database but its rows and the clock, which tests set. Oids and xmin tell that a definition was replaced.
SCHEMA = """SELECT sum(hashtextextended(part, 0)) FROM (
    SELECT concat('function ', oid, xmin) FROM pg_proc WHERE oid >= 16384 AND proname <> 'decision_time'
    UNION ALL SELECT
        concat('relation ', oid, relname, relowner, relacl, relrowsecurity, relforcerowsecurity, reloptions)
        FROM pg_class WHERE relnamespace IN ('grounds'::regnamespace, 'public'::regnamespace)
    UNION ALL SELECT concat('column ', attrelid, attnum, a.xmin) FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
        WHERE relnamespace = 'grounds'::regnamespace AND relkind <> 'i'
    UNION ALL SELECT concat('trigger ', oid, xmin) FROM pg_trigger
    UNION ALL SELECT concat('policy ', oid, xmin) FROM pg_policy
    UNION ALL SELECT concat('rule ', oid, xmin) FROM pg_rewrite WHERE oid >= 16384
    UNION ALL SELECT concat('constraint ', oid, xmin) FROM pg_constraint WHERE oid >= 16384
    UNION ALL SELECT concat('schema ', nspname, nspacl) FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'
    UNION ALL SELECT concat('statistics ', starelid) FROM pg_statistic WHERE starelid >= 16384
    UNION ALL SELECT concat('database ', datacl, datdba) FROM pg_database WHERE datname = current_database()
    UNION ALL SELECT concat('setting ', setrole, setconfig) FROM pg_db_role_setting
) parts (part)"""
CLOCK = "SELECT pg_get_functiondef('grounds.decision_time()'::regprocedure)"
FILLED = """SELECT oid::regclass::text, pg_relation_size(oid) > 500000 FROM pg_class
    WHERE relnamespace = 'grounds'::regnamespace AND relkind = 'r' AND pg_relation_size(oid) > 0"""
COLUMNS = """SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
    WHERE attrelid = %s::regclass AND attnum > 0 AND attgenerated = '' AND NOT attisdropped"""
SEQUENCES = """SELECT format('%I.%I', schemaname, sequencename)::regclass::oid, start_value, last_value
    FROM pg_sequences WHERE schemaname = 'grounds'"""
# A statement that a test gave up can still commit for a moment.
BUSY = """SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND state <> 'idle'
    AND pid <> pg_backend_pid()"""
# A replica fires no trigger.
SESSION = "SET session_replication_role = replica; SET lock_timeout = '2s'"


class SharedDatabase:
    """A database that is emptied for the next test, or to be replaced where a test changed more than its rows."""

    def __init__(self, cluster: str, template: str) -> None:
        self._cluster, self._template = cluster, template
        self._administrator: psycopg.Connection[tuple[Any, ...]] | None = None
        self._create()

    def restore(self) -> bool:
        """Make the database as it was, unless more than its rows were changed; return whether it is."""
        try:
            if self._is_idle() and self._one(SCHEMA) == self._schema:
                self._empty()
                return True
        except psycopg.Error:
            pass  # dropped, cut off, or locked by what a test left behind
        return False

    def replace(self) -> None:
        """Make a new database in its place."""
        self.drop()
        self._create()

    def end_sessions(self) -> None:
        """End what a test left connected."""
        self._connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    def execute(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement as the administrator, on a connection that stays, for opening costs more than running."""
        if self._administrator is None or self._administrator.closed:
            self._administrator = psycopg.connect(self.url, autocommit=True)
        try:
            return fetch_all(self._administrator, statement, *values)
        except psycopg.OperationalError:
            if not self._administrator.closed:
                raise
        return self.execute(statement, *values)  # a test had ended every session

    def drop(self) -> None:
        self._connection.close()
        if self._administrator is not None:
            self._administrator.close()
        with psycopg.connect(self._cluster, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)".encode())

    def _is_idle(self) -> bool:
        for _ in range(200):
            if self._one(BUSY) == 0:
                return True
            sleep(0.01)
        return False

    def _create(self) -> None:
        self.name = f"test_{uuid4().hex}"
        self.url = create_database(self._cluster, self.name, self._template)
        self._connection = psycopg.connect(self.url, autocommit=True)
        self._connection.execute(SESSION.encode())
        self._schema, self._clock = self._one(SCHEMA), self._one(CLOCK)
        self._rows = {table: self._copied(table) for table, _ in self._all(FILLED)}
        self._sequences = self._positions()

    def _empty(self) -> None:
        """Delete the rows, which costs a tenth of what TRUNCATE costs, except where they are many."""
        filled = self._all(FILLED)
        for table, is_large in filled:
            self._connection.execute(f"{'TRUNCATE' if is_large else 'DELETE FROM'} {table}".encode())
        for table, (columns, rows) in self._rows.items():
            with self._connection.cursor().copy(f"COPY {table} ({columns}) FROM STDIN".encode()) as copy:
                copy.write(rows)
        for sequence, position in self._positions().items():
            if position != self._sequences[sequence]:
                self._connection.execute("SELECT setval(%s::regclass, %s, %s)", [sequence, *self._sequences[sequence]])
        if self._one(CLOCK) != self._clock:
            self._connection.execute(self._clock)

    def _positions(self) -> dict[int, tuple[int, bool]]:
        """Where each sequence stands: what it gave last, and whether it gave that."""
        return {oid: (start if last is None else last, last is not None) for oid, start, last in self._all(SEQUENCES)}

    def _copied(self, table: str) -> tuple[str, bytes]:
        columns = self._connection.execute(COLUMNS.encode(), [table]).fetchall()[0][0]
        with self._connection.cursor().copy(f"COPY {table} ({columns}) TO STDOUT".encode()) as copy:
            return columns, b"".join(map(bytes, copy))

    def _one(self, query: str) -> Any:
        return self._all(query)[0][0]

    def _all(self, query: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(query.encode()).fetchall()


def fetch_all(connection: psycopg.Connection[tuple[Any, ...]], statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Run a statement on a connection; return its rows, none if it has none."""
    cursor = connection.execute(statement.encode(), values)
    return cursor.fetchall() if cursor.description else []


def create_database(cluster: str, name: str, template: str) -> str:
    """Copy a database; return the new one's URL."""
    with psycopg.connect(cluster, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy".encode())
    return database_of(cluster, name)


def database_of(cluster: str, name: str) -> str:
    return f"{cluster.rpartition('/')[0]}/{name}"
