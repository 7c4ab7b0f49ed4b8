"""`grounds lake`: facts are exported, decided, delivered and searched, and each wrong input ends with a clear error."""

import fcntl
import gzip
import os
import resource
import shlex
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from app.lakes.commit import HandedOver, commit_lake
from app.lakes.decide import decide_lake
from app.lakes.export import export_lake
from app.lakes.folder import LakeError, open_lake
from app.lakes.verify import search_folder
from db.connection import Database, open_database
from db.policies.activation import activate_policy
from db.policy.document import default_policy
from tests.support.command import KILLED, grounds
from tests.support.documents import block
from tests.support.facts import NOW, fact
from tests.support.gateway import SECRET, TestGateway
from tests.support.lakes import PURPOSE, pa, pq
from tests.support.mutants import Killed
from tests.support.ordinary_cases import ordinary_every
from tests.support.retractions import alter as change
from tests.support.retractions import deliver, retract, settled

CLIENT = "engine"
ITEMS = 12
KILLS = (("_publish", "before"), ("_remove_staged", "before"), ("write_lake_receipts", "after"))


@asynccontextmanager
async def database_of(gateway: TestGateway) -> AsyncIterator[Database]:
    async with open_database(gateway.database_url, SECRET) as database:
        yield database


@pytest.fixture
async def lake(gateway: TestGateway, tmp_path: Path) -> Path:
    """A lake with texts, decided by DuckDB; what is permitted lies in a staging folder beside it."""
    await deliver(gateway, ITEMS, CLIENT)
    await gateway.ingest([fact("content", id="restricted", audience="FRIENDS")])
    await export(gateway, tmp_path / "lake")
    decided = decide_lake(tmp_path / "lake", tmp_path / "decided")
    assert decided.permitted == ITEMS
    stage(tmp_path)
    return tmp_path / "lake"


async def export(gateway: TestGateway, folder: Path, client: str = CLIENT, purpose: str = PURPOSE) -> None:
    async with database_of(gateway) as database:
        await export_lake(database, gateway.database_url, SECRET, folder, client, purpose, with_texts=True)


def stage(folder: Path) -> None:
    (folder / "staging").mkdir()
    table = pq.read_table(folder / "decided" / "permitted.parquet")
    half = table.num_rows // 2
    pq.write_table(table.slice(0, half), folder / "staging" / "a.parquet")
    pq.write_table(table.slice(half), folder / "staging" / "b.parquet")
    (folder / "staging" / "_SUCCESS").touch()


async def commit(gateway: TestGateway, lake: Path) -> HandedOver:
    async with database_of(gateway) as database:
        folders = (lake, lake.with_name("staging"), lake.with_name("target"))
        return await commit_lake(database, gateway.database_url, SECRET, *folders)


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def alter(path: Path) -> None:
    is_manifest = path.name == "manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"rows"', b'"ROWS"') if is_manifest else path.read_bytes() + b" ")


def texts_in(folder: Path) -> list[str]:
    return sorted(text for path in folder.rglob("*.parquet") for text in pq.read_table(path)["text"].to_pylist())


def receipts(gateway: TestGateway) -> list[tuple[Any, ...]]:
    return gateway.execute(
        "SELECT i FROM grounds.delivery d JOIN grounds.client k ON k.id = d.client, grounds.items_of(d) i"
        " WHERE k.name = %s AND d.file_sha256 IS NOT NULL ORDER BY i",
        CLIENT,
    )


async def test_what_an_engine_wrote_is_delivered_with_receipts_and_recalled(gateway: TestGateway, lake: Path) -> None:
    """An item that was restricted since, and one that was edited since, are cut; a later change is a retraction."""
    await retract(gateway, ["item-0"])
    edited = {"edited_at": NOW.isoformat(), "text": "A heron stood by the lake."}
    await gateway.ingest([fact("content", 5, id="item-1", **edited)])
    staged = texts_in(lake.with_name("staging"))
    done = await commit(gateway, lake)
    assert (len(done.files), done.items, len(done.removed)) == (2, ITEMS - 2, 2)
    target = lake.with_name("target")
    assert len(texts_in(target)) == len(staged) - 2
    assert len(receipts(gateway)) == ITEMS - 2
    assert [path.name for path in lake.with_name("staging").iterdir()] == ["_SUCCESS"]
    assert {path.stat().st_mode & 0o777 for path in target.iterdir()} == {0o600}
    await retract(gateway, ["item-5"], day=10)
    await settled(gateway)
    told = gateway.execute(
        "SELECT c.platform_id FROM grounds.retraction r JOIN grounds.client k ON k.id = r.client"
        " JOIN grounds.content c ON c.id = r.item WHERE k.name = %s ORDER BY r.id",
        CLIENT,
    )
    assert ("item-5",) in told


