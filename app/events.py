"""GET /retractions: a client's feed as Server-Sent Events, for as long as its token is good."""

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
from starlette.types import Message, Receive, Scope, Send

from app.auth import Authenticator, Unauthorized
from app.edges import JSON, Refused, refusal
from app.observe import observe
from db.retraction import RetractionRow, page_of_retractions
from db.session import Busy, Reader
from schema.actor import Actor, Role
from schema.connection import read_cursor
from schema.context import Context, Gateway
from schema.errors import BadInput
from schema.ids import Ids, Kind
from schema.retractions import cursors_of, retraction_as_json

EVENTS: Final = "text/event-stream"
AT_ONCE: Final = 500
POLL_SECONDS: Final = 1.0
HEARTBEAT_SECONDS: Final = 15.0
STALLED_SECONDS: Final = 30.0
STREAMS_OF_A_CLIENT: Final = 4
STREAMS: Final = 100

_READABLE: Final = frozenset({EVENTS, "text/*", "*/*"})
_RETRY: Final = b"retry: 2000\n\n"  # milliseconds until a client that lost the stream asks again
_HEARTBEAT: Final = b":\n\n"
_LATER: Final = {"Retry-After": "15"}


@dataclass(frozen=True, slots=True)
class Feed:
    """Hold where a client's stream begins, and what it is read and written with."""

    reader: Reader
    ids: Ids
    after: int


class RetractionEvents:
    """Stream retractions to training clients; each looks for its own every POLL_SECONDS and holds nothing between."""

    def __init__(self, gateway: Gateway, authenticator: Authenticator) -> None:
        self._gateway = gateway
        self._authenticator = authenticator
        self._open: Counter[str] = Counter()

    async def __call__(self, request: Request) -> Response:
        """Answer one request."""
        try:
            if not _READABLE & _accepted(request):
                raise Refused(406, f"nothing that you accept can be answered (accept {EVENTS})")
            actor = await self._authenticator.actor(request.headers.get("authorization"))
            if actor.role is not Role.TRAINING_CLIENT:
                raise Refused(403, f"/retractions is for {Role.TRAINING_CLIENT}; this token is for {actor.role}")
            feed = await self._feed(actor, request)
            if request.method == "HEAD":
                return Response(media_type=EVENTS)
            return self._stream(actor.client or "", feed, request)
        except Unauthorized as refused:
            return refusal(JSON, 401, refused.reason, {"WWW-Authenticate": "Bearer"})
        except Refused as refused:
            return refusal(JSON, refused.status, refused.message, refused.headers)
        except BadInput as refused:
            return refusal(JSON, 400, refused.message)
        except Busy:
            return refusal(JSON, 503, "all connections are in use (try again)", {"Retry-After": "1"})
        except Exception as error:  # whatever it is, its text stays here: the server would log it with a trace
            reference = observe.failure(error)
            return refusal(JSON, 500, f"something failed here (tell the operator the reference {reference})")

    async def _feed(self, actor: Actor, request: Request) -> Feed:
        context = Context(actor, self._gateway)
        # A client that reconnects asks for the same URL again, and says by the header how far it came.
        said = request.headers.get("last-event-id") or request.query_params.get("after") or None
        after = read_cursor(context.ids, Kind.RETRACTION_CURSOR, said)
        return Feed(context.database.client(await context.client()), context.ids, after)

    def _stream(self, client: str, feed: Feed, request: Request) -> Response:
        if self._open[client] >= STREAMS_OF_A_CLIENT:
            message = f"this client has {STREAMS_OF_A_CLIENT} streams open (close one: each gives everything)"
            raise Refused(429, message, **_LATER)
        if self._open.total() >= STREAMS:
            raise Refused(503, "all streams are in use (try again, or read retractions by GraphQL)", **_LATER)
        return _Stream(self._events(feed, request), self._open, client)

    async def _events(self, feed: Feed, request: Request) -> AsyncIterator[bytes]:
        """Write events until the token is no longer good, the server ends, or the database cannot be read."""
        ending: asyncio.Event = request.scope.get("state", {}).get("ending") or asyncio.Event()
        after, quiet_since = feed.after, time.monotonic()
        yield _RETRY
        try:
            while not ending.is_set():
                await self._authenticator.actor(request.headers.get("authorization"))
                rows, more = await _look(feed, after)
                if rows:
                    yield _written(feed.ids, rows)
                    after, quiet_since = rows[-1].id, time.monotonic()
                elif time.monotonic() - quiet_since >= HEARTBEAT_SECONDS:
                    yield _HEARTBEAT
                    quiet_since = time.monotonic()
                if not more:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(ending.wait(), POLL_SECONDS)
        except Unauthorized:  # the client asks again with a new token, from where it is
            return
        except Exception as error:  # the same, after a moment: the answer has begun, and cannot say what failed
            observe.failure(error)


class _Stream(StreamingResponse):
    """Answer with events, and count among those that are open until the end, however it comes."""

    def __init__(self, events: AsyncIterator[bytes], counted: Counter[str], client: str) -> None:
        super().__init__(events, media_type=EVENTS)
        self._counted, self._client = counted, client
        counted[client] += 1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until there are no more, or nobody listens, or takes any for STALLED_SECONDS."""

        async def soon(message: Message) -> None:
            async with asyncio.timeout(STALLED_SECONDS):
                await send(message)

        try:
            with suppress(TimeoutError):
                await super().__call__(scope, receive, soon)
        finally:
            self._counted[self._client] -= 1
            self._counted += Counter()  # keeps what is above zero


async def _look(feed: Feed, after: int) -> tuple[list[RetractionRow], bool]:
    """Read what came; while all connections are in use, that is nothing yet."""
    try:
        return await page_of_retractions(feed.reader, after, AT_ONCE)
    except Busy:
        return [], False


def _written(ids: Ids, rows: list[RetractionRow]) -> bytes:
    """Write an event for each row (HTML Standard, 9.2)."""
    return b"".join(
        b"id: %b\nevent: %b\ndata: %b\n\n"
        % (cursor.encode(), row.kind.encode(), orjson.dumps(retraction_as_json(ids, row)))
        for cursor, row in zip(cursors_of(ids, rows), rows, strict=True)
    )


def _accepted(request: Request) -> set[str]:
    """Give the media types that a client names; one that names none takes any."""
    accept = request.headers.get("accept", "*/*")
    return {part.partition(";")[0].strip().lower() for part in accept.split(",")}
