"""A line becomes a row or is set aside; what is set aside says what to mend and keeps to itself what may be private."""

import json
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.demo.population import population_lines
from db.ingest.records import LINE_LIMIT, MODELS, Line
from db.ingest.rejection import Rejected
from db.ingest.stages import COLUMNS, Row
from db.ingest.staging import stage_chunk, stage_line
from db.vocabulary import PLATFORM_PRODUCTS, ContentKind
from tests.support.facts import FACTS, HASH, NOW, SCANS, fact

pytestmark = pytest.mark.database

CANARY = "words of a person, which nobody else may read"
PRIVATE = ("PRIVATE_MESSAGE", "BUSINESS_MESSAGE")


def staged(record: dict[str, Any] | str | bytes, number: int = 1) -> tuple[str, str, Row] | Rejected:
    text = json.dumps(record) if isinstance(record, dict) else record
    data = text.encode() if isinstance(text, str) else text
    return stage_line(Line(number, data[:LINE_LIMIT], len(data) > LINE_LIMIT), PLATFORM_PRODUCTS, NOW)


def rejected(record: dict[str, Any] | str | bytes) -> Rejected:
    found = staged(record)
    assert isinstance(found, Rejected), found
    assert CANARY not in repr(found)
    return found


def row(record: dict[str, Any] | str) -> dict[str, Any]:
    found = staged(record)
    assert not isinstance(found, Rejected), found
    return dict(zip(COLUMNS[found[0]], found[2], strict=True))


@pytest.mark.parametrize("name", FACTS)
def test_a_good_line_becomes_a_row_of_its_stage(name: str) -> None:
    missing: dict[str, dict[str, Any]] = {
        "objection": {"account": "author"},
        "campaign": {"id": "2025-04", "told": [], "texts": {}},
    }
    said = fact(name, **missing.get(name, {}))
    found = row(said)
    assert (found["line"], found["platform_id"]) == (1, said["id"])
    assert found["observed_at"].isoformat() == "2026-01-02T00:00:00+00:00"
    assert len(found["digest"]) == 16


@pytest.mark.parametrize("kind", PRIVATE)
def test_the_stage_of_a_private_message_has_none_of_its_words(kind: str) -> None:
    one, other = (row(fact("content", kind=kind, text=text)) for text in (CANARY, "something else"))
    if kind == "PRIVATE_MESSAGE":
        assert (one["text"], one["media"], one["pipeline"]) == (None, None, None)
        assert one == other, "not even in a digest"
    assert CANARY not in json.dumps(row(fact("content", kind="PRIVATE_MESSAGE", text=CANARY)), default=str)


def test_a_digest_tells_any_change_but_that_of_order() -> None:
    base = row(fact("content"))["digest"]
    references = [{"account": "a", "relation": "TAG"}, {"account": "b", "relation": "QUOTE"}]
    changes: list[dict[str, Any]] = [
        *({"text": text} for text in ("Another.", "", None)),
        *({"kind": "PHOTO"}, {"audience": "GROUP"}, {"language": "en"}, {"parent": "x"}, {"references": references}),
        *({"scans": None}, {"rights": [{"source": "AIPREF", "train_ai": "n"}]}, {"edited_at": "2026-01-01T00:00:00Z"}),
        *(
            {"media": [{"type": "a", "url": "https://media.example.org/b"}]},
            {"conversation": "GROUP"},
            {"scans": SCANS | {"minors": None}},
        ),
        {"references": [{"contact": HASH, "relation": "TAG"}]},
    ]
    assert len({base, *(row(fact("content", **change))["digest"] for change in changes)}) == len(changes) + 1
    turned = row(fact("content", references=references[::-1]))
    assert turned["digest"] == row(fact("content", references=references))["digest"]
    assert row(fact("content", created_at="2026-01-01T01:00:00+01:00"))["digest"] == base, "the same instant"
    for leap in ("2025-12-31T23:59:60Z", "2026-01-01T00:59:60+01:00", "2025-12-31t13:29:60-10:30"):
        assert row(fact("content", created_at=leap))["digest"] == base, "a leap second is the next second"
    assert rejected(fact("content", created_at="2025-12-31T12:59:60Z")).field == "created_at"


def bad(name: str, **fields: Any) -> dict[str, Any]:
    """Make a record that is rejected, whatever else is said."""
    return fact(name, **fields) | {"observed_at": "never"}


def twice(said: dict[str, Any], **more: str) -> str:
    """Write a record that says something a second time."""
    return json.dumps(said)[:-1] + ", " + json.dumps(more)[1:]


