"""Backup, loss, restore and replay: whatever was answered holds, and every client is told what it must do."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.server.checkpoint_files import raise_if_restored
from app.server.jobs import background_jobs
from app.server.journal import open_journal
from app.server.restoration import accept_database
from app.server.scheduler import run_job_once
from app.settings import Settings, SettingsError
from db.administrator import DatabaseError
from db.backup import restore_backup, write_backup
from db.connection import JournalOfPool, open_database
from db.journal.files import JournalFiles
from schema.actor import Role
from tests.support.command import grounds
from tests.support.facts import NOW, fact
from tests.support.gateway import PULL, SECRET, TestGateway, open_gateway, set_clock
from tests.support.mutants import Killed
from tests.support.retractions import settled
from tests.support.shared_database import database_of

pytestmark = pytest.mark.database

HOUR = timedelta(hours=1)
AUTHORS = ("safe", "objector", "deleter", "minor", "held", "withdrawer")
FILE = """mutation($account: String!) {
  fileObjection(input: { account: $account, scope: ALL, channel: EMAIL }) { reference }
}"""
WITHDRAW = """mutation($reference: String!) { withdrawObjection(reference: $reference) { __typename } }"""
HOLD = """mutation($account: String!) {
  openHold(scope: ACCOUNT, value: $account, authority: "Authority", reason: "Order 7") { __typename }
}"""
RETRACTIONS = """query($after: String) {
  retractions(first: 100, after: $after) { nodes { contentId kind } pageInfo { endCursor } }
}"""
DELETED = fact("content", 3, id="item of deleter", account="deleter", deleted_at="2026-01-03T00:00:00Z")
CHECK = "query($ids: [ID!]!) { checkEligibility(ids: $ids) { items { contentId state } } }"


def facts_of(author: str) -> list[dict[str, Any]]:
    return [
        fact("account", id=author),
        fact("content", id=f"item of {author}", account=author),
        fact("notice", id=f"notice of {author}", account=author),
    ]


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    made = {"journal": tmp_path / "journal", "checkpoints": tmp_path / "checkpoints"}
    for folder in made.values():
        folder.mkdir()
    return made


@pytest.fixture
def empty_database(cluster: str) -> Iterator[str]:
    """The URL of a new database, for a backup to be restored into."""
    with psycopg.connect(cluster, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS restored WITH (FORCE)")
        connection.execute("CREATE DATABASE restored")
        yield database_of(cluster, "restored")
        connection.execute("DROP DATABASE IF EXISTS restored WITH (FORCE)")


async def seal(url: str, settings: Settings) -> None:
    """Do the job that the server does every ten seconds."""
    (job,) = [each for each in background_jobs(url, SECRET, checkpoints=settings.checkpoints) if each.name == "seal"]
    async with open_database(url, SECRET, journal=open_journal(settings)) as database:
        await run_job_once(database, job)


async def object_for(gateway: TestGateway, account: str) -> str:
    filed = await gateway.ask(Role.PRIVACY_OFFICER, FILE, {"account": account})
    reference: str = filed["fileObjection"]["reference"]
    return reference


@dataclass
class Lost:
    """What a training client has of a database that is lost: ids by the platform's, a later id, and its cursors."""

    names: dict[str, str]
    id: str
    cursors: dict[str, str]


