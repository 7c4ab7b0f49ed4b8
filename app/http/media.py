"""GET /media/…: send a file of a permitted item. The statement that writes the receipt also decides about the item."""

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

import httpx
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from app.auth.authenticator import Authenticator
from app.http.boundary import HTTPError
from app.http.media_store import MediaStore, MediaUnavailable, length_of
from app.http.ranges import parse_range
from app.telemetry import observe
from db.connection import borrowing_as
from db.delivery.altered_media import quarantine_altered_medium
from schema.actor import Role
from schema.context import Context, Gateway
from schema.training.media import StoredMedium
from schema.training.trainable_content import deliver_medium

MAX_FETCHES_PER_CLIENT: Final = 16
MAX_FETCHES: Final = 64
_HEADERS: Final = {
    "Cache-Control": "private, no-store",
    "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
    "Content-Disposition": "attachment",
}


class DigestMismatch(Exception):
    """A file whose SHA-256 differs from the one in the facts. The answer stops before its end."""


@dataclass(frozen=True, slots=True)
class _Fetch:
    """A permitted fetch: the client, the file, and the part of the file that the client requests."""

    context: Context
    medium: StoredMedium
    answer: httpx.Response
    headers: dict[str, str]
    start: int
    end: int


class MediaEndpoint:
    """The files of permitted items, from the platform's store to training clients."""

    def __init__(self, gateway: Gateway, authenticator: Authenticator, store: MediaStore | None) -> None:
        self._gateway, self._authenticator, self._store = gateway, authenticator, store
        self._open: Counter[str] = Counter()

    async def respond(self, request: Request) -> Response:
        """Answer `GET /media/{address}`. Raises HTTPError, Unauthorized, PoolExhausted and DeliveryPaused."""
        actor = await self._authenticator.actor(request.headers.get("authorization"))
        if actor.role is not Role.TRAINING_CLIENT:
            raise HTTPError(
                403,
                (
                    f"/media is for {Role.TRAINING_CLIENT}, and this token is for {actor.role} (ask the issuer for a"
                    " token with that role)"
                ),
            )
        if self._store is None:
            raise HTTPError(503, "this gateway delivers no files (ask the operator to set GROUNDS_MEDIA)")
        context = Context(actor, self._gateway)
        with ExitStack() as until_end:
            until_end.enter_context(self._counted(context.sharer))
            with borrowing_as(context.sharer):
                medium = await deliver_medium(context, request.path_params["address"])
            if medium is None:
                raise HTTPError(404, "this file does not exist, or its item does not qualify now (pull the item again)")
            response = await self._send(request, context, medium, self._store)
            if isinstance(response, _FileStream):
                response.until_end = until_end.pop_all()
            return response

    @contextmanager
    def _counted(self, client: str) -> Iterator[None]:
        """Count a fetch of a media file from its beginning. Raises HTTPError where too many are open."""
        if self._open[client] >= MAX_FETCHES_PER_CLIENT or self._open.total() >= MAX_FETCHES:
            message = "too many files are being fetched (try again after one of the fetches has ended)"
            raise HTTPError(429, message, {"Retry-After": "1"})
        self._open[client] += 1
        try:
            yield
        finally:
            self._open[client] -= 1
            self._open += Counter()  # keeps what is above zero

    async def _send(self, request: Request, context: Context, medium: StoredMedium, store: MediaStore) -> Response:
        """Answer a fetch of `GET /media/{address}` that was decided, from the store."""
        try:
            answer = await store.open(medium.url)
        except MediaUnavailable as unavailable:
            observe.media_failed(context.actor.client or "", str(unavailable))
            message = "the platform's media store did not send the file (try again, or ask the operator)"
            raise HTTPError(502, message) from None
        total = length_of(answer)
        try:
            part = parse_range(request.headers.get("range"), total)
        except HTTPError:
            await answer.aclose()
            raise
        headers = _headers(part, total)
        if request.method == "HEAD":
            await answer.aclose()
            return Response(None, 206 if part else 200, headers, medium.type)
        fetch = _Fetch(context, medium, answer, headers, *(part or (0, store.max_bytes)))
        return _FileStream(self._body(fetch, store), fetch, is_part=part is not None)

    async def _body(self, fetch: _Fetch, store: MediaStore) -> AsyncIterator[bytes]:
        """Yield the requested part of a media file; its end only after the digest of the whole file is checked."""
        digest, position, held = hashlib.sha256(), 0, b""
        async for chunk in fetch.answer.aiter_raw(64 * 1024):
            digest.update(chunk)
            wanted = chunk[max(0, fetch.start - position) : max(0, fetch.end - position)]
            position += len(chunk)
            if position > store.max_bytes:
                raise MediaUnavailable("too large")
            if wanted:
                if held:
                    yield held
                held = wanted
        await _check_digest(fetch, digest.hexdigest())
        yield held


class _FileStream(StreamingResponse):
    """A response with a file, which closes `until_end` when it ends, however it ends."""

    until_end: ExitStack

    def __init__(self, body: AsyncIterator[bytes], fetch: _Fetch, is_part: bool) -> None:
        super().__init__(body, 206 if is_part else 200, fetch.headers, fetch.medium.type)
        self._answer = fetch.answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a file to the training client until its end, or until the client is gone."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.until_end.close()
            await self._answer.aclose()


async def _check_digest(fetch: _Fetch, found: str) -> None:
    """Raise DigestMismatch if the SHA-256 of a file differs from the one in the facts, after quarantining its item."""
    stated = fetch.medium.sha256
    if stated is None or stated == found:
        return
    client, purpose = await fetch.context.client(), fetch.context.actor.purpose
    await quarantine_altered_medium(
        fetch.context.database.worker, fetch.medium.item, stated, found, client, purpose or ""
    )
    observe.media_failed(fetch.context.actor.client or "", "the SHA-256 differs from the facts")
    raise DigestMismatch


def _headers(part: tuple[int, int] | None, total: int | None) -> dict[str, str]:
    """Write the headers of `GET /media/{address}` for a whole file, or for a part of it."""
    headers = dict(_HEADERS)
    if total is not None:
        headers["Accept-Ranges"] = "bytes"
        headers["Content-Length"] = str(part[1] - part[0] if part else total)
    if part is not None:
        headers["Content-Range"] = f"bytes {part[0]}-{part[1] - 1}/{total}"
    return headers
