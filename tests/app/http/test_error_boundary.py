"""Every exception becomes an answer, in the form of its path, and says nothing that was not meant for the client."""

import asyncio
from typing import Any

import asyncpg
import httpx
import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, Router
from starlette.types import Message

from app.auth.authenticator import Unauthorized
from app.http.boundary import ErrorBoundary, HTTPError
from db.connection import DeliveryPaused, PoolExhausted
from schema.errors import BadInput

CANARY = "canary of an exception"
REFERENCE = "an internal error occurred (give the operator the reference "
ANSWERED: list[tuple[BaseException, int, str]] = [
    (HTTPError(413, "too long (send less)"), 413, "too long (send less)"),
    (Unauthorized("no token; send one"), 401, "no token; send one"),
    (BadInput("first: is wrong"), 400, "first: is wrong"),
    (PoolExhausted(), 503, "all database connections are in use (try again)"),
    (DeliveryPaused(), 503, "deliveries are paused at the moment (try again)"),
    (asyncpg.LockNotAvailableError(CANARY), 503, "the database took too long (try again)"),
    (asyncpg.QueryCanceledError(CANARY), 503, "the database took too long (try again)"),
    (TimeoutError(CANARY), 503, "the request took too long (request fewer items or fields)"),
    (asyncio.CancelledError(), 503, "the gateway is stopping (try again)"),
    (asyncpg.UniqueViolationError(CANARY), 500, REFERENCE),
    (ZeroDivisionError(CANARY), 500, REFERENCE),
]


def boundary(*routes: Route) -> ErrorBoundary:
    def as_text(_: Request, error: HTTPError) -> Response:
        return PlainTextResponse(f"{error.status}: {error.message}", error.status)

    def broken(_: Request, error: HTTPError) -> Response:
        raise ZeroDivisionError(CANARY)

    return ErrorBoundary(Router(list(routes)), {"/text": as_text, "/broken": broken})


async def ask(app: ErrorBoundary, path: str, method: str = "GET") -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        return await client.request(method, path)


def raising(error: BaseException) -> Route:
    async def endpoint(_: Request) -> Response:
        raise error

    return Route("/raises", endpoint)


async def test_every_exception_becomes_an_answer_that_quotes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for error, status, message in ANSWERED:
        response = await ask(boundary(raising(error)), "/raises")
        (told,) = response.json()["errors"]
        assert (response.status_code, told["message"][: len(message)]) == (status, message), error
        assert response.headers["content-type"] == "application/json; charset=utf-8"
        assert response.headers.get("retry-after") == ("1" if status == 503 else None)
        assert response.headers.get("www-authenticate") == ("Bearer" if status == 401 else None)
        assert CANARY not in response.text
    logged = capsys.readouterr().out
    assert logged.count("reference=") == 2, "only failures are logged"
    assert CANARY not in logged


async def test_a_path_answers_in_its_own_form_and_in_json_where_that_fails() -> None:
    app = boundary()
    assert (await ask(app, "/text/nothing")).text.startswith("404: this path does not exist")
    assert (await ask(app, "/textual")).json()["errors"][0]["message"].startswith("this path does not exist")
    response = await ask(app, "/broken")
    assert (response.status_code, response.json()["errors"][0]["message"][: len(REFERENCE)]) == (500, REFERENCE)
    response = await ask(boundary(raising(ZeroDivisionError())), "/raises", "PUT")
    assert (response.status_code, set(response.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})


async def messages_of(app: ErrorBoundary, path: str, *, cancelled: bool = False) -> list[Message]:
    """Run a request as the server does; return what the application sent."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope: dict[str, Any] = {"type": "http", "path": path, "method": "GET", "headers": [], "query_string": b""}
    running = asyncio.create_task(app(scope, receive, send))
    if cancelled:
        await asyncio.sleep(0.05)
        running.cancel()
    await running
    return messages


async def test_an_answer_that_has_begun_breaks_off_and_one_that_nobody_waits_for_is_not_written() -> None:
    async def breaks_off(_: Request) -> Response:
        async def body() -> Any:
            yield b"first"
            raise ZeroDivisionError(CANARY)

        return StreamingResponse(body())

    async def disconnects(_: Request) -> Response:
        raise ClientDisconnect

    app = boundary(Route("/breaks", breaks_off), Route("/disconnects", disconnects))
    messages = await messages_of(app, "/breaks")
    assert messages[0]["type"] == "http.response.start"
    assert all(message.get("more_body") for message in messages[1:]), "the end is never sent, so the client sees it"
    assert await messages_of(app, "/disconnects") == []


async def test_a_cancelled_request_is_told_that_the_gateway_stops_whatever_it_then_raises() -> None:
    async def fails_at_the_end(_: Request) -> Response:
        try:
            await asyncio.sleep(60)
        finally:
            raise ZeroDivisionError(CANARY)

    async def waits(_: Request) -> Response:
        await asyncio.sleep(60)
        return Response()

    app = boundary(Route("/fails", fails_at_the_end), Route("/waits", waits))
    for path in ("/fails", "/waits"):
        start, body = await messages_of(app, path, cancelled=True)
        assert (start["status"], b"the gateway is stopping" in body["body"]) == (503, True)
