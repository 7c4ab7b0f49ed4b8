"""POST and GET /graphql, to the letter of the GraphQL-over-HTTP specification."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import orjson
from graphql import GraphQLError, OperationType, ValueNode
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from strawberry.types.execution import ExecutionResult, PreExecutionError

from app.auth import Authenticator, Unauthorized
from app.documents import Documents, identifier_of, query_of
from app.edges import JSON, Refused, refusal
from app.observe import observe
from db.session import Busy
from schema.actor import Actor
from schema.build import GatewaySchema
from schema.context import Context, Gateway
from schema.errors import BadInput, Forbidden

BODY_LIMIT: Final = 320 * 1024  # ten thousand ids, for checkEligibility
REQUEST_SECONDS: Final = 10.0
ERRORS_SHOWN: Final = 5

GRAPHQL_RESPONSE: Final = "application/graphql-response+json"

_QUALITY: Final = re.compile(r"[01](\.[0-9]*)?")
# What graphql-core and strawberry add to their messages: names that were not asked for, and an exception's own text.
_ADDED: Final = re.compile(r" Did you mean .*|(cannot represent a \w+): .*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """Hold what a request asks; at least one of `query` and `document` is there."""

    query: str | None
    document: str | None
    variables: dict[str, Any] | None
    operation: str | None
    read_only: bool


class GraphQLEndpoint:
    """Answer GraphQL requests: who asks, what is asked, execute, encode."""

    def __init__(
        self, schema: GatewaySchema, documents: Documents, gateway: Gateway, authenticator: Authenticator
    ) -> None:
        self._schema = schema
        self._documents = documents
        self._gateway = gateway
        self._authenticator = authenticator

    async def __call__(self, request: Request) -> Response:
        """Answer one request."""
        media = JSON
        try:
            media = _negotiated(request.headers.get("accept"))
            actor = await self._authenticator.actor(request.headers.get("authorization"))
            async with asyncio.timeout(REQUEST_SECONDS):
                return _answer(await self.execute(actor, await _read(request)), media)
        except Unauthorized as refused:
            return refusal(media, 401, refused.reason, {"WWW-Authenticate": "Bearer"})
        except Refused as refused:
            return refusal(media, refused.status, refused.message, refused.headers)
        except TimeoutError:
            return refusal(media, 503, "the request took too long (ask for less)", {"Retry-After": "1"})
        except asyncio.CancelledError:  # the server cancels what outlasts its grace, and would log a trace
            return refusal(media, 503, "the gateway stops (try again)", {"Retry-After": "1"})
        except HTTPException:
            raise
        except ClientDisconnect:
            return refusal(media, 400, "the request broke off (send it again)")
        except Exception as error:  # whatever it is, its text stays here: the server would log it with a trace
            return refusal(media, 500, _failed(error))

    async def execute(self, actor: Actor, asked: GraphQLRequest) -> ExecutionResult:
        """Execute what somebody asks, as whoever they are. Raises Refused."""
        try:
            document = self._documents.find(asked.query, asked.document, actor.role)
            operation = document.operation(asked.operation)
        except GraphQLError as error:
            return PreExecutionError(data=None, errors=[error])
        if asked.read_only and operation is not OperationType.QUERY:
            raise Refused(405, f"a {operation.value} cannot be sent by GET (send it by POST)", Allow="POST")
        return await self._schema.execute(
            document.text,
            variable_values=asked.variables,
            operation_name=asked.operation,
            context_value=Context(actor, self._gateway),
        )


async def refused(_: Request, error: Exception) -> Response:
    """Answer in JSON where no route answers: an unknown path, or a method that a path does not take."""
    assert isinstance(error, HTTPException)
    todo = {404: "there is nothing at this path (see /graphql and /ingest)", 405: "the path does not take this method"}
    return refusal(JSON, error.status_code, todo.get(error.status_code, error.detail), dict(error.headers or {}))


def _negotiated(accept: str | None) -> str:
    """Choose the media type of the answer; of equals the newer one is chosen only where it is named."""
    if accept is None:
        return JSON
    newer, older, _ = _wishes(accept)
    if newer == older == 0.0:
        raise Refused(406, f"nothing that you accept can be answered (accept {GRAPHQL_RESPONSE} or {JSON})")
    return GRAPHQL_RESPONSE if newer >= older else JSON


def prefers_page(request: Request) -> bool:
    """Tell whether a browser opens the path; what its page then sends wants JSON."""
    newer, older, page = _wishes(request.headers.get("accept", ""))
    return request.method != "POST" and page > max(newer, older)


def _wishes(accept: str) -> tuple[float, float, float]:
    """Give how much each is wished for: the newer media type, the older one, and a page."""
    wishes: dict[str, float] = {}
    for part in accept.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        stated = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        wishes[name] = float(stated) if _QUALITY.fullmatch(stated) else 0.0
    older = max(wishes.get(name, 0.0) for name in (JSON, "application/*", "*/*"))
    return wishes.get(GRAPHQL_RESPONSE, 0.0), older, wishes.get("text/html", 0.0)


async def _read(request: Request) -> GraphQLRequest:
    # Another site's page cannot make a browser send what is answered here: a body has to be of a type that no form can
    # send, and a GET only reads. Above all, a browser adds no bearer token by itself, as it would a cookie.
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
    for name in ("variables", "extensions"):
        if asked.get(name) is not None and not isinstance(asked[name], dict):
            raise Refused(400, f"{name}: is not a JSON object (send an object or null)")
    query, document, operation = query_of(asked), identifier_of(asked), asked.get("operationName")
    if query is None and document is None:
        raise Refused(400, "query: is missing (send the document as a string, or the documentId of a trusted one)")
    if operation is not None and not isinstance(operation, str):
        raise Refused(400, "operationName: is not a string (name an operation of the document)")
    return GraphQLRequest(query, document, asked.get("variables") or None, operation or None, read_only)


def _answer(result: ExecutionResult, media: str) -> Response:
    errors = result.errors or []
    if is_busy(errors):
        return refusal(media, 503, "all connections are in use (try again)", {"Retry-After": "1"})
    body: dict[str, Any] = {}
    if errors:
        body["errors"] = shown(errors)
    status = 200
    # What a field answers has a path; an error without one, such as a variable's, came before anything was executed.
    if isinstance(result, PreExecutionError) or (result.data is None and all(error.path is None for error in errors)):
        status = 400 if media == GRAPHQL_RESPONSE else 200
    else:
        body["data"] = result.data
    return Response(orjson.dumps(body), status, media_type=f"{media}; charset=utf-8")


def is_busy(errors: Sequence[GraphQLError]) -> bool:
    """Say whether a field found no connection free."""
    return any(isinstance(_cause(error), Busy) for error in errors)


def shown(errors: Sequence[GraphQLError]) -> list[dict[str, Any]]:
    """Show the first errors. What was not meant for the reader becomes a reference that the log has too."""
    return [_formatted(error) for error in errors[:ERRORS_SHOWN]]


def _formatted(error: GraphQLError) -> dict[str, Any]:
    cause = _cause(error)
    if _is_of_the_request(error, cause):
        return {**error.formatted, "message": _ADDED.sub(r"\1", error.message)}
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


def _is_of_the_request(error: GraphQLError, cause: BaseException) -> bool:
    """Tell whether a message is about what the client wrote, and quotes nothing but that.

    What graphql-core says while it answers a field is about an argument's value in the document, and names its place;
    or else it is about the value that a resolver returned, and quotes it.
    """
    if isinstance(cause, BadInput | Forbidden):
        return True
    if not isinstance(cause, GraphQLError):
        return False
    return error.path is None or any(isinstance(node, ValueNode) for node in cause.nodes or ())


def _failed(error: BaseException) -> str:
    return f"something failed here (tell the operator the reference {observe.failure(error)})"


def _cause(error: GraphQLError) -> BaseException:
    cause: BaseException = error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause
