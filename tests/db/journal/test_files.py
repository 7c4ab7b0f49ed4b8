"""The journal's files are private, durable and authentic, however many processes write and whatever breaks off."""

import multiprocessing
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from db.journal import files
from db.journal.files import JournalError, JournalFiles
from tests.support.gateway import SECRET
from tests.support.mutants import Killed


def entry(name: str) -> str:
    return f'["objection", [{{"platform_id": "{name}"}}]]'


def names(journal: JournalFiles) -> list[str]:
    return [row["platform_id"] for _, row in journal.read([SECRET])]


def file_of(folder: Path) -> Path:
    (file,) = folder.glob("journal-*.log")
    return file


def test_what_is_written_is_read_again_in_order_and_not_by_others(tmp_path: Path) -> None:
    journal = JournalFiles(tmp_path, SECRET)
    journal.append([entry("one"), entry("two")])
    journal.append([entry("three")])
    assert names(journal) == ["one", "two", "three"]
    file = file_of(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"three" not in file.read_bytes()
    other = b"another secret, from a rotation"
    with pytest.raises(JournalError, match="line 1 was edited, or written with another secret"):
        list(journal.read([other]))
    JournalFiles(tmp_path, other).append([entry("four")])
    assert [row["platform_id"] for _, row in journal.read([other, SECRET])] == ["one", "two", "three", "four"]


def test_a_record_that_was_broken_off_is_passed_over_and_replaced(tmp_path: Path) -> None:
    journal = JournalFiles(tmp_path, SECRET)
    journal.append([entry("one")])
    file = file_of(tmp_path)
    whole = file.read_bytes()
    journal.append([entry("two")])
    for length in (len(whole) + 1, len(file.read_bytes()) - 1):
        file.write_bytes(file.read_bytes()[:length])
        assert names(journal) == ["one"]
        journal.append([entry("three")])
        assert names(journal) == ["one", "three"]
        file.write_bytes(whole)
        journal.append([entry("two")])


def test_no_line_can_be_edited_moved_repeated_or_left_out(tmp_path: Path) -> None:
    journal = JournalFiles(tmp_path, SECRET)
    for name in ("one", "two", "six"):
        journal.append([entry(name)])
    file = file_of(tmp_path)
    first, second, third = file.read_bytes().splitlines(keepends=True)
    changed = bytes([second[0] ^ 1]) + second[1:]
    for lines in ([second, first, third], [first, third], [first, first, second, third], [first, changed, third]):
        file.write_bytes(b"".join(lines))
        with pytest.raises(JournalError, match=r"line \d was edited"):
            names(journal)
    file.write_bytes(first + second)
    file.rename(file.with_name("journal-2026-01-01-host.log"))
    with pytest.raises(JournalError, match="line 1 was edited"):
        names(journal)


def _append(folder: Path, writer: int) -> None:
    for number in range(40):
        JournalFiles(folder, SECRET).append([entry(f"{writer}-{number}")])


def test_several_processes_write_one_file(tmp_path: Path) -> None:
    processes = [multiprocessing.get_context("fork").Process(target=_append, args=(tmp_path, n)) for n in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert sorted(names(JournalFiles(tmp_path, SECRET))) == sorted(f"{w}-{n}" for w in range(3) for n in range(40))


def test_files_are_kept_for_as_long_as_is_said(tmp_path: Path) -> None:
    journal = JournalFiles(tmp_path, SECRET)
    journal.append([entry("today")])
    today = datetime.now(UTC).date()
    for age in (89, 90, 91, 400):
        (tmp_path / f"journal-{today - timedelta(days=age)}-host.log").touch()
    (tmp_path / "notes.txt").touch()
    journal.remove_before(90)
    kept = {path.name for path in tmp_path.glob("*-host.log")}
    assert kept == {f"journal-{today - timedelta(days=age)}-host.log" for age in (89, 90)}
    assert (tmp_path / "notes.txt").exists()
    assert names(journal) == ["today"]


def test_a_build_that_does_not_bind_a_record_to_its_place_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    monkeypatch.setattr(files, "_bound_to", lambda *_: b"grounds journal 1")
    journal = JournalFiles(tmp_path, SECRET)
    for name in ("one", "two"):
        journal.append([entry(name)])
    file = file_of(tmp_path)
    file.write_bytes(file.read_bytes().splitlines(keepends=True)[1])
    killed("a journal whose lines can be left out", "reading it", "no error" if names(journal) == ["two"] else None)
