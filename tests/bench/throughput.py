"""Pages per second at 16 clients: Grounds beside the bare SQL, plain strawberry and PostGraphile 5.

`./run python -m tests.bench.throughput --data FOLDER --items 2000000 --seconds 20` prints medians of one run. The
contenders take short turns, round after round, so that noise meets all of them; each has 16 connections to the database
and serves pages at random places to 16 clients, which count bytes and decode nothing. Each is first seen to serve the
very page that the view has; later on an answer that cannot be a page ends the run.
"""

import argparse
import asyncio
import random
import statistics
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from pathlib import Path
from time import perf_counter
from typing import Protocol, Self

import orjson
import uvloop
import zstandard

from app.auth.dev_issuer import DevelopmentIssuer
from app.settings import Settings
from db.connection import Connection
from schema.actor import Role
from schema.relay.ids import IdKind, ids_of
from tests.bench.contenders import CLIENT, CONNECTIONS, PURPOSE, bare, bare_with_receipt, plain_strawberry, running
from tests.bench.postgraphile import QUERY as POSTGRAPHILE_QUERY
from tests.bench.postgraphile import postgraphile
from tests.bench.world import loaded, training_connection

SIZES = (1000, 100)
PLACES = 1000
TURN_SECONDS = 2.0
ANSWER_SECONDS = 60.0
EVERY_FIELD = "every field"
OF_THE_VIEW = "the view's fields"
FIELDS = {
    EVERY_FIELD: """id kind product language createdMonth text media { type url sha256 } author { id region }
      reason {
        ground legalBasis { title iri } summary policyVersion decidedAt receipt
        conditions { code outcome required evidence }
      }""",
    OF_THE_VIEW: """id kind product language createdMonth text author { id region }
      reason { ground policyVersion receipt }""",
}
QUERIES = {
    name: f"""query Page($first: Int!, $after: String!) {{
  trainableContent(first: $first, after: $after) {{
    nodes {{
      {fields}
    }}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}"""
    for name, fields in FIELDS.items()
}
BARE, WITH_RECEIPT, POSTGRAPHILE, PLAIN = "bare", "bare with receipt", "PostGraphile 5", "plain strawberry"

Ask = Callable[[], Awaitable[int]]
"""Ask for the next page; give the length of the answer in bytes."""


class Source(Protocol):
    """A source of pages of a size."""

    def clients(self, size: int) -> AbstractAsyncContextManager[Sequence[Ask]]:
        """Open 16 clients for a turn."""

    async def check(self, size: int) -> list[str]:
        """Ask for the page after the first place, and return its texts."""


@dataclass(frozen=True)
class Contender:
    """A source, and the fields that it is asked for."""

    name: str
    fields: str
    source: Source

    @property
    def title(self) -> str:
        """Name it and its fields."""
        return ": ".join(filter(None, (self.name, self.fields)))


class Client(asyncio.BufferedProtocol):
    """A client with a lasting connection that counts what arrives and decodes nothing."""

    def __init__(self) -> None:
        self._memory = bytearray(1 << 18)
        self._view = memoryview(self._memory)
        self._answered: asyncio.Future[int] | None = None
        self.transport: asyncio.Transport

    @classmethod
    async def connect(cls, address: str) -> Self:
        """Open a connection."""
        host, port = address.split(":")
        transport, client = await asyncio.get_running_loop().create_connection(cls, host, int(port))
        client.transport = transport
        return client

    async def ask(self, request: bytes, least: int = 0) -> int:
        """Return the length of the answer's body; raise RuntimeError unless it is a success, and as long as a page."""
        self._held, self._length, self._left, self._start = 0, 0, 0, b""
        self._answered = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        async with asyncio.timeout(ANSWER_SECONDS):
            length = await self._answered
        if length < least:
            raise RuntimeError(f"an answer is of {length} bytes, which is no page: {self._start!r}")
        return length

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view[self._held :]

    def buffer_updated(self, count: int) -> None:
        assert self._answered is not None
        if self._length:
            self._left -= count
            self._start = self._start or bytes(self._view[: min(count, 400)])
        else:
            self._held += count
            end = self._memory.find(b"\r\n\r\n", 0, self._held)
            if end < 0:
                return
            head = bytes(self._view[:end])
            if not head.startswith(b"HTTP/1.1 200 "):
                self._answered.set_exception(RuntimeError(f"an answer is none: {bytes(self._view[: self._held])!r}"))
                return
            self._length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            self._left = self._length - (self._held - end - 4)
            self._start = bytes(self._view[end + 4 : min(end + 400, self._held)])
            self._held = 0
        if not self._left:
            self._answered.set_result(self._length)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answered and not self._answered.done():
            self._answered.set_exception(exc or ConnectionResetError("a contender ended a connection"))


