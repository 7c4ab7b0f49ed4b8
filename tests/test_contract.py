"""The committed schema is the schema."""

from pathlib import Path

import pytest
import strawberry

from app.contract import read_operations, read_schema
from schema.actor import Role
from schema.build import build_schema
from schema.contracts import check
from schema.governed import EVERYONE, check_governance, governed
from schema.visibility import visibility_table

README = Path(__file__).parents[1] / "README.md"
OPERATIONS = Path(__file__).parent / "conformance" / "operations"
COMMITTED = Path(__file__).parents[1] / "schema" / "schema.graphql"


def test_the_committed_sdl_is_the_one_that_is_served() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == build_schema().as_str() + "\n", "run: grounds schema export"


def test_the_example_operations_are_valid_within_limits_and_for_their_role() -> None:
    schema = read_schema(str(COMMITTED))
    operations = read_operations([OPERATIONS])
    assert len(operations) >= 13
    for operation in operations:
        role = Path(operation.file).read_text(encoding="utf-8").partition("\n")[0].removeprefix("# as ")
        assert check(schema, operation, Role(role)) == [], operation.file


def test_the_readmes_table_of_who_reads_what_is_the_one_that_is_enforced() -> None:
    table = visibility_table(build_schema().core)
    assert table in README.read_text(encoding="utf-8"), "run: grounds schema visibility, and put it into the README"


def test_a_field_that_does_not_declare_its_readers_does_not_start() -> None:
    @strawberry.type
    class Query:
        declared: str = governed(EVERYONE, resolver=lambda: "")
        silent: str = strawberry.field(resolver=lambda: "")

    with pytest.raises(TypeError, match=r"Query\.silent"):
        check_governance(strawberry.Schema(query=Query)._schema)
