"""Hold the oracle to the golden vectors about campaigns, families, parents, texts and lines in any order."""

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from tests.promises.oracle import DEFAULT_POLICY, World
from tests.support.facts import DAY, HASH, NOW, OPTED_IN_POLICY, decided, fact, instant, line, world

CLEAR = dict.fromkeys(["special_category", "safety", "minors"], "CLEAR")
MEDIUM: dict[str, Any] = {"kind": "PHOTO", "scans": CLEAR}
CAPTION: dict[str, Any] = {"id": "caption", "kind": "CAPTION", "parent": "item"}
NAMED: dict[str, Any] = {"references": [{"account": "other", "relation": "DEPICTED"}]}
DEPICTED: dict[str, Any] = {"references": [{"contact": HASH, "relation": "DEPICTED"}]}
HOLDER = line("account", id="other", contacts=[HASH])
WIDE_POLICY: dict[str, Any] = DEFAULT_POLICY | {
    "purposes": ["GENAI_TRAINING", "ADVERTISING"],
    "grounds": {"PUBLIC_CONTENT": {"kinds": ["POST", "VIDEO"], "products": ["FACEBOOK"]}},
}


def campaign(day: int = 1, name: str = "2026-01", *told: Any, **fields: Any) -> str:
    return line("campaign", day, id=name, told=list(told), texts={"en": HASH}, **fields)


def as_told(purposes: str, kinds: str, products: str = "FACEBOOK") -> dict[str, list[str]]:
    return {"purposes": purposes.split(), "kinds": kinds.split(), "products": products.split()}


POSTS = as_told("GENAI_TRAINING", "POST")


def test_a_policy_that_adds_a_kind_keeps_the_old_notices_and_needs_new_ones_for_it() -> None:
    made = world(policy=WIDE_POLICY)
    made.load(line("content", id="video", kind="VIDEO", scans=CLEAR), NOW)
    made.load(campaign(1, "2026-01", as_told("GENAI_TRAINING", "VIDEO")), NOW)
    assert made.decide("item", NOW).permitted
    assert made.decide("video", NOW).outcomes["NOTICE_DELIVERED"] == "FAIL"
    made.load(line("notice", id="new", epoch="2026-01", delivered_at="2026-05-25T09:00:00Z"), NOW)
    period = instant("2026-06-25T12:00:00Z")
    assert made.decide("video", period - timedelta(microseconds=1)).outcomes["NOTICE_PERIOD_ELAPSED"] == "FAIL"
    assert made.decide("video", period).permitted
    assert made.decide("item", NOW).permitted


def test_a_decision_is_for_a_purpose() -> None:
    made = world(policy=WIDE_POLICY)
    assert {purpose for purpose, _, _ in made.untold()} == {"GENAI_TRAINING", "ADVERTISING"}
    assert made.decide("item", NOW, purpose="ADVERTISING").outcomes["NOTICE_DELIVERED"] == "FAIL"
    made.load(campaign(1, "2026-01", as_told("ADVERTISING GENAI_TRAINING", "POST VIDEO")), NOW)
    assert made.untold() == set()
    made.load(line("notice", id="new", epoch="2026-01"), NOW)
    assert made.decide("item", NOW, purpose="ADVERTISING").permitted


@pytest.mark.parametrize(
    ("versions", "outcome"),
    [
        ([campaign(1, "2026-01", as_told("GENAI_TRAINING", "POST VIDEO"))], "PASS"),
        ([campaign(1, "2026-01", as_told("GENAI_TRAINING", "POST", "INSTAGRAM"))], "FAIL"),
        ([campaign(1, "2026-01", POSTS), campaign(2, "2026-01", as_told("GENAI_TRAINING", "PHOTO"))], "FAIL"),
        ([campaign(1, "2026-01", POSTS), campaign(2, "2026-01", {"purposes": []})], "FAIL"),
        ([campaign(2, "2026-01", {"purposes": []}), campaign(3, "2026-01", POSTS)], "PASS"),
        ([], "FAIL"),
    ],
)  # fmt: skip
def test_a_campaign_told_of_what_all_its_versions_say(versions: list[str], outcome: str) -> None:
    for order in permutations(versions):
        found = decided(line("notice", 3, epoch="2026-01"), *order)
        assert found.outcomes["NOTICE_DELIVERED"] == outcome


