"""Why an item qualified, taken from the row that delivers it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import product
from typing import Any

import orjson
import strawberry
from graphql import GraphQLField, GraphQLObjectType, get_named_type

from db.policy.compile import conditions_of
from db.policy.condition import Condition
from db.policy.document import Policy
from db.policy.grounds import GROUNDS, required_of
from db.vocabulary import ContentKind
from schema.enums import ConditionCode, GroundCode
from schema.execution.row_compiler import Column, Compiler, FromPage, Shape
from schema.governed import TRAINING, governed
from schema.records.eligibility import ConditionResult, LegalBasis, Outcome, evidence_of_policy

_GROUP_STARTS = frozenset(
    {"ACCOUNT_IN_GOOD_STANDING", "NOTICE_DELIVERED", "CONTENT_KIND_COVERED", "CONTENT_LIVE", "NO_SPECIAL_CATEGORY"}
)
"""The condition with which each group of conditions begins. The evidence of one group has few different
combinations."""
_CACHE_SIZE = 1024
"""The maximum number of cached groups of conditions; each group takes about half a kilobyte."""


class _ValueByGround:
    """A value that follows from the row's ground only."""

    def __init__(self, values: Callable[[Compiler, GraphQLField, Shape | None], dict[str, Any]]) -> None:
        self._values = values

    def expression(self, compiler: Compiler, declared: GraphQLField, shape: Shape | None) -> str:
        """Compile a field of a trainable item's reason into a lookup by the item's ground."""
        values = compiler.bind(self._values(compiler, declared, shape))
        return f"{values}[row[{compiler.columns['ground']}]]"


def _legal_bases_by_ground(compiler: Compiler, declared: GraphQLField, shape: Shape | None) -> dict[str, Any]:
    """Build the legal basis in a trainable item's reason, by ground."""
    return {
        code: compiler.render(_object_type_of(declared), shape, {"title": ground.basis, "iri": ground.dpv})
        for code, ground in GROUNDS.items()
    }


def _passed_conditions_by_ground(
    compiler: Compiler, declared: GraphQLField, shape: Shape | None
) -> dict[tuple[str, bool], Any]:
    """Make the functions, by ground, from a trainable item's row to its conditions with evidence."""
    policy = compiler.policy
    assert policy is not None, "rows with reasons come with their policy"
    made: dict[tuple[str, bool], Any] = {}
    for code, kind in product(GROUNDS, (ContentKind.POST, ContentKind.AI_INTERACTION)):
        needed = [condition for condition in conditions_of(policy) if condition.code in required_of(code, kind)]
        entries = [
            _PassedCondition(compiler, _object_type_of(declared), shape, condition, policy) for condition in needed
        ]
        columns = [compiler.columns[entry.column] if entry.column else None for entry in entries]
        of_prompts = kind is ContentKind.AI_INTERACTION
        made[code, of_prompts] = (
            _conditions_as_objects(entries, columns) if shape is None else _conditions_as_json(entries, columns)
        )
    return made


class _PassedConditions:
    """The conditions that a delivered row passed: those that an item of its kind needs under its ground."""

    reads_evidence = True

    def expression(self, compiler: Compiler, declared: GraphQLField, shape: Shape | None) -> str:
        """Compile the conditions of a trainable item's reason into a call with the row."""
        made = compiler.bind(_passed_conditions_by_ground(compiler, declared, shape))
        ground, kind = (f"row[{compiler.columns[name]}]" for name in ("ground", "kind"))
        return f"{made}[{ground}, {kind} == {ContentKind.AI_INTERACTION.value!r}](row)"


class _PassedCondition(dict[Any, Any]):
    """A cache of a passed condition's JSON by the value of its evidence: months, weeks, countries."""

    def __init__(
        self, compiler: Compiler, kind: GraphQLObjectType, shape: Shape | None, condition: Condition, policy: Policy
    ) -> None:
        super().__init__()
        self._made_of = compiler, kind, shape, condition, policy
        evidence = condition.evidence
        self.code = condition.code
        self.column = None if evidence is None or evidence.of_policy or evidence.examined else evidence.column

    def __missing__(self, value: object) -> Any:
        compiler, kind, shape, condition, policy = self._made_of
        evidence = condition.evidence
        shown = None
        if evidence is not None and not evidence.examined:
            shown = evidence_of_policy(evidence, policy) if evidence.of_policy else evidence.show(value)
        outcome = Outcome.PASS if shape is None else Outcome.PASS.value
        code = ConditionCode(condition.code) if shape is None else condition.code
        fields = {"code": code, "outcome": outcome, "required": True, "evidence": shown}
        rendered = compiler.render(kind, shape, fields)
        made = self[value] = rendered if shape is None else orjson.dumps(rendered)
        return made


