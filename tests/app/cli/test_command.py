"""What all commands share: help, version, status, results as JSON, values in any case."""

import asyncio
import json
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from pathlib import Path

import pytest

from db.policy.document import default_policy
from tests.support.command import grounds, write
from tests.support.facts import fact
from tests.support.gateway import SECRET, TestGateway

pytestmark = pytest.mark.xdist_group("command")


def test_the_command_alone_prints_its_help_and_names_its_version(tmp_path: Path) -> None:
    alone = grounds(data=tmp_path)
    assert (alone.returncode, alone.stderr) == (0, "")
    assert "serve, load and audit permitted training data" in alone.stdout
    assert alone.stdout == grounds("-h", data=tmp_path).stdout == grounds("--help", data=tmp_path).stdout
    for noun in ("policy", "notice", "objection", "schema", "contract", "documents"):
        assert f"grounds {noun} " in grounds(noun, "-h", data=tmp_path).stdout
    assert grounds("--version", data=tmp_path).stdout == f"grounds {metadata.version('grounds')}\n"
    assert not list(tmp_path.iterdir()), "nothing of this opens a database"


def external(database_url: str) -> dict[str, str]:
    return {"DATABASE_URL": database_url, "GROUNDS_SECRET": SECRET.decode()}


def test_the_status_names_the_versions_in_use(database_url: str, tmp_path: Path) -> None:
    given = partial(grounds, data=tmp_path, env=external(database_url))
    found = json.loads(given("status", "--json").stdout)
    assert found["database"] == "external"
    assert found["policy"] == default_policy().version
    assert f"database version: {found['database_version']}" in given("status").stdout
    told = given("migrate")
    assert (told.returncode, told.stdout) == (0, f"database version {found['database_version']}\n")


async def test_the_status_names_every_job_with_its_last_success(gateway: TestGateway, tmp_path: Path) -> None:
    given = partial(grounds, data=tmp_path, env=external(gateway.database_url))
    succeeded = "SELECT name FROM grounds.job WHERE name = 'retract' AND last_success_at IS NOT NULL"
    while not gateway.execute(succeeded):  # noqa: ASYNC110 - by a job
        await asyncio.sleep(0.05)
    found = json.loads(given("status", "--json").stdout)
    assert len(found["jobs"]) > 5
    (retract,) = [job for job in found["jobs"] if job["name"] == "retract"]
    assert datetime.fromisoformat(retract["last_success_at"]) <= datetime.now(UTC)
    assert (retract["failing_since"], retract["error_kind"]) == (None, None)
    assert "retract" in given("status").stdout


def test_only_some_commands_set_a_database_up(tmp_path: Path) -> None:
    refused = grounds("status", data=tmp_path)
    advice = "contains no database (pass another folder, or run grounds migrate or grounds serve)"
    assert (refused.returncode, refused.stderr) == (2, f"grounds: {tmp_path}: {advice}\n")
    assert not list(tmp_path.iterdir())


def test_results_are_printed_as_json_and_values_are_taken_in_any_case(database_url: str, tmp_path: Path) -> None:
    given = partial(grounds, data=tmp_path, env=external(database_url))
    file = write(tmp_path / "json.ndjson", fact("account", id="json"))
    (loaded,) = json.loads(given("ingest", file, "--json").stdout)
    assert loaded["file"] == str(file)
    assert loaded["records"]["account"]["accepted"] == 1
    arguments = ("objection", "file", "--account", "json", "--scope", "all", "--channel", "letter", "--json")
    assert json.loads(given(*arguments).stdout)["reference"].startswith("filed-")
    assert given("token", "--role", "auditor").returncode == 0