@pytest.mark.parametrize(
    ("parents", "outcome"),
    [
        ([{"audience": "FRIENDS"}], "FAIL"),
        ([{"audience": "UNLISTED"}], "FAIL"),
        ([{"kind": "PHOTO", "parent": "p1"}, {"audience": "FRIENDS"}], "FAIL"),
        ([{"parent": "p1"}, {"deleted_at": "2026-01-01T00:00:00Z"}], "FAIL"),
        ([{"parent": "p1"}, {}], "PASS"),
        ([{"parent": "p1"}, {"parent": "p0"}], "UNKNOWN"),
        ([{"parent": "p1"}, {"parent": "p0", "audience": "FRIENDS"}], "FAIL"),
        ([{"parent": "p0"}], "UNKNOWN"),
        ([{"parent": "item"}], "UNKNOWN"),
        ([{"parent": "nothing"}], "UNKNOWN"),
        ([{"kind": "COMMENT"}], "UNKNOWN"),
        ([{"kind": "PRIVATE_MESSAGE"}], "FAIL"),
        ([{"account": "nobody"}], "PASS"),
        ([{"parent": f"p{number + 1}"} for number in range(63)] + [{}], "PASS"),
        ([{"parent": f"p{number + 1}"} for number in range(64)] + [{}], "UNKNOWN"),
        ([{"parent": f"p{number + 1}"} for number in range(64)] + [{"audience": "FRIENDS"}], "UNKNOWN"),
    ],
)
def test_the_parents_of_an_item_of_any_kind_are_public_up_the_chain(
    parents: list[dict[str, Any]], outcome: str
) -> None:
    lines = [line("content", id=f"p{number}", **fields) for number, fields in enumerate(parents)]
    found = decided(line("content", 3, **MEDIUM, parent="p0"), *lines)
    assert found.outcomes["AUDIENCE_PUBLIC"] == outcome


def test_a_bad_line_of_a_parent_reaches_its_children() -> None:
    found = decided(line("content", 3, parent="p"), line("content", id="p"), line("content", 3, id="p", media=None))
    assert found.outcomes["AUDIENCE_PUBLIC"] == "UNKNOWN"


@pytest.mark.parametrize(
    ("code", "outcome", "medium", "caption"),
    [
        ("NO_MINOR_REFERENCED", "FAIL", NAMED, {}),
        ("NO_MINOR_REFERENCED", "FAIL", {}, NAMED),
        ("NO_MINOR_REFERENCED", "FAIL", {"scans": CLEAR | {"minors": "FLAGGED"}}, {}),
        ("NO_MINOR_REFERENCED", "UNKNOWN", {"scans": CLEAR | {"minors": None}}, {}),
        ("NO_RIGHTS_RESERVATION", "FAIL", {"rights": [{"source": "IPTC", "train_ai": "n"}]}, {}),
        ("NO_SPECIAL_CATEGORY", "UNKNOWN", {}, {"scans": None}),
        ("CONTENT_SAFE", "FAIL", {}, {"scans": CLEAR | {"safety": "FLAGGED"}, "deleted_at": "2026-01-01T00:00:00Z"}),
        ("NO_MINOR_REFERENCED", "FAIL", {}, NAMED | {"account": "nobody"}),
    ],
)
def test_what_one_of_a_family_says_counts_for_all_of_it(
    code: str, outcome: str, medium: dict[str, Any], caption: dict[str, Any]
) -> None:
    made = world(line("content", 3, **MEDIUM | medium), line("content", **CAPTION | caption))
    made.load(line("content", **CAPTION | {"id": "another"}), NOW)
    made.load(line("account", id="other", born_on="2015"), NOW)
    for item in ("item", "caption", "another"):
        assert made.decide(item, NOW).outcomes[code] == outcome


def test_a_quarantined_caption_leaves_its_family_unknown_but_for_reservations() -> None:
    made = world(line("content", 3, **MEDIUM), line("content", **CAPTION), line("content", 3, **CAPTION, scans="?"))
    outcomes = made.decide("item", NOW).outcomes
    reached = {"NO_OBJECTOR_REFERENCED", "NO_MINOR_REFERENCED", "NO_SPECIAL_CATEGORY", "CONTENT_SAFE"}
    assert {code for code, outcome in outcomes.items() if outcome == "UNKNOWN"} == reached
    assert made.decide("caption", NOW).outcomes["CONTENT_SETTLED"] == "UNKNOWN"


