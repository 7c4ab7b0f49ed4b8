"""One look at a faulty line or file is enough: each fault has its place and a right example, each file its cause."""

import json
from typing import Any

from db.ingest.examples import example_records
from db.ingest.records import MODELS, Line
from db.ingest.rejection import MAX_FAULTS, Rejected
from db.ingest.staging import format_fault, stage_line
from db.vocabulary import PLATFORM_PRODUCTS
from tests.support.facts import NOW, fact


def faults(record: dict[str, Any] | str) -> list[tuple[str | None, Any]]:
    text = json.dumps(record) if isinstance(record, dict) else record
    found = stage_line(Line(1, text.encode()), PLATFORM_PRODUCTS, NOW)
    assert isinstance(found, Rejected)
    said = found.as_dict()
    assert (said["field"], said["reason"].partition(";")[0]) == (
        said["faults"][0]["field"],
        said["faults"][0]["reason"].partition(";")[0],
    )
    return [(each["field"], each["example"]) for each in said["faults"]]


def test_all_faults_of_a_line_are_told_at_once_with_a_right_example() -> None:
    wrong: dict[str, Any] = {"product": "MYSPACE", "kind": "PERSON", "country": "de", "contacts": ["x"], "size": 1}
    assert faults(fact("account", **wrong)) == [
        ("kind", "PERSONAL"),
        ("country", "DE"),
        ("contacts.0", example_records()["account"]["contacts"][0]),
        ("size", None),
        ("product", "FACEBOOK"),
    ]
    ahead = {"observed_at": "2999-01-01T00:00:00Z"}
    assert faults(fact("objection", scope="SOME") | ahead) == [
        ("scope", "ALL"),
        ("observed_at", "2026-01-01T00:00:00Z"),
        (None, None),
    ]
    assert faults(fact("content", media=[{"type": "image/png"}], parent=7)) == [
        ("media.0.url", "https://media.social.example/c-1.jpg"),
        ("parent", "c-1"),
    ]
    assert len(faults(fact("account", contacts=["x"] * 1000))) == MAX_FAULTS


def test_a_line_that_is_no_json_names_the_column() -> None:
    found = stage_line(Line(1, b'{"record": "content", "id": "x",}'), PLATFORM_PRODUCTS, NOW)
    assert isinstance(found, Rejected)
    assert "at column 33" in found.reason


def test_minutes_of_an_offset_end_at_59() -> None:
    assert faults(fact("account", status_since="2026-01-01T00:00:00+01:75")) == [
        ("status_since", "2020-01-01T00:00:00Z")
    ]
    assert not isinstance(stage_of(fact("account", status_since="2026-01-01T00:00:00+01:59")), Rejected)


def stage_of(record: dict[str, Any]) -> object:
    return stage_line(Line(1, json.dumps(record).encode()), PLATFORM_PRODUCTS, NOW)


def test_there_is_a_right_example_of_every_field() -> None:
    for name, model in MODELS.items():
        assert example_records()[name].keys() == model.model_fields.keys()
        assert not [field for field, value in example_records()[name].items() if value is None]


def test_a_file_that_is_no_lines_of_json_is_named() -> None:
    lines = "\n".join(json.dumps(fact(name)) for name in ("account", "content"))
    array = json.dumps([fact("account"), fact("content")])
    named = {
        "UTF-16": [lines.encode("utf-16"), lines.encode("utf-16-le"), lines.encode("utf-16-be")],
        "UTF-32": [lines.encode("utf-32"), lines.encode("utf-32-le"), lines.encode("utf-32-be")],
        "JSON array": [
            array.encode(),
            json.dumps([fact("account")], indent=2).encode(),
            b"\xef\xbb\xbf [\r\n {",
            b"[]",
        ],
        "several lines": [json.dumps(fact("account"), indent=2).encode()],
        "CSV": [b"id,account,kind\n1,2,POST\n", b'"id";"account"\r\n', "\ufeffid\tname\n1\t2".encode(), b"id,name"],
        "ZIP": [b"PK\x03\x04" + b"\0" * 20],
        "Parquet": [b"PAR1\x15"],
        "xz": [b"\xfd7zXZ\0"],
        "bzip2": [b"BZh91AY"],
    }
    for what, heads in named.items():
        for head in heads:
            assert what in (format_fault(head[:4096]) or ""), head[:40]


def test_what_may_be_lines_of_json_is_read_line_by_line() -> None:
    line = json.dumps(fact("content", text="a,b;c\td"))
    for text in (
        line,
        f"\ufeff{line}",
        f"\r\n{line}",
        "",
        "\n",
        "nonsense",
        "7",
        "[7]",
        '{"a": 1}\n[',
        "{\n",
    ):
        assert format_fault(text.encode()) is None, text
