"""Policies before they are in force: proposed by one officer, simulated, and approved by another."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import strawberry

from db.oversight.officer import ActOutcome
from db.policies.proposals import ProposalRow, list_activated_policies, list_proposals
from db.policies.simulation import Changes, simulate_policy_change
from db.policies.simulation import Simulation as SimulationCounts
from db.policies.told import check_policy, read_told
from db.policy.document import Policy as Document
from db.policy.document import PolicyError, parse_policy
from schema.context import Info
from schema.enums import ContentKind, described_enum
from schema.errors import BadInput
from schema.governed import EXAMINERS, OFFICERS, governed
from schema.oversight.holds import acting_officer
from schema.oversight.policy import Policy, policy_of_document

Text = Annotated[str, strawberry.argument(description="The policy document in JSON.")]


@strawberry.type(description="A proposed policy and its approval.")
class PolicyProposal:
    policy: Policy = governed(EXAMINERS, description="The proposed policy.")
    proposed_by: str = governed(EXAMINERS, description="The name of the officer who proposed the policy.")
    proposed_at: datetime = governed(EXAMINERS, description="The time of the proposal.")
    approved_by: str | None = governed(
        EXAMINERS, description="The name of the officer who approved the policy, null until then."
    )
    approved_at: datetime | None = governed(EXAMINERS, description="The time of the approval, null until then.")
    activated_at: datetime | None = governed(
        EXAMINERS, description="The time at which the policy was put in force, null until then."
    )


@described_enum(
    "The state of a version of the policy.",
    PROPOSED="The version was proposed and waits for approval.",
    APPROVED="The version was approved and takes effect later.",
    IN_FORCE="The version is in force.",
    PAST="The version was in force and has been replaced.",
)
class PolicyState(StrEnum):
    PROPOSED = "PROPOSED"
    APPROVED = "APPROVED"
    IN_FORCE = "IN_FORCE"
    PAST = "PAST"


@strawberry.type(description="A version of the policy with its state.")
class PolicyVersion:
    policy: Policy = governed(EXAMINERS, description="The policy.")
    state: PolicyState = governed(EXAMINERS, description="The state of the version.")
    first_activated_at: datetime | None = governed(
        EXAMINERS, description="The time at which the version was first put in force, null if it never was."
    )
    last_activated_at: datetime | None = governed(
        EXAMINERS, description="The time at which the version was last put in force, null if it never was."
    )
    proposal: PolicyProposal | None = governed(
        EXAMINERS, description="The proposal by an officer, null if the operator activated the version with a command."
    )


@strawberry.type(
    description=(
        "The numbers of items that a policy would additionally permit (gain) and no longer permit (lose), for"
        " one purpose, kind, country or condition."
    )
)
class SimulatedChange:
    name: str | None = governed(EXAMINERS, description="The purpose, kind, country or condition, null if unknown.")
    gained: int = governed(EXAMINERS, description="The number of items that the policy would additionally permit.")
    lost: int = governed(EXAMINERS, description="The number of items that the policy would no longer permit.")


@strawberry.type(
    description="For one purpose and one kind of items, the number of accounts that have such items and received no "
    "notice of this use."
)
class UntoldAccounts:
    purpose: str = governed(EXAMINERS, description="The purpose.")
    kind: ContentKind = governed(EXAMINERS, description="The kind of content.")
    accounts: int = governed(
        EXAMINERS,
        description="The number of active accounts of adults whose items of this kind the policy would use.",
    )
    untold: int = governed(
        EXAMINERS,
        description=(
            "The number of accounts in `accounts` that received no notice of this purpose and kind of content."
        ),
    )


@strawberry.type(description="The effect that a policy would have if it were in force now.")
class PolicySimulation:
    items: int = governed(
        EXAMINERS, description="The number of all items; it is an estimate if not all items were examined."
    )
    examined: int = governed(EXAMINERS, description="The number of items that were examined in the time available.")
    gained: int = governed(EXAMINERS, description="The number of items that the policy would additionally permit.")
    lost: int = governed(EXAMINERS, description="The number of items that the policy would no longer permit.")
    by_purpose: list[SimulatedChange] = governed(
        EXAMINERS,
        description=(
            "The changes for each purpose that the current or the new policy contains; an item counts once for "
            "each purpose."
        ),
    )
    untold: list[UntoldAccounts] = governed(
        EXAMINERS, description="The accounts that received no notice, by purpose and kind of content in the policy."
    )
    by_kind: list[SimulatedChange] = governed(EXAMINERS, description="The changes by kind of content.")
    by_country: list[SimulatedChange] = governed(EXAMINERS, description="The changes by country.")
    by_condition: list[SimulatedChange] = governed(
        EXAMINERS,
        description=(
            "The changes for each condition that excludes items under one of the two policies; an item can count "
            "under several conditions."
        ),
    )


async def resolve_policy_proposals(info: Info) -> list[PolicyProposal]:
    """Resolve `policyProposals` for officers: every proposed policy, the newest first."""
    return [_version_of_row(row) for row in await list_proposals(info.context.reader)]


async def resolve_policy_versions(info: Info) -> list[PolicyVersion]:
    """Resolve `policies` for officers: every version, first those proposed, then by when they were in force."""
    reader = info.context.reader
    proposed = {row.version: row for row in await list_proposals(reader)}
    versions = []
    for row in await list_activated_policies(reader):
        policy = parse_policy(row.document)
        proposal = proposed.pop(policy.version, None)
        versions.append(
            PolicyVersion(
                policy=policy_of_document(policy),
                state=PolicyState.IN_FORCE if row.active else PolicyState.PAST,
                first_activated_at=row.first_activated_at,
                last_activated_at=row.last_activated_at,
                proposal=_version_of_row(proposal) if proposal else None,
            )
        )
    return [*map(_proposal_of_row, proposed.values()), *versions]


def _proposal_of_row(row: ProposalRow) -> PolicyVersion:
    """Show officers a proposed policy version as a GraphQL object."""
    shown = _version_of_row(row)
    state = PolicyState.APPROVED if row.approved_at else PolicyState.PROPOSED
    return PolicyVersion(
        policy=shown.policy, state=state, first_activated_at=None, last_activated_at=None, proposal=shown
    )


async def resolve_simulate_policy(info: Info, document: Text) -> PolicySimulation:
    """Resolve `simulatePolicy` for officers: what a document would change; nothing is stored."""
    found = await simulate_policy_change(
        info.context.reader, await info.context.gateway.policy_in_force(), _parse_document(document)
    )
    return _simulation_result(found)


async def _propose_policy(info: Info, document: Text) -> PolicyProposal:
    """Resolve the officers' mutation `proposePolicy`."""
    policy = await _check_document(info, document)
    if await acting_officer(info.context).propose_policy(policy) is ActOutcome.KNOWN:
        raise BadInput(
            "document: the version was already proposed or in force (change the field `version` in the document)"
        )
    return await _find_proposal(info, policy.version)