@pytest.mark.parametrize(
    ("lines", "objector", "minor"),
    [
        ([], "PASS", "PASS"),
        ([line("objection", contact=HASH)], "FAIL", "PASS"),
        ([line("objection", contact=HASH, scope="AI_INTERACTIONS")], "PASS", "PASS"),
        ([line("account", id="other", contacts=[HASH], born_on="2015")], "PASS", "FAIL"),
        ([line("account", id="other", contacts=[HASH], born_on=None)], "PASS", "UNKNOWN"),
        ([HOLDER, line("account", 3, id="other"), line("objection", account="other")], "FAIL", "PASS"),
        ([HOLDER, line("account", 3, id="other", contacts=None)], "UNKNOWN", "UNKNOWN"),
    ],
)  # fmt: skip
def test_a_contact_stands_for_itself_and_for_the_accounts_that_have_it(
    lines: list[str], objector: str, minor: str
) -> None:
    outcomes = decided(line("content", 3, **DEPICTED), *lines).outcomes
    assert (outcomes["NO_OBJECTOR_REFERENCED"], outcomes["NO_MINOR_REFERENCED"]) == (objector, minor)


@pytest.mark.parametrize(
    ("text", "text_format", "outcome"),
    [
        (" ", None, "UNKNOWN"),
        ("\u200b\ufeff\u2800\u3164\ufe0f", "PLAIN", "UNKNOWN"),
        ("<p>&nbsp;</p>", "HTML", "UNKNOWN"),
        ("<p>&nbsp;</p>", "PLAIN", "PASS"),
        ("<!-- note --><script>note</script><style>note</style><img alt='note'>", "HTML", "UNKNOWN"),
        ("<b>A&#8203;</b>", "HTML", "PASS"),
    ],
)
def test_a_text_of_which_nothing_can_be_seen_is_none(text: str, text_format: str | None, outcome: str) -> None:
    assert decided(line("content", 3, text=text, text_format=text_format)).outcomes["DEIDENTIFIED"] == outcome


def test_names_that_a_policy_requires_need_a_recogniser() -> None:
    policy = DEFAULT_POLICY | {"names": "required"}
    for spans, outcome in ((None, "UNKNOWN"), ([], "PASS"), ([{"start": 2, "end": 7, "kind": "PERSON"}], "PASS")):
        found = decided(line("content", 3, personal_spans=spans), policy=policy)
        assert found.outcomes["DEIDENTIFIED"] == outcome
    past = line("content", 3, text="A", personal_spans=[{"start": 0, "end": 2, "kind": "PERSON"}])
    assert World().load(past, NOW) == "rejected"


@pytest.mark.parametrize(
    "kinds", [("PRIVATE_MESSAGE", "POST"), ("POST", "PRIVATE_MESSAGE"), ("BUSINESS_MESSAGE", "POST")]
)
def test_an_item_that_was_ever_of_a_private_kind_stays_one(kinds: tuple[str, str]) -> None:
    lines = [line("content", day, kind=kind) for day, kind in enumerate(kinds, 3)]
    for order in permutations(lines):
        found = decided(*order)
        assert not found.permitted
        assert found.outcomes["CONTENT_KIND_COVERED"] == found.outcomes["AUDIENCE_PUBLIC"] == "FAIL"


def test_two_versions_of_one_instant_quarantine_until_a_later_one() -> None:
    made = world(line("content", 3, audience="FRIENDS"), line("content", 3))
    assert made.decide("item", NOW).outcomes["CONTENT_SETTLED"] == "UNKNOWN"


