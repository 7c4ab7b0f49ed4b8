"""The compiled path and the ordinary one answer alike, byte for byte, for every selection and every role."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from graphql import GraphQLField, GraphQLObjectType, get_named_type, is_leaf_type, is_required_argument

from db.connection import open_database
from schema.actor import Actor, Role
from schema.build import GatewaySchema, build_schema
from schema.context import Context, Gateway
from schema.execution import operations
from schema.execution import row_compiler as compiled
from schema.execution.row_compiler import Compiler, NotCompiled
from schema.governed import governance_of
from schema.training.trainable_content import TrainablePage
from tests.support.facts import NOW, fact
from tests.support.gateway import SECRET, TestGateway

# graphql-core drops what fields have begun where one beside them, which may not be empty, fails at once.
pytestmark = [
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
    # Compiled functions have no builtins: a coroutine that is collected while one runs cannot even be warned of.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

LISTS = ("trainableContent", "contents", "accounts", "consentEvents")
ACTORS = [
    Actor("a", Role.TRAINING_CLIENT, client="client", purpose="GENAI_TRAINING"),
    Actor("b", Role.PRIVACY_OFFICER),
    Actor("c", Role.AUDITOR),
    Actor("d", Role.DATA_SUBJECT, subject="author"),
    Actor("e", Role.DASHBOARD),
]
ROUNDS = 120


class Selections:
    """A generator of selections on a connection: aliases, fragments, @skip, @include, __typename, forbidden fields."""

    def __init__(self, schema: GatewaySchema, seed: int) -> None:
        self._types = schema.core.type_map
        self._draw = random.Random(seed)
        self._aliases = 0
        self.fragments: list[str] = []

    def document(self, field: str, first: int) -> str:
        kind = self._type(self._field("Query", field))
        inner = self._selection(kind, 5)
        return "\n".join([f"query Q {{ {field}(first: {first}) {inner} }}", *self.fragments])

    def _field(self, kind: str, name: str) -> GraphQLField:
        declared = self._types[kind]
        assert isinstance(declared, GraphQLObjectType)
        found: GraphQLField = declared.fields[name]
        return found

    def _type(self, field: GraphQLField) -> GraphQLObjectType:
        kind = get_named_type(field.type)
        assert isinstance(kind, GraphQLObjectType)
        return kind

    def _selection(self, kind: GraphQLObjectType, depth: int) -> str:
        draw = self._draw
        names = draw.sample(list(kind.fields), k=min(len(kind.fields), draw.randint(1, 6)))
        parts = [self._selected(kind, name, depth) for name in names]
        parts += ["__typename"] * draw.choice([0, 0, 1])
        if draw.random() < 0.25:
            parts.append(f"... on {kind.name} {{ {self._selected(kind, draw.choice(names), depth)} }}")
        if draw.random() < 0.2:
            name = f"F{len(self.fragments)}_{draw.randrange(10**6)}"
            self.fragments.append(f"fragment {name} on {kind.name} {{ {self._selected(kind, names[0], depth)} }}")
            parts.append(f"...{name}")
        return "{ " + " ".join(part or "__typename" for part in parts) + " }"

    def _selected(self, kind: GraphQLObjectType, name: str, depth: int) -> str:
        draw, field = self._draw, kind.fields[name]
        beneath = ""
        if not is_leaf_type(get_named_type(field.type)):
            if depth == 0 or not isinstance(get_named_type(field.type), GraphQLObjectType):
                return ""
            beneath = " " + self._selection(self._type(field), depth - 1)
        given = "(first: 2)" if any(is_required_argument(argument) for argument in field.args.values()) else ""
        # An alias is used once: two fields of one alias must be the same, arguments and selection.
        self._aliases += 1
        alias = f"x{self._aliases}: " if beneath or given or draw.random() < 0.2 else ""
        when = draw.choice(["", "", "", "", " @skip(if: true)", " @skip(if: false)", " @include(if: false)"])
        return f"{alias}{name}{given}{when}{beneath}"


@asynccontextmanager
async def asking(gateway: TestGateway) -> AsyncIterator[tuple[GatewaySchema, Gateway]]:
    gateway.set_clock(NOW)
    media = [{"type": "image/png", "url": "https://media.example/1", "sha256": None, "deidentified": True}]
    items = [fact("content", id=f"item-{number}", language="de", media=media[: number % 2]) for number in range(6)]
    hidden = [fact("content", id="hidden", audience="FRIENDS"), fact("content", id="theirs", account="objector")]
    people = [fact("account"), fact("account", id="objector", country=None), fact("objection", account="objector")]
    answer = await gateway.ingest([*people, fact("notice"), *items, *hidden])
    assert answer["total"]["rejected"] == 0
    async with open_database(gateway.database_url, SECRET) as database:
        schema = build_schema()
        # Alike in all but the bounds of documents, which would refuse many of these: they are not what is compared.
        schema.extensions = ()
        yield schema, Gateway(database, SECRET)


async def answered(schema: GatewaySchema, gateway: Gateway, actor: Actor, document: str) -> bytes:
    result = await schema.execute(document, context_value=Context(actor, gateway))
    errors = [error.formatted for error in result.errors or []]
    return orjson.dumps({"data": result.data, "errors": sorted(errors, key=str)})


def alike(fast: bytes, slow: bytes) -> bool:
    """Return whether two answers are the same.

    Where an error empties the whole answer, the other fields are ended: which of their errors came before is chance.
    """
    if fast == slow:
        return True
    one, other = orjson.loads(fast), orjson.loads(slow)
    errors, others = ({orjson.dumps(error) for error in answer["errors"]} for answer in (one, other))
    return one["data"] is None is other["data"] and bool(errors & others)


def refuse(*_: Any) -> Any:
    raise NotCompiled


async def differing(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch, rounds: int, seed: int = 7
) -> tuple[list[str], dict[str, int]]:
    """Execute random documents both ways; give those answered differently, and how often each path answered."""
    monkeypatch.setattr(TrainablePage, "receipt", "receipt")  # each delivery has its own
    monkeypatch.setattr(operations, "ROW_BATCH_SIZE", 2)
    found: list[str] = []
    count = {"compiled": 0, "with data": 0}
    shape: Callable[..., Any] = compiled._compile_cached

    def counted(*given: Any) -> Any:
        rows = shape(*given)
        count["compiled"] += given[3] is not None
        return rows

    async with asking(gateway) as (schema, behind):
        for number in range(rounds):
            draw = random.Random(seed * 10**6 + number)
            document = Selections(schema, seed * 10**6 + number).document(draw.choice(LISTS), draw.choice([1, 3, 100]))
            actor = draw.choice(ACTORS)
            with monkeypatch.context() as patch:
                patch.setattr(compiled, "_compile_cached", counted)
                fast = await answered(schema, behind, actor, document)
            with monkeypatch.context() as patch:
                patch.setattr(compiled, "_selection_shape", refuse)
                slow = await answered(schema, behind, actor, document)
            count["with data"] += b'"data":null' not in fast
            if not alike(fast, slow):
                found.append(f"{actor.role}: {document}\n  {fast!r}\n  {slow!r}")
    return found, count


@pytest.mark.parametrize("rounds", [ROUNDS, pytest.param(5 * ROUNDS, marks=pytest.mark.ci)])
async def test_the_compiled_path_answers_as_the_ordinary_one(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    found, count = await differing(gateway, monkeypatch, rounds)
    assert not found, found[0]
    assert count["compiled"] > rounds / 10, count
    assert count["with data"] > rounds / 4, count


async def test_a_compiled_path_that_skips_a_check_is_noticed(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unchecked(_: Compiler, kind: GraphQLObjectType, name: str) -> Any:
        return governance_of(kind.fields[name])

    monkeypatch.setattr(Compiler, "_governance", unchecked)
    found, _ = await differing(gateway, monkeypatch, 200)
    assert any("FORBIDDEN" in each for each in found)


async def test_every_list_has_a_compiled_path(gateway: TestGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    before = compiled._compile_cached

    def noted(page: Any, role: Role, kind: GraphQLObjectType, shape: Any) -> Any:
        rows = before(page, role, kind, shape)
        made.append(f"{kind.name}{'' if shape is not None else ' by instances'}")
        return rows

    monkeypatch.setattr(compiled, "_compile_cached", noted)
    async with asking(gateway) as (schema, behind):
        for name in LISTS:
            actor = ACTORS[0] if name == "trainableContent" else ACTORS[1]
            plain = {"trainableContent": "text", "contents": "platformId", "accounts": "adult", "consentEvents": "kind"}
            inner = f"nodes {{ id {plain[name]} }} edges {{ cursor node {{ id {plain[name]} }} }}"
            answer = await answered(schema, behind, actor, f"{{ {name}(first: 5) {{ {inner} }} }}")
            assert answer.endswith(b'"errors":[]}'), answer
    assert [kind for kind in made if "by instances" in kind] == []
    assert len(made) == 8
