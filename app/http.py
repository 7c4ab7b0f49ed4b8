"""POST and GET /graphql, to the letter of the GraphQL-over-HTTP specification."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import asyncpg
import orjson
from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from strawberry.types.execution import ExecutionResult, PreExecutionError

from app.auth import Authenticator, Unauthorized
from app.observe import observe
from db.session import Busy
from schema.actor import Actor
from schema.build import GatewaySchema
from schema.context import Context, Gateway

BODY_LIMIT = 64 * 1024
SOURCE_LIMIT = 16 * 1024
TOKEN_LIMIT = 1000
REQUEST_SECONDS = 10.0
ERRORS_SHOWN = 5

GRAPHQL_RESPONSE = "application/graphql-response+json"
JSON = "application/json"


class Refused(Exception):
    """Refuse a request before there is a result: `status`, and what to do."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """Hold what a request asks."""

    query: str
    variables: dict[str, Any] | None
    operation: str | None
    read_only: bool


class GraphQLEndpoint:
    """Answer GraphQL requests: who asks, what is asked, execute, encode."""

    def __init__(self, schema: GatewaySchema, gateway: Gateway, authenticator: Authenticator) -> None:
        self._schema = schema
        self._gateway = gateway
        self._authenticator = authenticator

    async def __call__(self, request: Request) -> Response:
        """Answer one request."""
        media = JSON
        try:
            media = _negotiated(request.headers.get("accept"))
            actor = await self._authenticator.actor(request.headers.get("authorization"))
            async with asyncio.timeout(REQUEST_SECONDS):
                return _answer(await self._execute(actor, await _read(request)), media)
        except Unauthorized as refusal:
            return _refusal(media, 401, refusal.reason, {"WWW-Authenticate": "Bearer"})
        except Refused as refusal:
            return _refusal(media, refusal.status, refusal.message, refusal.headers)
        except TimeoutError:
            return _refusal(media, 503, "the request took too long (ask for less)", {"Retry-After": "1"})
        except asyncio.CancelledError:  # the server cancels what outlasts its grace, and would log a trace
            return _refusal(media, 503, "the gateway stops (try again)", {"Retry-After": "1"})
        except HTTPException:
            raise
        except ClientDisconnect:
            return _refusal(media, 400, "the request broke off (send it again)")
        except Exception as error:  # whatever it is, its text stays here: the server would log it with a trace
            return _refusal(media, 500, _failed(error))

    async def _execute(self, actor: Actor, asked: GraphQLRequest) -> ExecutionResult:
        try:
            operation = _operation(asked)
        except GraphQLError as error:
            return PreExecutionError(data=None, errors=[error])
        if asked.read_only and operation is not OperationType.QUERY:
            raise Refused(405, f"a {operation.value} cannot be sent by GET (send it by POST)", Allow="POST")
        return await self._schema.execute(
            asked.query,
            variable_values=asked.variables,
            operation_name=asked.operation,
            context_value=Context(actor, self._gateway),
        )


async def refused(_: Request, error: Exception) -> Response:
    """Answer in JSON where no route answers: an unknown path, or a method that a path does not take."""
    assert isinstance(error, HTTPException)
    todo = {404: "there is nothing at this path (see /graphql and /ingest)", 405: "the path does not take this method"}
    return _refusal(JSON, error.status_code, todo.get(error.status_code, error.detail), dict(error.headers or {}))


def _operation(asked: GraphQLRequest) -> OperationType:
    """Tell what kind of operation is asked for (GetOperation of the GraphQL specification).

    Raises GraphQLError for a document that cannot be read, and where no one operation is meant.
    """
    operations = _operations(asked.query)
    if asked.operation is None and len(operations) == 1:
        return next(iter(operations.values()))
    if asked.operation is None:
        found = "none" if not operations else ", ".join(name or "one without a name" for name in operations)
        raise GraphQLError(f"operationName: is missing, and the document has not one operation but {found} (name one)")
    if asked.operation not in operations:
        known = ", ".join(name for name in operations if name) or "none with a name"
        raise GraphQLError(f"operationName: is no operation of the document, which has {known} (name one of them)")
    return operations[asked.operation]


@lru_cache(maxsize=256)
def _operations(query: str) -> Mapping[str | None, OperationType]:
    document = parse(query, max_tokens=TOKEN_LIMIT)
    return {
        definition.name.value if definition.name else None: definition.operation
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode)
    }


def _negotiated(accept: str | None) -> str:
    """Choose the media type of the answer; of equals the newer one is chosen only where it is named."""
    if accept is None:
        return JSON
    wishes: dict[str, float] = {}
    for part in accept.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            wishes[name] = float(quality)
        except ValueError:
            wishes[name] = 0.0
    newer = wishes.get(GRAPHQL_RESPONSE, 0.0)
    older = max(wishes.get(name, 0.0) for name in (JSON, "application/*", "*/*"))
    if newer == older == 0.0:
        raise Refused(406, f"nothing that you accept can be answered (accept {GRAPHQL_RESPONSE} or {JSON})")
    return GRAPHQL_RESPONSE if newer >= older else JSON


async def _read(request: Request) -> GraphQLRequest:
    if request.method != "POST":
        asked: Any = dict(request.query_params)
        for name in ("variables", "extensions"):
            asked[name] = _parsed(asked[name], name) if asked.get(name) else None
    else:
        content_type = request.headers.get("content-type", "").partition(";")
        if content_type[0].strip().lower() != JSON:
            raise Refused(415, f"the body's Content-Type is not {JSON} (send JSON)")
        if "charset=" in content_type[2].lower() and "utf-8" not in content_type[2].lower():
            raise Refused(415, "the body's charset is not UTF-8 (send UTF-8)")
        asked = _parsed(await _body(request), "the body")
    if not isinstance(asked, dict):
        raise Refused(400, 'the body is not a JSON object (send {"query": ...}; batches are not taken)')
    return _checked(asked, read_only=request.method != "POST")


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for block in request.stream():
        body += block
        if len(body) > BODY_LIMIT:
            raise Refused(413, f"the body is longer than {BODY_LIMIT} bytes (ask for less at once)")
    return bytes(body)


def _parsed(text: str | bytes, what: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Refused(400, f"{what} is not JSON (check quotes, commas and UTF-8)") from None


def _checked(asked: dict[str, Any], *, read_only: bool) -> GraphQLRequest:
    query, operation = asked.get("query"), asked.get("operationName")
    if not isinstance(query, str) or not query:
        raise Refused(400, "query: is missing (send the document as a string)")
    if len(query) > SOURCE_LIMIT:
        raise Refused(400, f"query: is longer than {SOURCE_LIMIT} characters (split it)")
    if operation is not None and not isinstance(operation, str):
        raise Refused(400, "operationName: is not a string (name an operation of the document)")
    for name in ("variables", "extensions"):
        if asked.get(name) is not None and not isinstance(asked[name], dict):
            raise Refused(400, f"{name}: is not a JSON object (send an object or null)")
    return GraphQLRequest(query, asked.get("variables") or None, operation or None, read_only)


def _answer(result: ExecutionResult, media: str) -> Response:
    errors = result.errors or []
    if any(isinstance(_cause(error), Busy) for error in errors):
        return _refusal(media, 503, "all connections are in use (try again)", {"Retry-After": "1"})
    body: dict[str, Any] = {}
    if errors:
        body["errors"] = _shown(errors)
    status = 200
    # What a field answers has a path; an error without one, such as a variable's, came before anything was executed.
    if isinstance(result, PreExecutionError) or (result.data is None and all(error.path is None for error in errors)):
        status = 400 if media == GRAPHQL_RESPONSE else 200
    else:
        body["data"] = result.data
    return Response(orjson.dumps(body), status, media_type=f"{media}; charset=utf-8")


def _shown(errors: Sequence[GraphQLError]) -> list[dict[str, Any]]:
    """Show the first errors. What was not meant for the reader becomes a reference that the log has too."""
    return [_formatted(error) for error in errors[:ERRORS_SHOWN]]


def _formatted(error: GraphQLError) -> dict[str, Any]:
    cause = _cause(error)
    if cause is None or isinstance(cause, GraphQLError):
        return dict(error.formatted)
    if isinstance(cause, asyncpg.QueryCanceledError | asyncpg.LockNotAvailableError):
        told, code = "the database took too long (ask for less, or try again)", "TIMEOUT"
    elif isinstance(cause, asyncpg.CharacterNotInRepertoireError):
        told, code = "an argument holds the character NUL, which no id and no name has (remove it)", "BAD_USER_INPUT"
    else:
        told, code = _failed(cause), "INTERNAL"
    shown: dict[str, Any] = {"message": told, "extensions": {"code": code}}
    if error.path:
        shown["path"] = error.path
    return shown


def _failed(error: BaseException) -> str:
    return f"something failed here (tell the operator the reference {observe.failure(error)})"


def _cause(error: GraphQLError) -> BaseException | None:
    cause: BaseException | None = error.original_error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause


def _refusal(media: str, status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    body = orjson.dumps({"errors": [{"message": message}]})
    names = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
    return Response(body, status, media_type=f"{media}; charset=utf-8", headers=names)
