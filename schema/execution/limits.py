"""Limits on documents: their size and structure (`grounds_client.limits`), and the number of requested values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    value_from_ast_untyped,
)

from grounds_client.limits import Fragments

MAX_PAGE_SIZE = 1000
"""The maximum number of items per page."""
MAX_VALUES = 45_000
"""The maximum number of values in a response. A page of 1,000 trainable items with every field has 28,000 values, and
37,000 with every cursor and __typename, so that one page fits and two pages do not."""
FIELD_COSTS = {
    **{"consent": 20, "exclusions": 20, "dialects": 20, "account": 40, "number": 40, "eligibility": 60},
    **{"campaign": 40, "sentText": 40, "models": 40, "eligibilityByPurpose": 120},
    **{
        "signals": 150,
        "notices": 150,
        "objections": 150,
        "canary": 150,
        "incidents": 150,
        "contents": 400,
        "events": 400,
        "staffReads": 400,
        "publicRecord": 800,
        "samePerson": 400,
        "recipients": 400,
        "timeline": 800,
    },
}
"""The extra values that a field costs if it is resolved for each item separately, outside the compiled path. The costs
are in proportion to CPU time; a compiled value takes 0.7 µs."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The number of values that a selection asks for: some once, some per item of the page."""

    once: int = 0
    each: int = 0


class OperationCost:
    """The number of values that an operation asks for.

    A field is one value, those of FIELD_COSTS are more; `nodes` and `edges` count as often as the `first` above them
    says, lists without a page size once, and what @skip and @include leave out not at all. `variables` has the page
    sizes and conditions of the request.
    """

    def __init__(self, document: DocumentNode, variables: Mapping[str, Any]) -> None:
        self._variables = dict(variables)
        self._fragments = Fragments(document, Cost())

    def of(self, operation: OperationDefinitionNode) -> int:
        """Count the cost of a GraphQL operation: how many values its answer can have."""
        return self._count(operation.selection_set, 1)

    def _count(self, selected: SelectionSetNode | None, items: int) -> int:
        """Count the cost of a GraphQL selection on a page of so many items."""
        cost = self._cost(selected)
        return cost.once + items * cost.each

    def _cost(self, selected: SelectionSetNode | None) -> Cost:
        """Count the cost of a GraphQL selection: once per page, and for each item."""
        once = each = 0
        for node in selected.selections if selected else ():
            if self._left_out(node):
                continue
            if isinstance(node, FieldNode):
                cost = self._of_field(node.name.value, self._count(node.selection_set, self._page_size(node)))
            elif isinstance(node, FragmentSpreadNode):
                cost = self._fragments.measured(node.name.value, self._cost)
            else:
                cost = self._cost(getattr(node, "selection_set", None))
            once += cost.once
            each += cost.each
        return Cost(once, each)

    def _of_field(self, name: str, beneath: int) -> Cost:
        """Count the cost of one GraphQL field with what is selected beneath it."""
        value = 1 + FIELD_COSTS.get(name, 0) + beneath
        return Cost(each=value) if name in ("nodes", "edges") else Cost(value)

    def _page_size(self, field: FieldNode) -> int:
        """Read the page size that a GraphQL field asks for. One out of bounds counts as 1: the resolver refuses it."""
        size = next((self._value(argument) for argument in field.arguments or () if argument.name.value == "first"), 1)
        return size if isinstance(size, int) and 1 <= size <= MAX_PAGE_SIZE else 1

    def _left_out(self, node: SelectionNode) -> bool:
        """Return whether @skip or @include leaves a GraphQL selection out."""
        unless = {"skip": True, "include": False}
        return any(
            self._value(argument) is unless[directive.name.value]
            for directive in node.directives or ()
            if directive.name.value in unless
            for argument in directive.arguments or ()
        )

    def _value(self, argument: ArgumentNode) -> Any:
        """Return the value of a GraphQL argument, which may be a variable."""
        return value_from_ast_untyped(argument.value, self._variables)
