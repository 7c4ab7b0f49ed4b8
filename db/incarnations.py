"""The incarnations of the database: the rows that existed at each restore. Because of them, no id is used twice.

A restored database gives numbers out again that the lost one gave out before. An id therefore contains the incarnation
in which its row was first stored, and the rows that a restored database has keep theirs.
"""

import json
from bisect import bisect_left
from dataclasses import dataclass

import psycopg

from db.access.role_names import BECOME_OWNER
from db.connection_types import Connection


@dataclass(frozen=True, slots=True)
class Incarnations:
    """The random values of a database's incarnations, the oldest first.

    Of each table, `last_ids` has the number of the last row that existed when each incarnation after the first began.
    """

    values: tuple[int, ...]
    last_ids: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def ends_of(self, table: str) -> tuple[int, ...]:
        """Return the last number of each earlier incarnation in a table of the database."""
        return dict(self.last_ids).get(table, (0,) * (len(self.values) - 1))

    def value_of(self, ends: tuple[int, ...], number: int) -> int:
        """Return the value of the incarnation in which the database first stored a row; `ends` are of its table."""
        return self.values[bisect_left(ends, number)]


FIRST_INCARNATION = Incarnations((0,))
"""The incarnation of a database that was never restored, for tests."""


async def load_incarnations(borrowed: Connection) -> Incarnations:
    """Read the incarnations of the database."""
    rows = await borrowed.fetch("SELECT value, last_ids::text FROM grounds.incarnations()")
    later = [json.loads(row["last_ids"]) for row in rows[1:]]
    tables = later[-1] if later else ()
    ends = tuple((table, tuple(last_ids.get(table, 0) for last_ids in later)) for table in tables)
    return Incarnations(tuple(row["value"] for row in rows), ends)


def begin_incarnation(connection: psycopg.Connection) -> None:
    """Begin a new incarnation of a restored database in a transaction: ids of its rows stay, and no lost id returns."""
    connection.execute(BECOME_OWNER)
    connection.execute("SELECT grounds.begin_incarnation()")
    connection.execute("RESET ROLE")
