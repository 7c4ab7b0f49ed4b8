"""A document may only ask for so much, and finding that out costs next to nothing."""

import time

import pytest
from graphql import get_introspection_query, parse

from grounds_client.limits import limit_errors
from schema.build import build_schema

SCHEMA = build_schema().core


def faults(document: str) -> list[str]:
    return [error.message for error in limit_errors(parse(document))]


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ("{ a { b { c { d { e { f { g { h { i } } } } } } } } }", "8 levels"),
        ("{ " + " ".join(f"x{n}: viewer {{ name }}" for n in range(16)) + " }", "15 aliases"),
        ("{ " + " ".join(f"x{n}: viewer {{ name }}" for n in range(6)) + " }", "5 root fields"),
        ("{ viewer { " + "name @skip(if: false) " * 11 + "} }", "10 directives"),
        ("{ viewer { " + "name " * 501 + "} }", "500 fields"),
        (
            "{ ...A } fragment A on Query { ...B ...B ...B } fragment B on Query { viewer { name } policy { title } }",
            "root",
        ),
    ],
)
def test_a_document_that_asks_for_too_much_is_refused(document: str, fault: str) -> None:
    assert any(fault in message for message in faults(document))


def test_an_ordinary_document_and_introspection_are_within_the_limits() -> None:
    assert faults("{ trainableContent(first: 1) { edges { node { reason { conditions { code } } } } } }") == []
    assert faults(get_introspection_query()) == []


SGQLC = """
query IntrospectionQuery($includeDescription: Boolean!, $includeDeprecated: Boolean!) { __schema {
    queryType { name } mutationType { name } subscriptionType { name } types { ...FullType }
    directives { name description @include(if: $includeDescription) locations args { ...InputValue } } } }
fragment FullType on __Type { kind name description @include(if: $includeDescription)
    fields(includeDeprecated: $includeDeprecated) { name description @include(if: $includeDescription)
        args { ...InputValue } type { ...TypeRef } isDeprecated @include(if: $includeDeprecated)
        deprecationReason @include(if: $includeDeprecated) }
    inputFields { ...InputValue } interfaces { ...TypeRef }
    enumValues(includeDeprecated: $includeDeprecated) { name description @include(if: $includeDescription)
        isDeprecated @include(if: $includeDeprecated) deprecationReason @include(if: $includeDeprecated) }
    possibleTypes { ...TypeRef } }
fragment InputValue on __InputValue {
    name description @include(if: $includeDescription) type { ...TypeRef } defaultValue }
fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }
"""
"""The introspection of sgqlc, a client of Python, as its generator of code sends it."""


def test_directives_count_as_they_are_written_however_often_a_fragment_is_spread() -> None:
    assert faults(SGQLC) == []
    assert SGQLC.count("@include") == 9
    spread = "{ viewer { " + "...A " * 20 + "} } fragment A on Viewer { "
    assert faults(spread + "name @skip(if: false) " * 10 + "}") == []
    assert any("10 directives" in each for each in faults(spread + "name @skip(if: false) " * 11 + "}"))


@pytest.mark.parametrize("leaf", ["viewer { name }", "...Unknown", "...F0"])
def test_nested_fragments_cost_no_more_than_their_length(leaf: str) -> None:
    doublings = 98
    fragments = [f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(doublings)]
    document = " ".join(["{ ...F0 }", *fragments, f"fragment F{doublings} on Query {{ {leaf} }}"])
    started = time.process_time()
    faults(document)
    assert time.process_time() - started < 1
