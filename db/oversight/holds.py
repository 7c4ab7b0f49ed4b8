"""Read holds, which stop deliveries for an authority."""

from datetime import datetime
from typing import NamedTuple

from db.connection import Reader


class HoldRow(NamedTuple):
    """A hold with its state. `account` is the id of the account that it covers, None where that is not known."""

    id: int
    scope: str
    value: str | None
    account: int | None
    authority: str
    reason: str
    opened_at: datetime
    opened_by: str | None
    lift_requested_at: datetime | None
    lift_requested_by: str | None
    lifted_at: datetime | None
    lifted_by: str | None
    ends_at: datetime | None


async def page_of_holds(reader: Reader, after: int, first: int, *, open_only: bool) -> tuple[list[HoldRow], bool]:
    """Read from the database a page of officers' holds in the order they were opened, and whether there are more.

    An open one covers its scope now: not lifted, or lifted a shorter time ago than the policy's dwell.
    """
    rows = await reader.fetch(f"{_HOLDS} AND h.id > $1 ORDER BY h.id LIMIT $2::int + 1", after, first, open_only)
    reader.people.accounts.update(row["account"] for row in rows[:first] if row["account"])
    return [HoldRow(*row) for row in rows[:first]], len(rows) > first


async def hold_of(reader: Reader, number: int) -> HoldRow | None:
    """Read one of the officers' holds from the database."""
    rows = await reader.fetch(f"{_HOLDS} AND h.id = $1 AND $2::int IS NOT NULL", number, 0, False)
    reader.people.accounts.update(row["account"] for row in rows if row["account"])
    return HoldRow(*rows[0]) if rows else None


_HOLDS = """
SELECT * FROM (
    SELECT h.id, h.scope, CASE WHEN h.scope <> 'ACCOUNT' THEN h.value END AS value,
        (SELECT a.id FROM grounds.account a WHERE h.scope = 'ACCOUNT' AND a.platform_id = h.value) AS account,
        h.authority, h.reason, h.opened_at, h.opened_by, h.lift_asked_at, h.lift_asked_by,
        h.lifted_at, h.lifted_by,
        h.lifted_at + make_interval(hours => (p.document #>> '{dwell,hold_hours}')::int) AS until
    FROM grounds.hold h CROSS JOIN (SELECT document FROM grounds.policy WHERE active) p) h
WHERE (NOT $3::boolean OR coalesce(h.until, 'infinity') > grounds.decision_time())"""
