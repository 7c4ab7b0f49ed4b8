"""`grounds report` writes a signed report, and finds one that was changed."""

import json
from pathlib import Path

from tests.support.command import grounds
from tests.support.gateway import SECRET

DAYS = ("--from", "2026-01-01", "--to", "2026-12-31")


def test_a_report_is_written_checked_and_found_changed(database_url: str, tmp_path: Path) -> None:
    settings = {"DATABASE_URL": database_url, "GROUNDS_SECRET": SECRET.decode()}
    file = tmp_path / "report.json"
    written = grounds("report", *DAYS, "--output", file, data=tmp_path, env=settings)
    assert written.returncode == 0, written.stderr
    report = json.loads(file.read_text())
    assert report["report"]["notices"]["accounts"] == 0
    checked = grounds("report", "--verify", file, data=tmp_path, env=settings)
    assert (checked.returncode, "is that of this gateway" in checked.stdout) == (0, True), checked.stderr
    report["report"]["objections"]["received"] = 7
    file.write_text(json.dumps(report))
    checked = grounds("report", "--verify", file, data=tmp_path, env=settings)
    assert (checked.returncode, "the signature is wrong" in checked.stdout) == (1, True)
    wrong = grounds("report", "--from", "2026-12-31", "--to", "2026-01-01", data=tmp_path, env=settings)
    assert (wrong.returncode, "must be two days in order" in wrong.stderr) == (2, True)
