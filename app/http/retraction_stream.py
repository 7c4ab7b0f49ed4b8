"""GET /retractions: a client's retractions as Server-Sent Events, until its token expires."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from app.auth.authenticator import Authenticator, Unauthorized
from app.http.boundary import HTTPError
from app.http.negotiation import accepts
from app.telemetry import observe
from db.connection import UNAVAILABLE, PoolExhausted, Reader, borrowing_as
from db.delivery.retractions import RetractionRow, page_of_retractions
from schema.actor import Role
from schema.context import Context, Gateway
from schema.relay.connection import read_cursor
from schema.relay.ids import IdKind, Ids
from schema.training.retractions import cursors_of, retraction_as_json

EVENTS: Final = "text/event-stream"
BATCH_SIZE: Final = 500
POLL_SECONDS: Final = 1.0
HEARTBEAT_SECONDS: Final = 15.0
MAX_STREAMS_PER_CLIENT: Final = 4
MAX_STREAMS: Final = 100

_RETRY: Final = b"retry: 2000\n\n"  # milliseconds until a client that lost the stream asks again
_HEARTBEAT: Final = b":\n\n"
_RETRY_MESSAGE: Final = {"Retry-After": "15"}


@dataclass(frozen=True, slots=True)
class ClientFeed:
    """The start of a client's stream, and the connections that it reads and writes with."""

    reader: Reader
    ids: Ids
    after: int
    sharer: str


class RetractionStreamEndpoint:
    """The stream of retractions to training clients; each reads every POLL_SECONDS, and uses no connection between
    two reads."""

    def __init__(self, gateway: Gateway, authenticator: Authenticator) -> None:
        self._gateway = gateway
        self._authenticator = authenticator
        self._open: Counter[str] = Counter()

    async def respond(self, request: Request) -> Response:
        """Answer `GET /retractions`. Raises HTTPError, Unauthorized, BadInput and PoolExhausted."""
        if not accepts(request, EVENTS):
            raise HTTPError(406, f"Accept: must allow a media type that the gateway can send (add {EVENTS})")
        actor = await self._authenticator.actor(request.headers.get("authorization"))
        if actor.role is not Role.TRAINING_CLIENT:
            raise HTTPError(
                403,
                (
                    f"/retractions is for {Role.TRAINING_CLIENT}, and this token is for {actor.role} (ask the"
                    " issuer for a token with that role)"
                ),
            )
        feed = await self._feed(Context(actor, self._gateway), request)
        if request.method == "HEAD":
            return Response(media_type=EVENTS)
        return self._stream(actor.client or "", feed, request)

    async def _feed(self, context: Context, request: Request) -> ClientFeed:
        """Open the feed of `GET /retractions` after the last event that the client received."""
        # A client that reconnects asks for the same URL again, and says by the header how far it came.
        said = request.headers.get("last-event-id") or request.query_params.get("after") or None
        after = read_cursor(context.ids, IdKind.RETRACTION_CURSOR, said)
        with borrowing_as(context.sharer):
            return ClientFeed(context.database.client(await context.client()), context.ids, after, context.sharer)

    def _stream(self, client: str, feed: ClientFeed, request: Request) -> Response:
        """Make the streaming response of `GET /retractions`. Raises HTTPError for too many streams."""
        if self._open[client] >= MAX_STREAMS_PER_CLIENT:
            message = (
                f"this client already has {MAX_STREAMS_PER_CLIENT} open streams (close one; every stream sends"
                " all retractions)"
            )
            raise HTTPError(429, message, _RETRY_MESSAGE)
        if self._open.total() >= MAX_STREAMS:
            raise HTTPError(503, "all streams are in use (try again, or query retractions by GraphQL)", _RETRY_MESSAGE)
        return _Stream(self._events(feed, request), self._open, client)

    async def _events(self, feed: ClientFeed, request: Request) -> AsyncIterator[bytes]:
        """Yield Server-Sent Events until the token expires, the server ends, or the database is gone."""
        ending: asyncio.Event = request.scope.get("state", {}).get("ending") or asyncio.Event()
        after, quiet_since = feed.after, time.monotonic()
        yield _RETRY
        try:
            while not ending.is_set():
                await self._authenticator.actor(request.headers.get("authorization"))
                rows, more = await _poll_retractions(feed, after)
                if rows:
                    yield _encode_events(feed.ids, rows)
                    after, quiet_since = rows[-1].id, time.monotonic()
                elif time.monotonic() - quiet_since >= HEARTBEAT_SECONDS:
                    yield _HEARTBEAT
                    quiet_since = time.monotonic()
                if not more:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(ending.wait(), POLL_SECONDS)
        except Unauthorized:  # the client asks again with a new token, from where it is
            return
        except UNAVAILABLE as error:  # the same, after a moment: the answer has begun, and cannot say what failed
            observe.failure(error)


class _Stream(StreamingResponse):
    """A response of events, counted among the open streams until it ends, however it ends."""

    def __init__(self, events: AsyncIterator[bytes], counted: Counter[str], client: str) -> None:
        super().__init__(events, media_type=EVENTS)
        self._counted, self._client = counted, client
        counted[client] += 1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until there are no more, or the client is gone."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._counted[self._client] -= 1
            self._counted += Counter()  # keeps what is above zero


async def _poll_retractions(feed: ClientFeed, after: int) -> tuple[list[RetractionRow], bool]:
    """Read the new retractions of a stream; while all connections are in use, there are none yet."""
    try:
        with borrowing_as(feed.sharer):
            return await page_of_retractions(feed.reader, after, BATCH_SIZE)
    except PoolExhausted:
        return [], False


def _encode_events(ids: Ids, rows: list[RetractionRow]) -> bytes:
    """Write a Server-Sent Event for each retraction (HTML Standard, 9.2)."""
    return b"".join(
        b"id: %b\nevent: %b\ndata: %b\n\n"
        % (cursor.encode(), row.kind.encode(), orjson.dumps(retraction_as_json(ids, row)))
        for cursor, row in zip(cursors_of(ids, rows), rows, strict=True)
    )
