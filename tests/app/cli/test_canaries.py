"""`grounds canary`: the commands of the README plant, list and remove an item, and refuse what they may not plant."""

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.support.command import grounds
from tests.support.documents import block
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import SECRET, TestGateway


def canary(gateway: TestGateway, *arguments: str) -> "subprocess.CompletedProcess[str]":
    settings = {"DATABASE_URL": gateway.database_url, "GROUNDS_SECRET": SECRET.decode()}
    return grounds("canary", *arguments, data=Path("no data"), env=settings)


@pytest.fixture
async def loaded(gateway: TestGateway) -> TestGateway:
    gateway.set_clock(NOW - 60 * DAY)
    await gateway.ingest([fact("account"), fact("notice"), fact("content")])
    await gateway.ingest([fact("account", id="child", born_on="2012-01-01")])
    await gateway.ingest([fact("content", id="content-4711", account="child")])
    gateway.set_clock(NOW)
    return gateway


async def test_the_commands_of_the_readme_plant_list_and_remove_an_item(loaded: TestGateway) -> None:
    commands = [shlex.split(line)[3:] for line in block("app/README.md", "canary commands").splitlines()]
    planted, listed, removed = [canary(loaded, *arguments) for arguments in commands]
    assert (planted.returncode, planted.stdout) == (0, "The item is planted.\n"), planted.stderr
    assert listed.stdout.startswith("content-4711: A minor posted it. (planted by operator, 2026-06-01)")
    assert (removed.returncode, removed.stdout) == (0, "The item is no longer planted.\n")
    assert json.loads(canary(loaded, "list", "--json").stdout) == []


async def test_what_cannot_be_planted_or_is_not_planted_is_an_error(loaded: TestGateway) -> None:
    for arguments, fault in (
        (["plant", "nothing", "--reason", "A reason"], "ITEM: is not a known item (load its records first)"),
        (["plant", "item", "--reason", "A reason"], "ITEM: qualifies now, or can still qualify (choose an item that "),
        (["plant", "content-4711", "--reason", " "], "--reason: is empty"),
        (["remove", "content-4711"], "ITEM: is not planted (choose an item from grounds canary list)"),
    ):
        done = canary(loaded, *arguments)
        assert done.returncode == 2, arguments
        assert fault in done.stderr, arguments
    assert loaded.execute("SELECT count(*) FROM grounds.canary") == [(0,)]


async def test_an_incident_is_listed_beneath_its_item(loaded: TestGateway) -> None:
    canary(loaded, "plant", "content-4711", "--reason", "A minor posted it.")
    loaded.execute(
        "INSERT INTO grounds.canary_incident (item, hold, found_at)"
        " SELECT id, 1, grounds.decision_time() FROM grounds.content WHERE platform_id = 'content-4711'"
    )
    assert "a delivery was stopped at 2026-06-01" in canary(loaded, "list").stdout
    (found,) = json.loads(canary(loaded, "list", "--json").stdout)
    assert found["incidents"] == [{"client": None, "purpose": None, "found_at": NOW.isoformat()}]
