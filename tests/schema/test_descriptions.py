"""The schema describes itself: each type, field, argument, input field and enumeration value has one sentence."""

import re
from collections.abc import Iterator

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    is_specified_directive,
    is_specified_scalar_type,
)

from db.policy.conditions import CONDITIONS
from schema.enums import ConditionCode
from tests.support.repository import ROOT

SDL = (ROOT / "schema" / "schema.graphql").read_text(encoding="utf-8")
UNCLEAR = re.compile(
    r"\b(whom|whoever|nobody|somebody|whatever|reach\w*|skew|desk|dut(y|ies))\b|(?<!the officer )\bwho\b", re.IGNORECASE
)
"""Words that name no subject; "the officer who" does."""


def described(schema: GraphQLSchema) -> Iterator[tuple[str, str | None]]:
    """Yield the coordinate and the description of every element of a schema."""
    for directive in schema.directives:
        if not is_specified_directive(directive):
            yield f"@{directive.name}", directive.description  # strawberry prints none of a directive's arguments
    for name, kind in schema.type_map.items():
        if name.startswith("__") or is_specified_scalar_type(kind):
            continue
        yield name, kind.description
        if isinstance(kind, GraphQLEnumType):
            yield from ((f"{name}.{value}", each.description) for value, each in kind.values.items())
        if isinstance(kind, GraphQLInputObjectType):
            yield from ((f"{name}.{field}", each.description) for field, each in kind.fields.items())
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            for field, declared in kind.fields.items():
                yield f"{name}.{field}", declared.description
                for argument_name, argument in declared.args.items():
                    yield f"{name}.{field}({argument_name}:)", argument.description


def undescribed(sdl: str) -> list[str]:
    return [coordinate for coordinate, description in described(build_schema(sdl)) if not description]


def test_every_element_has_a_description() -> None:
    assert undescribed(SDL) == []


def test_a_missing_description_is_noticed() -> None:
    assert undescribed(
        '"T." type Query { "F." a("A." x: Int): E b: Int c("X." x: Int, y: Int): Int } enum E { A }'
    ) == [
        *("Query.b", "Query.c", "Query.c(y:)"),
        *("E", "E.A"),
    ]


def test_a_description_is_one_sentence() -> None:
    found = {coordinate: " ".join((text or "").split()) for coordinate, text in described(build_schema(SDL))}
    assert {
        coordinate: text
        for coordinate, text in found.items()
        if not text.endswith(".") or re.search(r"[.!?] [A-Z]", text) or not re.match(r"[A-Z]", text)
    } == {}


def test_a_description_names_its_subject_in_plain_words() -> None:
    found = {coordinate: text or "" for coordinate, text in described(build_schema(SDL))}
    assert {coordinate: text for coordinate, text in found.items() if UNCLEAR.search(text)} == {}


def test_every_condition_of_the_catalogue_has_its_code_in_the_enumeration() -> None:
    assert {condition.code for condition in CONDITIONS} <= set(ConditionCode)
