"""Compatibility: every kind of change is found, has a severity, and names the operations that it affects."""

from enum import Enum
from typing import NamedTuple

import pytest
from graphql import BreakingChangeType, DangerousChangeType, build_schema, parse
from graphql.utilities.find_schema_changes import SafeChangeType

from grounds_client.contract.compatibility import (
    Severity,
    Verdict,
    affected_operations,
    check_operation,
    newly_invalid_operations,
    schema_changes,
)
from grounds_client.contract.usage import used_coordinates
from grounds_client.documents import Operation, split_operations
from schema.actor import Role

SDL = """
directive @governed(readers: [Role!]!) on FIELD_DEFINITION
directive @page(size: Int, from: Int) repeatable on QUERY | FIELD
enum Role { AUDITOR TRAINING_CLIENT }
enum Kind { POST MESSAGE }
scalar Day
input Filter { day: Day, kind: Kind, language: String, most: Int = 5 }
interface Node { id: ID! }
interface Old { old: String @deprecated(reason: "read text") }
type Item implements Node {
  id: ID! @governed(readers: [AUDITOR, TRAINING_CLIENT])
  text(length: Int = 5, from: Int): String! @governed(readers: [TRAINING_CLIENT])
  kind: Kind! @governed(readers: [AUDITOR, TRAINING_CLIENT])
  old: String @deprecated(reason: "read text") @governed(readers: [AUDITOR])
}
type Note { body: String @governed(readers: [AUDITOR]) }
union Found = Item | Note
type Query {
  items(filter: Filter, first: Int): [Item!]! @governed(readers: [AUDITOR, TRAINING_CLIENT])
  node(id: ID!): Node @governed(readers: [AUDITOR, TRAINING_CLIENT])
  found: Found @governed(readers: [AUDITOR])
}
"""
PULL = """query Pull($filter: Filter) { items(filter: $filter, first: 3) { ...Read } }
fragment Read on Item { text(length: 2) kind }"""
WALK = """query Walk @page(size: 3) { node(id: "a") { id } found { ... on Note { body } } }"""
OLD = build_schema(SDL)


class Case(NamedTuple):
    """A change of the SDL: its kind, what is replaced by what, and the operations that it affects."""

    kind: str
    before: str
    after: str
    whose: set[str]

    def schema(self) -> str:
        """Write the SDL as it is after the change."""
        assert self.before in SDL
        text = SDL.replace(self.before, self.after, 1)
        if self.kind == "TYPE_CHANGED_KIND":  # a union has object types
            text = text.replace("Item | Note", "Item")
        return text


