"""Hold the oracle to the golden vectors and to the readings of the specification."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.oracle import CONDITIONS, DEFAULT_POLICY, Decision, World

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HASH = "a" * 64
RECORDS: dict[str, dict[str, Any]] = {
    "account": {"id": "author", "product": "FACEBOOK", "kind": "PERSONAL", "born_on": "1990-01-01", "country": "IE"}
    | {"status": "ACTIVE", "status_since": "2020-01-01T00:00:00Z", "compromised": [], "contacts": []},
    "content": {"id": "item", "account": "author", "kind": "POST", "text": "A heron stood by the weir.", "media": []}
    | {"audience": "PUBLIC", "audience_since": "2026-01-01T00:00:00Z", "created_at": "2026-01-01T00:00:00Z"}
    | {"references": [], "rights": [], "scans": {"special_category": "CLEAR", "safety": "CLEAR"}},
    "notice": {"id": "notice", "account": "author", "channel": "IN_APP", "epoch": "2025-04"}
    | {"delivered_at": "2025-04-14T09:59:00Z"},
    "objection": {"id": "objection", "scope": "ALL", "received_at": "2024-06-10T00:00:00Z", "channel": "FORM"},
    "consent": {"id": "consent", "account": "author", "given_at": "2026-01-01T00:00:00Z"},
}
OPTED_IN_POLICY = DEFAULT_POLICY | {"grounds": {"OPTED_IN": {"kinds": ["POST"], "products": ["FACEBOOK"]}}}


def line(record: str, day: int = 2, **fields: Any) -> str:
    return json.dumps({"record": record, "observed_at": f"2026-01-{day:02}T00:00:00Z"} | RECORDS[record] | fields)


def world(*lines: str, policy: dict[str, Any] = DEFAULT_POLICY, at: datetime = NOW - 60 * DAY) -> World:
    """Return a world whose only item is permitted, with further lines loaded after it."""
    made = World(policy)
    for each in (line("account"), line("content"), line("notice")):
        assert made.load(each, at) == "accepted"
    for each in lines:
        made.load(each, at)
    return made


def decided(*lines: str, now: datetime = NOW, item: str = "item", **given: Any) -> Decision:
    return world(*lines, **given).decide(item, now)


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_an_item_without_any_objection_to_it_is_permitted_under_every_condition_in_order() -> None:
    decision = decided()
    assert decision.permitted
    assert decision.ground == "PUBLIC_CONTENT"
    assert list(decision.outcomes) == [code for code in CONDITIONS if code != "OPTED_IN"]
    assert set(decision.outcomes.values()) == {"PASS"}


def test_an_ai_interaction_needs_no_audience() -> None:
    decision = decided(line("content", 3, kind="AI_INTERACTION", audience=None, audience_since=None))
    assert (decision.permitted, decision.ground) == (True, "AI_INTERACTION")
    assert decision.outcomes["AUDIENCE_PUBLIC"] == decision.outcomes["AUDIENCE_STABLE"] == "UNKNOWN"


@pytest.mark.parametrize(
    ("born_on", "now", "outcome"),
    [
        ("2007-05-27", "2025-05-27T11:59:59Z", "FAIL"),
        ("2007-05-27", "2025-05-27T12:00:00Z", "PASS"),
        ("2007", "2025-12-31T11:59:59Z", "FAIL"),
        ("2007", "2025-12-31T12:00:00Z", "PASS"),
        ("2004-02", "2022-03-01T11:59:59Z", "FAIL"),
        ("9999-12-31", "2026-06-01T12:00:00Z", "FAIL"),
        (None, "2026-06-01T12:00:00Z", "UNKNOWN"),
    ],
)
def test_an_author_is_adult_from_the_noon_of_the_latest_possible_birthday(
    born_on: str | None, now: str, outcome: str
) -> None:
    assert decided(line("account", 3, born_on=born_on), now=instant(now)).outcomes["AUTHOR_ADULT_NOW"] == outcome


@pytest.mark.parametrize(
    ("born_on", "created_at", "outcome"),
    [
        ("2004-02-29", "2022-03-01T11:59:00Z", "FAIL"),
        ("2004-02-29", "2022-03-01T12:00:00Z", "PASS"),
        ("1996-06-01", "2012-06-02T12:00:00Z", "FAIL"),
    ],
)
def test_an_adult_of_today_may_have_been_a_minor_at_creation(born_on: str, created_at: str, outcome: str) -> None:
    outcomes = decided(line("account", 3, born_on=born_on), line("content", 3, created_at=created_at)).outcomes
    assert (outcomes["AUTHOR_ADULT_NOW"], outcomes["AUTHOR_ADULT_AT_CREATION"]) == ("PASS", outcome)


@pytest.mark.parametrize(
    ("delivered_at", "ends_at"),
    [
        ("2025-04-14T09:59:00Z", "2025-05-15T12:00:00Z"),
        ("2025-04-14T10:00:00Z", "2025-05-16T12:00:00Z"),
        ("2025-04-25T09:00:00Z", "2025-05-27T12:00:00Z"),
    ],
)
def test_the_notice_period_ends_when_its_last_working_day_has_ended_everywhere(delivered_at: str, ends_at: str) -> None:
    made = world(line("notice", 3, delivered_at=delivered_at))
    end = instant(ends_at)
    assert made.decide("item", end).outcomes["NOTICE_PERIOD_ELAPSED"] == "PASS"
    assert made.decide("item", end - timedelta(microseconds=1)).outcomes["NOTICE_PERIOD_ELAPSED"] == "FAIL"


@pytest.mark.parametrize(
    ("fields", "outcomes"),
    [
        ({"epoch": "2025-03"}, ("FAIL", "UNKNOWN")),
        ({"delivered_at": None}, ("FAIL", "UNKNOWN")),
        ({"bounced_at": "2030-01-01T00:00:00Z"}, ("FAIL", "UNKNOWN")),
        ({"delivered_at": "2026-06-01T12:00:01Z"}, ("FAIL", "FAIL")),
        ({"epoch": "2026-01", "channel": "EMAIL"}, ("PASS", "PASS")),
    ],
)
def test_only_a_delivered_notice_of_the_epoch_that_did_not_bounce_counts(
    fields: dict[str, Any], outcomes: tuple[str, str]
) -> None:
    found = decided(line("notice", 3, **fields)).outcomes
    assert (found["NOTICE_DELIVERED"], found["NOTICE_PERIOD_ELAPSED"]) == outcomes


def test_an_objection_follows_the_person_to_an_account_linked_later_and_then_unlinked() -> None:
    made = world(
        line("account", id="instagram", person="p", product="INSTAGRAM"), line("objection", account="instagram")
    )
    assert made.decide("item", NOW).permitted
    for day, person in ((3, "p"), (4, None)):
        made.load(line("account", day, person=person), NOW)
        assert made.decide("item", NOW).outcomes["NO_ACTIVE_OBJECTION"] == "FAIL"


def test_the_same_person_is_reached_over_any_chain_of_accounts() -> None:
    chain = [line("account", 3, person="p1"), line("account", id="middle", person="p1")]
    chain += [line("account", 3, id="middle", person="p2"), line("account", id="far", person="p2")]
    assert decided(*chain, line("objection", account="far")).outcomes["NO_ACTIVE_OBJECTION"] == "FAIL"


def test_an_objection_by_contact_waits_for_the_accounts_and_their_persons_others() -> None:
    made = world(line("objection", contact=HASH))
    made.load(line("account", 3, person="p"), NOW)
    assert made.decide("item", NOW).permitted
    made.load(line("account", id="other", person="p", contacts=[HASH]), NOW)
    made.load(line("content", id="others item", account="other"), NOW)
    for item in ("item", "others item"):
        assert made.decide(item, NOW).outcomes["NO_ACTIVE_OBJECTION"] == "FAIL"


def test_a_link_in_a_stale_or_conflicting_line_counts_but_not_one_in_a_bad_line() -> None:
    for day, country, outcome in ((1, "IE", "FAIL"), (2, "FR", "FAIL"), (3, "nowhere", "PASS")):
        found = decided(line("account", day, country=country, contacts=[HASH]), line("objection", contact=HASH))
        assert found.outcomes["NO_ACTIVE_OBJECTION"] == outcome


@pytest.mark.parametrize(
    ("withdrawn_at", "now", "outcome"),
    [
        ("2026-05-01T00:00:00Z", "2026-05-14T23:59:59Z", "FAIL"),
        ("2026-05-01T00:00:00Z", "2026-05-15T00:00:00Z", "PASS"),
        ("2024-06-09T23:59:59Z", "2026-06-01T12:00:00Z", "FAIL"),
        ("2024-06-10T00:00:00Z", "2026-06-01T12:00:00Z", "PASS"),
        ("2027-01-01T00:00:00Z", "2026-06-01T12:00:00Z", "FAIL"),
    ],
)
def test_an_objection_holds_until_fourteen_days_after_a_true_withdrawal(
    withdrawn_at: str, now: str, outcome: str
) -> None:
    found = decided(line("objection", account="author", withdrawn_at=withdrawn_at), now=instant(now))
    assert found.outcomes["NO_ACTIVE_OBJECTION"] == outcome


def test_a_later_record_without_withdrawal_voids_it_and_adds_its_target() -> None:
    first = line("objection", account="author", withdrawn_at="2025-01-01T00:00:00Z")
    assert decided(first).permitted
    assert decided(first, line("objection", 3, person="someone")).outcomes["NO_ACTIVE_OBJECTION"] == "FAIL"


@pytest.mark.parametrize(
    ("scope", "kind", "outcome"),
    [
        ("PUBLIC_CONTENT", "POST", "FAIL"),
        ("PUBLIC_CONTENT", "PRIVATE_MESSAGE", "FAIL"),
        ("PUBLIC_CONTENT", "AI_INTERACTION", "PASS"),
        ("AI_INTERACTIONS", "AI_INTERACTION", "FAIL"),
        ("AI_INTERACTIONS", "POST", "PASS"),
        ("ALL", "AI_INTERACTION", "FAIL"),
    ],
)
def test_an_objection_covers_the_kinds_of_its_scope(scope: str, kind: str, outcome: str) -> None:
    found = decided(line("content", 3, kind=kind), line("objection", person="p", account="author", scope=scope))
    assert found.outcomes["NO_ACTIVE_OBJECTION"] == outcome


def test_a_minors_birth_date_on_one_account_excludes_every_account_of_the_person() -> None:
    made = world(line("account", 3, person="p"), line("account", id="other", person="p", born_on="2010"))
    made.load(line("content", id="others item", account="other"), NOW)
    for item in ("item", "others item"):
        outcomes = made.decide(item, NOW).outcomes
        assert outcomes["AUTHOR_ADULT_NOW"] == outcomes["AUTHOR_ADULT_AT_CREATION"] == "FAIL"


def test_an_item_that_was_hidden_for_an_hour_waits_out_the_audience_dwell_again() -> None:
    made = world(line("content", 3, audience="FRIENDS"))
    made.load(line("content", 4, audience_since="2026-05-25T12:00:01Z"), NOW)
    assert made.decide("item", NOW).outcomes["AUDIENCE_STABLE"] == "FAIL"
    assert made.decide("item", NOW + timedelta(seconds=1)).permitted


BAD = {"audience": "PUBLIK"}


def test_a_bad_line_quarantines_its_item_until_a_later_good_one() -> None:
    made = world()
    assert made.load(line("content", 3, **BAD), NOW) == "rejected"
    assert made.decide("item", NOW).outcomes["CONTENT_SETTLED"] == "UNKNOWN"
    for day, outcome in ((3, "UNKNOWN"), (4, "PASS")):
        assert made.load(line("content", day), NOW) == "accepted"
        assert made.decide("item", NOW).outcomes["CONTENT_SETTLED"] == outcome


@pytest.mark.parametrize(
    ("bad", "outcome"),
    [
        (line("content", 1, **BAD), "PASS"),
        (line("content", 2, **BAD), "UNKNOWN"),
        (line("content", 2, text="Another text."), "UNKNOWN"),
        (line("content", observed_at="yesterday"), "UNKNOWN"),
        (line("content", observed_at="2027-01-01T00:00:00Z"), "UNKNOWN"),
        (line("content", 3)[:-1], "UNKNOWN"),
        (line("content", 3, text="x" * (1 << 20)), "UNKNOWN"),
        (line("content", 3, id=5), "PASS"),
        (line("content", 3).replace("content", "contents", 1), "PASS"),
        ("[]", "PASS"),
        ("", "PASS"),
        (b'{"record": "content", "id": "item", \xff', "UNKNOWN"),
    ],
)
def test_a_bad_line_counts_if_it_can_be_read_and_is_not_older(bad: str | bytes, outcome: str) -> None:
    made = world()
    assert made.load(bad, NOW) == "rejected"
    assert made.decide("item", NOW).outcomes["CONTENT_SETTLED"] == outcome


def test_a_bad_line_may_come_before_the_good_one() -> None:
    made = World()
    made.load(line("content", 3, **BAD), NOW)
    made.load(line("content", 3), NOW - 8 * DAY)
    assert made.decide("item", NOW).outcomes["CONTENT_SETTLED"] == "UNKNOWN"


def test_the_same_bad_bytes_have_no_further_effect() -> None:
    undated = line("content", observed_at=None)
    made = world(undated, line("content", 3), undated)
    assert made.decide("item", NOW).permitted


def test_a_second_run_of_the_same_lines_changes_nothing() -> None:
    lines = [line("content", 3, **BAD), line("content", 4), line("content", 4, text="Other."), line("content", 5)]
    made = world(*lines)
    before = made.decide("item", NOW)
    assert [made.load(each, NOW) for each in lines] == ["rejected", "stale", "stale", "unchanged"]
    assert made.decide("item", NOW) == before


@pytest.mark.parametrize(
    ("bad", "lifted_by"),
    [
        (line("account", 3, country="Ireland"), line("account", 4)),
        (line("notice", 3, epoch="2025-13"), line("notice", 4)),
        (line("notice", 3, account=None), line("notice", 4)),
        (line("notice", 3, id="new", epoch="spring"), line("notice", 4, id="new")),
        (line("consent", 3, given_at="soon"), line("consent", 4)),
    ],
)
def test_a_bad_account_notice_or_consent_line_quarantines_the_account(bad: str, lifted_by: str) -> None:
    made = world(bad)
    assert made.decide("item", NOW).outcomes["ACCOUNT_IN_GOOD_STANDING"] == "UNKNOWN"
    made.load(lifted_by, NOW)
    assert made.decide("item", NOW).permitted


def test_a_bad_objection_line_counts_for_its_targets_and_those_stored_until_a_later_good_one() -> None:
    withdrawn: dict[str, Any] = {"person": "p", "withdrawn_at": "2025-01-01T00:00:00Z"}
    made = world(line("account", 3, person="p"), line("content", 3, kind="AI_INTERACTION"))
    made.load(line("objection", **withdrawn), NOW)
    assert made.decide("item", NOW).permitted
    made.load(line("objection", 3, scope="SOME"), NOW)
    assert made.decide("item", NOW).outcomes["NO_ACTIVE_OBJECTION"] == "FAIL"
    made.load(line("objection", 4, **withdrawn), NOW)
    assert made.decide("item", NOW).permitted
    made.load(line("objection", 5, account="author", scope="SOME"), NOW)
    assert made.decide("item", NOW).outcomes["NO_ACTIVE_OBJECTION"] == "FAIL"


def test_a_bad_objection_line_without_a_readable_id_counts_for_ever() -> None:
    later = line("objection", 9, account="author", withdrawn_at="2025-01-01T00:00:00Z")
    assert decided(line("objection", id=None, account="author"), later).outcomes["NO_ACTIVE_OBJECTION"] == "FAIL"


WINDOW = {"from": "2026-03-01T00:00:00Z", "to": "2026-04-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("record", "before", "after", "waits"),
    [
        ("content", {"deleted_at": "2026-01-02T00:00:00Z"}, {}, "CONTENT_SETTLED"),
        ("content", {"rights": [{"source": "C2PA", "train_ai": "n"}]}, {}, "CONTENT_SETTLED"),
        ("content", {"scans": {"safety": "FLAGGED"}}, {}, "CONTENT_SETTLED"),
        ("account", {"born_on": "2010-01-01"}, {}, "ACCOUNT_IN_GOOD_STANDING"),
        ("account", {"status": "DELETION_PENDING"}, {}, "ACCOUNT_IN_GOOD_STANDING"),
        ("account", {"compromised": [WINDOW]}, {"compromised": [WINDOW | {"from": "2026-03-02T00:00:00Z"}]},
         "ACCOUNT_IN_GOOD_STANDING"),
        ("notice", {"bounced_at": "2025-04-15T00:00:00Z"}, {}, "ACCOUNT_IN_GOOD_STANDING"),
    ],
)  # fmt: skip
def test_taking_back_a_protective_value_waits_seven_days_from_loading(
    record: str, before: dict[str, Any], after: dict[str, Any], waits: str
) -> None:
    made = world(line(record, 3, **before))
    made.load(line(record, 4, **after), NOW)
    assert made.decide("item", NOW + 7 * DAY - timedelta(microseconds=1)).outcomes[waits] == "FAIL"
    assert made.decide("item", NOW + 7 * DAY).permitted


def test_a_taken_back_birth_date_waits_for_every_account_of_the_person_and_a_status_for_its_own() -> None:
    cases: list[tuple[dict[str, Any], str]] = [({"born_on": "2010"}, "FAIL"), ({"status": "DELETED"}, "PASS")]
    for taken_back, outcome in cases:
        made = world(line("account", 3, person="p"), line("account", id="other", person="p", **taken_back))
        made.load(line("account", 3, id="other", person="p"), NOW)
        assert made.decide("item", NOW).outcomes["ACCOUNT_IN_GOOD_STANDING"] == outcome


def test_a_window_covered_by_several_new_ones_takes_nothing_back() -> None:
    whole = {"from": None, "to": "2025-03-01T00:00:00Z"}
    parts = [{"from": "2025-01-01T00:00:00Z", "to": "2025-03-01T00:00:00Z"}, {"to": "2025-01-01T00:00:00Z"}]
    made = world(line("account", 3, compromised=[whole]))
    made.load(line("account", 4, compromised=parts), NOW)
    assert made.decide("item", NOW).permitted


def test_while_the_author_is_not_known_only_what_is_certain_fails() -> None:
    made = world(line("content", id="orphan", account="nobody", kind="VIDEO"))
    made.open_hold("ACCOUNT", "nobody", NOW)
    made.load(line("objection", account="nobody"), NOW)
    found = made.decide("orphan", NOW).outcomes
    certain = ("NO_REGULATORY_HOLD", "NO_ACTIVE_OBJECTION", "CONTENT_KIND_COVERED")
    assert {code for code, outcome in found.items() if outcome == "FAIL"} == set(certain)
    assert [code for code, outcome in found.items() if outcome == "UNKNOWN"] == [
        "REGION_COVERED", "ACCOUNT_IN_GOOD_STANDING", "ACCOUNT_KIND_COVERED", "AUTHOR_ADULT_NOW",
        "AUTHOR_ADULT_AT_CREATION", "NOT_COMPROMISED_AT_CREATION", "NOTICE_DELIVERED", "NOTICE_PERIOD_ELAPSED",
    ]  # fmt: skip


def media(deidentified: bool | None) -> dict[str, Any]:
    return {"type": "image/png", "url": "https://media.example.org/1.png", "deidentified": deidentified}


REFERENCE: dict[str, Any] = {"references": [{"account": "other", "relation": "TAG"}]}
COMMENT: dict[str, Any] = {"kind": "COMMENT", "parent": "post"}


@pytest.mark.parametrize(
    ("code", "outcome", "lines"),
    [
        ("REGION_COVERED", "UNKNOWN", [line("account", 3, country=None)]),
        ("REGION_COVERED", "FAIL", [line("account", 3, country="US")]),
        ("ACCOUNT_IN_GOOD_STANDING", "UNKNOWN", [line("account", 3, status_since=None)]),
        ("ACCOUNT_IN_GOOD_STANDING", "FAIL", [line("account", 3, status_since=None, status="SUSPENDED")]),
        ("AUTHOR_ADULT_NOW", "FAIL", [line("account", 3, born_on="2010-01-01")]),
        ("AUTHOR_ADULT_NOW", "UNKNOWN", [line("account", 3, person="p", born_on=None),
                                         line("account", id="other", person="p")]),
        ("NOT_COMPROMISED_AT_CREATION", "FAIL", [line("account", 3, compromised=[{"to": "2026-01-01T00:00:00Z"}])]),
        ("NOT_COMPROMISED_AT_CREATION", "PASS", [line("account", 3, compromised=[{"to": "2025-12-31T23:59:59Z"}])]),
        ("AUDIENCE_PUBLIC", "UNKNOWN", [line("content", 3, kind="COMMENT")]),
        ("AUDIENCE_PUBLIC", "UNKNOWN", [line("content", 3, **COMMENT)]),
        ("AUDIENCE_PUBLIC", "PASS", [line("content", 3, **COMMENT), line("content", id="post", account="nobody")]),
        ("AUDIENCE_PUBLIC", "FAIL", [line("content", 3, **COMMENT),
                                     line("content", id="post", audience=None, deleted_at="2030-01-01T00:00:00Z")]),
        ("CONTENT_LIVE", "FAIL", [line("content", 3, deleted_at="2030-01-01T00:00:00Z")]),
        ("CONTENT_SETTLED", "FAIL", [line("content", 3, edited_at="2026-05-31T12:00:01Z")]),
        ("CONTENT_SETTLED", "PASS", [line("content", 3, edited_at="2026-05-31T12:00:00Z")]),
        ("NO_OBJECTOR_REFERENCED", "UNKNOWN", [line("content", 3, **REFERENCE)]),
        ("NO_OBJECTOR_REFERENCED", "FAIL", [line("content", 3, **REFERENCE), line("objection", account="other")]),
        ("NO_OBJECTOR_REFERENCED", "PASS", [line("content", 3, **REFERENCE), line("account", id="other"),
                                            line("objection", account="other", scope="AI_INTERACTIONS")]),
        ("NO_MINOR_REFERENCED", "UNKNOWN", [line("content", 3, **REFERENCE)]),
        ("NO_MINOR_REFERENCED", "FAIL", [line("content", 3, **REFERENCE), line("account", id="other", person="p"),
                                         line("account", id="child", person="p", born_on="2015")]),
        ("NO_SPECIAL_CATEGORY", "UNKNOWN", [line("content", 3, scans=None)]),
        ("DEIDENTIFIED", "UNKNOWN", [line("content", 3, text="")]),
        ("DEIDENTIFIED", "UNKNOWN", [line("content", 3, kind="PRIVATE_MESSAGE")]),
        ("DEIDENTIFIED", "FAIL", [line("content", 3, media=[media(None), media(False)])]),
        ("DEIDENTIFIED", "UNKNOWN", [line("content", 3, media=[media(True), media(None)])]),
        ("DEIDENTIFIED", "PASS", [line("content", 3, text=None, media=[media(True)])]),
    ],
)  # fmt: skip
def test_each_condition_passes_fails_and_is_unknown_as_specified(code: str, outcome: str, lines: list[str]) -> None:
    assert decided(*lines).outcomes[code] == outcome


@pytest.mark.parametrize(
    ("consents", "outcome"),
    [
        ([line("consent")], "PASS"),
        ([line("consent", given_at="2026-06-01T12:00:01Z")], "FAIL"),
        ([line("consent"), line("consent", id="old", withdrawn_at="2025-12-31T00:00:00Z")], "PASS"),
        ([line("consent"), line("consent", id="old", withdrawn_at="2026-01-01T00:00:00Z")], "FAIL"),
    ],
)
def test_a_consent_stands_unless_withdrawn_at_or_after_it_was_given(consents: list[str], outcome: str) -> None:
    decision = decided(*consents, line("objection", account="author"), policy=OPTED_IN_POLICY)
    assert (decision.ground, decision.outcomes["OPTED_IN"]) == ("OPTED_IN", outcome)
    assert decision.permitted == (outcome == "PASS")


@pytest.mark.parametrize(
    ("scope", "value", "country", "outcome"),
    [
        ("GLOBAL", None, "IE", "FAIL"),
        ("COUNTRY", "IE", "IE", "FAIL"),
        ("COUNTRY", "FR", "IE", "PASS"),
        ("COUNTRY", "FR", None, "UNKNOWN"),
        ("PRODUCT", "FACEBOOK", "IE", "FAIL"),
        ("ACCOUNT", "author", None, "FAIL"),
    ],
)
def test_a_hold_is_in_force_until_a_day_after_it_was_lifted(
    scope: str, value: str | None, country: str | None, outcome: str
) -> None:
    made = world(line("account", 3, country=country))
    made.open_hold(scope, value, opened_at=NOW, lifted_at=NOW + DAY)
    for now, expected in ((NOW - DAY, "PASS"), (NOW, outcome), (NOW + 2 * DAY, "PASS")):
        assert made.decide("item", now).outcomes["NO_REGULATORY_HOLD"] == expected


@pytest.mark.parametrize(
    ("record", "fields"),
    [
        ("account", {"nickname": None}),
        ("account", {"contacts": None}),
        ("account", {"contacts": [HASH.upper()]}),
        ("account", {"product": "ORKUT"}),
        ("account", {"born_on": "2001-02-29"}),
        ("account", {"country": "ie"}),
        ("account", {"compromised": [{"from": WINDOW["to"], "to": WINDOW["from"]}]}),
        ("account", {"compromised": [WINDOW | {"why": "?"}]}),
        ("content", {"created_at": 1767225600}),
        ("content", {"created_at": "2026-01-01T00:00:00"}),
        ("content", {"text": "a\0b"}),
        ("content", {"language": "e"}),
        ("content", {"scans": {"mood": "CLEAR"}}),
        ("content", {"media": [{"type": "image/png"}]}),
        ("content", {"id": "i" * 201}),
        ("notice", {"epoch": "2025-4"}),
        ("objection", {}),
        ("objection", {"account": ""}),
        ("consent", {"observed_at": "2026-04-02T12:05:01Z"}),
    ],
)
def test_a_line_that_breaks_the_format_is_rejected(record: str, fields: dict[str, Any]) -> None:
    assert World().load(line(record, **fields), NOW - 60 * DAY) == "rejected"


@pytest.mark.parametrize(
    ("record", "stored", "loaded"),
    [
        ("account", {"person": None, "contacts": [HASH, "b" * 64]}, {"contacts": ["b" * 64, HASH, HASH]}),
        ("content", {"edited_at": "2026-01-01T01:00:00Z"}, {"edited_at": "2026-01-01T02:00:00.000+01:00"}),
        ("content", {"kind": "PRIVATE_MESSAGE"}, {"kind": "PRIVATE_MESSAGE", "text": None}),
    ],
)
def test_the_same_content_written_otherwise_is_unchanged(
    record: str, stored: dict[str, Any], loaded: dict[str, Any]
) -> None:
    assert world(line(record, 3, **stored)).load(line(record, 3, **loaded), NOW) == "unchanged"


def test_the_client_the_purpose_and_the_programme_are_checked() -> None:
    made = world(line("account", 3, born_on="1950"))
    assert made.decide("item", NOW, purpose="ADVERTISING").outcomes["PURPOSE_MATCH"] == "FAIL"
    assert made.decide("item", NOW, suspended=True).outcomes["PURPOSE_MATCH"] == "FAIL"
    assert made.decide("item", instant("2025-05-27T11:59:59Z")).outcomes["PROGRAMME_ACTIVE"] == "FAIL"


def test_a_policy_that_names_private_messages_is_refused() -> None:
    grounds = {"PUBLIC_CONTENT": {"kinds": ["PRIVATE_MESSAGE"], "products": ["WHATSAPP"]}}
    with pytest.raises(ValueError, match="private kind"):
        World(DEFAULT_POLICY | {"grounds": grounds})
