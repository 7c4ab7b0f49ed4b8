"""Operations for a gateway of an earlier version: without the fields that its schema does not have yet."""

from typing import Any, Final

from graphql import FieldNode, GraphQLSchema, TypeInfo, TypeInfoVisitor, Visitor, parse, print_ast, visit
from graphql.language.visitor import REMOVE

from grounds_client.connection import GatewayError

OPTIONAL: Final = frozenset(
    {"TrainableContent.language", "QualifyingReason.policyVersion", "QualifyingReason.receipt", "Retraction.dueBy"}
)
"""The fields that the client can do without: it states None for them."""


class _FieldRemover(Visitor):
    """The visitor that removes from an operation what a gateway's schema does not have."""

    def __init__(self, info: TypeInfo) -> None:
        super().__init__()
        self._info = info

    def enter_field(self, node: FieldNode, *_: Any) -> Any:
        """Remove an unknown field. Raises GatewayError for one that the client needs."""
        parent = self._info.get_parent_type()
        if parent is None or self._info.get_field_def() is not None:
            return None
        coordinate = f"{parent.name}.{node.name.value}"
        if coordinate not in OPTIONAL:
            raise GatewayError("TOO_OLD", f"the gateway has no field {coordinate} (update the gateway)")
        return REMOVE


def operation_for(schema: GraphQLSchema, operation: str) -> str:
    """Write an operation without the optional fields that a gateway's schema lacks. Raises GatewayError."""
    info = TypeInfo(schema)
    return print_ast(visit(parse(operation), TypeInfoVisitor(info, _FieldRemover(info))))
