"""A decision and its reasons: conditions with their outcomes and evidence, the ground and its legal basis."""

from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import strawberry
from graphql import GraphQLField, GraphQLObjectType, get_named_type

from db.content import DecisionRow
from db.policy.compile import conditions_of
from db.policy.conditions import CONDITIONS
from db.policy.conditions import Condition as CatalogueCondition
from db.policy.document import Policy
from db.policy.evidence import Evidence
from db.policy.grounds import GROUNDS
from schema.compiled import Column, Compiler, Made, OfPage, Shape
from schema.governed import CONCERNED, EVERYONE, STAFF, TRAINING, governed
from schema.values import GroundCode

_READERS = (*TRAINING, *CONCERNED)


@strawberry.enum(description="What became of a condition. Only PASS counts for an item.")
class Outcome(StrEnum):
    """Name what became of a condition."""

    PASS = "PASS"
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

    code: str = governed(_READERS)
    outcome: Outcome = governed(_READERS)
    required: bool = governed(_READERS, description="Whether the item's ground needs it.")
    evidence: str | None = governed(
        _READERS, description="What shows it, coarsely: weeks and months, never a birth date."
    )


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


class _ByGround:
    """Take a value that follows from the row's ground alone."""

    def __init__(self, values: Callable[[Compiler, GraphQLObjectType | None, Shape | None], dict[str, Any]]) -> None:
        self._values = values

    def expression(self, compiler: Compiler, declared: GraphQLField, shape: Shape | None) -> str:
        """Look the value up by the ground."""
        kind = get_named_type(declared.type)
        values = self._values(compiler, kind if isinstance(kind, GraphQLObjectType) else None, shape)
        return f"{compiler.bind(values)}[row[{compiler.page.columns['ground']}]]"


def _bases(compiler: Compiler, kind: GraphQLObjectType | None, shape: Shape | None) -> dict[str, Any]:
    assert kind is not None
    return {
        code: compiler.render(kind, shape, {"title": ground.basis, "iri": ground.dpv})
        for code, ground in GROUNDS.items()
    }


class _PassedConditions:
    """Take the conditions that a delivered row passed: those of its ground, with the row's own evidence."""

    def expression(self, compiler: Compiler, declared: GraphQLField, shape: Shape | None) -> str:
        """Write one list a ground; what the row does not change is made once."""
        kind = get_named_type(declared.type)
        assert isinstance(kind, GraphQLObjectType)
        policy: Policy = compiler.page.policy  # type: ignore[attr-defined]  # rows with reasons come with their policy
        lists = {ground: compiler.bind(self._list(compiler, kind, shape, ground, policy)) for ground in GROUNDS}
        choice = compiler.bind({ground: compiler.names[name] for ground, name in lists.items()})
        return f"{choice}[row[{compiler.page.columns['ground']}]](row)"

    def _list(
        self, compiler: Compiler, kind: GraphQLObjectType, shape: Shape | None, ground: GroundCode, policy: Policy
    ) -> Callable[[Sequence[Any]], list[Any]]:
        names: dict[str, Any] = {}
        entries = []
        for condition in conditions_of(policy):
            if condition.code not in GROUNDS[ground].required:
                continue
            name = f"c{len(names)}"
            result = _Rendered(compiler, kind, shape, condition, policy)
            if condition.evidence is None or condition.evidence.of_policy:
                names[name] = result[None]
                entries.append(name)
            else:
                names[name] = result
                entries.append(f"{name}[row[{compiler.page.columns[condition.evidence.column]}]]")
        made: Callable[[Sequence[Any]], list[Any]] = eval(f"lambda row: [{', '.join(entries)}]", names)  # noqa: S307 - made of our own names
        return made


class _Rendered(dict[Any, Any]):
    """Remember a passed condition as it reads with each value of its evidence: months, weeks, countries."""

    def __init__(
        self,
        compiler: Compiler,
        kind: GraphQLObjectType,
        shape: Shape | None,
        condition: CatalogueCondition,
        policy: Policy,
    ) -> None:
        super().__init__()
        self._made_of = compiler, kind, shape, condition, policy

    def __missing__(self, value: object) -> Any:
        compiler, kind, shape, condition, policy = self._made_of
        evidence = condition.evidence
        shown = (
            None
            if evidence is None
            else evidence_of_policy(evidence, policy)
            if evidence.of_policy
            else evidence.show(value)
        )
        outcome = Outcome.PASS if shape is None else Outcome.PASS.value
        fields = {"code": condition.code, "outcome": outcome, "required": True, "evidence": shown}
        made = self[value] = compiler.render(kind, shape, fields)
        return made


@strawberry.type(description="Why an item qualified: complete, and decided by the statement that delivered it.")
class QualifyingReason:
    """Say why an item qualified."""

    ground: GroundCode = governed(TRAINING, row=Column("ground"))
    legal_basis: LegalBasis = governed(TRAINING, row=_ByGround(_bases))
    summary: str = governed(
        TRAINING,
        row=_ByGround(lambda *_: {code: ground.summary for code, ground in GROUNDS.items()}),
        description="A sentence for people.",
    )
    conditions: list[ConditionResult] = governed(TRAINING, row=_PassedConditions())
    policy_version: str = governed(TRAINING, row=OfPage("policy_version"))
    decided_at: datetime = governed(TRAINING, row=OfPage("decided_at"))
    receipt: strawberry.ID = governed(TRAINING, row=OfPage("receipt"), description="The receipt of the page.")


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
    results = [_result(condition, decision, policy) for condition in conditions_of(policy)]
    missed = [result for result in results if result.required and result.outcome is not Outcome.PASS]
    return Eligibility(
        permitted=decision.permitted,
        ground=ground.code,
        legal_basis=legal_basis(ground.code),
        summary=ground.summary if decision.permitted else _refusal(missed),
        conditions=results,
        policy_version=decision.policy,
        decided_at=decision.decided_at,
    )


def _result(condition: CatalogueCondition, decision: DecisionRow, policy: Policy) -> ConditionResult:
    evidence = condition.evidence
    shown = None
    if evidence is not None:
        shown = (
            evidence_of_policy(evidence, policy)
            if evidence.of_policy
            else evidence.show(decision.evidence[evidence.column])
        )
    return ConditionResult(
        code=condition.code,
        outcome=_OUTCOMES[decision.outcomes[condition.code]],
        required=condition.code in GROUNDS[GroundCode(decision.ground)].required,
        evidence=shown,
    )


def _refusal(missed: list[ConditionResult]) -> str:
    sentences = {condition.code: condition.sentence for condition in CONDITIONS}
    reasons = " ".join(f"{_SAID[result.outcome]}: {sentences[result.code]}" for result in missed)
    return f"Not permitted. {reasons}"


_OUTCOMES = {True: Outcome.PASS, False: Outcome.FAIL, None: Outcome.UNKNOWN}
_SAID = {Outcome.FAIL: "Does not hold", Outcome.UNKNOWN: "Is not known to hold"}
tri_state = {True: TriState.YES, False: TriState.NO, None: TriState.UNKNOWN}
"""Say TRUE, FALSE or NULL as people do."""

__all__ = ["Condition", "ConditionResult", "Eligibility", "LegalBasis", "Made", "QualifyingReason", "TriState"]
