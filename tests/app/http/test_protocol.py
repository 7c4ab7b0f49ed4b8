"""A connection that is of no use is ended, and no address can hold all that the gateway may have."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from urllib.parse import urlsplit

import pytest

from app.http.boundary import BoundedProtocol
from schema.actor import Role
from tests.app.http.test_middleware import bearer
from tests.support.gateway import TestGateway

HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
HALVES = (b"", b"GET /hea", b"GET /health HTTP/1.1\r\nHost: loc", HEALTH + HEALTH[:9])


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that a test can wait for."""
    monkeypatch.setattr("app.http.boundary.MAX_HEAD_SECONDS", 0.5)
    monkeypatch.setattr("app.http.boundary.WATCH_SECONDS", 0.1)


@asynccontextmanager
async def connection(
    gateway: TestGateway, sent: bytes, source: str = "127.0.0.1"
) -> AsyncIterator[asyncio.StreamReader]:
    """Open a connection from an address of this machine, and send something."""
    place = urlsplit(gateway.address)
    reader, writer = await asyncio.open_connection(place.hostname, place.port, local_addr=(source, 0))
    writer.write(sent)
    try:
        yield reader
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def ended(reader: asyncio.StreamReader) -> bytes:
    """Read until the gateway ends the connection."""
    answer = b""
    try:
        async with asyncio.timeout(20):
            while block := await reader.read(65536):
                answer += block
    except ConnectionError:
        pass
    return answer


@pytest.mark.usefixtures("hasty")
async def test_a_connection_that_sends_no_head_is_ended_and_a_request_under_way_is_not(gateway: TestGateway) -> None:
    headers = bearer(gateway, Role.TRAINING_CLIENT) | {"Accept-Encoding": "identity"}
    async with gateway.client.stream("GET", "/retractions", headers=headers) as response, AsyncExitStack() as opened:
        reading = response.aiter_raw()
        assert (await anext(reading)).startswith(b"retry:")
        rest = asyncio.create_task(anext(reading, b""))
        readers = [await opened.enter_async_context(connection(gateway, sent)) for sent in HALVES]
        answers = await asyncio.gather(*(ended(reader) for reader in readers))
        assert [answer.count(b"200 OK") for answer in answers] == [0, 0, 0, 1]
        await asyncio.sleep(0.5)
        assert not rest.done(), "the stream sent no head for longer than any of them"
        rest.cancel()


async def test_one_address_cannot_have_all_connections(gateway: TestGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await gateway.client.get("/health")).status_code == 200
    own = BoundedProtocol._connections["127.0.0.1"]  # the test's own client keeps some
    monkeypatch.setattr("app.http.boundary.max_connections", lambda: own + 3)
    async with AsyncExitStack() as opened:
        for _ in range(3):
            await opened.enter_async_context(connection(gateway, HEALTH[:9]))
        async with connection(gateway, HEALTH) as refused:
            assert await ended(refused) == b""
        async with connection(gateway, HEALTH, source="127.0.0.2") as served:
            assert (await served.readline()).startswith(b"HTTP/1.1 200")
    async with asyncio.timeout(5):
        while BoundedProtocol._connections["127.0.0.1"] > own:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.02)
    async with connection(gateway, HEALTH) as served:
        assert (await served.readline()).startswith(b"HTTP/1.1 200"), "what is closed is no longer counted"


async def test_a_body_that_trickles_is_not_waited_for(gateway: TestGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.http.negotiation.MAX_BODY_SECONDS", 0.5)

    async def body() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x"
            await asyncio.sleep(0.2)

    for path, kind in (("/graphql", "application/json"), ("/object", "application/x-www-form-urlencoded")):
        headers = bearer(gateway) | {"Content-Type": kind}
        response = await gateway.client.post(path, content=body(), headers=headers)
        assert (response.status_code, response.headers["retry-after"]) == (503, "1"), path
