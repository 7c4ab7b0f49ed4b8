"""Objecting over GraphQL: by the person, by an officer, by nobody else; and what a person sees of it."""

from typing import Any

import pytest

from db.ingest.contacts import contact_hash
from schema.actor import Role
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import TestGateway

FILE = "mutation File($input: FileObjectionInput!) { fileObjection(input: $input) { reference receivedAt scope } }"
WITHDRAW = """mutation Withdraw($reference: String!) {
  withdrawObjection(reference: $reference) { reference withdrawnAt activeUntil }
}"""
UNMATCHED = """query Unmatched($first: Int!, $after: String) {
  unmatchedObjections(first: $first, after: $after) {
    nodes { reference scope channel receivedAt targets { kind value } }
    pageInfo { hasNextPage endCursor }
  }
}"""
MINE = """{ viewer {
  notices { channel epoch } objections { id scope channel activeUntil }
  deliveries { id client purpose policyVersion decidedAt contentIds }
} }"""
ME: dict[str, Any] = {"subject": "author"}


@pytest.fixture
async def subject_gateway(gateway: TestGateway) -> TestGateway:
    """Somebody whose post is permitted, and somebody else."""
    gateway.set_clock(NOW)
    contacts = [contact_hash("anna@example.org")]
    theirs = [fact("account", id="b"), fact("content", id="theirs", account="b"), fact("notice", id="n2", account="b")]
    answer = await gateway.ingest([fact("account", contacts=contacts), fact("content"), fact("notice"), *theirs])
    assert answer["total"]["rejected"] == 0
    return gateway


async def pulled(gateway: TestGateway) -> set[str]:
    return set(await gateway.platform_ids(item["id"] for item in await gateway.pull()))


async def refused(gateway: TestGateway, role: Role, query: str, variables: dict[str, Any], **claims: str) -> str:
    answer = (await gateway.post(role, query, variables, **claims)).json()
    message: str = answer["errors"][0]["message"]
    return message


async def test_a_person_objects_for_the_own_account_and_takes_it_back(subject_gateway: TestGateway) -> None:
    filed = (await subject_gateway.ask(Role.DATA_SUBJECT, FILE, {"input": {}}, **ME))["fileObjection"]
    assert await pulled(subject_gateway) == {"theirs"}
    assert filed["scope"] == "ALL"
    assert filed["receivedAt"].startswith("2026-06-01T12:00:00")
    (mine,) = (await subject_gateway.ask(Role.DATA_SUBJECT, MINE, **ME))["viewer"]["objections"]
    assert mine | {"id": ""} == {"id": "", "scope": "ALL", "channel": "API", "activeUntil": None}
    for name in (filed["reference"], mine["id"]):  # again changes nothing
        back = (await subject_gateway.ask(Role.DATA_SUBJECT, WITHDRAW, {"reference": name}, **ME))["withdrawObjection"]
        assert back["reference"] == filed["reference"]
        assert back["activeUntil"].startswith("2026-06-15T12:00:00")
    assert await pulled(subject_gateway) == {"theirs"}
    subject_gateway.set_clock(NOW + 14 * DAY)
    assert await pulled(subject_gateway) == {"item", "theirs"}


@pytest.mark.parametrize("field", ["account", "person", "contact", "channel", "receivedAt"])
async def test_a_person_names_nobody_else_and_no_other_channel(subject_gateway: TestGateway, field: str) -> None:
    value = {"account": "b", "person": "p", "contact": "b@example.org", "channel": "LETTER"}.get(
        field, "2026-01-01T00:00:00Z"
    )
    message = await refused(subject_gateway, Role.DATA_SUBJECT, FILE, {"input": {field: value}}, **ME)
    assert message == f"{field}: only officers can set this (omit {field}; your objection applies to your own account)"
    assert await pulled(subject_gateway) == {"item", "theirs"}


async def test_another_persons_objection_is_refused_as_one_that_is_not_there(subject_gateway: TestGateway) -> None:
    filed = (await subject_gateway.ask(Role.DATA_SUBJECT, FILE, {"input": {}}, **ME))["fileObjection"]
    theirs, none = [
        await refused(subject_gateway, Role.DATA_SUBJECT, WITHDRAW, {"reference": reference}, subject="b")
        for reference in (filed["reference"], "filed-0000-0000-0000")
    ]
    assert theirs == none


