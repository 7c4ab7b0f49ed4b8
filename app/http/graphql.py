"""POST and GET /graphql, as the GraphQL-over-HTTP specification demands."""

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, Final

import asyncpg
import orjson
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    ValueNode,
)
from starlette.requests import Request
from starlette.responses import Response
from strawberry.types.execution import ExecutionResult, PreExecutionError

from app.auth.authenticator import Authenticator
from app.http.boundary import JSON, ClientTurns, HTTPError, http_error, json_errors
from app.http.negotiation import GRAPHQL_RESPONSE, body_type, encode_json, graphql_media_type, read_body, to_reference
from app.telemetry import observe
from db.connection import UNREACHABLE, PoolExhausted, borrowing_as
from grounds_client.documents import document_id
from schema.actor import Actor, Role
from schema.build import GatewaySchema
from schema.context import Context, Gateway
from schema.errors import BadInput, FeatureUnavailable, Forbidden, ReasonRequired
from schema.execution.operations import parse_once
from schema.execution.plans import Plans
from schema.oversight.read_reasons import REASON_LIMIT, is_reason, raise_if_reason_missing
from schema.training.trainable_content import deliver_trainable_content

BODY_LIMIT: Final = 320 * 1024  # ten thousand ids, for checkEligibility
REQUEST_SECONDS: Final = 10.0
MAX_ERRORS_SHOWN: Final = 5
SOURCE_LIMIT: Final = 16 * 1024
TOKEN_LIMIT: Final = 1000
NAMES: Final = 10
NAME: Final = 60

# What graphql-core and strawberry add to their messages: names that were not asked for, and an exception's own text.
_LIBRARY_ADDITIONS: Final = re.compile(r" Did you mean .*|(cannot represent a (\w+)): .*", re.DOTALL)
_FORMS: Final = {"Date": " (write it like 2026-05-27)", "DateTime": " (write it like 2026-05-27T12:00:00Z)"}


@dataclass(frozen=True, slots=True)
class Document:
    """A document: its text, and of each operation by name the kind and the fields at its root; None has no name."""

    text: str
    operations: Mapping[str | None, OperationType]
    fields: Mapping[str | None, tuple[str, ...]]

    def operation(self, name: str | None) -> OperationType:
        """Return the kind of operation that an HTTP request to /graphql names (GetOperation of the specification).

        Raises GraphQLError where no one operation is meant.
        """
        if name is None and len(self.operations) == 1:
            return next(iter(self.operations.values()))
        if name is None:
            found = _join_names(each or "one without a name" for each in self.operations) or "none"
            raise GraphQLError(
                f"operationName: is missing, and the operations of the document are {found} (state one of them)"
            )
        if name not in self.operations:
            known = _join_names(each for each in self.operations if each) or "none with a name"
            raise GraphQLError(
                f"operationName: must be an operation of the document, which has {known} (state one of them)"
            )
        return self.operations[name]

    def fields_of(self, name: str | None) -> tuple[str, ...]:
        """Return the root fields of the operation that an HTTP request to /graphql names."""
        return self.fields[name] if name in self.fields else next(iter(self.fields.values()))


class Documents:
    """The documents that requests can name; the roles of `only` may use trusted ones only."""

    def __init__(self, trusted: Mapping[str, Document], only: frozenset[Role]) -> None:
        self._trusted = trusted
        self._texts = frozenset(document.text for document in trusted.values())
        self._only = only

    def find(self, query: str | None, identifier: str | None, role: Role, *, by_apollo: bool = False) -> Document:
        """Find the document of an HTTP request to /graphql by its text, or by its identifier where there is no text.

        Raises GraphQLError for one that cannot be parsed, is not known, or is not for the role, and HTTPError where
        text and identifier disagree. An unknown identifier `by_apollo` is answered as Apollo's clients expect: they
        send the text instead. No document is registered by sending it.
        """
        if query is None:
            document = self._trusted.get(identifier or "")
            if document is None and by_apollo:
                code = "PERSISTED_QUERY_NOT_SUPPORTED"
                raise GraphQLError("PersistedQueryNotSupported", extensions={"code": code})
            if document is None:
                raise BadInput(
                    "documentId: is not the id of a trusted document (send another id, or ask the operator to add the"
                    " document)"
                )
            return document
        if identifier is not None and identifier != document_id(query):
            raise HTTPError(400, "documentId: does not match query (send only one of them)")
        if role in self._only and query not in self._texts:
            raise Forbidden(
                f"query: is not a trusted document, and {role} may send only trusted documents (send the"
                " documentId of a trusted document)"
            )
        return read_document(query)


