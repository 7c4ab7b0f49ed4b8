"""Folders by pages, and what a folder of the client refuses: another filter, another sync, a hostile manifest."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import grounds_client.pages
from grounds_client import Client, GatewayError
from grounds_client.folder import SyncError, locked_folder, shards_of
from grounds_client.loaders import to_datasets, to_pandas, to_polars
from grounds_client.pages import SyncedItems
from schema.actor import Role
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import TestGateway
from tests.support.mutants import Killed
from tests.support.older_gateway import earlier_schema, gateway_before
from tests.support.releases import pq
from tests.support.retractions import deliver, retract, settled, supersede
from tests.support.shared_server import SharedServer

ITEMS, ITEMS_PER_FILE = 30, 7
OPEN_HOLD = (
    "INSERT INTO grounds.hold (scope, authority, reason, opened_at)"
    " VALUES ('GLOBAL', 'An authority', 'A reason', grounds.decision_time())"
)
FORMATS = ("ndjson", "parquet")
SHARD = {"path": "data/train-00000.parquet", "sha256": "0" * 64, "items": 1, "receipt": "r"}
OUTSIDE = (
    *("../escaped.parquet", "/tmp/escaped.parquet", "data/../../escaped.parquet", "data/a/b.parquet", "grounds.json"),
    *("data\\..\\escaped.parquet", "data/.hidden.parquet", "", "data/x.parquet\n", "data/x.parquet\x00", 5, None),
)


@pytest.fixture
async def gateway(shared_server: SharedServer) -> AsyncIterator[TestGateway]:
    """A gateway whose files have a few items each."""
    async with shared_server.gateway(release_items=40) as gateway:
        yield gateway


class InterruptedClient(Client):
    """A client that is interrupted at its n-th request."""

    requests_left = 10**9

    def execute(self, query: str, **variables: Any) -> dict[str, Any]:
        self.requests_left -= 1
        if self.requests_left < 0:
            raise KeyboardInterrupt
        return super().execute(query, **variables)

    def pages_of_items(self, filter: Any, after: str | None = None, *, page_size: int = 1000, order: str = "ID") -> Any:
        return super().pages_of_items(filter, after, page_size=5, order=order)


def client_of(gateway: TestGateway, url: str | None = None) -> InterruptedClient:
    return InterruptedClient(url or gateway.address, lambda: gateway.token(Role.TRAINING_CLIENT), patience=60)


async def sync_items(
    gateway: TestGateway, folder: Path, format: str = "ndjson", *, requests: int = 10**9, **filter: Any
) -> SyncedItems:
    with client_of(gateway) as client:
        client.requests_left = requests
        asked: dict[str, Any] = {"format": format, "items_per_file": ITEMS_PER_FILE, **filter}
        return await asyncio.to_thread(lambda: client.sync_items(folder, **asked))


def rows_in(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for path in sorted((folder / "data").iterdir()):
        is_parquet = path.suffix == ".parquet"
        found += pq.read_table(path).to_pylist() if is_parquet else map(json.loads, path.read_bytes().splitlines())
    return found


async def permitted(gateway: TestGateway) -> list[str]:
    return sorted(item["id"] for item in await gateway.pull(1000))


@pytest.mark.parametrize("format", FORMATS)
async def test_a_folder_by_pages_has_what_is_permitted_and_nothing_that_was_retracted(
    gateway: TestGateway, tmp_path: Path, format: str
) -> None:
    names, folder = await deliver(gateway, ITEMS), tmp_path / "pages"
    synced = await sync_items(gateway, folder, format)
    assert (synced.items, synced.new_items, len(synced.files)) == (ITEMS, ITEMS, 3)
    before = await permitted(gateway)
    assert sorted(row["id"] for row in rows_in(folder)) == before
    await retract(gateway, names[:11])
    await supersede(gateway, names[11:13])
    await settled(gateway)
    synced = await sync_items(gateway, folder, format)
    after = await permitted(gateway)
    assert synced.retractions == 13
    assert sorted(row["id"] for row in rows_in(folder)) == after == sorted(set(before) & set(after))
    assert "A heron stood by the lake." in {row["text"] for row in rows_in(folder)} or len(after) == ITEMS - 13
    for path in (path for path in folder.rglob("*") if path.is_file()):
        assert not any(id.encode() in path.read_bytes() for id in set(before) - set(after))
    told = await gateway.ask(Role.PRIVACY_OFFICER, "{ clients { unacknowledged } }")
    assert told["clients"] == [{"unacknowledged": 0}]
    assert (await sync_items(gateway, folder, format)).new_items == 0


async def test_a_folder_in_the_order_of_availability_reads_only_what_is_new(
    shared_server: SharedServer, tmp_path: Path
) -> None:
    async with shared_server.gateway(offers=True) as gateway:
        names, folder = await deliver(gateway, ITEMS), tmp_path / "pages"
        with client_of(gateway) as client:

            async def sync() -> SyncedItems:
                await gateway.settle()
                return await asyncio.to_thread(lambda: client.sync_items(folder, order="AVAILABILITY"))

            assert (await sync()).new_items == ITEMS
            before = client.requests_left
            assert (await sync()).new_items == 0
            assert before - client.requests_left < ITEMS / 5, "not all pages are read again"
            await retract(gateway, names[:3])
            await gateway.ingest([fact("content", id="late", account="late")])
            await gateway.ingest([fact("account", id="late"), fact("notice", id="late", account="late")])
            await settled(gateway)
            synced = await sync()
            assert (synced.new_items, synced.items) == (1, ITEMS - 2)
            assert sorted(row["id"] for row in rows_in(folder)) == await permitted(gateway)
            with pytest.raises(SyncError, match="is read in the order AVAILABILITY"):
                await asyncio.to_thread(lambda: client.sync_items(folder))


async def test_a_folder_in_the_order_of_availability_has_the_items_of_a_hold_that_ended(
    shared_server: SharedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    async with shared_server.gateway(offers=True) as gateway:
        await deliver(gateway, 3)
        with client_of(gateway) as client:

            async def sync(name: str) -> int:
                await settled(gateway)
                await gateway.settle()
                folder = tmp_path / name
                return (await asyncio.to_thread(lambda: client.sync_items(folder, order="AVAILABILITY"))).items

            async def sync_over_a_hold(name: str, day: int) -> list[int]:
                items = [await sync(name)]
                gateway.execute(OPEN_HOLD)
                items.append(await sync(name))
                gateway.execute("UPDATE grounds.hold SET lifted_at = grounds.decision_time()")
                gateway.set_clock(NOW + day * DAY)
                return [*items, await sync(name)]

            assert await sync_over_a_hold("mended", 2) == [3, 0, 3]
            monkeypatch.setattr(grounds_client.pages, "_BACK", "")
            items = await sync_over_a_hold("broken", 4)
            killed("a hold that ended is passed over", "_apply_retractions()", "missed" if items != [3, 0, 3] else None)


async def test_a_sync_by_pages_that_is_interrupted_at_any_request_loses_and_repeats_nothing(
    gateway: TestGateway, tmp_path: Path
) -> None:
    names, folder = await deliver(gateway, ITEMS), tmp_path / "pages"
    for requests in range(12):
        if requests == 6:
            await retract(gateway, names[:4])
            await settled(gateway)
        try:
            await sync_items(gateway, folder, requests=requests)
        except KeyboardInterrupt:
            (folder / "data").mkdir(exist_ok=True)
            (folder / "data" / f"items-{requests + 90:05}.ndjson").write_text("{}")  # a file without its state
    await sync_items(gateway, folder)
    assert sorted(row["id"] for row in rows_in(folder)) == await permitted(gateway)


async def test_a_folder_refuses_another_filter_format_kind_and_sync(gateway: TestGateway, tmp_path: Path) -> None:
    await deliver(gateway, 2)
    pages, corpus = tmp_path / "pages", tmp_path / "corpus"
    await sync_items(gateway, pages, kinds=["POST"])
    await sync_items(gateway, pages)
    with client_of(gateway) as client:

        async def refused(words: str, sync: Any, *given: Any, **filter: Any) -> None:
            with pytest.raises(SyncError, match=words):
                await asyncio.to_thread(lambda: sync(*given, **filter))

        await refused("was started with", client.sync_items, pages, kinds=["PHOTO"])
        await refused("contains ndjson files", client.sync_items, pages, format="parquet")
        await refused("pass ndjson or parquet", client.sync_items, pages, format="csv")
        await refused("were read page by page", client.sync, pages, "corpus")
        await asyncio.to_thread(client.sync, corpus, "corpus", products=["FACEBOOK"])
        await asyncio.to_thread(client.sync, corpus, "corpus")
        await refused("was started with", client.sync, corpus, "corpus", products=["INSTAGRAM"])
        await refused("exists with the filter", client.sync, tmp_path / "new", "corpus", products=["INSTAGRAM"])
        await refused("contains the release corpus", client.sync_items, corpus)
        with locked_folder(corpus):
            await refused("another sync uses this folder", client.sync, corpus, "corpus")
        with locked_folder(pages):
            await refused("another sync uses this folder", client.sync_items, pages)
        await asyncio.to_thread(client.sync, corpus, "corpus")


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_manifest_that_names_a_file_outside_the_folder_is_refused(path: object) -> None:
    with pytest.raises(SyncError):
        shards_of({"shards": [SHARD | {"path": path}], "items": 1, "version": "1.0.0"})


def test_a_manifest_that_is_none_is_refused() -> None:
    sound = {"shards": [SHARD], "items": 1, "version": "1.0.0"}
    assert shards_of(sound) == [SHARD]
    wrong: list[Any] = [None, [], {}, sound | {"shards": 5}, sound | {"shards": [SHARD, SHARD]}, sound | {"items": "1"}]
    wrong += [sound | {"shards": [{**SHARD, name: value}]} for name, value in (("sha256", "x"), ("items", None))]
    for manifest in wrong:
        with pytest.raises(SyncError, match="is not the manifest of a release"):
            shards_of(manifest)


async def test_a_hostile_gateway_changes_nothing_outside_the_folder(
    gateway: TestGateway, tmp_path: Path, killed: Killed
) -> None:
    """Its manifest names files elsewhere; or the folder of data is a link to files that are not the client's."""
    await deliver(gateway, 2)
    others = tmp_path / "others"
    others.mkdir()
    (others / "own.parquet").write_text("mine")

    def hostile(path: str, content: bytes) -> bytes:
        return content.replace(b'"data/train-00000.parquet"', b'"../others/own.parquet"')

    with (
        gateway_before(gateway.address, change=hostile) as url,
        client_of(gateway, url) as client,
        pytest.raises(SyncError, match="a release cannot contain such a file") as caught,
    ):
        await asyncio.to_thread(client.sync, tmp_path / "corpus", "corpus")
    killed("a manifest that names ../others/own.parquet", "the gateway's answer", str(caught.value))
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "grounds.json").write_bytes((tmp_path / "corpus" / "grounds.json").read_bytes())
    (tmp_path / "linked" / "data").symlink_to(others)
    with client_of(gateway) as client, pytest.raises(SyncError, match="is a link to another folder"):
        await asyncio.to_thread(client.sync, tmp_path / "linked", "corpus")
    assert [path.read_text() for path in others.iterdir()] == ["mine"]


