"""A later release takes over beside the running one: requests succeed or get 503 soon, and no older rules return."""

import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from app.auth.dev_issuer import DevelopmentIssuer
from schema.actor import Role
from tests.promises.test_acknowledged_over_kills import OBJECT, STORED
from tests.promises.test_immediacy_during_ingest import SERVED, claim
from tests.support.command import Serving
from tests.support.facts import NOW, line
from tests.support.gateway import SECRET, set_clock
from tests.support.newer_release import INDEX, newer_release, run_release, served_by, starting_release, this_release
from tests.support.shared_database import create_database

pytestmark = pytest.mark.xdist_group("serve")
ACCOUNTS, CLIENTS = 200, 2
PAGE = "{ trainableContent(first: 10) { nodes { id } } }"
MAX_ANSWER_SECONDS = 10.0
"""The time for which a request may wait for a 503: that of the server. On a free machine, it is about a second."""
RULES = "SELECT compiled, (SELECT version FROM grounds.installation) FROM grounds.policy WHERE active"
VALID = "SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass(%s) AND indisvalid"


@dataclass
class Traffic:
    """Clients who read, officers who file objections, and a platform that sends facts, and what they were answered."""

    address: str
    data: Path
    left: list[str]
    acknowledged: set[str] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)
    slowest: float = 0
    slowest_busy: float = 0
    """The longest time until a request was answered with 503."""
    ended: bool = False

    def read(self) -> None:
        while not self.ended:
            self._send(Role.TRAINING_CLIENT, "/graphql", json={"query": PAGE})
            time.sleep(0.02)

    def file_objections(self) -> None:
        while self.left and not self.ended:
            body = {"query": OBJECT, "variables": {"account": self.left[-1]}}
            if self._send(Role.PRIVACY_OFFICER, "/graphql", json=body):
                self.acknowledged.add(self.left.pop())
            time.sleep(0.2)

    def ingest(self) -> None:
        number = 0
        while not self.ended:
            number += 1
            self._send(Role.PLATFORM_INGEST, "/ingest", content=line("content", id=f"later {number}", account="late"))
            time.sleep(0.1)

    def _send(self, role: Role, path: str, **body: Any) -> bool:
        claims: dict[str, Any] = {}
        if role is Role.TRAINING_CLIENT:
            claims = {"client": "client", "purpose": "GENAI_TRAINING"}
        token = DevelopmentIssuer.open(self.data).token(role, **claims)
        began = time.monotonic()
        answer = httpx.post(
            f"{self.address}{path}", headers={"Authorization": f"Bearer {token}"}, timeout=60, trust_env=False, **body
        )
        seconds = time.monotonic() - began
        self.slowest = max(self.slowest, seconds)
        good = answer.status_code == 200 and "errors" not in answer.json()
        busy = answer.status_code == 503 and answer.headers["retry-after"].isdigit()
        self.slowest_busy = max(self.slowest_busy, seconds if busy else 0)
        self.answers["answered" if good else "busy" if busy else f"{path}: {answer.text}"] += 1
        return good


@contextmanager
def running(traffic: Traffic) -> Iterator[None]:
    """Send the traffic until the block ends."""
    senders = [traffic.read] * CLIENTS + [traffic.file_objections, traffic.ingest]
    threads = [threading.Thread(target=sender) for sender in senders]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        traffic.ended = True
        for thread in threads:
            thread.join()


@contextmanager
def reading_long(url: str, seconds: float) -> Iterator[None]:
    """Read the views in a transaction that lasts so long, as a report does."""

    def read() -> None:
        with psycopg.connect(url) as connection:
            claim(connection)
            connection.execute(SERVED, [[]])
            time.sleep(seconds)

    thread = threading.Thread(target=read)
    thread.start()
    yield
    thread.join()


