"""Read what a position rests on: notices, objections, and events."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from db.connection import Reader


@dataclass(frozen=True, slots=True)
class NoticeRow:
    """A notice."""

    id: int
    channel: str
    epoch: str
    language: str | None
    sent_at: datetime | None
    delivered_at: datetime | None
    bounced_at: datetime | None


@dataclass(frozen=True, slots=True)
class ObjectionRow:
    """An objection with its effect."""

    id: int
    reference: str
    scope: str
    channel: str | None
    received_at: datetime
    withdrawn_at: datetime | None
    active_until: datetime | None


class ConsentEventRow(NamedTuple):
    """An event of the consent ledger."""

    id: int
    kind: str
    occurred_at: datetime
    recorded_at: datetime


async def load_notices(reader: Reader, accounts: Sequence[int]) -> list[list[NoticeRow]]:
    """Read from the database the notices recorded for each of some accounts, the earliest first."""
    reader.people.accounts.update(accounts)
    rows = await reader.fetch(
        "SELECT account, id, channel, epoch, language, sent_at, delivered_at, bounced_at FROM grounds.notice"
        " WHERE account = ANY ($1::bigint[]) ORDER BY coalesce(delivered_at, sent_at), id",
        accounts,
    )
    notices: defaultdict[int, list[NoticeRow]] = defaultdict(list)
    for account, *values in rows:
        notices[account].append(NoticeRow(*values))
    return [notices[account] for account in accounts]


async def load_objections(reader: Reader, accounts: Sequence[int]) -> list[list[ObjectionRow]]:
    """Read from the database the objections recorded for each of some accounts, the earliest first."""
    reader.people.accounts.update(accounts)
    rows = await reader.fetch(
        "SELECT a.account, o.id, o.platform_id, o.scope, o.channel, o.received_at, o.withdrawn_at,"
        " o.withdrawn_at + make_interval(hours => 24 * (p.document #>> '{dwell,withdrawal_days}')::int)"
        " FROM unnest($1::bigint[]) a (account) CROSS JOIN LATERAL grounds.objections_affecting(a.account) r"
        " CROSS JOIN LATERAL (SELECT * FROM grounds.objection_in_force WHERE id = r.objection OFFSET 0) o"
        " CROSS JOIN (SELECT document FROM grounds.policy WHERE active) p ORDER BY o.received_at, o.id",
        accounts,
    )
    objections: defaultdict[int, list[ObjectionRow]] = defaultdict(list)
    for account, *values in rows:
        objections[account].append(ObjectionRow(*values))
    return [objections[account] for account in accounts]


async def page_of_events(
    reader: Reader, after: int, first: int, *, account: int | None
) -> tuple[list[ConsentEventRow], bool]:
    """Read from the database a page of the events of an account's position, or of all, and whether there are more."""
    if account is None:
        rows = await reader.fetch(f"{_EVENTS} WHERE e.id > $1 ORDER BY e.id LIMIT $2::int + 1", after, first)
    else:
        reader.people.accounts.add(account)
        rows = await reader.fetch(_EVENTS_OF_ACCOUNT, after, first, account)
    return [ConsentEventRow(*row) for row in rows[:first]], len(rows) > first


_EVENTS = "SELECT e.id, e.kind, e.occurred_at, e.recorded_at FROM grounds.consent_event e"
# Its own, and those of each objection that reaches it: either way by an index that is in order.
_EVENTS_OF_ACCOUNT = f"""
SELECT * FROM (
    ({_EVENTS} WHERE e.account = $3::bigint AND e.id > $1 ORDER BY e.id LIMIT $2::int + 1)
    UNION ALL
    SELECT o.* FROM grounds.objections_affecting($3::bigint) r CROSS JOIN LATERAL (
        {_EVENTS} WHERE e.objection = r.objection AND e.id > $1 ORDER BY e.id LIMIT $2::int + 1) o
) theirs ORDER BY id LIMIT $2::int + 1
"""
