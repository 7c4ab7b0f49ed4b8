"""`grounds contract check` against a running gateway, whose schema it asks for."""

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli import app
from schema.actor import Role
from tests.app.test_edges import opened
from tests.conformance.inspector import FOLDER
from tests.gateway import TestGateway


async def check(gateway: TestGateway, *operations: Path, token: str | None) -> Result:
    arguments = ["contract", "check", *map(str, operations), "--schema", f"{gateway.address}/graphql"]
    return await asyncio.to_thread(CliRunner().invoke, app, arguments, env={"GROUNDS_TOKEN": token})


async def test_operations_are_checked_against_what_the_gateway_tells_of_itself(
    gateway: TestGateway, tmp_path: Path
) -> None:
    token = gateway.token(Role.TRAINING_CLIENT)
    done = await check(gateway, FOLDER, token=token)
    assert done.exit_code == 0, done.output
    bad = tmp_path / "bad.graphql"
    bad.write_text("query Bad { nothing }")
    done = await check(gateway, FOLDER, bad, token=token)
    assert done.exit_code == 1
    assert "Bad: fails: line 1: Cannot query field 'nothing'" in done.stdout


@pytest.mark.parametrize("token", [None, "wrong"])
async def test_a_gateway_that_wants_a_token_is_told_apart(gateway: TestGateway, token: str | None) -> None:
    done = await check(gateway, FOLDER, token=token)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "the gateway answered 401 (put a token that it accepts into GROUNDS_TOKEN)" in done.stderr


async def test_a_gateway_that_does_not_let_itself_be_introspected_is_told_apart(
    database_url: str, tmp_path: Path
) -> None:
    async with opened(database_url, tmp_path / "data", introspection=False) as gateway:
        done = await check(gateway, FOLDER, token=gateway.token(Role.AUDITOR))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "does not tell its schema" in done.stderr
    assert "where GROUNDS_INTROSPECTION is off, name an SDL file" in done.stderr
