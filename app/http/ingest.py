"""POST /ingest: facts as NDJSON in a stream, and the summary of what was stored."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.auth.authenticator import Authenticator
from app.http.boundary import HTTPError, render_json
from app.telemetry import observe
from db.connection import Database, connection
from db.ingest.merge import Summary, ingest_lines
from db.ingest.records import LINE_LIMIT
from db.ingest.rejection import Rejected
from db.ingest.staging import GZIP, HEAD_BYTES, ZSTD, Stager, format_fault
from schema.actor import Role

MAX_REJECTS_SHOWN = 1000
IDLE_SECONDS = 30
MIN_BYTES = 16 * 1024
"""The minimum number of bytes that a client must send in IDLE_SECONDS, because a stream occupies a database
connection."""
_IDLE = (
    f"the stream sent less than {MIN_BYTES} bytes in {IDLE_SECONDS} seconds; the complete lines are stored (send the "
    f"remaining lines in a new request)"
)


class IngestEndpoint:
    """The endpoint that ingests a stream of facts."""

    def __init__(self, database: Database, stager: Stager, authenticator: Authenticator) -> None:
        self._database = database
        self._stager = stager
        self._authenticator = authenticator

    async def respond(self, request: Request) -> Response:
        """Answer `POST /ingest` when everything good in the stream is committed."""
        actor = await self._authenticator.actor(request.headers.get("authorization"))
        if actor.role is not Role.PLATFORM_INGEST:
            raise HTTPError(
                403,
                (
                    f"/ingest is for {Role.PLATFORM_INGEST}, and this token is for {actor.role} (ask the issuer"
                    " for a token with that role)"
                ),
            )
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise HTTPError(
                415, ("Content-Encoding: must be identity (send the lines uncompressed, or use grounds ingest FILE.gz)")
            )
        rejects: list[dict[str, Any]] = []

        def note(rejected: Rejected) -> None:
            """Keep one of the first rejected lines for the response of `POST /ingest`."""
            if len(rejects) < MAX_REJECTS_SHOWN:
                rejects.append(rejected.as_dict())

        body = _Body(request)
        await body.wait()
        if fault := body.fault:
            raise HTTPError(400, f"the body {fault}")
        if body.is_idle and not body.has_whole_line:
            raise HTTPError(408, _IDLE)
        async with connection(self._database.ingest) as borrowed:
            journal = self._database.ingest.journal
            summary = await ingest_lines(borrowed, body.blocks(), self._stager, on_rejected=note, journal=journal)
        counts = {outcome: summary.total(outcome) for outcome in ("accepted", "unchanged", "stale", "rejected")}
        records = summary.as_dict()
        observe.ingested(records, counts)
        if body.is_idle:
            raise HTTPError(408, _IDLE)
        answer = {"records": records, "total": counts, "rejects": rejects, **remarks(summary)}
        answer["unreadableSignals"] = [each.as_dict() for each in summary.unreadable_signals]
        return JSONResponse(answer)


def render_ingest_error(request: Request, error: HTTPError) -> Response:
    """Write an HTTP error of `POST /ingest` in JSON. The whole lines of a broken stream are stored."""
    kept = "; the complete lines are stored (send the stream again)" if error.status >= 500 else ""
    return render_json(request, HTTPError(error.status, error.message + kept, error.headers))


def remarks(summary: Summary) -> dict[str, Any]:
    """Return the remarks of `POST /ingest`: stored lines that do not count, or do not count as they state."""
    return {
        "noticesOfUnknownCampaigns": dict(sorted(summary.notices.items())),
        "changedCampaigns": [each.as_dict() for each in summary.changed_campaigns],
        "consentsNotAskedFor": summary.unasked_consents,
        "stillSetAside": dict(sorted(summary.still_set_aside.items())),
    }


class _Body:
    """The body of a request in blocks of whole lines. It ends where less than MIN_BYTES come in IDLE_SECONDS.

    Only the time counts for which the gateway waits: a client cannot send while lines are merged.
    """

    def __init__(self, request: Request) -> None:
        self._stream = request.stream()
        self._first = bytearray()
        self._came = 0
        self._waited = 0.0
        self.is_idle = False

    async def wait(self) -> None:
        """Wait for MIN_BYTES of `POST /ingest`, or its end, so that a slow stream takes no connection."""
        while len(self._first) < MIN_BYTES and (block := await self._next()):
            self._first += block

    @property
    def has_whole_line(self) -> bool:
        """Return whether the first bytes of `POST /ingest` have something to store."""
        return b"\n" in self._first

    @property
    def fault(self) -> str | None:
        """Return what the body of `POST /ingest` is by its first bytes, where it is no lines of JSON."""
        head = bytes(self._first[:HEAD_BYTES])
        return "is compressed (send the lines as they are)" if head.startswith((GZIP, ZSTD)) else format_fault(head)

    async def blocks(self) -> AsyncIterator[bytes]:
        """Yield the body of `POST /ingest` in blocks, without half a line where the stream falls idle."""
        held = bytearray()
        block = bytes(self._first)
        while block:
            held += block
            end = held.rfind(b"\n") + 1 if len(held) <= LINE_LIMIT else len(held)
            yield bytes(held[:end])
            del held[:end]
            block = b"" if self.is_idle else await self._next()
        if not self.is_idle:
            yield bytes(held)

    async def _next(self) -> bytes:
        """Wait for a block of the body of `POST /ingest`; nothing is the end, or the limit."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(IDLE_SECONDS - self._waited):
                while (block := await anext(self._stream, None)) == b"":
                    pass
        except TimeoutError:
            self.is_idle = True
            return b""
        self._waited += time.monotonic() - began
        self._came += len(block or b"")
        if self._came >= MIN_BYTES:
            self._came, self._waited = 0, 0.0
        return block or b""
