"""Requests are traced for OpenTelemetry: a span says what the request log says, and nothing of people's data."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app.settings import SettingsError, read_settings
from db.embedded_process import free_port
from schema.actor import Role
from tests.support.gateway import open_gateway

trace_service = pytest.importorskip(
    "opentelemetry.proto.collector.trace.v1.trace_service_pb2",
    reason="OpenTelemetry is missing: ./run --with telemetry pytest",
)

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CANARY = "canary"


@asynccontextmanager
async def collector() -> AsyncIterator[tuple[str, list[Any]]]:
    """Receive spans as a collector does; yield its URL and the spans, which grow."""
    spans: list[Any] = []

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        (length,) = [
            int(line.split(b":")[1]) for line in head.splitlines() if line.lower().startswith(b"content-length")
        ]
        exported = trace_service.ExportTraceServiceRequest.FromString(await reader.readexactly(length))
        spans.extend(
            span for resource in exported.resource_spans for scope in resource.scope_spans for span in scope.spans
        )
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(receive, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", spans


async def test_a_request_is_a_span_below_its_clients_and_contains_no_personal_data(
    database_url: str, tmp_path: Path
) -> None:
    async with collector() as (url, spans), open_gateway(database_url, tmp_path, otlp=url) as gateway:
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "User-Agent": CANARY}
        headers["Authorization"] = f"Bearer {gateway.token(Role.TRAINING_CLIENT)}"
        query = f'{{ node(id: "{CANARY}") {{ id }} viewer {{ role }} }}'
        await gateway.client.post(f"/graphql?{CANARY}=1", json={"query": query}, headers=headers)
        await gateway.client.get("/object", params={"t": CANARY}, headers={"traceparent": CANARY})
        await gateway.client.get(f"/{CANARY}/none")
        # A server that stops sends what is left.
    by_route = {span.name: span for span in spans}
    assert by_route.keys() == {"/graphql", "/object", "none"}
    asked = by_route["/graphql"]
    assert (asked.trace_id.hex(), asked.parent_span_id.hex()) == (TRACE, PARENT)
    attributes = {item.key: item.value.string_value or item.value.int_value for item in asked.attributes}
    assert attributes.pop("grounds.request")
    assert attributes == {
        "http.route": "/graphql",
        "http.response.status_code": 200,
        "grounds.role": "TRAINING_CLIENT",
        "grounds.client": "client",
    }
    assert by_route["/object"].parent_span_id == b""
    assert CANARY not in str(spans)


async def test_a_collector_that_is_gone_is_in_no_ones_way(database_url: str, tmp_path: Path) -> None:
    async with asyncio.timeout(60):
        async with open_gateway(database_url, tmp_path, otlp=f"http://127.0.0.1:{free_port()}") as gateway:
            assert (await gateway.client.get("/health")).status_code == 200


async def test_without_the_packages_the_start_says_what_to_install(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "app.tracing", None)
    with pytest.raises(SettingsError, match=r"^GROUNDS_OTLP: the packages for traces are missing \(start with"):
        async with open_gateway(database_url, tmp_path, otlp="http://127.0.0.1:4318"):
            pass


def test_what_is_no_collector_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("collector:4318", "ftp://collector", "http://", "http://user@collector", "http://collector?x=1"):
        monkeypatch.setenv("GROUNDS_OTLP", wrong)
        with pytest.raises(SettingsError, match="GROUNDS_OTLP: must be the URL of a collector"):
            read_settings()
