"""Offers: never more than the rules permit, between any two commits, and after a fold exactly that."""

import secrets

import psycopg
import pytest

from schema.actor import Role
from tests.support.agreement import enforce, load
from tests.support.changing_world import ChangingWorld
from tests.support.database_pauses import job_stopped
from tests.support.facts import NOW, fact
from tests.support.gateway import PULL, TestGateway, settle_offers
from tests.support.mutants import Killed
from tests.support.offers import Offers, offering, offers_of
from tests.support.ordinary_cases import ordinary_every
from tests.support.turning_cases import batch_of_cases
from tests.support.worlds import Batch, make_batch

pytestmark = pytest.mark.database
gateway = offering

SEEDS, CHANGES, KINDS = 2, 100, 30
LONG_SEEDS, LONG_CHANGES = 20, 600


@pytest.mark.parametrize("seed", ordinary_every(2, range(SEEDS)))
async def test_offers_are_what_the_rules_permit_whatever_changes(gateway: TestGateway, seed: int) -> None:
    world = ChangingWorld(gateway, seed)
    await run_changes(world, CHANGES)
    assert len(world.kinds) >= KINDS


@pytest.mark.parametrize(
    "batch",
    ordinary_every(3, [batch_of_cases(), make_batch(300, 60), make_batch(302, 60)]),
    ids=["turns", "300", "302"],
)
async def test_offers_hold_from_the_very_instant_from_which_the_rules_permit(
    gateway: TestGateway, batch: Batch
) -> None:
    await enforce(gateway, batch)
    await load(gateway, batch)
    async with offers_of(gateway) as offers:
        gateway.set_clock(min(batch.instants))
        compare(offers, "at first")
        counts = set()
        for instant in batch.instants:  # without a fold in between
            gateway.set_clock(instant)
            assert not offers.too_many(), instant
            assert not offers.missing(), instant
            counts.add(offers.count())
        assert len(counts) > 1


async def test_what_an_ingest_permits_is_on_the_next_page(gateway: TestGateway, killed: Killed) -> None:
    gateway.set_clock(NOW)
    async with job_stopped(gateway, "offers"):
        settle_offers(gateway.database_url)
        await gateway.ingest([fact("account"), fact("notice"), fact("content")])
        assert await first_page(gateway) == 1
        await gateway.ingest([fact("objection", account="author", received_at="2026-01-01T00:00:00Z")])
        marks = "SELECT count(*) FROM grounds.offer_mark"
        assert gateway.execute(marks) != [(0,)], "an objection waits for no fold"
        assert await first_page(gateway) == 0
    async with offers_of(gateway) as offers:  # keeps ingests from the offers
        offers.fold()
        await gateway.ingest([fact("account", id="other"), fact("notice", account="other", id="other")])
        await gateway.ingest([fact("content", id="other", account="other")])
        killed("no fold at the end of an ingest", "fold_ingested()", None if await first_page(gateway) else "missing")


async def test_an_ingest_does_not_wait_for_a_fold_that_a_job_is_at(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    async with job_stopped(gateway, "offers"):
        settle_offers(gateway.database_url)
        with psycopg.connect(gateway.database_url) as job:
            job.execute("SELECT pg_advisory_xact_lock(hashtextextended('grounds.offer', 0))")
            answer = await gateway.ingest([fact("account"), fact("notice"), fact("content")])
            assert answer["total"]["accepted"] == 3
            assert await first_page(gateway) == 0
        settle_offers(gateway.database_url)
        assert await first_page(gateway) == 1


async def first_page(gateway: TestGateway) -> int:
    """Count the items of the first page, whether marks are folded or not."""
    page = await gateway.ask(Role.TRAINING_CLIENT, PULL, {"first": 9})
    return len(page["trainableContent"]["nodes"])


@pytest.mark.long
@pytest.mark.parametrize("seed", range(LONG_SEEDS))
async def test_offers_are_what_the_rules_permit_in_worlds_never_seen_before(gateway: TestGateway, seed: int) -> None:
    await run_changes(ChangingWorld(gateway, secrets.randbits(40) + seed), LONG_CHANGES)


async def run_changes(world: ChangingWorld, changes: int) -> None:
    """Change a world, also while a fold or a build is open or killed, and compare after each commit and each fold."""
    await world.begin()
    random, hidden, offered, killed = world.random, 0, 0, 0
    async with offers_of(world.gateway) as offers:
        compare(offers, "at first")
        for number in range(changes):
            job = open_step(world) if random.random() < 0.3 else None
            made = await (world.change_facts() if job else world.change())
            assert not offers.too_many(), (number, made)
            if job is not None:
                killed += end_step(world, job)
                assert not offers.too_many(), (number, made, "after a step that was open")
            if random.random() < 0.3:
                offers.step(*random.choice([("build_offers", 20), ("fold_offers", 1), ("fold_offers", 3)]))
                assert not offers.too_many(), (number, made, "after a step")
            if random.random() < 0.3:
                hidden += len(offers.missing())
                compare(offers, (number, made))
                offered += offers.count()
    assert hidden > 0
    assert killed > 0
    assert offered > changes / 10


def open_step(world: ChangingWorld) -> psycopg.Connection:
    """Begin what a job does, a fold or a part of a build, and leave it open."""
    job = psycopg.connect(world.gateway.database_url)
    job.execute(f"SELECT grounds.{world.random.choice(['fold_offers(1000)', 'build_offers(20)'])}".encode())
    return job


def end_step(world: ChangingWorld, job: psycopg.Connection) -> bool:
    """Commit what a job did, or kill it, as a server that is killed; return whether it was killed."""
    with job:
        if world.random.random() < 0.3:
            world.gateway.execute("SELECT pg_terminate_backend(%s, 5000)", job.info.backend_pid)
            job.close()
            return True
        job.commit()
    return False


def compare(offers: Offers, when: object) -> None:
    """Fold, and hold the offers to the rules."""
    offers.fold()
    assert not offers.too_many(), (when, "after a fold")
    assert not offers.missing(), (when, "after a fold")
