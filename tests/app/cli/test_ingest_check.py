"""`grounds ingest --check` names every fault of files and stores nothing; files are known by what is in them."""

import gzip
import json
from pathlib import Path

import pytest
import typer
import zstandard

from app.cli.ingest import ingest_command
from tests.support.command import write
from tests.support.facts import fact
from tests.support.repository import ROOT

EXAMPLES = ROOT / "db" / "ingest" / "examples.ndjson"


def check(*files: Path, as_json: bool = False, product: list[str] | None = None) -> int:
    try:
        ingest_command([str(file) for file in files], check=True, product=product, json=as_json)
    except typer.Exit as ended:
        return ended.exit_code
    return 0


def test_each_fault_is_printed_with_its_place_and_an_example(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "bad.ndjson", fact("account", country="de", product="THREADS"), fact("content"))
    assert check(EXAMPLES, file) == 3
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{EXAMPLES}: 13 records are valid, 0 are not"
    assert said[1].startswith(f"{file}:1: account author: country: ")
    assert said[1].endswith(', such as "DE"')
    assert said[2].startswith(f"{file}:1: account author: product: must be one of FACEBOOK")
    assert said[3] == f"{file}: 1 records are valid, 1 are not"
    assert check(file, as_json=True, product=["THREADS"]) == 3
    (reject,) = json.loads(capsys.readouterr().out)["rejects"]
    assert [fault["field"] for fault in reject["faults"]] == ["country"]
    assert list(tmp_path.iterdir()) == [file], "nothing is written"


def test_a_file_is_known_by_what_is_in_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = EXAMPLES.read_bytes()
    frames = zstandard.compress(lines) + zstandard.compress(lines)
    packed = {
        "facts.GZ": gzip.compress(lines),
        "facts.json": gzip.compress(lines),
        "facts.zst": frames,
        "plain.gz": lines,
    }
    for name, content in packed.items():
        (file := tmp_path / name).write_bytes(content)
        assert check(file) == 0, name
        assert f"{26 if name == 'facts.zst' else 13} records are valid" in capsys.readouterr().out
    broken = {
        "cut.zst": (frames[:-9], "is incomplete or damaged"),
        "wide.ndjson": (lines.decode().encode("utf-16"), "is in UTF-16 (write it in UTF-8)"),
        "array.gz": (gzip.compress(b"[{}]"), "is a JSON array (write one JSON object per line"),
        "table.csv": (b"id,account\n1,2\n", "is a CSV file (write one JSON object per line"),
    }
    for name, (content, cause) in broken.items():
        (file := tmp_path / name).write_bytes(content)
        assert check(file) == 2, name
        assert f"{file}: {cause}" in capsys.readouterr().err