async def back_up_and_lose(url: str, settings: Settings, backup: Path) -> Lost:
    """Deliver items, back the database up, and go on for an hour in which much is answered."""
    set_clock(url, NOW)
    async with open_gateway(url, settings.data, journal=settings.journal, checkpoints=settings.checkpoints) as gateway:
        await gateway.ingest([line for author in AUTHORS for line in facts_of(author)])
        delivered = {item["id"] for item in await gateway.pull()}
        assert len(delivered) == len(AUTHORS)
        names = dict(zip(delivered, await gateway.platform_ids(delivered), strict=True))
        withdrawn_later = await object_for(gateway, "withdrawer")
        await asyncio.to_thread(write_backup, url, backup)
        gateway.set_clock(NOW + HOUR)
        await object_for(gateway, "objector")
        await gateway.ask(Role.PRIVACY_OFFICER, WITHDRAW, {"reference": withdrawn_later})
        await gateway.ask(Role.PRIVACY_OFFICER, HOLD, {"account": "held"})
        await gateway.ingest([DELETED, fact("account", 3, id="minor", born_on="2015-01-01"), *facts_of("late")])
        (later,) = {item["id"] for item in await gateway.pull()} - delivered
        await settled(gateway)
        told = (await gateway.ask(Role.TRAINING_CLIENT, RETRACTIONS))["retractions"]
        page = (await gateway.ask(Role.TRAINING_CLIENT, PULL, {"first": 1}))["trainableContent"]
        await seal(url, settings)
    return Lost(
        names, later, {query: each["pageInfo"]["endCursor"] for query, each in ((RETRACTIONS, told), (PULL, page))}
    )


