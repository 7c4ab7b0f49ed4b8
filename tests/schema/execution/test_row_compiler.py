"""A compiled selection is kept; the rows that it was first compiled for are not."""

import asyncio
import gc
import weakref
from datetime import date, datetime

import pytest
from graphql import GraphQLObjectType

from db.delivery.pages import Delivered
from db.policy.compile import page_columns
from db.policy.document import default_policy
from schema.actor import Role
from schema.build import build_schema
from schema.execution.operations import ROW_BATCH_SIZE, _answer_by_parts
from schema.execution.row_compiler import CompiledRows, Shape, compile_rows
from schema.relay.ids import ids_of
from schema.training.trainable_content import TrainablePage

CONDITIONS: Shape = (("reason", "reason", (("conditions", "conditions", (("code", "code", None),)),)),)
EVERYTHING: Shape = (
    ("text", "text", None),
    ("media", "media", (("url", "url", None),)),
    ("author", "author", (("id", "id", None),)),
    *CONDITIONS,
)


def page() -> TrainablePage:
    values = {"id": 1, "account": 2, "kind": "POST", "ground": "PUBLIC_CONTENT", "created_month": date(2026, 1, 1)}
    row = tuple(values.get(name) for name in page_columns())
    delivered = Delivered([row], 1, datetime(2026, 1, 1), "2025-05-27", False)  # type: ignore[list-item]  # any sequence
    return TrainablePage(
        delivered=delivered, policy=default_policy(), naming=ids_of(b"secret", "client"), media_base=""
    )


def compiled(shape: Shape | None) -> tuple[CompiledRows, "weakref.ref[TrainablePage]"]:
    kind = build_schema().core.get_type("TrainableContent")
    assert isinstance(kind, GraphQLObjectType)
    first = page()
    rows = compile_rows(first, Role.TRAINING_CLIENT, kind, shape)
    assert len(list(rows(first))) == 1
    return rows, weakref.ref(first)


@pytest.mark.parametrize("shape", [EVERYTHING, None], ids=["selected", "instances"])
def test_a_compiled_selection_keeps_no_rows(shape: Shape | None) -> None:
    rows, first = compiled(shape)
    gc.collect()
    assert first() is None
    assert len(list(rows(page()))) == 1


async def test_others_go_on_while_many_rows_are_answered() -> None:
    working = asyncio.create_task(_answer_by_parts(iter(range(1000)), list))
    turns = 0
    while not working.done():
        await asyncio.sleep(0)
        turns += 1
    assert await working == list(range(1000))
    assert turns >= 1000 // ROW_BATCH_SIZE
