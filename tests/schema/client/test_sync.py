"""The client keeps a folder up to date through kills, broken connections and retractions, and verifies the folder."""

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import grounds_client.sync
from grounds_client import Client
from grounds_client.folder import SyncError, file_digest
from grounds_client.reader import GatewayReader
from grounds_client.verify import verify_folder
from schema.actor import Role
from tests.support.documents import block
from tests.support.facts import NOW
from tests.support.gateway import TestGateway
from tests.support.mutants import Killed
from tests.support.releases import pq
from tests.support.retractions import deliver, retract, settled
from tests.support.shared_server import SharedServer

pytestmark = pytest.mark.database

RECALLED = 100
COMMAND = "from grounds_client.cli import main; raise SystemExit(main())"


@pytest.fixture
async def gateway(shared_server: SharedServer) -> AsyncIterator[TestGateway]:
    """A gateway whose files have a few items each."""
    async with shared_server.gateway(release_items=40) as gateway:
        yield gateway


def client_of(gateway: TestGateway, url: str | None = None) -> Client:
    return Client(url or gateway.address, lambda: gateway.token(Role.TRAINING_CLIENT), patience=60)


async def sync(gateway: TestGateway, folder: Path, url: str | None = None) -> grounds_client.sync.SyncedRelease:
    with client_of(gateway, url) as client:
        return await asyncio.to_thread(client.sync, folder, "corpus")


async def permitted(gateway: TestGateway) -> list[str]:
    """List the ids of the items that are permitted now."""
    return sorted(item["id"] for item in await gateway.pull(1000))


def held_ids(folder: Path) -> list[str]:
    """List the ids in every Parquet file of a folder."""
    files = [path for path in folder.rglob("*") if path.suffix == ".parquet"]
    return sorted(id for path in files for id in pq.read_table(path)["id"].to_pylist())


async def killed_syncs(gateway: TestGateway, folder: Path, times: int) -> None:
    """Run `grounds-client sync`, kill it at random so many times, and let it end once."""
    chance = random.Random(times)
    given = {"GROUNDS_TOKEN": gateway.token(Role.TRAINING_CLIENT)}
    asked = ["sync", str(folder), "--url", gateway.address, "--release", "corpus"]
    for kills in range(times + 1):
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", COMMAND, *asked, env=os.environ | given)
        if kills < times:
            try:
                await asyncio.wait_for(process.wait(), chance.uniform(0.3, 2))
            except TimeoutError:
                process.send_signal(signal.SIGKILL)
        await process.wait()
    assert process.returncode == 0


@pytest.mark.ci
async def test_a_sync_that_is_killed_loses_no_row_and_leaves_none_that_was_recalled(
    gateway: TestGateway, tmp_path: Path
) -> None:
    names, folder = await deliver(gateway, 3 * RECALLED), tmp_path / "corpus"
    await killed_syncs(gateway, folder, 4)
    before = await permitted(gateway)
    assert held_ids(folder) == before
    assert len(before) == len(names)
    await retract(gateway, random.Random(1).sample(names, RECALLED))
    await settled(gateway)
    await killed_syncs(gateway, folder, 3)
    left = await permitted(gateway)
    assert held_ids(folder) == left
    assert len(left) == len(names) - RECALLED
    for path in (path for path in folder.rglob("*") if path.is_file()):
        assert path.suffix in (".parquet", ".json", ".md"), f"{path} is left over"
        assert not any(id.encode() in path.read_bytes() for id in set(before) - set(left))
    assert (await gateway.ask(Role.PRIVACY_OFFICER, "{ clients { unacknowledged } }"))["clients"] == [
        {"unacknowledged": 0}
    ]
    with client_of(gateway) as client:
        assert await asyncio.to_thread(verify_folder, folder, client) == []


async def test_the_five_lines_of_the_readme_keep_a_folder(gateway: TestGateway, tmp_path: Path) -> None:
    await deliver(gateway, 3)
    program = block("schema/README.md", "sync")
    assert len(program.splitlines()) <= 5
    given = {"GATEWAY": gateway.address, "TOKEN": gateway.token(Role.TRAINING_CLIENT)}
    for _ in range(2):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program), env=os.environ | given, cwd=tmp_path
        )
        assert await process.wait() == 0
    assert held_ids(tmp_path / "corpus") == await permitted(gateway)


