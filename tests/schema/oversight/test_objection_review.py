"""Officers review objections that match no account: matched by one at once, set aside by two, never gone."""

from datetime import timedelta
from typing import Any

import pytest

from db.ingest.contacts import contact_hash
from schema.actor import Role
from tests.schema.oversight.test_holds_and_policies import officer, refusal
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import TestGateway
from tests.support.retractions import deliver, settled

pytestmark = pytest.mark.database

RECORD = "id matched activeUntil rejection { reason requestedBy rejectedBy } targets { kind value }"
MATCH = f"mutation M($id: ID!, $account: String!) {{ matchObjection(id: $id, account: $account) {{ {RECORD} }} }}"
REJECT = f"mutation R($id: ID!, $reason: String) {{ rejectObjection(id: $id, reason: $reason) {{ {RECORD} }} }}"
SUMMARY = """{ objectionSummary { received active withdrawn unmatched rejected
  timeToEffect { median p95 max } byDay { day channel received } } }"""
NOBODYS = "nobody@example.org"


async def list_objections(gateway: TestGateway, *, unmatched: bool) -> list[dict[str, Any]]:
    query = (
        f"query L($unmatched: Boolean!) {{ objections(first: 9, unmatched: $unmatched) {{ nodes {{ {RECORD} }} }} }}"
    )
    nodes: list[dict[str, Any]] = (await officer(gateway, query, unmatched=unmatched))["nodes"]
    old = await officer(gateway, "{ unmatchedObjections(first: 9) { nodes { id } } }")
    if unmatched:
        assert [each["id"] for each in nodes] == [each["id"] for each in old["nodes"]], "one rule for both lists"
    return nodes


async def filed(gateway: TestGateway) -> str:
    """Deliver two items, file an objection that matches no account, and return its id."""
    await deliver(gateway, 2)
    lost = fact("objection", contact=contact_hash(NOBODYS), received_at="2026-05-31T12:00:00Z")
    await gateway.ingest([lost])
    (only,) = await list_objections(gateway, unmatched=True)
    return str(only["id"])


@pytest.mark.parametrize("by_our_id", [True, False])
async def test_a_matched_objection_is_in_force_at_once_and_retracts(gateway: TestGateway, by_our_id: bool) -> None:
    id = await filed(gateway)
    known = await officer(gateway, '{ account(id: "author") { id } }')
    assert len(await gateway.pull()) == 2
    matched = await officer(gateway, MATCH, id=id, account=known["id"] if by_our_id else "author")
    assert await gateway.pull() == []
    assert matched == {"id": id, "matched": True, "activeUntil": None, "rejection": None, "targets": []}
    assert await list_objections(gateway, unmatched=True) == []
    assert await list_objections(gateway, unmatched=False) == [matched]
    assert await officer(gateway, MATCH, id=id, account="author") == matched, "again changes nothing"
    who = gateway.execute("SELECT kind, named_by FROM grounds.objection_target ORDER BY 1")
    assert who == [("ACCOUNT", "first"), ("CONTACT", None)]
    await settled(gateway)
    feed = await gateway.ask(Role.TRAINING_CLIENT, "{ retractions(first: 9) { nodes { kind } } }")
    assert [each["kind"] for each in feed["retractions"]["nodes"]] == ["RETRACT", "RETRACT"]


async def test_a_match_that_would_not_put_in_force_is_noticed(gateway: TestGateway) -> None:
    id = await filed(gateway)
    gateway.execute("ALTER TABLE grounds.objection_target DISABLE TRIGGER targeted")
    await officer(gateway, MATCH, id=id, account="author")
    assert len(await gateway.pull()) == 2, "the test above would have passed over this"


async def test_a_match_lasts_whatever_the_platform_says_of_the_objection_later(gateway: TestGateway) -> None:
    id = await filed(gateway)
    await officer(gateway, MATCH, id=id, account="author")
    await gateway.ingest([fact("objection", 9, contact=contact_hash("other@example.org"))])
    assert await gateway.pull() == []


async def test_a_match_with_nobody_is_refused(gateway: TestGateway) -> None:
    id = await filed(gateway)
    assert (await refusal(gateway, MATCH, id=id, account="nobody")).startswith("account: must be a known account")
    assert (await refusal(gateway, MATCH, id="x", account="author")).startswith(
        "id: must be an objection that was not withdrawn"
    )
    await officer(gateway, "mutation W($id: String!) { withdrawObjection(reference: $id) { reference } }", id=id)
    assert (await refusal(gateway, MATCH, id=id, account="author")).startswith(
        "id: must be an objection that was not withdrawn"
    )
    assert len(await gateway.pull()) == 2


