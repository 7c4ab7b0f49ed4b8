"""A pool is shared fairly: none can keep others out, and what must always be possible finds a connection."""

import asyncio
import random
from collections import Counter

import pytest

from db.connection import Database, FairShare, PoolExhausted, Sharer, borrowing_as, connection, open_database
from tests.support.gateway import SECRET
from tests.support.mutants import Killed

GREEDY, OFFICER = Sharer("greedy"), Sharer("officer", reserved=True)


async def ask(share: FairShare, *sharers: Sharer | None) -> list[asyncio.Task[None]]:
    """Let each ask for a turn; return what it waits in."""
    tasks = [asyncio.create_task(share.acquire(each)) for each in sharers]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


def granted(tasks: list[asyncio.Task[None]]) -> int:
    return sum(task.done() for task in tasks)


async def dismiss(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_none_has_more_than_half_and_the_one_that_holds_fewest_is_next() -> None:
    share = FairShare(8)
    greedy = await ask(share, *[GREEDY] * 32)
    assert granted(greedy) == 4, "half is kept for others although they do not ask"
    others = await ask(share, *(Sharer(f"other-{number}") for number in range(5)))
    assert granted(others) == 4
    share.release(GREEDY)
    await asyncio.sleep(0)
    assert (granted(greedy), granted(others)) == (4, 5), "it waited for less long, and holds fewer"
    await dismiss(*greedy, *others)


async def test_the_reserve_is_left_to_what_must_always_be_possible() -> None:
    share = FairShare(4, reserve=1)
    strangers = await ask(share, *(Sharer(f"stranger-{number}") for number in range(20)))
    officer, job = await ask(share, OFFICER), await ask(share, None)
    assert [granted(each) for each in (strangers, officer, job)] == [3, 1, 0], "four are four"
    await dismiss(*strangers, *officer, *job)


async def test_the_smallest_pool_serves_all_in_turn() -> None:
    share = FairShare(1, reserve=1)
    tasks = await ask(share, GREEDY, GREEDY, OFFICER, None)
    for number, holder in enumerate((GREEDY, GREEDY, OFFICER, None), 1):
        assert granted(tasks) == number
        share.release(holder)
        await asyncio.sleep(0)


async def test_whatever_comes_and_goes_no_turn_is_lost_and_none_is_given_twice() -> None:
    chance, held, size = random.Random(4), Counter[Sharer | None](), 5
    share = FairShare(size, reserve=1)
    sharers = [None, OFFICER, *(Sharer(f"{number}") for number in range(4))]

    async def borrow() -> None:
        sharer = chance.choice(sharers)
        try:
            async with asyncio.timeout(chance.choice((0.0, 0.001, 1))):
                await share.acquire(sharer)
        except TimeoutError:
            return
        held[sharer] += 1
        assert held.total() <= size
        assert sharer is None or held[sharer] <= 2
        await asyncio.sleep(chance.random() / 1000)
        held[sharer] -= 1
        share.release(sharer)

    for _ in range(20):
        await asyncio.gather(*(borrow() for _ in range(100)))
    rest = await ask(share, *[None] * 6)
    assert granted(rest) == size
    await dismiss(*rest)


async def served_beside_a_greedy_client(database: Database) -> int:
    """Let one client ask for 16 connections at once and another for one, six times; count how often it has it."""

    async def borrow(name: str, seconds: float) -> bool:
        try:
            with borrowing_as(name):
                async with connection(database.training, wait_seconds=0.3) as borrowed:
                    await borrowed.execute("SELECT pg_sleep($1)", seconds)
        except PoolExhausted:
            return False
        return True

    served = 0
    for _ in range(6):
        greedy = [asyncio.create_task(borrow("greedy", 1)) for _ in range(16)]
        await asyncio.sleep(0.1)
        served += await borrow("other", 0)
        await asyncio.gather(*greedy)
    return served


async def test_a_greedy_client_leaves_connections_to_others(
    database_url: str, monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    async with open_database(database_url, SECRET, connections=4) as database:
        assert await served_beside_a_greedy_client(database) == 6
        monkeypatch.setattr(database.training.share, "_most", 4)
        missed = 6 - await served_beside_a_greedy_client(database)
        killed("a client may have every connection", "db.connection", f"{missed} of 6 refused" if missed else None)
