"""Sources of pages for the benchmark of throughput: servers that are asked over HTTP, and database connections."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from time import process_time
from typing import Protocol, Self

import orjson
import zstandard

from db.connection import Connection
from tests.bench.contenders import CONNECTIONS, Address

SIZES = (1000, 100)
ANSWER_SECONDS = 60.0

Ask = Callable[[], Awaitable[int]]
"""Ask for the next page; give the length of the answer in bytes."""


class Source(Protocol):
    """A source of pages of a size."""

    def clients(self, size: int) -> AbstractAsyncContextManager[Sequence[Ask]]:
        """Open 16 clients for a turn."""

    async def check(self, size: int) -> list[str]:
        """Ask for the page after the first place, and return its texts."""

    def cpu(self) -> float:
        """Return the seconds of CPU that the source used so far, without PostgreSQL."""


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


@dataclass(frozen=True)
class Visitor:
    """A client of a server: what it sends with each request, and the cursors that it has, in an order of its own."""

    cursors: Sequence[str]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Served:
    """A server that is asked over HTTP by prepared requests."""

    address: Address
    query: str
    visitors: Sequence[Visitor]
    headers: Mapping[str, str] = field(default_factory=dict)
    lengths: dict[int, int] = field(default_factory=dict)
    """What the page that was looked at is long, by page size."""

    def __post_init__(self) -> None:
        self._requests: dict[int, list[Iterator[bytes]]] = {
            size: [
                cycle([self._request(size, visitor, cursor) for cursor in visitor.cursors]) for visitor in self.visitors
            ]
            for size in SIZES
        }

    @asynccontextmanager
    async def clients(self, size: int) -> AsyncIterator[list[Ask]]:
        """Open connections."""
        opened = [await Client.connect(self.address) for _ in range(CONNECTIONS)]
        least = self.lengths[size] // 2
        try:
            yield [partial(self._ask, client, number, size, least) for number, client in enumerate(opened)]
        finally:
            for client in opened:
                client.transport.close()

    async def _ask(self, client: Client, number: int, size: int, least: int) -> int:
        return await client.ask(next(self._requests[size][number % len(self.visitors)]), least)

    def cpu(self) -> float:
        """Return the seconds of CPU that the server used so far."""
        return self.address.cpu()

    async def check(self, size: int) -> list[str]:
        """Read the first page as a whole."""
        reader, writer = await asyncio.open_connection(*self.address.split(":"))
        writer.write(self._request(size, self.visitors[0], self.visitors[0].cursors[0]))
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

    def _request(self, size: int, visitor: Visitor, cursor: str) -> bytes:
        body = orjson.dumps({"query": self.query, "variables": {"first": size, "after": cursor}})
        headers = {
            "Host": self.address,
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **self.headers,
            **visitor.headers,
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

    def cpu(self) -> float:
        """Return the seconds of CPU of this process, which reads and encodes by itself."""
        return process_time()

    async def check(self, size: int) -> list[str]:
        """Read the first page, without its receipt."""
        rows = orjson.loads(await self.read(self.connections[0], self.places[0], size))
        return [row["text"] or "" for row in rows[:size]]
