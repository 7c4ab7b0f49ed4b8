"""Hold the oracle to the golden vectors and to the table of conditions of the specification."""

from datetime import timedelta
from typing import Any

import pytest

from tests.promises.oracle import ALL_FEATURES, DEFAULT_POLICY, World, codes_of
from tests.support.facts import DAY, HASH, NOW, OPTED_IN_POLICY, decided, instant, line, world

CLEAR = dict.fromkeys(["special_category", "safety", "minors"], "CLEAR")
PROMPT: dict[str, Any] = {"kind": "AI_INTERACTION", "conversation": "ASSISTANT_ONLY"}


def test_an_item_without_any_objection_to_it_is_permitted_under_every_condition_in_order() -> None:
    decision = decided()
    assert decision.permitted
    assert decision.ground == "PUBLIC_CONTENT"
    assert list(decision.outcomes) == [code for code in codes_of(ALL_FEATURES) if code != "OPTED_IN"]
    assert set(decision.outcomes.values()) == {"PASS"}


def test_an_ai_interaction_needs_no_audience() -> None:
    decision = decided(line("content", 3, **PROMPT, audience=None, audience_since=None))
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
        ({"epoch": "2026-01"}, ("FAIL", "UNKNOWN")),
        ({"channel": "EMAIL"}, ("PASS", "PASS")),
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


@pytest.mark.parametrize(
    ("withdrawn_at", "now", "outcome"),
    [
        ("2026-05-01T00:00:00Z", "2026-05-14T23:59:59Z", "FAIL"),
        ("2026-05-01T00:00:00Z", "2026-05-15T00:00:00Z", "PASS"),
        ("2024-06-09T23:59:59Z", "2026-06-01T12:00:00Z", "FAIL"),
        ("2024-06-10T00:00:00Z", "2026-06-01T12:00:00Z", "FAIL"),
        ("2024-06-10T00:00:01Z", "2026-06-01T12:00:00Z", "PASS"),
        ("2027-01-01T00:00:00Z", "2026-06-01T12:00:00Z", "FAIL"),
    ],
)
def test_an_objection_holds_until_fourteen_days_after_a_true_withdrawal(
    withdrawn_at: str, now: str, outcome: str
) -> None:
    found = decided(line("objection", account="author", withdrawn_at=withdrawn_at), now=instant(now))
    assert found.outcomes["NO_ACTIVE_OBJECTION"] == outcome


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
    made.load(line("content", 4, audience_since="2026-05-25T12:00:01Z"), NOW - 8 * DAY)
    assert made.decide("item", NOW).outcomes["AUDIENCE_STABLE"] == "FAIL"
    assert made.decide("item", NOW + timedelta(seconds=1)).permitted


def test_while_the_author_is_not_known_only_what_is_certain_fails() -> None:
    made = world(line("content", id="orphan", account="nobody", kind="VIDEO", scans=CLEAR))
    made.open_hold("GLOBAL", None, NOW)
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
    decision = decided(*consents, policy=OPTED_IN_POLICY)
    assert (decision.ground, decision.outcomes["OPTED_IN"]) == ("OPTED_IN", outcome)
    assert decision.permitted == (outcome == "PASS")
    assert not decided(*consents, line("objection", account="author"), policy=OPTED_IN_POLICY).permitted


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


def test_the_client_the_purpose_and_the_programme_are_checked() -> None:
    made = world(line("account", 3, born_on="1950"))
    assert made.decide("item", NOW, purpose="ADVERTISING").outcomes["PURPOSE_MATCH"] == "FAIL"
    assert made.decide("item", NOW, suspended=True).outcomes["PURPOSE_MATCH"] == "FAIL"
    assert made.decide("item", instant("2025-05-27T11:59:59Z")).outcomes["PROGRAMME_ACTIVE"] == "FAIL"


def test_a_policy_that_names_private_messages_is_refused() -> None:
    grounds = {"PUBLIC_CONTENT": {"kinds": ["PRIVATE_MESSAGE"], "products": ["WHATSAPP"]}}
    with pytest.raises(ValueError, match="private kind"):
        World(DEFAULT_POLICY | {"grounds": grounds})
