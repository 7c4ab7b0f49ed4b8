"""The operations of the pages: valid within the schema's limits, and readable by the roles that a page is for."""

import pytest
from graphql import build_schema as build_sdl
from graphql import parse

from app.web.pages import load_operations
from grounds_client.contract.compatibility import Finding, check_operation
from grounds_client.documents import split_operations
from schema.actor import Role
from schema.governed import STAFF
from tests.support.repository import SCHEMA_FILE

SDL = build_sdl(SCHEMA_FILE.read_text(encoding="utf-8"))
READ_BY_STAFF = ("overview", "overview_before", "conditions", "representation")
READ_BY_EXAMINERS = ("notices", "objections", "clients", "explain")
READ_BY_DATA_SUBJECTS = ("my_data", "my_deliveries")


def findings(name: str, role: Role | None = None) -> list[Finding]:
    text = load_operations()[name]
    (operation,) = split_operations(parse(text), "pages", name, name, text)
    return check_operation(SDL, operation, role)


def test_every_operation_is_valid_for_the_committed_schema_and_within_its_limits() -> None:
    assert {name: found for name in load_operations() if (found := findings(name))} == {}


@pytest.mark.parametrize("role", STAFF)
def test_what_all_staff_may_see_is_read_by_fields_that_all_may_read(role: Role) -> None:
    assert [finding for name in READ_BY_STAFF for finding in findings(name, role)] == []


def test_what_is_closed_to_dashboards_is_closed_in_the_schema() -> None:
    for name in READ_BY_EXAMINERS:
        assert "DASHBOARD may not read it" in findings(name, Role.DASHBOARD)[0].message, name


def test_what_a_person_sees_is_read_by_fields_that_data_subjects_may_read_and_training_clients_may_not() -> None:
    for name in READ_BY_DATA_SUBJECTS:
        assert findings(name, Role.DATA_SUBJECT) == []
        assert "TRAINING_CLIENT may not read it" in findings(name, Role.TRAINING_CLIENT)[0].message, name
