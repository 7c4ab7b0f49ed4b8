"""What an operation asks for is counted before anything is executed, by the page sizes that the request has."""

from typing import Any

import graphql
import httpx
import pytest
from graphql import GraphQLObjectType, OperationDefinitionNode, get_named_type, parse
from graphql.validation.rules import overlapping_fields_can_be_merged
from strawberry.types.execution import PreExecutionError

from schema.actor import Role
from schema.build import build_schema
from schema.execution import operations
from schema.execution.limits import FIELD_COSTS, MAX_VALUES, OperationCost
from tests.support.gateway import DECISIONS, TestGateway

SCHEMA = build_schema()
TOO_DEAR = f"more than the allowed {MAX_VALUES:,} (request fewer fields or smaller pages)"


def every_field(kind: str, *, named: bool = False) -> str:
    """Select every field that the schema has of a type; `named` selects the types' names too."""
    declared = SCHEMA.core.type_map[kind]
    assert isinstance(declared, GraphQLObjectType)
    fields = ["__typename"] if named else []
    for name, field in declared.fields.items():
        beneath = get_named_type(field.type)
        fields.append(
            f"{name} {every_field(beneath.name, named=named) if isinstance(beneath, GraphQLObjectType) else ''}"
        )
    return f"{{ {' '.join(fields)} }}"


def whole_page(alias: str = "", *, edges: bool = False, named: bool = False) -> str:
    items = every_field("TrainableContent", named=named)
    nodes = f"edges {{ cursor node {items} {'__typename' if named else ''} }}" if edges else f"nodes {items}"
    info = every_field("PageInfo", named=named)
    return f"{alias} trainableContent(first: 1000) {{ {nodes} pageInfo {info} {'__typename' if named else ''} }}"


def count(query: str, **variables: Any) -> int:
    document = parse(query)
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    return OperationCost(document, variables).of(operation)


async def refusal(query: str, variables: dict[str, Any] | None = None, operation: str | None = None) -> str | None:
    """Execute for nobody, over nothing, and return what was refused before; None if the resolvers were asked."""
    result = await SCHEMA.execute(query, variables, operation_name=operation)
    return result.errors[0].message if isinstance(result, PreExecutionError) and result.errors else None


@pytest.mark.parametrize("edges", [False, True])
@pytest.mark.parametrize("named", [False, True])
async def test_one_whole_page_fits_and_two_do_not(edges: bool, named: bool) -> None:
    assert await refusal(f"{{ {whole_page(edges=edges, named=named)} }}") is None
    two = await refusal(
        f"{{ {whole_page('a:', edges=edges, named=named)} {whole_page('b:', edges=edges, named=named)} }}"
    )
    assert two is not None
    assert two.startswith("the operation requests about ")
    assert two.endswith(TOO_DEAR)


async def test_an_officers_page_of_decisions_fits_and_pages_of_pages_do_not() -> None:
    assert await refusal(DECISIONS) is None
    nested = "query Q($n: Int!) { accounts(first: $n) { nodes { contents(first: $n) { nodes { id } } } } }"
    assert await refusal(nested, {"n": 5}) is None
    assert TOO_DEAR in str(await refusal(nested, {"n": 100}))


TWICE = (
    """query Q($n: Int! = 1000) {
  a: trainableContent(first: $n) { ...Page } b: trainableContent(first: $n) { ...Page }
}
fragment Page on TrainableContentConnection { ... { nodes """
    + every_field("TrainableContent")
    + " } }"
)


@pytest.mark.parametrize(
    ("variables", "fits"),
    [({"n": 5}, True), ({"n": 700}, True), ({"n": 1000}, False), ({"n": 1000.0}, False), ({}, False), (None, False)],
)
async def test_the_page_sizes_that_count_are_those_of_the_request(variables: dict[str, Any] | None, fits: bool) -> None:
    assert (await refusal(TWICE, variables) is None) is fits


@pytest.mark.parametrize("wrong", ["1000", True, None, 1e300, [1000], 10**12])
async def test_what_is_no_page_size_is_left_to_whoever_reads_it(wrong: Any) -> None:
    result = await SCHEMA.execute(TWICE, {"n": wrong})
    assert result.errors is not None
    assert "$n" in result.errors[0].message


async def test_a_negative_page_does_not_make_room_for_another() -> None:
    assert TOO_DEAR in str(
        await refusal(
            f"{{ a: trainableContent(first: -2147483648) {{ nodes {{ id }} }} {whole_page()} {whole_page('b:')} }}"
        )
    )


