"""The example operations, each a real use: valid against the committed SDL, and answered as the role they are for."""

from collections.abc import Iterator
from typing import Any

import pytest
from graphql import (
    DocumentNode,
    FieldNode,
    NameNode,
    OperationDefinitionNode,
    Visitor,
    build_schema,
    parse,
    print_ast,
    validate,
    visit,
)

from schema.actor import Role
from tests.conformance.inspector import FOLDER
from tests.conformance.served import SDL
from tests.support.facts import NOW, fact
from tests.support.gateway import TestGateway

SCHEMA = build_schema(SDL.read_text(encoding="utf-8"))
SUBJECT = "objector"
VALUES = {"platformId": "item", "platformIds": ["item", "own"], "account": SUBJECT}

OPERATIONS = {file.stem: file.read_text(encoding="utf-8") for file in sorted(FOLDER.glob("*.graphql"))}

each_operation = pytest.mark.parametrize("text", OPERATIONS.values(), ids=OPERATIONS)


class Misspelling(Visitor):
    """A visitor that misspells one field of a document, chosen by its index."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.left = number

    def leave_field(self, node: FieldNode, *_: Any) -> FieldNode | None:
        self.left -= 1
        if self.left != -1:
            return None
        name = NameNode(value=f"{node.name.value}x")
        return FieldNode(
            name=name, alias=None, arguments=node.arguments, directives=(), selection_set=node.selection_set
        )


@pytest.fixture
async def peopled(gateway: TestGateway) -> TestGateway:
    """A gateway with an author whose item is permitted, and another who objected and wrote one too."""
    gateway.set_clock(NOW)
    authors = [fact("account"), fact("account", id=SUBJECT)]
    items = [fact("content", language="de"), fact("content", id="own", account=SUBJECT)]
    notices = [fact("notice"), fact("notice", id="theirs", account=SUBJECT)]
    answer = await gateway.ingest([*authors, *items, *notices, fact("objection", account=SUBJECT)])
    assert answer["total"]["rejected"] == 0
    return gateway


def role_of(text: str) -> Role:
    """Read the role from the first line, such as `# as AUDITOR`."""
    return Role(text.partition("\n")[0].removeprefix("# as "))


def the_operation(document: DocumentNode) -> OperationDefinitionNode:
    (operation,) = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    return operation


async def variables(gateway: TestGateway, operation: OperationDefinitionNode) -> dict[str, Any]:
    """Set the variables that have no default; an item's id is the one that the client was given."""
    (item,) = await gateway.pull()
    known = {**VALUES, "clientId": item["id"]}
    named = {node.variable.name.value for node in operation.variable_definitions or ()}
    return {name: value for name, value in known.items() if name in named}


def pages(answer: Any) -> Iterator[list[Any]]:
    """Find every page in an answer."""
    for name, value in answer.items() if isinstance(answer, dict) else enumerate(answer):
        if name in ("nodes", "edges"):
            yield value
        if isinstance(value, dict | list):
            yield from pages(value)


@each_operation
def test_an_operation_is_valid(text: str) -> None:
    assert validate(SCHEMA, parse(text)) == []


def test_an_operation_is_named_after_its_file() -> None:
    for stem, text in OPERATIONS.items():
        name = the_operation(parse(text)).name
        assert name is not None
        assert name.value.lower() == stem.replace("_", "")


@each_operation
async def test_an_operation_is_answered_as_its_role(text: str, peopled: TestGateway) -> None:
    given = await variables(peopled, the_operation(parse(text)))
    claims = {"subject": SUBJECT} if role_of(text) is Role.DATA_SUBJECT else {}
    data = await peopled.ask(role_of(text), text, given, **claims)
    assert None not in data.values()
    assert all(pages(data)), "a page has nothing on it, and shows nothing"


@each_operation
def test_a_misspelt_field_is_noticed_wherever_it_stands(text: str) -> None:
    document = parse(text)
    fields = print_ast(document).count("\n")  # at most: no two fields stand in one line
    broken = {print_ast(visit(document, Misspelling(number))) for number in range(fields)} - {print_ast(document)}
    assert len(broken) > 2
    for each in broken:
        assert validate(SCHEMA, parse(each)), each


def test_there_is_an_operation_for_every_role_that_reads() -> None:
    assert {role_of(text) for text in OPERATIONS.values()} == set(Role) - {Role.PLATFORM_INGEST, Role.PUBLIC}
