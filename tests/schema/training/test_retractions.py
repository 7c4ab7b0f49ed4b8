"""What a client received and may no longer use reaches it: in order, once a change, acknowledged or nothing more."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from schema.actor import Role
from tests.support.facts import NOW, fact
from tests.support.gateway import TestGateway
from tests.support.ordinary_cases import ordinary_every
from tests.support.retractions import deliver, settled

pytestmark = pytest.mark.database

FEED = """query Feed($first: Int!, $after: String) { retractions(first: $first, after: $after) {
  nodes { id contentId kind cause retractedAt dueBy } pageInfo { hasNextPage endCursor }
} }"""
ACKNOWLEDGE = "mutation A($id: ID!) { acknowledgeRetractions(upTo: $id) { remaining } }"
PAGE = "{ trainableContent(first: 100) { nodes { id } } }"


@pytest.fixture
async def serving(gateway: TestGateway) -> TestGateway:
    gateway.set_clock(NOW - timedelta(days=60))
    await gateway.ingest([fact("account"), fact("notice"), fact("content"), fact("content", id="other")])
    gateway.set_clock(NOW)
    return gateway


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


def kinds_and_causes(entries: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(entry["kind"], entry["cause"]) for entry in entries]


RETRACTED = ("RETRACT", "NO_LONGER_PERMITTED")
DUE = (NOW + timedelta(hours=24)).isoformat()
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


@pytest.mark.parametrize("cause", ordinary_every(4, CAUSES))
async def test_whatever_ends_a_permission_reaches_the_client_that_received_the_item(
    serving: TestGateway, cause: str
) -> None:
    received = {item["id"] for item in await serving.pull()}
    assert len(received) == 2
    record, count = CAUSES[cause]
    answer = await serving.ingest([fact("account", id="child", born_on="2015-01-01"), record])
    assert answer["total"]["rejected"] == 0
    entries = await feed(serving)
    assert kinds_and_causes(entries) == [RETRACTED] * count
    assert {entry["contentId"] for entry in entries} <= received
    assert {entry["dueBy"] for entry in entries} == {DUE}
    assert await feed(serving, client="another") == []


async def test_an_item_that_was_never_delivered_is_not_retracted(serving: TestGateway) -> None:
    await serving.ingest([fact("content", day=3, audience="FRIENDS")])
    assert len(await serving.pull()) == 1
    await serving.ingest([fact("content", day=4, deleted_at="2026-05-01T00:00:00Z")])
    assert await feed(serving) == []


@pytest.mark.parametrize("count", [100, 101, 1000])  # up to 100 items are looked up one by one, more of them together
async def test_an_objection_retracts_every_item_of_its_author_however_many(gateway: TestGateway, count: int) -> None:
    await deliver(gateway, count)
    # A new database looks at everything once more, which would hide that a single change is not looked at.
    await settled(gateway)
    await gateway.ingest([CAUSES["an objection"][0]])
    assert kinds_and_causes(await feed(gateway)) == [RETRACTED] * count


async def test_public_friends_public_within_an_hour_is_retracted_and_waits_its_week_again(serving: TestGateway) -> None:
    await serving.pull()
    await serving.ingest([fact("content", day=3, audience="FRIENDS")])
    await serving.ingest([fact("content", day=4, audience_since=NOW.isoformat())])
    (entry,) = await feed(serving)
    assert kinds_and_causes([entry]) == [RETRACTED]
    await serving.ask(Role.TRAINING_CLIENT, ACKNOWLEDGE, {"id": entry["id"]})
    assert len(await serving.pull()) == 1
    serving.set_clock(NOW + timedelta(days=7))
    assert len(await serving.pull()) == 2


async def test_an_objection_that_was_on_its_way_is_an_incident_and_told_like_any_other(serving: TestGateway) -> None:
    await serving.pull()
    await serving.ingest([fact("objection", account="author", received_at="2024-06-10T00:00:00Z")])
    entries = await feed(serving)
    assert kinds_and_causes(entries) == [RETRACTED] * 2
    assert {entry["dueBy"] for entry in entries} == {DUE}
    query = "{ incidents(first: 9) { nodes { client deliveredAt dueBy acknowledged } } }"
    incidents = (await serving.ask(Role.PRIVACY_OFFICER, query))["incidents"]["nodes"]
    assert [(each["client"], each["acknowledged"]) for each in incidents] == [("client", False)] * 2
    assert incidents[0]["deliveredAt"] == NOW.isoformat()


async def test_a_later_objection_is_no_incident(serving: TestGateway) -> None:
    await serving.pull()
    later = NOW + timedelta(hours=1)
    serving.set_clock(later)
    await serving.ingest([fact("objection", account="author", received_at=later.isoformat())])
    assert kinds_and_causes(await feed(serving)) == [RETRACTED] * 2
    found = await serving.ask(Role.PRIVACY_OFFICER, "{ incidents(first: 9) { nodes { client } } }")
    assert found["incidents"]["nodes"] == []


async def test_an_edit_supersedes_and_the_edited_version_comes_when_it_has_settled(serving: TestGateway) -> None:
    await serving.pull()
    await serving.ingest([fact("content", day=3, edited_at=NOW.isoformat(), text="A heron stood by the lake.")])
    (entry,) = await feed(serving)
    assert (entry["kind"], entry["cause"], entry["dueBy"]) == ("SUPERSEDE", "EDITED", DUE)
    await serving.ask(Role.TRAINING_CLIENT, ACKNOWLEDGE, {"id": entry["id"]})
    serving.set_clock(NOW + timedelta(days=1))
    texts = {item["id"]: item["text"] for item in await serving.pull()}
    assert texts[entry["contentId"]] == "A heron stood by the lake."


async def test_an_old_edit_that_comes_late_supersedes_too(serving: TestGateway) -> None:
    await serving.pull()
    await serving.ingest([fact("content", day=3, edited_at="2026-05-01T00:00:00Z", text="A heron stood.")])
    assert [entry["kind"] for entry in await feed(serving)] == ["SUPERSEDE"]


async def test_a_hold_is_told_and_its_end_too(serving: TestGateway) -> None:
    await serving.pull()
    opened = 'mutation { openHold(scope: COUNTRY, value: "IE", authority: "a", reason: "b") { id } }'
    hold = (await serving.ask(Role.PRIVACY_OFFICER, opened))["openHold"]["id"]
    assert kinds_and_causes(await feed(serving)) == [("HOLD", "AUTHORITY")] * 2
    lift = "mutation L($id: ID!) { liftHold(id: $id) { id } }"
    for officer in ("first", "second"):
        await serving.ask(Role.PRIVACY_OFFICER, lift, {"id": hold}, name=officer)
    serving.set_clock(NOW + timedelta(hours=24))
    serving.execute("INSERT INTO grounds.retraction_queue (scope) VALUES ('EVERYTHING')")
    entries = await feed(serving)
    assert kinds_and_causes(entries)[2:] == [("RELEASE", "AUTHORITY")] * 2
    assert [entry["dueBy"] for entry in entries[2:]] == [None] * 2


async def test_a_comment_goes_with_its_parent(serving: TestGateway) -> None:
    serving.set_clock(NOW - timedelta(days=60))
    await serving.ingest([fact("content", id="comment", kind="COMMENT", parent="other")])
    serving.set_clock(NOW)
    assert len(await serving.pull()) == 3
    await serving.ingest([fact("content", id="other", day=3, audience="ONLY_ME")])
    assert kinds_and_causes(await feed(serving)) == [RETRACTED] * 2


async def test_a_change_is_told_once_and_again_only_after_another_delivery(serving: TestGateway) -> None:
    await serving.pull()
    await serving.ingest([fact("content", day=3, audience="FRIENDS")])
    await serving.ingest([fact("content", day=4, audience="ONLY_ME")])
    (entry,) = await feed(serving)
    assert kinds_and_causes([entry]) == [RETRACTED]
    await serving.ask(Role.TRAINING_CLIENT, ACKNOWLEDGE, {"id": entry["id"]})
    await serving.ingest([fact("content", day=5)])
    serving.set_clock(NOW + timedelta(days=7))  # what is taken back waits
    assert len(await serving.pull()) == 2
    await serving.ingest([fact("content", day=6, audience="FRIENDS")])
    assert kinds_and_causes(await feed(serving)) == [RETRACTED] * 2


async def test_a_policy_that_permits_less_retracts(serving: TestGateway) -> None:
    await serving.pull()
    serving.execute("UPDATE grounds.policy SET document = jsonb_set(document::jsonb, '{purposes}', '[\"OTHER\"]')")
    serving.execute("INSERT INTO grounds.retraction_queue (scope) VALUES ('EVERYTHING')")
    assert kinds_and_causes(await feed(serving)) == [RETRACTED] * 2


async def test_the_feed_is_the_same_at_every_reading(serving: TestGateway) -> None:
    await serving.pull()
    await serving.ingest([fact("objection", account="author", received_at=NOW.isoformat())])
    assert await feed(serving, 1) == await feed(serving, 100) == await feed(serving, 1000)


async def test_a_client_that_does_not_acknowledge_in_time_receives_nothing_until_it_does(serving: TestGateway) -> None:
    await serving.pull()
    await serving.ingest([fact("content", day=3, audience="FRIENDS")])
    (entry,) = await feed(serving)
    clients = "{ clients { name overdueSince pages items retractions unacknowledged } }"
    serving.set_clock(NOW + timedelta(hours=24))
    answer = (await serving.post(Role.TRAINING_CLIENT, PAGE)).json()
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert "acknowledgeRetractions" in answer["errors"][0]["message"]
    (client,) = (await serving.ask(Role.PRIVACY_OFFICER, clients))["clients"]
    assert client == {
        **{"name": "client", "overdueSince": DUE, "pages": 1, "items": 2},
        **{"retractions": 1, "unacknowledged": 1},
    }
    left = await serving.ask(Role.TRAINING_CLIENT, ACKNOWLEDGE, {"id": entry["id"]})
    assert left == {"acknowledgeRetractions": {"remaining": 0}}
    assert len(await serving.pull()) == 1
    (client,) = (await serving.ask(Role.PRIVACY_OFFICER, clients))["clients"]
    assert (client["overdueSince"], client["unacknowledged"]) == (None, 0)


async def test_only_the_own_retractions_are_acknowledged(serving: TestGateway) -> None:
    await serving.pull()
    await serving.ingest([fact("objection", account="author", received_at=NOW.isoformat())])
    first, _ = await feed(serving)
    other = (await serving.post(Role.TRAINING_CLIENT, ACKNOWLEDGE, {"id": first["id"]}, client="another")).json()
    assert other["errors"][0]["message"].startswith("upTo: must be a retraction of this client")
    left = await serving.ask(Role.TRAINING_CLIENT, ACKNOWLEDGE, {"id": first["id"]})
    assert left == {"acknowledgeRetractions": {"remaining": 1}}


async def test_an_edit_that_comes_during_a_hold_supersedes_and_its_end_releases_nothing(serving: TestGateway) -> None:
    await serving.pull()
    serving.execute(
        "INSERT INTO grounds.hold (scope, authority, reason, opened_at) VALUES ('GLOBAL', 'a', 'b', %s)", NOW
    )
    assert [entry["kind"] for entry in await feed(serving)] == ["HOLD", "HOLD"]
    await serving.ingest([fact("content", day=3, edited_at="2026-05-01T00:00:00Z", text="A heron stood.")])
    assert [entry["kind"] for entry in await feed(serving)][2:] == ["SUPERSEDE"]
    serving.execute("UPDATE grounds.hold SET lifted_at = %s", NOW - timedelta(days=2))
    assert [entry["kind"] for entry in await feed(serving)][3:] == ["RELEASE"]


async def test_a_policy_with_another_deadline_never_brings_forward_what_a_client_was_told(serving: TestGateway) -> None:
    await serving.pull()
    await serving.ingest([fact("content", day=3, audience="FRIENDS")])
    assert [entry["dueBy"] for entry in await feed(serving)] == [DUE]
    serving.execute(
        "UPDATE grounds.policy SET document = jsonb_set(document::jsonb, '{retraction,due_hours}', '1') WHERE active"
    )
    await serving.ingest([fact("content", id="other", day=3, audience="FRIENDS")])
    assert [entry["dueBy"] for entry in await feed(serving)] == [DUE] * 2


async def test_acknowledging_waits_for_no_job_that_writes_retractions(serving: TestGateway) -> None:
    await serving.pull()
    await serving.ingest([fact("content", day=3, audience="FRIENDS")])
    (entry,) = await feed(serving)
    with psycopg.connect(serving.database_url) as job:
        job.execute("UPDATE grounds.content SET audience = 'FRIENDS' WHERE platform_id = 'other'")
        job.execute("SELECT grounds.retract_due()")
        left = await serving.ask(Role.TRAINING_CLIENT, ACKNOWLEDGE, {"id": entry["id"]})
        assert left == {"acknowledgeRetractions": {"remaining": 0}}
    assert len(await feed(serving)) == 2
