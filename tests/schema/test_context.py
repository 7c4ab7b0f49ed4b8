"""The loaders of one request: a field that is cancelled takes no row from another that waits for it."""

import asyncio

from strawberry.dataloader import DataLoader

from schema.context import Loader
from tests.support.mutants import Killed


async def row_of_the_other(made: type[DataLoader[int, int]]) -> int | None:
    """Return what a field reads of a row while another field that waits for the same row is cancelled."""

    async def load(keys: list[int]) -> list[int]:
        await asyncio.sleep(0)
        return keys

    loader = made(load)

    async def read() -> int:
        return await loader.load(7)

    cancelled, other = asyncio.create_task(read()), asyncio.create_task(read())
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.wait([cancelled, other])
    return None if other.cancelled() else other.result()


async def test_a_field_that_is_cancelled_takes_no_row_from_another(killed: Killed) -> None:
    assert await row_of_the_other(Loader) == 7
    found = await row_of_the_other(DataLoader)
    killed("a loader whose rows end with a field", "schema/context.py", "no row" if found is None else None)
