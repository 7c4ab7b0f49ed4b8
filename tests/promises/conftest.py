"""The world of canaries, in a database, and gateways over it that are listened to."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.canaries import canary_database, canary_world, copy_of
from tests.support.leak_probe import Hearing, Loaded, listening


@pytest.fixture(scope="module")
def loaded(cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    world = canary_world()
    return Loaded(world, canary_database(cluster, world, tmp_path_factory.mktemp("loaded")))


@pytest.fixture(scope="module")
async def hearing(loaded: Loaded, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hearing]:
    """A gateway over the world, for tests that change none of it."""
    with copy_of(loaded.url) as url:
        async with listening(url, tmp_path_factory.mktemp("hearing"), loaded.world) as opened:
            yield opened


@pytest.fixture
async def loosened(loaded: Loaded, tmp_path: Path) -> AsyncIterator[Hearing]:
    """A gateway over a copy of the world, for tests that break it."""
    with copy_of(loaded.url) as url:
        async with listening(url, tmp_path, loaded.world) as opened:
            yield opened
