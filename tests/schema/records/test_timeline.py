"""Explaining an item: who received it and what they were told, and its facts in the order they became known."""

import json
from datetime import datetime
from typing import Any

import pytest

from schema.actor import Role
from tests.schema.oversight.test_holds_and_policies import OPEN, officer
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import TestGateway
from tests.support.retractions import deliver, retract, settled, supersede

pytestmark = pytest.mark.database

ENTRIES = "nodes { kind occurredAt recordedAt sentence } pageInfo { hasNextPage endCursor }"
TIMELINE = f"""query T($item: ID!, $first: Int! = 100, $after: String) {{
  content(id: $item) {{ timeline(first: $first, after: $after) {{ {ENTRIES} }} }}
}}"""
RECIPIENTS = """query R($item: ID!) { content(id: $item) { recipients {
  client purpose deliveredAt deliveries policyVersion retraction retractionKind
} } }"""
ACKNOWLEDGE = "mutation($id: ID!) { acknowledgeRetractions(upTo: $id) { remaining } }"


async def timeline(gateway: TestGateway, item: str, role: Role = Role.AUDITOR) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = (await gateway.ask(role, TIMELINE, {"item": item}))["content"]["timeline"]["nodes"]
    return entries


async def recipients(gateway: TestGateway, item: str) -> dict[str, dict[str, Any]]:
    found = (await gateway.ask(Role.AUDITOR, RECIPIENTS, {"item": item}))["content"]["recipients"]
    return {each["client"]: each for each in found}


async def states(gateway: TestGateway, item: str) -> dict[str, tuple[str, str | None]]:
    found = await recipients(gateway, item)
    return {name: (each["retraction"], each["retractionKind"]) for name, each in found.items()}


async def acknowledge(gateway: TestGateway) -> None:
    feed = await gateway.ask(Role.TRAINING_CLIENT, "{ retractions(first: 9) { nodes { id } } }")
    await gateway.ask(Role.TRAINING_CLIENT, ACKNOWLEDGE, feed["retractions"]["nodes"][-1])


async def test_recipients_say_when_they_received_it_and_what_they_were_told(gateway: TestGateway) -> None:
    (name, untouched) = await deliver(gateway, 2, "client", "other")
    gateway.set_clock(NOW + DAY)
    await gateway.pull()
    seen = await recipients(gateway, name)
    told = {"retraction": "NONE", "retractionKind": None, "policyVersion": "2025-05-27", "purpose": "GENAI_TRAINING"}
    assert seen == {
        "client": told | {"client": "client", "deliveredAt": NOW.isoformat(), "deliveries": 2},
        "other": told | {"client": "other", "deliveredAt": NOW.isoformat(), "deliveries": 1},
    }
    await retract(gateway, [name])
    await settled(gateway)
    await acknowledge(gateway)
    assert await states(gateway, name) == {
        "client": ("ACKNOWLEDGED", "RETRACT"),
        "other": ("UNACKNOWLEDGED", "RETRACT"),
    }
    gateway.set_clock(NOW + 8 * DAY)
    assert await states(gateway, name) == {"client": ("ACKNOWLEDGED", "RETRACT"), "other": ("OVERDUE", "RETRACT")}
    assert await states(gateway, untouched) == {"client": ("NONE", None), "other": ("NONE", None)}


async def test_what_was_delivered_again_is_not_retracted(gateway: TestGateway) -> None:
    (name,) = await deliver(gateway, 1)
    await supersede(gateway, [name])
    await settled(gateway)
    assert await states(gateway, name) == {"client": ("UNACKNOWLEDGED", "SUPERSEDE")}
    await acknowledge(gateway)
    gateway.set_clock(NOW + 2 * DAY)
    assert len(await gateway.pull()) == 1
    assert await states(gateway, name) == {"client": ("NONE", None)}


