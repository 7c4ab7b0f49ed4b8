"""Releases by GraphQL: started by a client for itself, seen by officers, and refused with what to do."""

import sys
from collections.abc import AsyncIterator
from importlib.util import find_spec
from typing import Any

import pytest

from schema.actor import Role
from tests.support.database_pauses import job_stopped
from tests.support.gateway import TestGateway
from tests.support.mutants import Killed
from tests.support.retractions import alter, deliver
from tests.support.shared_server import SharedServer

START = """mutation S($name: String!, $filter: TrainableContentFilter) {
  startRelease(name: $name, filter: $filter) { id name client purpose state version items files cancelledAt } }"""
LIST = """query L($after: String) {
  releases(first: 1, after: $after) { nodes { name client state } pageInfo { endCursor } } }"""
CANCEL = "mutation C($id: ID!) { cancelRelease(id: $id) { state cancelledAt } }"


async def fault(gateway: TestGateway, query: str, variables: dict[str, Any], **claims: Any) -> tuple[str, str]:
    (error,) = (await gateway.post(Role.TRAINING_CLIENT, query, variables, **claims)).json()["errors"]
    return error["extensions"]["code"], error["message"]


async def test_a_gateway_without_pyarrow_says_how_to_install_it(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, message = await fault(gateway, START, {"name": "2026-06"})
    assert code == "UNAVAILABLE"
    assert "./run --with release grounds serve" in message


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="pyarrow is missing: ./run --with release pytest")
async def test_what_cannot_be_a_release_is_refused_with_what_to_do(gateway: TestGateway) -> None:
    first = (await gateway.ask(Role.TRAINING_CLIENT, START, {"name": "2026-06"}))["startRelease"]
    assert (first["name"], first["client"], first["purpose"], first["state"], first["version"]) == (
        *("2026-06", "client", "GENAI_TRAINING", "COMPLETE", "1.0.0"),  # of an empty platform
    )
    for variables, claims, said in (
        ({"name": "2026-06"}, {}, "choose another name"),
        ({"name": "a/b"}, {}, "name: must be 1 to 100 letters"),
        ({"name": "x", "filter": {"products": ["NONE"]}}, {}, "filter.products: must be one or more of"),
        ({"name": "x", "filter": {"languages": ["d!"]}}, {}, "filter.languages: must be language ranges"),
        ({"name": "x"}, {"purpose": "ADVERTISING"}, "is not a purpose of the policy"),
    ):
        code, message = await fault(gateway, START, variables, **claims)
        assert code == "BAD_USER_INPUT"
        assert said in message
    assert (await gateway.ask(Role.TRAINING_CLIENT, START, {"name": "2026-06"}, client="another"))["startRelease"]
    assert (await fault(gateway, CANCEL, {"id": first["id"]}, client="another"))[0] == "BAD_USER_INPUT"
    seen = await gateway.ask(Role.AUDITOR, LIST)
    assert [(each["name"], each["client"]) for each in seen["releases"]["nodes"]] == [("2026-06", "client")]
    after = seen["releases"]["pageInfo"]["endCursor"]
    more = await gateway.ask(Role.PRIVACY_OFFICER, LIST, {"after": after})
    assert [each["client"] for each in more["releases"]["nodes"]] == ["another"]
    own = await gateway.ask(Role.TRAINING_CLIENT, LIST, client="another")
    assert [each["client"] for each in own["releases"]["nodes"]] == ["another"]
    assert (await gateway.ask(Role.TRAINING_CLIENT, CANCEL, {"id": first["id"]}))["cancelRelease"]["cancelledAt"]


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="pyarrow is missing: ./run --with release pytest")
async def test_a_client_has_so_many_releases_at_most_and_can_cancel_one(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.releases.releases.MAX_RELEASES_PER_CLIENT", 2)
    ids = [(await gateway.ask(Role.TRAINING_CLIENT, START, {"name": name}))["startRelease"]["id"] for name in "ab"]
    code, message = await fault(gateway, START, {"name": "c"})
    assert (code, "cancel one with `cancelRelease`" in message) == ("BAD_USER_INPUT", True)
    await gateway.ask(Role.TRAINING_CLIENT, START, {"name": "c"}, client="another")
    await gateway.ask(Role.TRAINING_CLIENT, CANCEL, {"id": ids[0]})
    await gateway.ask(Role.TRAINING_CLIENT, START, {"name": "c"})


@pytest.fixture
async def planned(shared_server: SharedServer) -> AsyncIterator[TestGateway]:
    """A client with two releases of several files, and another client with one, of which no file is written."""
    async with shared_server.gateway(release_items=1) as gateway, job_stopped(gateway, "releases"):
        await deliver(gateway, 3)
        for name, client in (("a", "greedy"), ("b", "greedy"), ("a", "another")):
            await gateway.ask(Role.TRAINING_CLIENT, START, {"name": name}, client=client)
        yield gateway


def announced(gateway: TestGateway) -> list[tuple[str, str]]:
    """Return of which clients' releases the next six shards are, as if none of them could be written."""
    shards = [gateway.execute("SELECT release FROM grounds.announce_shard()")[0][0] for _ in range(6)]
    named = gateway.execute(
        "SELECT r.id, k.name, r.name FROM grounds.release r JOIN grounds.client k ON k.id = r.client"
    )
    releases = {id: (client, name) for id, client, name in named}
    return [releases[shard] for shard in shards]


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="pyarrow is missing: ./run --with release pytest")
async def test_neither_a_large_release_nor_one_that_cannot_be_written_keeps_others_waiting(
    planned: TestGateway, killed: Killed
) -> None:
    first, second, others = ("greedy", "a"), ("greedy", "b"), ("another", "a")
    assert announced(planned) == [first, others, second, others, first, others]
    alter(planned, "announce_shard()", ("max(r.tried_at) OVER (PARTITION BY r.client) NULLS FIRST,", ""))
    found = announced(planned)
    killed(
        "a client with more releases has more turns",
        "announce_shard()",
        None if found.count(others) == 3 else "its turns",
    )
    alter(planned, "announce_shard()", ("r.tried_at NULLS FIRST, r.id", "r.id"))
    found = announced(planned)
    killed("the first release is first for ever", "announce_shard()", None if others in found else "the other waits")
