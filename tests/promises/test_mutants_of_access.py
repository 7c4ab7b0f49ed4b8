"""Remove one protection at a time, and show what notices: readers of a field, a check, a grant, a rule of a row."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLObjectType

from schema.actor import Role
from schema.build import build_schema
from schema.execution.row_compiler import Compiler
from schema.governed import ANYONE, Governance, governance_of
from tests.db.access.test_verification import BREACHES, POLICIES, found_after
from tests.support.facts import NOW, fact
from tests.support.gateway import TestGateway, open_gateway
from tests.support.mutants import Killed
from tests.support.repository import SCHEMA_FILE

COMMITTED = SCHEMA_FILE.read_text(encoding="utf-8")
LOOKS = {
    "TrainableContent.text": (Role.AUDITOR, "{ trainableContent(first: 1) { nodes { text } } }"),
    "Content.textPreview": (Role.AUDITOR, "{ contents(first: 1) { nodes { textPreview } } }"),
    "Content.textSha256": (Role.PRIVACY_OFFICER, "{ contents(first: 1) { nodes { textSha256 } } }"),
    "Content.platformId": (Role.DATA_SUBJECT, "{ contents(first: 1) { nodes { platformId } } }"),
    "Account.birthYear": (Role.AUDITOR, "{ accounts(first: 1) { nodes { birthYear } } }"),
    "Policy.document": (Role.TRAINING_CLIENT, "{ policy { document } }"),
}


def governed_fields() -> dict[str, Governance]:
    """Return the declarations of all fields that not everyone may read, by type and name."""
    found = {
        f"{name}.{field_name}": governance_of(field)
        for name, kind in build_schema().core.type_map.items()
        if isinstance(kind, GraphQLObjectType) and not name.startswith("__")
        for field_name, field in kind.fields.items()
    }
    return {name: declared for name, declared in found.items() if declared and declared.readers != frozenset(ANYONE)}


@pytest.mark.parametrize(
    "each", [25, pytest.param(5, marks=pytest.mark.ci), pytest.param(1, marks=pytest.mark.long)], ids="every {}".format
)
def test_a_field_that_one_more_role_may_read_is_another_contract(
    monkeypatch: pytest.MonkeyPatch, killed: Killed, each: int
) -> None:
    fields = list(governed_fields().items())[::each]
    assert len(fields) > 60 / each
    for name, governance in fields:
        with monkeypatch.context() as patch:
            patch.setattr(governance, "readers", frozenset(ANYONE))
            served = Counter(build_schema().as_str().splitlines())
        differing = [line.strip() for line in served - Counter(COMMITTED.splitlines())]
        killed(f"{name} readable by everyone", "a field", f"the contract: {differing[0]}" if differing else None)


async def test_a_check_that_is_skipped_is_seen_by_asking(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    async with open_gateway(database_url, tmp_path) as gateway:
        gateway.set_clock(NOW)
        await gateway.ingest([fact("account"), fact("notice"), fact("content")])
        for name in LOOKS:
            assert await read_forbidden_field(gateway, name) is None, name
        with monkeypatch.context() as patch:
            patch.setattr(Governance, "_check", lambda *_: None)
            for name in ("Content.textPreview", "Content.textSha256", "Account.birthYear", "Policy.document"):
                killed(f"{name} is not checked", "the resolver's check", await read_forbidden_field(gateway, name))


async def test_a_check_that_the_compiled_path_skips_is_seen_by_asking(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    gateway.set_clock(NOW)
    await gateway.ingest([fact("account"), fact("notice"), fact("content")])
    fields = governed_fields()
    monkeypatch.setattr(fields["TrainableContent.text"], "readers", frozenset({Role.PRIVACY_OFFICER}))
    query = "{ trainableContent(first: 1) { nodes { %s } } }"
    checked = await gateway.post(Role.TRAINING_CLIENT, query % "id text")
    assert {error["extensions"]["code"] for error in checked.json()["errors"]} == {"FORBIDDEN"}

    def unchecked(_: Compiler, kind: GraphQLObjectType, name: str) -> Any:
        governance = governance_of(kind.fields[name])
        return type("Unchecked", (), {"check": lambda *_: None, "source": governance and governance.source})()

    monkeypatch.setattr(Compiler, "_governance", unchecked)
    answer = (await gateway.post(Role.TRAINING_CLIENT, query % "text id")).json()
    noticed = None if "errors" in answer else f"asking: {answer['data']['trainableContent']['nodes'][0]['text']!r}"
    killed("TrainableContent.text is not checked", "the compiled path's check", noticed)


async def read_forbidden_field(gateway: TestGateway, name: str) -> str | None:
    """Ask for a field as a role that may not read it; return what came, if anything did."""
    role, query = LOOKS[name]
    claims: dict[str, Any] = {"subject": "author"} if role is Role.DATA_SUBJECT else {}
    answer = (await gateway.post(role, query, **claims)).json()
    if "errors" in answer:
        assert {error["extensions"]["code"] for error in answer["errors"]} == {"FORBIDDEN"}, answer
        return None
    return f"asking as {role}: {str(answer['data'])[:80]}"


def test_access_that_is_not_declared_is_noticed(database_url: str, killed: Killed) -> None:
    for check, breaches in BREACHES.items():
        for breach in breaches:
            killed(breach, "access check", first(found_after(database_url, breach), check))


@pytest.mark.ci
def test_a_rule_of_row_security_that_is_dropped_is_noticed(database_url: str, killed: Killed) -> None:
    for table, role, _ in POLICIES:
        found = found_after(database_url, f"DROP POLICY {role} ON grounds.{table}")
        killed(f"no rule for {role} on {table}", "row security", first(found, "row security"))


def first(found: list[str], check: str) -> str | None:
    """Name the gap that the start-up check found."""
    return next((f"the start: {gap.partition(': ')[2]}" for gap in found if gap.startswith(check)), None)
