"""A server that is killed at any moment of a release leaves no half of a file, and receipts for all that was sent."""

import asyncio
import hashlib
import json
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import psycopg
import pytest

from app.auth.dev_issuer import DevelopmentIssuer
from db.policies.activation import activate_policy
from db.policy.document import default_policy
from schema.actor import Role
from schema.relay.ids import IdKind, ids_of
from tests.support.command import KILLED, Serving, serving
from tests.support.facts import NOW, fact
from tests.support.gateway import SECRET, set_clock
from tests.support.releases import rows_of

pytestmark = pytest.mark.long

PEOPLE = 12


@dataclass
class Served:
    """What a client got: the ids of all items, and the digest of each file."""

    ids: set[str] = field(default_factory=set)
    digests: set[str] = field(default_factory=set)


Change = Callable[[Serving, DevelopmentIssuer, str], Awaitable[None]]
NAMED = "SELECT file FROM grounds.release_shard WHERE file IS NOT NULL"
OBJECT = 'mutation { fileObjection(input: {account: "person 0", scope: ALL}) { reference } }'
HOLD = 'mutation { openHold(scope: ACCOUNT, value: "person 2", authority: "An authority", reason: "An order") { id } }'


async def file_objection(server: Serving, issuer: DevelopmentIssuer, _: str) -> None:
    async with session(server, issuer, Role.PRIVACY_OFFICER) as client:
        await client.post("/graphql", json={"query": OBJECT})


async def change_everything(server: Serving, issuer: DevelopmentIssuer, database_url: str) -> None:
    """Let a person object, another delete an item, an officer hold a third one's items, and the policy change."""
    await file_objection(server, issuer, database_url)
    deleted = fact("content", 9, id="of person 1", account="person 1", deleted_at="2026-01-09T00:00:00Z")
    async with session(server, issuer, Role.PLATFORM_INGEST) as client:
        await client.post("/ingest", content=_line(deleted) + b"\n")
    async with session(server, issuer, Role.PRIVACY_OFFICER) as client:
        assert "errors" not in (await client.post("/graphql", json={"query": HOLD})).json()
    policy = default_policy()
    await asyncio.to_thread(activate_policy, database_url, policy.model_copy(update={"version": "2026-06-01"}))


CHANGES = (file_objection, change_everything)
# Where the server is killed: a function, and whether before or after it is done.
POINTS = [
    ("app.releases.writer", "announce_shard", "after"),
    ("app.releases.parquet", "ShardWriter.close", "after"),
    ("app.releases.files", "NewFile.finish", "before"),
    ("app.releases.files", "NewFile.finish", "after"),
    ("app.releases.writer", "store_shard", "before"),
    ("app.releases.writer", "store_shard", "after"),
    ("app.releases.download", "open_shard", "after"),
    ("app.releases.download", "hand_out_shard", "before"),
    ("app.releases.download", "hand_out_shard", "after"),
    ("app.releases.download", "_answer", "before"),
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("module", "function", "when"), POINTS)
async def test_a_killed_server_leaves_whole_files_and_their_receipts(
    database_url: str, tmp_path: Path, module: str, function: str, when: str, change: Change
) -> None:
    """Beside an objection alone, or beside an objection, a deletion, a hold and another policy."""
    given = {"DATABASE_URL": database_url, "GROUNDS_SECRET": SECRET.decode(), "GROUNDS_RELEASE_ITEMS": "5"}
    broken = KILLED.format(module=module, function=function, when=when)
    issuer = DevelopmentIssuer.open(tmp_path)
    with serving(tmp_path, tmp_path / "first", env=given) as server:
        set_clock(database_url, NOW)
        await load_items(server, issuer, Role.PLATFORM_INGEST)
        id = await begin(server, issuer)
        if "download" in module:
            await complete(server, issuer, id)
        server.process.terminate()
        server.process.wait(30)
    with psycopg.connect(database_url, autocommit=True) as connection:
        if "download" not in module:
            connection.execute("UPDATE grounds.release_shard SET state = 'PLANNED'")
    with serving(tmp_path, tmp_path / "second", env=given, build=broken) as server:
        await change_and_get(server, issuer, id, partial(change, server, issuer, database_url))
        assert server.process.wait(60) == -signal.SIGKILL
    with serving(tmp_path, tmp_path / "third", env=given) as server:
        await change(server, issuer, database_url)  # again: the server may have been killed before
        await complete(server, issuer, id)
        served = await get_all(server, issuer, id)
        folder = tmp_path / "releases"
        for _ in range(900):  # a job removes what is left over, every minute
            with psycopg.connect(database_url) as connection:
                files = {
                    f for (f,) in connection.execute("SELECT file FROM grounds.release_shard WHERE file IS NOT NULL")
                }
            if {path.name for path in folder.iterdir()} == files:
                break
            await asyncio.sleep(0.1)
    assert {path.name for path in folder.iterdir()} == files
    check_files(database_url, folder, files, served, 1 if change is file_objection else 3)


