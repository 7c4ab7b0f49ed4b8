"""Read items and decisions for those who examine them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg

from db.policy.compile import evidence_columns
from db.policy.conditions import CONDITIONS
from db.session import Reader


class ContentRow(NamedTuple):
    """Hold an item as examiners see it."""

    id: int
    account: int
    platform_id: str
    kind: str
    product: str | None
    audience: str | None
    language: str | None
    created_at: datetime
    deleted_at: datetime | None
    preview: str | None
    text_sha256: str | None


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """Hold a decision: TRUE, FALSE or None a condition, the evidence, and under which policy when."""

    permitted: bool
    ground: str
    outcomes: dict[str, bool | None]
    evidence: dict[str, Any]
    policy: str
    decided_at: datetime


PREVIEW_CHARACTERS = 80
_CODES = tuple(condition.code for condition in CONDITIONS)
_EVIDENCE = evidence_columns()
_COLUMNS = f"""
    c.id, c.account, c.platform_id, c.kind, a.product, c.audience, c.language, c.created_at, c.deleted_at,
    CASE WHEN length(c.text) > {PREVIEW_CHARACTERS} THEN left(c.text, {PREVIEW_CHARACTERS}) || '…' ELSE c.text END
        AS preview,
    encode(sha256(convert_to(c.text, 'UTF8')), 'hex') AS text_sha256
    FROM grounds.content c JOIN grounds.account a ON a.id = c.account
"""


async def page_of_contents(
    reader: Reader,
    after: int,
    first: int,
    *,
    owner: str | None,
    account: int | None = None,
    platform_ids: Sequence[str] | None = None,
) -> tuple[list[ContentRow], bool]:
    """Read a page of items and whether there are more. Each narrowing has its clause, so that each has its index."""
    clauses = {
        "c.account = (SELECT o.id FROM grounds.account o WHERE o.platform_id = ${}::text)": owner,
        "c.account = ${}::bigint": account,
        "c.platform_id = ANY (${}::text[])": platform_ids,
    }
    used = {clause: value for clause, value in clauses.items() if value is not None}
    narrowed = "".join(f" AND {clause.format(number)}" for number, clause in enumerate(used, start=3))
    rows = await reader.fetch(
        f"SELECT {_COLUMNS} WHERE c.id > $1{narrowed} ORDER BY c.id LIMIT $2::int + 1", after, first, *used.values()
    )
    return [ContentRow(*row) for row in rows[:first]], len(rows) > first


async def contents_of(reader: Reader, numbers: list[int], owner: str | None) -> list[ContentRow | None]:
    """Read items by their numbers, in that order."""
    rows = await reader.fetch(
        f"SELECT {_COLUMNS} WHERE c.id = ANY ($1::bigint[]) AND ($2::text IS NULL OR a.platform_id = $2)",
        *(numbers, owner),
    )
    found = {row["id"]: ContentRow(*row) for row in rows}
    return [found.get(number) for number in numbers]


async def content_number(reader: Reader, platform_id: str) -> int | None:
    """Find the number of the item that the platform calls so."""
    number: int | None = await reader.fetchval("SELECT id FROM grounds.content WHERE platform_id = $1", platform_id)
    return number


async def decisions(reader: Reader, numbers: list[int]) -> list[DecisionRow | None]:
    """Decide items for a client with the policy's first purpose, in one statement."""
    rows = await reader.fetch(_DECISIONS.format(reader.decisions), numbers)
    found = {row["id"]: decision_row(row) for row in rows}
    return [found.get(number) for number in numbers]


def decision_row(row: asyncpg.Record) -> DecisionRow:
    """Hold a row of a decision, with its policy and time."""
    return DecisionRow(
        row["permitted"],
        row["ground"],
        {code: row[code] for code in _CODES},
        {column: row[column] for column in _EVIDENCE},
        row["policy"],
        row["decided_at"],
    )


_DECISIONS = """
SELECT d.*, claim.version AS policy, grounds.decision_time() AS decided_at
FROM (SELECT p.version, set_config('grounds.purpose', p.document #>> '{{purposes,0}}', TRUE) AS purpose
      FROM grounds.policy p WHERE p.active OFFSET 0) claim -- gone with the transaction
CROSS JOIN LATERAL ( -- OFFSET 0 holds the planner to this order: the claim first, then what reads it
    SELECT * FROM grounds.{} WHERE id = ANY ($1::bigint[]) AND claim.purpose IS NOT NULL OFFSET 0) d
"""
