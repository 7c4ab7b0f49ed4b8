"""Reads of people's data by officers and auditors. Each read is recorded before it is answered."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from prometheus_client import Counter

from db.connection import METRICS, PeopleRead, Pool, Reader, write_transaction

STAFF_READS: Final = Counter(
    "grounds_staff_reads_total", "Recorded reads of personal data, by role.", ("role",), registry=METRICS
)


class StaffReadRow(NamedTuple):
    """A read: who read what, when and why, and how many people it was about."""

    id: int
    reader: str
    role: str
    read_at: datetime
    fields: list[str]
    reason: str | None
    accounts: int
    objections: int


class OwnReadRow(NamedTuple):
    """A read of a data subject's own account: when, and by which role."""

    read_at: datetime
    role: str


async def record_staff_read(
    pool: Pool, reader: str, role: str, people: PeopleRead, fields: Sequence[str], reason: str | None
) -> None:
    """Record in the database whose data an officer or auditor read. `fields` are the operation's root fields."""
    async with write_transaction(pool, examiner=role, officer=reader) as connection:
        await connection.execute(
            "SELECT grounds.record_staff_read($1, $2, $3, $4, $5)",
            *(list(fields), reason, sorted(people.accounts), sorted(people.items), sorted(people.objections)),
        )
    STAFF_READS.labels(role).inc()


async def page_of_staff_reads(
    reader: Reader, before: int | None, first: int, *, account: int | None = None
) -> tuple[list[StaffReadRow], bool]:
    """Read from the database a page of officers' and auditors' reads, of one account or of all."""
    rows = await reader.fetch(_READS if account is None else _READS_OF_ACCOUNT, before, first, account)
    return [StaffReadRow(*row) for row in rows[:first]], len(rows) > first


async def own_reads(reader: Reader, first: int) -> list[OwnReadRow]:
    """Read from the database when officers and auditors read a data subject's own account, the latest first."""
    return [OwnReadRow(*row) for row in await reader.fetch("SELECT * FROM grounds.reads_of_subject($1)", first)]


_COLUMNS = """
SELECT r.id, r.reader, r.role, r.read_at, r.fields, r.reason,
    (SELECT count(*) FROM grounds.staff_read_account c WHERE c.staff_read = r.id), cardinality(r.objections)
FROM grounds.staff_read r
"""
_READS = f"""{_COLUMNS}
WHERE r.id < coalesce($1::bigint, 9223372036854775807) AND $3::bigint IS NULL ORDER BY r.id DESC LIMIT $2::int + 1"""
_READS_OF_ACCOUNT = f"""{_COLUMNS} JOIN grounds.staff_read_account a ON a.staff_read = r.id
WHERE a.account = $3::bigint AND r.id < coalesce($1::bigint, 9223372036854775807)
ORDER BY r.id DESC LIMIT $2::int + 1"""
