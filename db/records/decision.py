"""Read decisions: the outcome of each condition and its evidence."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from db.connection import Reader
from db.policy.compile import evidence_columns
from db.policy.conditions import CONDITIONS

_CODES = tuple(condition.code for condition in CONDITIONS)
_EVIDENCE = evidence_columns()


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """A decision of an item for a purpose, with the outcome of each condition: TRUE, FALSE or None (unknown)."""

    permitted: bool
    ground: str
    outcomes: dict[str, bool | None]
    evidence: dict[str, Any]
    purpose: str
    policy: str
    decided_at: datetime


async def load_decisions(reader: Reader, numbers: list[int], purpose: str | None = None) -> list[DecisionRow | None]:
    """Read decisions on items for a purpose from the database, by default the policy's first, in one statement."""
    rows = await reader.fetch(_DECISIONS.format(reader.decisions), numbers, purpose)
    found = {row["id"]: decision_row(row) for row in rows}
    reader.people.items.update(found)
    return [found.get(number) for number in numbers]


async def decisions_for(reader: Reader, keys: list[tuple[int, str | None]]) -> list[DecisionRow | None]:
    """Read decisions on items from the database, each for its own purpose, in one statement per purpose."""
    found: dict[tuple[int, str | None], DecisionRow | None] = {}
    for purpose in dict.fromkeys(purpose for _, purpose in keys):
        numbers = [number for number, wanted in keys if wanted == purpose]
        decided = await load_decisions(reader, numbers, purpose)
        found |= {(number, purpose): row for number, row in zip(numbers, decided, strict=True)}
    return [found[key] for key in keys]


def decision_row(row: asyncpg.Record) -> DecisionRow:
    """Make a decision on an item from a database row that has its purpose, policy and time beside it."""
    return DecisionRow(
        row["permitted"],
        row["ground"],
        {code: row[code] for code in _CODES},
        {column: row[column] for column in _EVIDENCE},
        row["purpose"],
        row["policy"],
        row["decided_at"],
    )


_DECISIONS = """
SELECT d.*, claim.purpose, claim.version AS policy, grounds.decision_time() AS decided_at
FROM (SELECT p.version,
          set_config('grounds.purpose', coalesce($2::text, p.document #>> '{{purposes,0}}'), TRUE) AS purpose
      FROM grounds.policy p WHERE p.active OFFSET 0) claim -- gone with the transaction
CROSS JOIN LATERAL ( -- OFFSET 0 holds the planner to this order: the claim first, then what reads it
    SELECT * FROM grounds.{} WHERE id = ANY ($1::bigint[]) AND claim.purpose IS NOT NULL OFFSET 0) d
"""
