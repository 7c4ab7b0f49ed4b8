"""A page ends within its time with a cursor, however many items in a row do not qualify."""

from typing import Any

import pytest

from db.delivery import pages
from schema.actor import Role
from tests.support.facts import fact
from tests.support.gateway import PULL, TestGateway

ITEMS = 60  # of which the last qualifies


async def test_items_that_do_not_qualify_are_passed_over_page_by_page(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempt has no time here, so that each page looks through ten ids."""
    monkeypatch.setattr(pages, "ATTEMPTS", ((None, 1e-9), (10, 5.0)))
    items = [fact("content", id=f"p{n}", audience="PUBLIC" if n == ITEMS - 1 else "FRIENDS") for n in range(ITEMS)]
    await gateway.ingest([fact("account"), fact("notice"), *items])
    answers = await walk(gateway, first=100)
    assert [len(answer["nodes"]) for answer in answers if answer["nodes"]] == [1]
    assert len(answers) > ITEMS / 10
    for answer in answers:
        assert answer["pageInfo"]["endCursor"]
        assert (answer["pageInfo"]["startCursor"] is None) == (not answer["nodes"])
    assert len({answer["pageInfo"]["endCursor"] for answer in answers}) == len(answers)


@pytest.mark.long
async def test_a_client_gets_past_five_million_items_that_do_not_qualify(gateway: TestGateway) -> None:
    """Only their author's standing says so: of the items that fail by themselves, an index passes over all."""
    await gateway.ingest([fact("account"), fact("notice"), fact("account", id="unnoticed")])
    await gateway.ingest([fact("content", id="hidden", account="unnoticed")])
    copy_item(gateway, "hidden", 5_000_000)
    await gateway.ingest([fact("content", id="last")])
    answers = await walk(gateway, first=100, pages=1000)
    assert [len(answer["nodes"]) for answer in answers if answer["nodes"]] == [1]
    assert len(answers) > 1, "the limits of time were not reached"
    assert all(answer["pageInfo"]["endCursor"] for answer in answers)


def copy_item(gateway: TestGateway, name: str, copies: int) -> None:
    """Copy an item in the database so often, without what an ingest does."""
    columns = ", ".join(
        column
        for (column,) in gateway.execute(
            "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = 'grounds.content'::regclass"
            " AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attname NOT IN ('id', 'platform_id')"
        )
    )
    gateway.execute(
        "SELECT set_config('session_replication_role', 'replica', TRUE);"
        f"INSERT INTO grounds.content (platform_id, {columns}) SELECT platform_id || n, {columns}"
        f" FROM grounds.content, generate_series(1, {copies}) n WHERE platform_id = '{name}'"
    )


async def test_a_page_that_is_full_within_its_window_is_followed_by_the_next_item(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "ATTEMPTS", ((None, 1e-9), (10, 5.0)))
    await gateway.ingest([fact("account"), fact("notice"), *(fact("content", id=f"p{n}") for n in range(25))])
    answers = await walk(gateway, first=3)
    ids = [node["id"] for answer in answers for node in answer["nodes"]]
    assert len(ids) == len(set(ids)) == 25


async def test_one_item_is_found_or_not_however_far_it_is(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    await gateway.ingest([fact("account"), fact("notice"), *(fact("content", id=f"p{n}") for n in range(25))])
    last = (await gateway.pull())[-1]["id"]
    monkeypatch.setattr(pages, "ATTEMPTS", ((None, 5.0), (10, 5.0)))
    query = "query N($id: ID!) { node(id: $id) { id } }"
    assert (await gateway.ask(Role.TRAINING_CLIENT, query, {"id": last}))["node"] == {"id": last}


async def test_a_database_that_is_too_slow_for_any_page_is_told_of(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "ATTEMPTS", ((None, 1e-9), (10, 1e-9)))
    (error,) = (await gateway.post(Role.TRAINING_CLIENT, PULL, {"first": 1})).json()["errors"]
    assert error["extensions"]["code"] == "TIMEOUT"


async def walk(gateway: TestGateway, first: int, pages: int = 50) -> list[dict[str, Any]]:
    """Read page after page until there is none, or too many."""
    query = PULL.replace("pageInfo { hasNextPage endCursor }", "pageInfo { hasNextPage startCursor endCursor }")
    answers: list[dict[str, Any]] = []
    after = None
    for _ in range(pages):
        answer = (await gateway.ask(Role.TRAINING_CLIENT, query, {"first": first, "after": after}))["trainableContent"]
        answers.append(answer)
        after = answer["pageInfo"]["endCursor"]
        if not answer["pageInfo"]["hasNextPage"]:
            break
    return answers
