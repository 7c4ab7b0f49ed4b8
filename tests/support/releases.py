"""A training client that takes releases: start one, wait until it is written, get its files."""

import asyncio
import io
from typing import Any

import httpx
import pytest

from schema.actor import Role
from tests.support.gateway import TestGateway

pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is missing: ./run --with release pytest")

START = """mutation Start($name: String!, $filter: TrainableContentFilter) {
  startRelease(name: $name, filter: $filter) { id name state version items files filesWritten failure } }"""
STATE = "query State($id: ID!) { release(id: $id) { state version items bytes files filesWritten failure } }"


async def start(gateway: TestGateway, name: str = "2026-06", filter: Any = None, **claims: Any) -> str:
    """Start a release; return its id."""
    data = await gateway.ask(Role.TRAINING_CLIENT, START, {"name": name, "filter": filter}, **claims)
    id: str = data["startRelease"]["id"]
    return id


async def until_written(gateway: TestGateway, id: str, **claims: Any) -> dict[str, Any]:
    """Wait until every file of a release is written."""
    found: dict[str, Any] = {}
    for _ in range(600):
        found = (await gateway.ask(Role.TRAINING_CLIENT, STATE, {"id": id}, **claims))["release"]
        if found["state"] == "COMPLETE":
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"the release is not written: {found}")


async def get(gateway: TestGateway, id: str, name: str, headers: Any = None, **claims: Any) -> httpx.Response:
    """Get a file of a release."""
    sent = {"Authorization": f"Bearer {gateway.token(Role.TRAINING_CLIENT, **claims)}"} | (headers or {})
    return await gateway.client.get(f"/releases/{id}/{name}", headers=sent)


async def get_written(gateway: TestGateway, id: str, name: str, **claims: Any) -> httpx.Response:
    """Get a file of a release, again as long as the gateway says that it is being written."""
    for _ in range(600):
        response = await get(gateway, id, name, **claims)
        if response.status_code != 503:
            return response
        await asyncio.sleep(0.05)
    raise AssertionError(response.text)


def rows_of(response: httpx.Response) -> list[dict[str, Any]]:
    """Read the items of a shard."""
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = pq.read_table(io.BytesIO(response.content)).to_pylist()
    return found


def texts_of(response: httpx.Response) -> set[str]:
    """Read the texts of a shard."""
    return {row["text"] for row in rows_of(response)}


async def every_file(gateway: TestGateway, id: str, **claims: Any) -> list[httpx.Response]:
    """Get every file of a release."""
    files = (await gateway.ask(Role.TRAINING_CLIENT, STATE, {"id": id}, **claims))["release"]["files"]
    return [await get_written(gateway, id, f"data/train-{number:05}.parquet", **claims) for number in range(files)]


async def publish(gateway: TestGateway, id: str, **claims: Any) -> dict[str, Any]:
    """Get the manifest of a release."""
    response = await get_written(gateway, id, "manifest.json", **claims)
    assert response.status_code == 200, response.text
    manifest: dict[str, Any] = response.json()
    return manifest
