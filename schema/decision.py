"""A decision and its reasons: conditions with their outcomes and evidence, the ground and its legal basis."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import strawberry

from db.content import DecisionRow
from db.policy.compile import conditions_of
from db.policy.conditions import CONDITIONS
from db.policy.conditions import Condition as CatalogueCondition
from db.policy.document import Policy
from db.policy.evidence import Evidence
from db.policy.grounds import GROUNDS
from schema.compiled import Column, RowPage
from schema.governed import CONCERNED, EVERYONE, STAFF, TRAINING, governed
from schema.values import GroundCode

_READERS = (*TRAINING, *CONCERNED)


@strawberry.enum(description="What became of a condition. Only PASS counts for an item.")
class Outcome(StrEnum):
    """Name what became of a condition."""

    PASS = "PASS"  # noqa: S105 - an outcome, no password
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"


@strawberry.enum(description="Yes, no, or not known.")
class TriState(StrEnum):
    """Name a truth that may not be known."""

    YES = "YES"
    NO = "NO"
    UNKNOWN = "UNKNOWN"


@strawberry.type(description="The legal basis of a ground, with its IRI in the Data Privacy Vocabulary.")
class LegalBasis:
    """Name a legal basis."""

    title: str = governed(EVERYONE)
    iri: str = governed(EVERYONE)


@strawberry.type(description="A condition of the catalogue.")
class Condition:
    """Describe a condition."""

    code: str = governed(EVERYONE)
    sentence: str = governed(EVERYONE, description="What must hold, for people.")
    source: str = governed(EVERYONE, description="The legal source.")
    predicate: str = governed(
        STAFF, description="The rule itself: three-valued SQL over the content c and the author's standing s."
    )
    grounds: list[GroundCode] = governed(EVERYONE, description="The grounds that need it.")


@strawberry.type(description="A condition as it came out for one item.")
class ConditionResult:
    """Say how a condition came out."""

    code: str = governed(_READERS, row=Column("code"))
    outcome: Outcome = governed(_READERS, row=Column("outcome"))
    required: bool = governed(_READERS, row=Column("required"), description="Whether the item's ground needs it.")
    evidence: str | None = governed(
        _READERS,
        row=Column("evidence"),
        description="What shows it, coarsely: weeks and months, never a birth date.",
    )


@dataclass(frozen=True)
class ConditionResults(RowPage):
    """Hold how every condition came out for one item, as rows for the compiled path."""

    columns = {"code": 0, "outcome": 1, "required": 2, "evidence": 3}  # noqa: RUF012 - never changed
    results: list[tuple[str, str, bool, str | None]]
    policy: None = None

    @property
    def rows(self) -> Sequence[Any]:
        """Give the results."""
        return self.results


def catalogue(policy: Policy) -> list[Condition]:
    """Describe every condition that a policy evaluates."""
    return [
        Condition(
            code=condition.code,
            sentence=condition.sentence,
            source=condition.source,
            predicate=condition.predicate,
            grounds=[code for code in policy.grounds if condition.code in GROUNDS[code].required],
        )
        for condition in conditions_of(policy)
    ]


def legal_basis(ground: GroundCode) -> LegalBasis:
    """Name the legal basis of a ground."""
    return LegalBasis(title=GROUNDS[ground].basis, iri=GROUNDS[ground].dpv)


def evidence_of_policy(evidence: Evidence, policy: Policy) -> str | None:
    """Say a fact that the policy itself states."""
    facts = {"{effective_from}": policy.effective_from.date(), "{purposes}": ", ".join(policy.purposes)}
    return evidence.show(facts[evidence.fact])


@strawberry.input(description="An earlier time, for examiners: the decision as it was, of what was known.")
class AsOf:
    """Name an earlier time."""

    valid_at: datetime = strawberry.field(description="The instant of the decision.")
    known_at: datetime | None = strawberry.field(
        default=None, description="By what was known here at this instant; now, where it is left out."
    )


@strawberry.type(description="Whether an item is permitted, and every condition with its evidence.")
class Eligibility:
    """Explain a decision."""

    permitted: bool = governed(CONCERNED)
    ground: GroundCode = governed(CONCERNED, description="The ground that the item is judged against.")
    legal_basis: LegalBasis = governed(CONCERNED)
    summary: str = governed(CONCERNED, description="A sentence for people.")
    conditions: list[ConditionResult] = governed(CONCERNED)
    policy_version: str = governed(CONCERNED)
    decided_at: datetime = governed(CONCERNED)


def eligibility_of(decision: DecisionRow, policy: Policy) -> Eligibility:
    """Explain a decision that was made under a policy."""
    ground = GROUNDS[GroundCode(decision.ground)]
    results = [
        (
            condition.code,
            _OUTCOMES[decision.outcomes[condition.code]],
            condition.code in ground.required,
            _shown(condition, decision, policy),
        )
        for condition in conditions_of(policy)
    ]
    return Eligibility(
        permitted=decision.permitted,
        ground=ground.code,
        legal_basis=legal_basis(ground.code),
        summary=ground.summary if decision.permitted else _refusal(results),
        conditions=ConditionResults(results),  # type: ignore[arg-type]  # rows, which the executor answers for
        policy_version=decision.policy,
        decided_at=decision.decided_at,
    )


def _shown(condition: CatalogueCondition, decision: DecisionRow, policy: Policy) -> str | None:
    evidence = condition.evidence
    if evidence is None:
        return None
    if evidence.of_policy:
        return evidence_of_policy(evidence, policy)
    return evidence.show(decision.evidence[evidence.column])


def _refusal(results: list[tuple[str, str, bool, str | None]]) -> str:
    sentences = {condition.code: condition.sentence for condition in CONDITIONS}
    missed = (
        f"{_SAID[outcome]}: {sentences[code]}"
        for code, outcome, required, _ in results
        if required and outcome in _SAID
    )
    return " ".join(["Not permitted.", *missed])


_OUTCOMES = {True: Outcome.PASS.value, False: Outcome.FAIL.value, None: Outcome.UNKNOWN.value}
_SAID = {Outcome.FAIL.value: "Does not hold", Outcome.UNKNOWN.value: "Is not known to hold"}
tri_state = {True: TriState.YES, False: TriState.NO, None: TriState.UNKNOWN}
"""Say TRUE, FALSE or NULL as people do."""
