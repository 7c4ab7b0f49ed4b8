"""The changes that privacy officers make. A change that permits more items needs two officers."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from db.connection import Pool, write_transaction
from db.policy.document import Policy


class ActOutcome(StrEnum):
    """The results of an officer's act."""

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
    REVOKED = "REVOKED"
    IN_EFFECT = "IN_EFFECT"
    PLANTED = "PLANTED"
    PLANTED_BEFORE = "PLANTED_BEFORE"
    QUALIFIES = "QUALIFIES"
    PENDING = "PENDING"
    DELIVERED_BEFORE = "DELIVERED_BEFORE"


@dataclass(frozen=True, slots=True)
class Officer:
    """A privacy officer at work; every act is committed when it returns."""

    pool: Pool
    name: str

    async def open_hold(self, scope: str, value: str | None, authority: str, reason: str) -> int | None:
        """Open an officer's hold in the database; return its id, or None for an unknown account."""
        number: int | None = await self._act(
            "SELECT grounds.open_hold($1, $2, $3, $4)", scope, value, authority, reason
        )
        return number

    async def lift_hold(self, number: int) -> ActOutcome | None:
        """Ask in the database that a hold be lifted, or lift it as the second officer; None for no such hold."""
        return _act_outcome(await self._act("SELECT grounds.lift_hold($1)", number))

    async def propose_policy(self, policy: Policy) -> ActOutcome:
        """Store a policy that an officer proposes; KNOWN where its version is taken."""
        statement = "SELECT grounds.propose_policy($1, $2::text::json, $3)"
        return ActOutcome(await self._act(statement, policy.version, policy.document(), policy.effective_from))

    async def approve_policy(self, version: str) -> ActOutcome | None:
        """Store an officer's approval of another's proposed policy; None where there is no such proposal."""
        return _act_outcome(await self._act("SELECT grounds.approve_policy($1)", version))

    async def suspend_client(self, name: str, reason: str) -> ActOutcome | None:
        """Store that an officer suspends a client from its next page on; None where there is no such client."""
        return _act_outcome(await self._act("SELECT grounds.suspend_client($1, $2)", name, reason))

    async def resume_client(self, name: str) -> ActOutcome | None:
        """Ask in the database that a client be resumed, or resume it as the second officer; None for no such one."""
        return _act_outcome(await self._act("SELECT grounds.resume_client($1)", name))

    async def match_objection(self, number: int, account: str) -> ActOutcome | None:
        """Store an officer's match of an objection to an account; None where there is no open objection."""
        return _act_outcome(await self._act("SELECT grounds.match_objection($1, $2)", number, account))

    async def reject_objection(self, number: int, reason: str | None) -> ActOutcome | None:
        """Ask in the database that an objection be rejected, or agree as the second officer; None if matched."""
        return _act_outcome(await self._act("SELECT grounds.reject_objection($1, $2)", number, reason))

    async def declare_placeholder(self, kind: str, value: str, reason: str | None) -> ActOutcome:
        """Store an officer's declaration of a placeholder, or approve another officer's."""
        return ActOutcome(await self._act("SELECT grounds.declare_placeholder($1, $2, $3)", kind, value, reason))

    async def revoke_placeholder(self, kind: str, value: str) -> ActOutcome | None:
        """Store an officer's revocation of a placeholder that is not in effect; None if none was declared."""
        return _act_outcome(await self._act("SELECT grounds.revoke_placeholder($1, $2)", kind, value))

    async def plant_canary(self, platform_id: str, reason: str) -> ActOutcome | None:
        """Store that an officer plants an item which can never qualify; None where there is no such item."""
        return _act_outcome(await self._act("SELECT grounds.plant_canary($1, $2)", platform_id, reason))

    async def remove_canary(self, platform_id: str) -> bool:
        """Remove an officer's planted item from the database; return whether there was one."""
        return bool(await self._act("SELECT grounds.remove_canary($1)", platform_id))

    async def _act(self, statement: str, *values: Any) -> Any:
        """Call a function of the database in a transaction that claims the officer."""
        async with write_transaction(self.pool, examiner="PRIVACY_OFFICER", officer=self.name) as connection:
            return await connection.fetchval(statement, *values)


def _act_outcome(said: str | None) -> ActOutcome | None:
    """Parse what the database returned of an officer's act."""
    return None if said is None else ActOutcome(said)
