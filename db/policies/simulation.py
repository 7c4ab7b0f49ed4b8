"""Simulate a policy: count the items that it would gain and lose, by the same compiled decisions."""

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from db.connection import Reader
from db.policies.told import TOLD, told_uses
from db.policy.compile import decision_statement
from db.policy.document import Policy

SLICE_SIZE = 10_000
MAX_SECONDS = 6.0
SECONDS_OF_ACCOUNTS = 1.5
"""The time limit in seconds for counting accounts; MAX_SECONDS is the limit for counting items."""

# by what the items have in common, and whether they are gained
Changes = Counter[tuple[str | None, bool]]


class Untold(NamedTuple):
    """The number of accounts whose items of a kind would be used for a purpose, and of those without a notice of it."""

    purpose: str
    kind: str
    accounts: int
    untold: int


@dataclass(slots=True)
class Simulation:
    """The items that a change would affect: by purpose, kind, country and condition, gained and lost.

    An item counts once for each purpose for which it changes. A condition counts each item that it keeps out, now (of
    those gained) or then (of those lost); of one item there may be several. `examined` of `items` were counted: every
    one, or as many slices as there was time for, spread over all.
    """

    items: int = 0
    examined: int = 0
    gained: int = 0
    lost: int = 0
    kinds: Changes = field(default_factory=Counter)
    countries: Changes = field(default_factory=Counter)
    conditions: Changes = field(default_factory=Counter)
    purposes: Changes = field(default_factory=Counter)
    untold: list[Untold] = field(default_factory=list)

    def count_changes(
        self, purpose: str, kind: str, country: str | None, gained: bool, codes: list[str], count: int
    ) -> None:
        """Count items that a simulated policy changes alike for a purpose."""
        self.gained += count if gained else 0
        self.lost += 0 if gained else count
        self.purposes[purpose, gained] += count
        self.kinds[kind, gained] += count
        self.countries[country, gained] += count
        for code in codes:
            self.conditions[code, gained] += count


async def simulate_policy_change(reader: Reader, before: Policy, after: Policy) -> Simulation:
    """Count what would change if a policy were in force now, for each purpose of either policy."""
    statement = _slice_statement(before, after)
    purposes = list(dict.fromkeys((*after.purposes, *before.purposes)))
    unchanged: Changes = Counter({(purpose, gained): 0 for purpose in purposes for gained in (True, False)})
    simulation = Simulation(purposes=unchanged, untold=await _count_untold(reader, after))
    highest = await reader.fetchval("SELECT max(id) FROM grounds.content") or 0
    starts = list(range(0, highest, SLICE_SIZE))
    random.Random(0).shuffle(starts)  # noqa: S311 - a spread, the same at each simulation
    ends = time.monotonic() + MAX_SECONDS
    for number, start in enumerate(starts, 1):
        for purpose in purposes:
            rows = await reader.fetch(statement, start, start + SLICE_SIZE, purpose)
            for row in rows:
                if row["changed"]:
                    simulation.count_changes(
                        purpose, row["kind"], row["country"], row["gained"], row["codes"], row["count"]
                    )
        simulation.examined += sum(row["count"] for row in rows)
        if time.monotonic() > ends:
            simulation.items = round(simulation.examined / number * len(starts))
            return simulation
    simulation.items = simulation.examined
    return simulation


async def _count_untold(reader: Reader, policy: Policy) -> list[Untold]:
    """Count the accounts that a simulated policy's notices concern, and those not told, by purpose and kind.

    These are active adults of the policy's regions and kinds of account, on a product on which the kind is used. Where
    time is short, a spread of the accounts stands for all.
    """
    told = told_uses([(purpose, uses) for purpose, uses in await reader.fetch(TOLD)])
    accounts: Counter[tuple[str, str]] = Counter()
    untold: Counter[tuple[str, str]] = Counter()
    highest = await reader.fetchval("SELECT max(account) FROM grounds.account_standing") or 0
    starts = list(range(0, highest, SLICE_SIZE))
    random.Random(0).shuffle(starts)  # noqa: S311 - a spread, the same at each simulation
    ends = time.monotonic() + SECONDS_OF_ACCOUNTS
    counted = 0
    for start in starts:
        asked = (start, start + SLICE_SIZE, list(policy.regions), list(policy.account_kinds))
        rows = await reader.fetch(_REACHED.format(_simulated_standing(policy)), *asked)
        for use in policy.uses:
            for product, epochs, count in rows:
                if product == use.product:
                    accounts[use.purpose, use.kind] += count
                    untold[use.purpose, use.kind] += 0 if told.get(use, frozenset()) & set(epochs) else count
        counted += 1
        if time.monotonic() > ends:
            break
    share = len(starts) / counted if counted else 1
    keys = sorted({(use.purpose, use.kind) for use in policy.uses})
    return [Untold(*key, round(accounts[key] * share), round(untold[key] * share)) for key in keys]


