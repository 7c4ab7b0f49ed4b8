"""What leans on a quarantined record is unknown too, until a good later record replaces it."""

import json

import pytest

from db.policy.compile import compiled_views
from db.policy.document import default_policy
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import TestGateway, put_page_view

REFERENCES = [{"account": "friend", "relation": "TAG"}]
# The rules as the compiled view writes them.
RULES = (
    " AND (p.quarantined_at < p.observed_at OR NULL)",
    "(NOT o.quarantined OR NULL) AND ",
    "(NOT (o.quarantined OR o.person_quarantined) OR NULL) AND ",
    "(NOT s.person_quarantined OR NULL) AND ",
)


@pytest.fixture
async def leaning(gateway: TestGateway) -> TestGateway:
    """A gateway with four permitted items: a post, its comment, a post that tags a friend, one of the other account."""
    gateway.set_clock(NOW)
    people = [fact("account", person="p"), fact("account", id="friend"), fact("account", id="second", person="p")]
    items = [
        fact("content"),
        fact("content", id="comment", kind="COMMENT", parent="item"),
        fact("content", id="tagging", references=REFERENCES),
        fact("content", id="other", account="second"),
    ]
    await gateway.ingest([*people, *items, fact("notice"), fact("notice", id="n2", account="second")])
    assert await permitted(gateway) == {"item", "comment", "tagging", "other"}
    return gateway


async def permitted(gateway: TestGateway, client: str = "client") -> set[str]:
    return set(await gateway.platform_ids(item["id"] for item in await gateway.pull(client=client)))


async def unknown(gateway: TestGateway, item: str) -> set[str]:
    _, _, outcomes = (await gateway.decisions())[item]
    return {code for code, outcome in outcomes.items() if outcome == "UNKNOWN"}


async def test_a_comment_under_a_quarantined_item_is_unknown(leaning: TestGateway) -> None:
    await leaning.ingest([fact("content", 3, audience="PUBLIK")])
    assert await unknown(leaning, "comment") == {"AUDIENCE_PUBLIC"}
    assert await permitted(leaning) == {"tagging", "other"}
    await leaning.ingest([fact("content", 4)])
    assert await permitted(leaning) == {"item", "comment", "tagging", "other"}


async def test_an_item_that_references_a_quarantined_account_is_unknown(leaning: TestGateway) -> None:
    await leaning.ingest([fact("account", 3, id="friend", born_on="20I0")])
    assert await unknown(leaning, "tagging") == {"NO_OBJECTOR_REFERENCED", "NO_MINOR_REFERENCED"}
    assert await permitted(leaning) == {"item", "comment", "other"}
    await leaning.ingest([fact("account", 4, id="friend")])
    assert await permitted(leaning) == {"item", "comment", "tagging", "other"}


async def test_the_age_of_every_account_of_a_quarantined_person_is_unknown(leaning: TestGateway) -> None:
    await leaning.ingest([fact("account", 3, person="p", born_on="20I0")])
    assert await unknown(leaning, "other") == {"AUTHOR_ADULT_NOW", "AUTHOR_ADULT_AT_CREATION"}
    assert await permitted(leaning) == set()
    await leaning.ingest([fact("account", 4, person="p")])
    assert await permitted(leaning) == {"item", "comment", "tagging", "other"}


async def test_a_notice_that_is_set_aside_counts_for_nothing_and_quarantines_nothing_else(leaning: TestGateway) -> None:
    answer = await leaning.ingest([fact("notice", 3, epoch="spring")])
    assert answer["stillSetAside"] == {}
    _, _, outcomes = (await leaning.decisions())["item"]
    assert (outcomes["NOTICE_DELIVERED"], outcomes["ACCOUNT_IN_GOOD_STANDING"]) == ("FAIL", "PASS")
    assert await permitted(leaning) == {"other"}
    answer = await leaning.ingest([fact("notice", 3)])
    assert (answer["total"]["accepted"], answer["stillSetAside"]) == (1, {"notice": 1})
    assert await permitted(leaning) == {"other"}, "a good line of the same instant replaces no bad one"
    answer = await leaning.ingest([fact("notice", 4)])
    assert answer["stillSetAside"] == {}
    assert await permitted(leaning) == {"item", "comment", "tagging", "other"}


async def test_a_bad_line_whose_instant_cannot_be_read_is_as_late_as_its_loading(leaning: TestGateway) -> None:
    await leaning.ingest([fact("content", audience="PUBLIK") | {"observed_at": "lately"}])
    answer = await leaning.ingest([fact("content", 28)])
    assert answer["stillSetAside"] == {"content": 1}
    assert "CONTENT_SETTLED" in await unknown(leaning, "item")
    leaning.set_clock(NOW + DAY)
    await leaning.ingest([fact("content") | {"observed_at": (NOW + DAY).isoformat()}])
    assert "item" in await permitted(leaning, "another"), "the first client has a retraction that is overdue by now"


@pytest.mark.parametrize(
    "line",
    [
        json.dumps(fact("content", 3))[:-1] + ', "id": "other"}',
        json.dumps(fact("content", 3)).replace('"item"', '"\\u0069tem"').replace("}", ', "x": oops}', 1),
        json.dumps(fact("content", 3)).replace('"item"', '"it\\u0065m"')[:-30],
    ],
    ids=["an id that stands twice", "an escape in broken JSON", "an escape in a line that is cut off"],
)
async def test_a_line_quarantines_every_id_that_it_can_be_read_to_name(leaning: TestGateway, line: str) -> None:
    await leaning.ingest([line])
    assert "item" not in await permitted(leaning)
    assert ("other" not in await permitted(leaning)) is ('"other"' in line)


async def test_a_build_whose_quarantine_stops_at_its_own_record_is_caught(leaning: TestGateway) -> None:
    bad = [fact("content", 3, audience="PUBLIK"), fact("account", 3, id="friend", born_on="20I0")]
    await leaning.ingest([*bad, fact("account", 3, id="second", person="p", born_on="20I0")])
    assert await permitted(leaning) == set()
    view = compiled_views(default_policy())["trainable_content"]
    for rule in RULES:
        assert rule in view, rule
        view = view.replace(rule, "")
    put_page_view(leaning.database_url, view)
    assert await permitted(leaning) == {"comment", "tagging"}, "the checks above would have passed over this"