async def test_retracted_ids_are_found_in_every_file(gateway: TestGateway, lake: Path) -> None:
    """Also in a file that no table names, in lines of JSON, in a packed file, and in a column with another name."""
    await commit(gateway, lake)
    target = lake.with_name("target")
    async with database_of(gateway) as database:
        found = await search_folder(database, target, CLIENT, PURPOSE)
        assert (found.files, found.items, found.retracted, found.unreadable) == (2, ITEMS, {}, [])
        ids = [row["id"] for path in sorted(target.rglob("*.parquet")) for row in pq.read_table(path).to_pylist()]
        (target / "lines.ndjson").write_text("".join(f'{{"id": "{id}"}}\n' for id in ids))
        (target / "lines.ndjson.gz").write_bytes(gzip.compress(" ".join(ids).encode()))
        nested = pa.table({"other": pa.array([[{"name": id}] for id in ids])})
        pq.write_table(nested, target / "nested.parquet")
        (target / "packed.zst").write_bytes(b"\x28\xb5\x2f\xfd" + b"0" * 99)
        await retract(gateway, ["item-3"])
        await settled(gateway)
        found = await search_folder(database, target, CLIENT, PURPOSE)
    names = {path.name for path in found.retracted}
    assert {"lines.ndjson", "lines.ndjson.gz", "nested.parquet"} < names
    assert len(names) == 4
    assert {len(items) for items in found.retracted.values()} == {1}
    assert [path.name for path in found.unreadable] == ["packed.zst"]


def kill_commit(gateway: TestGateway, lake: Path, function: str, when: str) -> None:
    """Run `grounds lake commit`, and kill it before or after a function."""
    settings = {"DATABASE_URL": gateway.database_url, "GROUNDS_SECRET": SECRET.decode()}
    folders = ("--staging", lake.with_name("staging"), "--target", lake.with_name("target"))
    build = KILLED.format(module="app.lakes.commit", function=function, when=when)
    told = grounds("lake", "commit", lake, *folders, data=lake.with_name("no data"), env=settings, build=build)
    assert told.returncode == -signal.SIGKILL, told.stderr


async def repeated(gateway: TestGateway, lake: Path) -> None:
    """Hand over what a killed commit left, and check the files."""
    await commit(gateway, lake)
    target = lake.with_name("target")
    assert files_in(target) == ["a.parquet", "b.parquet"]
    assert files_in(lake.with_name("staging")) == ["_SUCCESS"]
    assert len(texts_in(target)) == ITEMS


@pytest.mark.parametrize(("function", "when"), ordinary_every(3, KILLS))
async def test_a_commit_that_is_killed_and_repeated_writes_each_receipt_once(
    gateway: TestGateway, lake: Path, function: str, when: str
) -> None:
    """Before the receipts are committed, after it, and before the staged file is removed."""
    kill_commit(gateway, lake, function, when)
    await repeated(gateway, lake)
    assert len(receipts(gateway)) == ITEMS


async def test_a_commit_that_forgets_the_one_before_is_noticed(
    gateway: TestGateway, lake: Path, killed: Killed
) -> None:
    kill_commit(gateway, lake, "_publish", "before")
    with mock.patch("app.lakes.commit._interrupted_since", return_value=None):
        await repeated(gateway, lake)
    twice = len(receipts(gateway)) - ITEMS
    killed("an interrupted commit is forgotten", "app/lakes/commit.py", f"{twice} more receipts" if twice else None)


