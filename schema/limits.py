"""What a document may ask for: one validation rule, memoised, linear in the document's size.

Fragments are counted once each and added up where they are spread, so that a document of nested fragments costs no
more than its length (measured: expanding them without a memo let 835 bytes take 13 s).
"""

from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    OperationDefinitionNode,
    SelectionSetNode,
    ValidationContext,
    ValidationRule,
)

DEPTH = 8
ALIASES = 15
DIRECTIVES = 10
FIELDS = 500
ROOT_FIELDS = 5
_ENOUGH = 10**6  # nobody needs to know by how much


@dataclass(frozen=True, slots=True)
class Size:
    """Hold what a selection comes to."""

    depth: int = 0
    aliases: int = 0
    directives: int = 0
    fields: int = 0
    width: int = 0  # fields at its own level

    def beside(self, other: "Size") -> "Size":
        """Add what stands beside it."""
        return Size(
            max(self.depth, other.depth),
            min(self.aliases + other.aliases, _ENOUGH),
            min(self.directives + other.directives, _ENOUGH),
            min(self.fields + other.fields, _ENOUGH),
            min(self.width + other.width, _ENOUGH),
        )


class DocumentLimits(ValidationRule):
    """Refuse a document whose operations are too deep, too wide or too repetitive."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self._fragments = {
            node.name.value: node for node in context.document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._sizes: dict[str, Size] = {}
        self._open: set[str] = set()

    def enter_document(self, node: DocumentNode, *_: Any) -> None:
        """Measure each operation."""
        for definition in node.definitions:
            if isinstance(definition, OperationDefinitionNode):
                self._measure(definition)

    def _measure(self, operation: OperationDefinitionNode) -> None:
        size = self._size(operation.selection_set)
        found = {
            "levels": (size.depth, DEPTH),
            "aliases": (size.aliases, ALIASES),
            "directives": (size.directives, DIRECTIVES),
            "fields": (size.fields, FIELDS),
            "fields at the root": (size.width, ROOT_FIELDS),
        }
        for name, (count, most) in found.items():
            if count > most:
                self.report_error(
                    GraphQLError(f"the operation has more than {most} {name} (split it into several)", operation)
                )

    def _size(self, selected: SelectionSetNode | None) -> Size:
        size = Size()
        for node in selected.selections if selected else ():
            directives = len(getattr(node, "directives", ()) or ())
            if isinstance(node, FieldNode):
                beneath = self._size(node.selection_set)
                # graphql-core bounds introspection by a rule of its own; its standard query is deeper than ours may be.
                depth = 1 if node.name.value in ("__schema", "__type") else 1 + beneath.depth
                own = Size(depth, int(node.alias is not None), directives, 1, 1)
                size = size.beside(own).beside(Size(0, beneath.aliases, beneath.directives, beneath.fields))
            elif isinstance(node, FragmentSpreadNode):
                size = size.beside(self._of_fragment(node.name.value)).beside(Size(directives=directives))
            else:
                beneath = self._size(getattr(node, "selection_set", None))
                size = size.beside(beneath).beside(Size(directives=directives))
        return size

    def _of_fragment(self, name: str) -> Size:
        """Measure a fragment once. Unknown ones and circles are for the standard rules to report."""
        if name not in self._fragments or name in self._open:
            return Size()
        if name not in self._sizes:
            self._open.add(name)
            self._sizes[name] = self._size(self._fragments[name].selection_set)
            self._open.discard(name)
        return self._sizes[name]
