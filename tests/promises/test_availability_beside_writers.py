"""A reader that keeps its cursor in the order of availability, beside writers, folds and every kind of change."""

import asyncio
import secrets
import time
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

import asyncpg
import pytest

from schema.relay.ids import IdKind
from tests.promises.test_availability import MOVING, Reader, Unavailable, activate
from tests.support.changing_world import ChangingWorld
from tests.support.facts import NOW, fact
from tests.support.gateway import TestGateway
from tests.support.offers import Offers, offering, offers_of
from tests.support.ordinary_cases import ordinary_every
from tests.support.retractions import settled

pytestmark = pytest.mark.database
gateway = offering

WRITERS, ACCOUNTS, ITEMS = 8, 3, 5
MOVES, LONG_MOVES = 10, 260  # of each writer: a move changes ITEMS items
SEEDS, CHANGES, LONG_SEEDS, LONG_CHANGES = 2, 80, 20, 400
UNSETTLED = (
    "SELECT (SELECT count(*) FROM grounds.offer_mark) + (SELECT count(*) FROM grounds.offer_arrival)"
    " + (SELECT count(*) FROM grounds.availability_ended)"
)
GLOBAL_HOLD = (
    "SELECT count(*) FROM grounds.hold WHERE scope = 'GLOBAL' AND opened_at <= grounds.decision_time()"
    " AND coalesce(lifted_at, 'infinity') > grounds.decision_time() - interval '24 hours'"
)


@dataclass
class Move:
    """A move of an author: when it was sent and acknowledged, and whether the items are permitted after it."""

    sent: float
    acknowledged: float
    permitted: bool


@dataclass
class Delivery:
    """A delivery of an item: when its page was asked for and there, and its receipt."""

    asked: float
    there: float
    receipt: int


@dataclass
class Log:
    """What writers did to each account, and what the reader was given of each item."""

    moves: dict[str, list[Move]] = field(default_factory=lambda: defaultdict(list))
    deliveries: dict[str, list[Delivery]] = field(default_factory=lambda: defaultdict(list))
    writing: int = WRITERS


async def test_each_item_that_becomes_permitted_is_delivered_once_beside_writers(gateway: TestGateway) -> None:
    await read_beside_writers(gateway, MOVES)


@pytest.mark.long
async def test_each_of_ten_thousand_changes_is_delivered_once_beside_writers(gateway: TestGateway) -> None:
    assert WRITERS * LONG_MOVES * ITEMS > 10_000
    await read_beside_writers(gateway, LONG_MOVES)


async def read_beside_writers(gateway: TestGateway, moves: int) -> None:
    """Let writers move authors there and back while a reader pulls what is new, and compare."""
    gateway.set_clock(NOW)
    await activate(gateway, **MOVING)
    for writer in range(WRITERS):
        names = [f"w-{writer}-{number}" for number in range(ACCOUNTS)]
        items = [fact("content", id=f"{name}/{item}", account=name) for name in names for item in range(ITEMS)]
        await gateway.ingest(
            [fact(kind, id=name, account=name) for kind in ("account", "notice") for name in names] + items
        )
    log = Log()
    reader = Reader(gateway, 7)
    await until_built(gateway)
    await asyncio.gather(keep_reading(gateway, reader, log), *(write(gateway, log, w, moves) for w in range(WRITERS)))
    await settled(gateway)
    for _ in range(200):
        if gateway.execute(UNSETTLED) == [(0,)]:
            break
        await asyncio.sleep(0.05)
    await read_all(gateway, reader, log)
    check(gateway, log)


async def until_built(gateway: TestGateway) -> None:
    """Wait until the job has built the offers."""
    for _ in range(400):
        if gateway.execute("SELECT DISTINCT state FROM grounds.offer_set") == [("SERVING",)]:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("offers are not built")


async def write(gateway: TestGateway, log: Log, writer: int, moves: int) -> None:
    """Move the writer's authors abroad and back."""
    random = Random(writer)
    for number in range(moves):
        name = f"w-{writer}-{random.randrange(ACCOUNTS)}"
        before = log.moves[name][-1].permitted if log.moves[name] else True
        sent = time.monotonic()
        stated = fact("account", id=name, country="US" if before else "IE")
        stated["observed_at"] = f"2026-02-01T00:{number // 60:02}:{number % 60:02}Z"
        answer = await gateway.ingest([stated])
        assert answer["total"]["rejected"] == 0
        log.moves[name].append(Move(sent, time.monotonic(), not before))
        await asyncio.sleep(random.choice([0, 0.01, 0.3]))
    log.writing -= 1


async def keep_reading(gateway: TestGateway, reader: Reader, log: Log) -> None:
    """Read what is new until the writers have ended."""
    while log.writing:
        await read_all(gateway, reader, log)
        await asyncio.sleep(0.02)


async def read_all(gateway: TestGateway, reader: Reader, log: Log) -> None:
    """Read what is new now."""
    has_next = True
    while has_next:
        asked = time.monotonic()
        page = await reader.page()
        there = time.monotonic()
        has_next = page["pageInfo"]["hasNextPage"]
        for edge in page["edges"]:
            receipt = reader.ids.decode_as(IdKind.RECEIPT, edge["node"]["reason"]["receipt"])
            assert receipt is not None
            name = reader.name(reader.number(edge["node"]["id"]))
            log.deliveries[name].append(Delivery(asked, there, receipt))


