"""GET /releases/...: send a file of a release after its receipt was committed, or a document about the release."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from app.auth.authenticator import Authenticator
from app.http.boundary import ClientTurns, HTTPError
from app.http.ranges import parse_range
from app.releases.documents import DOCUMENTS, REMOVED, release_document, removed_document
from app.releases.files import new_file
from app.telemetry import observe
from db.connection import Connection, DeliveryPaused, borrowing_as, write_transaction
from db.releases.releases import ReleaseRow, find_release
from db.releases.shards import HandedOutShard, OpenedShard, ShardFile, hand_out_shard, lose_shard, open_shard
from schema.actor import Role
from schema.context import Context, Gateway
from schema.relay.ids import IdKind

RELEASE: Final = "/releases/{release}/{name:path}"
PARQUET: Final = "application/x-parquet"
_SHARD: Final = re.compile(r"data/train-([0-9]{5,7})\.parquet")
_BLOCK: Final = 256 * 1024
_REFUSALS: Final = {
    "SUSPENDED": (403, "deliveries to this client are suspended (ask the privacy officers of this gateway)", {}),
    "OVERDUE": (
        403,
        "deliveries to this client are suspended because retractions are overdue (query `retractions`, delete"
        " these items, and call `acknowledgeRetractions`)",
        {},
    ),
    "WRITING": (503, "the file is being written (try again)", {"Retry-After": "2"}),
    "UNKNOWN": (404, "this release has no such file (read manifest.json, which names all files)", {}),
}


@dataclass(frozen=True, slots=True)
class Slice:
    """The part of a file that a request asks for; `total` is the size of the whole file."""

    start: int
    end: int
    total: int

    @property
    def is_whole(self) -> bool:
        """Return whether it is the whole file of a release."""
        return self.end - self.start == self.total


class ReleaseEndpoint:
    """The endpoint of releases: each client gets its own."""

    def __init__(self, gateway: Gateway, authenticator: Authenticator, folder: Path) -> None:
        self._gateway = gateway
        self._authenticator = authenticator
        self._folder = folder
        self._turns = ClientTurns()

    async def respond(self, request: Request) -> Response:
        """Answer `GET /releases/{id}/...`. Raises HTTPError, Unauthorized, DeliveryPaused and PoolExhausted."""
        actor = await self._authenticator.actor(request.headers.get("authorization"))
        if actor.role is not Role.TRAINING_CLIENT:
            raise HTTPError(
                403,
                f"/releases is for {Role.TRAINING_CLIENT}, and this token is for {actor.role} (ask the issuer for a"
                " token with that role)",
            )
        context, name = Context(actor, self._gateway), str(request.path_params["name"])
        async with self._turns.turn(context.sharer, request):
            with borrowing_as(context.sharer):
                release = await self._find(context, str(request.path_params["release"]))
                if shard := _SHARD.fullmatch(name):
                    return await self._shard(context, release, int(shard[1]), request)
                return await self._document(context, release, name)

    async def _find(self, context: Context, id: str) -> ReleaseRow:
        """Find the release of a training client that a path names. Raises HTTPError."""
        number = context.ids.decode_as(IdKind.RELEASE, id)
        reader = context.database.client(await context.client())
        release = None if number is None else await find_release(reader, number)
        if release is None:
            raise HTTPError(404, "this client has no such release (query `releases` for the ids of its releases)")
        if release.cancelled_at is not None:
            raise HTTPError(410, "this release was cancelled (start a release with another name)")
        if release.purpose != context.actor.purpose:
            raise HTTPError(403, f"this release is for {release.purpose} (use a token for this purpose)")
        return release

    async def _document(self, context: Context, release: ReleaseRow, name: str) -> Response:
        """Answer with a document about a release. Raises HTTPError."""
        async with write_transaction(context.database.training, **_release_claims(release)) as training:
            if name in DOCUMENTS:
                found = await release_document(training, context, release, name)
            elif removed := REMOVED.fullmatch(name):
                found = await removed_document(training, context, release, int(removed[1]))
            else:
                raise HTTPError(404, _REFUSALS["UNKNOWN"][1])
        if found is None:
            raise HTTPError(
                503,
                f"{release.written} of {release.shards} files of this release are written (try again)",
                {"Retry-After": "2"},
            )
        body, media_type = found
        return Response(body, media_type=media_type)

    async def _shard(self, context: Context, release: ReleaseRow, number: int, request: Request) -> Response:
        """Answer with a shard of a release: remove items that are no longer permitted, commit the receipt, then
        send."""
        with ExitStack() as undone:
            async with write_transaction(context.database.training, **_release_claims(release)) as training:
                opened = await open_shard(training, release.id, number)
                if opened.state == "WRITTEN" and not (self._folder / str(opened.file)).exists():
                    await lose_shard(training, release.id, number)
                    opened = opened._replace(state="WRITING")
                if opened.state == "WRITTEN":
                    handed, stream = await self._hand_out(context, training, release, number, opened, undone)
            if opened.state == "PAUSED":
                raise DeliveryPaused
            if opened.state != "WRITTEN":
                raise HTTPError(*_REFUSALS[opened.state])
            if handed.policy is None:
                raise DeliveryPaused
            if opened.gone:
                (self._folder / str(opened.file)).unlink(missing_ok=True)
            if handed.is_new:
                context.gateway.on_delivered(str(context.actor.client), orjson.loads(handed.counts).get("ground", {}))
            response = _answer(request, handed, stream)
            undone.pop_all()
            return response

    async def _hand_out(
        self,
        context: Context,
        training: Connection,
        release: ReleaseRow,
        number: int,
        opened: OpenedShard,
        undone: ExitStack,
    ) -> tuple[HandedOutShard, BinaryIO]:
        """Record the download of a release's shard without its removed items; return it with its open file."""
        source = self._folder / str(opened.file)
        if not opened.gone:
            stream = undone.enter_context(source.open("rb"))
            return await hand_out_shard(training, release.id, number, [], None), stream
        from app.releases.parquet import cut_shard

        gone = context.ids.encode_all(IdKind.TRAINABLE_CONTENT, opened.gone)
        try:
            with new_file(self._folder, f"{release.id}-{number:05}") as file:
                counts = await asyncio.to_thread(cut_shard, source, file.stream, gone)
                await asyncio.to_thread(file.finish)
                cut = ShardFile(file.name, file.sha256, file.byte_count, counts)
                file.kept = (
                    True  # if this is interrupted, the row says which file is wanted, and a job removes the other
                )
                handed = await hand_out_shard(training, release.id, number, opened.gone, cut)
                stream = undone.enter_context((self._folder / file.name).open("rb"))
        except ConnectionError:
            raise  # of the database
        except OSError as error:
            observe.failure(error)
            raise HTTPError(
                503,
                "some items in the file are no longer permitted, and the gateway has no space to write the file without"
                " these items (try again later)",
                {"Retry-After": "60"},
            ) from None
        return handed, stream


