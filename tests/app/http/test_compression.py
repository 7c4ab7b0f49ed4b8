"""An answer is compressed for who accepts it, and is the same answer."""

import gzip
from collections.abc import Callable

import httpx
import pytest
import zstandard

from schema.actor import Role
from tests.support.facts import NOW, fact
from tests.support.gateway import PULL, TestGateway

DECODE: dict[str | None, Callable[[bytes], bytes]] = {
    None: bytes,
    "gzip": gzip.decompress,
    "zstd": lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body),
}


@pytest.fixture
async def filled(gateway: TestGateway) -> TestGateway:
    gateway.set_clock(NOW)
    items = [fact("content", id=f"item-{number}", text="A heron stood by the weir. " * 9) for number in range(50)]
    await gateway.ingest([fact("account"), fact("notice"), *items])
    return gateway


async def raw(gateway: TestGateway, first: int, accepted: str | None) -> tuple[httpx.Headers, bytes]:
    """Ask, and return the body as it came over the wire."""
    headers = {"Authorization": f"Bearer {gateway.token(Role.TRAINING_CLIENT)}", "Accept-Encoding": accepted or ""}
    body = {"query": PULL, "variables": {"first": first}}
    async with gateway.client.stream("POST", "/graphql", json=body, headers=headers) as response:
        assert response.status_code == 200
        return response.headers, b"".join([block async for block in response.aiter_raw()])


@pytest.mark.parametrize(
    ("accepted", "used"),
    [
        (None, None),
        ("identity", None),
        ("br", None),
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("zstd;q=0, gzip;q=0.5", "gzip"),
        ("gzip;q=0", None),
    ],
)
async def test_a_page_is_compressed_as_the_client_accepts_it(
    filled: TestGateway, accepted: str | None, used: str | None
) -> None:
    headers, body = await raw(filled, 50, accepted)
    assert headers.get("content-encoding") == used
    assert "accept-encoding" in headers["vary"].lower()
    assert int(headers["content-length"]) == len(body)
    answer = DECODE[used](body)
    assert answer.startswith(b'{"data":{"trainableContent":{"nodes":[{"id":')
    assert answer.count(b"A heron stood by the weir.") == 450
    assert used is None or len(body) < len(answer) / 3


async def test_a_short_answer_is_sent_as_it_is(filled: TestGateway) -> None:
    headers, body = await raw(filled, 1, "zstd, gzip")
    assert "content-encoding" not in headers
    assert len(body) == int(headers["content-length"]) < 1400
