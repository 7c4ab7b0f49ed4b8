"""A client that lost its state asks what it may do with items, and is answered as the feed answers."""

from datetime import timedelta
from typing import Any

import pytest

from schema.actor import Role
from tests.support.database_pauses import job_stopped
from tests.support.facts import NOW, fact
from tests.support.gateway import TestGateway
from tests.support.retractions import settled

pytestmark = pytest.mark.database

CHECK = "query C($ids: [ID!]!) { checkEligibility(ids: $ids) { items { contentId state } } }"


@pytest.fixture
async def serving(gateway: TestGateway) -> TestGateway:
    gateway.set_clock(NOW - timedelta(days=60))
    await gateway.ingest([fact("account"), fact("notice"), fact("content"), fact("content", id="other")])
    gateway.set_clock(NOW)
    return gateway


async def check(gateway: TestGateway, ids: list[str], **claims: Any) -> list[str]:
    found = (await gateway.ask(Role.TRAINING_CLIENT, CHECK, {"ids": ids}, **claims))["checkEligibility"]["items"]
    assert [item["contentId"] for item in found] == ids
    return [item["state"] for item in found]


async def test_what_is_permitted_can_be_used_and_what_is_not_or_names_nothing_is_deleted(serving: TestGateway) -> None:
    gone, kept = [item["id"] for item in await serving.pull()]
    theirs = [item["id"] for item in await serving.pull(client="another")]
    await serving.ingest([fact("content", day=3, audience="FRIENDS")])
    assert await check(serving, [gone, kept, *theirs, "nonsense"]) == ["RETRACTED", "PERMITTED", *["RETRACTED"] * 3]
    assert serving.execute("SELECT count(*) FROM grounds.delivery WHERE client = 1") == [(1,)]


async def test_ten_thousand_items_can_be_asked_about_and_no_more(serving: TestGateway) -> None:
    kept, _ = [item["id"] for item in await serving.pull()]
    many = [kept, *(f"{number:022}" for number in range(9_999))]
    assert await check(serving, many) == ["PERMITTED", *["RETRACTED"] * 9_999]
    answer = (await serving.post(Role.TRAINING_CLIENT, CHECK, {"ids": [*many, "x"]})).json()
    assert answer["errors"][0]["message"].startswith("ids: must have at most 10000 values, not 10001")


async def test_under_a_hold_what_was_received_is_kept(serving: TestGateway) -> None:
    ids = [item["id"] for item in await serving.pull()]
    serving.execute(
        "INSERT INTO grounds.hold (scope, authority, reason, opened_at) VALUES ('GLOBAL', 'a', 'b', %s)", NOW
    )
    assert await check(serving, ids) == ["HELD"] * 2
    await settled(serving)
    assert await check(serving, ids) == ["HELD"] * 2
    unseen = await check(serving, ids, client="another")  # the ids of another client name nothing
    assert unseen == ["RETRACTED"] * 2


async def test_what_a_client_was_told_stands_until_it_receives_the_item_again(serving: TestGateway) -> None:
    ids = [item["id"] for item in await serving.pull()]
    edited = fact("content", day=3, edited_at="2026-05-01T00:00:00Z", text="A heron stood.")
    await serving.ingest([edited])
    await settled(serving)
    assert sorted(await check(serving, ids)) == ["PERMITTED", "RETRACTED"]  # the edited version is another one
    assert len(await serving.pull()) == 2
    assert await check(serving, ids) == ["PERMITTED"] * 2


async def test_a_suspended_client_is_answered_as_the_feed_does(serving: TestGateway) -> None:
    ids = [item["id"] for item in await serving.pull()]
    serving.execute("UPDATE grounds.client SET suspended = TRUE")
    assert await check(serving, ids) == ["PERMITTED"] * 2


async def test_another_purpose_than_the_policys_is_answered_by_that_of_the_delivery(serving: TestGateway) -> None:
    ids = [item["id"] for item in await serving.pull()]
    assert await check(serving, ids, purpose="ADVERTISING") == ["PERMITTED"] * 2
    serving.execute("UPDATE grounds.delivery SET purpose = 'ADVERTISING'")
    serving.execute("UPDATE grounds.held_item SET purpose = 'ADVERTISING'")
    assert await check(serving, ids) == ["RETRACTED"] * 2


async def test_while_a_policy_is_switched_a_client_is_told_to_ask_again(serving: TestGateway) -> None:
    ids = [item["id"] for item in await serving.pull()]
    async with job_stopped(serving, "policy"):
        serving.execute(
            "INSERT INTO grounds.policy_proposal"
            " (version, document, effective_from, proposed_by, proposed_at, approved_by, approved_at)"
            " SELECT 'next', jsonb_set(document::jsonb, '{version}', '\"next\"'), %s, 'a', now(), 'b', now()"
            " FROM grounds.policy WHERE active",
            NOW - timedelta(days=1),
        )
        assert await check(serving, [*ids, "nonsense"]) == ["ASK_AGAIN", "ASK_AGAIN", "RETRACTED"]
