"""An objection that is acknowledged is in force for every read anywhere: two servers, eight readers, and reads stalled.

A round stalls what readers read, files objections, and lets go when all of them are acknowledged. Whatever is answered
a moment later was decided before or after them, and must not hold what they reach. Broken builds beside it are caught.
"""

import http.client
import json
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from app.auth.dev_issuer import DevelopmentIssuer
from schema.actor import Role
from tests.support.command import address_from, environment
from tests.support.facts import NOW, fact
from tests.support.fork_server import BUILD, ForkedCommand
from tests.support.gateway import SECRET, set_clock
from tests.support.mutants import Killed
from tests.support.ordinary_cases import ordinary_every

pytestmark = [pytest.mark.database, pytest.mark.xdist_group("serve")]

READERS = 8
PAGE = b'{"query": "{ trainableContent(first: 1000) { nodes { text } } }"}'
OBJECT = "mutation O($account: String!) { fileObjection(input: {account: $account, scope: ALL}) { reference } }"
NUMBERED = re.compile(rb"Heron ([a-z]+)\.")
STALLED = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'grounds_training' AND wait_event_type = 'Lock'"
BROKEN = """
import asyncio, time, schema.training.trainable_content
from app.cli.main import main
from db.connection import connection
from db.delivery.pages import narrowing
from db.delivery.pages import Delivered, deliver, page_statement
kept = {}

async def read(borrowed, client, purpose, after, first, narrowed, altered=lambda statement: statement, **_):
    used, values = narrowing(narrowed)
    rows = await borrowed.fetch(altered(page_statement(used)), str(client), purpose, after, first, 2**63 - 1, *values)
    last = rows.pop()
    return Delivered(rows, last["receipt"], last["decided_at"], last["policy"], bool(last["has_next"]))

async def cached(pool, client, purpose, after, first, narrowed, **_):
    known = kept.get((client, after, first))
    if known is None or known[0] < time.monotonic() - 10:
        page = await deliver(pool, client, purpose, after, first, narrowed)
        known = kept[client, after, first] = time.monotonic(), page
    return known[1]

async def hydrated(pool, *asked, **_):
    page = await deliver(pool, *asked)
    await asyncio.sleep(0.1)
    async with connection(pool) as borrowed:
        await borrowed.execute("SET lock_timeout = '10s'")  # a stall on a busy machine is longer than 500 ms
        await borrowed.fetch("SELECT text FROM grounds.content WHERE id = ANY ($1)", [row["id"] for row in page.rows])
    return page

async def repeatable(pool, *asked, **_):
    async with connection(pool) as borrowed, borrowed.transaction(isolation="repeatable_read"):
        await borrowed.fetchval("SELECT grounds.decision_time()")
        return await read(borrowed, *asked)

async def shared(pool, *asked, **_):
    def altered(statement):
        joined = "JOIN grounds.content locked ON locked.id = p.id FOR SHARE OF locked"
        return statement.replace("+ 1) p\\n)", f"+ 1) p {joined})", 1)

    async with connection(pool) as borrowed:
        return await read(borrowed, *asked, altered)

schema.training.trainable_content.deliver = schema.training.trainable_content.deliver_offers = %s
main()
"""
MENDED_FOR_BROKEN = (
    "GRANT SELECT, UPDATE ON grounds.content TO grounds_training",
    "CREATE POLICY broken ON grounds.content TO grounds_training USING (TRUE)",
)


def letters(number: int) -> str:
    """Write a number in letters: digits could be taken for an identifier."""
    return "".join(chr(ord("a") + int(digit)) for digit in f"{number:05}")