async def test_a_file_that_was_recalled_after_its_commit_was_killed_is_receipted_again(
    gateway: TestGateway, lake: Path, killed: Killed
) -> None:
    """An item is recalled and permitted again, so that the same file is delivered after the client deleted the item."""
    kill_commit(gateway, lake, "_publish", "before")
    assert len(receipts(gateway)) == ITEMS // 2
    await retract(gateway, ["item-0"])
    await settled(gateway)
    gateway.execute("UPDATE grounds.client SET acknowledged = (SELECT max(last_id) FROM grounds.retraction_batch)")
    await gateway.ingest([fact("content", 11, id="item-0")])
    gateway.set_clock(NOW + timedelta(days=60))
    with rolled_back(gateway, lake) as other:
        await repeated(gateway, other)
        assert len(receipts(gateway)) == ITEMS + ITEMS // 2
    change(gateway, "write_lake_receipt(bigint, bytea, int, bytea, bigint)", ("AND r.delivery = d.id", "AND FALSE"))
    await repeated(gateway, lake)
    missing = ITEMS + ITEMS // 2 - len(receipts(gateway))
    killed(
        "a recalled receipt stays the only one", "write_lake_receipt()", f"{missing} are missing" if missing else None
    )


@contextmanager
def rolled_back(gateway: TestGateway, lake: Path) -> Iterator[Path]:
    """Yield a copy of a lake and its folders; delete the receipts of what is handed over from there."""
    copy = lake.parent / "copy"
    for name in ("lake", "staging", "target"):
        shutil.copytree(lake.with_name(name), copy / name)
    ((newest,),) = gateway.execute("SELECT max(id) FROM grounds.delivery")
    yield copy / "lake"
    gateway.execute("DELETE FROM grounds.delivery WHERE id > %s", newest)