async def test_a_file_whose_digest_is_never_right_ends_the_sync(gateway: TestGateway, tmp_path: Path) -> None:
    """The file in the folder stays as it was, and no part of the wrong one is left."""
    await deliver(gateway, 2)
    requested = []

    def wrong(path: str, content: bytes) -> bytes:
        if not path.endswith(".parquet"):
            return content
        requested.append(path)
        return content[:-1] + b"?"

    with (
        gateway_before(gateway.address, change=wrong) as url,
        client_of(gateway, url) as client,
        pytest.raises(SyncError, match="does not have the digest that the gateway states"),
    ):
        await asyncio.to_thread(client.sync, tmp_path / "corpus", "corpus")
    assert len(requested) == 3
    assert [*(tmp_path / "corpus" / "data").iterdir()] == []


async def test_a_gateway_one_version_older_is_read_without_the_fields_that_it_lacks(
    gateway: TestGateway, tmp_path: Path
) -> None:
    names = await deliver(gateway, 3)
    schema = earlier_schema("TrainableContent.language", "QualifyingReason.receipt", "Retraction.dueBy")
    with gateway_before(gateway.address, schema) as url, client_of(gateway, url) as client:
        items = await asyncio.to_thread(lambda: [*client.trainable_content()])
        assert [(item.language, item.receipt) for item in items] == [(None, None)] * 3
        assert {item.ground for item in items} == {"PUBLIC_CONTENT"}
        await asyncio.to_thread(client.sync_items, tmp_path / "pages")
        await retract(gateway, names[:1])
        await settled(gateway)
        synced = await asyncio.to_thread(client.sync_items, tmp_path / "pages")
        assert (synced.items, synced.retractions) == (2, 1)
    needed = earlier_schema("TrainableContent.text")
    with (
        gateway_before(gateway.address, needed) as url,
        client_of(gateway, url) as client,
        pytest.raises(GatewayError, match=r"has no field TrainableContent\.text"),
    ):
        await asyncio.to_thread(lambda: [*client.trainable_content()])


