"""Read proposed policies, and those that are or were in force."""

from datetime import datetime
from typing import NamedTuple

from db.connection import Reader


class ProposalRow(NamedTuple):
    """A proposed policy with its state."""

    version: str
    document: str
    effective_from: datetime
    proposed_by: str
    proposed_at: datetime
    approved_by: str | None
    approved_at: datetime | None
    put_in_force_at: datetime | None


class ActivatedRow(NamedTuple):
    """A policy that is or was in force."""

    document: str
    active: bool
    first_activated_at: datetime | None
    last_activated_at: datetime | None


async def list_proposals(reader: Reader) -> list[ProposalRow]:
    """Read every proposed policy from the database, the newest first."""
    rows = await reader.fetch(
        "SELECT version, document::text, effective_from, proposed_by, proposed_at, approved_by, approved_at,"
        " put_in_force_at FROM grounds.policy_proposal ORDER BY proposed_at DESC, version"
    )
    return [ProposalRow(*row) for row in rows]


async def list_activated_policies(reader: Reader) -> list[ActivatedRow]:
    """Read from the database every policy that was in force, and when first and last; the latest first."""
    rows = await reader.fetch(
        "SELECT p.document::text, p.active, a.first, a.last FROM grounds.policy p CROSS JOIN LATERAL ("
        " SELECT min(activated_at) AS first, max(activated_at) AS last, max(id) AS latest"
        " FROM grounds.policy_activation WHERE version = p.version) a ORDER BY a.latest DESC"
    )
    return [ActivatedRow(*row) for row in rows]
