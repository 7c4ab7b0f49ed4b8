"""What privacy officers do to holds, policies, clients and objections. To loosen anything takes two of them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from db.policy.document import Policy
from db.session import Pool, Reader, writing


class HoldRow(NamedTuple):
    """Hold a hold, and what became of it. One of an account has its number, or None while it is not known."""

    id: int
    scope: str
    value: str | None
    account: int | None
    authority: str
    reason: str
    opened_at: datetime
    opened_by: str | None
    lift_asked_at: datetime | None
    lift_asked_by: str | None
    lifted_at: datetime | None
    lifted_by: str | None
    until: datetime | None


class Outcome(StrEnum):
    """Name what became of an officer's act."""

    ASKED = "ASKED"
    LIFTED = "LIFTED"
    LIFTED_BEFORE = "LIFTED_BEFORE"
    SAME_OFFICER = "SAME_OFFICER"
    PROPOSED = "PROPOSED"
    KNOWN = "KNOWN"
    APPROVED = "APPROVED"
    APPROVED_BEFORE = "APPROVED_BEFORE"
    SUSPENDED = "SUSPENDED"
    SUSPENDED_BEFORE = "SUSPENDED_BEFORE"
    RESUMED = "RESUMED"
    MATCHED = "MATCHED"
    NO_ACCOUNT = "NO_ACCOUNT"
    REJECTED = "REJECTED"
    REJECTED_BEFORE = "REJECTED_BEFORE"
    NO_REASON = "NO_REASON"
    OTHER_REASON = "OTHER_REASON"


class ProposalRow(NamedTuple):
    """Hold a proposed policy, and what became of it."""

    version: str
    document: str
    effective_from: datetime
    proposed_by: str
    proposed_at: datetime
    approved_by: str | None
    approved_at: datetime | None
    put_in_force_at: datetime | None


class ActivatedRow(NamedTuple):
    """Hold a policy that is or was in force."""

    document: str
    active: bool
    first_activated_at: datetime | None
    last_activated_at: datetime | None


@dataclass(frozen=True, slots=True)
class Officer:
    """Act as a privacy officer; every act is committed when it returns."""

    pool: Pool
    name: str

    async def open_hold(self, scope: str, value: str | None, authority: str, reason: str) -> int:
        """Open a hold, in force for the next statement anywhere; give its number."""
        number: int = await self._act("SELECT grounds.open_hold($1, $2, $3, $4)", scope, value, authority, reason)
        return number

    async def lift_hold(self, number: int) -> Outcome | None:
        """Ask that a hold be lifted, or lift it where another officer asked; None where there is no such hold."""
        return _outcome(await self._act("SELECT grounds.lift_hold($1)", number))

    async def propose_policy(self, policy: Policy) -> Outcome:
        """Propose a policy; KNOWN where its version is taken."""
        statement = "SELECT grounds.propose_policy($1, $2::text::json, $3)"
        return Outcome(await self._act(statement, policy.version, policy.document(), policy.effective_from))

    async def approve_policy(self, version: str) -> Outcome | None:
        """Approve what another officer proposed; None where there is no such proposal."""
        return _outcome(await self._act("SELECT grounds.approve_policy($1)", version))

    async def suspend_client(self, name: str, reason: str) -> Outcome | None:
        """Suspend a client from its next page on; None where there is no such client."""
        return _outcome(await self._act("SELECT grounds.suspend_client($1, $2)", name, reason))

    async def resume_client(self, name: str) -> Outcome | None:
        """Ask that a client be resumed, or resume it where another officer asked; None where none is suspended."""
        return _outcome(await self._act("SELECT grounds.resume_client($1)", name))

    async def match_objection(self, number: int, account: str) -> Outcome | None:
        """Let an objection name an account, by the platform's id; None where there is none that is not withdrawn."""
        return _outcome(await self._act("SELECT grounds.match_objection($1, $2)", number, account))

    async def reject_objection(self, number: int, reason: str | None) -> Outcome | None:
        """Ask that an objection be set aside, or agree where another officer asked; None where it reaches somebody."""
        return _outcome(await self._act("SELECT grounds.reject_objection($1, $2)", number, reason))

    async def _act(self, statement: str, *values: Any) -> Any:
        async with writing(self.pool, examiner="PRIVACY_OFFICER", officer=self.name) as connection:
            return await connection.fetchval(statement, *values)


async def page_of_holds(reader: Reader, after: int, first: int, *, open_only: bool) -> tuple[list[HoldRow], bool]:
    """Read a page of holds in the order they were opened, and whether there is more.

    An open one covers its scope now: not lifted, or lifted a shorter time ago than the policy's dwell.
    """
    rows = await reader.fetch(f"{_HOLDS} AND h.id > $1 ORDER BY h.id LIMIT $2::int + 1", after, first, open_only)
    return [HoldRow(*row) for row in rows[:first]], len(rows) > first


async def hold_of(reader: Reader, number: int) -> HoldRow | None:
    """Read one hold."""
    rows = await reader.fetch(f"{_HOLDS} AND h.id = $1 AND $2::int IS NOT NULL", number, 0, False)
    return HoldRow(*rows[0]) if rows else None


async def proposals(reader: Reader) -> list[ProposalRow]:
    """Read every proposed policy, the newest first."""
    rows = await reader.fetch(
        "SELECT version, document::text, effective_from, proposed_by, proposed_at, approved_by, approved_at,"
        " put_in_force_at FROM grounds.policy_proposal ORDER BY proposed_at DESC, version"
    )
    return [ProposalRow(*row) for row in rows]


async def activated_policies(reader: Reader) -> list[ActivatedRow]:
    """Read every policy that was in force, and when it was put in force first and last; the latest first."""
    rows = await reader.fetch(
        "SELECT p.document::text, p.active, a.first, a.last FROM grounds.policy p CROSS JOIN LATERAL ("
        " SELECT min(activated_at) AS first, max(activated_at) AS last, max(id) AS latest"
        " FROM grounds.policy_activation WHERE version = p.version) a ORDER BY a.latest DESC"
    )
    return [ActivatedRow(*row) for row in rows]


_HOLDS = """
SELECT * FROM (
    SELECT h.id, h.scope, CASE WHEN h.scope <> 'ACCOUNT' THEN h.value END AS value,
        (SELECT a.id FROM grounds.account a WHERE h.scope = 'ACCOUNT' AND a.platform_id = h.value) AS account,
        h.authority, h.reason, h.opened_at, h.opened_by, h.lift_asked_at, h.lift_asked_by,
        h.lifted_at, h.lifted_by,
        h.lifted_at + make_interval(hours => (p.document #>> '{dwell,hold_hours}')::int) AS until
    FROM grounds.hold h CROSS JOIN (SELECT document FROM grounds.policy WHERE active) p) h
WHERE (NOT $3::boolean OR coalesce(h.until, 'infinity') > grounds.decision_time())"""


def _outcome(said: str | None) -> Outcome | None:
    return None if said is None else Outcome(said)
