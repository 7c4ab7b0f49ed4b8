"""The README tells the truth: its commands run, its query answers, its settings are all there are."""

import json
import re
import subprocess
import sys
from pathlib import Path

from app.settings import Settings
from db.policy.grounds import GROUNDS
from schema.actor import Role
from tests.gateway import TestGateway

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def grounds(*arguments: str, data: Path, input: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from app.cli import main; main()", *arguments]
    environment = {"GROUNDS_DATA": str(data), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, cwd=ROOT, env=environment, input=input, capture_output=True, text=True, check=False)


async def test_its_queries_answer_with_the_fields_that_it_shows(gateway: TestGateway) -> None:
    facts = blocks("json")[1]
    await gateway.ingest(facts.splitlines())
    pull, explain, *_ = blocks("graphql")
    page = (await gateway.ask(Role.TRAINING_CLIENT, pull))["trainableContent"]
    shown = json.loads(blocks("json")[0])
    (item,) = page["nodes"]
    assert item.keys() == shown.keys()
    assert item["reason"].keys() == shown["reason"].keys()
    assert item["reason"]["legalBasis"] == shown["reason"]["legalBasis"]
    assert item["reason"]["summary"] == shown["reason"]["summary"]
    assert len(item["reason"]["conditions"]) == len(GROUNDS["PUBLIC_CONTENT"].required)  # type: ignore[index]  # a str enumeration
    assert {entry["code"] for entry in shown["reason"]["conditions"]} <= {
        entry["code"] for entry in item["reason"]["conditions"]
    }
    told = await gateway.ask(Role.PRIVACY_OFFICER, explain.replace("content-17", "c-1"))
    assert told["eligibility"]["permitted"]
    for query in blocks("graphql")[2:]:
        await gateway.ask(Role.PRIVACY_OFFICER, query)


def test_its_commands_run(tmp_path: Path) -> None:
    facts = tmp_path / "facts.ndjson"
    facts.write_text(blocks("json")[1])
    assert grounds("ingest", str(facts), data=tmp_path / "data").returncode == 0
    assert "./run grounds demo\n./run pytest\n" in blocks("sh")[0]
    for line in blocks("sh")[1].splitlines():
        arguments = line.removeprefix("./run grounds ").split()
        outcome = grounds(*arguments, data=tmp_path / "data")
        assert outcome.returncode == 0, outcome.stderr
    token = grounds("token", "--role", "PRIVACY_OFFICER", data=tmp_path / "data")
    assert token.stdout.count(".") == 2


def test_it_names_every_setting_and_no_other() -> None:
    names = {str(field.validation_alias or f"GROUNDS_{name.upper()}") for name, field in Settings.model_fields.items()}
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", README, re.MULTILINE)) - {str(role) for role in Role} == names


def test_it_names_every_role() -> None:
    for role in Role:
        assert f"| `{role}` |" in README