_REACHED = """
SELECT s.product, s.epochs, count(*) FROM (
    SELECT s.*, ARRAY(
        SELECT n.epoch FROM unnest(
            s.notice_epoch || s.later_epochs, s.notice_delivered_at || s.later_deliveries) n (epoch, delivered_at)
        WHERE n.delivered_at <= grounds.decision_time()) AS epochs
    FROM {} s
    WHERE s.account > $1 AND s.account <= $2 AND s.account <> ALL (ARRAY(SELECT grounds.planted_accounts()))
        AND s.is_known AND s.status = 'ACTIVE'
        AND s.adult_from <= grounds.decision_time() AND s.minor_until <= grounds.decision_time()
        AND s.country = ANY ($3::text[]) AND s.kind = ANY ($4::text[])) s
GROUP BY 1, 2"""


def _slice_statement(before: Policy, after: Policy) -> str:
    """Write the SQL that simulates a policy on a slice: $1 the id before it, $2 its last id, $3 the purpose."""
    begun = after.model_copy(update={"effective_from": min(after.effective_from, datetime.now(UTC))})
    old, new = decision_statement(before), decision_statement(begun, _simulated_standing(after))
    return f"""
SELECT old.permitted <> new.permitted AS changed, new.permitted AS gained, old.kind, old.country,
    CASE WHEN new.permitted THEN old.shortfall ELSE new.shortfall END AS codes,
    count(*) AS count
FROM (SELECT set_config('grounds.purpose', $3, TRUE) AS purpose OFFSET 0) claim
CROSS JOIN LATERAL (
    SELECT * FROM ({old}) d
    WHERE d.id > $1 AND d.id <= $2 AND d.id <> ALL (ARRAY(SELECT grounds.planted_items()))
        AND claim.purpose IS NOT NULL OFFSET 0) old
CROSS JOIN LATERAL (SELECT * FROM ({new}) d WHERE d.id = old.id OFFSET 0) new
GROUP BY 1, 2, 3, 4, 5"""


def _simulated_standing(policy: Policy) -> str:
    """Select accounts' standings as a simulated policy would have them, with its notices and times."""
    return f"""(
    SELECT s.account, s.is_known, s.product, s.kind, s.country, s.status, s.status_since, s.compromised, s.adult_from,
        s.minor_until, s.objected_public_until, s.objected_ai_until, s.opted_in_since, s.held_until, s.reverted_at,
        s.quarantined, s.reserved, s.person_quarantined, s.status_month, s.opted_in_month,
        n.epochs[1] AS notice_epoch, n.deliveries[1] AS notice_delivered_at, n.ends[1] AS notice_effective_from,
        CASE WHEN s.is_known THEN coalesce(n.epochs[2:], '{{}}') END AS later_epochs,
        CASE WHEN s.is_known THEN coalesce(n.deliveries[2:], '{{}}') END AS later_deliveries,
        CASE WHEN s.is_known THEN coalesce(n.ends[2:], '{{}}') END AS later_ends,
        date_trunc('week', n.deliveries[1] AT TIME ZONE 'UTC')::date AS notice_week,
        date_trunc('week', n.ends[1] AT TIME ZONE 'UTC')::date AS notice_end_week
    FROM grounds.account_standing s CROSS JOIN LATERAL (
        SELECT * FROM grounds.notices_of(s.account, '{policy.notice.epoch}', {policy.notice.period_days})) n)"""