@pytest.mark.parametrize(
    ("record", "before", "after", "code"),
    [
        ("content", {"deleted_at": "2026-01-02T00:00:00Z"}, {}, "CONTENT_SETTLED"),
        ("content", {"audience": "FRIENDS"}, {}, "CONTENT_SETTLED"),
        ("content", {"audience": "FRIENDS"}, {"audience": None}, "CONTENT_SETTLED"),
        ("content", {"kind": "VIDEO", "scans": CLEAR}, {}, "CONTENT_SETTLED"),
        ("content", {"account": "other"}, {}, "CONTENT_SETTLED"),
        ("content", NAMED, {}, "CONTENT_SETTLED"),
        ("content", {"parent": "p"}, {}, "CONTENT_SETTLED"),
        (
            "content",
            {"media": [{"type": "image/png", "url": "https://media.example.org/u", "deidentified": False}]},
            {},
            "CONTENT_SETTLED",
        ),
        ("account", {"status": "SUSPENDED"}, {}, "ACCOUNT_IN_GOOD_STANDING"),
        ("account", {"kind": "PAGE"}, {}, "ACCOUNT_IN_GOOD_STANDING"),
        ("account", {"country": "US"}, {}, "ACCOUNT_IN_GOOD_STANDING"),
        ("account", {"born_on": "2010"}, {}, "ACCOUNT_IN_GOOD_STANDING"),
        ("notice", {"bounced_at": "2025-04-15T00:00:00Z"}, {}, "ACCOUNT_IN_GOOD_STANDING"),
    ],
)
def test_a_fact_taken_back_waits_in_whatever_order_its_lines_come(
    record: str, before: dict[str, Any], after: dict[str, Any], code: str
) -> None:
    lines = [(line(record, 3, **before), NOW - 2 * DAY), (line(record, 4, **after), NOW)]
    for first, second in (lines, [(lines[1][0], NOW - 2 * DAY), (lines[0][0], NOW)]):
        made = world()
        for each, at in (first, second):
            made.load(each, at)
        assert made.decide("item", NOW + 7 * DAY - timedelta(microseconds=1)).outcomes[code] == "FAIL"
        assert made.decide("item", NOW + 7 * DAY).outcomes[code] == "PASS"


def test_what_was_not_known_in_between_does_not_let_a_fact_be_taken_back_at_once() -> None:
    made = world(line("content", 3, audience="FRIENDS"), line("content", 4, audience=None))
    made.load(line("content", 5), NOW)
    assert made.decide("item", NOW).outcomes["CONTENT_SETTLED"] == "FAIL"


def test_the_passing_of_time_and_one_failing_value_for_another_take_nothing_back() -> None:
    made = world(line("content", 3, audience="FRIENDS"), line("account", 3, country="US", born_on="2007-06-01"))
    made.load(line("content", 4, audience="GROUP"), NOW)
    made.load(line("account", 4, country="CH", born_on="1990-01-01"), NOW)
    outcomes = made.decide("item", NOW).outcomes
    assert outcomes["CONTENT_SETTLED"] == outcomes["ACCOUNT_IN_GOOD_STANDING"] == "PASS"


def test_a_family_waits_for_what_one_of_it_took_back() -> None:
    made = world(line("content", 3, **MEDIUM), line("content", 3, **CAPTION, deleted_at="2026-01-02T00:00:00Z"))
    made.load(line("content", 4, **CAPTION), NOW)
    assert made.decide("item", NOW).outcomes["CONTENT_SETTLED"] == "FAIL"
    assert made.decide("item", NOW + 7 * DAY).outcomes["CONTENT_SETTLED"] == "PASS"


def test_a_family_waits_for_a_caption_that_left_it() -> None:
    made = world(line("content", 3, **MEDIUM), line("content", 3, **CAPTION))
    made.load(line("content", 4, **CAPTION | {"kind": "POST"}), NOW)
    assert made.decide("item", NOW).outcomes["CONTENT_SETTLED"] == "FAIL"
    assert made.decide("item", NOW + 7 * DAY).outcomes["CONTENT_SETTLED"] == "PASS"


def test_an_item_that_leaves_its_family_waits() -> None:
    made = world(line("content", 3, **MEDIUM), line("content", 3, **CAPTION))
    made.load(line("content", 4, kind="CAPTION", parent="post"), NOW)
    assert made.decide("item", NOW).outcomes["CONTENT_SETTLED"] == "FAIL"
    assert made.decide("item", NOW + 7 * DAY).outcomes["CONTENT_SETTLED"] == "PASS"


def test_a_post_that_loses_a_caption_waits_for_nothing() -> None:
    made = world(line("content", 3, **CAPTION))
    made.load(line("content", 4, **CAPTION | {"parent": "post"}), NOW)
    assert made.decide("item", NOW).outcomes["CONTENT_SETTLED"] == "PASS"


