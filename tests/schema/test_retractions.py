"""What a client received and may no longer use reaches it: in order, once a change, acknowledged or nothing more."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from schema.actor import Role
from tests.facts import NOW, fact
from tests.gateway import TestGateway, open_gateway

FEED = """query Feed($first: Int!, $after: String) { retractions(first: $first, after: $after) {
  nodes { id item kind cause urgent retractedAt dueBy } pageInfo { hasNextPage endCursor }
} }"""
ACKNOWLEDGE = "mutation A($id: ID!) { acknowledgeRetractions(upTo: $id) { left } }"
PAGE = "{ trainableContent(first: 100) { nodes { id } } }"


@pytest.fixture
async def serving(database_url: str, tmp_path: Path) -> AsyncIterator[TestGateway]:
    async with open_gateway(database_url, tmp_path) as gateway:
        gateway.set_clock(NOW - timedelta(days=60))
        await gateway.ingest([fact("account"), fact("notice"), fact("content"), fact("content", id="other")])
        gateway.set_clock(NOW)
        yield gateway


async def settled(gateway: TestGateway) -> None:
    """Wait until every change was looked at once."""
    for _ in range(200):
        if gateway.execute("SELECT count(*) FROM grounds.retraction_due WHERE NOT looked_at") == [(0,)]:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("changes are not looked at")


async def feed(gateway: TestGateway, first: int = 100, **claims: Any) -> list[dict[str, Any]]:
    await settled(gateway)
    found: list[dict[str, Any]] = []
    after = None
    while True:
        variables = {"first": first, "after": after}
        page = (await gateway.ask(Role.TRAINING_CLIENT, FEED, variables, **claims))["retractions"]
        found += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


def told(entries: list[dict[str, Any]]) -> list[tuple[str, str, bool]]:
    return [(entry["kind"], entry["cause"], entry["urgent"]) for entry in entries]


RETRACTED = ("RETRACT", "NO_LONGER_PERMITTED", False)
CAUSES: dict[str, tuple[dict[str, Any], int]] = {
    "an objection": (fact("objection", account="author", received_at=(NOW + timedelta(hours=1)).isoformat()), 2),
    "a deletion": (fact("content", day=3, deleted_at="2026-05-01T00:00:00Z"), 1),
    "a narrowed audience": (fact("content", day=3, audience="FRIENDS"), 1),
    "a corrected birth date": (fact("account", day=3, born_on="2010-01-01"), 2),
    "a late bounce": (fact("notice", day=3, bounced_at="2026-05-30T00:00:00Z"), 2),
    "a reservation": (fact("content", day=3, rights=[{"source": "C2PA", "train_ai": "n"}]), 1),
    "a deactivated account": (fact("account", day=3, status="DEACTIVATED"), 2),
    "a minor named": (fact("content", day=3, references=[{"account": "child", "relation": "TAG"}]), 1),
}


@pytest.mark.parametrize("cause", CAUSES)
async def test_whatever_ends_a_permission_reaches_the_client_that_received_the_item(
    serving: TestGateway, cause: str
) -> None:
    received = {item["id"] for item in await serving.pull()}
    assert len(received) == 2
    record, count = CAUSES[cause]
    answer = await serving.ingest([fact("account", id="child", born_on="2015-01-01"), record])
    assert answer["total"]["rejected"] == 0
    entries = await feed(serving)
    assert told(entries) == [RETRACTED] * count
    assert {entry["item"] for entry in entries} <= received
    assert {entry["dueBy"] for entry in entries} == {(NOW + timedelta(days=7)).isoformat()}
    assert await feed(serving, client="another") == []


async def test_an_item_that_was_never_delivered_is_not_retracted(serving: TestGateway) -> None:
    await serving.ingest([fact("content", day=3, audience="FRIENDS")])
    assert len(await serving.pull()) == 1
    await serving.ingest([fact("content", day=4, deleted_at="2026-05-01T00:00:00Z")])
    assert await feed(serving) == []


async def test_public_friends_public_within_an_hour_is_retracted_and_waits_its_week_again(serving: TestGateway) -> None:
    await serving.pull()
    await serving.ingest([fact("content", day=3, audience="FRIENDS")])
    await serving.ingest([fact("content", day=4, audience_since=NOW.isoformat())])
    (entry,) = await feed(serving)
    assert told([entry]) == [RETRACTED]
    await serving.ask(Role.TRAINING_CLIENT, ACKNOWLEDGE, {"id": entry["id"]})
    assert len(await serving.pull()) == 1
    serving.set_clock(NOW + timedelta(days=7))
    assert len(await serving.pull()) == 2


async def test_an_objection_that_was_on_its_way_is_urgent_and_an_incident(serving: TestGateway) -> None:
    await serving.pull()
    await serving.ingest([fact("objection", account="author", received_at="2024-06-10T00:00:00Z")])
    entries = await feed(serving)
    assert told(entries) == [("RETRACT", "NO_LONGER_PERMITTED", True)] * 2
    assert entries[0]["dueBy"] == (NOW + timedelta(hours=24)).isoformat()
    query = "{ incidents(first: 9) { nodes { client deliveredAt dueBy acknowledged } } }"
    incidents = (await serving.ask(Role.PRIVACY_OFFICER, query))["incidents"]["nodes"]
    assert [(each["client"], each["acknowledged"]) for each in incidents] == [("client", False)] * 2
    assert incidents[0]["deliveredAt"] == NOW.isoformat()


async def test_a_later_objection_is_not_urgent(serving: TestGateway) -> None:
    await serving.pull()
    later = NOW + timedelta(hours=1)
    serving.set_clock(later)
    await serving.ingest([fact("objection", account="author", received_at=later.isoformat())])
    assert told(await feed(serving)) == [RETRACTED] * 2


async def test_an_edit_supersedes_and_the_edited_version_comes_when_it_has_settled(serving: TestGateway) -> None:
    await serving.pull()
    await serving.ingest([fact("content", day=3, edited_at=NOW.isoformat(), text="A heron stood by the lake.")])
    (entry,) = await feed(serving)
    assert (entry["kind"], entry["cause"]) == ("SUPERSEDE", "EDITED")
    serving.set_clock(NOW + timedelta(days=1))
    texts = {item["id"]: item["text"] for item in await serving.pull()}
    assert texts[entry["item"]] == "A heron stood by the lake."


async def test_an_old_edit_that_comes_late_supersedes_too(serving: TestGateway) -> None:
    await serving.pull()
    await serving.ingest([fact("content", day=3, edited_at="2026-05-01T00:00:00Z", text="A heron stood.")])
    assert [entry["kind"] for entry in await feed(serving)] == ["SUPERSEDE"]


async def test_a_hold_is_told_and_its_end_too(serving: TestGateway) -> None:
    await serving.pull()
    opened = 'mutation { openHold(scope: COUNTRY, value: "IE", authority: "a", reason: "b") { id } }'
    hold = (await serving.ask(Role.PRIVACY_OFFICER, opened))["openHold"]["id"]
    assert told(await feed(serving)) == [("HOLD", "AUTHORITY", False)] * 2
    lift = "mutation L($id: ID!) { liftHold(id: $id) { id } }"
    for officer in ("first", "second"):
        await serving.ask(Role.PRIVACY_OFFICER, lift, {"id": hold}, name=officer)
    serving.set_clock(NOW + timedelta(hours=24))
    serving.execute("INSERT INTO grounds.retraction_due (scope) VALUES ('EVERYTHING')")
    entries = await feed(serving)
    assert told(entries)[2:] == [("RELEASE", "AUTHORITY", False)] * 2
    assert [entry["dueBy"] for entry in entries[2:]] == [None] * 2


async def test_a_comment_goes_with_its_parent(serving: TestGateway) -> None:
    serving.set_clock(NOW - timedelta(days=60))
    await serving.ingest([fact("content", id="comment", kind="COMMENT", parent="other")])
    serving.set_clock(NOW)
    assert len(await serving.pull()) == 3
    await serving.ingest([fact("content", id="other", day=3, audience="ONLY_ME")])
    assert told(await feed(serving)) == [RETRACTED] * 2


async def test_a_change_is_told_once_and_again_only_after_another_delivery(serving: TestGateway) -> None:
    await serving.pull()
    await serving.ingest([fact("content", day=3, audience="FRIENDS")])
    await serving.ingest([fact("content", day=4, audience="ONLY_ME")])
    assert told(await feed(serving)) == [RETRACTED]
    await serving.ingest([fact("content", day=5)])
    assert len(await serving.pull()) == 2
    await serving.ingest([fact("content", day=6, audience="FRIENDS")])
    assert told(await feed(serving)) == [RETRACTED] * 2


async def test_a_policy_that_permits_less_retracts(serving: TestGateway) -> None:
    await serving.pull()
    serving.execute("UPDATE grounds.policy SET document = jsonb_set(document::jsonb, '{purposes}', '[\"OTHER\"]')")
    serving.execute("INSERT INTO grounds.retraction_due (scope) VALUES ('EVERYTHING')")
    assert told(await feed(serving)) == [RETRACTED] * 2


async def test_the_feed_is_the_same_at_every_reading(serving: TestGateway) -> None:
    await serving.pull()
    await serving.ingest([fact("objection", account="author", received_at=NOW.isoformat())])
    assert await feed(serving, 1) == await feed(serving, 100) == await feed(serving, 1000)


async def test_a_client_that_does_not_acknowledge_in_time_receives_nothing_until_it_does(serving: TestGateway) -> None:
    await serving.pull()
    await serving.ingest([fact("content", day=3, audience="FRIENDS")])
    (entry,) = await feed(serving)
    clients = "{ clients { name overdueSince pages items retractions unacknowledged } }"
    serving.set_clock(NOW + timedelta(days=7))
    answer = (await serving.post(Role.TRAINING_CLIENT, PAGE)).json()
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert "acknowledgeRetractions" in answer["errors"][0]["message"]
    (client,) = (await serving.ask(Role.PRIVACY_OFFICER, clients))["clients"]
    assert client == {
        **{"name": "client", "overdueSince": (NOW + timedelta(days=7)).isoformat(), "pages": 1, "items": 2},
        **{"retractions": 1, "unacknowledged": 1},
    }
    left = await serving.ask(Role.TRAINING_CLIENT, ACKNOWLEDGE, {"id": entry["id"]})
    assert left == {"acknowledgeRetractions": {"left": 0}}
    assert len(await serving.pull()) == 1
    (client,) = (await serving.ask(Role.PRIVACY_OFFICER, clients))["clients"]
    assert (client["overdueSince"], client["unacknowledged"]) == (None, 0)


async def test_only_the_own_retractions_are_acknowledged(serving: TestGateway) -> None:
    await serving.pull()
    await serving.ingest([fact("objection", account="author", received_at=NOW.isoformat())])
    first, _ = await feed(serving)
    other = (await serving.post(Role.TRAINING_CLIENT, ACKNOWLEDGE, {"id": first["id"]}, client="another")).json()
    assert other["errors"][0]["message"].startswith("upTo: is no retraction of this client")
    left = await serving.ask(Role.TRAINING_CLIENT, ACKNOWLEDGE, {"id": first["id"]})
    assert left == {"acknowledgeRetractions": {"left": 1}}


async def test_a_client_that_lost_its_state_asks_what_it_may_still_use(serving: TestGateway) -> None:
    gone, kept = [item["id"] for item in await serving.pull()]
    await serving.ingest([fact("content", day=3, audience="FRIENDS")])
    query = "query C($ids: [ID!]!) { checkEligibility(ids: $ids) { permitted notPermitted } }"
    theirs = [item["id"] for item in await serving.pull(client="another")]
    asked = {"ids": [gone, kept, *theirs, "nonsense"]}
    found = (await serving.ask(Role.TRAINING_CLIENT, query, asked))["checkEligibility"]
    assert found == {"permitted": [kept], "notPermitted": [gone, *theirs, "nonsense"]}
    many = {"ids": [kept, *(f"{number:022}" for number in range(9_999))]}
    found = (await serving.ask(Role.TRAINING_CLIENT, query, many))["checkEligibility"]
    assert (found["permitted"], len(found["notPermitted"])) == ([kept], 9_999)
    answer = (await serving.post(Role.TRAINING_CLIENT, query, {"ids": [*many["ids"], "x"]})).json()
    assert answer["errors"][0]["message"].startswith("ids: has 10001 values")
    assert serving.execute("SELECT count(*) FROM grounds.delivery WHERE client = 1") == [(1,)]


async def test_a_page_that_was_read_while_the_objection_came_is_retracted_too(serving: TestGateway) -> None:
    await serving.ingest([fact("objection", account="author", received_at=NOW.isoformat())])
    await settled(serving)
    await serving.ask(Role.TRAINING_CLIENT, PAGE)
    # its statement began before the objection was there, and its receipt comes after the first look
    serving.execute(
        "INSERT INTO grounds.delivery (client, purpose, policy, decided_at, items, lowest, highest)"
        " SELECT 1, 'GENAI_TRAINING', '2025-05-27', grounds.decision_time(), array_agg(id ORDER BY id), min(id),"
        " max(id) FROM grounds.content"
    )
    serving.execute("UPDATE grounds.retraction_due SET marked_at = marked_at - interval '10 s'")
    for _ in range(100):
        if entries := await feed(serving):
            break
        await asyncio.sleep(0.1)
    assert len(entries) == 2
