"""Decide as of an earlier time: today's rules over the facts as they were known then (see db/past_views.py)."""

from datetime import datetime

from db.connection import Reader
from db.past_views import rewrite_for_past
from db.policy.compile import decision_statement
from db.policy.document import Policy, parse_policy
from db.records.decision import DecisionRow, decision_row


async def policy_as_of(reader: Reader, valid_at: datetime) -> Policy:
    """Read the policy that was in force at an instant, or the first one before it, to decide as of then."""
    return parse_policy(await reader.fetchval(_POLICY, valid_at.isoformat()))


async def decision_as_of(
    reader: Reader, number: int, policy: Policy, purpose: str, valid_at: datetime, known_at: datetime
) -> DecisionRow | None:
    """Decide an item's record as of an earlier instant, by its policy and by what was known at another one.

    None where the item was not known then.
    """
    statement = f"""
SELECT d.*, claim.purpose, '{policy.version}' AS policy, grounds.valid_at() AS decided_at
FROM (SELECT set_config('grounds.known_at', $2, TRUE) AS known, set_config('grounds.valid_at', $3, TRUE) AS valid,
          set_config('grounds.purpose', $4, TRUE) AS purpose OFFSET 0) claim
CROSS JOIN LATERAL (
    SELECT * FROM ({rewrite_for_past(decision_statement(policy))}) decision
    WHERE id = $1 AND claim.known <> '' AND claim.valid <> '' AND claim.purpose <> '' OFFSET 0) d"""
    instants = (known_at.isoformat(), valid_at.isoformat())
    reader.people.items.add(number)
    rows = await reader.fetch(statement, number, *instants, purpose)
    return decision_row(rows[0]) if rows else None


_POLICY = """
SELECT p.document
FROM (SELECT set_config('grounds.valid_at', $1, TRUE) AS valid OFFSET 0) claim
CROSS JOIN LATERAL (SELECT document::text FROM grounds.past_policy WHERE claim.valid <> '' OFFSET 0) p
"""
