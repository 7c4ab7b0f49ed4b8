"""Execute operations. Each document is validated once for all requests, and compiled functions answer pages of rows.

The cheapest check comes first: our own limits before graphql-core's rules, which take ten times as long. The page sizes
come last, because they are the request's, which no validation rule knows. Only valid documents are remembered: who
sends others, sends them for nothing (strawberry's own caches keep them, half a megabyte each).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from inspect import isawaitable
from itertools import islice
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from graphql import (
    DocumentNode,
    GraphQLBoolean,
    GraphQLError,
    GraphQLInt,
    GraphQLList,
    GraphQLOutputType,
    NamedTypeNode,
    NonNullTypeNode,
    OperationDefinitionNode,
    parse,
    validate,
    value_from_ast_untyped,
)
from graphql.execution.collect_fields import FieldDetails
from graphql.validation import ValuesOfCorrectTypeRule
from graphql.validation.rules import overlapping_fields_can_be_merged
from strawberry import Schema
from strawberry.extensions import SchemaExtension
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule
from strawberry.types import ExecutionContext

from grounds_client.limits import limit_errors
from schema.execution.limits import MAX_VALUES, OperationCost
from schema.execution.literal_values import NamedValuesRule
from schema.execution.row_compiler import NotCompiled, RowPage, answer_rows, build_objects, object_type

MAX_ERRORS = 5
"""The maximum number of errors that validation collects and shows, because each error can quote much of the
document."""
MAX_MESSAGE_LENGTH = 400
"""The maximum length of an error message, in characters."""
MAX_LOCATIONS = 5
"""The maximum number of locations in the document that an error lists."""
MAX_COMPARISONS = 20_000
"""The maximum number of comparisons of overlapping fields. With graphql-core's own limit, 15 kB of arguments take 1.4
s."""
CACHE_CHARACTERS = 64 * 1024
"""The size of the document cache, in characters. A parsed document takes at most 300 bytes per character."""

ROW_BATCH_SIZE = 50
"""The number of rows that are answered at a time. 1,000 rows take several milliseconds."""
SLOW_SECONDS = 0.003
"""The validation time in seconds above which a document waits, so that other requests are served first."""

overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = (
    MAX_COMPARISONS  # graphql-core reads it there, at each validation
)

CachedValue = TypeVar("CachedValue")


class DocumentCache(Generic[CachedValue]):
    """The most recently used documents, and what is known of them."""

    def __init__(self, room: int = CACHE_CHARACTERS) -> None:
        self._known: dict[tuple[str, Hashable], CachedValue] = {}
        self._room = room  # in characters

    def recall(self, query: str, given: Hashable) -> CachedValue | None:
        """Return what is cached of a GraphQL document and these circumstances; None for an unknown one."""
        known = self._known.pop((query, given), None)
        if known is not None:
            self._known[query, given] = known  # the least recently used comes first
        return known

    def remember(self, query: str, given: Hashable, known: CachedValue) -> None:
        """Cache what is known of a GraphQL document, and drop the least recently used ones beyond the limit."""
        if (query, given) not in self._known:
            self._room -= len(query)
        self._known[query, given] = known
        while self._room < 0:
            oldest = next(iter(self._known))
            del self._known[oldest]
            self._room += len(oldest[0])


_locks: WeakKeyDictionary[Schema, asyncio.Lock] = WeakKeyDictionary()
_parsed_documents = DocumentCache[tuple[DocumentNode, int]](CACHE_CHARACTERS // 2)
_valid_documents = DocumentCache[DocumentNode]()
_operation_costs = DocumentCache[int]()


def parse_once(text: str, *, max_tokens: int | None = None) -> DocumentNode:
    """Parse a GraphQL document, once for all requests. Raises GraphQLError."""
    document, tokens = _parsed_documents.recall(text, None) or (None, 0)
    if document is None or (max_tokens is not None and tokens > max_tokens):
        document = parse(text, max_tokens=max_tokens)
        # Tokens hold each other both ways, so that only the garbage collector could free them, for 100 ms at a time.
        token = document.loc.start_token if document.loc else None
        while token is not None:
            token.prev, token, tokens = None, token.next, tokens + 1
        _parsed_documents.remember(
            text, None, (document, tokens - 2)
        )  # but for the first and the last, which stand for no text
    return document


class Validation(SchemaExtension):
    """The extension that parses and validates documents.

    strawberry asks for errors once every hook has had its first half, and what is found in a second half is not heard.
    """

    def on_parse(self) -> Iterator[None]:
        """Parse the GraphQL document, unless it is known to be valid."""
        context = self.execution_context
        query = context.query or ""
        self._given = (context.schema, context.validation_rules)
        known = _valid_documents.recall(query, self._given)
        self._known = known is not None
        context.graphql_document = known or parse_once(query)
        yield

    async def on_validate(self) -> AsyncIterator[None]:
        """Validate the GraphQL document, unless it is known; then count the cost of its operation."""
        context = self.execution_context
        document = context.graphql_document
        assert document is not None, "validation comes after parsing"
        errors = [] if self._known else await _validate_in_turn(context, document)
        if not errors:
            if not self._known:
                _valid_documents.remember(context.query or "", self._given, document)
            errors = _cost_errors(context, document)
        context.pre_execution_errors = errors
        yield


class CompilingExecutionContext(StrawberryGraphQLCoreExecutionContext):
    """An execution context that answers a page of rows by a compiled function, and the rest as strawberry does."""

    def complete_list_value(
        self,
        return_type: GraphQLList[GraphQLOutputType],
        field_details_list: list[FieldDetails],
        info: Any,
        path: Any,
        result: Any,
        position_context: Any,
    ) -> Any:
        """Answer a GraphQL list by a compiled function where its rows allow one, of many rows some at a time."""
        ordinary = partial(super().complete_list_value, return_type, field_details_list, info, path)
        if not isinstance(result, RowPage):
            return ordinary(result, position_context)
        kind = object_type(return_type)

        def answer_objects() -> Any:
            """Answer the GraphQL list in the ordinary way."""
            return ordinary(build_objects(result, self.context_value.actor.role, kind), position_context)

        try:
            answers = answer_rows(self, result, kind, field_details_list)
            if len(result.rows) > ROW_BATCH_SIZE:
                return _answer_by_parts(answers, answer_objects)
            return list(answers)
        except NotCompiled:
            return answer_objects()


async def _answer_by_parts(answers: Iterator[Any], answer_objects: Callable[[], Any]) -> Any:
    """Answer ROW_BATCH_SIZE rows of a GraphQL list at a time, and let other requests go on in between."""
    answered: list[Any] = []
    try:
        while part := list(islice(answers, ROW_BATCH_SIZE)):
            answered += part
            await asyncio.sleep(0)
    except NotCompiled:
        objects = answer_objects()
        return await objects if isawaitable(objects) else objects
    return answered


def _schema_lock(schema: Schema) -> asyncio.Lock:
    """Return the lock under which documents of a GraphQL schema are validated: that of one event loop."""
    return _locks.setdefault(schema, asyncio.Lock())


async def _validate_in_turn(context: ExecutionContext, document: DocumentNode) -> list[GraphQLError]:
    """Validate unknown GraphQL documents one at a time, and leave twice the time of each to other requests.

    Slow documents wait for each other; requests with known documents wait for one of them at most.
    """
    async with _schema_lock(context.schema):
        began = time.perf_counter()
        errors = _validation_errors(context, document)
        took = time.perf_counter() - began
        if took > SLOW_SECONDS:
            await asyncio.sleep(2 * took)
        return errors


def _validation_errors(context: ExecutionContext, document: DocumentNode) -> list[GraphQLError]:
    """Look for errors in a GraphQL document, in what costs little first."""
    faults = list(limit_errors(document))
    if faults:
        return faults
    stated = (NamedValuesRule if rule is ValuesOfCorrectTypeRule else rule for rule in context.validation_rules)
    rules = (*stated, MaybeNullValidationRule, OneOfInputValidationRule)
    errors = validate(context.schema._schema, document, rules, max_errors=MAX_ERRORS, hide_suggestions=True)
    return [_shorten_error(error) for error in errors]


def _shorten_error(error: GraphQLError) -> GraphQLError:
    """Shorten a GraphQL validation error: some quote whole objects, a hundred places, or an exception's own text."""
    message = error.message if len(error.message) <= MAX_MESSAGE_LENGTH else f"{error.message[:MAX_MESSAGE_LENGTH]}…"
    if not isinstance(error.original_error, GraphQLError | None):  # such as Python's own, for 4,300 digits and more
        message = "the document has a value that cannot be read (write the value as its type requires)"
    return GraphQLError(message, (error.nodes or ())[:MAX_LOCATIONS])