@asynccontextmanager
async def broken_connections(gateway: TestGateway) -> AsyncIterator[str]:
    """Serve a gateway through connections that break after some bytes, each later than the one before."""
    host, _, port = gateway.address.removeprefix("http://").partition(":")
    count = 0

    async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter, room: int) -> None:
        """Carry bytes one way, until the connection breaks."""
        try:
            while room > 0 and (block := await source.read(min(room, 2000))):
                target.write(block)
                await target.drain()
                room -= len(block)
        except ConnectionError:
            pass
        finally:
            target.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect a client with the gateway."""
        nonlocal count
        count += 1
        inner_reader, inner_writer = await asyncio.open_connection(host, int(port))
        ways = carry(reader, inner_writer, 10**9), carry(inner_reader, writer, 1500 * count)
        await asyncio.gather(*ways)

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    assert count > 3


async def test_a_sync_through_connections_that_break_ends_with_whole_files(
    gateway: TestGateway, tmp_path: Path
) -> None:
    await deliver(gateway, 90)
    async with broken_connections(gateway) as url:
        synced = await sync(gateway, tmp_path / "corpus", url)
    assert (synced.version, synced.items, len(synced.files)) == ("1.0.0", 90, 3)
    assert held_ids(tmp_path / "corpus") == await permitted(gateway)


async def test_a_file_that_is_not_requested_again_is_noticed(
    gateway: TestGateway, tmp_path: Path, killed: Killed, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = await deliver(gateway, 3)
    await sync(gateway, tmp_path / "corpus")
    await retract(gateway, names[:1])
    await settled(gateway)
    whole = grounds_client.sync._get_file

    def lazy(client: GatewayReader, folder: Path, state: Any, name: str) -> str:
        path = folder / name
        return file_digest(path) if path.exists() else whole(client, folder, state, name)

    with monkeypatch.context() as broken:
        broken.setattr(grounds_client.sync, "_get_file", lazy)
        await sync(gateway, tmp_path / "corpus")
    missed = set(held_ids(tmp_path / "corpus")) - set(await permitted(gateway))
    with client_of(gateway) as client:
        faults = await asyncio.to_thread(verify_folder, tmp_path / "corpus", client)
    killed("a file that is there is not requested again", "sync._get_file()", faults[0] if missed and faults else None)
    await sync(gateway, tmp_path / "corpus")
    assert held_ids(tmp_path / "corpus") == await permitted(gateway)


async def test_overdue_retractions_are_applied_although_nothing_is_delivered(
    gateway: TestGateway, tmp_path: Path
) -> None:
    names = await deliver(gateway, 3)
    await sync(gateway, tmp_path / "corpus")
    await retract(gateway, names[:1])
    await settled(gateway)
    gateway.set_clock(NOW + timedelta(hours=30))
    synced = await sync(gateway, tmp_path / "corpus")
    assert (synced.retractions, synced.items) == (1, 2)
    assert held_ids(tmp_path / "corpus") == await permitted(gateway)


def spoil(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


def edit_manifest(path: Path) -> None:
    manifest = json.loads(path.read_bytes())
    manifest["shards"][0]["items"] += 1
    path.write_text(json.dumps(manifest), encoding="utf-8")


def add_row(path: Path) -> None:
    """Add a row that was never receipted, and let the manifest name the file as it is then."""
    shard = path.parent / "data/train-00000.parquet"
    table = pq.read_table(shard)
    row = table.slice(0, 1)
    import pyarrow

    pq.write_table(pyarrow.concat_tables([table, row]), shard)
    manifest = json.loads(path.read_bytes())
    manifest["shards"][0] |= {"items": table.num_rows + 1, "sha256": file_digest(shard)}
    path.write_text(json.dumps(manifest), encoding="utf-8")


TAMPERING: list[tuple[str, Callable[[Path], Any], str]] = [
    ("data/train-00000.parquet", spoil, "its digest differs"),
    ("data/train-00000.parquet", Path.unlink, "data/train-00000.parquet: is missing"),
    ("data/more.parquet", Path.touch, "data/more.parquet: is not a file of the gateway"),
    ("manifest.json", edit_manifest, "manifest.json: does not match"),
    ("manifest.json", add_row, "manifest.json: does not match"),
    ("manifest.json", Path.unlink, "manifest.json: is missing"),
]


async def test_a_folder_that_was_tampered_with_is_noticed_and_repaired(gateway: TestGateway, tmp_path: Path) -> None:
    await deliver(gateway, 3)
    folder = tmp_path / "corpus"
    await sync(gateway, folder)
    for name, tamper, said in TAMPERING:
        assert verify_folder(folder) == []
        tamper(folder / name)
        (fault,) = verify_folder(folder)
        assert said in fault
        await sync(gateway, folder)


async def test_a_folder_with_something_else_is_refused(gateway: TestGateway, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(SyncError, match="choose an empty folder"):
        await sync(gateway, tmp_path)
    with pytest.raises(SyncError, match="choose an empty folder"):
        verify_folder(tmp_path)
    await deliver(gateway, 1)
    await sync(gateway, tmp_path / "corpus")
    with client_of(gateway) as client, pytest.raises(SyncError, match="contains the release corpus"):
        await asyncio.to_thread(client.sync, tmp_path / "corpus", "another")