async def test_a_timeline_tells_what_happened_and_when_it_became_known(gateway: TestGateway) -> None:
    (name,) = await deliver(gateway, 1)
    gateway.set_clock(NOW + DAY)
    narrowed = fact("content", 9, id=name, audience="FRIENDS", audience_since="2026-01-09T00:00:00Z")
    await gateway.ingest([narrowed, fact("account", 9, born_on="2010-02-03"), fact("objection", account="author")])
    await settled(gateway)
    gateway.set_clock(NOW + 2 * DAY)
    await officer(gateway, OPEN, scope="COUNTRY", value="IE")
    await officer(gateway, OPEN, scope="COUNTRY", value="FR")
    await gateway.ingest([narrowed | {"observed_at": "2026-01-10T00:00:00Z", "deleted_at": "2026-01-10T00:00:00Z"}])
    entries = await timeline(gateway, name)
    known, later, last = [(NOW + days * DAY).isoformat() for days in (-60, 1, 2)]
    assert [(each["kind"], each["occurredAt"], each["recordedAt"]) for each in entries] == [
        ("NOTICE_DELIVERED", "2025-04-14T09:59:00+00:00", known),
        ("CONTENT_RECORDED", "2026-01-01T00:00:00+00:00", known),
        ("ACCOUNT_RECORDED", "2026-01-02T00:00:00+00:00", known),
        ("DELIVERED", NOW.isoformat(), NOW.isoformat()),
        ("OBJECTION_RECEIVED", "2024-06-10T00:00:00+00:00", later),
        ("BIRTH_DATE_CHANGED", "2026-01-09T00:00:00+00:00", later),
        ("AUDIENCE_CHANGED", "2026-01-09T00:00:00+00:00", later),
        ("RETRACTED", later, later),
        ("CONTENT_DELETED", "2026-01-10T00:00:00+00:00", last),
        ("HOLD_OPENED", last, last),
    ]
    said = {each["kind"]: each["sentence"] for each in entries}
    assert said["CONTENT_RECORDED"] == "The item was recorded: POST, audience PUBLIC."
    assert said["ACCOUNT_RECORDED"] == "The account was recorded: PERSONAL on FACEBOOK, country IE, ACTIVE."
    assert said["AUDIENCE_CHANGED"] == "The audience of the item changed from PUBLIC to FRIENDS."
    assert said["DELIVERED"] == "client received the item for the purpose GENAI_TRAINING, under the policy 2025-05-27."
    assert said["RETRACTED"].endswith("delete the item. The item had been delivered after an objection was received.")
    assert said["HOLD_OPENED"] == "A hold that covers the item (COUNTRY) was opened by order of The authority."


async def test_a_timeline_holds_no_text_and_nothing_that_names_a_person(gateway: TestGateway) -> None:
    (name,) = await deliver(gateway, 1)
    gateway.set_clock(NOW + DAY)
    canaries = {"text": "A kingfisher", "language": "en-x-wren", "born_on": "1987-06-05", "person": "a-person"}
    account = fact("account", 9, born_on=canaries["born_on"], person=canaries["person"], contacts=["c" * 64])
    objection = fact("objection", id="theirs", contact="c" * 64)
    await gateway.ingest([fact("content", 9, id=name, text=canaries["text"], language=canaries["language"])])
    await gateway.ingest([account, objection, '{"record": "account", "id": "author", "observed_at": "2026-01-20"}'])
    for role in (Role.AUDITOR, Role.PRIVACY_OFFICER):
        entries = await timeline(gateway, name, role)
        assert {"BIRTH_DATE_CHANGED", "OBJECTION_RECEIVED", "RECORD_QUARANTINED"} <= {each["kind"] for each in entries}
        for hidden in (*canaries.values(), "1987", "c" * 64, "author", "theirs", "heron"):
            assert hidden not in json.dumps(entries), hidden


async def test_a_timeline_is_walked_in_pages_and_goes_on_where_it_was_left(gateway: TestGateway) -> None:
    (name,) = await deliver(gateway, 1)
    whole = await timeline(gateway, name)
    walked: list[dict[str, Any]] = []
    after = None
    for place in range(len(whole)):
        variables = {"item": name, "first": 1, "after": after}
        page = (await gateway.ask(Role.AUDITOR, TIMELINE, variables))["content"]["timeline"]
        walked += page["nodes"]
        after = page["pageInfo"]["endCursor"]
        assert page["pageInfo"]["hasNextPage"] == (place < len(whole) - 1)
    assert walked == whole
    gateway.set_clock(NOW + DAY)
    await gateway.ingest([fact("content", 9, id=name, audience="FRIENDS")])
    variables = {"item": name, "first": 9, "after": after}
    (fresh, *_) = (await gateway.ask(Role.AUDITOR, TIMELINE, variables))["content"]["timeline"]["nodes"]
    assert fresh["kind"] == "AUDIENCE_CHANGED"
    assert datetime.fromisoformat(fresh["recordedAt"]) == NOW + DAY


@pytest.mark.parametrize("field", ["recipients { client }", "timeline(first: 9) { nodes { kind } }"])
async def test_a_person_reads_neither_of_the_own_item(gateway: TestGateway, field: str) -> None:
    await deliver(gateway, 1)
    query = f"{{ contents(first: 1) {{ nodes {{ {field} }} }} }}"
    answer = (await gateway.post(Role.DATA_SUBJECT, query, subject="author")).json()
    assert {each["extensions"]["code"] for each in answer["errors"]} == {"FORBIDDEN"}
