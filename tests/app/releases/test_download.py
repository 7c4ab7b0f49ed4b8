"""GET /releases: tags, ranges and refusals, and what a full disk, a lost file and a cancelled release leave."""

import hashlib
import random
import resource
import string
from typing import Any

import pytest

from schema.actor import Role
from tests.support.database_pauses import until
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import TestGateway
from tests.support.releases import get, get_written, publish, rows_of, start, until_written
from tests.support.retractions import deliver, retract
from tests.support.shared_server import SharedServer

FILE = "data/train-00000.parquet"
CANCEL = "mutation C($id: ID!) { cancelRelease(id: $id) { state } }"


@pytest.fixture
async def release(gateway: TestGateway) -> str:
    await deliver(gateway, 3)
    id = await start(gateway)
    await until_written(gateway, id)
    return id


async def test_a_file_is_tagged_by_its_digest_and_sent_in_parts(gateway: TestGateway, release: str) -> None:
    (named,) = (await publish(gateway, release))["shards"]
    whole = await get(gateway, release, FILE)
    tag = f'"{hashlib.sha256(whole.content).hexdigest()}"'
    assert (whole.headers["etag"], whole.headers["content-type"]) == (tag, "application/x-parquet")
    assert (named["sha256"], named["bytes"], named["items"]) == (tag.strip('"'), len(whole.content), 3)
    for asked, part in (("bytes=4-9", slice(4, 10)), ("bytes=100-", slice(100, None)), ("bytes=-7", slice(-7, None))):
        for condition in ("If-Match", "If-Range"):
            response = await get(gateway, release, FILE, {"Range": asked, condition: tag})
            assert (response.status_code, response.content) == (206, whole.content[part])
    unconditional = await get(gateway, release, FILE, {"Range": "bytes=4-9"})
    assert (unconditional.status_code, unconditional.content) == (200, whole.content)
    assert (await get(gateway, release, FILE, {"If-None-Match": tag})).status_code == 304
    past = await get(gateway, release, FILE, {"Range": f"bytes={len(whole.content)}-", "If-Match": tag})
    assert (past.status_code, past.headers["content-range"]) == (416, f"bytes */{len(whole.content)}")
    assert gateway.execute("SELECT count(*) FROM grounds.delivery WHERE file_sha256 IS NOT NULL") == [(1,)]
    await retract(gateway, ["item-1"])
    outdated = await get(gateway, release, FILE, {"Range": "bytes=4-", "If-Match": tag})
    assert outdated.status_code == 412
    assert "request the whole file" in outdated.text
    assert len(rows_of(await get(gateway, release, FILE, {"Range": "bytes=4-", "If-Range": tag}))) == 2


@pytest.mark.parametrize(
    ("claims", "name", "status", "said"),
    [
        ({"client": "another"}, FILE, 404, "this client has no such release"),
        ({"purpose": "AI_RESEARCH"}, FILE, 403, "this release is for GENAI_TRAINING"),
        ({}, "data/train-00007.parquet", 404, "read manifest.json"),
        ({}, "removed-x.parquet", 404, "read manifest.json"),
    ],
)
async def test_what_a_client_may_not_have_is_refused(
    gateway: TestGateway, release: str, claims: dict[str, Any], name: str, status: int, said: str
) -> None:
    response = await get(gateway, release, name, **claims)
    assert (response.status_code, said in response.text) == (status, True), response.text


async def test_other_roles_and_no_token_are_refused(gateway: TestGateway, release: str) -> None:
    for role in set(Role) - {Role.TRAINING_CLIENT}:
        claims = {"subject": "author"} if role is Role.DATA_SUBJECT else {}
        headers = {"Authorization": f"Bearer {gateway.token(role, **claims)}"}
        response = await gateway.client.get(f"/releases/{release}/{FILE}", headers=headers)
        assert response.status_code == 403, role
    assert (await gateway.client.get(f"/releases/{release}/{FILE}")).status_code == 401


async def test_a_suspended_client_gets_no_file(gateway: TestGateway, release: str) -> None:
    suspend = 'mutation { suspendClient(name: "client", reason: "r") { suspended } }'
    await gateway.ask(Role.PRIVACY_OFFICER, suspend)
    assert (await get(gateway, release, FILE)).status_code == 403


async def test_a_lost_file_is_written_again_and_a_cancelled_release_has_none(
    gateway: TestGateway, release: str, shared_server: SharedServer
) -> None:
    def names() -> list[str]:
        return [name for (name,) in gateway.execute("SELECT file FROM grounds.release_shard")]

    (name,) = names()
    (shared_server.releases / name).unlink()
    assert (await get(gateway, release, FILE)).status_code == 503
    assert len(rows_of(await get_written(gateway, release, FILE))) == 3
    assert names() != [name]
    cancelled = await gateway.ask(Role.PRIVACY_OFFICER, CANCEL, {"id": await as_staff(gateway)})
    assert cancelled["cancelRelease"]["state"] == "CANCELLED"
    response = await get(gateway, release, FILE)
    assert (response.status_code, "was cancelled" in response.text) == (410, True)


async def test_a_full_disk_leaves_no_file_and_the_release_says_so(
    gateway: TestGateway, shared_server: SharedServer
) -> None:
    letters = random.Random(7)
    texts = {f"item-{n}": "".join(letters.choices(string.ascii_lowercase, k=4000)) for n in range(90)}
    await deliver(gateway, 3)
    gateway.set_clock(NOW - 60 * DAY)
    long = [fact("content", 3, id=name, text=text) for name, text in texts.items()]
    assert (await gateway.ingest(long))["total"]["accepted"] == 90
    gateway.set_clock(NOW)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    state = "{ releases(first: 9) { nodes { failure state } } }"
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        id = await start(gateway)
        await until(lambda: gateway.execute("SELECT count(*) FROM grounds.release WHERE failure IS NOT NULL") == [(1,)])
        found = (await gateway.ask(Role.TRAINING_CLIENT, state))["releases"]["nodes"]
        assert found == [{"failure": "File too large", "state": "WRITING"}]
        assert list(shared_server.releases.glob("*.part")) == []
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    await until_written(gateway, id)
    assert len(rows_of(await get(gateway, id, FILE))) == 90
    await gateway.ingest([fact("content", 9, id="item-1", audience="FRIENDS")])
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        refused = await get(gateway, id, FILE)
        assert (refused.status_code, "no space" in refused.text) == (503, True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(rows_of(await get(gateway, id, FILE))) == 89


async def as_staff(gateway: TestGateway) -> str:
    found = await gateway.ask(Role.PRIVACY_OFFICER, "{ releases(first: 1) { nodes { id client } } }")
    assert found["releases"]["nodes"][0]["client"] == "client"
    id: str = found["releases"]["nodes"][0]["id"]
    return id