@pytest.mark.parametrize(
    "target",
    [{"account": "author"}, {"contact": "Anna@example.org"}, {"contact": contact_hash("anna@example.org")}],
    ids=["account", "address", "hash"],
)
async def test_an_officer_files_what_came_by_letter(subject_gateway: TestGateway, target: dict[str, str]) -> None:
    stated = target | {"channel": "LETTER", "scope": "PUBLIC_CONTENT"}
    filed = (await subject_gateway.ask(Role.PRIVACY_OFFICER, FILE, {"input": stated}))["fileObjection"]
    assert await pulled(subject_gateway) == {"theirs"}
    assert filed["scope"] == "PUBLIC_CONTENT"
    assert subject_gateway.execute("SELECT channel, filed_by FROM grounds.objection") == [
        ("LETTER", "development-privacy_officer")
    ]
    back = await subject_gateway.ask(Role.PRIVACY_OFFICER, WITHDRAW, {"reference": filed["reference"]})
    assert back["withdrawObjection"]["activeUntil"].startswith("2026-06-15T12:00:00")


async def test_an_officer_states_when_a_letter_came_and_is_told_if_nothing_matches(
    subject_gateway: TestGateway,
) -> None:
    file = FILE.replace("scope }", "scope unmatched }")
    letter = {"account": "author", "channel": "LETTER", "receivedAt": "2026-05-03T10:00:00+02:00"}
    filed = (await subject_gateway.ask(Role.PRIVACY_OFFICER, file, {"input": letter}))["fileObjection"]
    assert (filed["receivedAt"], filed["unmatched"]) == ("2026-05-03T08:00:00+00:00", False)
    unknown = letter | {"account": "autor", "channel": "PHONE"}
    assert (await subject_gateway.ask(Role.PRIVACY_OFFICER, file, {"input": unknown}))["fileObjection"]["unmatched"]
    for change, said in (
        ({"receivedAt": "2026-06-01T12:00:01Z"}, "receivedAt: must not be in the future"),
        ({"receivedAt": "2026-05-03T10:00:00"}, "receivedAt: must have a time zone"),
        ({"channel": "FORM"}, "receivedAt: needs one of the channels LETTER, PHONE, EMAIL"),
        ({"channel": None}, "receivedAt: needs one of the channels LETTER, PHONE, EMAIL"),
    ):
        message = await refused(subject_gateway, Role.PRIVACY_OFFICER, file, {"input": letter | change})
        assert message.startswith(said)
    message = await refused(subject_gateway, Role.DATA_SUBJECT, file, {"input": {}}, **ME)
    assert "unmatched" in message
    # A field that is hidden is refused, and the person's objection counts all the same.
    assert subject_gateway.execute("SELECT count(*) FROM grounds.objection") == [(3,)]


async def test_the_evidence_says_since_when_and_by_which_channel_the_author_objects(
    subject_gateway: TestGateway,
) -> None:
    letter = {"account": "author", "channel": "LETTER", "receivedAt": "2026-05-03T10:00:00+02:00"}
    letter["scope"] = "PUBLIC_CONTENT"
    reference = (await subject_gateway.ask(Role.PRIVACY_OFFICER, FILE, {"input": letter}))["fileObjection"]["reference"]
    await subject_gateway.ask(Role.DATA_SUBJECT, FILE, {"input": {"scope": "AI_INTERACTIONS"}}, **ME)
    query = "{ contents(first: 9) { nodes { eligibility { conditions { code outcome evidence } } } } }"

    async def evidence(role: Role, **claims: Any) -> dict[str, str | None]:
        nodes = (await subject_gateway.ask(role, query, **claims))["contents"]["nodes"]
        found = [each for node in nodes for each in node["eligibility"]["conditions"]]
        return {each["outcome"]: each["evidence"] for each in found if each["code"] == "NO_ACTIVE_OBJECTION"}

    said = "objection received on 2026-05-03 by LETTER"
    for role in (Role.PRIVACY_OFFICER, Role.AUDITOR):
        assert await evidence(role) == {"FAIL": said, "PASS": None}
    assert await evidence(Role.DATA_SUBJECT, **ME) == {"FAIL": said}
    await subject_gateway.ask(Role.PRIVACY_OFFICER, WITHDRAW, {"reference": reference})
    assert await evidence(Role.AUDITOR) == {"FAIL": f"{said}, withdrawn on 2026-06-01", "PASS": None}
    subject_gateway.set_clock(NOW + 15 * DAY)
    assert await evidence(Role.AUDITOR) == {"PASS": None}
    pulled = await subject_gateway.post(
        Role.TRAINING_CLIENT, "{ trainableContent(first: 9) { nodes { reason { conditions { code evidence } } } } }"
    )
    assert "LETTER" not in pulled.text
    assert len(pulled.json()["data"]["trainableContent"]["nodes"]) == 2


