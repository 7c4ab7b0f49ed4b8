"""Objections as officers review them: counted, listed, matched to an account, or rejected."""

from datetime import date, datetime
from typing import NamedTuple

from db.connection import Connection, Reader


class ObjectionCounts(NamedTuple):
    """Counts of objections; the times are seconds from received to recorded, None if none came in 90 days."""

    received: int
    in_force: int
    withdrawn: int
    unmatched: int
    rejected: int
    median: float | None
    p95: float | None
    longest: float | None


class ReceivedRow(NamedTuple):
    """The number of objections that were received on a day (UTC) by a channel."""

    day: date
    channel: str | None
    received: int


class RecordRow(NamedTuple):
    """An objection with all that is recorded of it; `targets` are `KIND value`."""

    id: int
    reference: str
    scope: str
    channel: str | None
    received_at: datetime
    recorded_at: datetime
    withdrawn_at: datetime | None
    active_until: datetime | None
    matched: bool
    rejection_reason: str | None
    rejection_asked_by: str | None
    rejection_asked_at: datetime | None
    rejected_by: str | None
    rejected_at: datetime | None
    targets: list[str]


async def record_matched_objections(worker: Connection) -> int:
    """Record in the database which objections match an account, so that reviews skip them; return 0."""
    await worker.execute("SELECT grounds.record_matched_objections()")
    return 0


async def count_objections(reader: Reader) -> ObjectionCounts:
    """Count in the database all objections that officers review, by their states."""
    (row,) = await reader.fetch("SELECT * FROM grounds.count_objections()")
    return ObjectionCounts(*row)


async def received_objections(reader: Reader) -> list[ReceivedRow]:
    """Count in the database the objections of the last 90 days by day and channel, the latest first."""
    rows = await reader.fetch(
        "SELECT (received_at AT TIME ZONE 'UTC')::date AS day, channel, count(*) FROM grounds.objection"
        " WHERE received_at >= grounds.decision_time() - interval '90 days'"
        " AND id <> ALL (ARRAY(SELECT grounds.planted_objections())) GROUP BY 1, 2 ORDER BY 1 DESC, 2"
    )
    return [ReceivedRow(*row) for row in rows]


async def page_of_objections(
    reader: Reader, after: int, first: int, *, unmatched: bool
) -> tuple[list[RecordRow], bool]:
    """Read from the database a page of the objections that officers review, and whether there are more.

    An unmatched one reaches no known account, is not withdrawn, and was not rejected.
    """
    narrowed = f" AND {UNMATCHED}" if unmatched else ""
    page = f"o.id > $1{narrowed} ORDER BY o.id LIMIT $2::int + 1"
    rows = await reader.fetch(f"{_OBJECTIONS.format(page)} ORDER BY o.id", after, first)
    reader.people.objections.update(row["id"] for row in rows[:first])
    return [RecordRow(*row) for row in rows[:first]], len(rows) > first


async def objection_of(reader: Reader, number: int) -> RecordRow | None:
    """Read from the database one objection that an officer reviews."""
    rows = await reader.fetch(_OBJECTIONS.format("o.id = $1"), number)
    reader.people.objections.update(row["id"] for row in rows)
    return RecordRow(*rows[0]) if rows else None


_NOBODYS = "EXISTS (SELECT FROM grounds.unmatched_objections() n WHERE n.objection = o.id OFFSET 0)"
UNMATCHED = (
    f"o.withdrawn_at IS NULL AND {_NOBODYS} AND NOT EXISTS ("
    "SELECT FROM grounds.objection_rejection x WHERE x.objection = o.id AND x.rejected_at IS NOT NULL)"
)
TARGETS = "ARRAY(SELECT t.kind || ' ' || t.value FROM grounds.objection_target t WHERE t.objection = o.id ORDER BY 1)"
_OBJECTIONS = f"""
SELECT o.id, o.platform_id, o.scope, o.channel, o.received_at,
    (SELECT min(e.recorded_at) FROM grounds.consent_event e
     WHERE e.objection = o.id AND e.kind = 'OBJECTION_RECEIVED') AS recorded_at,
    o.withdrawn_at, o.withdrawn_at + make_interval(hours => 24 * (p.document #>> '{{{{dwell,withdrawal_days}}}}')::int),
    NOT {_NOBODYS} AS matched,
    r.reason, r.asked_by, r.asked_at, r.rejected_by, r.rejected_at, {TARGETS} AS targets
FROM (SELECT * FROM grounds.objection_in_force o WHERE {{}}) o
CROSS JOIN (SELECT document FROM grounds.policy WHERE active) p
LEFT JOIN grounds.objection_rejection r ON r.objection = o.id
"""