class _FileResponse(StreamingResponse):
    """A response that sends a part of an open file, and closes it however it ends."""

    def __init__(self, stream: BinaryIO, part: Slice, status: int, headers: dict[str, str]) -> None:
        self._stream = stream
        super().__init__(_blocks(stream, part), status, headers, PARQUET)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a part of a release's file."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._stream.close()


def _release_claims(release: ReleaseRow) -> dict[str, str]:
    """Return the claims of the database statements that deliver a release."""
    return {"client": str(release.client), "purpose": release.purpose}


def _answer(request: Request, handed: HandedOutShard, stream: BinaryIO) -> Response:
    """Make the response to the download of a release's shard. Raises HTTPError."""
    tag = f'"{handed.sha256.hex()}"'
    headers = {"ETag": tag, "Accept-Ranges": "bytes"}
    wanted = request.headers.get("if-match")
    if wanted is not None and tag not in map(str.strip, wanted.split(",")) and wanted.strip() != "*":
        raise HTTPError(
            412,
            "If-Match: the file has changed since, because items were removed (delete the part that you have, and"
            " request the whole file)",
            headers,
        )
    if tag in map(str.strip, request.headers.get("if-none-match", "").split(",")):
        stream.close()
        return Response(status_code=304, headers=headers)
    is_same = wanted is not None or request.headers.get("if-range") == tag
    # Without If-Match or If-Range, a part could be of another version than the parts before.
    stated = request.headers.get("range") if is_same else None
    total = handed.byte_count
    part = Slice(*(parse_range(stated, total, headers) or (0, total)), total)
    headers["Content-Length"] = str(part.end - part.start)
    if part.is_whole:
        return _FileResponse(stream, part, 200, headers)
    return _FileResponse(
        stream, part, 206, headers | {"Content-Range": f"bytes {part.start}-{part.end - 1}/{part.total}"}
    )


async def _blocks(stream: BinaryIO, part: Slice) -> AsyncIterator[bytes]:
    """Yield a part of a release's file in blocks."""
    at = part.start
    while at < part.end:
        block = await asyncio.to_thread(os.pread, stream.fileno(), min(_BLOCK, part.end - at), at)
        if not block:
            raise EOFError("a file of a release is shorter than its size in the database")
        at += len(block)
        yield block
