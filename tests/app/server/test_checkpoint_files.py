"""A database that was restored, or is a standby that was behind, is noticed by the checkpoints outside of it."""

import stat
from pathlib import Path

import psycopg
import pytest

from app.server import checkpoint_files
from app.server.checkpoint_files import (
    UNNOTICED,
    CheckpointError,
    raise_if_restored,
    read_checkpoint,
    set_aside_lost_checkpoints,
)
from app.server.jobs import background_jobs
from app.server.journal import UNWRITTEN
from app.server.scheduler import run_job_once
from app.settings import SettingsError
from db.connection import open_database
from tests.db.delivery.test_ledger import write
from tests.support.command import grounds
from tests.support.gateway import SECRET, open_gateway
from tests.support.mutants import Killed

pytestmark = pytest.mark.database


async def seal(url: str, folder: Path, pages: int = 1) -> None:
    """Write receipts, and do the job that the server does every ten seconds."""
    (job,) = [each for each in background_jobs(url, SECRET, checkpoints=folder) if each.name == "seal"]
    async with open_database(url, SECRET) as database:
        for _ in range(pages):
            await write(url, 5)
            await run_job_once(database, job)


def lose(url: str, after: int) -> None:
    """Let the database be as it was when it had so many checkpoints."""
    with psycopg.connect(url) as connection:
        connection.execute("SET LOCAL session_replication_role = 'replica'")
        connection.execute(
            "DELETE FROM grounds.delivery WHERE id > coalesce((SELECT last_receipt FROM grounds.checkpoint"
            " WHERE number = %s), 0)",
            [after],
        )
        connection.execute("DELETE FROM grounds.checkpoint WHERE number > %s", [after])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_each_checkpoint_is_exported_privately_and_once(database_url: str, tmp_path: Path) -> None:
    await seal(database_url, tmp_path, pages=2)
    assert names(tmp_path) == ["checkpoint-000000000001.json", "checkpoint-000000000002.json"]
    file = tmp_path / names(tmp_path)[1]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    written = file.stat().st_mtime_ns
    raise_if_restored(database_url, SECRET, tmp_path)
    await seal(database_url, tmp_path, pages=0)
    file_of_a_killed_process = tmp_path / ".checkpoint-000000000003.json"
    file_of_a_killed_process.write_text("{")
    await seal(database_url, tmp_path)
    assert file.stat().st_mtime_ns == written
    assert names(tmp_path)[-1] == "checkpoint-000000000003.json"
    assert read_checkpoint(tmp_path / names(tmp_path)[-1]).checkpoint.number == 3


async def test_a_database_that_is_behind_or_another_is_refused_until_it_is_accepted(
    database_url: str, tmp_path: Path
) -> None:
    await seal(database_url, tmp_path, pages=3)
    lose(database_url, 1)
    with pytest.raises(SettingsError, match=r"ends with checkpoint 1 of .*, but checkpoint 3 of .* was exported"):
        raise_if_restored(database_url, SECRET, tmp_path)
    with pytest.raises(CheckpointError, match="replaced while the server ran"):
        await seal(database_url, tmp_path)
    lose(database_url, 1)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    await seal(database_url, elsewhere, pages=3)
    with pytest.raises(SettingsError, match="has a checkpoint 3 that differs from the exported one"):
        raise_if_restored(database_url, SECRET, tmp_path)
    lost = set_aside_lost_checkpoints(database_url, tmp_path)
    assert [file.name for file in lost] == ["checkpoint-000000000002.json", "checkpoint-000000000003.json"]
    assert all(file.exists() for file in lost)
    raise_if_restored(database_url, SECRET, tmp_path)
    assert set_aside_lost_checkpoints(database_url, tmp_path) == []
    await seal(database_url, tmp_path)
    raise_if_restored(database_url, SECRET, tmp_path)


async def test_an_empty_database_is_behind(database_url: str, tmp_path: Path) -> None:
    raise_if_restored(database_url, SECRET, tmp_path)
    await seal(database_url, tmp_path)
    lose(database_url, 0)
    with pytest.raises(SettingsError, match="ends with no checkpoint, but checkpoint 1 of"):
        raise_if_restored(database_url, SECRET, tmp_path)


async def test_a_folder_that_cannot_vouch_for_anything_is_refused(database_url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        raise_if_restored(database_url, SECRET, tmp_path / "not mounted")
    await seal(database_url, tmp_path)
    with pytest.raises(SettingsError, match="belongs to another gateway"):
        raise_if_restored(database_url, b"another secret of another gateway", tmp_path)
    file = tmp_path / names(tmp_path)[0]
    file.write_text("{}")
    with pytest.raises(SettingsError, match="is not a checkpoint"):
        raise_if_restored(database_url, SECRET, tmp_path)


async def test_a_build_that_does_not_compare_is_noticed(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    kept, other = tmp_path / "kept", tmp_path / "other"
    kept.mkdir()
    other.mkdir()
    await seal(database_url, kept, pages=2)
    lose(database_url, 1)
    await seal(database_url, other)

    def noticed() -> str | None:
        try:
            raise_if_restored(database_url, SECRET, kept)
        except SettingsError as why:
            return str(why)
        return None

    refused = noticed()
    exported = read_checkpoint(kept / names(kept)[-1]).checkpoint
    monkeypatch.setattr(checkpoint_files, "_stored_checkpoints", lambda *_: (exported, exported))
    killed(
        "a start that does not read the stored checkpoint",
        "raise_if_restored()",
        refused if noticed() is None else None,
    )


async def test_the_commands_refuse_and_accept_it_with_words(database_url: str, tmp_path: Path) -> None:
    folder, data = tmp_path / "checkpoints", tmp_path / "data"
    folder.mkdir()
    await seal(database_url, folder, pages=2)
    lose(database_url, 1)
    env = {
        "DATABASE_URL": database_url,
        "GROUNDS_SECRET": SECRET.decode(),
        "GROUNDS_CHECKPOINTS": str(folder),
    }
    for workers in ("1", "2"):
        refused = grounds("serve", "--port", "0", "--workers", workers, data=data, env=env)
        assert (refused.returncode, "run grounds restored" in refused.stderr) == (2, True), refused.stderr
    accepted = grounds("restored", data=data, env=env)
    assert (accepted.returncode, "1 exported checkpoints (2 to 2) are not" in accepted.stdout) == (0, True)
    again = grounds("restored", data=data, env=env)
    assert "Every exported checkpoint is in the database.\nThe database is accepted" in again.stdout


async def test_without_the_setting_a_start_says_that_a_restore_is_not_noticed(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_gateway(database_url, tmp_path) as gateway:
        assert (await gateway.client.get("/ready")).json()["warnings"] == [UNNOTICED, UNWRITTEN]
    assert UNNOTICED in capsys.readouterr().out
