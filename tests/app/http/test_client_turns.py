"""Two operations of a training client run at the same time in a process; others wait, and no wait is endless."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.requests import ClientDisconnect, Request

from app.http import boundary
from app.http.boundary import MAX_CLIENT_OPERATIONS, ClientTurns, HTTPError
from schema.actor import Role
from tests.support.gateway import PULL, TestGateway
from tests.support.mutants import Killed
from tests.support.retractions import alter, deliver
from tests.support.shared_server import SharedServer

VIEWER = "{ viewer { client } }"
RECEIPT = "write_receipt(bigint[])"


class Operation:
    """An operation that asks for a turn and keeps it until it is ended."""

    def __init__(self, turns: ClientTurns, client: str | None) -> None:
        self.messages: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self.runs = False
        self._over = asyncio.Event()
        self.task = asyncio.create_task(self._run(turns, client))

    async def _run(self, turns: ClientTurns, client: str | None) -> None:
        async with turns.turn(client, Request({"type": "http"}, self.messages.get)):
            self.runs = True
            await self._over.wait()

    async def end(self) -> None:
        self._over.set()
        await self.task

    async def cancel(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def begin(turns: ClientTurns, *clients: str | None) -> list[Operation]:
    """Begin operations of clients, and let them come as far as they can."""
    begun = [Operation(turns, client) for client in clients]
    await settle()
    return begun


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def running(operations: list[Operation]) -> list[bool]:
    return [operation.runs for operation in operations]


async def test_the_third_operation_of_a_client_waits_and_anothers_does_not() -> None:
    turns = ClientTurns()
    greedy = await begin(turns, *["greedy"] * 4)
    others = await begin(turns, "other", None, None, None, "other")
    assert MAX_CLIENT_OPERATIONS == 2
    assert (running(greedy), running(others)) == ([True, True, False, False], [True] * 5)
    await greedy[0].end()
    await settle()
    assert running(greedy) == [True, True, True, False], "the one that waited longest is next"
    for operation in (*greedy[1:], *others):
        await operation.end()


async def test_waiting_ends_where_the_client_leaves_or_the_server_stops_and_no_turn_is_lost() -> None:
    turns = ClientTurns()
    first, second, leaving, stopped, last = await begin(turns, *["client"] * 5)
    leaving.messages.put_nowait({"type": "http.request"})
    leaving.messages.put_nowait({"type": "http.disconnect"})
    with pytest.raises(ClientDisconnect):
        await leaving.task
    await stopped.cancel()
    await first.cancel()
    await settle()
    assert running([leaving, stopped, last]) == [False, False, True], "what is cancelled gives its turn back"
    (waiting,) = await begin(turns, "client")
    assert not waiting.runs
    await second.end()
    await settle()
    assert waiting.runs


async def test_a_turn_that_comes_as_the_client_leaves_is_given_back() -> None:
    turns = ClientTurns()
    first, second, leaving, cancelled = await begin(turns, *["client"] * 4)
    leaving.messages.put_nowait({"type": "http.disconnect"})
    cancelled.task.cancel()
    await asyncio.gather(first.end(), second.end())
    await asyncio.gather(leaving.task, cancelled.task, return_exceptions=True)
    assert running(await begin(turns, *["client"] * 3)) == [True, True, False]


async def test_what_waits_too_long_is_asked_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boundary, "TURN_SECONDS", 0.01)
    turns = ClientTurns()
    first, _, waiting = await begin(turns, *["client"] * 3)
    with pytest.raises(HTTPError) as raised:
        await waiting.task
    assert (raised.value.status, raised.value.headers) == (503, {"Retry-After": "1"})
    await first.end()
    assert running(await begin(turns, "client")) == [True]


@asynccontextmanager
async def endless_pages(server: SharedServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TestGateway]:
    """A gateway on which a page never ends, and a request has one second."""
    monkeypatch.setattr("app.http.graphql.REQUEST_SECONDS", 1.0)
    async with server.gateway() as gateway:
        await deliver(gateway, 1)
        await gateway.ask(Role.TRAINING_CLIENT, VIEWER, client="other")
        alter(gateway, RECEIPT, ("decided_at := grounds.decision_time();", "PERFORM pg_sleep(30);"))
        yield gateway


async def ends(gateway: TestGateway) -> dict[str, float]:
    """Ask for two pages that never end, and then for what takes no time; return when each was answered."""
    began, ended = time.monotonic(), {}

    async def ask(name: str, query: str, client: str, status: int) -> None:
        answer = await gateway.post(Role.TRAINING_CLIENT, query, {"first": 1} if query is PULL else None, client=client)
        assert answer.status_code == status, (name, answer.text)
        ended[name] = time.monotonic() - began

    async with asyncio.TaskGroup() as asking:
        for name in ("first page", "second page"):
            asking.create_task(ask(name, PULL, "client", 503))
        await asyncio.sleep(0.3)
        asking.create_task(ask("third", VIEWER, "client", 200))
        asking.create_task(ask("another client's", VIEWER, "other", 200))
    return ended


async def test_requests_that_never_end_hold_no_others_for_ever(
    shared_server: SharedServer, monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    async with endless_pages(shared_server, monkeypatch) as gateway:
        answered = await ends(gateway)
    first_end = min(answered["first page"], answered["second page"])
    assert answered["another client's"] < first_end < answered["third"], answered
    monkeypatch.setattr(boundary, "MAX_CLIENT_OPERATIONS", 3)
    async with endless_pages(shared_server, monkeypatch) as gateway:
        answered = await ends(gateway)
    is_early = answered["third"] < min(answered["first page"], answered["second page"])
    killed("a third operation at once", "ClientTurns", "it did not wait" if is_early else None)
