"""Hold the oracle to its readings: lines that are bad, late, equal or take something back."""

from datetime import timedelta
from typing import Any

import pytest

from tests.promises.oracle import DEFAULT_POLICY, World
from tests.support.facts import DAY, HASH, NOW, OPTED_IN_POLICY, decided, line, world


def test_a_link_in_a_stale_or_conflicting_line_counts_but_not_one_in_a_bad_line() -> None:
    for day, country, outcome in ((1, "IE", "FAIL"), (2, "FR", "FAIL"), (3, "nowhere", "PASS")):
        found = decided(line("account", day, country=country, contacts=[HASH]), line("objection", contact=HASH))
        assert found.outcomes["NO_ACTIVE_OBJECTION"] == outcome


def test_a_later_record_without_withdrawal_voids_it_and_adds_its_target() -> None:
    first = line("objection", account="author", withdrawn_at="2025-01-01T00:00:00Z")
    assert decided(first).permitted
    assert decided(first, line("objection", 3, person="someone")).outcomes["NO_ACTIVE_OBJECTION"] == "FAIL"


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
    made = world(undated)
    made.load(line("content", observed_at=(NOW - 59 * DAY).isoformat()), NOW - 59 * DAY)
    made.load(undated, NOW)
    assert made.decide("item", NOW).permitted


def test_a_bad_line_whose_instant_cannot_be_read_is_as_late_as_its_loading() -> None:
    made = world(line("content", observed_at="yesterday"))
    for observed_at, outcome in ((NOW - 60 * DAY, "UNKNOWN"), (NOW - 59 * DAY, "PASS")):
        made.load(line("content", observed_at=observed_at.isoformat()), NOW)
        assert made.decide("item", NOW).outcomes["CONTENT_SETTLED"] == outcome


def test_a_second_run_of_the_same_lines_changes_nothing() -> None:
    lines = [line("content", 3, **BAD), line("content", 4), line("content", 4, text="Other."), line("content", 5)]
    made = world(*lines)
    before = made.decide("item", NOW)
    assert [made.load(each, NOW) for each in lines] == ["rejected", "stale", "stale", "unchanged"]
    assert made.decide("item", NOW) == before


@pytest.mark.parametrize(
    ("code", "outcome", "bad", "lifted_by"),
    [
        ("ACCOUNT_IN_GOOD_STANDING", "UNKNOWN", line("account", 3, country="Ireland"), line("account", 4)),
        ("NOTICE_DELIVERED", "FAIL", line("notice", 3, epoch="2025-13"), line("notice", 4)),
        ("NOTICE_DELIVERED", "FAIL", line("notice", 3, account=None), line("notice", 4)),
        ("NOTICE_DELIVERED", "FAIL", line("notice", channel="EMAIL"), line("notice", 4)),
        ("OPTED_IN", "FAIL", line("consent", 3, given_at="soon"), line("consent", 4)),
    ],
)
def test_a_bad_account_notice_or_consent_does_not_count_until_a_good_later_one(
    code: str, outcome: str, bad: str, lifted_by: str
) -> None:
    policy = OPTED_IN_POLICY if code == "OPTED_IN" else DEFAULT_POLICY
    made = world(line("consent"), bad, policy=policy)
    assert made.decide("item", NOW).outcomes[code] == outcome
    made.load(lifted_by, NOW)
    assert made.decide("item", NOW).permitted


def test_a_consent_that_is_set_aside_withdraws_still() -> None:
    withdrawn = line("consent", 3, withdrawn_at="2026-01-02T00:00:00Z")
    made = world(withdrawn, line("consent", id="other"), line("consent", 4, given_at="soon"), policy=OPTED_IN_POLICY)
    assert made.decide("item", NOW).outcomes["OPTED_IN"] == "FAIL"


def test_a_bad_objection_line_counts_for_its_targets_and_those_stored_until_a_later_good_one() -> None:
    withdrawn: dict[str, Any] = {"person": "p", "withdrawn_at": "2025-01-01T00:00:00Z"}
    made = world(
        line("account", 3, person="p"), line("content", 3, kind="AI_INTERACTION", conversation="ASSISTANT_ONLY")
    )
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


@pytest.mark.parametrize("cut", [1, 1 << 20])
def test_a_broken_objection_line_keeps_its_targets_and_its_instant(cut: int) -> None:
    whole = line("objection", 3, person="p", rest="x" * cut)
    made = world(line("account", 3, person="p"), whole[:-1])
    for day, outcome in ((3, "FAIL"), (4, "PASS")):
        made.load(line("objection", day, account="nobody", withdrawn_at="2025-01-01T00:00:00Z"), NOW)
        assert made.decide("item", NOW).outcomes["NO_ACTIVE_OBJECTION"] == outcome


def test_a_target_of_a_bad_objection_line_is_a_target_of_the_good_later_one() -> None:
    made = world(line("objection", 3, account="author", scope="SOME"), line("objection", 4, account="nobody"))
    assert made.decide("item", NOW).outcomes["NO_ACTIVE_OBJECTION"] == "FAIL"


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
        ("content", {"id": "i" * 2049}),
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