def check(gateway: TestGateway, log: Log) -> None:
    """Hold the deliveries of each item to the moves of its author."""
    told = dict(
        gateway.execute(
            "SELECT c.platform_id, max(r.delivery) FROM grounds.retraction r JOIN grounds.content c ON c.id = r.item"
            " WHERE r.kind = 'RETRACT' GROUP BY 1"
        )
    )
    again = 0
    for writer in range(WRITERS):
        for number in range(ACCOUNTS):
            name = f"w-{writer}-{number}"
            moves = log.moves[name]
            for item in (f"{name}/{each}" for each in range(ITEMS)):
                delivered = log.deliveries[item]
                assert len(delivered) <= 1 + sum(move.permitted for move in moves), f"{item} came too often"
                for one, other in pairwise(delivered):
                    assert any(
                        not move.permitted and move.sent < other.there and move.acknowledged > one.asked
                        for move in moves
                    ), f"{item} came twice while it was permitted"
                again += len(delivered) - 1
                if not moves or moves[-1].permitted:
                    assert delivered, f"{item} was missed"
                    assert delivered[-1].receipt > told.get(item, 0), f"{item} was to be deleted, and came no more"
    assert again > 0, "nothing became permitted again"


@pytest.mark.parametrize("seed", ordinary_every(2, range(SEEDS)))
async def test_a_reader_has_what_is_permitted_whatever_changes(gateway: TestGateway, seed: int) -> None:
    await read_a_changing_world(ChangingWorld(gateway, 1000 + seed), CHANGES)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(LONG_SEEDS))
async def test_a_reader_has_what_is_permitted_in_worlds_never_seen_before(gateway: TestGateway, seed: int) -> None:
    await read_a_changing_world(ChangingWorld(gateway, secrets.randbits(40) + seed), LONG_CHANGES)


async def read_a_changing_world(world: ChangingWorld, changes: int) -> None:
    """Change a world, fold and read at random, and compare what the reader has with what the rules permit."""
    gateway, random = world.gateway, world.random
    await world.begin()
    # What clients are told would be timed by another job; see test_availability.py.
    holder = await asyncpg.connect(gateway.database_url)
    await holder.execute("SELECT pg_advisory_lock(hashtextextended('job:retract', 0))")
    try:
        async with offers_of(gateway) as offers:
            gateway.execute("UPDATE grounds.client SET acknowledged = 9000000000000000000")
            model = Model(gateway, offers, Reader(gateway, 7))
            await model.fold("at first")
            for number in range(changes):
                if random.random() < 0.4:
                    offers.fold()  # what gets a position now is not read, and can be marked when it is
                made = await world.change()
                model.look()
                if random.random() < 0.3:
                    await model.read((number, made))
                if random.random() < 0.3:
                    await model.fold((number, made))
            await model.fold("at last")
            assert model.delivered > changes / 4
            assert model.passed_over > 0 or changes < LONG_CHANGES
    finally:
        await holder.close()


class Model:
    """What a reader has of the items that have been permitted since it was given them."""

    def __init__(self, gateway: TestGateway, offers: Offers, reader: Reader) -> None:
        self.gateway, self.offers, self.reader = gateway, offers, reader
        self.has: set[int] = set()
        self.gaps: set[int] = set()  # what was forbidden since the last fold, perhaps for a moment
        self.is_blurred = False  # a hold of everything hides what is forbidden beneath it
        self.delivered = self.passed_over = 0

    def look(self) -> set[int]:
        """Look at what the rules permit now."""
        claim = "SELECT set_config('grounds.purpose', 'GENAI_TRAINING', FALSE)"
        self.offers.connection.execute(claim.encode())
        found = self.offers.connection.execute(b"SELECT id FROM grounds.trainable_content").fetchall()
        permitted = {int(item) for (item,) in found}
        self.is_blurred = self.is_blurred or self.gateway.execute(GLOBAL_HOLD) != [(0,)]
        self.gaps |= self.has - permitted
        return permitted

    async def read(self, when: object) -> None:
        """Read what is new, as far as it goes now."""
        try:
            found = await self.reader.new_items()
        except Unavailable:
            return
        permitted = self.look()
        assert set(found) <= permitted, (when, "forbidden")
        if not self.is_blurred:
            assert not set(found) & self.has - self.gaps, (when, "came twice")
        assert len(found) == len(set(found)), when
        self.passed_over += (self.reader.cursor or "").count(".")
        self.delivered += len(found)
        self.has |= set(found)

    async def fold(self, when: object) -> None:
        """Fold, and compare."""
        self.offers.fold()
        await self.read(when)
        if self.gateway.execute(GLOBAL_HOLD) != [(0,)]:
            return
        permitted = self.look()
        self.has &= permitted
        assert self.has == permitted, (when, "missed", permitted - self.has)
        self.gaps, self.is_blurred = set(), False
