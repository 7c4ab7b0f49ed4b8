"""Questions that hypothesis-graphql writes from the SDL, with arguments that are drawn from what the caller gives."""

from functools import cache
from typing import Any

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    GraphQLSchema,
    NameNode,
    OperationDefinitionNode,
    SelectionSetNode,
    TypeInfo,
    TypeInfoVisitor,
    VariableNode,
    Visitor,
    build_ast_schema,
    parse,
    print_ast,
    visit,
)
from hypothesis import strategies as st
from hypothesis_graphql import queries

from grounds_client.limits import MAX_ROOT_FIELDS
from schema.actor import Role
from tests.schema.test_roles import SDL, object_types, readers
from tests.support.repository import SCHEMA_FILE

SOURCE = parse(SCHEMA_FILE.read_text(encoding="utf-8"))
ALIASES = 15  # as many as a document may have
Pools = dict[str, st.SearchStrategy[Any]]


@cache
def askable(role: Role | None) -> GraphQLSchema:
    """Return the SDL as a role may read it, or the whole; without the arguments, which are drawn apart."""
    schema = build_ast_schema(SOURCE)
    for kind in object_types(schema).values():
        for name, declared in list(kind.fields.items()):
            declared.args.clear()
            if role and role not in readers(declared):
                del kind.fields[name]
    return schema


class Asking(Visitor):
    """A visitor that gives fields their arguments, each a variable, and an alias on request."""

    def __init__(self, draw: st.DrawFn, drawn_from: Pools, info: TypeInfo, aliased: bool) -> None:
        super().__init__()
        self._draw, self._pools, self._info = draw, drawn_from, info
        self._aliases = ALIASES if aliased else 0
        self.variables: dict[str, Any] = {}
        self.declared: list[str] = []

    def enter_field(self, node: FieldNode, *_: Any) -> FieldNode:
        """Write a field anew."""
        known = self._info.get_field_def()
        arguments = [self._argument(name, given.type) for name, given in known.args.items()] if known else []
        alias, parent = None, self._info.get_parent_type()
        if self._aliases and parent is not SDL.query_type:
            self._aliases -= 1
            alias = NameNode(value=f"a{self._aliases}")
        return FieldNode(
            name=node.name, alias=alias or node.alias, arguments=tuple(arguments), selection_set=node.selection_set
        )

    def _argument(self, name: str, kind: object) -> ArgumentNode:
        variable = f"v{len(self.variables)}"
        self.variables[variable] = self._draw(self._pools[str(kind) if str(kind) in self._pools else name])
        self.declared.append(f"${variable}: {kind}")
        return ArgumentNode(name=NameNode(value=name), value=VariableNode(name=NameNode(value=variable)))


class Narrowing(Visitor):
    """A visitor that keeps as many root fields as a document may have, chosen at random."""

    def __init__(self, draw: st.DrawFn) -> None:
        super().__init__()
        self._draw = draw

    def enter_operation_definition(self, node: OperationDefinitionNode, *_: Any) -> OperationDefinitionNode:
        """Write an operation anew."""
        kept = self._draw(st.permutations(node.selection_set.selections))[:MAX_ROOT_FIELDS]
        return OperationDefinitionNode(
            operation=node.operation, selection_set=SelectionSetNode(selections=tuple(kept)), directives=node.directives
        )


@st.composite
def questions(draw: st.DrawFn, role: Role, drawn_from: Pools) -> dict[str, Any]:
    """Write a question: a document, and its variables."""
    whole = draw(st.integers(0, 3)) == 0
    document = draw(queries(askable(None if whole else role), print_ast=as_it_is))
    if draw(st.integers(0, 9)):
        document = visit(document, Narrowing(draw))
    info = TypeInfo(SDL)
    asking = Asking(draw, drawn_from, info, draw(st.booleans()))
    text = print_ast(visit(document, TypeInfoVisitor(info, asking)))
    declared = f"query({', '.join(asking.declared)}) " if asking.declared else ""
    return {"query": declared + text, "variables": asking.variables}


def as_it_is(document: DocumentNode) -> DocumentNode:
    return document
