"""Measure what an objection by an address tells: does the form answer otherwise where the address is known?

`./run python -m tests.bench.known_addresses --pairs 200` files an objection by each of so many known and unknown
addresses, in random order, through a served form. Wanted: the same status and length, and medians within 10 %. It also
prints the medians of the statement alone, which the form's least time of an answer hides.
"""

import argparse
import asyncio
import os
import random
import sys
from collections.abc import Awaitable, Callable
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from time import perf_counter
from urllib.parse import urlencode

import psycopg

from app.settings import Settings
from db.connection import open_database
from db.oversight.objection_filing import ObjectionSubmitter, file_objection, stated_target
from db.vocabulary import ObjectionChannel, ObjectionScope
from tests.bench.refusals import auc
from tests.bench.world import loaded, served

WANTED = 1.1
Times = dict[bool, list[float]]


def addresses(url: str, pairs: int, chance: random.Random) -> list[tuple[str, bool]]:
    """Link addresses to accounts; return these and as many others in random order, each with whether it is known."""
    known = [f"known.{number}@example.org" for number in range(pairs)]
    with psycopg.connect(url, autocommit=True) as admin:
        accounts = [row for (row,) in admin.execute("SELECT id FROM grounds.account WHERE is_known LIMIT %s", [pairs])]
        admin.cursor().executemany(
            "INSERT INTO grounds.account_contact (account, contact) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [(account, stated_target(contact=name).value) for account, name in zip(accounts, known, strict=True)],
        )
    asked = [(name, True) for name in known] + [(f"other.{number}@example.org", False) for number in range(pairs)]
    chance.shuffle(asked)
    return asked


def by_form(client: HTTPConnection, number: int, name: str) -> tuple[int, int]:
    """File an objection as one of many clients of a proxy; return the status and the length of the whole answer."""
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Forwarded-For": f"10.{number // 250}.{number % 250}.1",
    }
    client.request("POST", "/object", urlencode({"who": name}), headers)
    answer = client.getresponse()
    return answer.status, len(answer.read()) + sum(len(name) + len(value) for name, value in answer.getheaders())


async def timed(
    asked: list[tuple[str, bool]], call: Callable[[int, str], Awaitable[object]]
) -> tuple[Times, set[object]]:
    """File each; return the seconds of those that are known and of the others, and what was answered."""
    times: Times = {True: [], False: []}
    answers = set()
    for number, (name, is_known) in enumerate(asked):
        began = perf_counter()
        answers.add(await call(number, name))
        times[is_known].append(perf_counter() - began)
    return times, answers


def ratio(what: str, times: Times) -> float:
    """Print medians and the chance to tell one from the other; return the ratio of the medians."""
    known, other = median(times[True]), median(times[False])
    area, half = auc(times[True], times[False])
    medians = f"known {known * 1e3:7.2f} ms  unknown {other * 1e3:7.2f} ms  {known / other:.3f} x"
    print(f"{what:12} {medians}  AUC {area:.3f} ± {half:.3f}")
    return known / other


async def measure(settings: Settings, url: str, pairs: int, seed: int) -> bool:
    """Measure the form, and the statement alone; return whether the form is as wanted."""
    asked = addresses(url, pairs, random.Random(seed))
    os.environ["GROUNDS_TRUSTED_PROXIES"] = "127.0.0.1"
    async with served(settings) as client:

        async def file(number: int, name: str) -> tuple[int, int]:
            return await asyncio.to_thread(by_form, client, number, name)

        times, answers = await timed(asked, file)
        print(f"status and length of every answer: {sorted(map(str, answers))}")
        found = ratio("form", times)
    async with open_database(url, settings.secret_bytes()) as database:
        submitter = ObjectionSubmitter.form(database)

        async def state(_: int, name: str) -> None:
            await file_objection(submitter, stated_target(contact=name), ObjectionScope.ALL, ObjectionChannel.FORM)

        ratio("statement", (await timed(asked, state))[0])
    return len(answers) == 1 and 1 / WANTED <= found <= WANTED


def main() -> None:
    """Run the benchmark; the exit code is 1 where an answer tells."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(".grounds-bench"))
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with loaded(options.data, options.items) as (settings, url):
        if not asyncio.run(measure(settings, url, options.pairs, options.seed)):
            sys.exit(1)


if __name__ == "__main__":
    main()
