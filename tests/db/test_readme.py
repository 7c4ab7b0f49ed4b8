"""The README of db tells the truth: its facts come in, its commands run, its folders and files are all there are."""

from pathlib import Path

from tests.support.command import grounds
from tests.support.documents import block
from tests.support.gateway import SECRET


def test_its_facts_are_accepted_and_its_commands_run(database_url: str, tmp_path: Path) -> None:
    settings = {"DATABASE_URL": database_url, "GROUNDS_SECRET": SECRET.decode()}
    facts = tmp_path / "facts.ndjson"
    facts.write_text(block("db/README.md", "facts"))
    policies = [line.removeprefix("./run grounds ") for line in block("db/README.md", "policy commands").splitlines()]
    for line in ("migrate", f"ingest {facts}", *policies):
        done = grounds(*line.split(), data=tmp_path / "data", env=settings)
        assert done.returncode == 0, (line, done.stderr)
