"""A decision and its reasons: conditions with outcomes and evidence, the ground and its legal basis."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import strawberry

from db.policy.compile import conditions_of
from db.policy.condition import Condition as CatalogueCondition
from db.policy.conditions import CONDITIONS
from db.policy.document import Policy
from db.policy.evidence import Evidence
from db.policy.grounds import GROUNDS, required_of
from db.records.decision import DecisionRow
from schema.enums import ConditionCode, GroundCode, described_enum
from schema.execution.row_compiler import Column, RowPage
from schema.governed import ANYONE, EVERYONE, EXAMINERS_AND_OWNER, STAFF, TRAINING, governed

_READERS = (*TRAINING, *EXAMINERS_AND_OWNER)


@described_enum(
    "The outcome of a condition; an item is permitted only if all required conditions have the outcome PASS.",
    PASS="The condition is met.",  # noqa: S106 - an outcome, no password
    FAIL="The condition is not met.",
    UNKNOWN="The facts do not show whether the condition is met.",
)
class Outcome(StrEnum):
    PASS = "PASS"  # noqa: S105 - an outcome, no password
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"


@described_enum(
    "A truth value that can be unknown.",
    YES="Yes.",
    NO="No.",
    UNKNOWN="Not known.",
)
class TriState(StrEnum):
    YES = "YES"
    NO = "NO"
    UNKNOWN = "UNKNOWN"


@strawberry.type(description="A legal basis, with its identifier (IRI) in the Data Privacy Vocabulary.")
class LegalBasis:
    title: str = governed(ANYONE, description="The title of the legal basis.")
    iri: str = governed(ANYONE, description="The identifier (IRI) of the legal basis in the Data Privacy Vocabulary.")


@strawberry.type(description="A condition of the catalogue.")
class Condition:
    code: ConditionCode = governed(EVERYONE, description="The code of the condition.")
    sentence: str = governed(EVERYONE, description="The condition in one sentence.")
    source: str = governed(EVERYONE, description="The legal source of the condition.")
    predicate: str = governed(
        STAFF,
        description=(
            "The rule as an SQL expression with the value true, false or null; `c` is the item and `s` is the "
            "author's standing."
        ),
    )
    grounds: list[GroundCode] = governed(
        EVERYONE, description="The legal grounds for which an item must meet this condition."
    )


@strawberry.type(description="The result of a condition for one item.")
class ConditionResult:
    code: ConditionCode = governed(_READERS, row=Column("code"), description="The code of the condition.")
    outcome: Outcome = governed(_READERS, row=Column("outcome"), description="The outcome of the condition.")
    required: bool = governed(
        _READERS, row=Column("required"), description="Whether the item's ground requires the condition."
    )
    evidence: str | None = governed(
        _READERS,
        row=Column("evidence"),
        description=(
            "The facts that decided the outcome, null if there are no facts to show; times are given as weeks "
            "or months."
        ),
    )


@dataclass(frozen=True)
class ConditionResults(RowPage):
    """The result of every condition for one item, as rows for the compiled path."""

    columns = {"code": 0, "outcome": 1, "required": 2, "evidence": 3}  # noqa: RUF012 - never changed
    results: list[tuple[str, str, bool, str | None]]
    policy: None = None

    @property
    def rows(self) -> Sequence[Any]:
        """Return the rows of a decision's condition results, for the row compiler."""
        return self.results


def describe_conditions(policy: Policy) -> list[Condition]:
    """Show every condition that a policy evaluates as a GraphQL object."""
    return [
        Condition(
            code=ConditionCode(condition.code),
            sentence=condition.sentence,
            source=condition.source,
            predicate=condition.predicate,
            grounds=[code for code in policy.grounds if condition.code in GROUNDS[code].required],
        )
        for condition in conditions_of(policy)
    ]


def legal_basis(ground: GroundCode) -> LegalBasis:
    """Show the legal basis of an item's ground as a GraphQL object."""
    return LegalBasis(title=GROUNDS[ground].basis, iri=GROUNDS[ground].dpv)


def evidence_of_policy(evidence: Evidence, policy: Policy) -> str | None:
    """Write the evidence for an item's condition that the policy itself states."""
    facts = {"{effective_from}": policy.effective_from.date(), "{purposes}": ", ".join(policy.purposes)}
    return evidence.show(facts[evidence.fact])