BREAKING = [
    Case("TYPE_REMOVED", "scalar Day\ninput Filter { day: Day, ", "input Filter { ", {"Pull"}),
    Case("TYPE_CHANGED_KIND", "type Note { body: String @governed(readers: [AUDITOR]) }", "scalar Note", {"Walk"}),
    Case("TYPE_REMOVED_FROM_UNION", "Item | Note", "Item", {"Walk"}),
    Case("VALUE_REMOVED_FROM_ENUM", "POST MESSAGE", "POST", {"Pull"}),
    Case("REQUIRED_INPUT_FIELD_ADDED", "language: String,", "language: String, age: Int!,", {"Pull"}),
    Case("IMPLEMENTED_INTERFACE_REMOVED", "type Item implements Node", "type Item", {"Pull"}),
    Case("FIELD_REMOVED", "kind: Kind!", "sort: Kind!", {"Pull"}),
    Case("FIELD_REMOVED", "language: String,", "", {"Pull"}),
    Case("FIELD_CHANGED_KIND", "): String!", "): Int!", {"Pull"}),
    Case("FIELD_CHANGED_KIND", "kind: Kind!", "kind: Kind", {"Pull"}),
    Case("FIELD_CHANGED_KIND", "[Item!]!", "[Item]!", {"Pull"}),
    Case("FIELD_CHANGED_KIND", "language: String,", "language: String!,", {"Pull"}),
    Case("REQUIRED_ARG_ADDED", "first: Int)", "first: Int, most: Int!)", {"Pull"}),
    Case("ARG_REMOVED", "length: Int = 5, ", "", {"Pull"}),
    Case("ARG_REMOVED", ", from: Int): String!", "): String!", set()),
    Case("ARG_CHANGED_KIND", "length: Int = 5", "length: String", {"Pull"}),
    Case("ARG_CHANGED_KIND", "first: Int)", "first: Int!)", {"Pull"}),
    Case("DIRECTIVE_REMOVED", "directive @page(size: Int, from: Int) repeatable on QUERY | FIELD", "", {"Walk"}),
    Case("DIRECTIVE_ARG_REMOVED", "size: Int, ", "", {"Walk"}),
    Case("DIRECTIVE_ARG_REMOVED", ", from: Int) repeatable", ") repeatable", set()),
    Case("REQUIRED_DIRECTIVE_ARG_ADDED", "size: Int, ", "size: Int, most: Int!, ", {"Walk"}),
    Case("DIRECTIVE_REPEATABLE_REMOVED", "repeatable ", "", {"Walk"}),
    Case("DIRECTIVE_LOCATION_REMOVED", "QUERY | FIELD", "FIELD", {"Walk"}),
    Case("GOVERNANCE_LOOSENED", "readers: [TRAINING_CLIENT]", "readers: [TRAINING_CLIENT, AUDITOR]", {"Pull"}),
    Case("GOVERNANCE_LOOSENED", "body: String @governed(readers: [AUDITOR])", "body: String", {"Walk"}),
]
DANGEROUS = [
    Case("VALUE_ADDED_TO_ENUM", "POST MESSAGE", "POST MESSAGE POLL", {"Pull"}),
    Case("TYPE_ADDED_TO_UNION", "Item | Note", "Item | Note | New type New { a: Int }", {"Walk"}),
    Case("OPTIONAL_INPUT_FIELD_ADDED", "language: String,", "language: String, age: Int,", {"Pull"}),
    Case("OPTIONAL_ARG_ADDED", "first: Int)", "first: Int, most: Int)", {"Pull"}),
    Case("IMPLEMENTED_INTERFACE_ADDED", "implements Node", "implements Node & Old", {"Pull"}),
    Case("ARG_DEFAULT_VALUE_CHANGE", "length: Int = 5", "length: Int = 6", {"Pull"}),
    Case("INPUT_FIELD_DEFAULT_VALUE_CHANGE", "most: Int = 5", "most: Int = 6", {"Pull"}),
    Case("GOVERNANCE_TIGHTENED", "[AUDITOR, TRAINING_CLIENT])", "[AUDITOR])", {"Walk"}),
]
SAFE = [
    Case("TYPE_ADDED", "scalar Day", "scalar Day scalar Night", set()),
    Case("DIRECTIVE_ADDED", "scalar Day", "scalar Day directive @new on FIELD", set()),
    Case("DIRECTIVE_REPEATABLE_ADDED", "[Role!]!) on", "[Role!]!) repeatable on", set()),
    Case("DIRECTIVE_LOCATION_ADDED", "QUERY | FIELD", "QUERY | FIELD | MUTATION", {"Walk"}),
    Case("OPTIONAL_DIRECTIVE_ARG_ADDED", "size: Int, ", "size: Int, most: Int, ", {"Walk"}),
    Case("FIELD_ADDED", "body: String", "title: String body: String", set()),
    Case("FIELD_CHANGED_KIND_SAFE", "body: String", "body: String!", {"Walk"}),
    Case("ARG_CHANGED_KIND_SAFE", "id: ID!):", "id: ID):", {"Walk"}),
    Case("ARG_DEFAULT_VALUE_ADDED", "first: Int)", "first: Int = 3)", {"Pull"}),
    Case("INPUT_FIELD_DEFAULT_VALUE_ADDED", "kind: Kind, l", "kind: Kind = POST, l", {"Pull"}),
    Case("DESCRIPTION_CHANGED", "type Note", '"What was noted." type Note', {"Walk"}),
]
DANGEROUS_NAMES = {each.name for each in DangerousChangeType}
CASES = {Severity.BREAKING: BREAKING, Severity.DANGEROUS: DANGEROUS, Severity.SAFE: SAFE}


def operations(text: str, consumer: str = "trainer") -> list[Operation]:
    return split_operations(parse(text), consumer, f"{consumer}.graphql", "unnamed", text)


OPERATIONS = operations(PULL) + operations(WALK, "walker")


@pytest.mark.parametrize(
    ("severity", "case"),
    [pytest.param(severity, case, id=case.kind) for severity, cases in CASES.items() for case in cases],
)
def test_a_change_has_a_severity_and_names_the_operations_that_it_affects(severity: Severity, case: Case) -> None:
    used = [(each, used_coordinates(each.own, OLD)) for each in OPERATIONS]
    (change,) = [each for each in schema_changes(OLD, build_schema(case.schema())) if each.kind == case.kind]
    assert change.severity is severity
    assert {each.name for each in affected_operations(change, OLD, used)} == case.whose