@dataclass
class Served:
    """A server that is asked over HTTP by prepared requests."""

    address: str
    query: str
    cursors: Sequence[str]
    headers: Mapping[str, str] = field(default_factory=dict)
    lengths: dict[int, int] = field(default_factory=dict)
    """What the page that was looked at is long, by page size."""

    def __post_init__(self) -> None:
        self._requests: dict[int, Iterator[bytes]] = {
            size: cycle([self._request(size, cursor) for cursor in self.cursors]) for size in SIZES
        }

    @asynccontextmanager
    async def clients(self, size: int) -> AsyncIterator[list[Ask]]:
        """Open connections."""
        opened = [await Client.connect(self.address) for _ in range(CONNECTIONS)]
        least = self.lengths[size] // 2
        try:
            yield [partial(self._ask, client, size, least) for client in opened]
        finally:
            for client in opened:
                client.transport.close()

    async def _ask(self, client: Client, size: int, least: int) -> int:
        return await client.ask(next(self._requests[size]), least)

    async def check(self, size: int) -> list[str]:
        """Read the first page as a whole."""
        reader, writer = await asyncio.open_connection(*self.address.split(":"))
        writer.write(self._request(size, self.cursors[0]))
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(length)
        writer.close()
        self.lengths[size] = length
        if b"content-encoding: zstd" in head:
            body = zstandard.ZstdDecompressor().decompressobj().decompress(body)
        elif "Accept-Encoding" in self.headers:
            raise RuntimeError(f"an answer is not compressed: {head!r}")
        answer = orjson.loads(body)
        if "errors" in answer:
            raise RuntimeError(f"an answer is an error: {body[:1000]!r}")
        (items,) = answer["data"].values()
        return [node["text"] or "" for node in items["nodes"]]

    def _request(self, size: int, cursor: str) -> bytes:
        body = orjson.dumps({"query": self.query, "variables": {"first": size, "after": cursor}})
        headers = {
            "Host": self.address,
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **self.headers,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST /graphql HTTP/1.1\r\n{lines}\r\n".encode() + body


@dataclass
class Bare:
    """Pages that are read by 16 database connections, without a server."""

    connections: Sequence[Connection]
    places: Sequence[int]
    read: Callable[[Connection, int, int], Awaitable[bytes]]

    def __post_init__(self) -> None:
        self._places = cycle(self.places)

    @asynccontextmanager
    async def clients(self, size: int) -> AsyncIterator[list[Ask]]:
        """Use the connections, which stay open."""
        yield [partial(self._ask, connection, size) for connection in self.connections]

    async def _ask(self, connection: Connection, size: int) -> int:
        return len(await self.read(connection, next(self._places), size))

    async def check(self, size: int) -> list[str]:
        """Read the first page, without its receipt."""
        rows = orjson.loads(await self.read(self.connections[0], self.places[0], size))
        return [row["text"] or "" for row in rows[:size]]


@asynccontextmanager
async def contenders(settings: Settings, url: str) -> AsyncIterator[list[Contender]]:
    """Start everything that is measured."""
    async with AsyncExitStack() as opened:
        connections, client = await _connections(settings, url, opened)
        places = await _places(connections[0])
        receipts = partial(bare_with_receipt, client=client)
        made = [
            Contender(BARE, "", Bare(connections, places, bare)),
            Contender(WITH_RECEIPT, "", Bare(connections, places, receipts)),
        ]
        secret = settings.secret_bytes()
        cursors = ids_of(secret, f"client:{CLIENT}").encode_all(IdKind.TRAINABLE_CONTENT_CURSOR, places)
        token = DevelopmentIssuer.open(settings.data).token(Role.TRAINING_CLIENT, client=CLIENT, purpose=PURPOSE)
        bearer = {"Authorization": f"Bearer {token}"}
        for workers in (1, 2):
            address = await opened.enter_async_context(grounds(settings, workers))
            for fields, query in QUERIES.items():
                for how, headers in (("", {}), (", zstd", {"Accept-Encoding": "zstd"})):
                    name = f"Grounds{how}" + (f", {workers} workers" if workers > 1 else "")
                    made.append(Contender(name, fields, Served(address, query, cursors, {**bearer, **headers})))
        address = await opened.enter_async_context(plain_strawberry(settings, url, client))
        made += [Contender(PLAIN, fields, Served(address, query, cursors)) for fields, query in QUERIES.items()]
        other = await opened.enter_async_context(postgraphile(settings, url, client))
        if other is not None:
            served = Served(other.address, POSTGRAPHILE_QUERY, other.cursors(places))
            made.append(Contender(POSTGRAPHILE, OF_THE_VIEW, served))
        yield made


async def _connections(settings: Settings, url: str, opened: AsyncExitStack) -> tuple[list[Connection], int]:
    """Connect as training clients do, each session for our client; give that client's number too."""
    connections = [await training_connection(settings, url) for _ in range(CONNECTIONS)]
    for connection in connections:
        opened.push_async_callback(connection.close)
        client = await connection.fetchval("SELECT grounds.register_client($1)", CLIENT)
        await connection.execute(
            "SELECT set_config('grounds.client', $1, FALSE), set_config('grounds.purpose', $2, FALSE)",
            str(client),
            PURPOSE,
        )
    return connections, client


async def _places(connection: Connection) -> list[int]:
    """Return random places that have a page of every size after them."""
    async with connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = 0")  # pages take milliseconds, but this is everything
        found = await connection.fetch("SELECT id FROM grounds.trainable_content")
    print(f"{len(found):,} items are permitted", flush=True)
    return random.Random(5).choices([row[0] for row in found[: -max(SIZES) - 1]], k=PLACES)


def grounds(settings: Settings, workers: int) -> AbstractAsyncContextManager[str]:
    """Run `grounds serve`, and return its host and port."""
    command = [sys.executable, "-c", "from app.cli.main import main; main()", "serve", "--port", "0"]
    environment = {"GROUNDS_DATA": str(settings.data.resolve()), "GROUNDS_CONNECTIONS": str(CONNECTIONS)}
    return running([*command, "--workers", str(workers)], environment, processes=workers)


@dataclass(frozen=True)
class Turn:
    """The result of a turn."""

    pages: int
    bytes: int
    seconds: float


async def turn(contender: Contender, size: int, seconds: float) -> Turn:
    """Let all clients ask as fast as they are answered; the time is until the last answer."""
    lengths: list[int] = []

    async def client(ask: Ask) -> None:
        while perf_counter() < until:
            try:
                lengths.append(await ask())
            except Exception as error:
                error.add_note(contender.title)
                raise

    async with contender.source.clients(size) as clients:
        started = perf_counter()
        until = started + seconds
        await asyncio.gather(*map(client, clients))
        return Turn(len(lengths), sum(lengths), perf_counter() - started)


async def measure(settings: Settings, url: str, seconds: float) -> None:
    """Measure each page size, all in turn; the first round does not count."""
    async with contenders(settings, url) as entered:
        for size in SIZES:
            expected = await entered[0].source.check(size)
            for contender in entered:
                if await contender.source.check(size) != expected or len(expected) != size:
                    raise RuntimeError(f"{contender.title}: serves another page than the view has")
            turns: list[list[Turn]] = [[] for _ in entered]
            for number in range(1 + max(1, round(seconds / TURN_SECONDS))):
                for contender, taken in zip(entered, turns, strict=True):
                    result = await turn(contender, size, min(seconds, TURN_SECONDS))
                    if number:
                        taken.append(result)
            report(size, entered, turns)


def report(size: int, entered: Sequence[Contender], turns: Sequence[Sequence[Turn]]) -> None:
    """Print pages/s, and ratios to the others; to plain strawberry where it serves the same fields."""
    rates = {
        (contender.name, contender.fields): statistics.median(each.pages / each.seconds for each in taken)
        for contender, taken in zip(entered, turns, strict=True)
    }
    rounds = len(turns[0])
    print(f"\nPages of {size} at {CONNECTIONS} clients, medians of {rounds} turns")
    columns = ("pages/s", "least", "most", "kB", "/ bare", "/ receipt", "/ PostGr.", "/ plain")
    print(f"{'':45}{''.join(f'{column:>10}' for column in columns)}")
    for contender, taken in zip(entered, turns, strict=True):
        rate = rates[contender.name, contender.fields]
        each = [one.pages / one.seconds for one in taken]
        kilobytes = sum(one.bytes for one in taken) / sum(one.pages for one in taken) / 1e3
        others: list[tuple[str, str]] = [(BARE, ""), (WITH_RECEIPT, ""), (POSTGRAPHILE, OF_THE_VIEW)]
        ratios = [rate / rates[other] if other in rates else None for other in [*others, (PLAIN, contender.fields)]]
        said = "".join(f"{ratio:10.2f}" if ratio else f"{'-':>10}" for ratio in ratios)
        print(f"{contender.title:45}{rate:10.1f}{min(each):10.1f}{max(each):10.1f}{kilobytes:10.0f}{said}", flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(".grounds-bench"))
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=20.0, help="for each contender and page size")
    options = parser.parse_args()
    with loaded(options.data, options.items) as (settings, url):
        uvloop.run(measure(settings, url, options.seconds))


if __name__ == "__main__":
    main()