async def _activate_policy(
    info: Info, version: Annotated[str, strawberry.argument(description="The version of the policy.")]
) -> PolicyProposal:
    """Resolve the officers' mutation `activatePolicy`: approve a policy that another officer proposed."""
    for row in await list_proposals(info.context.reader):
        if row.version == version:
            await _check_document(info, row.document)
    outcome = await acting_officer(info.context).approve_policy(version)
    if outcome is None:
        raise BadInput("version: must be a proposed version (use a version from policyProposals)")
    if outcome is ActOutcome.SAME_OFFICER:
        raise BadInput("version: you proposed this version yourself (ask another officer to approve the version)")
    return await _find_proposal(info, version)


async def _find_proposal(info: Info, version: str) -> PolicyProposal:
    """Show the officer a proposed policy after a mutation."""
    return next(_version_of_row(row) for row in await list_proposals(info.context.reader) if row.version == version)


async def _check_document(info: Info, document: str) -> Document:
    """Check the policy document of an officer that is to be in force. Raises BadInput with every fault."""
    told = await read_told(info.context.reader)
    try:
        return check_policy(document, "policy", told)
    except PolicyError as error:
        raise BadInput(f"document: {error}") from None


def _parse_document(document: str) -> Document:
    """Parse the policy document of an officer's mutation. Raises BadInput."""
    try:
        return parse_policy(document)
    except PolicyError as error:
        raise BadInput(f"document: {error}") from None


def _version_of_row(row: ProposalRow) -> PolicyProposal:
    """Show officers a policy proposal with its approval, as a GraphQL object."""
    return PolicyProposal(
        policy=policy_of_document(parse_policy(row.document)),
        proposed_by=row.proposed_by,
        proposed_at=row.proposed_at,
        approved_by=row.approved_by,
        approved_at=row.approved_at,
        activated_at=row.put_in_force_at,
    )


def _simulation_result(found: SimulationCounts) -> PolicySimulation:
    """Show officers what a simulated policy would change, as a GraphQL object."""

    def changes(counts: Changes) -> list[SimulatedChange]:
        """Show how many items each name gains and loses in a simulated policy."""
        names = sorted({name for name, _ in counts}, key=lambda name: name or "")
        return [SimulatedChange(name=name, gained=counts[name, True], lost=counts[name, False]) for name in names]

    return PolicySimulation(
        items=found.items,
        examined=found.examined,
        gained=found.gained,
        lost=found.lost,
        by_purpose=changes(found.purposes),
        untold=[
            UntoldAccounts(
                purpose=each.purpose, kind=ContentKind(each.kind), accounts=each.accounts, untold=each.untold
            )
            for each in found.untold
        ],
        by_kind=changes(found.kinds),
        by_country=changes(found.countries),
        by_condition=changes(found.conditions),
    )


@strawberry.type
class PolicyMutation:
    """The mutations on policies."""

    propose_policy: PolicyProposal = governed(
        OFFICERS, resolver=_propose_policy, description="Proposes a policy, which a second officer must approve."
    )
    activate_policy: PolicyProposal = governed(
        OFFICERS,
        resolver=_activate_policy,
        description="Approves a policy that another officer proposed.",
    )
