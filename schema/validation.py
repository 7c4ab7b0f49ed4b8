"""Whether an operation is executed: the cheapest answer first, and what was found out once is remembered.

Our own limits come before graphql-core's rules, which take ten times as long; the page sizes come last, because they
are the request's, which no validation rule knows. Only valid documents are remembered: who sends others, sends them for
nothing (strawberry's own caches keep them, half a megabyte each).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Hashable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from graphql import (
    DocumentNode,
    GraphQLBoolean,
    GraphQLError,
    GraphQLInt,
    NamedTypeNode,
    NonNullTypeNode,
    OperationDefinitionNode,
    parse,
    validate,
    value_from_ast_untyped,
)
from graphql.validation.rules import overlapping_fields_can_be_merged
from strawberry import Schema
from strawberry.extensions import SchemaExtension
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule
from strawberry.types import ExecutionContext

from schema.limits import VALUES, DocumentLimits, OperationCost, faults_of

ERRORS = 5
"""How many errors are looked for: nobody is shown more, and each may quote much of the document."""
MESSAGE = 400
"""How long an error may be, in characters."""
PLACES = 5
"""How many places of the document an error may name."""
COMPARISONS = 20_000
"""What graphql-core may spend on comparing fields that overlap; its own limit lets 15 kB of arguments take 1.4 s."""
REMEMBERED = 64 * 1024
"""How much of documents is remembered, in characters; what is made of one takes at most 300 bytes a character."""

LONG = 0.003
"""From how many seconds on the validation of a document leaves room for others."""

overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = COMPARISONS  # graphql-core reads it there, at each validation

Known = TypeVar("Known")


class Recent(Generic[Known]):
    """Remember what is known of documents: those that were asked for last."""

    def __init__(self, room: int = REMEMBERED) -> None:
        self._known: dict[tuple[str, Hashable], Known] = {}
        self._room = room  # in characters

    def get(self, query: str, given: Hashable) -> Known | None:
        """Give what is known of a document under some circumstances."""
        known = self._known.pop((query, given), None)
        if known is not None:
            self._known[query, given] = known  # the least recently used comes first
        return known

    def keep(self, query: str, given: Hashable, known: Known) -> None:
        """Remember something that was not known, and forget what nobody asked for the longest."""
        if (query, given) not in self._known:
            self._room -= len(query)
        self._known[query, given] = known
        while self._room < 0:
            oldest = next(iter(self._known))
            del self._known[oldest]
            self._room += len(oldest[0])


_gates: WeakKeyDictionary[Schema, asyncio.Lock] = WeakKeyDictionary()
_parsed = Recent[tuple[DocumentNode, int]](REMEMBERED // 2)
_valid = Recent[DocumentNode]()
_costs = Recent[int]()


def parse_once(text: str, *, max_tokens: int | None = None) -> DocumentNode:
    """Parse a document once, whoever asks first. Raises GraphQLError."""
    document, tokens = _parsed.get(text, None) or (None, 0)
    if document is None or (max_tokens is not None and tokens > max_tokens):
        document = parse(text, max_tokens=max_tokens)
        # Tokens hold each other both ways, so that only the garbage collector could free them, for 100 ms at a time.
        token = document.loc.start_token if document.loc else None
        while token is not None:
            token.prev, token, tokens = None, token.next, tokens + 1
        _parsed.keep(text, None, (document, tokens - 2))  # but for the first and the last, which stand for no text
    return document


class Validation(SchemaExtension):
    """Parse and validate.

    strawberry asks for errors once every hook has had its first half, and what is found in a second half is not heard.
    """

    def on_parse(self) -> Iterator[None]:
        """Parse, unless the document is known to be valid."""
        context = self.execution_context
        query = context.query or ""
        self._given = (context.schema, context.validation_rules)
        known = _valid.get(query, self._given)
        self._known = known is not None
        context.graphql_document = known or parse_once(query)
        yield

    async def on_validate(self) -> AsyncIterator[None]:
        """Validate, unless the document is known; then count what it asks for."""
        context = self.execution_context
        document = context.graphql_document
        assert document is not None, "validation comes after parsing"
        errors = [] if self._known else await _in_turn(context, document)
        if not errors:
            if not self._known:
                _valid.keep(context.query or "", self._given, document)
            errors = _too_dear(context, document)
        context.pre_execution_errors = errors
        yield


def _gate(schema: Schema) -> asyncio.Lock:
    """Give the lock of a schema: that of one application, and so of one event loop."""
    return _gates.setdefault(schema, asyncio.Lock())


async def _in_turn(context: ExecutionContext, document: DocumentNode) -> list[GraphQLError]:
    """Validate one unknown document after the other, and leave twice as long as one took to everybody else.

    Whoever sends documents that take long waits for others who do; requests with known documents wait for one at most.
    """
    async with _gate(context.schema):
        began = time.perf_counter()
        errors = _errors(context, document)
        took = time.perf_counter() - began
        if took > LONG:
            await asyncio.sleep(2 * took)
        return errors


def _errors(context: ExecutionContext, document: DocumentNode) -> list[GraphQLError]:
    """Look for errors, in what costs little first."""
    faults = list(faults_of(document))
    if faults:
        return faults
    others = (rule for rule in context.validation_rules if rule is not DocumentLimits)
    rules = (*others, MaybeNullValidationRule, OneOfInputValidationRule)
    errors = validate(context.schema._schema, document, rules, max_errors=ERRORS, hide_suggestions=True)
    return [_short(error) for error in errors]


def _short(error: GraphQLError) -> GraphQLError:
    """Quote little: some errors have whole objects in their words, a hundred places, or an exception's own text."""
    message = error.message if len(error.message) <= MESSAGE else f"{error.message[:MESSAGE]}…"
    if not isinstance(error.original_error, GraphQLError | None):  # such as Python's own, for 4,300 digits and more
        message = "the document has a value that cannot be read (write it as its type is written)"
    return GraphQLError(message, (error.nodes or ())[:PLACES])


def _too_dear(context: ExecutionContext, document: DocumentNode) -> list[GraphQLError]:
    """Refuse an operation that asks for more values than a page may hold."""
    operation = _operation(document, context.operation_name)
    variables = _deciding(operation, context.variables or {})
    given = (context.operation_name, *variables.items())
    count = _costs.get(context.query or "", given)
    if count is None:
        count = OperationCost(document, variables).of(operation)
        _costs.keep(context.query or "", given, count)
    if count <= VALUES:
        return []
    todo = "ask for fewer fields or smaller pages"
    return [GraphQLError(f"the operation comes to about {count:,} values, more than {VALUES:,} ({todo})", operation)]


def _operation(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    """Find the operation that will be executed."""
    operations = (node for node in document.definitions if isinstance(node, OperationDefinitionNode))
    return next(node for node in operations if name is None or (node.name is not None and node.name.value == name))


def _deciding(operation: OperationDefinitionNode, given: Mapping[str, Any]) -> dict[str, Any]:
    """Read the variables that may be page sizes or conditions, as the executor will; without those it refuses."""
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
