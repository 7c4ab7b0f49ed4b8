"""Read accounts and their positions."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from db.connection import Reader


class AccountRow(NamedTuple):
    """An account with its standing at the instant of the statement; None is unknown.

    For each of the policy's `purposes`, `notice_deliveries` and `notice_ends` say when the earliest notice was
    delivered that told of this purpose with some kind on the account's product that the policy covers, and when its
    period ends.
    """

    id: int
    platform_id: str
    product: str
    kind: str
    status: str
    country: str | None
    born_on: str | None
    adult: bool | None
    purposes: list[str]
    notice_deliveries: list[datetime | None]
    notice_ends: list[datetime | None]
    now: datetime
    opted_in_since: datetime | None
    objects_to_public: bool
    objects_to_ai: bool
    objected_since: datetime | None
    policy: str
    signals: str | None


_ROW = """
    a.id, a.platform_id, a.product, a.kind, a.status, a.country, a.born_on,
    s.minor_until <= p.now AND s.adult_from <= p.now AS adult,
    p.purposes, noticed.deliveries, noticed.ends, p.now,
    CASE WHEN s.opted_in_since <= p.now THEN s.opted_in_since END AS opted_in_since,
    s.objected_public_until > p.withdrawal_cutoff AS objects_to_public,
    s.objected_ai_until > p.withdrawal_cutoff AS objects_to_ai,
    CASE WHEN greatest(s.objected_public_until, s.objected_ai_until) > p.withdrawal_cutoff THEN (
        SELECT min(o.received_at)
        FROM grounds.objections_affecting(a.id) r JOIN grounds.objection_in_force o ON o.id = r.objection
        WHERE coalesce(o.withdrawn_at, 'infinity') > p.withdrawal_cutoff) END AS objected_since,
    p.version AS policy, a.signals
    FROM grounds.account a
    JOIN grounds.account_standing s ON s.account = a.id
    CROSS JOIN (
        SELECT version, grounds.decision_time() AS now,
            ARRAY(SELECT json_array_elements_text(document -> 'purposes')) AS purposes,
            ARRAY(SELECT kind || ' ' || product FROM json_each(document -> 'grounds') g,
                  json_array_elements_text(g.value -> 'kinds') kind,
                  json_array_elements_text(g.value -> 'products') product) AS uses,
            grounds.decision_time()
                - make_interval(hours => 24 * (document #>> '{dwell,withdrawal_days}')::int) AS withdrawal_cutoff
        FROM grounds.policy WHERE active) p
    CROSS JOIN LATERAL (
        SELECT array_agg(e.delivered_at ORDER BY e.place) AS deliveries, array_agg(e.ends_at ORDER BY e.place) AS ends
        FROM (
            SELECT w.place, min(n.delivered_at) AS delivered_at, min(n.ends_at) AS ends_at
            FROM unnest(p.purposes) WITH ORDINALITY w (purpose, place)
            LEFT JOIN grounds.campaign_told t ON t.purpose = w.purpose
            LEFT JOIN unnest(
                s.notice_epoch || s.later_epochs, s.notice_delivered_at || s.later_deliveries,
                s.notice_effective_from || s.later_ends) n (epoch, delivered_at, ends_at)
                ON n.delivered_at <= p.now AND EXISTS (
                    SELECT FROM unnest(p.uses) u (use)
                    WHERE split_part(u.use, ' ', 2) = a.product AND t.told -> u.use ? n.epoch)
            GROUP BY w.place) e) noticed
    WHERE a.is_known
"""


async def page_of_accounts(
    reader: Reader, after: int, first: int, *, owner: str | None
) -> tuple[list[AccountRow], bool]:
    """Read from the database a page of account records and whether there are more."""
    narrowed, values = ("", ()) if owner is None else (" AND a.platform_id = $3", (owner,))
    rows = await reader.fetch(
        f"SELECT {_ROW} AND a.id > $1{narrowed} ORDER BY a.id LIMIT $2::int + 1", after, first, *values
    )
    reader.people.accounts.update(row["id"] for row in rows[:first])
    return [AccountRow(*row) for row in rows[:first]], len(rows) > first


async def load_accounts(reader: Reader, numbers: Sequence[int], owner: str | None) -> list[AccountRow | None]:
    """Read account records from the database by their numbers, in that order."""
    rows = await reader.fetch(
        f"SELECT {_ROW} AND a.id = ANY ($1::bigint[]) AND ($2::text IS NULL OR a.platform_id = $2)",
        *(numbers, owner),
    )
    found = {row["id"]: AccountRow(*row) for row in rows}
    reader.people.accounts.update(found)
    return [found.get(number) for number in numbers]


async def find_account_id(reader: Reader, platform_id: str) -> int | None:
    """Find in the database the internal id of an account record by the platform's id."""
    number: int | None = await reader.fetchval(
        "SELECT id FROM grounds.account WHERE platform_id = $1 AND is_known", platform_id
    )
    return number
