"""A platform's facts come in as NDJSON, streamed to POST /ingest or in files, and it is told what became of them."""

import asyncio
import gzip
import json
import os
import sys
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import nullcontext
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, Self, cast

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from app.auth import Authenticator, Unauthorized
from app.observe import observe
from db.ingest import ingest
from db.lines import LINE_LIMIT
from db.session import Busy, Database, connection
from db.stager import Stager
from db.staging import Rejected
from schema.actor import Role

REJECTS_SHOWN = 1000
BLOCK_BYTES = 256 * 1024


class IngestEndpoint:
    """Take a stream of facts in."""

    def __init__(self, database: Database, stager: Stager, authenticator: Authenticator) -> None:
        self._database = database
        self._stager = stager
        self._authenticator = authenticator

    async def __call__(self, request: Request) -> Response:
        """Take one stream in; the answer comes when everything good in it is committed."""
        try:
            actor = await self._authenticator.actor(request.headers.get("authorization"))
        except Unauthorized as refusal:
            return _refusal(401, refusal.reason, {"WWW-Authenticate": "Bearer"})
        if actor.role is not Role.PLATFORM_INGEST:
            return _refusal(
                403, f"ingest is for {Role.PLATFORM_INGEST}; this token is for {actor.role} (ask for another)"
            )
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            return _refusal(415, "the body is compressed (send the lines as they are, or use grounds ingest FILE.gz)")
        rejects: list[dict[str, Any]] = []

        def note(rejected: Rejected) -> None:
            if len(rejects) < REJECTS_SHOWN:
                rejects.append(describe(rejected))

        try:
            async with connection(self._database.ingest) as borrowed:
                summary = await ingest(borrowed, _blocks(request), self._stager, on_rejected=note)
        except Busy:
            return _refusal(503, "other streams are being taken in (try again)", {"Retry-After": "1"})
        except asyncio.CancelledError:  # the server cancels what outlasts its grace, and would log a trace
            return _stops()
        except ClientDisconnect:
            return _refusal(400, "the stream broke off; what came whole is kept (send it again)")
        except Exception as error:  # whatever it is, its text stays here: the server would log it with a trace
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # a connection may fail at being given back in the middle
                return _stops()
            reference = observe.failure(error)
            return _refusal(
                500, f"something failed here (tell the operator the reference {reference}, and send it again)"
            )
        counts = {outcome: summary.total(outcome) for outcome in ("accepted", "unchanged", "stale", "rejected")}
        observe.ingested(**counts)
        return _answer(200, {"records": summary.as_dict(), "total": counts, "rejects": rejects})


def _stops() -> Response:
    return _refusal(503, "the gateway stops; what came whole is kept (send it again)", {"Retry-After": "1"})


def describe(rejected: Rejected) -> dict[str, Any]:
    """Say of a line that was set aside: where it is, what it is about, and what to mend; never what it says."""
    return {
        "line": rejected.number,
        "record": rejected.record,
        "id": rejected.id,
        "field": rejected.field,
        "reason": rejected.reason,
    }


class Source:
    """Read a file, plain or .gz, or standard input; `fault` says, once it is read, whether it broke off."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.fault: str | None = None

    @property
    def size(self) -> int | None:
        """Give the size of the file in bytes, if that is known."""
        return None if self.name == "-" else Path(self.name).stat().st_size

    async def blocks(self, at: Callable[[int], object]) -> AsyncIterator[bytes]:
        """Give blocks of whole lines, and tell how far into the file they reach.

        A file that breaks off ends before the line that it breaks off in: half a line says nothing, and must not be
        taken for a bad one.
        """
        held = bytearray()
        try:
            for block in self._unpacked(at):
                held += block
                end = held.rfind(b"\n") + 1 if len(held) <= LINE_LIMIT else len(held)
                yield bytes(held[:end])
                del held[:end]
        except (EOFError, zlib.error, OSError) as error:
            what = error.strerror if isinstance(error, OSError) and error.strerror else "is cut short or damaged"
            self.fault = f"{self.name}: {what} (what came before is taken in; get the file anew and run again)"
        else:
            yield bytes(held)

    def _unpacked(self, at: Callable[[int], object]) -> Iterator[bytes]:
        with nullcontext(sys.stdin.buffer) if self.name == "-" else Path(self.name).open("rb") as file:
            unpacked = gzip.GzipFile(fileobj=file) if self.name.endswith(".gz") else cast(BufferedReader, file)
            # One read at a time, as reading on would lose what was unpacked before a fault.
            while block := unpacked.read1(BLOCK_BYTES):
                yield block
                if file.seekable():
                    at(file.tell())


class RejectsFile:
    """Set bad lines aside in a file beside their source, for its owner alone; it is made with the first of them."""

    def __init__(self, source: Source) -> None:
        self.path = Path("stdin.rejects.ndjson" if source.name == "-" else f"{source.name}.rejects.ndjson")
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        self.path.unlink(missing_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, rejected: Rejected) -> None:
        """Set a line aside: what is wrong with it and, where it cannot be a private message, the line itself."""
        said = describe(rejected)
        if rejected.original is not None:
            said["original"] = rejected.original.decode()
        if self._file is None:
            self._file = open(self.path, "x", encoding="utf-8", opener=_private)  # noqa: SIM115 - closed at our exit
        self._file.write(json.dumps(said, ensure_ascii=False) + "\n")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


async def _blocks(request: Request) -> AsyncIterator[bytes]:
    async for block in request.stream():
        if block:
            yield block


def _refusal(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return _answer(status, {"errors": [{"message": message}]}, headers)


def _answer(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json", headers=headers)
