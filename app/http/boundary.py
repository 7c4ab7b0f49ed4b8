"""The rules for every request and answer: limits of connections, the Host header, compression, headers and errors.

This is the one place where an exception becomes an answer. Code inside it raises; nothing inside it catches everything.
"""

import asyncio
import re
import resource
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import ClassVar, Final

import asyncpg
import orjson
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette_compress import CompressMiddleware
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.auth.authenticator import Unauthorized
from app.http.health import HEALTH, READY
from app.telemetry import observe
from db.connection import UNREACHABLE, DeliveryPaused, FairShare, JournalUnavailable, PoolExhausted, Sharer
from schema.errors import BadInput

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_HEAD_SECONDS: Final = 10.0
"""The time in which a client must send the request line and headers. It begins with the connection or the previous
response."""
MAX_STALL_SECONDS: Final = 30.0
"""The time after which a connection is closed if the client reads nothing of the response."""
WATCH_SECONDS: Final = 5.0
MAX_CLIENT_OPERATIONS: Final = 2
"""The number of operations that a process runs for one training client at the same time. While one operation waits for
the database, the process encodes the answer to another operation."""
TURN_SECONDS: Final = 5.0
"""The time for which a request waits for the turn of its client."""
MIN_COMPRESSED_BYTES: Final = 1400
"""The size of one packet. Smaller responses are not compressed, because they would not arrive sooner."""

SECURITY_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""The headers of every response, also of uvicorn's own responses to malformed HTTP. The proxy that terminates TLS has
to send Strict-Transport-Security, because browsers ignore that header over plain HTTP (RFC 6797, 7.2).
"""
CONTENT_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
JSON: Final = "application/json"
CLIENT_CLOSED: Final = 499
"""The status in the log for a client that closed the connection before the response; nginx logs the same number."""
LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})

_PROBE_PATHS: Final = frozenset({HEALTH, READY})
_HOST_HEADER: Final = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(?::[0-9]*)?")
_POLICY_HEADER: Final = (b"content-security-policy", CONTENT_POLICY.encode())


class BoundedProtocol(HttpToolsProtocol):
    """HTTP with bounded heads and waits: uvicorn keeps heads of any length, and open connections for ever."""

    _connections: ClassVar[Counter[str]] = Counter()
    """The number of open connections to this process, by client address."""

    _is_progressing = False
    _idle_bytes = 0
    _unsent_bytes = 0
    _idle_since = 0.0
    _unsent_since = 0.0
    _watching: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to watch an HTTP connection; end it at once where its address has too many."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self._connections[self._address] += 1
        if self._connections[self._address] > max_connections():
            transport.abort()
            return
        self._idle_since = self.loop.time()
        self._watching = self.loop.call_later(WATCH_SECONDS, self._watch)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching an HTTP connection that was closed."""
        if self._watching is not None:
            self._watching.cancel()
        self._connections[self._address] -= 1
        if not self._connections[self._address]:
            del self._connections[self._address]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take an HTTP connection's bytes; end it after MAX_HEAD_BYTES that are no body and complete no head."""
        self._is_progressing = False
        super().data_received(data)
        self._idle_bytes = 0 if self._is_progressing else self._idle_bytes + len(data)
        if self._idle_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(f"The request line and the headers are longer than {MAX_HEAD_BYTES} bytes.")

    def on_headers_complete(self) -> None:
        """Note that the head of an HTTP request is complete."""
        self._is_progressing = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Note that the body of an HTTP request arrives."""
        self._is_progressing = True
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Note that an HTTP connection awaits the head of its next request."""
        self._idle_since = self.loop.time()
        super().on_response_complete()

    def _watch(self) -> None:
        """Abort an HTTP connection that sends no head or takes no answer; look every WATCH_SECONDS."""
        now, unsent = self.loop.time(), self.transport.get_write_buffer_size()
        if unsent != self._unsent_bytes:
            self._unsent_bytes, self._unsent_since = unsent, now
        awaits_head = not self.pipeline and (self.cycle is None or self.cycle.response_complete)
        is_idle = awaits_head and not unsent and now - self._idle_since > MAX_HEAD_SECONDS
        if is_idle or (unsent and now - self._unsent_since > MAX_STALL_SECONDS):
            self.transport.abort()  # to close would wait until the other side takes what is unsent
        else:
            self._watching = self.loop.call_later(WATCH_SECONDS, self._watch)


