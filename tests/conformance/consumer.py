"""What consumers' projects stand on: a folder with the operation and the schema, and the day when the schema breaks."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from typer.testing import CliRunner

from app.cli.main import app
from schema.actor import Role
from tests.conformance.served import SDL, Served, load, served

PROJECTS = Path(__file__).parent / "consumers"
FIELD = "text"
COUNT = """query Count($after: String) {
  contents(first: 100, after: $after) { nodes { eligibility { permitted } } pageInfo { hasNextPage endCursor } }
}"""


def make_project(name: str, folder: Path) -> Path:
    """Lay out a consumer's project: its own files, its operations or the one that others share, and our SDL."""
    project = folder / name
    shutil.copytree(PROJECTS / name, project)
    if not (project / "operations").exists():
        shutil.copytree(PROJECTS / "operations", project / "operations")
    shutil.copy(SDL, project)
    return project


def break_schema(project: Path, kind: str = "TrainableContent", field: str = FIELD) -> None:
    """Take the field away that the operation reads, as a new version of the schema may."""
    schema = project / "schema.graphql"
    before = schema.read_text()
    head, found, after = before.partition(f"\ntype {kind} ")
    assert found, f"the schema has {kind}"
    schema.write_text(head + found + after.replace(f"\n  {field}: ", "\n  words: ", 1))


def must_pass(command: Sequence[str], project: Path) -> None:
    """Run a consumer's command; raise SystemExit where it fails."""
    done = subprocess.run(command, cwd=project, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: ended with {done.returncode} (see above)")


def must_fail(command: Sequence[str], project: Path, word: str = FIELD) -> None:
    """Run a consumer's command, which must fail and name what is not there; raise SystemExit otherwise."""
    done = subprocess.run(command, cwd=project, check=False, capture_output=True, text=True)
    output = done.stdout + done.stderr
    name = Path(command[0]).name
    if done.returncode == 0 or word not in output:
        raise SystemExit(f"{name}: ended with {done.returncode} on a change that breaks it, and told:\n{output}")
    (line, *_) = (each.strip() for each in output.splitlines() if word in each)
    print(f"{name} fails as it must: {line[:160]}", flush=True)


async def pull(command: Sequence[str], project: Path, **settings: Any) -> None:
    """Serve the demo's population, and let a client pull all of it; raise SystemExit unless it counts what is there."""
    async with served(project, **settings) as gateway:
        await load(gateway)
        permitted = await count(gateway)
        os.environ["GROUNDS_TOKEN"] = gateway.token(Role.TRAINING_CLIENT)
        printed = await asyncio.to_thread(
            subprocess.run, [*command, gateway.endpoint], cwd=project, capture_output=True, text=True, check=False
        )
    if printed.stdout.strip() != str(permitted):
        raise SystemExit(f"{permitted} items are permitted, and the client counted {printed.stdout}{printed.stderr}")
    print(f"{permitted} of {permitted} items came, typed", flush=True)


async def count(gateway: Served) -> int:
    """Count what is permitted, as an officer."""
    headers = {"Authorization": f"Bearer {gateway.token(Role.PRIVACY_OFFICER)}"}
    permitted, after, more = 0, None, True
    async with httpx.AsyncClient(headers=headers, timeout=60) as client:
        while more:
            asked = {"query": COUNT, "variables": {"after": after}}
            page = (await client.post(gateway.endpoint, json=asked)).json()["data"]["contents"]
            permitted += sum(item["eligibility"]["permitted"] for item in page["nodes"])
            after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    return permitted


def check_must_fail(project: Path, operations: str, field: str = FIELD) -> None:
    """Run the gateway's own check, which must fail; raise SystemExit otherwise."""
    asked = ["contract", "check", project / operations, "--schema", project / "schema.graphql"]
    done = CliRunner().invoke(app, [str(each) for each in asked])
    if done.exit_code != 1 or f"'{field}'" not in done.stdout:
        raise SystemExit(f"grounds contract check: ended with {done.exit_code}, and told:\n{done.output}")
    print(f"grounds contract check fails as it must: {done.stdout.splitlines()[1].strip()[-160:]}", flush=True)