NO_KINDS: tuple[Any, ...] = ("MESSAGE", "post", "", None, 7, [], ["POST"])
NO_RECORDS: tuple[Any, ...] = ("comment", "", None, 7, ["content"], {})
ITEM = bad("content", text=CANARY)
SHOWN: list[tuple[dict[str, Any] | str, bool]] = [
    *((bad(name), True) for name in FACTS if name != "content"),
    *((bad("content", kind=kind, text=CANARY), kind not in PRIVATE) for kind in ContentKind),
    *((bad("content", kind=kind, text=CANARY), False) for kind in NO_KINDS),
    ({key: value for key, value in ITEM.items() if key != "kind"}, False),
    # Not what it says it is, or not the same to every reader.
    *((bad(name, kind="PRIVATE_MESSAGE", text=CANARY), False) for name in FACTS),
    *((ITEM | {"record": name}, False) for name in NO_RECORDS),
    (twice(ITEM, kind="POST"), False),
    (twice(bad("content", kind="PRIVATE_MESSAGE", text=CANARY), kind="POST"), False),
    (twice(bad("content", kind="PRIVATE_MESSAGE", text=CANARY), record="account"), False),
    (json.dumps(ITEM)[:-1], False),
    (json.dumps([ITEM]), False),
    (json.dumps(ITEM) + "x", False),
    (json.dumps(ITEM | {"text": CANARY * (LINE_LIMIT // 20)}), False),
]


@pytest.mark.parametrize(("line", "shown"), SHOWN)
def test_a_rejected_line_is_kept_only_where_it_cannot_be_a_private_message(
    line: dict[str, Any] | str, shown: bool
) -> None:
    text = json.dumps(line) if isinstance(line, dict) else line
    assert rejected(text).original == (text.encode() if shown else None)


def test_a_line_in_another_encoding_is_not_kept() -> None:
    for encoding in ("utf-16", "utf-16-le", "utf-32", "latin-1"):
        assert (
            rejected(json.dumps(fact("content", text=CANARY + " é"), ensure_ascii=False).encode(encoding)).original
            is None
        )


def test_what_can_be_read_of_a_bad_line_names_what_has_to_stay_shut() -> None:
    said = rejected(fact("content", audience="PUBLIK"))
    (row,) = said.rows
    assert row[1:3] == ("content", "item")
    assert said.observed_at is not None
    cut = rejected(json.dumps(fact("notice"))[:-9])
    assert (cut.record, cut.id, cut.account) == ("notice", "notice", "author")
    hidden = rejected('{"text": "\\"record\\": \\"account\\", \\"id\\": \\"x\\"", "record": "content", "id": "real')
    assert (hidden.record, hidden.id) == ("content", None)
    nameless = rejected({"record": "objection", "person": "p", "scope": "EVERYTHING"})
    (row,) = nameless.rows
    assert row[2].startswith("line:")
    for silent in ("{}", "[]", "nonsense", '{"record": "content"}', '{"record": [], "id": "x"}', '{"id": "x"}'):
        assert rejected(silent).rows == []


@pytest.mark.parametrize("said", ["2999-01-01T00:00:00Z", "yesterday", 7, None, "2026-01-02", "2026-01-02T00:00:00"])
def test_an_instant_that_cannot_be_believed_is_not_what_a_bad_line_is_judged_by(said: Any) -> None:
    assert rejected(fact("content", observed_at=said)).observed_at is None


def test_a_clock_may_be_five_minutes_ahead_and_no_more() -> None:
    at = NOW + timedelta(minutes=5)
    assert row(fact("content", observed_at=at.isoformat()))["observed_at"] == at
    late = rejected(fact("content", observed_at=(at + timedelta(microseconds=1)).isoformat()))
    assert (late.field, late.reason) == ("observed_at", "is more than 5 minutes in the future (correct the clock)")


def test_a_product_is_one_that_the_policy_knows() -> None:
    said = rejected(fact("account", product="THREADS"))
    assert said.field == "product"
    assert said.reason.startswith("must be one of FACEBOOK, INSTAGRAM, MESSENGER, WHATSAPP (")
    found = stage_line(
        Line(1, json.dumps(fact("account", product="THREADS")).encode()), PLATFORM_PRODUCTS | {"THREADS"}, NOW
    )
    assert not isinstance(found, Rejected)


def test_a_field_that_nobody_knows_is_named_in_few_words() -> None:
    assert rejected(fact("account", **{"x" * 5000: 1})).field == "x" * 200
    assert (
        rejected(fact("content", media=[{"type": "a", "url": "https://media.example.org/b", "size": 1}])).field
        == "media.0.size"
    )


def test_the_nth_line_about_one_id_goes_into_the_nth_round() -> None:
    lines = [
        fact("content"),
        fact("account"),
        fact("content", 3),
        fact("content", 4, audience="PUBLIK"),
        fact("content", 5),
    ]
    lines += [fact("content", id="other"), fact("account", id="item")]
    data = [Line(number, json.dumps(line).encode()) for number, line in enumerate(lines, 1)]
    chunk = stage_chunk(data, PLATFORM_PRODUCTS, NOW)
    numbers = [{name: [row[0] for row in rows] for name, rows in stages.items()} for stages in chunk.rounds]
    assert numbers == [{"content": [1, 6], "account": [2, 7]}, {"content": [3]}, {"rejected": [4]}, {"content": [5]}]
    assert [each.number for each in chunk.rejected] == [4]


WORDS = st.sampled_from(
    [None, True, 7, -1, 1.5, "", "\0", "PRIVATE_MESSAGE", "content", "2025-02-30T00:00:00Z", "x" * 300]
)
VALUES = st.recursive(
    WORDS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
)


@given(st.sampled_from(list(MODELS)), st.data())
def test_no_value_of_any_field_stops_a_stream_or_is_quoted(name: str, data: st.DataObject) -> None:
    missing: dict[str, dict[str, Any]] = {
        "objection": {"account": "author"},
        "campaign": {"id": "2025-04", "told": [], "texts": {}},
    }
    said = fact(name, **missing.get(name, {}))
    for field in data.draw(st.lists(st.sampled_from([*said, "record", "surprise"]), min_size=1, max_size=3)):
        said[field] = data.draw(VALUES)
    if "text" in said:
        said["text"] = CANARY
    found = staged(said)
    if isinstance(found, Rejected):
        assert CANARY not in repr(found) + found.reason
        assert all(len(row) == len(COLUMNS["rejected"]) for row in found.rows)


def test_no_byte_of_a_line_can_stop_a_stream() -> None:
    random = Random(11)
    for text in population_lines(300, NOW):
        line = bytearray(text.rstrip())
        for _ in range(random.randrange(1, 4)):
            at = random.randrange(len(line))
            line[at : at + random.randrange(3)] = bytes([random.randrange(256)])
        staged(bytes(line))


@pytest.mark.parametrize(
    ("once", "again"),
    [
        ('"kind": "POST"', '"kind": "PRIVATE_MESSAGE", "kind": "POST"'),
        ('"kind": "POST"', '"\\u006bind": "PRIVATE_MESSAGE", "kind": "POST"'),
        ('"rights": []', '"rights": [{"source": "TDMREP", "train_ai": "n", "train_ai": "y"}]'),
        ('"scans": {', '"scans": {"safety": "FLAGGED", '),
    ],
)
def test_a_line_that_states_a_field_twice_is_set_aside(once: str, again: str) -> None:
    line = json.dumps(fact("content", kind="POST", scans={"safety": "CLEAR", "special_category": "CLEAR"}))
    assert once in line
    assert "twice" in rejected(line.replace(once, again)).reason


def test_names_that_stand_twice_in_different_objects_or_in_a_text_are_no_fault() -> None:
    said = fact("content", text='she said "kind": "text"', references=[{"account": "a", "relation": "TAG"}] * 2)
    assert not isinstance(staged(said), Rejected)
    assert not isinstance(staged(fact("content", text="kind", language="de")), Rejected)


def test_each_json_value_of_a_line_is_a_record_of_its_own() -> None:
    first, second = json.dumps(fact("content")), json.dumps(fact("account"))
    for joined in (first + second, f"{first} \t{second}", f"{first}\ufeff{second}", f"\ufeff{first}{second}\r"):
        chunk = stage_chunk([Line(7, joined.encode())], PLATFORM_PRODUCTS, NOW)
        assert chunk.rejected == [], joined
        (stages,) = chunk.rounds
        assert {name: [row[0] for row in rows] for name, rows in stages.items()} == {"content": [7], "account": [7]}


def test_what_is_cut_off_behind_a_whole_value_is_set_aside_and_not_lost() -> None:
    cut = json.dumps(fact("objection", account="author"))[:-1]
    chunk = stage_chunk([Line(1, (json.dumps(fact("content")) + cut).encode())], PLATFORM_PRODUCTS, NOW)
    assert [(found.record, found.id, found.account) for found in chunk.rejected] == [
        ("objection", "objection", "author")
    ]
    assert sorted(chunk.rounds[0]) == ["content", "rejected"]


def test_a_byte_order_mark_before_a_line_is_skipped() -> None:
    line = Line(1, b"\xef\xbb\xbf" + json.dumps(fact("content")).encode())
    assert stage_chunk([line], PLATFORM_PRODUCTS, NOW).rejected == []
