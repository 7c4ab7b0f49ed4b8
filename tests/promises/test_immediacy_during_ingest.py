"""What is acknowledged while facts stream in is in effect: for what is known, and for what arrives at that very moment.

Two servers run over one database. One takes batch after batch of new accounts, and of links and contacts for accounts
that it knows; at both, officers object to accounts, persons and contacts of the batch that is on its way, and open
holds on accounts. An account that an objection names is not permitted for the first statement after the
acknowledgement, nor for any later one, whichever of the two is committed first.
"""

import hashlib
import json
import random
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle

import httpx
import psycopg
import pytest

from schema.actor import Role
from tests.promises.test_immediacy import Platform, letters, serving
from tests.support.facts import NOW, fact
from tests.support.gateway import set_clock
from tests.support.mutants import Killed
from tests.support.shared_database import SharedDatabase

pytestmark = [pytest.mark.database, pytest.mark.xdist_group("serve")]

BATCH = 1500
OFFICERS = 4
WAYS = ("account", "person", "contact", "late person", "late contact", "hold")
OBJECT = "mutation O($input: FileObjectionInput!) { fileObjection(input: $input) { reference } }"
HOLD = 'mutation H($account: String!) { openHold(scope: ACCOUNT, value: $account, authority: "a", reason: "b") { id } }'
# By the index of accounts: to read every item takes longer with each batch.
PERMITTED = """
SELECT count(*) FROM grounds.account a
CROSS JOIN LATERAL (SELECT t.id FROM grounds.trainable_content t WHERE t.account = a.id OFFSET 0) t
WHERE a.platform_id = %s
"""
SERVED = """
SELECT a.platform_id FROM grounds.account a
WHERE a.platform_id = ANY (%s) AND EXISTS (SELECT FROM grounds.trainable_content t WHERE t.account = a.id)
"""
# The build that looks up the accounts of an objection in the statement that files it, and keeps them.
BEFORE_THE_LOCK = """
CREATE OR REPLACE FUNCTION grounds.{0}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO grounds.standing_queue (change, ids)
    SELECT 'PERSON', array_agg(account) FROM grounds.accounts_targeted(ARRAY(SELECT n.{1} FROM new_rows n)) account
    HAVING count(*) > 0;
    RETURN NULL;
END $$
"""


@dataclass
class Ingest:
    """Accounts that stream in, batch by batch, and the targets for objections meanwhile."""

    start: int
    batches: int = 0
    arriving: list[str] = field(default_factory=list)
    """The accounts of the batch that is on its way; those of the one before have arrived."""
    arrived: list[str] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    over: threading.Event = field(default_factory=threading.Event)

    def next_batch(self) -> list[str]:
        """Name the next accounts, and write their records and the links that those before get only now."""
        self.arrived, start = self.arriving, self.start + self.batches * BATCH
        self.arriving = [letters(number) for number in range(start, start + BATCH)]
        self.batches += 1
        lines = [
            record
            for name in self.arriving
            for record in (
                fact("account", id=name, person=f"person {name}", contacts=[digest(name)]),
                fact("notice", id=name, account=name),
                fact("content", id=name, account=name, text=f"Heron {name}."),
            )
        ]
        for name in self.arrived:
            contacts = [digest(name), digest(f"late {name}")]
            lines.append(fact("account", 3, id=name, person=f"late person {name}", contacts=contacts))
        return [json.dumps(line) for line in lines]

    def run(self, address: str, headers: dict[str, str]) -> None:
        """Send batch after batch until enough is tried."""
        with httpx.Client(base_url=address, headers=headers, timeout=120) as client:
            while not self.over.is_set():
                lines = self.next_batch()
                total = client.post("/ingest", content="\n".join(lines)).json()["total"]
                assert total["accepted"] == len(lines), total
                self.known |= set(self.arriving)


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def target_of(way: str, account: str) -> dict[str, object]:
    """Write what names an account in some way."""
    if way == "hold":
        return {"query": HOLD, "variables": {"account": account}}
    target = {
        "account": {"account": account},
        "person": {"person": f"person {account}"},
        "contact": {"contact": digest(account)},
        "late person": {"person": f"late person {account}"},
        "late contact": {"contact": digest(f"late {account}")},
    }[way]
    return {"query": OBJECT, "variables": {"input": {**target, "scope": "ALL"}}}


