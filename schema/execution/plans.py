"""Plan operations: a page that was asked for once is answered without the executor from then on.

The executor of graphql-core and strawberry takes 0.5 ms for a request, a third of a page of 100 items. An operation
that is one field of a list of rows is planned once the executor has answered it: it is valid then, and its role may
read it. What differs between requests, the values of variables, is read by the same functions as the executor uses.
Anything else, such as a directive, leaves the operation to the executor.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLField,
    GraphQLObjectType,
    Node,
    OperationDefinitionNode,
    OperationType,
    Visitor,
    get_argument_values,
    get_variable_values,
    located_error,
    visit,
)
from graphql.execution.collect_fields import FieldDetails
from strawberry import Schema
from strawberry.types.arguments import convert_arguments
from strawberry.types.execution import ExecutionResult

from schema.actor import Role
from schema.context import Context
from schema.execution.limits import MAX_VALUES
from schema.execution.operations import (
    CACHE_CHARACTERS,
    ROW_BATCH_SIZE,
    CompilingExecutionContext,
    DocumentCache,
    cost_of_operation,
    find_operation,
    parse_once,
)
from schema.execution.row_compiler import (
    NotCompiled,
    RowPage,
    Shape,
    answer_page,
    object_type,
    python_name,
    shape_beneath,
)
from schema.governed import governance_of
from schema.relay.connection import Connection

Resolver = Callable[..., Awaitable[Connection[Any]]]
"""The function behind a planned field: it takes the request's context, whether evidence is selected, and the field's
arguments by their names."""


@dataclass(frozen=True, slots=True)
class Plan:
    """An operation that is one field of the query type, and the nested field names that it selects."""

    document: DocumentNode
    operation: OperationDefinitionNode
    node: FieldNode
    field: GraphQLField
    shape: Shape
    with_evidence: bool
    """Whether the selection shows evidence of conditions, for which more columns are read."""

    @property
    def key(self) -> str:
        """Return the name of the planned field in the answer."""
        return self.node.alias.value if self.node.alias else self.node.name.value


class Plans:
    """The plans of a schema, by document, operation and role; the least recently used ones are dropped."""

    def __init__(self, schema: Schema, resolvers: Mapping[str, Resolver]) -> None:
        self._schema = schema
        self._resolvers = resolvers
        self._known = DocumentCache[Plan | Literal[False]](CACHE_CHARACTERS)

    async def execute(
        self, query: str, operation: str | None, variables: dict[str, Any] | None, context: Context
    ) -> ExecutionResult:
        """Answer a GraphQL operation by its plan, or by the executor, which may give rise to a plan."""
        planned = await self.answer(query, operation, variables, context)
        if planned is not None:
            return planned
        result = await self._schema.execute(
            query, variable_values=variables, operation_name=operation, context_value=context
        )
        if not result.errors:
            self._learn(query, operation, variables, context)
        return result

    async def answer(
        self, query: str, operation: str | None, variables: dict[str, Any] | None, context: Context
    ) -> ExecutionResult | None:
        """Answer a GraphQL operation by its plan; None where the executor has to answer."""
        plan = self._known.recall(query, (operation, context.actor.role))
        given = variables or {}
        if not plan or cost_of_operation(query, plan.document, operation, given) > MAX_VALUES:
            return None
        arguments = self._arguments(plan, given)
        if arguments is None:
            return None
        try:
            resolver = self._resolvers[plan.node.name.value]
            connection = await resolver(context, with_evidence=plan.with_evidence, **arguments)
        except Exception as error:
            return ExecutionResult(data=None, errors=[located_error(error, [plan.node], [plan.key])])
        try:
            answer = await _answer_planned(plan, context.actor.role, connection)
            return ExecutionResult(data={plan.key: answer}, errors=None)
        except NotCompiled:
            return None  # nothing of the page has left: the executor delivers another one

    def _learn(self, query: str, operation: str | None, variables: dict[str, Any] | None, context: Context) -> None:
        """Plan a GraphQL operation that the executor has answered without an error."""
        given = operation, context.actor.role
        if self._known.recall(query, given) is None:
            plan = self.make(query, operation, variables, context.actor.role)
            self._known.remember(query, given, plan or False)

    def make(self, query: str, operation: str | None, variables: dict[str, Any] | None, role: Role) -> Plan | None:
        """Make the plan of a GraphQL operation; None for one that the executor has to answer.

        The role may read every field that is selected: this is checked here, and not when the plan is executed.
        """
        document = parse_once(query)
        chosen = find_operation(document, operation)
        kind = self._schema._schema.query_type
        node, *others = chosen.selection_set.selections
        if kind is None or others or chosen.operation is not OperationType.QUERY or _has_directive(document):
            return None
        if not isinstance(node, FieldNode) or node.name.value not in self._resolvers:
            return None
        field = kind.fields[node.name.value]
        shape = self._shape_beneath(document, operation, variables, field, node)
        if shape is None or not _may_read_all(kind, ((node.name.value, node.name.value, shape),), role):
            return None
        return Plan(document, chosen, node, field, shape, _shows_evidence(object_type(field.type), shape))

    def _shape_beneath(
        self,
        document: DocumentNode,
        operation: str | None,
        variables: dict[str, Any] | None,
        field: GraphQLField,
        node: FieldNode,
    ) -> Shape | None:
        """Return the nested field names of a planned GraphQL field; None where the executor has to answer."""
        execution = CompilingExecutionContext.build(
            self._schema._schema, document, raw_variable_values=variables, operation_name=operation
        )
        if not isinstance(execution, CompilingExecutionContext):
            return None
        try:
            return shape_beneath(execution, object_type(field.type), [FieldDetails(node, None)])
        except NotCompiled:
            return None

    def _arguments(self, plan: Plan, given: dict[str, Any]) -> dict[str, Any] | None:
        """Read the arguments of a planned field; None where the executor has to say what is wrong with them."""
        core = self._schema._schema
        coerced = get_variable_values(core, plan.operation.variable_definitions or (), given)
        if isinstance(coerced, list):
            return None
        declared = plan.field.extensions["strawberry-definition"]
        registry, config = self._schema.schema_converter.scalar_registry, self._schema.config
        try:
            values = get_argument_values(plan.field, plan.node, coerced)
            return convert_arguments(values, declared.arguments, registry, config)
        except GraphQLError:
            return None


async def _answer_planned(plan: Plan, role: Role, connection: Connection[Any]) -> dict[str, Any]:
    """Answer a planned GraphQL field from its connection, in the order of the selection. Raises NotCompiled."""
    kind = object_type(plan.field.type)
    answer: dict[str, Any] = {}
    for key, name, beneath in plan.shape:
        if name == "__typename":
            answer[key] = kind.name
            continue
        value, of = getattr(connection, python_name(kind.fields[name])), object_type(kind.fields[name].type)
        if isinstance(value, RowPage):
            answer[key] = await _answer_list(value, role, of, beneath)
        else:
            answer[key] = _answer_object(of, beneath, value)
    return answer


async def _answer_list(page: RowPage, role: Role, kind: GraphQLObjectType, shape: Shape | None) -> list[Any]:
    """Answer a planned GraphQL list; of many rows some at a time, as the executor does. Raises NotCompiled."""
    rows, answered = answer_page(page, role, kind, shape), list[Any]()
    while part := list(islice(rows, ROW_BATCH_SIZE)):
        answered += part
        if len(page.rows) > ROW_BATCH_SIZE:
            await asyncio.sleep(0)
    return answered


def _answer_object(kind: GraphQLObjectType, shape: Shape | None, value: object) -> dict[str, Any]:
    """Answer a planned GraphQL object of plain values, such as `pageInfo`. Raises NotCompiled."""
    answer: dict[str, Any] = {}
    for key, name, beneath in shape or ():
        found = kind.name if name == "__typename" else getattr(value, python_name(kind.fields[name]))
        if beneath is not None or not isinstance(found, str | bool | None):
            raise NotCompiled
        answer[key] = found
    return answer


def _has_directive(node: Node) -> bool:
    """Return whether a GraphQL document has a directive anywhere: what is selected can differ between requests then."""
    found = _DirectiveFinder()
    visit(node, found)
    return found.has_directive


class _DirectiveFinder(Visitor):
    """A visitor that notices a directive."""

    has_directive = False

    def enter_directive(self, _node: DirectiveNode, *_: Any) -> None:
        """Note a directive of a GraphQL document."""
        self.has_directive = True


def _role_may_read(kind: GraphQLObjectType, name: str, role: Role) -> bool:
    """Return whether a role may read a field of a GraphQL type by the field's declaration."""
    governance = governance_of(kind.fields[name])
    return governance is not None and role in governance.readers


def _shows_evidence(kind: GraphQLObjectType, shape: Shape) -> bool:
    """Return whether a GraphQL selection has a field whose source reads columns of evidence."""
    for _, name, beneath in shape:
        if name == "__typename":
            continue
        governance, declared = governance_of(kind.fields[name]), kind.fields[name].type
        if governance is not None and getattr(governance.source, "reads_evidence", False):
            return True
        if beneath is not None and _shows_evidence(object_type(declared), beneath):
            return True
    return False


def _may_read_all(kind: GraphQLObjectType, shape: Shape, role: Role) -> bool:
    """Return whether a role may read every field of a GraphQL selection."""
    return all(
        name == "__typename"
        or (
            _role_may_read(kind, name, role)
            and (beneath is None or _may_read_all(object_type(kind.fields[name].type), beneath, role))
        )
        for _, name, beneath in shape
    )
