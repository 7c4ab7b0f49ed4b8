"""A CSV file becomes facts by a mapping, and each row or column that does not is named."""

import json
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from app.convert.csv_rows import MappingError, csv_records, read_mapping
from app.convert.left_out import LeftOut
from db.ingest.staging import split_lines, stage_chunk
from tests.support.command import grounds
from tests.support.documents import block

MAPPING: dict[str, Any] = {
    "record": "account",
    "fields": {
        "id": {"column": "number"}, "product": {"value": "FACEBOOK"}, "kind": {"value": "PERSONAL"},
        "status": {"column": "state", "values": {"on": "ACTIVE", "off": "DEACTIVATED"}},
        "born_on": {"column": "born"}, "contacts": {"column": "mail", "contact": True},
        "compromised": {"column": "windows", "json": True}, "observed_at": {"value": "2026-01-01T00:00:00Z"},
    },
}  # fmt: skip
ROWS = """number,state,born,mail,windows,shoe size
1,on,1990-01-01,Jane@example.org,[],38
2,off,,,"[{""from"": null}]",
3,gone,,,[],
4,on,,no address at all,[],
5,on,,,{,
6,on
"""


def convert(rows: str, mapping: dict[str, Any] = MAPPING) -> tuple[list[dict[str, Any]], LeftOut]:
    left_out = LeftOut()
    found = list(csv_records(rows.splitlines(keepends=True), read_mapping(json.dumps(mapping)), left_out))
    return found, left_out


def test_rows_become_records_and_the_others_are_named() -> None:
    records, left_out = convert(ROWS)
    jane, second = records
    contact = sha256(b"jane@example.org").hexdigest()
    assert jane == {
        "record": "account", "id": "1", "product": "FACEBOOK", "kind": "PERSONAL", "status": "ACTIVE",
        "born_on": "1990-01-01", "contacts": [contact], "compromised": [], "observed_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    assert (second["status"], second["born_on"], second["contacts"]) == ("DEACTIVATED", None, [])
    assert left_out.lines() == [
        "left out: 1 column shoe size (the mapping does not use this column)",
        "left out: 1 row at line 4: state has a value that the mapping does not list",
        "left out: 1 row at line 5: mail is not an e-mail address, a phone number or a user name",
        "left out: 1 row at line 6: windows is not JSON",
        "left out: 1 row at line 7: has a different number of cells than the header",
    ]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"record": "person"}, "record: must be one of account"),
        ({"fields": {"shoe": {"value": 1}}}, "shoe: is not a field of account"),
        ({"fields": {"id": {"column": "id", "value": 1}}}, "either `column` or `value`"),
        ({"fields": {"id": {"colum": "id"}}}, "Extra inputs are not permitted"),
        ({"more": 1}, "more: Extra inputs"),
    ],
)
def test_a_mapping_with_a_fault_is_refused_with_its_place(change: dict[str, Any], why: str) -> None:
    with pytest.raises(MappingError, match=why):
        read_mapping(json.dumps(MAPPING | change))


def test_a_file_without_a_column_or_with_a_wrong_quote_is_refused() -> None:
    with pytest.raises(MappingError, match="no column born, mail"):
        convert("number,state,windows\n")
    with pytest.raises(MappingError, match="is not valid CSV"):
        convert('number,state,born,mail,windows\n"1"x,on,,,[]\n')


def test_the_command_writes_facts_and_names_the_file_of_a_fault(tmp_path: Path) -> None:
    (tmp_path / "mapping.json").write_text(json.dumps(MAPPING))
    (tmp_path / "rows.csv").write_bytes(b"\xef\xbb\xbf" + ROWS.replace("\n", "\r\n").encode())
    done = grounds("convert", "csv", "--mapping", tmp_path / "mapping.json", tmp_path / "rows.csv", data=tmp_path)
    assert done.returncode == 3, done.stderr
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["1", "2"]
    assert "row at line 4" in done.stderr


def test_the_mapping_of_the_readme_makes_records_that_load() -> None:
    mapping = json.loads(block("app/convert/README.md", "mapping"))
    header = "post_id,user,visibility,body,created,tagged\n"
    records, left_out = convert(f"{header}1,anna,everyone,Hello,2026-01-01T00:00:00Z,[]\n2,anna,me,,,[]\n", mapping)
    lines = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    assert stage_chunk(split_lines(lines, 1), frozenset(), datetime(2026, 6, 1, tzinfo=UTC)).rejected == []
    assert len(records) == len(left_out.lines()) == 1
