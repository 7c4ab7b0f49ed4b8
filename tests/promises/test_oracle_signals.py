"""Hold the oracle to the test vectors of signals."""

import json
from typing import Any

from tests.promises.oracle import Outcome
from tests.support.facts import DAY, NOW, decided, line, world
from tests.support.signal_vectors import VECTORS, signals_of

# These depend on which entity of AT Protocol the platform is: where that is not known, the protective reading counts.
OF_AN_ENTITY = {"lex-02", "lex-03"}
HEADER = {"standard": "http-header tdm-reservation", "value": "1"}
ACTOR = {"standard": "ActivityPub actor", "value": {"indexable": False}}
OBJECTION = {
    "standard": "org.user-intents.declaration",
    "value": {"syntheticContentGeneration": {"allow": False, "updatedAt": "2026-02-01T00:00:00Z"}},
}
POST_AND_CAPTION = [
    line("content", 3, kind="PHOTO"),
    line("content", id="caption", kind="CAPTION", parent="item", account="other"),
    line("account", id="other"),
]


def outcome(code: str, *lines: str) -> Outcome:
    return decided(*lines).outcomes[code]


def test_the_oracle_reads_each_vector_as_it_says() -> None:
    for vector in VECTORS:
        expected = vector["expected"]
        kind = (vector.get("context") or {}).get("kind", "POST")
        found = decided(line("content", 3, kind=kind, signals=signals_of(vector))).outcomes
        reserved = any(right["train_ai"] == "n" for right in expected.get("rights") or [])
        objects = isinstance(expected.get("objection"), dict) or vector["id"] in OF_AN_ENTITY
        minor = expected.get("scans", {}).get("minors") == "FLAGGED"
        failed = [found[f"NO_{code}"] == "FAIL" for code in ("RIGHTS_RESERVATION", "ACTIVE_OBJECTION")]
        assert failed == [reserved, objects], vector["id"]
        assert (found["NO_MINOR_REFERENCED"] == "FAIL") == minor, vector["id"]


def test_what_cannot_be_read_reserves_but_for_aipref() -> None:
    for standard, value, expected in (
        ("/.well-known/tdmrep.json", "{", "FAIL"),
        ("C2PA assertion", [], "FAIL"),
        ("XMP plus:DataMining", ["DMI-ALLOWED"], "FAIL"),
        ("http-header Content-Usage", "train-ai=n,", "PASS"),
    ):
        signal = {"standard": standard, "value": value}
        assert outcome("NO_RIGHTS_RESERVATION", line("content", 3, signals=[signal])) == expected, standard


def test_a_signal_of_no_standard_sets_its_line_aside() -> None:
    other: dict[str, Any] = {"standard": "smoke signals", "value": "1"}
    assert outcome("CONTENT_SETTLED", line("content", 3, signals=[other])) == "UNKNOWN"


def test_what_an_account_or_one_of_a_family_reserves_counts_for_all_of_it() -> None:
    for reserved in (line("content", 4, kind="PHOTO", signals=[HEADER]), line("account", 4, signals=[ACTOR])):
        made = world(*POST_AND_CAPTION, reserved)
        for item in ("item", "caption"):
            assert made.decide(item, NOW).outcomes["NO_RIGHTS_RESERVATION"] == "FAIL"


def test_a_reservation_that_is_stated_no_longer_waits() -> None:
    for record, signal, code in (
        ("content", HEADER, "CONTENT_SETTLED"),
        ("account", ACTOR, "ACCOUNT_IN_GOOD_STANDING"),
    ):
        made = world(line(record, 3, signals=[signal]))
        made.load(line(record, 4, signals=[]), NOW)
        assert made.decide("item", NOW + 6 * DAY).outcomes[code] == "FAIL"
        assert made.decide("item", NOW + 7 * DAY).permitted


def test_a_statement_about_a_whole_account_objects_for_its_person_and_its_removal_withdraws_nothing() -> None:
    lines = [
        line("account", 3, id="other", person="p", signals=[OBJECTION]),
        line("account", 4, id="other", person="p"),
        line("account", 3, person="p"),
    ]
    assert outcome("NO_ACTIVE_OBJECTION", *lines) == "FAIL"
    stale = json.loads(lines[0]) | {"observed_at": "2026-01-01T00:00:00Z"}
    assert outcome("NO_ACTIVE_OBJECTION", *lines[1:], json.dumps(stale)) == "FAIL"
