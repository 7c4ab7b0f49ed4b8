"""The README of db tells the truth: its facts come in, its commands run, its folders and files are all there are."""

from pathlib import Path

from tests.support.command import grounds
from tests.support.documents import block


def test_its_facts_are_accepted_and_its_commands_run(tmp_path: Path) -> None:
    facts = tmp_path / "facts.ndjson"
    facts.write_text(block("db/README.md", "facts"))
    assert grounds("migrate", data=tmp_path / "data").returncode == 0
    done = grounds("ingest", str(facts), data=tmp_path / "data")
    assert done.returncode == 0, done.stderr
    for line in block("db/README.md", "policy commands").splitlines():
        done = grounds(*line.removeprefix("./run grounds ").split(), data=tmp_path / "data")
        assert done.returncode == 0, done.stderr
