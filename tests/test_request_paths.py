"""How many modules have to be opened to follow one request: those that a tracer sees entered.

Each request is sent once before it is traced, so that what is found out once and remembered is not counted.
"""

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from schema.actor import Role
from tests.app.webhooks.test_sender import everything_came, until
from tests.support.dashboard import dashboard_browser
from tests.support.facts import fact
from tests.support.file_tracer import Entered, FileTracer, open_tracer
from tests.support.gateway import PULL, TestGateway, open_gateway
from tests.support.repository import ROOT
from tests.support.retractions import deliver, register, retract
from tests.support.webhook_receiver import receiver

LIMITS = {
    "A page of trainable content": 14,
    "A line of NDJSON": 11,
    "An objection": 10,
    "A page of the dashboard": 12,
    "From a fact to a webhook": 9,
}
"""How many modules a request may enter. `app/README.md` lists them, in the order in which they are entered."""


@pytest.fixture
async def traced(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[FileTracer, TestGateway]]:
    """A tracer, and a gateway that serves in this process."""
    monkeypatch.setattr("app.server.scheduler.RECORD_SECONDS", math.inf)  # jobs also record that they run, by the clock
    with open_tracer() as tracer:
        # Threads of earlier tests are not traced: those of a new pool are.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())
        async with open_gateway(database_url, tmp_path / "data") as gateway:
            yield tracer, gateway


def check(name: str, entered: Entered) -> None:
    modules = list(dict.fromkeys(module for each in entered.values() for module in each))
    assert modules == documented_path(name), f"{name} enters (see app/README.md):\n" + "\n".join(modules)
    assert len(modules) <= LIMITS[name]


def documented_path(name: str) -> list[str]:
    """Return the modules that app/README.md lists beneath a path's name."""
    text = (ROOT / "app" / "README.md").read_text(encoding="utf-8")
    listed = re.search(rf"^\*\*{re.escape(name)}\*\*.*\n((?:(?:\d+\. |   ).*\n)+)", text, re.MULTILINE)
    return re.findall(r"^\d+\. `([^`]+)`", listed[1], re.MULTILINE) if listed else []


async def test_few_modules_have_to_be_opened_to_follow_a_request(traced: tuple[FileTracer, TestGateway]) -> None:
    tracer, gateway = traced
    names = await deliver(gateway, 1)
    client = {"Authorization": f"Bearer {gateway.token(Role.TRAINING_CLIENT)}"}
    platform = {"Authorization": f"Bearer {gateway.token(Role.PLATFORM_INGEST)}"}
    line = json.dumps(fact("content", id=names[0])).encode() + b"\n"
    for _ in range(2):
        with tracer.collecting() as page:
            answer = await gateway.client.post(
                "/graphql", json={"query": PULL, "variables": {"first": 10}}, headers=client
            )
        assert answer.json().keys() == {"data"}
        with tracer.collecting() as ndjson:
            assert (await gateway.client.post("/ingest", content=line, headers=platform)).status_code == 200
        with tracer.collecting() as objection:
            assert (await gateway.client.post("/object", data={"who": "somebody"})).status_code == 303
    async with dashboard_browser(gateway, Role.PRIVACY_OFFICER) as browser:
        for _ in range(2):
            with tracer.collecting() as dashboard:
                assert (await browser.get("/dashboard/clients")).status_code == 200
    check("A page of trainable content", page)
    check("A line of NDJSON", ndjson)
    check("An objection", objection)
    check("A page of the dashboard", dashboard)


async def test_few_modules_have_to_be_opened_to_follow_a_fact_to_a_webhook(
    traced: tuple[FileTracer, TestGateway],
) -> None:
    tracer, gateway = traced
    names = await deliver(gateway, 1)
    with receiver() as hook:
        hook.secret = await register(gateway, hook.address)
        with tracer.collecting("retract", "webhook") as entered:
            await retract(gateway, names)
            await until(everything_came(gateway, hook))
    check("From a fact to a webhook", entered)