async def test_an_objection_is_set_aside_by_two_officers_and_kept(gateway: TestGateway) -> None:
    id = await filed(gateway)
    assert (await refusal(gateway, REJECT, id=id)).startswith("reason: is missing")
    asked = await officer(gateway, REJECT, id=id, reason="An advertisement")
    assert asked["rejection"] == {"reason": "An advertisement", "requestedBy": "first", "rejectedBy": None}
    assert await list_objections(gateway, unmatched=True) == [asked], "one officer alone takes nothing off the list"
    assert "ask another officer" in await refusal(gateway, REJECT, id=id)
    assert "ask another officer" in await refusal(gateway, REJECT, id=id, reason="Again")
    assert (await refusal(gateway, REJECT, "second", id=id, reason="A joke")).startswith(
        "reason: differs from the reason of the officer who requested the rejection"
    )
    rejected = await officer(gateway, REJECT, "second", id=id)
    assert rejected["rejection"] == {"reason": "An advertisement", "requestedBy": "first", "rejectedBy": "second"}
    assert await list_objections(gateway, unmatched=True) == []
    assert await list_objections(gateway, unmatched=False) == [rejected]
    assert (await refusal(gateway, REJECT, "third", id=id)).startswith("id: was already rejected")


async def test_what_was_set_aside_still_counts_for_whom_it_reaches_later(gateway: TestGateway) -> None:
    id = await filed(gateway)
    for name in ("first", "second"):
        await officer(gateway, REJECT, name, id=id, reason="An advertisement")
    assert len(await gateway.pull()) == 2
    await gateway.ingest([fact("account", 9, contacts=[contact_hash(NOBODYS)])])
    assert await gateway.pull() == []
    (kept,) = await list_objections(gateway, unmatched=False)
    assert kept["matched"]


async def test_what_is_remembered_of_whom_objections_reach_changes_no_list(gateway: TestGateway) -> None:
    await filed(gateway)
    await gateway.ingest([*(fact("objection", id=each, account=each) for each in ("author", "not-known"))])
    lists = [await list_objections(gateway, unmatched=unmatched) for unmatched in (True, False)]
    assert [len(each) for each in lists] == [2, 3]
    counted = await officer(gateway, SUMMARY)
    gateway.execute("SELECT grounds.record_matched_objections()")
    assert gateway.execute("SELECT count(*) FROM grounds.objection_matched") == [(1,)]
    assert [await list_objections(gateway, unmatched=unmatched) for unmatched in (True, False)] == lists
    assert await officer(gateway, SUMMARY) == counted
    await gateway.ingest([fact("account", 9, id="not-known", contacts=[contact_hash(NOBODYS)])])
    assert await list_objections(gateway, unmatched=True) == [], "reached after the job looked"
    gateway.execute("SELECT grounds.record_matched_objections()")
    assert gateway.execute("SELECT count(*) FROM grounds.objection_matched") == [(3,)]


async def test_a_duty_that_remembers_what_reaches_nobody_is_noticed(gateway: TestGateway) -> None:
    await filed(gateway)
    gateway.execute("INSERT INTO grounds.objection_matched SELECT id FROM grounds.objection")
    assert await list_objections(gateway, unmatched=True) == [], "the test above would have passed over this"


async def test_an_objection_that_reaches_somebody_is_not_set_aside(gateway: TestGateway) -> None:
    id = await filed(gateway)
    await officer(gateway, REJECT, id=id, reason="An advertisement")
    await officer(gateway, MATCH, "third", id=id, account="author")
    assert (await refusal(gateway, REJECT, "second", id=id)).startswith(
        "id: must be the id of an objection that matches no account"
    )
    assert await gateway.pull() == []


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.PRIVACY_OFFICER])
async def test_nobody_else_matches_or_rejects(gateway: TestGateway, role: Role) -> None:
    claims = {"subject": "author"} if role is Role.DATA_SUBJECT else {}
    for query in (MATCH, REJECT):
        answer = (await gateway.post(role, query, {"id": "x", "account": "author"}, **claims)).json()
        assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_objections_are_counted_by_day_and_by_how_they_stand(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    assert (await officer(gateway, SUMMARY))["timeToEffect"] is None
    await gateway.ingest([fact("account")])
    received = [NOW - 100 * DAY, NOW - 89 * DAY, NOW - DAY, NOW - DAY, NOW + DAY]
    objections = [
        fact("objection", id=f"o-{place}", account=("author" if place else "unknown"), received_at=instant.isoformat())
        for place, instant in enumerate(received)
    ]
    objections[3] |= {"channel": "LETTER"}
    await gateway.ingest(objections)
    gateway.set_clock(NOW + DAY)
    withdrawn = [each | {"withdrawn_at": NOW.isoformat(), "observed_at": NOW.isoformat()} for each in objections[1:3]]
    withdrawn[0]["withdrawn_at"] = (NOW - 14 * DAY).isoformat()
    await gateway.ingest(withdrawn)
    found = await officer(gateway, SUMMARY)
    seconds = timedelta(days=1).total_seconds()
    assert found == {
        **{"received": 5, "active": 4, "withdrawn": 2, "unmatched": 1, "rejected": 0},
        "timeToEffect": {"median": seconds, "p95": 89 * seconds, "max": 89 * seconds},
        "byDay": [
            {"day": "2026-06-02", "channel": "FORM", "received": 1},
            {"day": "2026-05-31", "channel": "FORM", "received": 1},
            {"day": "2026-05-31", "channel": "LETTER", "received": 1},
            {"day": "2026-03-04", "channel": "FORM", "received": 1},
        ],
    }
