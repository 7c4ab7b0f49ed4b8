"""After a restore no id means another row, whatever was stored, backed up, lost and restored before."""

import random
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import psycopg
import pytest

from db.incarnations import FIRST_INCARNATION, Incarnations, begin_incarnation, load_incarnations
from schema.relay.ids import IdKind, Ids
from tests.support.gateway import SECRET
from tests.support.mutants import Killed

pytestmark = pytest.mark.database

KINDS = {
    IdKind.HOLD: "INSERT INTO grounds.hold (scope, authority, reason, opened_at) VALUES ('GLOBAL', 'A', %s, now())",
    IdKind.NOTICE: "INSERT INTO grounds.notice (platform_id, account, channel, epoch, observed_at, digest)"
    " VALUES (%s, 1, 'EMAIL', '2025-04', now(), '')",
}
TABLES = {IdKind.HOLD: "hold", IdKind.NOTICE: "notice"}
KEPT = ("hold", "notice", "incarnation")


@dataclass
class Backup:
    """What a database had when it was backed up: what the rows are, the rows themselves, and where sequences stand."""

    rows: dict[tuple[IdKind, int], str]
    copied: dict[str, bytes]
    given: dict[str, int]


@dataclass
class History:
    """A database that is written, backed up and restored, and every id that a client was ever given."""

    connection: psycopg.Connection[tuple[Any, ...]]
    incarnations: Incarnations
    rows: dict[tuple[IdKind, int], str] = field(default_factory=dict)
    ids: dict[str, tuple[IdKind, str]] = field(default_factory=dict)
    backups: list[Backup] = field(default_factory=list)
    cursors: set[str] = field(default_factory=set)
    cursors_before: set[str] = field(default_factory=set)
    restores: int = 0

    def naming(self) -> Ids:
        return Ids(SECRET, "client:demo", self.incarnations)

    def store(self, kind: IdKind, name: str) -> None:
        number = self.connection.execute(f"{KINDS[kind]} RETURNING id".encode(), [name]).fetchall()[0][0]
        self.rows[kind, number] = name

    def give_ids(self) -> None:
        naming = self.naming()
        self.ids |= {naming.encode(kind, number): (kind, name) for (kind, number), name in self.rows.items()}
        self.cursors |= {naming.encode(IdKind.RETRACTION_CURSOR, number) for _, number in self.rows}

    def back_up(self) -> None:
        ahead = random.choice((0, 0, 3))  # as the sequence of a standby is, which is logged ahead
        copied, given = {}, {}
        for table in KEPT:
            with self.connection.cursor().copy(f"COPY grounds.{table} TO STDOUT".encode()) as copy:
                copied[table] = b"".join(map(bytes, copy))
        for table in TABLES.values():
            found = self.connection.execute(f"SELECT last_value FROM grounds.{table}_id_seq".encode()).fetchall()
            given[table] = found[0][0] + ahead
        self.backups.append(Backup(dict(self.rows), copied, given))

    def restore(self) -> None:
        """Make the database what it was at a backup, of this history or of one that was lost, and accept it."""
        backup = random.choice(self.backups)
        self.rows = dict(backup.rows)
        for table in KEPT:
            self.connection.execute(f"DELETE FROM grounds.{table}".encode())
            with self.connection.cursor().copy(f"COPY grounds.{table} FROM STDIN".encode()) as copy:
                copy.write(backup.copied[table])
        for table, given in backup.given.items():
            self.connection.execute(f"SELECT setval('grounds.{table}_id_seq', %s)".encode(), [given])
        self.connection.execute(
            "SELECT setval('grounds.incarnation_number_seq', (SELECT max(number) FROM grounds.incarnation))"
        )
        begin_incarnation(self.connection)
        self.connection.execute("SET LOCAL session_replication_role = 'replica'")
        self.restores += 1
        self.cursors_before = set(self.cursors)

    def wrong(self) -> list[str]:
        """Return each id that means another row, or no row although its row is stored."""
        naming, stored = self.naming(), {(kind, name) for (kind, _), name in self.rows.items()}
        found = []
        for text, (kind, name) in self.ids.items():
            number = naming.decode_as(kind, text)
            meant = None if number is None else self.rows.get((kind, number))
            if meant != (name if (kind, name) in stored else None):
                found.append(f"{kind.name} {name} means {meant}")
        if self.restores:
            found += [text for text in self.cursors_before if not naming.is_lost_cursor(IdKind.RETRACTION_CURSOR, text)]
        return found


async def incarnations_of(url: str, connection: psycopg.Connection[tuple[Any, ...]]) -> Incarnations:
    """Read the incarnations as a gateway does, from the rows of a transaction that is open."""

    class Rows:
        async def fetch(self, statement: str) -> list[dict[str, Any]]:
            rows = connection.execute(statement.encode()).fetchall()
            return [{"value": value, "last_ids": last_ids} for value, last_ids in rows]

    return await load_incarnations(Rows())  # type: ignore[arg-type]  # one transaction, which only its connection sees


async def generated_history(url: str, seed: int, *, known: bool = True) -> History:
    """Write, back up and restore a database at random, and check all ids after each step."""
    random.seed(seed)
    with psycopg.connect(url) as connection:
        connection.execute("SET LOCAL session_replication_role = 'replica'")
        history = History(connection, FIRST_INCARNATION)
        checked = 0
        for step in range(40):
            match random.choice("ssssbr"):
                case "s":
                    history.store(random.choice([*KINDS]), f"row {step}")
                case "b":
                    history.back_up()
                case "r" if history.backups:
                    history.restore()
            if known and history.restores > checked:
                checked = history.restores
                history.incarnations = await incarnations_of(url, connection)
                assert history.wrong() == [], f"seed {seed}, step {step}"
            history.give_ids()
        connection.rollback()
    return history


async def test_no_id_means_another_row_after_any_restore(database_url: str) -> None:
    histories = [await generated_history(database_url, seed) for seed in range(20)]
    assert sum(history.restores for history in histories) > 60
    assert sum(len(history.ids) for history in histories) > 250


async def test_a_gateway_that_knows_no_restore_would_be_noticed(database_url: str, killed: Killed) -> None:
    found = [await generated_history(database_url, seed, known=False) for seed in range(10)]
    wrong = [text for history in found for text in history.wrong()]
    killed("ids without the incarnation", "the check of ids", wrong[0] if wrong else None)


async def test_each_database_begins_with_a_random_incarnation(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        for _ in range(50):
            begin_incarnation(connection)
        connection.execute("SET LOCAL grounds.job = 'test'")
        values = [value for (value,) in connection.execute("SELECT value FROM grounds.incarnation").fetchall()]
        connection.rollback()
    assert len(set(values)) == 51
    assert max(values) > 2**30


async def test_a_gateway_reads_the_incarnations_as_its_own_roles(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        begin_incarnation(connection)
    administrator = await asyncpg.connect(database_url)
    try:
        known = await load_incarnations(administrator)
    finally:
        await administrator.close()
    assert len(known.values) == 2
    assert known.ends_of("content") == (0,)