@lru_cache(maxsize=256)
def read_document(text: str) -> Document:
    """Parse a document sent to /graphql. Raises GraphQLError when it cannot be parsed, or is too long."""
    return describe_document(text, parse_once(text, max_tokens=TOKEN_LIMIT))


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """A GraphQL request; at least one of `query` and `document` is present."""

    query: str | None
    document: str | None
    variables: dict[str, Any] | None
    operation: str | None
    read_only: bool
    reason: str | None = None
    """The reason why an officer or auditor reads people's data, from `extensions.reason`."""
    by_apollo: bool = False
    """Whether the request contains only the hash of the document, in Apollo's `extensions.persistedQuery`."""


class GraphQLEndpoint:
    """The endpoint of GraphQL requests: authenticate, parse, execute, encode."""

    def __init__(
        self, schema: GatewaySchema, documents: Documents, gateway: Gateway, authenticator: Authenticator
    ) -> None:
        self._schema = schema
        self._plans = Plans(schema, {"trainableContent": deliver_trainable_content})
        self.documents = documents
        self._gateway = gateway
        self._authenticator = authenticator
        self._turns = ClientTurns()

    async def respond(self, request: Request) -> Response:
        """Answer one HTTP request to /graphql. Raises HTTPError, Unauthorized, PoolExhausted and ClientDisconnect."""
        if request.method != "POST" and (page := to_reference(request)):
            return page
        media_type = graphql_media_type(request)
        if media_type is None:
            raise HTTPError(
                406, f"Accept: must allow a media type that the gateway can send (add {GRAPHQL_RESPONSE} or {JSON})"
            )
        actor = await self._authenticator.actor(request.headers.get("authorization"))
        async with asyncio.timeout(REQUEST_SECONDS):
            asked = await _read_request(request)
            async with self._turns.turn(actor.client, request):
                return await _encode(await self.execute(actor, asked), media_type)

    async def execute(self, actor: Actor, asked: GraphQLRequest) -> ExecutionResult:
        """Execute a request to /graphql as an actor. Raises HTTPError."""
        try:
            document = self.documents.find(asked.query, asked.document, actor.role, by_apollo=asked.by_apollo)
            operation = document.operation(asked.operation)
        except GraphQLError as error:
            return PreExecutionError(data=None, errors=[error])
        if asked.read_only and operation is not OperationType.QUERY:
            raise HTTPError(
                405, f"a {operation.value} cannot be sent by GET (send the request by POST)", {"Allow": "POST"}
            )
        fields = document.fields_of(asked.operation)
        try:
            if self._gateway.reason_required and asked.reason is None:
                raise_if_reason_missing(actor.role, fields)
        except ReasonRequired as error:
            return PreExecutionError(data=None, errors=[error])
        # What writes, such as an objection, and what an officer does finds a connection that is kept free of others.
        reserved = operation is OperationType.MUTATION or actor.role is Role.PRIVACY_OFFICER
        context = Context(actor, self._gateway)
        with borrowing_as(context.sharer, reserved=reserved):
            if actor.role is Role.TRAINING_CLIENT:  # the others read no planned field
                result = await self._plans.execute(document.text, asked.operation, asked.variables, context)
            else:
                result = await self._schema.execute(document.text, asked.variables, context, None, asked.operation)
            await context.record_reads(fields, asked.reason)
            return result


def render_graphql_error(request: Request, error: HTTPError) -> Response:
    """Write an HTTP error in the GraphQL media type that the client accepts."""
    return json_errors(graphql_media_type(request) or JSON, error)


