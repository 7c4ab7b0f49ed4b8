"""When the primary database is lost and its standby takes over, no acknowledged objection is lost.

It needs a PostgreSQL of this machine: `GROUNDS_TEST_POSTGRES=/usr/lib/postgresql/15/bin`.
"""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from app.database_url import check_database_url
from schema.actor import Role
from tests.promises.test_immediacy_during_ingest import SERVED, claim
from tests.promises.test_stalled_standby import confirmed_by, primary  # noqa: F401 - a fixture, found here by name
from tests.support.command import grounds
from tests.support.database_pauses import until
from tests.support.facts import NOW, fact
from tests.support.gateway import SECRET, TestGateway, open_gateway
from tests.support.installed_postgres import BINARIES, Standby, synchronous_standby
from tests.support.mutants import Killed

pytestmark = pytest.mark.skipif(BINARIES is None, reason="GROUNDS_TEST_POSTGRES names no PostgreSQL of this machine")
ACCOUNTS, OFFICERS, CLIENTS = 400, 4, 2
OBJECT = "mutation O($account: String!) { fileObjection(input: { account: $account, scope: ALL }) { reference } }"
STORED = "SELECT value FROM grounds.objection_target"


@dataclass
class Traffic:
    """Officers who file objections and clients who read, beside a failover, and what they were answered."""

    gateway: TestGateway
    left: list[str]
    acknowledged: set[str] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)
    answered_at: list[float] = field(default_factory=list)
    ended: bool = False

    async def object(self) -> None:
        """File one objection after the other; one that was not acknowledged is not sent again."""
        while self.left and not self.ended:
            account = self.left.pop()
            if await self._ask(Role.PRIVACY_OFFICER, OBJECT, {"account": account}):
                self.acknowledged.add(account)
            await asyncio.sleep(0.01)

    async def read(self) -> None:
        while not self.ended:
            await self._ask(Role.TRAINING_CLIENT, "{ trainableContent(first: 10) { nodes { id } } }", {})
            await asyncio.sleep(0.01)

    async def _ask(self, role: Role, query: str, variables: dict[str, str]) -> bool:
        response: httpx.Response = await self.gateway.post(role, query, variables)
        succeeded = response.status_code == 200 and "errors" not in response.json()
        refused = response.status_code == 503 and response.headers["retry-after"].isdigit()
        self.answers["answered" if succeeded else "busy" if refused else response.text] += 1
        if succeeded:
            self.answered_at.append(time.monotonic())
        return succeeded


def kill_database(gateway: TestGateway) -> None:
    ((data,),) = gateway.execute("SHOW data_directory")
    os.kill(int(Path(data, "postmaster.pid").read_text().split()[0]), signal.SIGKILL)


