"""Server-Sent Events at /retractions: what GraphQL's feed says, as it happens, to the client and to nobody else."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt

from app.auth.dev_issuer import DEVELOPMENT_AUDIENCE, DEVELOPMENT_ISSUER
from schema.actor import Role
from tests.support.gateway import TestGateway, open_gateway
from tests.support.retractions import deliver, entries, retract, retraction_ids, settled, supersede

FEED = """{ retractions(first: 1000) {
  edges { cursor node { id contentId kind cause retractedAt dueBy } }
} }"""


@asynccontextmanager
async def stream(gateway: TestGateway, path: str = "/retractions", **headers: str) -> AsyncIterator[httpx.Response]:
    """Open a stream as `client` unless said otherwise."""
    sent = {"Authorization": f"Bearer {gateway.token(Role.TRAINING_CLIENT)}", "Accept": "text/event-stream"} | headers
    async with gateway.client.stream("GET", path, headers=sent) as response:
        if response.status_code != 200:
            await response.aread()
        yield response


async def events(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """Read events, each with its data as it came; comments are left out."""
    assert response.status_code == 200, response.text
    event: dict[str, Any] = {}
    async for line in response.aiter_lines():
        name, _, value = line.partition(": ")
        if line and not line.startswith(":"):
            event[name] = json.loads(value) if name == "data" else value
        elif not line:
            if "data" in event:
                yield event
            event = {}


async def some(response: httpx.Response, count: int) -> list[dict[str, Any]]:
    """Read so many events."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(30):
        async for event in events(response):
            found.append(event)
            if len(found) == count:
                return found
    raise AssertionError(f"the stream ended after {found}")


