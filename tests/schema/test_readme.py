"""The README of schema tells the truth: its queries are answered, its table is enforced, and it names every role."""

import re
from importlib.util import find_spec

from schema.actor import Role
from schema.build import build_schema
from schema.visibility import visibility_table
from tests.support.documents import block
from tests.support.gateway import TestGateway
from tests.support.repository import ROOT

DOCUMENT = "schema/README.md"
README = (ROOT / DOCUMENT).read_text(encoding="utf-8")


async def test_its_queries_are_answered(gateway: TestGateway) -> None:
    await gateway.ingest(block("db/README.md", "facts").splitlines())
    asked = {"pull": Role.TRAINING_CLIENT, "release": Role.TRAINING_CLIENT} | dict.fromkeys(
        ("explain", "webhook", "hold", "as of", "coverage"), Role.PRIVACY_OFFICER
    )
    asked["counts"] = Role.TRAINING_CLIENT
    assert len(asked) + 2 == len(re.findall(r"```graphql\n", README))  # see test_availability.py for one of them
    await gateway.take_coverage()
    receipt = (await gateway.pull())[0]["reason"]["receipt"]
    await gateway.ask(Role.TRAINING_CLIENT, block(DOCUMENT, "run"), {"first": receipt, "last": receipt})
    for name, role in asked.items():
        if name != "release" or find_spec("pyarrow"):
            await gateway.ask(role, block(DOCUMENT, name))


def test_its_table_of_who_reads_what_is_the_one_that_is_enforced() -> None:
    table = visibility_table(build_schema().core)
    assert table in README, "run: grounds schema visibility, and put it into schema/README.md"


def test_it_names_every_role() -> None:
    for role in Role:
        assert f"| `{role}` |" in README