def test_an_account_waits_for_a_bounced_notice_that_was_anothers_meanwhile() -> None:
    for account, outcome in (("author", "FAIL"), ("other", "PASS")):
        made = world(line("account", id="other"), line("notice", 3, bounced_at="2025-04-15T00:00:00Z"))
        made.load(line("notice", 4, account="other"), NOW - 8 * DAY)
        made.load(line("notice", 5, account=account), NOW)
        assert made.decide("item", NOW).outcomes["ACCOUNT_IN_GOOD_STANDING"] == outcome
        assert made.decide("item", NOW + 7 * DAY).outcomes["ACCOUNT_IN_GOOD_STANDING"] == "PASS"


def test_a_birth_date_taken_back_waits_for_those_who_reference_the_person() -> None:
    made = world(line("content", 3, **NAMED), line("account", id="other", born_on="2010"))
    made.load(line("account", 3, id="other"), NOW)
    assert made.decide("item", NOW).outcomes["NO_MINOR_REFERENCED"] == "FAIL"
    assert made.decide("item", NOW + 7 * DAY).permitted


@pytest.mark.parametrize(
    ("versions", "post", "prompt"),
    [
        ([{"scope": "ALL"}, {"scope": "AI_INTERACTIONS"}], "FAIL", "FAIL"),
        ([{"scope": "PUBLIC_CONTENT"}, {"scope": "AI_INTERACTIONS"}], "FAIL", "FAIL"),
        ([{}, {"withdrawn_at": "2024-06-10T00:00:00Z"}], "FAIL", "FAIL"),
        ([{"received_at": "2025-06-10T00:00:00Z"}, {"withdrawn_at": "2025-01-01T00:00:00Z"}], "FAIL", "FAIL"),
        ([{"withdrawn_at": "2025-01-01T00:00:00Z"}, {}], "FAIL", "FAIL"),
        ([{}, {"withdrawn_at": "2025-01-01T00:00:00Z"}], "PASS", "PASS"),
    ],
)
def test_an_objection_only_widens(versions: list[dict[str, Any]], post: str, prompt: str) -> None:
    lines = [line("objection", day, account="author", **fields) for day, fields in enumerate(versions, 3)]
    for order in permutations(lines):
        made = world(*order, line("content", id="prompt", kind="AI_INTERACTION"))
        found = [made.decide(item, NOW).outcomes["NO_ACTIVE_OBJECTION"] for item in ("item", "prompt")]
        assert found == [post, prompt]


def test_a_prompt_under_consent_needs_what_a_prompt_needs() -> None:
    policy = OPTED_IN_POLICY | {"grounds": {"OPTED_IN": {"kinds": ["AI_INTERACTION"], "products": ["FACEBOOK"]}}}
    prompt: dict[str, Any] = {"kind": "AI_INTERACTION", "audience": None, "audience_since": None}
    for conversation, permitted in (("ASSISTANT_ONLY", True), ("GROUP", False), (None, False)):
        found = decided(line("content", 3, **prompt, conversation=conversation), line("consent"), policy=policy)
        assert found.permitted == permitted


@pytest.mark.parametrize(
    "changes",
    [
        {"regions": ["IE", "EL"]},
        {"notice": {"epoch": "2025-04", "period_days": 13}},
        {"dwell": DEFAULT_POLICY["dwell"] | {"withdrawal_days": 0}},
    ],
)
def test_a_policy_under_the_floors_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        World(DEFAULT_POLICY | changes)


def test_a_hold_for_what_is_not_known_is_refused() -> None:
    for scope, value in (("COUNTRY", "UK"), ("ACCOUNT", "nobody")):
        with pytest.raises(ValueError, match="hold"):
            world().open_hold(scope, value, NOW)


def test_an_overdue_assessment_stops_the_programme() -> None:
    due = {"valid_until": "2026-05-31", "on_overdue": "STOP"}
    for changes in ({"assessments": [due]}, {"review_by": "2026-05-31", "on_overdue": "STOP"}):
        assert decided(policy=DEFAULT_POLICY | changes).outcomes["PROGRAMME_ACTIVE"] == "FAIL"
    assert decided(policy=DEFAULT_POLICY | {"assessments": [due | {"on_overdue": "WARN"}]}).permitted


def test_twenty_thousand_decisions_take_seconds() -> None:
    made = world()
    for number in range(1000):
        made.load(str(fact("content", id=f"i{number}")).replace("'", '"').replace("None", "null"), NOW)
    for days in range(20):
        assert all(made.decide(item, NOW + days * DAY).permitted for item in made.content_ids())