@pytest.mark.parametrize(
    ("severity", "kinds", "ours"),
    [
        (Severity.BREAKING, BreakingChangeType, {"GOVERNANCE_LOOSENED"}),
        (Severity.DANGEROUS, DangerousChangeType, {"GOVERNANCE_TIGHTENED"}),
        (Severity.SAFE, SafeChangeType, set()),
    ],
)
def test_every_kind_of_change_that_graphql_knows_has_a_case(
    severity: Severity, kinds: type[Enum], ours: set[str]
) -> None:
    # Two names stand among the safe ones too, where graphql-core gives them to nothing.
    meant = {each.name for each in kinds} - (DANGEROUS_NAMES if severity is Severity.SAFE else set())
    assert {case.kind for case in CASES[severity]} == meant | ours, "a new kind of change: give it a case"


def test_a_field_that_other_roles_may_read_is_loosened_and_tightened() -> None:
    new = build_schema(SDL.replace("readers: [TRAINING_CLIENT])", "readers: [AUDITOR])", 1))
    assert [each.kind for each in schema_changes(OLD, new)] == ["GOVERNANCE_LOOSENED", "GOVERNANCE_TIGHTENED"]


def test_a_schema_that_did_not_change_has_no_changes() -> None:
    assert schema_changes(OLD, build_schema(SDL)) == []


def test_only_operations_that_were_valid_and_are_not_are_broken() -> None:
    new = build_schema(SDL.replace("kind: Kind!", "sort: Kind!", 1))
    never = operations("{ nothing }", "wrong")
    told = newly_invalid_operations(OLD, new, OPERATIONS + never)
    assert [(operation.name, [each.line for each in findings]) for operation, findings in told] == [("Pull", [2])]


def test_an_operation_uses_what_its_fragments_variables_and_interfaces_do() -> None:
    pull, walk = (used_coordinates(each.own, OLD) for each in OPERATIONS)
    assert pull >= {"Item.text", "Item.text(length:)", "Query.items(filter:)", "Filter", "Kind"}
    assert walk >= {"Node.id", "Item.id", "Note.body", "Found"}
    assert "Item.text" not in walk
    (literal,) = operations("{ items(filter: {kind: POST}) @include(if: true) { id } }")
    assert used_coordinates(literal.own, OLD) >= {"Filter.kind", "Kind.POST", "@include", "@include(if:)"}


def test_an_operation_that_is_not_valid_fails_and_its_line_is_told() -> None:
    (operation,) = operations("{\n  items { nothing }\n}")
    (finding,) = check_operation(OLD, operation)
    assert (finding.verdict, finding.line) == (Verdict.FAILS, 2)
    assert "nothing" in finding.message


def test_what_is_deprecated_is_told() -> None:
    (finding,) = check_operation(OLD, operations("{ items { old } }")[0])
    assert finding.verdict is Verdict.DEPRECATED
    assert "read text" in finding.message


def test_what_is_over_our_limits_is_told() -> None:
    aliases = " ".join(f"a{number}: id" for number in range(16))
    (finding,) = check_operation(OLD, operations(f"{{ items {{ {aliases} }} }}")[0])
    assert finding.verdict is Verdict.LIMIT


def test_a_role_is_told_what_it_may_not_read() -> None:
    pull, walk = OPERATIONS
    assert check_operation(OLD, pull, Role.TRAINING_CLIENT) == []
    assert [each.message.partition(" ")[0] for each in check_operation(OLD, pull, Role.AUDITOR)] == ["Item.text"]
    found = check_operation(OLD, walk, Role.TRAINING_CLIENT)
    assert [each.message.partition(" ")[0] for each in found] == ["Query.found", "Note.body"]


def test_what_a_role_may_not_read_is_reported_beside_what_is_not_valid() -> None:
    (operation,) = operations("{\n  items { id\n    nothing\n    text } }")
    found = check_operation(OLD, operation, Role.AUDITOR)
    assert [(each.line, each.message.partition(" may not")[0]) for each in found] == [
        (3, "Cannot query field 'nothing' on type 'Item'."),
        (4, "Item.text is for TRAINING_CLIENT; AUDITOR"),
    ]


def test_introspection_is_not_a_question_of_roles() -> None:
    (operation,) = operations("{ __typename __schema { types { name } } }")
    assert check_operation(OLD, operation, Role.AUDITOR) == []


def test_a_field_without_readers_is_for_nobody() -> None:
    bare = build_schema("type Query { a: Int }")
    (finding,) = check_operation(bare, operations("{ a __typename }")[0], Role.AUDITOR)
    assert finding.verdict is Verdict.FAILS