@pytest.mark.long
@pytest.mark.parametrize("format", FORMATS)
async def test_the_folder_is_opened_by_the_libraries_for_training_data(
    gateway: TestGateway, tmp_path: Path, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Needs ./run --with release,long pytest."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    await deliver(gateway, ITEMS)
    await sync_items(gateway, tmp_path / "pages", format)
    with client_of(gateway) as client:
        await asyncio.to_thread(client.sync, tmp_path / "corpus", "corpus")
    expected = await permitted(gateway)
    for folder in (tmp_path / "pages", tmp_path / "corpus"):
        assert sorted(to_polars(folder)["id"].to_list()) == expected
        assert sorted(to_pandas(folder)["id"]) == expected
        assert sorted(to_datasets(folder)["id"]) == expected
    with pytest.raises(SyncError, match="has no items"):
        to_polars(tmp_path)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_mlcroissant_validates_and_reads_the_croissant_file_of_a_release(
    gateway: TestGateway, tmp_path: Path, killed: Killed
) -> None:
    """Needs ./run --with release,long pytest. It must notice a broken description too, or this proves nothing."""
    await deliver(gateway, ITEMS)
    with client_of(gateway) as client:
        await asyncio.to_thread(client.sync, tmp_path / "corpus", "corpus")
    path = tmp_path / "corpus" / "croissant.json"
    found, records = await asyncio.to_thread(read_croissant, path)
    assert found == []
    assert sorted(record["items/id"].decode() for record in records) == await permitted(gateway)
    assert {record["items/text"].decode() for record in records} == {
        row["text"] for row in to_polars(path.parent).to_dicts()
    }
    whole = path.read_text()
    for name, old, new in (
        ("a column that is not there", '"column": "text"', '"column": "texts"'),
        ("a data type that does not exist", '"sc:Text"', '"sc:Texts"'),
        ("the registered name of Parquet", "application/x-parquet", "application/vnd.apache.parquet"),
    ):
        assert old in whole, name
        path.write_text(whole.replace(old, new))
        found, _ = await asyncio.to_thread(read_croissant, path)
        killed(name, "croissant.json", found[0][:80] if found else None)


def read_croissant(path: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """Validate a description, and read what it describes; return the errors and warnings, and the records."""
    mlcroissant = pytest.importorskip("mlcroissant", reason="./run --with release,long pytest")
    try:
        dataset = mlcroissant.Dataset(jsonld=path)
        issues = dataset.metadata.ctx.issues
        return [*map(str, issues.errors), *map(str, issues.warnings)], [*dataset.records("items")]
    except Exception as error:  # it raises many kinds of its own
        return [f"{type(error).__name__}: {error}".strip()], []
