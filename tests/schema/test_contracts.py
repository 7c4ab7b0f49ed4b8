"""Contracts: every kind of change is found and weighed, and tells whose operations it touches."""

import pytest
from graphql import build_schema, parse

from schema.contracts import Operation, Verdict, Weight, broken, changes, check, operations_of, touched
from schema.usage import used_by
from schema.values import Role

SDL = """
directive @governed(readers: [Role!]!) on FIELD_DEFINITION
enum Role { AUDITOR TRAINING_CLIENT }
enum Kind { POST MESSAGE }
input Filter { kind: Kind, language: String }
interface Node { id: ID! }
type Item implements Node {
  id: ID! @governed(readers: [AUDITOR, TRAINING_CLIENT])
  text(length: Int = 5): String! @governed(readers: [TRAINING_CLIENT])
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
WALK = """query Walk { node(id: "a") { id } found { ... on Note { body } } }"""
OLD = build_schema(SDL)


def operations(text: str, consumer: str = "trainer") -> list[Operation]:
    return operations_of(parse(text), consumer, f"{consumer}.graphql", "unnamed")


OPERATIONS = operations(PULL) + operations(WALK, "walker")


@pytest.mark.parametrize(
    ("before", "after", "kind", "weight", "whose"),
    [
        ("kind: Kind!", "sort: Kind!", "FIELD_REMOVED", Weight.BREAKING, {"Pull"}),
        ("): String!", "): Int!", "FIELD_CHANGED_KIND", Weight.BREAKING, {"Pull"}),
        ("(length: Int = 5)", "", "ARG_REMOVED", Weight.BREAKING, {"Pull"}),
        ("length: Int = 5", "length: String", "ARG_CHANGED_KIND", Weight.BREAKING, {"Pull"}),
        ("first: Int)", "first: Int, most: Int!)", "REQUIRED_ARG_ADDED", Weight.BREAKING, {"Pull"}),
        ("POST MESSAGE", "POST", "VALUE_REMOVED_FROM_ENUM", Weight.BREAKING, {"Pull"}),
        ("language: String }", "language: String! }", "FIELD_CHANGED_KIND", Weight.BREAKING, {"Pull"}),
        (
            "language: String }",
            "language: String, age: Int! }",
            "REQUIRED_INPUT_FIELD_ADDED",
            Weight.BREAKING,
            {"Pull"},
        ),
        ("Item | Note", "Item", "TYPE_REMOVED_FROM_UNION", Weight.BREAKING, {"Walk"}),
        ("type Item implements Node", "type Item", "IMPLEMENTED_INTERFACE_REMOVED", Weight.BREAKING, {"Pull"}),
        ("type Note {", "interface Note {", "TYPE_CHANGED_KIND", Weight.BREAKING, {"Walk"}),
        (
            "readers: [TRAINING_CLIENT]",
            "readers: [TRAINING_CLIENT, AUDITOR]",
            "GOVERNANCE_LOOSENED",
            Weight.BREAKING,
            {"Pull"},
        ),
        (
            "body: String @governed(readers: [AUDITOR])",
            "body: String",
            "GOVERNANCE_LOOSENED",
            Weight.BREAKING,
            {"Walk"},
        ),
        (
            "id: ID! @governed(readers: [AUDITOR, TRAINING_CLIENT])",
            "id: ID! @governed(readers: [AUDITOR])",
            "GOVERNANCE_TIGHTENED",
            Weight.DANGEROUS,
            {"Walk"},
        ),
        ("POST MESSAGE", "POST MESSAGE POLL", "VALUE_ADDED_TO_ENUM", Weight.DANGEROUS, {"Pull"}),
        ("length: Int = 5", "length: Int = 6", "ARG_DEFAULT_VALUE_CHANGE", Weight.DANGEROUS, {"Pull"}),
        ("first: Int)", "first: Int, most: Int)", "OPTIONAL_ARG_ADDED", Weight.DANGEROUS, {"Pull"}),
        ("body: String", "title: String body: String", "FIELD_ADDED", Weight.SAFE, set()),
    ],
)
def test_a_change_is_weighed_and_tells_whom_it_touches(
    before: str, after: str, kind: str, weight: Weight, whose: set[str]
) -> None:
    assert before in SDL
    used = [(each, used_by(each.own, OLD)) for each in OPERATIONS]
    text = SDL.replace(before, after, 1)
    if after.startswith("interface"):  # a union has object types
        text = text.replace("Item | Note", "Item")
    (change,) = [each for each in changes(OLD, build_schema(text)) if each.kind == kind]
    assert change.weight is weight
    assert {each.name for each in touched(change, OLD, used)} == whose


def test_a_field_that_other_roles_may_read_is_loosened_and_tightened() -> None:
    new = build_schema(SDL.replace("readers: [TRAINING_CLIENT])", "readers: [AUDITOR])", 1))
    assert [each.kind for each in changes(OLD, new)] == ["GOVERNANCE_LOOSENED", "GOVERNANCE_TIGHTENED"]


def test_a_schema_that_did_not_change_has_no_changes() -> None:
    assert changes(OLD, build_schema(SDL)) == []


def test_only_operations_that_were_valid_and_are_not_are_broken() -> None:
    new = build_schema(SDL.replace("kind: Kind!", "sort: Kind!", 1))
    never = operations("{ nothing }", "wrong")
    assert [each.name for each in broken(OLD, new, OPERATIONS + never)] == ["Pull"]


def test_an_operation_uses_what_its_fragments_variables_and_interfaces_do() -> None:
    pull, walk = (used_by(each.own, OLD) for each in OPERATIONS)
    assert pull >= {"Item.text", "Item.text(length:)", "Query.items(filter:)", "Filter", "Kind"}
    assert walk >= {"Node.id", "Item.id", "Note.body", "Found"}
    assert "Item.text" not in walk
    (literal,) = operations("{ items(filter: {kind: POST}) @include(if: true) { id } }")
    assert used_by(literal.own, OLD) >= {"Filter.kind", "Kind.POST", "@include", "@include(if:)"}


def test_an_operation_that_is_not_valid_fails_and_its_line_is_told() -> None:
    (operation,) = operations("{\n  items { nothing }\n}")
    (finding,) = check(OLD, operation)
    assert (finding.verdict, finding.line) == (Verdict.FAILS, 2)
    assert "nothing" in finding.message


def test_what_is_deprecated_is_told() -> None:
    (finding,) = check(OLD, operations("{ items { old } }")[0])
    assert finding.verdict is Verdict.DEPRECATED
    assert "read text" in finding.message


def test_what_is_over_our_limits_is_told() -> None:
    aliases = " ".join(f"a{number}: id" for number in range(16))
    (finding,) = check(OLD, operations(f"{{ items {{ {aliases} }} }}")[0])
    assert finding.verdict is Verdict.LIMIT


def test_a_role_is_told_what_it_may_not_read() -> None:
    pull, walk = OPERATIONS
    assert check(OLD, pull, Role.TRAINING_CLIENT) == []
    assert [each.message.partition(" ")[0] for each in check(OLD, pull, Role.AUDITOR)] == ["Item.text"]
    assert [each.message.partition(" ")[0] for each in check(OLD, walk, Role.TRAINING_CLIENT)] == [
        "Note.body",
        "Query.found",
    ]


def test_a_field_without_readers_is_for_nobody() -> None:
    bare = build_schema("type Query { a: Int }")
    (finding,) = check(bare, operations("{ a __typename }")[0], Role.AUDITOR)
    assert finding.verdict is Verdict.FAILS