async def _read_request(request: Request) -> GraphQLRequest:
    """Read a GraphQL request from the query string or JSON body of an HTTP request. Raises HTTPError."""
    # Another site's page cannot make a browser send what is answered here: a body has to be of a type that no form can
    # send, and a GET only reads. Above all, a browser adds no bearer token by itself, as it would a cookie.
    if request.method != "POST":
        asked: Any = dict(request.query_params)
        for name in ("variables", "extensions"):
            asked[name] = _parse_json(asked[name], name) if asked.get(name) else None
    else:
        media_type, is_utf8 = body_type(request)
        if media_type != JSON:
            raise HTTPError(415, f"Content-Type: must be {JSON} (send the body as JSON)")
        if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            plain = {"Accept-Encoding": "identity"}
            raise HTTPError(415, "Content-Encoding: must not be set (send the body uncompressed)", plain)
        if not is_utf8:
            raise HTTPError(415, "Content-Type: must have the charset UTF-8 (send the body in UTF-8)")
        asked = _parse_json(await read_body(request, BODY_LIMIT, "split the request into several"), "the body")
    if not isinstance(asked, dict):
        raise HTTPError(400, 'the body must be a JSON object (send {"query": ...}; batches are not supported)')
    return _check_request(asked, read_only=request.method != "POST")


def _parse_json(text: str | bytes, what: str) -> Any:
    """Parse JSON of an HTTP request to /graphql. Raises HTTPError."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise HTTPError(400, f"{what} must be valid JSON (check quotes, commas and UTF-8)") from None


def _check_request(asked: dict[str, Any], *, read_only: bool) -> GraphQLRequest:
    """Check the members of a GraphQL request that came over HTTP. Raises HTTPError."""
    for name in ("variables", "extensions"):
        if asked.get(name) is not None and not isinstance(asked[name], dict):
            raise HTTPError(400, f"{name}: must be a JSON object or null (correct it)")
    query, document, operation = query_of(asked), identifier_of(asked), asked.get("operationName")
    if query is None and document is None:
        raise HTTPError(
            400, "query: is missing (send the document as a string, or the documentId of a trusted document)"
        )
    if operation is not None and not isinstance(operation, str):
        raise HTTPError(400, "operationName: must be a string (state the name of an operation of the document)")
    reason = (asked.get("extensions") or {}).get("reason")
    if reason is not None and not (isinstance(reason, str) and is_reason(reason)):
        raise HTTPError(400, f"extensions.reason: must be one line of at most {REASON_LIMIT} characters (shorten it)")
    reason = (reason or "").strip() or None
    by_apollo, variables = document is not None and not asked.get("documentId"), asked.get("variables") or None
    return GraphQLRequest(query, document, variables, operation or None, read_only, reason, by_apollo)


def query_of(asked: Mapping[str, Any]) -> str | None:
    """Return the document's text in an HTTP request to /graphql; raise HTTPError if it is not a string."""
    query = asked.get("query")
    if query is not None and not isinstance(query, str):
        raise HTTPError(400, "query: must be a string (send the document as a string)")
    if query and len(query) > SOURCE_LIMIT:
        raise HTTPError(400, f"query: must have at most {SOURCE_LIMIT} characters (split the document)")
    return query or None


def identifier_of(asked: Mapping[str, Any]) -> str | None:
    """Take the document's identifier out of an HTTP request to /graphql: `documentId`, or Apollo's extension."""
    identifier = asked.get("documentId")
    if identifier is not None and not isinstance(identifier, str):
        raise HTTPError(400, "documentId: must be a string (send sha256: and 64 hexadecimal digits)")
    persisted = (asked.get("extensions") or {}).get("persistedQuery")
    if persisted is None:
        return identifier or None
    digest = persisted.get("sha256Hash") if isinstance(persisted, dict) else None
    if not isinstance(digest, str) or persisted.get("version") != 1:
        raise HTTPError(400, 'extensions.persistedQuery: must be {"version": 1, "sha256Hash": "<hex>"} (correct it)')
    if identifier and identifier != f"sha256:{digest}":
        raise HTTPError(400, "documentId: does not match extensions.persistedQuery (send only one of them)")
    return f"sha256:{digest}"


def describe_document(text: str, parsed: DocumentNode) -> Document:
    """Parse what kinds of operations and which root fields a document of /graphql has."""
    operations = {
        node.name.value if node.name else None: node
        for node in parsed.definitions
        if isinstance(node, OperationDefinitionNode)
    }
    fragments = {node.name.value: node for node in parsed.definitions if isinstance(node, FragmentDefinitionNode)}
    return Document(
        text,
        {name: node.operation for name, node in operations.items()},
        {name: _root_fields(node, fragments) for name, node in operations.items()},
    )