def _cost_errors(context: ExecutionContext, document: DocumentNode) -> list[GraphQLError]:
    """Refuse a GraphQL operation whose cost is more than a page's."""
    operation = find_operation(document, context.operation_name)
    count = cost_of_operation(context.query or "", document, context.operation_name, context.variables or {})
    if count <= MAX_VALUES:
        return []
    todo = "request fewer fields or smaller pages"
    return [
        GraphQLError(
            f"the operation requests about {count:,} values, more than the allowed {MAX_VALUES:,} ({todo})", operation
        )
    ]


def cost_of_operation(query: str, document: DocumentNode, name: str | None, given: Mapping[str, Any]) -> int:
    """Return about how many values a GraphQL operation asks for with some variables; it is computed once."""
    operation = find_operation(document, name)
    variables = _cost_variables(operation, given)
    circumstances = (name, *variables.items())
    count = _operation_costs.recall(query, circumstances)
    if count is None:
        count = OperationCost(document, variables).of(operation)
        _operation_costs.remember(query, circumstances, count)
    return count


def find_operation(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    """Find the operation of a GraphQL document that will be executed."""
    operations = (node for node in document.definitions if isinstance(node, OperationDefinitionNode))
    return next(node for node in operations if name is None or (node.name is not None and node.name.value == name))


def _cost_variables(operation: OperationDefinitionNode, given: Mapping[str, Any]) -> dict[str, Any]:
    """Read the variables of a GraphQL operation that its cost depends on; the executor refuses invalid ones."""
    scalars = {"Int": GraphQLInt, "Boolean": GraphQLBoolean}
    variables: dict[str, Any] = {}
    for definition in operation.variable_definitions or ():
        kind = definition.type.type if isinstance(definition.type, NonNullTypeNode) else definition.type
        scalar = scalars.get(kind.name.value) if isinstance(kind, NamedTypeNode) else None
        name = definition.variable.name.value
        if scalar is None:
            continue
        if name in given:
            with suppress(GraphQLError):
                variables[name] = scalar.parse_value(given[name])
        elif definition.default_value is not None:
            variables[name] = value_from_ast_untyped(definition.default_value)
    return variables