def max_connections() -> int:
    """Return how many HTTP connections an address may have open: half of the files that this process may open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2


def check_host(app: ASGIApp, hosts: Iterable[str]) -> ASGIApp:
    """Pass on HTTP requests whose Host names the gateway, and raise HTTPError for others.

    Probes are answered whatever they name: load balancers and kubelets call an instance by its address, and what they
    are told is no secret.
    """
    names = frozenset(name.encode() for name in hosts)

    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on one HTTP request whose Host names the gateway."""
        if scope["path"] not in _PROBE_PATHS:
            named = [value for name, value in scope["headers"] if name == b"host"]
            match = _HOST_HEADER.fullmatch(named[0]) if len(named) == 1 else None
            if match is None:
                raise HTTPError(400, "Host: must state the gateway's name exactly once (correct the header)")
            if match[1].lower() not in names:
                raise HTTPError(
                    421,
                    (
                        "Host: is not a name of this gateway (use another name, or ask the operator to add this one"
                        " to GROUNDS_HOSTS)"
                    ),
                )
        await app(scope, receive, send)

    return checked


def host_names(named: frozenset[str], listening: str) -> frozenset[str]:
    """Return the names that an HTTP Host header may have: those of the settings, or else those of this machine."""
    if named:
        return named
    try:
        address = ip_address(listening)
    except ValueError:
        return LOCAL_NAMES | {listening.lower()}
    if address.is_unspecified:
        return LOCAL_NAMES
    return LOCAL_NAMES | {f"[{address}]" if address.version == 6 else str(address)}


def with_content_policy(app: ASGIApp) -> ASGIApp:
    """Add the strictest Content-Security-Policy to each HTTP response that states none."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request with a Content-Security-Policy."""

        async def sending(message: Message) -> None:
            """Send a part of an HTTP response; its head gets a Content-Security-Policy."""
            if message["type"] == "http.response.start":
                headers = message["headers"]
                if not any(name == b"content-security-policy" for name, _ in headers):
                    message = {**message, "headers": [*headers, _POLICY_HEADER]}
            await send(message)

        await app(scope, receive, sending)

    return guarded


def with_origins(app: ASGIApp, origins: frozenset[str]) -> ASGIApp:
    """Let pages of these origins send HTTP requests from a browser (CORS); with none, no header allows one."""
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=sorted(origins),
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type"],
        expose_headers=["Retry-After"],
    )


def with_compression(app: ASGIApp) -> ASGIApp:
    """Compress HTTP responses for clients that accept zstd or gzip, at the levels that cost least.

    A page of 1,000 items, 2.7 MB, takes zstd 1 ms and becomes 0.1 MB, which costs less than sending it as it is does;
    gzip takes 5 ms. No secret stands beside what a client can choose, so the length tells nothing (BREACH).
    """
    return CompressMiddleware(app, minimum_size=MIN_COMPRESSED_BYTES, zstd_level=1, gzip_level=1, brotli=False)


class HTTPError(Exception):
    """A request that is answered with an error: its status, and a sentence that says what to do and quotes nothing.

    `reference` is the number under which the log has the failure, where there is one.
    """

    def __init__(
        self, status: int, message: str, headers: Mapping[str, str] | None = None, *, reference: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})
        self.reference = reference


