"""The keys that tokens are checked with: from a file or an issuer, through rotation and outage."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey

from app.auth.authenticator import static_keys
from app.auth.jwks import KeysUnavailable
from app.auth.key_sources import KeyTiming, open_keys
from tests.support.tokens import (
    ACTOR,
    KEY,
    OTHER,
    authenticator,
    bearer,
    public,
    refusal,
    signer,
)

NEW = ECKey.generate_key("P-256", {"kid": "new"})
QUICK = KeyTiming(refresh_after=60, pause=60, keep_for=60, timeout=2)


async def test_a_key_set_without_a_usable_key_is_an_error_at_the_start(tmp_path: Path) -> None:
    sets: list[Any] = [{"keys": [key.as_dict(private=True)]} for key in (KEY, OctKey.generate_key(256))]
    sets += [public(ECKey.generate_key("P-521"), OKPKey.generate_key("X25519")), public(KEY, use="enc")]
    sets += [{"keys": [{"kty": "OKP", "crv": "Ed25519"}, {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}]
    sets += [{}, [], {"keys": {}}, {"keys": []}, {"keys": [None, 5, {}, {"kty": []}, {"kty": "RSA", "n": 5}]}]
    for jwks in sets:
        with pytest.raises(KeysUnavailable):
            static_keys(jwks)
        (tmp_path / "jwks.json").write_text(json.dumps(jwks))
        with pytest.raises(KeysUnavailable, match="GROUNDS_JWKS"):
            await open_keys(str(tmp_path / "jwks.json"))


class LocalIssuer:
    """A server of a key set on 127.0.0.1 that counts its requests and fails on demand."""

    url, status, delay, requests, body = "", "200 OK", 0.0, 0, b""

    def __init__(self) -> None:
        self.keys, self.asked = public(KEY), asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests += 1
        self.asked.set()
        try:
            await reader.readuntil(b"\r\n\r\n")
            body = self.body or json.dumps(self.keys).encode()
            head = f"HTTP/1.1 {self.status}\r\nLocation: /\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
            for part in (head.encode(), body[:1], body[1:]):
                await asyncio.sleep(self.delay)
                writer.write(part)
                await writer.drain()
            await reader.read()
        finally:
            writer.transport.abort()

    async def asked_twice_more(self) -> None:
        """Wait until a request that was made from now on has been answered and seen."""
        for _ in range(2):
            self.asked.clear()
            await asyncio.wait_for(self.asked.wait(), 5)


@pytest.fixture
async def issuer(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LocalIssuer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    local = LocalIssuer()
    async with await asyncio.start_server(local.answer, "127.0.0.1", 0) as server:
        local.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks?secret=hush"
        yield local
    await asyncio.sleep(0.05)  # the client is gone: time for the answers under way to notice


async def test_a_flood_of_unknown_kids_asks_the_issuer_once(issuer: LocalIssuer) -> None:
    async with aclosing(authenticator(await open_keys(issuer.url, QUICK))) as let_in:
        issuer.delay = 0.05
        for _ in range(2):
            flood = (refusal(bearer(kid=f"unknown-{number}"), let_in) for number in range(300))
            assert all("no key" in reason for reason in await asyncio.gather(*flood))
        assert await let_in.actor(bearer()) == ACTOR
        assert issuer.requests == 2, "one at the start, one for all the unknown"


async def test_a_rotated_key_is_found_at_once_though_the_first_to_bring_it_goes_away(issuer: LocalIssuer) -> None:
    async with aclosing(authenticator(await open_keys(issuer.url, QUICK))) as let_in:
        old = bearer()
        assert await let_in.actor(old) == ACTOR
        issuer.keys, issuer.delay = public(NEW), 0.05
        callers = [asyncio.create_task(let_in.actor(bearer(sign=signer(NEW), kid="new"))) for _ in range(2)]
        await asyncio.sleep(0.05)
        callers[0].cancel()
        assert await callers[1] == ACTOR
        assert "no key" in await refusal(old, let_in), "a remembered token goes with its key"


async def test_keys_are_fetched_anew_in_the_background(issuer: LocalIssuer) -> None:
    async with aclosing(await open_keys(issuer.url, KeyTiming(refresh_after=0.05))) as keys:
        before = keys.current()
        await issuer.asked_twice_more()
        assert keys.current() is before, "the same keys do not make the remembered tokens forgotten"
        issuer.keys = public(KEY, OTHER)
        await issuer.asked_twice_more()
        assert len(keys.current().keys) == 2


async def test_an_outage_is_bridged_and_told_safely(issuer: LocalIssuer, caplog: pytest.LogCaptureFixture) -> None:
    async with aclosing(authenticator(await open_keys(issuer.url, KeyTiming(0.05, pause=0.05, keep_for=1)))) as let_in:
        issuer.status = "503 Service Unavailable"
        await issuer.asked_twice_more()
        assert await let_in.actor(bearer()) == ACTOR
        assert "503" in caplog.text
        assert "hush" not in caplog.text
        await asyncio.sleep(1)
        assert "cannot be read" in await refusal(bearer(), let_in)
        issuer.status = "200 OK"
        await issuer.asked_twice_more()
        assert await let_in.actor(bearer()) == ACTOR


@pytest.mark.parametrize("fault", ["redirect", "slow", "huge", "no JSON", "deep", "closed"])
async def test_an_issuer_that_answers_badly_is_an_error_at_the_start(issuer: LocalIssuer, fault: str) -> None:
    huge = json.dumps(public(KEY)).encode().ljust(262_145)
    issuer.body = {"huge": huge, "no JSON": b"<html>", "deep": b"[" * 99_999}.get(fault, b"")
    issuer.status = "302 Found" if fault == "redirect" else "200 OK"
    issuer.delay = 0.1 if fault == "slow" else 0
    with pytest.raises(KeysUnavailable, match="GROUNDS_JWKS") as raised:
        await open_keys("http://127.0.0.1:9/" if fault == "closed" else issuer.url, KeyTiming(timeout=0.2))
    assert issuer.requests <= 1
    assert "hush" not in str(raised.value)


async def test_a_changed_file_counts_at_once_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    (file := tmp_path / "jwks.json").write_text(json.dumps(public(KEY)))
    let_in, mine, others = authenticator(await open_keys(str(file))), bearer(), bearer(sign=signer(OTHER))
    assert await let_in.actor(mine) == ACTOR
    assert "no key" in await refusal(others, let_in)
    file.write_text(json.dumps(public(OTHER)) + " ")
    assert await let_in.actor(others) == ACTOR
    assert "no key" in await refusal(mine, let_in)
    file.write_text('{"keys": [')
    assert await let_in.actor(others) == ACTOR
    file.unlink()
    assert await let_in.actor(others) == ACTOR
    file.write_text('{"keys": []}')
    assert "no key" in await refusal(others, let_in), "an issuer may withdraw every key"