async def test_only_the_operation_that_is_executed_counts() -> None:
    both = f"query Small {{ viewer {{ name }} }} query Large {{ {whole_page('a:')} {whole_page('b:')} }}"
    assert await refusal(both, operation="Small") is None
    assert TOO_DEAR in str(await refusal(both, operation="Large"))


@pytest.mark.parametrize("directive", ["@include(if: $whole)", "@skip(if: $lean)"])
async def test_what_is_left_out_does_not_count(directive: str) -> None:
    query = f"query Q($whole: Boolean!, $lean: Boolean = true) {{ {whole_page('a:')} ...Other {directive} }}"
    query += f" fragment Other on Query {{ {whole_page('b:')} }}"
    variables = "query Q($whole: Boolean!) {{" if "$lean" not in directive else "query Q($lean: Boolean = true) {{"
    query = query.replace(query[: query.index("{") + 1], variables.replace("{{", "{"))
    name, left_out = ("whole", False) if "whole" in directive else ("lean", True)
    assert await refusal(query, {name: left_out}) is None
    assert TOO_DEAR in str(await refusal(query, {name: not left_out}))


def test_what_lies_beneath_a_page_is_multiplied_and_what_lies_beside_is_not() -> None:
    assert count("{ trainableContent(first: 1000) { nodes { id } } }") == 2001
    assert count("{ trainableContent(first: 1000) { nodes { id } pageInfo { endCursor startCursor } } }") == 2004
    assert count("{ trainableContent(first: 10) { edges { cursor node { id text } } } }") == 51


def test_what_is_resolved_for_each_item_counts_for_more() -> None:
    resolved = {
        name
        for kind in SCHEMA.core.type_map.values()
        if isinstance(kind, GraphQLObjectType)
        and kind.name not in ("Query", "Mutation", "Viewer", "PublicRecord", "PublicLedger")
        and not kind.name.startswith("__")
        for name, field in kind.fields.items()
        if field.extensions["strawberry-definition"].base_resolver is not None
    }
    assert resolved | {"publicRecord"} == set(FIELD_COSTS)  # read once, but from many tables


async def test_a_refusal_is_an_error_of_the_request(gateway: TestGateway) -> None:
    query = f"{{ {whole_page('a:')} {whole_page('b:')} }}"
    headers = {
        "Authorization": f"Bearer {gateway.token(Role.TRAINING_CLIENT)}",
        "Accept": "application/graphql-response+json",
    }
    for _ in range(2):
        response: httpx.Response = await gateway.client.post("/graphql", json={"query": query}, headers=headers)
        assert response.status_code == 400
        assert "data" not in response.json()
        assert TOO_DEAR in response.json()["errors"][0]["message"]


async def test_a_valid_document_is_validated_once_and_an_invalid_one_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    validated: list[object] = []
    validate = graphql.validate

    def counted(*given: Any, **more: Any) -> Any:
        validated.append(given)
        return validate(*given, **more)

    monkeypatch.setattr(operations, "validate", counted)
    for _ in range(3):
        assert await refusal("{ viewer { name } } # seen") is None
    assert len(validated) == 1
    for _ in range(3):
        assert "nothing" in str(await refusal("{ viewer { nothing } } # seen"))
    assert len(validated) == 4


def test_only_so_much_is_remembered() -> None:
    recent = operations.DocumentCache[int](room=10)
    for number, text in enumerate(("four", "four", "five5", "6")):
        recent.remember(text, None, number)
    assert (recent.recall("four", None), recent.recall("five5", None), recent.recall("6", None)) == (1, 2, 3)
    recent.remember("seven77", None, 4)
    assert (recent.recall("four", None), recent.recall("five5", None), recent.recall("6", None)) == (None, None, 3)
    recent.remember("longer than there is room", None, 5)
    assert recent.recall("6", None) is None


async def test_an_error_quotes_little_and_names_few_places() -> None:
    told = await refusal(f"{{ {'a' * 10_000} }}")
    assert told is not None
    assert len(told) == operations.MAX_MESSAGE_LENGTH + 1
    result = await SCHEMA.execute(f"{{ contents({'first: 1 ' * 100}) {{ nodes {{ id }} }} }}")
    assert result.errors is not None
    assert len(result.errors[0].locations or ()) == operations.MAX_LOCATIONS


async def test_a_number_of_thousands_of_digits_is_the_clients_fault() -> None:
    result = await SCHEMA.execute(f"{{ contents(first: {'1' * 5000}) {{ nodes {{ id }} }} }}")
    assert result.errors is not None
    assert "cannot be read" in result.errors[0].message
    assert result.errors[0].original_error is None


def test_graphql_core_may_not_spend_much_on_fields_that_overlap() -> None:
    assert overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET == operations.MAX_COMPARISONS
