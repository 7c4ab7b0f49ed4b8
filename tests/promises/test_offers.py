"""Offers: never more than the rules permit, between any two commits, and after a fold exactly that."""

import secrets

import psycopg
import pytest

from tests.support.agreement import enforce, load
from tests.support.changing_world import ChangingWorld
from tests.support.gateway import TestGateway
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


@pytest.mark.long
@pytest.mark.parametrize("seed", range(LONG_SEEDS))
async def test_offers_are_what_the_rules_permit_in_worlds_never_seen_before(gateway: TestGateway, seed: int) -> None:
    await run_changes(ChangingWorld(gateway, secrets.randbits(40) + seed), LONG_CHANGES)


async def run_changes(world: ChangingWorld, changes: int) -> None:
    """Change a world, also while a fold is open, and compare after each commit and each fold."""
    await world.begin()
    random, hidden, offered = world.random, 0, 0
    with psycopg.connect(world.gateway.database_url) as folding:
        async with offers_of(world.gateway) as offers:
            compare(offers, "at first")
            for number in range(changes):
                fold_is_open = random.random() < 0.3
                if fold_is_open:
                    folding.execute("SELECT grounds.fold_offers(1000)")
                made = await (world.change_facts() if fold_is_open else world.change())
                assert not offers.too_many(), (number, made)
                folding.commit()
                assert not offers.too_many(), (number, made, "after a fold that was open")
                if random.random() < 0.3:
                    offers.step(*random.choice([("build_offers", 20), ("fold_offers", 1), ("fold_offers", 3)]))
                    assert not offers.too_many(), (number, made, "after a step")
                if random.random() < 0.3:
                    hidden += len(offers.missing())
                    compare(offers, (number, made))
                    offered += offers.count()
    assert hidden > 0
    assert offered > changes


def compare(offers: Offers, when: object) -> None:
    """Fold, and hold the offers to the rules."""
    offers.fold()
    assert not offers.too_many(), (when, "after a fold")
    assert not offers.missing(), (when, "after a fold")