def bearer(gateway: TestGateway, role: Role = Role.TRAINING_CLIENT, **claims: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {gateway.token(role, **claims)}"}


async def test_events_say_what_the_feed_of_graphql_says(gateway: TestGateway) -> None:
    names = await deliver(gateway, 3, "client", "another")
    await supersede(gateway, names[:1])
    await settled(gateway)
    await retract(gateway, names)
    await settled(gateway)
    async with stream(gateway) as response:
        assert response.headers["content-type"].partition(";")[0] == "text/event-stream"
        assert response.headers["cache-control"] == "no-store"
        found = await some(response, 4)
    shown = entries(await gateway.ask(Role.TRAINING_CLIENT, FEED))
    assert [{"cursor": event["id"], **event["data"]} for event in found] == shown
    assert [event["event"] for event in found] == ["SUPERSEDE", "RETRACT", "RETRACT", "RETRACT"]
    assert [event["data"]["kind"] for event in found] == [event["event"] for event in found]
    async with stream(gateway, **bearer(gateway, client="another")) as response:
        theirs = await some(response, 4)
    assert not {event["data"]["contentId"] for event in theirs} & {event["data"]["contentId"] for event in found}


async def test_an_event_comes_while_the_stream_is_open(gateway: TestGateway) -> None:
    names = await deliver(gateway, 2)
    async with stream(gateway) as response:
        for name in names:
            await retract(gateway, [name])
        assert [event["data"]["id"] for event in await some(response, 2)] == retraction_ids(gateway)


@pytest.mark.parametrize("accepted", ["identity", "gzip", "zstd"])
async def test_an_event_is_not_held_back_by_compression(gateway: TestGateway, accepted: str) -> None:
    names = await deliver(gateway, 3)
    async with stream(gateway, **{"Accept-Encoding": accepted}) as response:
        assert response.headers.get("content-encoding", "identity") == accepted
        reading = events(response)
        async with asyncio.timeout(30):
            for name in names:
                await retract(gateway, [name])
                assert (await anext(reading))["event"] == "RETRACT"


async def test_a_stream_goes_on_where_the_last_one_ended(gateway: TestGateway) -> None:
    names = await deliver(gateway, 4)
    for name in names:
        await retract(gateway, [name])
        await settled(gateway)
    every = retraction_ids(gateway)
    async with stream(gateway) as response:
        first, second, *_ = await some(response, 4)
    async with stream(gateway, **{"Last-Event-ID": second["id"]}) as response:
        assert [event["data"]["id"] for event in await some(response, 2)] == every[2:]
    path = f"/retractions?after={first['id']}"
    async with stream(gateway, path) as response:
        assert [event["data"]["id"] for event in await some(response, 3)] == every[1:]
    async with stream(gateway, path, **{"Last-Event-ID": second["id"]}) as response:
        assert [event["data"]["id"] for event in await some(response, 2)] == every[2:]


async def test_who_may_not_read_the_feed_is_refused(gateway: TestGateway) -> None:
    names = await deliver(gateway, 1, "client", "another")
    await retract(gateway, names)
    async with stream(gateway, **bearer(gateway, client="another")) as response:
        (foreign,) = await some(response, 1)
    refused = {
        401: {"Authorization": "Bearer nonsense"},
        406: {"Accept": "application/json"},
        400: {"Last-Event-ID": foreign["id"]},
    }
    for status, headers in refused.items():
        async with stream(gateway, **headers) as response:
            assert response.status_code == status
            assert response.json()["errors"][0]["message"]
    for role in set(Role) - {Role.TRAINING_CLIENT}:
        async with stream(
            gateway, **bearer(gateway, role, **{"subject": "a"} if role is Role.DATA_SUBJECT else {})
        ) as r:
            assert r.status_code == 403
            assert r.json()["errors"][0]["message"].startswith("/retractions is for TRAINING_CLIENT")
    assert (await gateway.client.post("/retractions")).status_code == 405
    head = await gateway.client.head("/retractions", headers=bearer(gateway))
    assert (head.status_code, head.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")


async def test_a_stream_ends_with_its_token(gateway: TestGateway) -> None:
    now = int(time.time())
    claims = {"iss": DEVELOPMENT_ISSUER, "aud": DEVELOPMENT_AUDIENCE, "iat": now - 60, "exp": now - 28, "sub": "client"}
    claims |= {"role": "TRAINING_CLIENT", "client": "client", "purpose": "GENAI_TRAINING"}
    key = gateway.issuer._key
    token = jwt.encode({"alg": "ES256", "kid": key.kid}, claims, key)
    async with stream(gateway, Authorization=f"Bearer {token}") as response, asyncio.timeout(30):
        assert [event async for event in events(response)] == []
    async with stream(gateway, Authorization=f"Bearer {token}") as response:
        assert response.status_code == 401


async def test_a_client_has_few_streams_and_gets_another_when_one_ends(gateway: TestGateway) -> None:
    async with AsyncExitStack() as opened:
        for _ in range(4):
            response = await opened.enter_async_context(stream(gateway))
            assert response.status_code == 200
        async with stream(gateway) as response:
            assert (response.status_code, response.headers["retry-after"]) == (429, "15")
        async with stream(gateway, **bearer(gateway, client="another")) as response:
            assert response.status_code == 200
    for _ in range(100):  # the server hears a moment later that the client went away
        async with stream(gateway) as response:
            if response.status_code == 200:
                return
        await asyncio.sleep(0.05)
    raise AssertionError("no stream was given back")


async def test_a_client_that_does_not_read_loses_its_stream(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.http.boundary.MAX_STALL_SECONDS", 0.5)
    monkeypatch.setattr("app.http.boundary.WATCH_SECONDS", 0.1)
    monkeypatch.setattr("app.http.retraction_stream.MAX_STREAMS_PER_CLIENT", 1)
    await deliver(gateway, 1)
    gateway.execute(
        "INSERT INTO grounds.retraction_batch (client, first_id, last_id, kind, is_incident, retracted_at, due_by,"
        " delivery, items) SELECT 1, n, n, 'RETRACT', FALSE, now(), 'infinity', 1, '{1}'"
        " FROM generate_series(1, 100000) n"
    )
    async with stream(gateway, **{"Accept-Encoding": "identity"}) as stalled:
        assert stalled.status_code == 200
        for _ in range(200):
            async with stream(gateway) as response:
                if response.status_code == 200:
                    return
            await asyncio.sleep(0.05)
    raise AssertionError("the stream is kept for a client that does not read")


async def test_a_process_has_so_many_streams(gateway: TestGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.http.retraction_stream.MAX_STREAMS", 1)
    async with stream(gateway) as response, stream(gateway, **bearer(gateway, client="another")) as refused:
        assert response.status_code == 200
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "15")


async def test_streams_that_wait_hold_no_connection(gateway: TestGateway) -> None:
    await deliver(gateway, 1)
    async with AsyncExitStack() as opened:
        for client in ("a", "b", "c", "d", "e"):  # 20 streams, and a pool of 8
            for _ in range(4):
                headers = bearer(gateway, client=client)
                assert (await opened.enter_async_context(stream(gateway, **headers))).status_code == 200
        for _ in range(10):
            assert len(await gateway.pull()) == 1
        held = gateway.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE usename = 'grounds_training' AND state LIKE 'idle in transaction%%'"
        )
        assert held == [(0,)]


async def test_a_heartbeat_keeps_a_quiet_stream(gateway: TestGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.http.retraction_stream.HEARTBEAT_SECONDS", 0.0)
    monkeypatch.setattr("app.http.retraction_stream.POLL_SECONDS", 0.05)
    async with stream(gateway) as response, asyncio.timeout(30):
        lines = response.aiter_lines()
        assert [await anext(lines) for _ in range(8)] == ["retry: 2000", "", ":", "", ":", "", ":", ""]


async def test_a_stream_ends_whole_when_the_server_ends(database_url: str, tmp_path: Path) -> None:
    async with httpx.AsyncClient(timeout=60) as client:
        async with open_gateway(database_url, tmp_path) as gateway:
            names = await deliver(gateway, 1)
            await retract(gateway, names)
            request = client.build_request(
                "GET", f"{gateway.address}/retractions", headers=bearer(gateway) | {"Accept-Encoding": "identity"}
            )
            response = await client.send(request, stream=True)
            reading = events(response)
            assert (await anext(reading))["event"] == "RETRACT"
        assert [event async for event in reading] == []  # an answer that broke off raises an error
        await response.aclose()


async def test_a_stream_that_loses_the_database_ends_and_another_goes_on(gateway: TestGateway) -> None:
    names = await deliver(gateway, 2)
    await retract(gateway, names[:1])
    async with stream(gateway) as response, asyncio.timeout(30):
        reading = events(response)
        last = await anext(reading)
        gateway.execute("ALTER TABLE grounds.retraction_batch RENAME TO away")
        assert [event async for event in reading] == []
    gateway.execute("ALTER TABLE grounds.away RENAME TO retraction_batch")
    await retract(gateway, names[1:])
    async with stream(gateway, **{"Last-Event-ID": last["id"]}) as response:
        (event,) = await some(response, 1)
    assert event["data"]["id"] == retraction_ids(gateway)[1]
