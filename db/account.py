"""Read accounts, and the position of the people behind them."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from db.session import Reader


class AccountRow(NamedTuple):
    """Hold an account with its standing at the instant of the statement; None is unknown."""

    id: int
    platform_id: str
    product: str
    kind: str
    status: str
    country: str | None
    born_on: str | None
    adult: bool | None
    notice_delivered_at: datetime | None
    notice_effective_from: datetime | None
    notice_elapsed: bool | None
    opted_in_since: datetime | None
    objects_to_public: bool
    objects_to_ai: bool
    objected_since: datetime | None
    policy: str


_ROW = """
    a.id, a.platform_id, a.product, a.kind, a.status, a.country, a.born_on,
    s.minor_until <= p.now AND s.adult_from <= p.now AS adult,
    CASE WHEN s.notice_delivered_at <= p.now THEN s.notice_delivered_at END AS notice_delivered_at,
    s.notice_effective_from,
    s.notice_effective_from <= p.now AS notice_elapsed,
    CASE WHEN s.opted_in_since <= p.now THEN s.opted_in_since END AS opted_in_since,
    s.objected_public_until > p.withdrawal_cutoff AS objects_to_public,
    s.objected_ai_until > p.withdrawal_cutoff AS objects_to_ai,
    CASE WHEN greatest(s.objected_public_until, s.objected_ai_until) > p.withdrawal_cutoff THEN (
        SELECT min(o.received_at)
        FROM grounds.objections_reaching(a.id) r JOIN grounds.objection_in_force o ON o.id = r.objection
        WHERE coalesce(o.withdrawn_at, 'infinity') > p.withdrawal_cutoff) END AS objected_since,
    p.version AS policy
    FROM grounds.account a
    JOIN grounds.account_standing s ON s.account = a.id
    CROSS JOIN (
        SELECT version, grounds.decision_time() AS now,
            grounds.decision_time()
                - make_interval(hours => 24 * (document #>> '{dwell,withdrawal_days}')::int) AS withdrawal_cutoff
        FROM grounds.policy WHERE active) p
    WHERE a.known
"""


async def page_of_accounts(
    reader: Reader, after: int, first: int, *, owner: str | None
) -> tuple[list[AccountRow], bool]:
    """Read a page of accounts and whether there are more."""
    narrowed, values = ("", ()) if owner is None else (" AND a.platform_id = $3", (owner,))
    rows = await reader.fetch(
        f"SELECT {_ROW} AND a.id > $1{narrowed} ORDER BY a.id LIMIT $2::int + 1", after, first, *values
    )
    return [AccountRow(*row) for row in rows[:first]], len(rows) > first


async def accounts_of(reader: Reader, numbers: Sequence[int], owner: str | None) -> list[AccountRow | None]:
    """Read accounts by their numbers, in that order."""
    rows = await reader.fetch(
        f"SELECT {_ROW} AND a.id = ANY ($1::bigint[]) AND ($2::text IS NULL OR a.platform_id = $2)",
        *(numbers, owner),
    )
    found = {row["id"]: AccountRow(*row) for row in rows}
    return [found.get(number) for number in numbers]


async def account_number(reader: Reader, platform_id: str) -> int | None:
    """Find the number of the account that the platform calls so."""
    number: int | None = await reader.fetchval(
        "SELECT id FROM grounds.account WHERE platform_id = $1 AND known", platform_id
    )
    return number
