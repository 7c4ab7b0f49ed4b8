"""Policies before they are in force: proposed by one officer, simulated by whoever likes, approved by another."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import strawberry

from db.officers import Outcome, ProposalRow, activated_policies, proposals
from db.policy.document import Policy as Document
from db.policy.document import PolicyError, parse_policy
from db.simulation import Changes, simulate
from db.simulation import Simulation as Counted
from schema.context import Context
from schema.errors import BadInput
from schema.governed import EXAMINERS, OFFICERS, governed
from schema.holds import acting
from schema.policy import Policy, policy_of_document

Info = strawberry.Info[Context, None]
Text = Annotated[str, strawberry.argument(description="The whole document, JSON.")]


@strawberry.type(description="A proposed policy, and what became of it.")
class PolicyProposal:
    """Hold a proposal."""

    policy: Policy = governed(EXAMINERS)
    proposed_by: str = governed(EXAMINERS)
    proposed_at: datetime = governed(EXAMINERS)
    approved_by: str | None = governed(EXAMINERS)
    approved_at: datetime | None = governed(EXAMINERS)
    put_in_force_at: datetime | None = governed(
        EXAMINERS, description="When its time had come; nothing is permitted between then and effectiveFrom."
    )


@strawberry.enum(description="Where a version of the policy stands.")
class PolicyState(StrEnum):
    """Name where a version stands."""

    PROPOSED = "PROPOSED"
    APPROVED = "APPROVED"
    IN_FORCE = "IN_FORCE"
    PAST = "PAST"


@strawberry.type(description="A version of the policy that is, was, or may come to be in force.")
class PolicyVersion:
    """Hold a version."""

    policy: Policy = governed(EXAMINERS)
    state: PolicyState = governed(EXAMINERS)
    first_activated_at: datetime | None = governed(EXAMINERS)
    last_activated_at: datetime | None = governed(
        EXAMINERS, description="A later one than the first where an older version was put in force again."
    )
    proposal: PolicyProposal | None = governed(
        EXAMINERS, description="Null where the operator put it in force, and not two officers."
    )


@strawberry.type(description="How many items something changes.")
class Change:
    """Count items by what they have in common."""

    name: str | None = governed(EXAMINERS, description="A kind, a country or a condition; null is unknown.")
    gained: int = governed(EXAMINERS)
    lost: int = governed(EXAMINERS)


@strawberry.type(description="What a policy would change if it were in force now.")
class Simulation:
    """Hold what was counted."""

    items: int = governed(EXAMINERS, description="How many items there are; an estimate unless all were examined.")
    examined: int = governed(EXAMINERS, description="How many of them were counted in the time there is.")
    gained: int = governed(EXAMINERS)
    lost: int = governed(EXAMINERS)
    by_kind: list[Change] = governed(EXAMINERS)
    by_country: list[Change] = governed(EXAMINERS)
    by_condition: list[Change] = governed(
        EXAMINERS,
        description="What keeps out what is gained, now, and what is lost, then; an item may count more than once.",
    )


async def policy_proposals(info: Info) -> list[PolicyProposal]:
    """List every proposed policy, the newest first."""
    return [_shown(row) for row in await proposals(info.context.reader)]


async def policy_versions(info: Info) -> list[PolicyVersion]:
    """List every version, proposed ones first, then those that are or were in force, the latest first."""
    reader = info.context.reader
    proposed = {row.version: row for row in await proposals(reader)}
    versions = []
    for row in await activated_policies(reader):
        policy = parse_policy(row.document)
        proposal = proposed.pop(policy.version, None)
        versions.append(
            PolicyVersion(
                policy=policy_of_document(policy),
                state=PolicyState.IN_FORCE if row.active else PolicyState.PAST,
                first_activated_at=row.first_activated_at,
                last_activated_at=row.last_activated_at,
                proposal=_shown(proposal) if proposal else None,
            )
        )
    return [*map(_waiting, proposed.values()), *versions]


def _waiting(row: ProposalRow) -> PolicyVersion:
    shown = _shown(row)
    state = PolicyState.APPROVED if row.approved_at else PolicyState.PROPOSED
    return PolicyVersion(
        policy=shown.policy, state=state, first_activated_at=None, last_activated_at=None, proposal=shown
    )


async def simulate_policy(info: Info, document: Text) -> Simulation:
    """Say what a document would change; nothing is stored."""
    found = await simulate(info.context.reader, await info.context.gateway.policy_in_force(), _parsed(document))
    return _counted(found)


async def _propose_policy(info: Info, document: Text) -> PolicyProposal:
    policy = _parsed(document)
    if await acting(info.context).propose_policy(policy) is Outcome.KNOWN:
        raise BadInput("document: its version was proposed or in force before (give it a new one)")
    return await _proposal(info, policy.version)


async def _activate_policy(info: Info, version: str) -> PolicyProposal:
    outcome = await acting(info.context).approve_policy(version)
    if outcome is None:
        raise BadInput("version: nobody proposed it (see policyProposals)")
    if outcome is Outcome.SAME_OFFICER:
        raise BadInput("version: you proposed it, and it takes two officers (have another one approve it)")
    return await _proposal(info, version)


async def _proposal(info: Info, version: str) -> PolicyProposal:
    return next(_shown(row) for row in await proposals(info.context.reader) if row.version == version)


def _parsed(document: str) -> Document:
    try:
        return parse_policy(document)
    except PolicyError as error:
        raise BadInput(f"document: {error} (mend it)") from None


def _shown(row: ProposalRow) -> PolicyProposal:
    return PolicyProposal(
        policy=policy_of_document(parse_policy(row.document)),
        proposed_by=row.proposed_by,
        proposed_at=row.proposed_at,
        approved_by=row.approved_by,
        approved_at=row.approved_at,
        put_in_force_at=row.put_in_force_at,
    )


def _counted(found: Counted) -> Simulation:
    def changes(counts: Changes) -> list[Change]:
        names = sorted({name for name, _ in counts}, key=lambda name: name or "")
        return [Change(name=name, gained=counts[name, True], lost=counts[name, False]) for name in names]

    return Simulation(
        items=found.items,
        examined=found.examined,
        gained=found.gained,
        lost=found.lost,
        by_kind=changes(found.kinds),
        by_country=changes(found.countries),
        by_condition=changes(found.conditions),
    )


@strawberry.type
class PolicyMutation:
    """Propose and activate policies."""

    propose_policy: PolicyProposal = governed(OFFICERS, resolver=_propose_policy, description="Propose a policy.")
    activate_policy: PolicyProposal = governed(
        OFFICERS,
        resolver=_activate_policy,
        description="Approve what another officer proposed: it is in force from its effectiveFrom on, or at once.",
    )
