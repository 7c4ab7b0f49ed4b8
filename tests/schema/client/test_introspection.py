"""`contract check` against a running gateway, by the schema that the gateway returns."""

import asyncio
import os
import sys
from pathlib import Path

from schema.actor import Role
from tests.app.http.test_middleware import opened
from tests.conformance.inspector import FOLDER
from tests.schema.client.projects import Done
from tests.support.gateway import TestGateway


async def check(gateway: TestGateway, *operations: Path, token: str | None, program: str = "grounds-client") -> Done:
    """Run the check as a process of its own, since the gateway logs in this one."""
    asked = ("contract", "check", *map(str, operations), "--schema", f"{gateway.address}/graphql")
    return await run_program(program, *asked, token=token)


async def run_program(name: str, *arguments: str, token: str | None) -> Done:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GROUNDS_")}
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name(name),
        *arguments,
        env=environment | ({"GROUNDS_TOKEN": token} if token else {}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    stdout, stderr = await process.communicate()
    assert process.returncode is not None
    return Done(process.returncode, stdout.decode(), stderr.decode())


async def test_operations_are_checked_against_the_schema_that_the_gateway_returns(
    gateway: TestGateway, tmp_path: Path
) -> None:
    token = gateway.token(Role.TRAINING_CLIENT)
    done = await check(gateway, FOLDER, token=token)
    assert done.exit_code == 0, done.output
    bad = tmp_path / "bad.graphql"
    bad.write_text("query Bad { nothing }")
    for program in ("grounds-client", "grounds"):
        done = await check(gateway, FOLDER, bad, token=token, program=program)
        assert done.exit_code == 1
        assert "Bad: fails: line 1: Cannot query field 'nothing'" in done.stdout
    for wrong in (None, "wrong"):
        done = await check(gateway, FOLDER, token=wrong)
        assert (done.exit_code, done.stdout) == (2, "")
        assert (
            "the gateway answered with status 401 (set GROUNDS_TOKEN to a token that the gateway accepts)"
            in done.stderr
        )


async def test_a_gateway_that_does_not_let_itself_be_introspected_is_named(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url, tmp_path / "data", introspection=False) as gateway:
        done = await check(gateway, FOLDER, token=gateway.token(Role.AUDITOR))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "does not return its schema" in done.stderr
    assert "or pass an SDL file if GROUNDS_INTROSPECTION is off" in done.stderr
