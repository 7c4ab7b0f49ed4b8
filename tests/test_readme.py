"""The README tells the truth: its query is answered with the fields that it shows, and its links lead somewhere."""

import json
import re

from db.policy.conditions import CONDITIONS
from db.policy.grounds import GROUNDS, GroundCode
from schema.actor import Role
from tests.support.documents import block
from tests.support.gateway import TestGateway
from tests.support.repository import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


async def test_its_query_is_answered_with_the_fields_that_it_shows(gateway: TestGateway) -> None:
    await gateway.ingest(block("db/README.md", "facts").splitlines())
    (item,) = (await gateway.ask(Role.TRAINING_CLIENT, block("README.md", "pull")))["trainableContent"]["nodes"]
    shown = json.loads(block("README.md", "item"))
    assert item.keys() == shown.keys()
    assert item["reason"].keys() == shown["reason"].keys()
    assert item["reason"]["legalBasis"] == shown["reason"]["legalBasis"]
    assert item["reason"]["summary"] == shown["reason"]["summary"]
    conditions = {entry["code"] for entry in item["reason"]["conditions"]}
    assert len(conditions) == len(GROUNDS[GroundCode.PUBLIC_CONTENT].required)
    assert {entry["code"] for entry in shown["reason"]["conditions"]} <= conditions


def test_it_has_the_two_commands_and_at_most_160_lines() -> None:
    assert "```sh\n./run grounds demo\n./run pytest\n```" in README
    assert len(README.splitlines()) <= 160


def test_its_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_each_rule_is_held_by_tests_that_exist() -> None:
    page = (ROOT / "tests" / "RULES.md").read_text(encoding="utf-8")
    rows = [row for row in re.findall(r"^\| (.+) \| (.+) \|$", page, re.MULTILINE) if row[1] != "proved by"]
    held = {rule: re.findall(r"`([\w/]+\.py)::(test_\w+)`", tests) for rule, tests in rows}
    assert len(held) > 60
    assert [rule for rule, tests in held.items() if not tests] == []
    named = sorted({test for tests in held.values() for test in tests})
    text = {file: (ROOT / "tests" / file).read_text(encoding="utf-8") for file, _ in named}
    assert [f"{file}::{test}" for file, test in named if f"def {test}(" not in text[file]] == []
    rules = " ".join(held)
    assert [condition.code for condition in CONDITIONS if condition.code not in rules] == []