def _root_fields(
    operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> tuple[str, ...]:
    """Name the root fields of an operation sent to /graphql, each once, those of fragments too."""
    found: dict[str, None] = {}
    spread: set[str] = set()  # the document is not validated yet: its fragments can hold each other
    waiting: list[SelectionNode] = list(operation.selection_set.selections)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, FieldNode):
            found[node.name.value] = None
        elif isinstance(node, InlineFragmentNode):
            waiting = [*node.selection_set.selections, *waiting]
        elif isinstance(node, FragmentSpreadNode) and node.name.value not in spread:
            spread.add(node.name.value)
            fragment = fragments.get(node.name.value)
            waiting = [*(fragment.selection_set.selections if fragment else ()), *waiting]
    return tuple(found)


def _join_names(names: Iterable[str]) -> str:
    """Write the first names of a document sent to /graphql, shortened: it may have thousands of any length."""
    return ", ".join(name if len(name) <= NAME else f"{name[:NAME]}…" for name in islice(names, NAMES))


async def _encode(result: ExecutionResult, media_type: str) -> Response:
    """Encode a GraphQL result as an HTTP response with the media type's status."""
    errors = result.errors or []
    raise_if_unavailable(errors)
    body: dict[str, Any] = {}
    if errors:
        body["errors"] = format_errors(errors)
    status = 200
    # What a field answers has a path; an error without one, such as a variable's, came before anything was executed.
    if isinstance(result, PreExecutionError) or (result.data is None and all(error.path is None for error in errors)):
        status = 400 if media_type == GRAPHQL_RESPONSE else 200
    else:
        body["data"] = result.data
    return Response(await encode_json(body), status, media_type=f"{media_type}; charset=utf-8")


def raise_if_unavailable(errors: Sequence[GraphQLError]) -> None:
    """Raise the error of a field that got no connection or lock, so that /graphql answers the request with 503."""
    for error in errors:
        if isinstance(cause := _root_cause(error), (PoolExhausted, asyncpg.LockNotAvailableError, *UNREACHABLE)):
            raise cause


def format_errors(errors: Sequence[GraphQLError]) -> list[dict[str, Any]]:
    """Write the first errors of a response of /graphql. An internal one becomes a reference that the log has too."""
    formatted = [_format_error(error) for error in errors[:MAX_ERRORS_SHOWN]]
    for each in formatted:
        observe.graphql_error(each["extensions"]["code"])
    return formatted


def _format_error(error: GraphQLError) -> dict[str, Any]:
    """Write one error of a response of /graphql."""
    cause = _root_cause(error)
    if _is_of_the_request(error, cause):
        extensions = {"code": "GRAPHQL_VALIDATION_FAILED"} | (error.extensions or {})
        message = _LIBRARY_ADDITIONS.sub(lambda found: (found[1] or "") + _FORMS.get(found[2], ""), error.message)
        return {**error.formatted, "message": message, "extensions": extensions}
    told, code = _of_the_database(cause) or (http_error(cause).message, "INTERNAL")
    return {"message": told, "extensions": {"code": code}} | ({"path": error.path} if error.path else {})


def internal_cause(error: GraphQLError) -> BaseException | None:
    """Return what failed in the gateway under a GraphQL error; None if the client's request is at fault."""
    cause = _root_cause(error)
    return None if _is_of_the_request(error, cause) or _of_the_database(cause) else cause


def _of_the_database(cause: BaseException) -> tuple[str, str] | None:
    """Describe for /graphql's client what the database refused; None for any other error."""
    if isinstance(cause, asyncpg.QueryCanceledError):
        return "the database took too long (request fewer items or fields, or try again)", "TIMEOUT"
    if isinstance(cause, asyncpg.CharacterNotInRepertoireError):
        return "an argument contains the character NUL, which no id or name can contain (remove it)", "BAD_USER_INPUT"
    return None


def _is_of_the_request(error: GraphQLError, cause: BaseException) -> bool:
    """Return whether a GraphQL error is about what the client wrote, and quotes nothing but that.

    What graphql-core says while it answers a field is about an argument's value in the document, and names its place;
    or else it is about the value that a resolver returned, and quotes it.
    """
    if isinstance(cause, BadInput | FeatureUnavailable | Forbidden):
        return True
    if not isinstance(cause, GraphQLError):
        return False
    return error.path is None or any(isinstance(node, ValueNode) for node in cause.nodes or ())


def _root_cause(error: GraphQLError) -> BaseException:
    """Return the exception at the root of an error that /graphql answers with."""
    cause: BaseException = error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause
