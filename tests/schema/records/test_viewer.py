"""What a data subject reads about themselves: numbered items with their text, deliveries of some, and references."""

from typing import Any

import pytest

from schema.actor import Role
from tests.support.facts import NOW, fact
from tests.support.gateway import TestGateway

OWN = """query Own($first: Int!, $after: String) {
  viewer {
    contentCount
    objections { reference }
    deliveries { client contentIds contentNumbers }
  }
  contents(first: $first, after: $after) {
    nodes { id number textPreview }
    pageInfo { endCursor hasNextPage }
  }
}"""
SOME = """query Some($ids: [ID!]) { viewer { deliveries(contentIds: $ids) { client contentIds contentNumbers } } }"""
ME: dict[str, Any] = {"subject": "author"}


@pytest.fixture
async def subject_gateway(gateway: TestGateway, monkeypatch: pytest.MonkeyPatch) -> TestGateway:
    """A person with five items, the latest three of them numbered, and another else with one."""
    monkeypatch.setattr("db.records.own_deliveries.MAX_ITEMS", 3)
    gateway.set_clock(NOW)
    own = [fact("content", id=f"own-{number}", text=f"Number {number}.") for number in range(1, 6)]
    theirs = [fact("account", id="b"), fact("content", id="theirs", account="b"), fact("notice", id="n2", account="b")]
    answer = await gateway.ingest([fact("account"), fact("notice"), *own, *theirs])
    assert answer["total"]["rejected"] == 0
    return gateway


async def test_the_own_items_are_numbered_in_the_order_in_which_they_came(subject_gateway: TestGateway) -> None:
    seen = await subject_gateway.ask(Role.DATA_SUBJECT, OWN, {"first": 5}, **ME)
    assert seen["viewer"]["contentCount"] == 5
    assert [(node["number"], node["textPreview"]) for node in seen["contents"]["nodes"]] == [
        (None, "Number 1."),
        (None, "Number 2."),
        (3, "Number 3."),
        (4, "Number 4."),
        (5, "Number 5."),
    ]
    stranger = await subject_gateway.ask(Role.DATA_SUBJECT, OWN, {"first": 5}, subject="stranger")
    assert stranger["viewer"] == {"contentCount": 0, "objections": [], "deliveries": []}
    assert stranger["contents"]["nodes"] == []


async def test_deliveries_are_of_the_latest_items_or_of_those_that_are_named(subject_gateway: TestGateway) -> None:
    await subject_gateway.pull()
    seen = await subject_gateway.ask(Role.DATA_SUBJECT, OWN, {"first": 5}, **ME)
    ids = [node["id"] for node in seen["contents"]["nodes"]]
    latest = {"client": "client", "contentIds": ids[2:], "contentNumbers": [3, 4, 5]}
    assert seen["viewer"]["deliveries"] == [latest]
    for named, found in (
        (None, [latest]),
        ([], []),
        (ids[:2], [{"client": "client", "contentIds": ids[:2], "contentNumbers": [None, None]}]),
        ([ids[3], ids[3]], [{"client": "client", "contentIds": [ids[3]], "contentNumbers": [4]}]),
    ):
        some = await subject_gateway.ask(Role.DATA_SUBJECT, SOME, {"ids": named}, **ME)
        assert some["viewer"]["deliveries"] == found
    everything = await subject_gateway.ask(Role.PRIVACY_OFFICER, "{ contents(first: 9) { nodes { id } } }")
    others = [node["id"] for node in everything["contents"]["nodes"]]
    assert (await subject_gateway.ask(Role.DATA_SUBJECT, SOME, {"ids": [*others, "no id"]}, **ME))["viewer"][
        "deliveries"
    ] == []
    theirs = (await subject_gateway.ask(Role.DATA_SUBJECT, SOME, {"ids": ids}, subject="b"))["viewer"]["deliveries"]
    assert theirs == [], "ids of another data subject name nothing"


async def test_more_items_than_are_looked_up_at_once_are_refused(subject_gateway: TestGateway) -> None:
    answer = (await subject_gateway.post(Role.DATA_SUBJECT, SOME, {"ids": ["x"] * 1001}, **ME)).json()
    (error,) = answer["errors"]
    assert error["message"] == "contentIds: must have at most 1000 values, not 1001 (send several requests)"
    assert error["extensions"] == {"code": "BAD_USER_INPUT"}


async def test_the_reference_of_an_objection_is_read_by_the_person_who_filed_it(subject_gateway: TestGateway) -> None:
    filed = await subject_gateway.ask(Role.DATA_SUBJECT, "mutation { fileObjection(input: {}) { reference } }", **ME)
    for subject, expected in (("author", [filed["fileObjection"]]), ("b", [])):
        assert (await subject_gateway.ask(Role.DATA_SUBJECT, OWN, {"first": 1}, subject=subject))["viewer"][
            "objections"
        ] == expected