class ClientTurns:
    """The turns in which a process runs the operations of each training client: MAX_CLIENT_OPERATIONS at once."""

    def __init__(self) -> None:
        self._share = FairShare(sys.maxsize, most=MAX_CLIENT_OPERATIONS)

    @asynccontextmanager
    async def turn(self, client: str | None, request: Request) -> AsyncIterator[None]:
        """Wait until another operation of a training client may run, and yield for the operation.

        An operation without a client never waits. The body of the HTTP request was read. Raises ClientDisconnect where
        the client leaves meanwhile, and HTTPError after TURN_SECONDS.
        """
        sharer = Sharer(client) if client else None
        if self._share.may_have(sharer):
            await self._share.acquire(sharer)
        else:
            await self._wait(sharer, request)
        try:
            yield
        finally:
            self._share.release(sharer)

    async def _wait(self, sharer: Sharer | None, request: Request) -> None:
        """Wait for a client's turn, as long as the client of the HTTP request is there."""
        taking, leaving = asyncio.ensure_future(self._share.acquire(sharer)), asyncio.ensure_future(_left(request))
        has_turn = False
        try:
            await asyncio.wait((taking, leaving), timeout=TURN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if leaving.done():
                raise ClientDisconnect
            has_turn = taking.done()
            if not has_turn:
                raise _unavailable("this client sends too many requests at the same time (send fewer, and try again)")
        finally:
            leaving.cancel()
            if not has_turn and not taking.cancel():  # it got the turn at the last moment
                self._share.release(sharer)


async def _left(request: Request) -> None:
    """Return when the client of an HTTP request, whose body was read, closes the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


ErrorRenderer = Callable[[Request, HTTPError], Response]
"""A function that makes the response for an error. The format depends on the path: JSON, a GraphQL media type, or a
page."""


class ErrorBoundary:
    """An ASGI application that converts every exception of the inner application to an answer.

    `renderers` are found by the first part of the path (`/dashboard`); the other paths answer in JSON.
    """

    def __init__(self, app: ASGIApp, renderers: Mapping[str, ErrorRenderer]) -> None:
        self._app = app
        self._renderers = renderers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and answer where that raises."""
        scope["app"] = self  # the router then raises for a path or a method that it does not know
        observe.request_began(scope["headers"])
        began_at, status = time.perf_counter(), 0

        async def sending(message: Message) -> None:
            """Send a part of an HTTP response, and note its status."""
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._respond(scope, receive, sending, lambda: status > 0)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            observe.responded(route, status or CLIENT_CLOSED, time.perf_counter() - began_at)

    async def _respond(self, scope: Scope, receive: Receive, send: Send, has_begun: Callable[[], bool]) -> None:
        """Answer an HTTP request, and turn any exception into an error response."""
        try:
            await self._app(scope, receive, send)
        except ClientDisconnect:
            return  # no answer would arrive
        except (Exception, asyncio.CancelledError) as error:
            # The text of an error stays here: the server would log it with a trace, which could quote data.
            answered = _STOPPING_MESSAGE if _is_cancelled(error) else http_error(error)
            if not has_begun():  # else the server closes the connection, and the client sees that the answer broke off
                await self._render(Request(scope, receive), answered)(scope, receive, send)

    def _render(self, request: Request, error: HTTPError) -> Response:
        """Write an error as the HTTP route writes its errors, or else in JSON."""
        renderer = self._renderers.get("/" + request.scope["path"].lstrip("/").partition("/")[0], render_json)
        try:
            return renderer(request, error)
        except Exception as failure:
            return render_json(request, http_error(failure))


def http_error(error: BaseException) -> HTTPError:
    """Describe any exception as an HTTP error. One not meant for the client becomes a reference that the log has."""
    match error:
        case HTTPError():
            return error
        case Unauthorized():
            observe.token_refused(error.code)
            return HTTPError(401, error.reason, {"WWW-Authenticate": "Bearer"})
        case BadInput():
            return HTTPError(400, error.message)
        case HTTPException():
            return HTTPError(error.status_code, _ROUTING_MESSAGES.get(error.status_code, error.detail), error.headers)
        case DeliveryPaused():
            return _unavailable("deliveries are paused at the moment (try again)")
        case JournalUnavailable():
            observe.failure(error)
            return _unavailable("the change is stored in the database, but not yet in the journal (send it again)")
        case PoolExhausted():
            return _unavailable("all database connections are in use (try again)")
        case asyncpg.LockNotAvailableError() | asyncpg.QueryCanceledError():
            return _unavailable("the database took too long (try again)")
        case TimeoutError():
            return _unavailable("the request took too long (request fewer items or fields)")
    reference = observe.failure(error)
    if isinstance(error, UNREACHABLE):
        return _unavailable("the database does not answer (try again)")
    message = f"an internal error occurred (give the operator the reference {reference})"
    return HTTPError(500, message, reference=reference)


def json_errors(media_type: str, error: HTTPError) -> Response:
    """Write an HTTP error as GraphQL's errors are written."""
    body = orjson.dumps({"errors": [{"message": error.message}]})
    return Response(body, error.status, media_type=f"{media_type}; charset=utf-8", headers=error.headers)


def render_json(_: Request, error: HTTPError) -> Response:
    """Write an HTTP error in JSON."""
    return json_errors(JSON, error)


def _is_cancelled(error: BaseException) -> bool:
    """Return whether the server cancelled the HTTP request, as it does with what outlasts its grace.

    What is cancelled can also end in another error: a connection might fail at being given back in the middle.
    """
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) or (task is not None and task.cancelling() > 0)


def _unavailable(message: str) -> HTTPError:
    """Make the HTTP error 503 with a Retry-After header."""
    return HTTPError(503, message, {"Retry-After": "1"})


_STOPPING_MESSAGE = _unavailable("the gateway is stopping (try again)")
_ROUTING_MESSAGES = {
    404: "this path does not exist (use /graphql or /ingest)",
    405: "this path does not support the request method",
}