@dataclass
class Upgrade:
    """A database of the earlier release with its running gateway, and the later release that takes over."""

    url: str
    earlier: Path
    release: Path
    folder: Path
    rules: list[tuple[str, str]] = field(default_factory=list)
    """The rules that were in force, one after the other, with the version that brought the database up to date."""

    @property
    def env(self) -> dict[str, str]:
        return {"DATABASE_URL": self.url, "GROUNDS_SECRET": SECRET.decode()}

    def look(self) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute("SET ROLE grounds_owner")
            found = connection.execute(RULES).fetchone()
        assert found is not None
        if found not in self.rules[-1:]:
            self.rules.append(found)

    def start(self, kill_after: float | None) -> None:
        """Serve with the later release; kill it after a time, if it is to be killed, and start it again."""
        if kill_after is not None:
            with starting_release(self.release, self.folder / "data", self.folder / "killed", self.env) as process:
                end = time.monotonic() + kill_after
                while time.monotonic() < end:
                    self.look()
                    time.sleep(0.1)
                process.send_signal(signal.SIGKILL)
        log = self.folder / "newer"
        with starting_release(self.release, self.folder / "data", log, self.env) as process:
            server = served_by(process, self.folder / "data", log)
            self.look()
            self.check(server, process)

    def check(self, server: Serving, process: "subprocess.Popen[bytes]") -> None:
        """The later release serves with its index, and the earlier one is refused in words."""
        pulled = Traffic(server.address, self.folder / "data", [])
        assert pulled._send(Role.TRAINING_CLIENT, "/graphql", json={"query": PAGE}), pulled.answers
        with psycopg.connect(self.url) as connection:
            assert connection.execute(VALID, [f"grounds.{INDEX}"]).fetchone() == (1,)
        for command in (("status",), ("serve", "--port", "0"), ("migrate",)):
            refused = run_release(self.earlier, *command, data=self.folder / "data", env=self.env)
            assert (refused.returncode, "use Grounds 0.2.0 or later" in refused.stderr) == (2, True), refused.stderr
        self.look()
        assert process.poll() is None


def upgrade(
    cluster: str, name: str, releases: tuple[Path, Path], folder: Path, kill_after: float | None, reader: float
) -> Traffic:
    """Upgrade a database under load, and check what is promised; return the traffic."""
    url = create_database(cluster, name, "template_of_tests")
    set_clock(url, NOW)
    folder.mkdir()
    run = Upgrade(url, *releases, folder)
    run.look()
    with starting_release(run.earlier, folder / "data", folder / "log", run.env) as process:
        earlier = served_by(process, folder / "data", folder / "log")
        accounts = [f"account-{number}" for number in range(ACCOUNTS)]
        traffic = Traffic(earlier.address, folder / "data", accounts[: ACCOUNTS // 2])
        facts = [line("account", id="late"), *(line("account", id=account) for account in accounts)]
        facts += [line("notice", id=f"notice of {account}", account=account) for account in accounts]
        facts += [line("content", id=f"item of {account}", account=account) for account in accounts]
        assert traffic._send(Role.PLATFORM_INGEST, "/ingest", content="\n".join(facts)), traffic.answers
        traffic.slowest = 0
        with running(traffic), reading_long(url, reader):
            run.start(kill_after)
    assert traffic.answers.keys() <= {"answered", "busy"}, traffic.answers
    assert traffic.slowest_busy < MAX_ANSWER_SECONDS, traffic.slowest_busy
    assert len(run.rules) == 2, run.rules
    with psycopg.connect(url) as connection:
        assert traffic.acknowledged <= {value for (value,) in connection.execute(STORED)}
        claim(connection)
        assert connection.execute(SERVED, [sorted(traffic.acknowledged)]).fetchall() == []
    with psycopg.connect(cluster, autocommit=True) as administrator:
        administrator.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
    return traffic


@pytest.mark.ci
def test_a_later_release_takes_over_under_load(cluster: str, tmp_path: Path) -> None:
    releases = this_release(tmp_path / "earlier"), newer_release(tmp_path / "later", seconds_per_item=0.01)
    traffic = upgrade(cluster, "upgraded", releases, tmp_path / "run", kill_after=2.5, reader=3)
    print(f"slowest answer {traffic.slowest:.2f} s, slowest 503 {traffic.slowest_busy:.2f} s; {dict(traffic.answers)}")


@pytest.mark.long
def test_twenty_upgrades_under_load_of_which_ten_are_killed(cluster: str, tmp_path: Path) -> None:
    releases = this_release(tmp_path / "earlier"), newer_release(tmp_path / "later", seconds_per_item=20 / ACCOUNTS)
    chance = random.Random(18)
    for number in range(20):
        kill_after = chance.uniform(0.5, 30) if number % 2 else None
        traffic = upgrade(cluster, f"upgraded_{number}", releases, tmp_path / f"run {number}", kill_after, reader=8)
        killed = f"killed after {kill_after:.1f} s" if kill_after else "not killed"
        times = f"slowest answer {traffic.slowest:.2f} s, slowest 503 {traffic.slowest_busy:.2f} s"
        print(f"{number}: {killed}; {times}; {dict(traffic.answers)}", flush=True)