async def fail_over(gateway: TestGateway, standby: Standby, traffic: Traffic, awaited: bool) -> float:
    """Kill the primary beside traffic and promote the standby; return the seconds from then to the first answer.

    If commits are not `awaited` by the standby, it gets none of the traffic's.
    """
    if awaited:
        gateway.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        gateway.execute("SELECT pg_reload_conf()")
        await confirmed_by(gateway, 1)
    else:
        await asyncio.to_thread(standby.stop)
    running = [asyncio.create_task(traffic.object()) for _ in range(OFFICERS)]
    running += [asyncio.create_task(traffic.read()) for _ in range(CLIENTS)]
    await until(lambda: len(traffic.acknowledged) >= ACCOUNTS // 8)
    kill_database(gateway)
    await asyncio.sleep(1)
    if not awaited:
        await asyncio.to_thread(standby.start)
    await asyncio.to_thread(standby.promote)
    promoted = time.monotonic()
    await until(lambda: not traffic.left and traffic.answered_at[-1] >= promoted)
    traffic.ended = True
    await asyncio.gather(*running)
    return min(at for at in traffic.answered_at if at >= promoted) - promoted


async def load(gateway: TestGateway) -> None:
    """Load accounts with an item each."""
    gateway.set_clock(NOW)
    accounts = [f"account-{number}" for number in range(ACCOUNTS)]
    await gateway.ingest(
        [fact("account", id=account) for account in accounts]
        + [fact("notice", id=f"notice of {account}", account=account) for account in accounts]
        + [fact("content", id=f"item of {account}", account=account) for account in accounts]
    )


async def caught_up(gateway: TestGateway) -> None:
    """Wait until the standby has received all that was committed."""
    behind = "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_flush_lsn()"
    for _ in range(600):
        if gateway.execute(behind) == [(1,)]:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the standby does not catch up")


@pytest.fixture
async def pair(primary: str, tmp_path: Path) -> AsyncIterator[tuple[TestGateway, Standby]]:  # noqa: F811 - see above
    """A gateway over a primary with a synchronous standby, and accounts with an item each."""
    with synchronous_standby(Path(str(BINARIES)), primary) as standby:
        parts = urlsplit(primary)
        url = check_database_url(parts._replace(netloc=f"{parts.netloc},127.0.0.1:{standby.port}").geturl())
        async with open_gateway(url, tmp_path) as gateway:
            await load(gateway)
            yield gateway, standby


def lost(gateway: TestGateway, traffic: Traffic) -> set[str]:
    """Find the accounts whose objection was acknowledged and is not stored, or not in effect."""
    with psycopg.connect(gateway.database_url) as connection:
        stored = {value for (value,) in connection.execute(STORED)}
        claim(connection)
        served = {name for (name,) in connection.execute(SERVED, [sorted(traffic.acknowledged)])}
    return (traffic.acknowledged - stored) | served


@pytest.mark.ci
async def test_no_acknowledged_objection_is_lost_and_every_error_is_503(pair: tuple[TestGateway, Standby]) -> None:
    gateway, standby = pair
    traffic = Traffic(gateway, [f"account-{number}" for number in range(ACCOUNTS)])
    seconds = await fail_over(gateway, standby, traffic, awaited=True)
    print(f"answered {seconds:.2f} s after the promotion; {dict(traffic.answers)}")
    assert traffic.answers.keys() == {"answered", "busy"}, traffic.answers
    assert lost(gateway, traffic) == set()


@pytest.mark.long
async def test_commits_that_do_not_wait_for_the_standby_are_noticed(
    pair: tuple[TestGateway, Standby], killed: Killed
) -> None:
    gateway, standby = pair
    traffic = Traffic(gateway, [f"account-{number}" for number in range(ACCOUNTS)])
    await fail_over(gateway, standby, traffic, awaited=False)
    missing = lost(gateway, traffic)
    killed("commits do not wait", "synchronous_standby_names", f"{len(missing)} are lost" if missing else None)


LAG_SECONDS = 20


async def object_while_the_standby_lags(gateway: TestGateway, standby: Standby) -> Traffic:
    """Let people object and clients read while the standby gets nothing; kill the primary, and promote the standby."""
    traffic = Traffic(gateway, [f"account-{number}" for number in range(ACCOUNTS)])
    await asyncio.to_thread(standby.stop)
    running = [asyncio.create_task(traffic.read()) for _ in range(CLIENTS)]
    running += [asyncio.create_task(traffic.object())]
    await asyncio.sleep(LAG_SECONDS)
    traffic.ended = True
    await asyncio.gather(*running)
    kill_database(gateway)
    await asyncio.to_thread(standby.start)
    await asyncio.to_thread(standby.promote)
    return traffic


@pytest.mark.long
async def test_what_an_asynchronous_standby_lacks_is_noticed_and_replayed(
    primary: str,  # noqa: F811 - see above
    tmp_path: Path,
    killed: Killed,
) -> None:
    folders = {name: tmp_path / name for name in ("journal", "checkpoints")}
    for folder in folders.values():
        folder.mkdir()
    with synchronous_standby(Path(str(BINARIES)), primary) as standby:
        async with open_gateway(primary, tmp_path / "data", **folders) as gateway:
            await load(gateway)
            await caught_up(gateway)
            traffic = await object_while_the_standby_lags(gateway, standby)
        user = urlsplit(primary).netloc.rpartition("@")[0]
        url = urlsplit(primary)._replace(netloc=f"{user}@127.0.0.1:{standby.port}").geturl()
        named = {f"GROUNDS_{name.upper()}": str(folder) for name, folder in folders.items()}
        env = {"DATABASE_URL": url, "GROUNDS_SECRET": SECRET.decode(), **named}
        refused = grounds("serve", "--port", "0", data=tmp_path / "data", env=env)
        assert (refused.returncode, "is a standby that lagged behind" in refused.stderr) == (2, True), refused.stderr
        promoted = TestGateway(gateway.address, url, gateway.issuer, gateway.client)
        missing = lost(promoted, traffic)
        killed("a start that does not ask for the journal", "raise_if_restored()", f"{len(missing)} of"
               f" {len(traffic.acknowledged)} acknowledged objections are lost" if missing else None)  # fmt: skip
        replayed = grounds("restored", data=tmp_path / "data", env=env)
        assert (replayed.returncode, "The database is accepted" in replayed.stdout) == (0, True), replayed.stderr
        async with open_gateway(url, tmp_path / "data", **folders) as gateway:
            assert lost(gateway, traffic) == set()
            accounts = {f"account-{number}" for number in range(ACCOUNTS)}
            assert len(await gateway.pull()) == len(accounts - traffic.acknowledged)
    print(f"{len(missing)} of {len(traffic.acknowledged)} objections were not on the standby; {replayed.stdout}")
