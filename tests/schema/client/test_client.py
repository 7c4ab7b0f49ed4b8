"""The client reads what it may train on, repeats what failed for a moment, and says what went wrong otherwise."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from grounds_client import Client, GatewayError
from grounds_client.cli import main
from grounds_client.ed25519 import is_signed
from grounds_client.reader import graphql_filter
from schema.actor import Role
from tests.support.documents import block
from tests.support.gateway import TestGateway
from tests.support.local_server import listening
from tests.support.retractions import deliver, retract, settled

TIMEOUT = {"errors": [{"message": "the database took too long", "extensions": {"code": "TIMEOUT"}}]}


@contextmanager
def answering(*answers: tuple[int, object] | None) -> Iterator[str]:
    """Serve answers in their order, the last one again and again; None breaks the connection."""
    waiting = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            if answer is not None:
                status, body = answer
                self.send_response(status)
                self.send_header("Retry-After", "0")
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with listening(HTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield url


def test_a_request_is_repeated_while_the_gateway_is_busy_or_the_connection_breaks() -> None:
    busy = (503, {"errors": [{"message": "busy"}]})
    with answering(busy, (200, TIMEOUT), None, busy, (200, {"data": {"a": 1}})) as url, Client(url, "token") as client:
        assert client.execute("{ a }") == {"a": 1}


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((503, {"errors": [{"message": "busy"}]}), "503"),
        ((200, TIMEOUT), "TIMEOUT"),
        (None, "UNREACHABLE"),
        ((401, {"errors": [{"message": "no token"}]}), "401"),
        ((200, {"errors": [{"message": "no", "extensions": {"code": "BAD_USER_INPUT"}}]}), "BAD_USER_INPUT"),
    ],
)
def test_patience_ends_with_the_error(answer: tuple[int, object] | None, code: str) -> None:
    with answering(answer) as url, Client(url, "token", patience=0.3) as client, pytest.raises(GatewayError) as error:
        client.execute("{ a }")
    assert error.value.code == code


async def test_items_are_read_page_by_page_and_retractions_are_acknowledged(gateway: TestGateway) -> None:
    names = await deliver(gateway, 5, "another")

    def read() -> list[str]:
        with Client(gateway.address, lambda: gateway.token(Role.TRAINING_CLIENT)) as client:
            assert list(client.trainable_content(languages=["fr"])) == []
            items = list(client.trainable_content(page_size=2, kinds=["POST"]))
            assert {(item.kind, item.created_month.year, bool(item.receipt)) for item in items} == {
                ("POST", 2026, True)
            }
            return [item.id for item in items]

    received = await asyncio.to_thread(read)
    assert len(received) == len(set(received)) == 5
    await retract(gateway, names[:2])
    await settled(gateway)

    def acknowledge() -> int:
        with Client(gateway.address, gateway.token(Role.TRAINING_CLIENT)) as client:
            ((page, cursor),) = client.retractions()
            assert {each.content_id for each in page} < set(received)
            assert list(client.retractions(cursor)) == []
            assert [client.acknowledge(each) for each in page] == [1, 0]
            return len(page)

    assert await asyncio.to_thread(acknowledge) == 2


async def test_the_command_writes_items_as_lines(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await deliver(gateway, 2, "another")
    assert main(["pull", "--url", gateway.address]) == 2
    assert "GROUNDS_TOKEN: is not set" in capsys.readouterr().err
    monkeypatch.setenv("GROUNDS_TOKEN", gateway.token(Role.TRAINING_CLIENT))
    assert await asyncio.to_thread(main, ["pull", "--url", gateway.address, "--kind", "POST"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["kind"] for line in lines if line.startswith("{")] == ["POST", "POST"]


async def test_the_readmes_program_prints_items(gateway: TestGateway) -> None:
    await deliver(gateway, 2, "another")
    given = {"GATEWAY": gateway.address, "TOKEN": gateway.token(Role.TRAINING_CLIENT)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", block("schema/client/README.md", "items")), env=os.environ | given, stdout=PIPE
    )
    printed, _ = await process.communicate()
    assert printed.decode().count("2026-01-01 A heron stood by the weir.") == 2


def test_filters_have_names_of_python() -> None:
    assert graphql_filter({"created_from_month": date(2026, 1, 1), "kinds": ["POST"]}) == {
        "createdFromMonth": "2026-01-01",
        "kinds": ["POST"],
    }


def test_signatures_are_verified_as_cryptography_makes_them() -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public = key.public_key().public_bytes_raw()
    for length in (0, 1, 300):
        message = bytes(length)
        signature = key.sign(message)
        assert is_signed(public, signature, message)
        assert not is_signed(public, signature, message + b"a")
        for place in (0, 31, 32, 63):
            wrong = bytearray(signature)
            wrong[place] ^= 1
            assert not is_signed(public, bytes(wrong), message)
    assert not is_signed(bytes(32)[:31], signature, b"")