def _conditions_as_objects(
    entries: list[_PassedCondition], columns: list[int | None]
) -> Callable[[Sequence[Any]], list[ConditionResult]]:
    """Make the function that returns a trainable item's conditions as GraphQL objects."""
    pairs = list(zip(entries, columns, strict=True))
    return lambda row: [entry[None if column is None else row[column]] for entry, column in pairs]


class _AdjacentConditions(dict[Any, orjson.Fragment]):
    """A cache of the JSON of adjacent conditions by the values of their evidence.

    The evidence of a few is what many rows share: months, weeks, countries.
    """

    def __init__(self, entries: list[_PassedCondition]) -> None:
        super().__init__()
        self.entries = entries

    def __missing__(self, values: tuple[object, ...]) -> orjson.Fragment:
        if len(self) >= _CACHE_SIZE:
            self.clear()
        shown = iter(values)
        made = (entry[None if entry.column is None else next(shown)] for entry in self.entries)
        self[values] = written = orjson.Fragment(b",".join(made))
        return written


def _conditions_as_json(
    entries: list[_PassedCondition], columns: list[int | None]
) -> Callable[[Sequence[Any]], list[orjson.Fragment]]:
    """Make the function that writes a trainable item's conditions as JSON (0.6 µs a row; 4 as dictionaries).

    A fragment goes into the answer as it is: one of several objects with commas between them is as many elements.
    """
    stretches: list[tuple[_AdjacentConditions, list[int]]] = []
    for entry, column in zip(entries, columns, strict=True):
        if not stretches or entry.code in _GROUP_STARTS:
            stretches.append((_AdjacentConditions([]), []))
        stretch, shown = stretches[-1]
        stretch.entries.append(entry)
        if column is not None:
            shown.append(column)
    names = {f"stretch_{position}": stretch for position, (stretch, _) in enumerate(stretches)}
    parts = (
        f"stretch_{position}[({''.join(f'row[{column}], ' for column in shown)})]"
        for position, (_, shown) in enumerate(stretches)
    )
    # Made of our own names; nothing of a request is in it.
    made: Callable[[Sequence[Any]], list[orjson.Fragment]] = eval(f"lambda row: [{', '.join(parts)}]", names)  # noqa: S307
    return made


def _object_type_of(declared: GraphQLField) -> GraphQLObjectType:
    """Return the GraphQL type of a field in a trainable item's reason."""
    kind = get_named_type(declared.type)
    assert isinstance(kind, GraphQLObjectType)
    return kind


@strawberry.type(
    description="The reason why an item is permitted, as computed by the database statement that delivered the item."
)
class QualifyingReason:
    ground: GroundCode = governed(
        TRAINING, row=Column("ground"), description="The legal ground for which the item is permitted."
    )
    legal_basis: LegalBasis = governed(
        TRAINING, row=_ValueByGround(_legal_bases_by_ground), description="The legal basis of the ground."
    )
    summary: str = governed(
        TRAINING,
        row=_ValueByGround(lambda *_: {code: ground.summary for code, ground in GROUNDS.items()}),
        description="The reason in one sentence.",
    )
    conditions: list[ConditionResult] = governed(
        TRAINING,
        row=_PassedConditions(),
        description="The conditions that the ground requires, all with the outcome PASS.",
    )
    policy_version: str = governed(
        TRAINING,
        row=FromPage("policy_version"),
        description="The version of the policy that was used for the decision.",
    )
    decided_at: datetime = governed(TRAINING, row=FromPage("decided_at"), description="The time of the decision.")
    receipt: strawberry.ID = governed(
        TRAINING, row=FromPage("receipt"), description="The id of the receipt of the page."
    )
