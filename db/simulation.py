"""Say what a policy would change before anybody approves it: the same compiled decisions, over the same facts."""

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

from db.policy.compile import decision_statement
from db.policy.document import Policy
from db.session import Reader

SLICE = 10_000
SECONDS = 7.0
"""How long is counted: a request ends after 10 s."""

# by what the items have in common, and whether they are gained
Changes = Counter[tuple[str | None, bool]]


@dataclass(slots=True)
class Simulation:
    """Count what would change: items by kind, country and condition, gained and lost.

    A condition counts each item that it keeps out, now (of those gained) or then (of those lost); of one item there may
    be several. `examined` of `items` were counted: every one, or as many slices as there was time for, spread over all.
    """

    items: int = 0
    examined: int = 0
    gained: int = 0
    lost: int = 0
    kinds: Changes = field(default_factory=Counter)
    countries: Changes = field(default_factory=Counter)
    conditions: Changes = field(default_factory=Counter)

    def add(self, kind: str, country: str | None, gained: bool, codes: list[str], count: int) -> None:
        """Count items that change alike."""
        self.gained += count if gained else 0
        self.lost += 0 if gained else count
        self.kinds[kind, gained] += count
        self.countries[country, gained] += count
        for code in codes:
            self.conditions[code, gained] += count


async def simulate(reader: Reader, before: Policy, after: Policy) -> Simulation:
    """Count what would change if a policy were in force now, for a client with the purpose of the one that is."""
    statement = _statement(before, after)
    simulation = Simulation()
    highest = await reader.fetchval("SELECT max(id) FROM grounds.content") or 0
    starts = list(range(0, highest, SLICE))
    random.Random(0).shuffle(starts)  # noqa: S311 - a spread, the same at each simulation
    ends = time.monotonic() + SECONDS
    for number, start in enumerate(starts, 1):
        for row in await reader.fetch(statement, start, start + SLICE):
            if row["changed"]:
                simulation.add(row["kind"], row["country"], row["gained"], row["codes"], row["count"])
            simulation.examined += row["count"]
        if time.monotonic() > ends:
            simulation.items = round(simulation.examined / number * len(starts))
            return simulation
    simulation.items = simulation.examined
    return simulation


def _statement(before: Policy, after: Policy) -> str:
    """Write the statement for a slice: $1 the id before it, $2 its last id."""
    begun = after.model_copy(update={"effective_from": min(after.effective_from, datetime.now(UTC))})
    old, new = decision_statement(before), decision_statement(begun, _standing(after))
    return f"""
SELECT old.permitted <> new.permitted AS changed, new.permitted AS gained, old.kind, old.country,
    CASE WHEN new.permitted THEN old.shortfall ELSE new.shortfall END AS codes,
    count(*) AS count
FROM (SELECT set_config('grounds.purpose', '{before.purposes[0]}', TRUE) AS purpose OFFSET 0) claim
CROSS JOIN LATERAL (
    SELECT * FROM ({old}) d WHERE d.id > $1 AND d.id <= $2 AND claim.purpose IS NOT NULL OFFSET 0) old
CROSS JOIN LATERAL (SELECT * FROM ({new}) d WHERE d.id = old.id OFFSET 0) new
GROUP BY 1, 2, 3, 4, 5"""


def _standing(policy: Policy) -> str:
    """Select standings as they would be: with the notices that the policy counts, and the time that it gives."""
    return f"""(
    SELECT s.account, s.known, s.product, s.kind, s.country, s.status, s.status_since, s.compromised, s.adult_from,
        s.minor_until, s.objected_public_until, s.objected_ai_until, s.opted_in_since, s.held_until, s.taken_back_at,
        s.quarantined, s.status_month, s.opted_in_month, s.notice_week, s.notice_end_week,
        CASE WHEN s.known THEN coalesce(n.delivered_at, 'infinity') END AS notice_delivered_at,
        CASE WHEN s.known THEN grounds.notice_period_end(n.delivered_at, {policy.notice.period_days}) END
            AS notice_effective_from
    FROM grounds.account_standing s CROSS JOIN LATERAL (
        SELECT min(n.delivered_at) AS delivered_at FROM grounds.notice n
        WHERE n.account = s.account AND n.bounced_at IS NULL AND n.epoch >= '{policy.notice.epoch}') n)"""