@dataclass
class Answers:
    """The items that were answered, and until when; `before` are those that arrived before the present round."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    arrived: list[tuple[float, frozenset[str]]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def add(self, body: bytes) -> None:
        names = frozenset(name.decode() for name in NUMBERED.findall(body))
        with self.lock:
            self.arrived.append((time.monotonic(), names))

    def since(self, instant: float) -> list[frozenset[str]]:
        with self.lock:
            found = [names for at, names in self.arrived if at >= instant]
            self.arrived.clear()
            return found


@dataclass
class Platform:
    """Two servers over one database, and their clients."""

    addresses: list[str]
    database_url: str
    issuer: DevelopmentIssuer
    answers: Answers = field(default_factory=Answers)
    asked: list[float] = field(default_factory=lambda: [0.0] * READERS)  # when each reader last sent a request
    over: threading.Event = field(default_factory=threading.Event)

    def headers(self, role: Role, **claims: Any) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.issuer.token(role, **claims)}",
            "Content-Type": "application/json",
        }

    def read(self, number: int) -> None:
        """Read the page again and again, by one connection."""
        connection = http.client.HTTPConnection(urlsplit(self.addresses[number % 2]).netloc, timeout=60)
        # At a server, two operations of a client run at once.
        headers = self.headers(Role.TRAINING_CLIENT, client=f"client-{number // 4}", purpose="GENAI_TRAINING")
        while not self.over.is_set():
            self.asked[number] = time.monotonic()
            connection.request("POST", "/graphql", PAGE, headers)
            body = connection.getresponse().read()
            if b"took too long" in body:  # a stall was longer than the login waits for a lock
                continue
            if b'"errors"' in body:
                self.answers.faults.append(body.decode())
                return
            self.answers.add(body)
        connection.close()

    def object(self, accounts: list[str]) -> None:
        """File objections at both servers; all are acknowledged at the end."""

        def file(place: int) -> None:
            with httpx.Client(base_url=self.addresses[place], headers=self.headers(Role.PRIVACY_OFFICER)) as client:
                for account in accounts[place::2]:
                    asked = {"query": OBJECT, "variables": {"account": account}}
                    answer = client.post("/graphql", json=asked, timeout=60).json()
                    while "took too long" in json.dumps(answer):  # it is not acknowledged, and is filed again
                        answer = client.post("/graphql", json=asked, timeout=60).json()
                    assert "errors" not in answer, answer

        with ThreadPoolExecutor(2) as both:
            list(both.map(file, range(2)))

    @contextmanager
    def stalled(self, way: str, accounts: list[str]) -> Iterator[None]:
        """Let every read wait: for the items' table, or the statements that lock rows for the objectors' items."""
        with psycopg.connect(self.database_url) as connection:
            if way == "table":
                connection.execute("LOCK TABLE grounds.content IN ACCESS EXCLUSIVE MODE")
            elif way == "rows":
                connection.execute(
                    "SELECT FROM grounds.content c JOIN grounds.account a ON a.id = c.account"
                    " WHERE a.platform_id = ANY (%s) FOR UPDATE OF c",
                    [accounts],
                )
            yield
            connection.rollback()

    def settle(self, instant: float) -> None:
        """Wait until nothing that was answered before an instant is still on its way to a reader.

        Then every reader has asked anew since, or all of them wait for a lock and are answered later.
        """
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            for _ in range(1000):
                if min(self.asked) >= instant or connection.execute(STALLED).fetchone() == (READERS,):
                    return
                time.sleep(0.03)
        raise AssertionError(f"readers neither ask nor wait: {self.answers.faults}")

    def stale(self, way: str, accounts: list[str], objected: set[str]) -> set[str]:
        """Go through a round; give whose items were served after their objection was acknowledged."""
        with self.stalled(way, accounts):
            time.sleep(0.03)  # readers come to wait
            self.object(accounts)
            objected |= set(accounts)
            self.settle(time.monotonic())
            released = time.monotonic()
        self.settle(released)
        served = self.answers.since(released)
        assert not self.answers.faults, self.answers.faults[0]
        return set().union(*served) & objected


@contextmanager
def serving(database_url: str, data: Path, build: str | None) -> Iterator[Platform]:
    """Serve by two processes over one database."""
    settings = environment(data, {"DATABASE_URL": database_url, "GROUNDS_SECRET": SECRET.decode()})
    code = BUILD if build is None else BROKEN % build
    processes: list[ForkedCommand] = []
    try:
        addresses = []
        for number in range(2):
            log = data.with_name(f"log-{number}")
            with log.open("wb") as stderr:
                processes.append(ForkedCommand("serve", "--port", 0, build=code, env=settings, stderr=stderr.fileno()))
            addresses.append(address_from(processes[-1], log))
        yield Platform(addresses, database_url, DevelopmentIssuer.open(data))
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in reversed(processes):
            process.wait(30)


def objections(database_url: str, folder: Path, trials: int, at_once: int, build: str | None = None) -> set[str]:
    """Try objections until one is stale, or all are through; return the stale ones."""
    accounts = [letters(number) for number in range(trials)]
    with serving(database_url, folder / "data", build) as platform:
        set_clock(database_url, NOW)
        records = [
            record
            for name in accounts
            for record in (
                fact("account", id=name),
                fact("notice", id=name, account=name),
                fact("content", id=name, account=name, text=f"Heron {name}."),
            )
        ]
        lines = "\n".join(map(json.dumps, records))
        answer = httpx.post(
            f"{platform.addresses[0]}/ingest", content=lines, headers=platform.headers(Role.PLATFORM_INGEST), timeout=60
        )
        assert answer.json()["total"]["accepted"] == len(records)
        if build is not None:
            with psycopg.connect(database_url, autocommit=True) as connection:
                for statement in MENDED_FOR_BROKEN:
                    connection.execute(statement.encode())
        with ThreadPoolExecutor(READERS) as readers:
            running = [readers.submit(platform.read, number) for number in range(READERS)]
            try:
                return _rounds(platform, accounts, at_once)
            finally:
                platform.over.set()
                for each in running:
                    each.result()


def _rounds(platform: Platform, accounts: list[str], at_once: int) -> set[str]:
    """Go through rounds over the first accounts, with which every page begins."""
    objected: set[str] = set()
    for _ in range(2):  # every reader asks, then has its answer and asks again
        platform.settle(time.monotonic())
    assert platform.answers.since(0)[-1] & set(accounts), "nothing is served to begin with"
    for number, start in enumerate(range(0, len(accounts), at_once)):
        way = ("table", "rows")[number % 2]
        if stale := platform.stale(way, accounts[start : start + at_once], objected):
            return stale
    return set()


@pytest.mark.parametrize("count", [80, pytest.param(200, marks=pytest.mark.ci)])
def test_an_acknowledged_objection_is_in_force_for_every_read_anywhere(
    database_url: str, tmp_path: Path, count: int
) -> None:
    assert objections(database_url, tmp_path, count, 10) == set()


@pytest.mark.exhaustive
def test_ten_thousand_acknowledged_objections_are_in_force_for_every_read_anywhere(
    database_url: str, tmp_path: Path
) -> None:
    assert objections(database_url, tmp_path, 10_000, 50) == set()


@pytest.mark.parametrize(
    ("build", "name"),
    ordinary_every(
        4,
        [
            ("cached", "a cache of 10 s"),
            ("hydrated", "ids first, then what they hold"),
            ("repeatable", "a REPEATABLE READ session"),
            ("shared", "FOR SHARE"),
        ],
    ),
)
def test_a_build_that_serves_after_an_objection_is_noticed(
    database_url: str, tmp_path: Path, build: str, name: str, killed: Killed
) -> None:
    stale = objections(database_url, tmp_path, 50, 5, build)
    killed(name, "the page statement", f"served after the objection: {len(stale)} items" if stale else None)