async def test_an_officer_names_an_account_by_our_id_too(subject_gateway: TestGateway) -> None:
    known = await subject_gateway.ask(Role.PRIVACY_OFFICER, '{ account(id: "author") { id } }')
    await subject_gateway.ask(Role.PRIVACY_OFFICER, FILE, {"input": {"account": known["account"]["id"]}})
    assert await pulled(subject_gateway) == {"theirs"}


@pytest.mark.parametrize(
    ("stated", "fault"),
    [
        ({}, "input: must have one of account, person and contact"),
        ({"account": "a", "person": "p"}, "input: must have only one of"),
        ({"contact": "anna doe"}, "contact: must be an e-mail address"),
        ({"contact": "+353"}, "contact: must be a phone number"),
        ({"account": ""}, "account: must have 1 to 2048"),
        ({"person": "p" * 2049}, "person: must have 1 to 2048 bytes, and only printable characters"),
        ({"account": "a\0"}, "account: must have 1 to 2048"),
    ],
)
async def test_an_officer_is_told_what_is_wrong(
    subject_gateway: TestGateway, stated: dict[str, str], fault: str
) -> None:
    message = await refused(subject_gateway, Role.PRIVACY_OFFICER, FILE, {"input": stated})
    assert message.startswith(fault)
    assert subject_gateway.execute("SELECT count(*) FROM grounds.objection") == [(0,)]


@pytest.mark.parametrize("role", [Role.TRAINING_CLIENT, Role.DASHBOARD, Role.AUDITOR, Role.PLATFORM_INGEST])
async def test_nobody_else_files_withdraws_or_sees_what_is_unmatched(subject_gateway: TestGateway, role: Role) -> None:
    for query, variables in ((FILE, {"input": {}}), (WITHDRAW, {"reference": "r"}), (UNMATCHED, {"first": 1})):
        assert "this token is for" in await refused(subject_gateway, role, query, variables)


async def test_an_officer_walks_what_reaches_nobody(subject_gateway: TestGateway) -> None:
    for number in range(5):
        await subject_gateway.ask(Role.PRIVACY_OFFICER, FILE, {"input": {"account": f"unknown-{number}"}})
    await subject_gateway.ask(Role.PRIVACY_OFFICER, FILE, {"input": {"account": "author"}})
    found: list[dict[str, Any]] = []
    after = None
    for size in (2, 2, 1):
        page = await subject_gateway.ask(Role.PRIVACY_OFFICER, UNMATCHED, {"first": 2, "after": after})
        assert len(page["unmatchedObjections"]["nodes"]) == size
        found += page["unmatchedObjections"]["nodes"]
        after = page["unmatchedObjections"]["pageInfo"]["endCursor"]
    assert not page["unmatchedObjections"]["pageInfo"]["hasNextPage"]
    assert [node["targets"] for node in found] == [
        [{"kind": "ACCOUNT", "value": f"unknown-{number}"}] for number in range(5)
    ]
    assert "this token is for" in await refused(subject_gateway, Role.DATA_SUBJECT, UNMATCHED, {"first": 1}, **ME)


async def test_a_person_sees_the_own_notices_and_deliveries(subject_gateway: TestGateway) -> None:
    await subject_gateway.pull()
    viewer = (await subject_gateway.ask(Role.DATA_SUBJECT, MINE, **ME))["viewer"]
    assert viewer["notices"] == [{"channel": "IN_APP", "epoch": "2025-04"}]
    (delivery,) = viewer["deliveries"]
    assert (delivery["client"], delivery["purpose"]) == ("client", "GENAI_TRAINING")
    (item,) = delivery["contentIds"]
    own = await subject_gateway.ask(
        Role.DATA_SUBJECT, "query($id: ID!) { content(id: $id) { kind } }", {"id": item}, **ME
    )
    assert own["content"] == {"kind": "POST"}
    nobody = (await subject_gateway.ask(Role.DATA_SUBJECT, MINE, subject="stranger"))["viewer"]
    assert nobody == {"notices": [], "objections": [], "deliveries": []}
    for role in set(Role) - {Role.DATA_SUBJECT}:
        assert "this token is for" in await refused(subject_gateway, role, "{ viewer { deliveries { id } } }", {})


async def test_an_objection_is_filed_by_post_alone(subject_gateway: TestGateway) -> None:
    headers = {"Authorization": f"Bearer {subject_gateway.token(Role.DATA_SUBJECT, **ME)}"}
    query = {"query": "mutation { fileObjection(input: {}) { reference } }"}
    assert (await subject_gateway.client.get("/graphql", params=query, headers=headers)).status_code == 405
    assert await pulled(subject_gateway) == {"item", "theirs"}
