"""Hold the running gateway to the golden vectors of the specification, over HTTP and with the clock set."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from db.policies.activation import activate_policy
from db.policy.document import parse_policy
from schema.actor import Role
from tests.support.facts import DAY, HASH, NOW, OPTED_IN_POLICY, fact, instant
from tests.support.gateway import TestGateway

TICK = timedelta(microseconds=1)
CANARY = "kingfisher-4711"
START = "2025-05-27T12:00:00Z"
NAMED, OTHER_NAMED = ({"account": name, "relation": "TAG"} for name in ("one", "another"))
RESERVED = {"source": "C2PA", "train_ai": "n"}
WHY = """query Why($id: ID!) { eligibility(contentId: $id) { permitted conditions { code outcome } } }"""
PAGE = """query Page($first: Int!, $after: String) {
  trainableContent(first: $first, after: $after) { nodes { id product } pageInfo { hasNextPage endCursor } }
}"""
POSITION = """query Position($id: ID!) { content(id: $id) { account { consent { position since } } } }"""


@pytest.fixture
async def known(gateway: TestGateway) -> TestGateway:
    """A gateway that knows one item, which is permitted; the clock stands at NOW."""
    gateway.set_clock(NOW)
    answer = await gateway.ingest([fact("account"), fact("content"), fact("notice")])
    assert answer["total"]["accepted"] == 3
    return gateway


async def outcomes(gateway: TestGateway, item: str = "item", at: datetime = NOW) -> dict[str, str]:
    """Ask at an instant what became of each condition; "permitted" among them as PASS or FAIL."""
    gateway.set_clock(at)
    eligibility = (await gateway.ask(Role.PRIVACY_OFFICER, WHY, {"id": item}))["eligibility"]
    found = {result["code"]: result["outcome"] for result in eligibility["conditions"]}
    return found | {"permitted": "PASS" if eligibility["permitted"] else "FAIL"}


async def pulled(gateway: TestGateway, at: datetime = NOW, **claims: Any) -> int:
    """Count what a training client is served at an instant."""
    gateway.set_clock(at)
    return len(await gateway.pull(**claims))


async def test_an_item_is_permitted_under_every_condition(known: TestGateway) -> None:
    assert set((await outcomes(known)).values()) == {"PASS"}
    assert await pulled(known) == 1


@pytest.mark.parametrize(
    ("born_on", "noon"),
    [
        ("2007-05-27", "2025-05-27T12:00:00Z"),
        ("2008-02-29", "2026-03-01T12:00:00Z"),
        ("2007", "2025-12-31T12:00:00Z"),
        ("2008-02", "2026-03-01T12:00:00Z"),
        ("2007-11", "2025-11-30T12:00:00Z"),
    ],
)
async def test_an_author_is_adult_from_the_noon_of_the_18th_birthday_on(
    known: TestGateway, born_on: str, noon: str
) -> None:
    await known.ingest([fact("account", 3, born_on=born_on)])
    assert (await outcomes(known, at=instant(noon) - TICK))["AUTHOR_ADULT_NOW"] == "FAIL"
    assert (await outcomes(known, at=instant(noon)))["AUTHOR_ADULT_NOW"] == "PASS"


@pytest.mark.parametrize(
    ("born_on", "created_at", "outcome"),
    [
        ("2004-02-29", "2022-03-01T11:59:00Z", "FAIL"),
        ("2004-02-29", "2022-03-01T12:00:00Z", "PASS"),
        ("1996-05-27", "2012-06-01T00:00:00Z", "FAIL"),
    ],
)
async def test_an_author_must_have_been_adult_at_creation_too(
    known: TestGateway, born_on: str, created_at: str, outcome: str
) -> None:
    await known.ingest([fact("account", 3, born_on=born_on), fact("content", 3, created_at=created_at)])
    found = await outcomes(known)
    assert (found["AUTHOR_ADULT_NOW"], found["AUTHOR_ADULT_AT_CREATION"]) == ("PASS", outcome)


@pytest.mark.parametrize(
    ("delivered_at", "end"),
    [
        ("2025-04-14T09:59:00Z", "2025-05-15T12:00:00Z"),
        ("2025-04-14T10:00:00Z", "2025-05-16T12:00:00Z"),
        ("2025-04-25T09:00:00Z", "2025-05-27T12:00:00Z"),
    ],
)
async def test_a_notice_period_ends_when_its_last_working_day_has_ended_everywhere(
    known: TestGateway, delivered_at: str, end: str
) -> None:
    await known.ingest([fact("notice", 3, delivered_at=delivered_at)])
    assert (await outcomes(known, at=instant(end) - TICK))["NOTICE_PERIOD_ELAPSED"] == "FAIL"
    assert (await outcomes(known, at=instant(end)))["NOTICE_PERIOD_ELAPSED"] == "PASS"


async def test_an_objection_counts_from_when_it_was_received_however_late_it_is_loaded(known: TestGateway) -> None:
    assert await pulled(known) == 1
    await known.ingest([fact("objection", 3, account="author", received_at="2024-06-10T00:00:00Z")])
    assert await pulled(known) == 0
    content = (await known.ask(Role.PRIVACY_OFFICER, POSITION, {"id": "item"}))["content"]
    assert content["account"]["consent"]["position"] == "OBJECTED"
    assert instant(content["account"]["consent"]["since"]) == instant("2024-06-10T00:00:00Z")


async def test_an_objection_follows_the_person_to_an_account_linked_later_and_then_unlinked(known: TestGateway) -> None:
    instagram = fact("account", id="instagram", product="INSTAGRAM", person="p")
    await known.ingest([instagram, fact("objection", account="instagram")])
    assert await pulled(known) == 1
    for day, person in ((3, "p"), (4, None)):
        await known.ingest([fact("account", day, person=person)])
        assert (await outcomes(known))["NO_ACTIVE_OBJECTION"] == "FAIL"
        assert await pulled(known) == 0


async def test_an_objection_holds_until_fourteen_days_after_its_withdrawal(known: TestGateway) -> None:
    await known.ingest([fact("objection", account="author", withdrawn_at=NOW.isoformat())])
    assert await pulled(known, NOW + 14 * DAY - TICK) == 0
    assert await pulled(known, NOW + 14 * DAY) == 1


async def test_a_withdrawal_before_the_objection_was_received_withdraws_nothing(known: TestGateway) -> None:
    await known.ingest([fact("objection", account="author", withdrawn_at="2024-06-09T23:59:59Z")])
    assert await pulled(known, NOW + 400 * DAY) == 0


async def test_an_objection_by_a_contact_reaches_accounts_that_come_later_and_their_persons_others(
    known: TestGateway,
) -> None:
    await known.ingest([fact("objection", contact=HASH), fact("account", 3, person="p")])
    assert await pulled(known) == 1
    await known.ingest([fact("account", id="other", person="p", contacts=[HASH])])
    assert await pulled(known) == 0
    await known.ingest([fact("content", id="others item", account="other"), fact("notice", id="n", account="other")])
    assert await pulled(known) == 0
    assert (await outcomes(known, "others item"))["NO_ACTIVE_OBJECTION"] == "FAIL"


async def test_a_contact_that_an_account_states_later_is_one_more_contact(known: TestGateway) -> None:
    await known.ingest([fact("objection", contact=HASH), fact("account", 3, contacts=["b" * 64])])
    await known.ingest([fact("account", 4, contacts=["b" * 64, HASH])])
    assert await pulled(known) == 0


async def test_a_minors_birth_date_on_one_account_excludes_every_account_of_the_person(known: TestGateway) -> None:
    other = fact("account", id="instagram", product="INSTAGRAM", person="p", born_on="2010-01-01")
    await known.ingest([other, fact("content", id="picture", account="instagram"), fact("account", 3, person="p")])
    for item in ("item", "picture"):
        assert (await outcomes(known, item))["AUTHOR_ADULT_NOW"] == "FAIL"


async def test_an_item_that_was_hidden_for_an_hour_waits_out_the_audience_dwell_again(known: TestGateway) -> None:
    hidden_until = NOW + timedelta(hours=1)
    await known.ingest([fact("content", 3, audience="FRIENDS", audience_since=NOW.isoformat())])
    assert await pulled(known) == 0
    await known.ingest([fact("content", 4, audience_since=hidden_until.isoformat())])
    assert await pulled(known, hidden_until + 7 * DAY - TICK) == 0
    assert await pulled(known, hidden_until + 7 * DAY) == 1


async def test_a_birth_date_corrected_to_a_minors_excludes_at_once(known: TestGateway) -> None:
    assert await pulled(known) == 1
    await known.ingest([fact("account", 3, born_on="2010-03-04")])
    assert await pulled(known) == 0


async def test_a_hold_opened_between_two_pages_leaves_its_scope_out_of_the_second(known: TestGateway) -> None:
    for name, product in (("second", "INSTAGRAM"), ("third", "FACEBOOK")):
        await known.ingest(
            [
                fact("account", id=name, product=product),
                fact("content", id=f"{name} item", account=name),
                fact("notice", id=f"{name} notice", account=name),
            ]
        )
    first = (await known.ask(Role.TRAINING_CLIENT, PAGE, {"first": 1}))["trainableContent"]
    known.execute(
        "INSERT INTO grounds.hold (scope, value, authority, reason, opened_at)"
        " VALUES ('PRODUCT', 'INSTAGRAM', 'An authority', 'A reason', %s)",
        NOW,
    )
    after = first["pageInfo"]["endCursor"]
    second = (await known.ask(Role.TRAINING_CLIENT, PAGE, {"first": 10, "after": after}))["trainableContent"]
    assert [node["product"] for node in first["nodes"] + second["nodes"]] == ["FACEBOOK", "FACEBOOK"]


@pytest.mark.parametrize(
    ("scope", "value"), [("GLOBAL", None), ("COUNTRY", "IE"), ("PRODUCT", "FACEBOOK"), ("ACCOUNT", "author")]
)
async def test_a_hold_ends_a_day_after_it_was_lifted(known: TestGateway, scope: str, value: str | None) -> None:
    known.execute(
        "INSERT INTO grounds.hold (scope, value, authority, reason, opened_at)"
        " VALUES (%s, %s, 'An authority', 'A reason', %s)",
        *(scope, value, NOW),
    )
    assert await pulled(known, NOW + 400 * DAY) == 0
    known.execute("UPDATE grounds.hold SET lifted_at = %s", NOW)
    assert await pulled(known, NOW + DAY - TICK) == 0
    assert await pulled(known, NOW + DAY) == 1


async def test_an_objection_stops_what_consent_permits(known: TestGateway) -> None:
    policy = json.dumps(OPTED_IN_POLICY | {"version": "consent"})
    activate_policy(known.database_url, parse_policy(policy))
    assert await pulled(known) == 0
    await known.ingest([fact("consent")])
    assert await pulled(known) == 1
    await known.ingest([fact("objection", account="author")])
    assert await pulled(known) == 0


async def test_once_an_objection_is_acknowledged_nothing_is_served_again_anywhere(known: TestGateway) -> None:
    (item,) = await known.pull()
    await known.ingest([fact("objection", account="author")])
    page = (await known.ask(Role.TRAINING_CLIENT, PAGE, {"first": 10}))["trainableContent"]
    node = await known.ask(Role.TRAINING_CLIENT, "query Node($id: ID!) { node(id: $id) { id } }", {"id": item["id"]})
    assert page["nodes"] == []
    assert node == {"node": None}
    for first in (1, 100):
        assert await known.pull(first, client="another") == []


async def test_a_bad_line_about_an_item_shuts_it_until_a_good_later_one(known: TestGateway) -> None:
    answer = await known.ingest([fact("content", 3, audience="PUBLIK")])
    assert (answer["total"]["rejected"], answer["rejects"][0]["field"]) == (1, "audience")
    assert (await outcomes(known))["CONTENT_SETTLED"] == "UNKNOWN"
    for day, outcome in ((3, "UNKNOWN"), (4, "PASS")):
        await known.ingest([fact("content", day)])
        assert (await outcomes(known))["CONTENT_SETTLED"] == outcome


async def test_two_versions_of_one_instant_are_not_permitted_in_either_order(known: TestGateway) -> None:
    for name, audiences in (("one", ("FRIENDS", "PUBLIC")), ("another", ("PUBLIC", "FRIENDS"))):
        await known.ingest([fact("content", id=name, audience=audience) for audience in audiences])
        found = await outcomes(known, name)
        assert (found["CONTENT_SETTLED"], found["permitted"]) == ("UNKNOWN", "FAIL")
    assert await pulled(known) == 1


async def test_an_objection_only_widens_and_is_not_withdrawn_when_it_is_received(known: TestGateway) -> None:
    received = "2026-02-01T00:00:00Z"
    said = [{"scope": "ALL"}, {"scope": "AI_INTERACTIONS"}, {"withdrawn_at": received}]
    for day, changed in enumerate(said, 2):
        await known.ingest([fact("objection", day, account="author", received_at=received) | changed])
        assert (await outcomes(known, at=NOW + 400 * DAY))["NO_ACTIVE_OBJECTION"] == "FAIL", changed
    assert await pulled(known, NOW + 400 * DAY) == 0


async def test_an_item_that_is_undeleted_waits_seven_days_from_when_that_was_loaded(known: TestGateway) -> None:
    await known.ingest([fact("content", 3, deleted_at="2026-01-02T00:00:00Z")])
    assert await pulled(known) == 0
    await known.ingest([fact("content", 4)])
    assert await pulled(known, NOW + 7 * DAY - TICK) == 0
    assert await pulled(known, NOW + 7 * DAY) == 1


@pytest.mark.parametrize(
    ("record", "changes", "code", "outcome"),
    [
        ("account", {"country": None}, "REGION_COVERED", "UNKNOWN"),
        ("account", {"born_on": None}, "AUTHOR_ADULT_NOW", "UNKNOWN"),
        ("account", {"status_since": None}, "ACCOUNT_IN_GOOD_STANDING", "UNKNOWN"),
        ("notice", {"delivered_at": None}, "NOTICE_DELIVERED", "FAIL"),
        ("content", {"audience": None}, "AUDIENCE_PUBLIC", "UNKNOWN"),
        ("content", {"audience_since": None}, "AUDIENCE_STABLE", "UNKNOWN"),
        ("content", {"scans": None}, "NO_SPECIAL_CATEGORY", "UNKNOWN"),
        ("content", {"text": None}, "DEIDENTIFIED", "UNKNOWN"),
        ("content", {"references": [{"account": "nobody", "relation": "TAG"}]}, "NO_MINOR_REFERENCED", "UNKNOWN"),
        ("content", {"account": "nobody"}, "ACCOUNT_KIND_COVERED", "UNKNOWN"),
    ],
)
async def test_what_is_unknown_is_never_trainable(
    known: TestGateway, record: str, changes: dict[str, Any], code: str, outcome: str
) -> None:
    await known.ingest([fact(record, 3, **changes)])
    assert (await outcomes(known))[code] == outcome
    assert await pulled(known, NOW + 400 * DAY) == 0


async def test_a_stale_record_never_overwrites(known: TestGateway) -> None:
    await known.ingest([fact("content", 4, audience="FRIENDS")])
    answer = await known.ingest([fact("content", 3), fact("account", 1, country="US")])
    assert answer["total"] == {"accepted": 0, "unchanged": 0, "stale": 2, "rejected": 0}
    found = await outcomes(known)
    assert (found["AUDIENCE_PUBLIC"], found["REGION_COVERED"]) == ("FAIL", "PASS")


@pytest.mark.parametrize(
    ("record", "stated", "otherwise"),
    [
        ("account", {"contacts": [HASH, "b" * 64]}, {"contacts": ["b" * 64, HASH, HASH], "person": None}),
        ("account", {"compromised": [{"from": START}]}, {"compromised": [{"from": START, "to": None}] * 2}),
        ("content", {"edited_at": START}, {"edited_at": "2025-05-27T14:00:00.000+02:00"}),
        ("content", {"references": [NAMED, OTHER_NAMED]}, {"references": [OTHER_NAMED, NAMED, NAMED]}),
        ("content", {"rights": [RESERVED]}, {"rights": [RESERVED, RESERVED], "parent": None}),
    ],
)
async def test_the_same_record_written_otherwise_changes_nothing(
    known: TestGateway, record: str, stated: dict[str, Any], otherwise: dict[str, Any]
) -> None:
    await known.ingest([fact(record, 3, **stated)])
    answer = await known.ingest([fact(record, 3, **otherwise)])
    assert answer["total"] == {"accepted": 0, "unchanged": 1, "stale": 0, "rejected": 0}


async def test_facts_may_come_in_any_order(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    comment = fact("content", id="comment", kind="COMMENT", parent="item")
    for each in (fact("notice"), comment, fact("content"), fact("account")):
        assert await pulled(gateway) == 0
        await gateway.ingest([each])
    assert await pulled(gateway) == 2


@pytest.mark.parametrize("length", [1, 1 << 20, 3 << 20])
async def test_a_broken_or_overlong_objection_still_objects(known: TestGateway, length: int) -> None:
    whole = json.dumps(fact("objection", 3, account="author") | {"rest": "x" * length})
    answer = await known.ingest([whole[:-1], fact("content", 3, id="another")])
    assert (answer["total"]["rejected"], answer["total"]["accepted"]) == (1, 1)
    assert await pulled(known) == 0


async def test_an_instant_ahead_of_the_clock_is_refused_and_doubts_what_is_stored(known: TestGateway) -> None:
    ahead = (NOW + timedelta(minutes=5)).isoformat()
    too_far_ahead = (NOW + timedelta(minutes=5) + TICK).isoformat()
    assert (await known.ingest([fact("account", 3, observed_at=ahead)]))["total"]["accepted"] == 1
    assert (await known.ingest([fact("content", 3, observed_at=too_far_ahead)]))["total"]["rejected"] == 1
    assert (await outcomes(known))["CONTENT_SETTLED"] == "UNKNOWN"


async def test_only_a_client_that_may_ask_is_served(known: TestGateway) -> None:
    assert await pulled(known) == 1
    answer = (await known.post(Role.TRAINING_CLIENT, PAGE, {"first": 10}, purpose="ADVERTISING")).json()
    assert "use a token for GENAI_TRAINING" in answer["errors"][0]["message"]
    known.execute("UPDATE grounds.client SET suspended = TRUE")
    with pytest.raises(AssertionError, match="nothing is delivered to this client while it is suspended"):
        await pulled(known)


async def test_outside_the_programmes_time_nothing_is_served(known: TestGateway) -> None:
    start = instant(START)
    old = {"audience_since": "2025-01-01T00:00:00Z", "created_at": "2025-01-01T00:00:00Z"}
    await known.ingest([fact("content", 3, **old)])
    assert await pulled(known, start - TICK) == 0
    assert await pulled(known, start) == 1


@pytest.mark.parametrize("bad", [{}, {"audience": "PUBLIK"}, {"kind": "PRIVATE_MESSAGES"}])
async def test_the_text_of_a_private_message_is_nowhere(
    known: TestGateway, bad: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    message = fact("content", 3, id="message", kind="PRIVATE_MESSAGE", text=f"It says {CANARY}.") | bad
    answers = [await known.ingest([message]), await known.ingest([json.dumps(message)[:-1]])]
    assert CANARY not in json.dumps(answers)
    assert CANARY not in "".join(capfd.readouterr())
    tables = known.execute(
        "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'grounds'::regnamespace AND relkind = 'r'"
    )
    assert len(tables) > 10
    for (table,) in tables:
        rows = known.execute(f"SELECT row::text FROM {table} row")
        assert not any(CANARY in row or CANARY.encode().hex() in row for (row,) in rows), table


async def test_two_private_messages_that_differ_in_their_text_alone_are_the_same(known: TestGateway) -> None:
    await known.ingest([fact("content", 3, id="message", kind="PRIVATE_MESSAGE", text="One text.")])
    answer = await known.ingest([fact("content", 3, id="message", kind="PRIVATE_MESSAGE", text="Another text.")])
    assert answer["total"]["unchanged"] == 1
    assert await pulled(known) == 1