@dataclass
class Officers:
    """Clients that file objections and holds at both servers, and those that were not in effect."""

    platform: Platform
    ingest: Ingest
    trials: int
    stop_at_first: bool
    acknowledged: dict[str, str] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def work(self, place: int) -> None:
        """File one after the other, and read after each acknowledgement."""
        chance, ways = random.Random(place), cycle(WAYS)
        headers = self.platform.headers(Role.PRIVACY_OFFICER)
        with (
            httpx.Client(base_url=self.platform.addresses[place % 2], headers=headers, timeout=60) as client,
            psycopg.connect(self.platform.database_url, autocommit=True) as database,
        ):
            claim(database)
            while len(self.acknowledged) < self.trials and not (self.missed and self.stop_at_first):
                way = next(ways)
                account = self.account(way, chance)
                if account is None or not self.acknowledges(client, way, account):
                    continue
                # A link or contact that is on its way is in effect when its own line was acknowledged: seen at the end.
                if not way.startswith("late") and database.execute(PERMITTED, [account]).fetchone() != (0,):
                    self.missed.append(f"{way} of {account}, at once")

    def account(self, way: str, chance: random.Random) -> str | None:
        """Take an account that was not taken: a known one to hold, else one that is on its way or gets its links."""
        with self.lock:
            among = self.ingest.arrived if way.startswith(("late", "hold")) else self.ingest.arriving
            left = [name for name in among if name not in self.acknowledged] if among else []
            if not left:
                return None
            account = chance.choice(left)
            self.acknowledged[account] = way
            return account

    def acknowledges(self, client: httpx.Client, way: str, account: str) -> bool:
        """File, and return whether it was acknowledged; a hold on an account that is not there yet is refused."""
        answer = client.post("/graphql", json=target_of(way, account))
        if answer.status_code == 200 and "errors" not in answer.json():
            return True
        with self.lock:
            del self.acknowledged[account]
        return False


def claim(database: psycopg.Connection) -> None:
    """Read as a training client does."""
    client = "set_config('grounds.client', grounds.register_client('reader')::text, FALSE)"
    database.execute(f"SELECT set_config('grounds.purpose', 'GENAI_TRAINING', FALSE), {client}".encode())


@contextmanager
def ingesting(platform: Platform, start: int) -> Iterator[Ingest]:
    """Let accounts stream in at the first server until the block ends."""
    ingest = Ingest(start)
    with ThreadPoolExecutor(1) as one:
        running = one.submit(ingest.run, platform.addresses[0], platform.headers(Role.PLATFORM_INGEST))
        try:
            yield ingest
        finally:
            ingest.over.set()
            running.result()


@contextmanager
def built_otherwise(platform: Platform, functions: Sequence[tuple[str, str]]) -> Iterator[None]:
    """Let the database look up the accounts of an objection before the lock, until the block ends."""
    with psycopg.connect(platform.database_url, autocommit=True) as database:
        kept = [
            database.execute("SELECT pg_get_functiondef(%s::regproc)", [f"grounds.{name}"]).fetchone()
            for name, _ in functions
        ]
        for name, column in functions:
            database.execute(BEFORE_THE_LOCK.format(name, column).encode())
        try:
            yield
        finally:
            for row in kept:
                assert row is not None
                database.execute(row[0].encode())


def missed(platform: Platform, start: int, trials: int, functions: Sequence[tuple[str, str]] = ()) -> list[str]:
    """File so many while accounts stream in; give those that were not in effect, at once or at the end."""
    with built_otherwise(platform, functions), ingesting(platform, start) as ingest:
        officers = Officers(platform, ingest, trials, stop_at_first=bool(functions))
        with ThreadPoolExecutor(OFFICERS) as four:
            list(four.map(officers.work, range(OFFICERS)))
    with psycopg.connect(platform.database_url, autocommit=True) as database:
        claim(database)
        served = {name for (name,) in database.execute(SERVED, [sorted(ingest.known)])}
    named = officers.acknowledged
    if not functions:
        assert served >= ingest.known - set(named), "others are not served"
        assert set(named.values()) == set(WAYS)
    return officers.missed + [f"{way} of {account}, at the end" for account, way in named.items() if account in served]


@pytest.fixture(scope="module")
def platform(cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Two servers for all that is tried here, each time with other accounts."""
    database = SharedDatabase(cluster, "template_of_tests")
    with serving(database.url, tmp_path_factory.mktemp("immediacy") / "data", None) as served:
        set_clock(database.url, NOW)
        yield served
    database.drop()


def test_what_is_acknowledged_while_facts_stream_in_is_in_effect(platform: Platform) -> None:
    assert missed(platform, 0, 300) == []


@pytest.mark.long
def test_three_thousand_of_each_kind_are_in_effect_while_facts_stream_in(platform: Platform) -> None:
    assert missed(platform, 1_000_000, 3_000 * len(WAYS)) == []


def test_a_build_that_asks_whom_an_objection_reaches_before_the_lock_is_noticed(
    platform: Platform, killed: Killed
) -> None:
    found = missed(platform, 2_000_000, 300, [("target_touched", "objection"), ("objection_touched", "id")])
    killed("accounts looked up before the lock", "the queue of standings", f"{len(found)} lost" if found else None)
