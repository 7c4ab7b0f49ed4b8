"""The committed schema is the schema."""

from pathlib import Path

import pytest
import strawberry

from grounds_client.contract.compatibility import check_operation
from grounds_client.contract.loader import read_operations, read_schema
from schema.actor import Role
from schema.build import build_schema
from schema.governed import EVERYONE, check_governance, governed
from tests.support.repository import ROOT, SCHEMA_FILE

OPERATIONS = ROOT / "tests" / "conformance" / "operations"


def test_the_committed_sdl_is_the_one_that_is_served() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == build_schema().as_str() + "\n", "run: grounds schema export"


def test_the_example_operations_are_valid_within_limits_and_for_their_role() -> None:
    schema = read_schema(str(SCHEMA_FILE))
    operations = read_operations([OPERATIONS])
    assert len(operations) >= 13
    for operation in operations:
        role = Path(operation.file).read_text(encoding="utf-8").partition("\n")[0].removeprefix("# as ")
        assert check_operation(schema, operation, Role(role)) == [], operation.file


def test_a_field_that_does_not_declare_its_readers_does_not_start() -> None:
    @strawberry.type
    class Query:
        declared: str = governed(EVERYONE, resolver=lambda: "")
        silent: str = strawberry.field(resolver=lambda: "")

    with pytest.raises(TypeError, match=r"Query\.silent"):
        check_governance(strawberry.Schema(query=Query)._schema)