ForPurpose = Annotated[
    str | None,
    strawberry.argument(description="The purpose of the decision, by default the first purpose of the policy."),
]


@strawberry.input(
    description="A time in the past, for which officers and auditors can query the decision about an item."
)
class AsOf:
    valid_at: datetime = strawberry.field(
        description="The time in the past for which the gateway computes the decision."
    )
    known_at: datetime | None = strawberry.field(
        default=None, description="The decision uses only facts that the gateway knew at this time; the default is now."
    )


@strawberry.type(description="The decision on an item with the result of every condition.")
class Eligibility:
    purpose: str = governed(EXAMINERS_AND_OWNER, description="The purpose for which the decision was made.")
    permitted: bool = governed(EXAMINERS_AND_OWNER, description="Whether the item is permitted.")
    ground: GroundCode = governed(EXAMINERS_AND_OWNER, description="The ground whose conditions apply to the item.")
    legal_basis: LegalBasis = governed(EXAMINERS_AND_OWNER, description="The legal basis of the ground.")
    summary: str = governed(EXAMINERS_AND_OWNER, description="The decision in plain words.")
    conditions: list[ConditionResult] = governed(EXAMINERS_AND_OWNER, description="The result of every condition.")
    policy_version: str = governed(
        EXAMINERS_AND_OWNER, description="The version of the policy that was used for the decision."
    )
    decided_at: datetime = governed(EXAMINERS_AND_OWNER, description="The time of the decision.")


def eligibility_of(decision: DecisionRow, policy: Policy) -> Eligibility:
    """Explain a decision on an item under a policy, as the GraphQL object `Eligibility`."""
    ground = GROUNDS[GroundCode(decision.ground)]
    required = required_of(ground.code, decision.evidence["kind"])
    results = [
        (
            condition.code,
            _OUTCOMES[decision.outcomes[condition.code]],
            condition.code in required,
            _condition_result(condition, decision, policy),
        )
        for condition in conditions_of(policy)
    ]
    return Eligibility(
        purpose=decision.purpose,
        permitted=decision.permitted,
        ground=ground.code,
        legal_basis=legal_basis(ground.code),
        summary=ground.summary if decision.permitted else _refusal_summary(results),
        conditions=ConditionResults(results),  # type: ignore[arg-type]  # rows, which the executor answers for
        policy_version=decision.policy,
        decided_at=decision.decided_at,
    )


def _condition_result(condition: CatalogueCondition, decision: DecisionRow, policy: Policy) -> str | None:
    """Write the evidence for one condition of a decision on an item; None where there is none."""
    evidence = condition.evidence
    overdue = [each for each in policy.deadlines() if each.stops and each.ends_at < decision.decided_at]
    if condition.code == "PROGRAMME_ACTIVE" and overdue:
        return "stopped: " + ", ".join(f"{each.name} was valid until {each.until}" for each in overdue)
    if evidence is None:
        return None
    if evidence.of_policy:
        return evidence_of_policy(evidence, policy)
    stated = (evidence, condition.details)
    shown = [each.show(decision.evidence[each.column]) for each in stated if each]
    return " ".join(filter(None, shown)) or None


def _refusal_summary(results: list[tuple[str, str, bool, str | None]]) -> str:
    """Write in one line which conditions an item misses."""
    sentences = {condition.code: condition.sentence for condition in CONDITIONS}
    missed = (
        f"{_TRI_STATE_TEXTS[outcome]}: {sentences[code]}"
        for code, outcome, required, _ in results
        if required and outcome in _TRI_STATE_TEXTS
    )
    return " ".join(["Not permitted.", *missed])


_OUTCOMES = {True: Outcome.PASS.value, False: Outcome.FAIL.value, None: Outcome.UNKNOWN.value}
_TRI_STATE_TEXTS = {Outcome.FAIL.value: "Not met", Outcome.UNKNOWN.value: "Not known to be met"}
tri_state = {True: TriState.YES, False: TriState.NO, None: TriState.UNKNOWN}
"""The words for the SQL values TRUE, FALSE and NULL."""