async def test_two_commits_to_a_folder_at_once_are_refused(gateway: TestGateway, lake: Path) -> None:
    target = lake.with_name("target")
    target.mkdir()
    descriptor = os.open(target, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(LakeError, match="is used by another grounds lake commit"):
            await commit(gateway, lake)
    finally:
        os.close(descriptor)


async def test_a_planted_item_stops_everything_before_anything_is_receipted(gateway: TestGateway, lake: Path) -> None:
    gateway.execute(
        "INSERT INTO grounds.canary (item, reason, planted_by, planted_at)"
        " SELECT c.id, 'A test', 'o', now() FROM grounds.content c WHERE c.platform_id = %s",
        f"item-{ITEMS - 1}",
    )
    with pytest.raises(LakeError, match="a planted item is among the files"):
        await commit(gateway, lake)
    assert receipts(gateway) == []
    assert not lake.with_name("target").exists()
    assert gateway.execute("SELECT scope, lifted_at FROM grounds.hold WHERE authority = 'Grounds'") == [
        ("GLOBAL", None)
    ]
    assert gateway.execute("SELECT count(*) FROM grounds.canary_incident") == [(1,)]
    gateway.execute("UPDATE grounds.canary SET removed_at = now(), removed_by = 'o'")
    with pytest.raises(LakeError, match="because of a hold"):
        await commit(gateway, lake)


async def test_a_commit_is_refused_where_the_rules_or_the_client_have_changed(gateway: TestGateway, lake: Path) -> None:
    gateway.execute("UPDATE grounds.client SET suspended = TRUE")
    with pytest.raises(LakeError, match="the client is suspended"):
        await commit(gateway, lake)
    gateway.execute("UPDATE grounds.client SET suspended = FALSE")
    activate_policy(gateway.database_url, default_policy().model_copy(update={"version": "later"}))
    with pytest.raises(LakeError, match="with a policy that is not in force any more"):
        await commit(gateway, lake)
    assert receipts(gateway) == []


async def test_files_with_other_ids_are_refused(gateway: TestGateway, lake: Path) -> None:
    staging = lake.with_name("staging")
    pq.write_table(pa.table({"id": ["x" * 22, None]}), staging / "c.parquet")
    with pytest.raises(LakeError, match="2 of 2 ids do not belong to this client"):
        await commit(gateway, lake)
    pq.write_table(pa.table({"name": ["x"]}), staging / "c.parquet")
    with pytest.raises(LakeError, match="has no column `id`"):
        await commit(gateway, lake)
    (staging / "c.parquet").rename(staging / "c.csv")
    with pytest.raises(LakeError, match="is not a Parquet file"):
        await commit(gateway, lake)
    assert receipts(gateway) == []


async def test_an_export_that_was_changed_is_refused(lake: Path, tmp_path: Path) -> None:
    """Each file is edited, removed, added and exchanged in turn; and a manifest of another key is not accepted."""
    copied = tmp_path / "copied"
    names = files_in(lake)
    assert any(name.startswith("texts/") for name in names)
    for name in names:
        for edit in (alter, Path.unlink):
            shutil.copytree(lake, copied)
            edit(copied / name)
            with pytest.raises(LakeError, match=r"changed after|is missing|is not a lake") as caught:
                open_lake(copied)
            assert name.rpartition("/")[2] in str(caught.value) or name == "manifest.json"
            shutil.rmtree(copied)
    shutil.copytree(lake, copied)
    shutil.copy(next((copied / "facts").glob("content-*")), copied / "facts" / "content-00009.parquet")
    with pytest.raises(LakeError, match="is not part of the export"):
        open_lake(copied)
    with pytest.raises(LakeError, match="was exported by another gateway"):
        open_lake(lake, "00" * 32)
    with pytest.raises(LakeError, match="is not a lake"):
        open_lake(tmp_path)
    with pytest.raises(LakeError, match="is not an empty folder"):
        decide_lake(lake, lake)


async def test_an_export_is_refused_for_an_unknown_client_or_purpose(gateway: TestGateway, tmp_path: Path) -> None:
    await deliver(gateway, 1, CLIENT)
    with pytest.raises(LakeError, match="there is no training client other"):
        await export(gateway, tmp_path / "lake", "other")
    with pytest.raises(LakeError, match="the policy in force does not have OTHER"):
        await export(gateway, tmp_path / "lake", purpose="OTHER")
    assert files_in(tmp_path) == []


async def test_a_full_disk_leaves_nothing(gateway: TestGateway, lake: Path, tmp_path: Path) -> None:
    before = files_in(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            await export(gateway, tmp_path / "second")
        with pytest.raises(LakeError, match="cannot be written"):
            decide_lake(lake, tmp_path / "third")
        with pytest.raises(LakeError, match="cannot be written"):
            await commit(gateway, lake)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert files_in(tmp_path) == before
    assert receipts(gateway) == []
    assert (await commit(gateway, lake)).items == ITEMS


async def test_an_engine_that_permits_more_than_the_database_is_noticed(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    """The broken build: the statement permits what the database did not."""
    from db.lake.compile import LakeCompiler

    whole = LakeCompiler.statement
    shutil.rmtree(tmp_path / "decided")

    def permits_all(self: LakeCompiler) -> str:
        return whole(self).replace("END, FALSE) AS permitted", "END, TRUE) OR TRUE AS permitted")

    monkeypatch.setattr(LakeCompiler, "statement", permits_all)
    with pytest.raises(LakeError, match="permitted by DuckDB and not by the database") as caught:
        decide_lake(lake, tmp_path / "decided")
    killed("an engine that permits everything", "the compiled statement", str(caught.value))


async def test_the_commands_of_the_readme_run_in_their_order(gateway: TestGateway, tmp_path: Path) -> None:
    names = await deliver(gateway, ITEMS, CLIENT)
    exported, decided, compiled, committed, searched = [
        shlex.split(line)[4:] for line in block("app/lakes/README.md", "lake commands").splitlines()
    ]

    def run(arguments: list[str], code: int = 0) -> str:
        settings = {"DATABASE_URL": gateway.database_url, "GROUNDS_SECRET": SECRET.decode()}
        told = grounds(*arguments, data=tmp_path / "no data", cwd=tmp_path, env=settings)
        assert told.returncode == code, told.stderr
        return told.stdout + told.stderr

    assert f"{ITEMS} rows of content" in run(exported)
    assert run(decided) == f"decided: {ITEMS} items decided, {ITEMS} permitted\n"
    assert run(compiled).startswith("WITH RECURSIVE named_parents AS (")
    stage(tmp_path)
    assert run(committed).startswith(f"target: 2 files with {ITEMS} items; 0 items were left out")
    assert run(searched) == f"2 files with {ITEMS} items were searched.\n"
    await retract(gateway, names[:1])
    await settled(gateway)
    assert "1 items must be deleted" in run(searched, 4)
    read = gateway.execute("SELECT reader, fields, reason FROM grounds.staff_read")
    assert read == [("command line", ["lakeExport"], "facts of all items, for the client engine")]
    assert "is not a lake" in run(["lake", "decide", "target", "--output", "new"], 2)
    assert "has no Parquet files" in run(committed, 2)
