"""The maximum size of a document that the gateway executes.

The time to measure a document is linear in its length: each fragment is measured once, and its measure is added
wherever the fragment is spread. (Expanding fragments without a memo let 835 bytes take 13 s.)
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    OperationDefinitionNode,
    SelectionSetNode,
)

MAX_DEPTH: Final = 8
MAX_ALIASES: Final = 15
MAX_DIRECTIVES: Final = 10
MAX_FIELDS: Final = 500
MAX_ROOT_FIELDS: Final = 5

Measure = TypeVar("Measure")


class Fragments(Generic[Measure]):
    """The measures of a document's fragments, each taken once."""

    def __init__(self, document: DocumentNode, nothing: Measure) -> None:
        self._definitions = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._nothing = nothing
        self._measured: dict[str, Measure] = {}
        self._open: set[str] = set()

    def selected(self, name: str) -> SelectionSetNode | None:
        """Return the selection of a client's fragment; None if the fragment is unknown."""
        return self._definitions[name].selection_set if name in self._definitions else None

    def measured(self, name: str, measure: Callable[[SelectionSetNode], Measure]) -> Measure:
        """Return the measure of a fragment of a client's document, or `nothing` if it is unknown or spreads itself."""
        if name not in self._definitions or name in self._open:
            return self._nothing
        if name not in self._measured:
            self._open.add(name)
            self._measured[name] = measure(self._definitions[name].selection_set)
            self._open.discard(name)
        return self._measured[name]


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a selection."""

    depth: int = 0
    aliases: int = 0
    directives: int = 0
    fields: int = 0
    width: int = 0  # fields at its own level


class DocumentSize:
    """The sizes of a document's operations, as they are written."""

    def __init__(self, document: DocumentNode) -> None:
        self._fragments = Fragments(document, Size())

    def of(self, operation: OperationDefinitionNode) -> Size:
        """Measure an operation of a client's document, its fragments included."""
        return replace(self._size(operation.selection_set), directives=self._directives(operation.selection_set, set()))

    def _directives(self, selected: SelectionSetNode | None, counted: set[str]) -> int:
        """Count directives as they are written: those of a fragment once, however often it is spread."""
        found = 0
        for node in selected.selections if selected else ():
            found += len(node.directives or ())
            if not isinstance(node, FragmentSpreadNode):
                found += self._directives(getattr(node, "selection_set", None), counted)
            elif node.name.value not in counted:
                counted.add(node.name.value)
                found += self._directives(self._fragments.selected(node.name.value), counted)
        return found

    def _size(self, selected: SelectionSetNode | None) -> Size:
        """Measure a selection of a client's document: its depth, aliases and fields."""
        depth = aliases = fields = width = 0
        for node in selected.selections if selected else ():
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
            fields += beneath.fields
        return Size(depth, aliases, fields=fields, width=width)


def limit_errors(document: DocumentNode) -> Iterator[GraphQLError]:
    """Report the operations of a client's document that are over a limit."""
    measure = DocumentSize(document)
    for operation in document.definitions:
        if isinstance(operation, OperationDefinitionNode):
            size = measure.of(operation)
            found = {
                "levels": (size.depth, MAX_DEPTH),
                "aliases": (size.aliases, MAX_ALIASES),
                "directives": (size.directives, MAX_DIRECTIVES),
                "fields": (size.fields, MAX_FIELDS),
                "root fields": (size.width, MAX_ROOT_FIELDS),
            }
            for name, (count, most) in found.items():
                if count > most:
                    yield GraphQLError(
                        f"the operation has more than {most} {name} (split it into several operations)", operation
                    )