def check_files(database_url: str, folder: Path, files: set[str], served: Served, excluded: int) -> None:
    with psycopg.connect(database_url) as connection:
        named = "SELECT sha256 FROM grounds.release_shard WHERE file IS NOT NULL"
        digests = {bytes(sha).hex() for (sha,) in connection.execute(named)}
        handed_out = {bytes(sha).hex() for (sha,) in connection.execute("SELECT file_sha256 FROM grounds.delivery")}
        receipts = {i for (i,) in connection.execute("SELECT i FROM grounds.delivery d, grounds.items_of(d) i")}
        permitted = {
            i
            for (i,) in connection.execute(
                "SELECT id FROM grounds.content WHERE platform_id LIKE 'of %%' AND platform_id <> ALL (%s)",
                [[f"of person {number}" for number in range(excluded)]],
            )
        }
    assert {hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files} == digests
    names = ids_of(SECRET, "client:client")
    assert served.digests <= handed_out
    assert served.ids == set(names.encode_all(IdKind.TRAINABLE_CONTENT, sorted(permitted)))
    assert served.ids <= set(names.encode_all(IdKind.TRAINABLE_CONTENT, sorted(receipts)))


async def load_items(server: Serving, issuer: DevelopmentIssuer, role: Role) -> None:
    """Load the facts of some people with an item each."""
    people = [f"person {n}" for n in range(PEOPLE)]
    records = [
        *(fact("account", id=name) for name in people),
        *(fact("notice", id=f"to {name}", account=name) for name in people),
        *(fact("content", id=f"of {name}", account=name) for name in people),
    ]
    async with session(server, issuer, role) as client:
        response = await client.post("/ingest", content=b"\n".join(map(_line, records)) + b"\n")
        assert response.json()["total"]["accepted"] == 3 * PEOPLE, response.text


def _line(record: object) -> bytes:
    return json.dumps(record).encode()


def session(server: Serving, issuer: DevelopmentIssuer, role: Role = Role.TRAINING_CLIENT) -> httpx.AsyncClient:
    of_client = role is Role.TRAINING_CLIENT
    token = issuer.token(role, client="client", purpose="GENAI_TRAINING") if of_client else issuer.token(role)
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(base_url=server.address, headers=headers, timeout=60)


async def begin(server: Serving, issuer: DevelopmentIssuer) -> str:
    async with session(server, issuer) as client:
        query = 'mutation { startRelease(name: "2026-06") { id } }'
        answer = (await client.post("/graphql", json={"query": query})).json()
    id: str = answer["data"]["startRelease"]["id"]
    return id


async def complete(server: Serving, issuer: DevelopmentIssuer, id: str) -> None:
    query = "query S($id: ID!) { release(id: $id) { state } }"
    async with session(server, issuer) as client:
        for _ in range(400):
            answer = (await client.post("/graphql", json={"query": query, "variables": {"id": id}})).json()
            if answer["data"]["release"]["state"] == "COMPLETE":
                return
            await asyncio.sleep(0.1)
    raise AssertionError("the release is not complete")


async def change_and_get(
    server: Serving, issuer: DevelopmentIssuer, id: str, change: Callable[[], Awaitable[None]]
) -> None:
    """Make changes, and ask for files; the server is killed meanwhile."""
    try:
        await change()
        await get_all(server, issuer, id)
    except (httpx.HTTPError, AssertionError):
        pass


async def get_all(server: Serving, issuer: DevelopmentIssuer, id: str) -> Served:
    """Get every file."""
    found = Served()
    async with session(server, issuer) as client:
        for number in range(8):
            for _ in range(100):
                response = await client.get(f"/releases/{id}/data/train-{number:05}.parquet")
                if response.status_code != 503:
                    break
                await asyncio.sleep(0.1)
            if response.status_code == 404:
                return found
            found.ids.update(row["id"] for row in rows_of(response))
            found.digests.add(hashlib.sha256(response.content).hexdigest())
    raise AssertionError("there are more files than people")
