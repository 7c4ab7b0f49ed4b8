"""A planned operation and the executor answer alike, byte for byte, for every selection, role, value and error."""

import random
import re
from typing import Any

import orjson
import pytest
from strawberry.types.execution import ExecutionResult

from schema.actor import Role
from schema.build import GatewaySchema
from schema.context import Context
from schema.execution import plans as planning
from schema.execution.operations import CACHE_CHARACTERS
from schema.execution.plans import Plans
from schema.training.trainable_content import TrainablePage, deliver_trainable_content
from tests.schema.execution.test_row_compiler_alike import ACTORS, Selections, asking
from tests.support.facts import NOW, fact
from tests.support.gateway import TestGateway
from tests.support.mutants import Killed

CLIENT = ACTORS[0]
ROUNDS = 150
VARIABLES = "($first: Int! = 2, $after: String, $filter: TrainableContentFilter, $order: TrainableContentOrder! = ID)"
ARGUMENTS = "(first: $first, after: $after, filter: $filter, order: $order)"
# The values of variables: those of ordinary pages, and some of each error.
VALUES: list[dict[str, Any] | None] = [
    *({"first": number} for number in (1, 3, 100, 1000)),
    *(None, {}, {"first": 2, "after": None, "filter": None}),
    *({"filter": {"kinds": kinds}} for kinds in (["POST"], [], ["PHOTO", "POST"], ["NOTHING"], "POST")),
    {"filter": {"languages": ["de"], "createdFromMonth": "2025-01-01", "sample": {"share": 0.5, "seed": "a"}}},
    *({"filter": filter} for filter in ({"languages": ["German"]}, {"createdFromMonth": "soon"}, {"unknown": 1})),
    *({"first": number} for number in (0, 1001, "many", 2**40, None, 1.5)),
    *({"after": after} for after in ("nothing", 7, "")),
    {"order": "AVAILABILITY"},
    {"order": "NONE"},
]
PAGE = f"query Q{VARIABLES} {{ trainableContent{ARGUMENTS} {{ nodes {{ id text }} pageInfo {{ endCursor }} }} }}"


def answer_bytes(result: ExecutionResult) -> bytes:
    """Write an answer as it is sent, errors with their places."""
    errors = [error.formatted for error in result.errors or []]
    return orjson.dumps({"data": result.data, "errors": errors})


def plans_of(schema: GatewaySchema) -> Plans:
    return Plans(schema, {"trainableContent": deliver_trainable_content})


async def test_plans_answer_as_the_executor_does(gateway: TestGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TrainablePage, "receipt", "receipt")  # each delivery has its own
    planned = failed = 0
    async with asking(gateway) as (schema, behind):
        plans = plans_of(schema)
        for number in range(ROUNDS):
            draw = random.Random(number)
            document = Selections(schema, number).document("trainableContent", 1)
            document = document.replace("query Q", f"query Q{VARIABLES}").replace("(first: 1)", ARGUMENTS, 1)
            if draw.random() < 0.8:
                document = re.sub(r" @\w+\(if: \w+\)", "", document)
            document = document.replace(
                "{ trainableContent", draw.choice(["{ trainableContent", "{ a: trainableContent"])
            )
            actor = CLIENT if draw.random() < 0.8 else draw.choice(ACTORS)
            await plans.execute(document, None, None, Context(actor, behind))
            for values in draw.sample(VALUES, 6):
                by_plan = await plans.answer(document, None, values, Context(actor, behind))
                again = await plans.execute(document, None, values, Context(actor, behind))
                slow = await schema.execute(document, values, Context(actor, behind))
                assert answer_bytes(again) == answer_bytes(slow), (document, values, actor)
                planned += by_plan is not None
                failed += by_plan is not None and by_plan.errors is not None
                assert by_plan is None or answer_bytes(by_plan) == answer_bytes(slow), (document, values, actor)
    assert planned > ROUNDS
    assert failed > ROUNDS / 4


async def test_a_plan_that_is_made_without_the_check_of_readers_is_noticed(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    async with asking(gateway) as (schema, _):
        plans = plans_of(schema)
        for actor in ACTORS:
            assert (plans.make(PAGE, None, {}, actor.role) is not None) == (actor is CLIENT)
        monkeypatch.setattr(planning, "_may_read_all", lambda *_: True)
        unchecked = plans.make(PAGE, None, {}, Role.DASHBOARD)
        killed("plans skip the check of readers", "plans.py", "a dashboard has a plan" if unchecked else None)


async def test_the_plan_of_one_role_answers_no_other(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    await gateway.ingest([fact("account"), fact("notice"), fact("content")])
    for _ in range(3):
        assert (await gateway.post(Role.TRAINING_CLIENT, PAGE)).json()["data"]["trainableContent"]["nodes"]
    for role in (Role.DASHBOARD, Role.PRIVACY_OFFICER, Role.AUDITOR):
        assert (await gateway.post(role, PAGE)).json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_a_page_is_executed_once_and_planned_from_then_on(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.set_clock(NOW)
    await gateway.ingest([fact("account"), fact("notice"), fact("content")])
    executed = 0
    execute = GatewaySchema.execute

    async def counted(*given: Any, **named: Any) -> Any:
        nonlocal executed
        executed += 1
        return await execute(*given, **named)

    monkeypatch.setattr(GatewaySchema, "execute", counted)
    document = f"# a document that no other test sends\n{PAGE}"
    answers = [(await gateway.post(Role.TRAINING_CLIENT, document, {"first": 5})).content for _ in range(4)]
    assert executed == 1
    assert len(set(answers)) == 1
    assert b'"text":"A heron' in answers[0]


async def test_plans_are_bounded(gateway: TestGateway) -> None:
    async with asking(gateway) as (schema, behind):
        plans = plans_of(schema)
        for number in range(60):
            document = f"{PAGE} #{number:04}{'x' * 4000}"
            await plans.execute(document, None, {"first": 1}, Context(CLIENT, behind))
        kept = plans._known._known
        assert 0 < sum(len(text) for text, _ in kept) <= CACHE_CHARACTERS
        assert await plans.answer(document, None, {"first": 1}, Context(CLIENT, behind)) is not None


async def test_what_is_not_one_page_is_left_to_the_executor(gateway: TestGateway) -> None:
    async with asking(gateway) as (schema, behind):
        plans = plans_of(schema)
        for document in (
            "{ viewer { name } }",
            "{ trainableContent(first: 1) { nodes { id } } viewer { name } }",
            "{ ... { trainableContent(first: 1) { nodes { id } } } }",
            "query Q($yes: Boolean! = true) { trainableContent(first: 1) { nodes { id text @include(if: $yes) } } }",
            "{ a: trainableContent(first: 1) { nodes { id } } b: trainableContent(first: 1) { nodes { id } } }",
        ):
            context = Context(CLIENT, behind)
            first = await plans.execute(document, None, None, context)
            assert first.errors is None, document
            assert await plans.answer(document, None, None, context) is None, document
