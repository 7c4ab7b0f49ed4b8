"""What a document may ask for: how it is written, and how much comes back, by its page sizes.

Both are measured in the time that it takes to read the document once: each fragment is measured once and added up where
it is spread (measured: expanding them without a memo let 835 bytes take 13 s).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    ValidationRule,
    value_from_ast_untyped,
)

MOST_ITEMS = 1000
"""Of a page."""
DEPTH = 8
ALIASES = 15
DIRECTIVES = 10
FIELDS = 500
ROOT_FIELDS = 5
VALUES = 45_000
"""A page of 1,000 trainable items with every field comes to 28,000 values, to 37,000 with every cursor and __typename:
one fits, and two do not."""
BESIDES = {
    **{"consent": 20, "excluded": 20, "account": 40, "eligibility": 60},
    **{"notices": 150, "objections": 150, "contents": 400, "events": 400, "recipients": 400, "timeline": 800},
}
"""What a field counts besides that is resolved for each item on its own, and keeps its item from the compiled path; by
CPU, of which a compiled value takes 0.7 µs."""

Measure = TypeVar("Measure")


class Fragments(Generic[Measure]):
    """Measure each fragment of a document once."""

    def __init__(self, document: DocumentNode, nothing: Measure) -> None:
        self._definitions = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._nothing = nothing
        self._measured: dict[str, Measure] = {}
        self._open: set[str] = set()

    def measured(self, name: str, measure: Callable[[SelectionSetNode], Measure]) -> Measure:
        """Give a fragment's measure. Unknown ones and circles are for the standard rules to report."""
        if name not in self._definitions or name in self._open:
            return self._nothing
        if name not in self._measured:
            self._open.add(name)
            self._measured[name] = measure(self._definitions[name].selection_set)
            self._open.discard(name)
        return self._measured[name]


@dataclass(frozen=True, slots=True)
class Size:
    """Hold what a selection comes to."""

    depth: int = 0
    aliases: int = 0
    directives: int = 0
    fields: int = 0
    width: int = 0  # fields at its own level


class DocumentSize:
    """Measure how a document is written."""

    def __init__(self, document: DocumentNode) -> None:
        self._fragments = Fragments(document, Size())

    def of(self, operation: OperationDefinitionNode) -> Size:
        """Measure an operation."""
        return self._size(operation.selection_set)

    def _size(self, selected: SelectionSetNode | None) -> Size:
        depth = aliases = directives = fields = width = 0
        for node in selected.selections if selected else ():
            directives += len(node.directives or ())
            if isinstance(node, FieldNode):
                beneath = self._size(node.selection_set)
                # graphql-core bounds introspection by a rule of its own; its standard query is deeper than ours may be.
                depth = max(depth, 1 if node.name.value in ("__schema", "__type") else 1 + beneath.depth)
                aliases += node.alias is not None
                fields += 1
                width += 1
            elif isinstance(node, FragmentSpreadNode):
                beneath = self._fragments.measured(node.name.value, self._size)
            else:
                beneath = self._size(getattr(node, "selection_set", None))
            if not isinstance(node, FieldNode):
                depth = max(depth, beneath.depth)
                width += beneath.width
            aliases += beneath.aliases
            directives += beneath.directives
            fields += beneath.fields
        return Size(depth, aliases, directives, fields, width)


def faults_of(document: DocumentNode) -> Iterator[GraphQLError]:
    """Say which operations are too deep, too wide or too repetitive."""
    measure = DocumentSize(document)
    for operation in document.definitions:
        if isinstance(operation, OperationDefinitionNode):
            size = measure.of(operation)
            found = {
                "levels": (size.depth, DEPTH),
                "aliases": (size.aliases, ALIASES),
                "directives": (size.directives, DIRECTIVES),
                "fields": (size.fields, FIELDS),
                "fields at the root": (size.width, ROOT_FIELDS),
            }
            for name, (count, most) in found.items():
                if count > most:
                    yield GraphQLError(f"the operation has more than {most} {name} (split it into several)", operation)


class DocumentLimits(ValidationRule):
    """Refuse a document whose operations are too deep, too wide or too repetitive."""

    def enter_document(self, node: DocumentNode, *_: Any) -> None:
        """Measure each operation."""
        for fault in faults_of(node):
            self.report_error(fault)


@dataclass(frozen=True, slots=True)
class Cost:
    """Hold how many values a selection asks for: some once, some for each item of the page that it is made on."""

    once: int = 0
    each: int = 0


class OperationCost:
    """Count the values that an operation asks for.

    A field is one value, those of BESIDES are more; `nodes` and `edges` count as often as the `first` above them says,
    lists without a page size once, and what @skip and @include leave out not at all. `variables` has the page sizes and
    conditions of the request.
    """

    def __init__(self, document: DocumentNode, variables: Mapping[str, Any]) -> None:
        self._variables = dict(variables)
        self._fragments = Fragments(document, Cost())

    def of(self, operation: OperationDefinitionNode) -> int:
        """Count."""
        return self._count(operation.selection_set, 1)

    def _count(self, selected: SelectionSetNode | None, items: int) -> int:
        cost = self._cost(selected)
        return cost.once + items * cost.each

    def _cost(self, selected: SelectionSetNode | None) -> Cost:
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
        value = 1 + BESIDES.get(name, 0) + beneath
        return Cost(each=value) if name in ("nodes", "edges") else Cost(value)

    def _page_size(self, field: FieldNode) -> int:
        """Read how many items a page may hold. What is out of bounds counts as one: the resolver refuses it."""
        size = next((self._value(argument) for argument in field.arguments or () if argument.name.value == "first"), 1)
        return size if isinstance(size, int) and 1 <= size <= MOST_ITEMS else 1

    def _left_out(self, node: SelectionNode) -> bool:
        unless = {"skip": True, "include": False}
        return any(
            self._value(argument) is unless[directive.name.value]
            for directive in node.directives or ()
            if directive.name.value in unless
            for argument in directive.arguments or ()
        )

    def _value(self, argument: ArgumentNode) -> Any:
        return value_from_ast_untyped(argument.value, self._variables)
