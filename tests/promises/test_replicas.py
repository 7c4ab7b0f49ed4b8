"""What a standby server answers is as new as what the primary server would answer, even while it is behind."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock
from urllib.parse import urlsplit

import psycopg
import pytest

import db.replica
from db.connection import METRICS
from db.embedded_postgres import embedded_tools
from db.setup import prepare_database
from schema.actor import Role
from tests.support.facts import NOW, fact
from tests.support.gateway import SECRET, TestGateway, open_gateway
from tests.support.installed_postgres import BINARIES, Standby, installed_postgres, synchronous_standby
from tests.support.mutants import Killed

ACCOUNTS = 40
READ = "query R($ids: [String!]!) { contents(first: 1, platformIds: $ids) { nodes { eligibility { permitted } } } }"
OBJECT = "mutation O($account: String!) { fileObjection(input: { account: $account, scope: ALL }) { reference } }"
CHECK = "query C($ids: [ID!]!) { checkEligibility(ids: $ids) { items { state } } }"


class Replicated:
    """A gateway over a primary server, and the standby server that answers some of its reads."""

    def __init__(self, gateway: TestGateway, standby: Standby, superuser: str) -> None:
        self.gateway, self.standby = gateway, standby
        self._superuser = superuser

    @contextmanager
    def behind(self) -> Iterator[None]:
        """Let the standby server apply nothing in this block."""
        self._execute("SELECT pg_wal_replay_pause()")
        try:
            yield
        finally:
            self._execute("SELECT pg_wal_replay_resume()")

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self._superuser, autocommit=True) as connection:
            connection.execute(statement.encode())

    async def object(self, account: str) -> None:
        await self.gateway.ask(Role.PRIVACY_OFFICER, OBJECT, {"account": account})

    async def permits(self, account: str) -> bool:
        """Ask an officer's question about the item of an account."""
        (node,) = (await self.gateway.ask(Role.PRIVACY_OFFICER, READ, {"ids": [f"of {account}"]}))["contents"]["nodes"]
        permitted: bool = node["eligibility"]["permitted"]
        return permitted

    async def states(self, ids: list[str]) -> list[str]:
        """Ask a client's question about items that it received."""
        answer = await self.gateway.ask(Role.TRAINING_CLIENT, CHECK, {"ids": ids})
        return [item["state"] for item in answer["checkEligibility"]["items"]]

    async def uses_the_standby(self) -> None:
        """Wait until the standby server answers."""
        before = answered("replica")

        async def asked() -> bool:
            await self.permits("account-0")
            return answered("replica") > before

        for _ in range(200):
            if await asked():
                return
            await asyncio.sleep(0.1)
        raise AssertionError("the standby server answers nothing")


def answered(server: str) -> float:
    """Return how many reads a server answered."""
    return METRICS.get_sample_value("grounds_replica_reads_total", {"server": server}) or 0


@pytest.fixture
async def replicated(tmp_path: Path) -> AsyncIterator[Replicated]:
    binaries = Path(BINARIES) if BINARIES else embedded_tools()
    assert binaries is not None
    with installed_postgres(binaries, settings={"fsync": "off"}) as server:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute("CREATE DATABASE grounds")
        primary = f"{server.rpartition('/')[0]}/grounds"
        prepare_database(primary, SECRET)
        with synchronous_standby(binaries, primary) as standby:
            port = primary.rpartition(":")[2].partition("/")[0]
            replica = f"postgresql://127.0.0.1:{standby.port}/grounds"
            async with open_gateway(primary, tmp_path, replica_url=replica) as gateway:
                gateway.set_clock(NOW)
                accounts = [f"account-{number}" for number in range(ACCOUNTS)]
                await gateway.ingest(
                    [fact("account", id=account) for account in accounts]
                    + [fact("notice", id=f"notice of {account}", account=account) for account in accounts]
                    + [fact("content", id=f"of {account}", account=account) for account in accounts]
                )
                yield Replicated(gateway, standby, primary.replace(f":{port}/", f":{standby.port}/"))


@pytest.mark.ci
async def test_a_standby_server_never_permits_what_the_primary_server_forbids(
    replicated: Replicated, killed: Killed
) -> None:
    """While it applies changes, while it applies none, while it is gone, and after it was promoted."""
    gateway = replicated.gateway
    ids = [item["id"] for item in await gateway.pull()]
    assert len(ids) == ACCOUNTS
    await replicated.uses_the_standby()
    await objections_take_effect_at_once(replicated, ids)
    await what_is_read_is_recorded_at_the_primary_server(replicated)

    with replicated.behind():
        await replicated.object("account-21")
        assert not await replicated.permits("account-21")
        assert (await replicated.states(ids)).count("RETRACTED") == 21
    await replicated.uses_the_standby()
    with replicated.behind(), mock.patch.object(db.replica, "_is_current", current):
        await replicated.object("account-22")
        states = await replicated.states(ids)
        stale = await replicated.permits("account-22") and states.count("RETRACTED") < 22
        killed("a standby server is always current", "db/replica.py", "an item is permitted" if stale else None)
    await replicated.uses_the_standby()

    replicated.standby.stop()
    await replicated.object("account-23")
    assert not await replicated.permits("account-23")
    assert (await replicated.states(ids)).count("RETRACTED") == 23
    replicated.standby.start()
    await replicated.uses_the_standby()

    replicated.standby.promote()
    await replicated.object("account-24")
    before = answered("replica")
    assert not await replicated.permits("account-24")
    assert (await replicated.states(ids)).count("RETRACTED") == 24
    assert answered("replica") == before


async def current(*_: object) -> bool:
    return True


async def objections_take_effect_at_once(replicated: Replicated, ids: list[str]) -> None:
    """File objections, and read each after its answer; the standby server answers most."""
    before = answered("replica")
    for number in range(1, 21):
        await replicated.object(f"account-{number}")
        assert not await replicated.permits(f"account-{number}")
        assert (await replicated.states(ids)).count("RETRACTED") == number
    assert answered("replica") - before >= 20, "the standby server answers few"
    assert (await replicated.states(ids)).count("PERMITTED") == ACCOUNTS - 20


async def what_is_read_is_recorded_at_the_primary_server(replicated: Replicated) -> None:
    def recorded() -> int:
        ((count,),) = replicated.gateway.execute("SELECT count(*) FROM grounds.staff_read")
        return int(count)

    before, read = recorded(), answered("replica")
    await replicated.permits("account-39")
    assert answered("replica") > read
    assert recorded() > before


async def test_a_server_that_is_not_there_or_no_standby_answers_nothing(database_url: str, tmp_path: Path) -> None:
    """A gateway starts without its standby server; and a server that is no standby is none, though it is current."""
    server = urlsplit(database_url)
    for url in ("postgresql://127.0.0.1:1/grounds", f"postgresql://127.0.0.1:{server.port}{server.path}"):
        before, left = answered("replica"), answered("primary")
        async with open_gateway(database_url, tmp_path, replica_url=url) as gateway:
            await gateway.ingest([fact("account"), fact("notice"), fact("content")])
            assert len((await gateway.ask(Role.PRIVACY_OFFICER, "{ contents(first: 1) { nodes { id } } }"))["contents"])
        assert (answered("replica"), answered("primary") > left) == (before, True), url