async def test_what_was_answered_after_a_backup_holds_after_its_restore(
    database_url: str, empty_database: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    data, backup, made = tmp_path / "data", tmp_path / "backup", {"secret": SECRET.decode(), **folders}
    settings = Settings(data=data, **made)  # type: ignore[arg-type]
    lost = await back_up_and_lose(database_url, settings, backup)
    restore_backup(empty_database, [SECRET], backup)
    with pytest.raises(SettingsError, match="was restored"):
        raise_if_restored(empty_database, SECRET, folders["checkpoints"])
    with pytest.raises(DatabaseError, match="set GROUNDS_JOURNAL"):
        accept_database(settings.model_copy(update={"journal": None}), empty_database)
    set_clock(empty_database, NOW + 2 * HOUR)
    told = accept_database(settings, empty_database)
    assert "1 of account, 1 of content, 1 of hold, 2 of objection, 1 of objection_target" in told
    assert "replayed from the journal: none" in accept_database(settings, empty_database)
    raise_if_restored(empty_database, SECRET, folders["checkpoints"])
    async with open_gateway(empty_database, data, **folders) as gateway:
        await every_client_is_told(gateway, lost)
        # The platform sends everything again: what was new is new, under another id, and what was deleted stays so.
        await gateway.ingest([*facts_of("late"), *facts_of("deleter"), DELETED])
        again = {item["id"] for item in await gateway.pull()}
        assert lost.id not in again
        assert sorted(await gateway.platform_ids(again)) == ["item of late", "item of safe"]
    env = {"DATABASE_URL": empty_database, "GROUNDS_SECRET": SECRET.decode()}
    verified = grounds("verify", data=data, env=env)
    assert verified.returncode == 0, verified.stdout + verified.stderr


async def every_client_is_told(gateway: TestGateway, lost: Lost) -> None:
    """Check what a client is told of the items that it has, of an id that the database lost, and of its cursors."""
    await settled(gateway)
    told = await gateway.ask(Role.TRAINING_CLIENT, RETRACTIONS)
    kinds = {lost.names[row["contentId"]]: row["kind"] for row in told["retractions"]["nodes"]}
    gone = ("item of deleter", "item of minor", "item of objector", "item of withdrawer")
    assert kinds == dict.fromkeys(gone, "RETRACT") | {"item of held": "HOLD"}
    assert [lost.names[item["id"]] for item in await gateway.pull()] == ["item of safe"]
    checked = await gateway.ask(Role.TRAINING_CLIENT, CHECK, {"ids": [lost.id, *lost.names]})
    states = {row["contentId"]: row["state"] for row in checked["checkEligibility"]["items"]}
    assert states[lost.id] == "RETRACTED"
    assert [lost.names[id] for id, state in states.items() if state == "PERMITTED"] == ["item of safe"]
    for query, cursor in lost.cursors.items():
        variables = {"first": 1, "after": cursor} if query is PULL else {"after": cursor}
        (error,) = (await gateway.post(Role.TRAINING_CLIENT, query, variables)).json()["errors"]
        assert (error["extensions"]["code"], "checkEligibility" in error["message"]) == ("CURSOR_LOST", True)


async def test_a_change_that_the_journal_cannot_take_is_stored_and_not_answered(
    database_url: str, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    journal = folders["journal"]

    async def asked(gateway: TestGateway) -> int:
        return (await gateway.post(Role.PRIVACY_OFFICER, FILE, {"account": "author"})).status_code

    async with open_gateway(database_url, tmp_path / "data", **folders) as gateway:
        await gateway.ingest([fact("account")])
        shutil.rmtree(journal)
        answer = await gateway.post(Role.PRIVACY_OFFICER, FILE, {"account": "author"})
        assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
        assert "but not yet in the journal" in answer.text
        assert gateway.execute("SELECT count(*) FROM grounds.objection") == [(1,)]
        headers = {"Authorization": f"Bearer {gateway.token(Role.PLATFORM_INGEST)}"}
        lines = json.dumps(fact("objection", account="author")).encode() + b"\n"
        sent = await gateway.client.post("/ingest", content=lines, headers=headers)
        assert (sent.status_code, "send the stream again" in sent.text) == (503, True)
        refused = "503" if await asked(gateway) == 503 else None
        with monkeypatch.context() as broken:

            async def nothing(self: JournalOfPool) -> None:
                pass

            broken.setattr(JournalOfPool, "write_changes", nothing)
            found = refused if await asked(gateway) == 200 else None
        killed("a build that answers before the journal is written", "the answer 503", found)
        journal.mkdir()
        for _ in range(100):
            if gateway.execute("SELECT count(*) FROM grounds.journal_entry") == [(0,)]:
                break
            await asyncio.sleep(0.1)
    written = [row for table, row in JournalFiles(journal, SECRET).read([SECRET]) if table == "objection"]
    assert len({row["platform_id"] for row in written}) == 4


async def test_a_database_that_keeps_a_journal_is_not_used_without_it(
    database_url: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    async with open_gateway(database_url, tmp_path / "data", **folders):
        pass
    with pytest.raises(DatabaseError, match="keeps a journal"):
        async with open_database(database_url, SECRET):
            pass
    async with open_gateway(database_url, tmp_path / "data", journal="none") as gateway:
        await gateway.ingest([fact("account"), fact("objection", account="author")])
        assert gateway.execute("SELECT count(*) FROM grounds.journal_entry") == [(0,)]
    async with open_database(database_url, SECRET):
        pass


async def test_a_backup_of_another_gateway_or_into_a_database_in_use_is_refused(
    database_url: str, empty_database: str, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    env = {"DATABASE_URL": database_url, "GROUNDS_SECRET": SECRET.decode()}
    assert grounds("backup", backup, data=tmp_path, env=env).returncode == 0
    again = grounds("backup", backup, data=tmp_path, env=env)
    assert (again.returncode, "exists" in again.stderr) == (2, True)
    assert backup.stat().st_mode & 0o777 == 0o600
    full = grounds("restore", backup, data=tmp_path, env=env)
    assert (full.returncode, "is not empty" in full.stderr) == (2, True)
    other = {"DATABASE_URL": empty_database, "GROUNDS_SECRET": "another secret of another gateway"}
    refused = grounds("restore", backup, data=tmp_path, env=other)
    assert (refused.returncode, "another secret" in refused.stderr) == (2, True)
    restored = grounds("restore", backup, data=tmp_path, env=env | {"DATABASE_URL": empty_database})
    assert (restored.returncode, "The database is accepted" in restored.stdout) == (0, True), restored.stderr
    async with open_database(empty_database, SECRET):
        used = grounds("restored", data=tmp_path, env=env | {"DATABASE_URL": empty_database})
    assert (used.returncode, "stop it" in used.stderr) == (2, True)
