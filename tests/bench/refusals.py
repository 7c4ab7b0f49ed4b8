"""Measure what the time that a refusal takes tells: can who asks know what is hidden from what never existed?

For each way, hidden things and numbers that nothing has are asked for over one connection, in random order. The AUC
(Mann-Whitney) is how often a hidden one takes longer than one that never existed: 0.5 tells nothing. Wanted: <= 0.55.
With --repeats everything is asked for so often and the least time counts: what somebody learns who asks again and
again, and on a busy machine the only measure that is not of its noise.
"""

import argparse
import asyncio
import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import groupby
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TypeVar

import orjson
import psycopg

from app.auth.dev_issuer import DevelopmentIssuer
from app.settings import Settings
from schema.actor import Role
from schema.relay.ids import IdKind, Ids, ids_of
from tests.bench.world import loaded, served, training_connection

Thing = TypeVar("Thing")

CLIENT = "bench"
WARM = 200
WANTED = 0.55


@dataclass(frozen=True)
class Way:
    """A way to ask for one thing, with ids of hidden things and of things that never existed."""

    name: str
    token: str
    query: str
    hidden: Sequence[str]
    never: Sequence[str]


def auc(hidden: Sequence[float], never: Sequence[float]) -> tuple[float, float]:
    """Return the area under the curve and half its 95 % interval (Hanley and McNeil 1982); ties count a half."""
    places = sorted([(value, True) for value in hidden] + [(value, False) for value in never])
    ranks, below = 0.0, 0
    for _, group in groupby(places, key=lambda place: place[0]):
        tied = [is_hidden for _, is_hidden in group]
        ranks += sum(tied) * (below + (len(tied) + 1) / 2)
        below += len(tied)
    m, n = len(hidden), len(never)
    area = (ranks - m * (m + 1) / 2) / (m * n)
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + (m - 1) * (q1 - area**2) + (n - 1) * (q2 - area**2)) / (m * n)
    return area, 1.96 * math.sqrt(variance)


def timed(client: HTTPConnection, way: Way, repeats: int, chance: random.Random) -> tuple[list[float], list[float]]:
    """Ask for everything, in random order; return the least seconds of each of the hidden and of what never existed."""
    headers = {"Authorization": f"Bearer {way.token}", "Content-Type": "application/json"}
    asked = [*way.hidden, *way.never]
    least = dict.fromkeys(asked, math.inf)
    answers = set()
    for turn in range(-1, repeats):
        chance.shuffle(asked)
        for id in asked[:WARM] if turn < 0 else asked:
            body = orjson.dumps({"query": way.query, "variables": {"id": id}})
            started = perf_counter()
            client.request("POST", "/graphql", body, headers)
            answers.add(client.getresponse().read())
            if turn >= 0:
                least[id] = min(least[id], perf_counter() - started)
    assert len(answers) == 1, "the words themselves tell"
    return [least[id] for id in way.hidden], [least[id] for id in way.never]


async def ways(settings: Settings, url: str, pairs: int, chance: random.Random) -> list[Way]:
    """Choose a person and a client, and what is hidden from them."""
    secret, issuer = settings.secret_bytes(), DevelopmentIssuer.open(settings.data)
    with psycopg.connect(url) as admin:
        items: dict[int, int] = dict(admin.execute("SELECT id, account FROM grounds.content").fetchall())
        people = admin.execute("SELECT id, platform_id FROM grounds.account WHERE is_known").fetchall()
    person, subject = people[len(people) // 2]
    permitted = await _permitted(settings, url)
    theirs = _some([number for number, account in items.items() if account != person], pairs, chance)
    withheld = _some([number for number in items if number not in permitted], pairs, chance)
    others = _some([one for one in people if one[0] != person], pairs, chance)
    accounts, names = [number for number, _ in others], [name for _, name in others]
    never = _some(range(max(items) + 1, max(items) + 1 + len(items)), pairs, chance)
    as_person = issuer.token(Role.DATA_SUBJECT, subject=subject)
    as_client = issuer.token(Role.TRAINING_CLIENT, client=CLIENT, purpose="GENAI_TRAINING")

    def way(name: str, token: str, query: str, ids: Ids, kind: IdKind, hidden: list[int]) -> Way:
        """Ask by ids as nobody can have them: they cannot be made without the secret."""
        return Way(name, token, query, ids.encode_all(kind, hidden), ids.encode_all(kind, never))

    own, client = ids_of(secret, f"subject:{subject}"), ids_of(secret, f"client:{CLIENT}")
    node = "query Ask($id: ID!) { node(id: $id) { id } }"
    content, account = (node.replace("node(", f"{name}(") for name in ("content", "account"))
    why = "query Ask($id: ID!) { eligibility(contentId: $id) { permitted } }"
    return [
        way("data subject: content", as_person, content, own, IdKind.CONTENT, theirs),
        way("data subject: eligibility", as_person, why, own, IdKind.CONTENT, theirs),
        way("data subject: node", as_person, node, own, IdKind.CONTENT, theirs),
        way("data subject: account", as_person, account, own, IdKind.ACCOUNT, accounts),
        Way("data subject: account, named", as_person, account, names, ["~" + name[1:] for name in names]),
        way("training client: node", as_client, node, client, IdKind.TRAINABLE_CONTENT, withheld),
    ]


async def _permitted(settings: Settings, url: str) -> set[int]:
    connection = await training_connection(settings, url)
    await connection.fetch(
        "SELECT set_config('grounds.client', grounds.register_client($1)::text, FALSE),"
        " set_config('grounds.purpose', 'GENAI_TRAINING', FALSE)",
        CLIENT,
    )
    rows = await connection.fetch("SELECT id FROM grounds.trainable_content", timeout=600)
    await connection.close()
    return {row["id"] for row in rows}


def _some(all_of_them: Iterable[Thing], pairs: int, chance: random.Random) -> list[Thing]:
    return chance.sample(list(all_of_them), pairs)


async def measure(settings: Settings, url: str, pairs: int, repeats: int, seed: int) -> None:
    """Measure each way."""
    chance = random.Random(seed)
    asked = await ways(settings, url, pairs, chance)
    async with served(settings) as client:
        for way in asked:
            hidden, never = timed(client, way, repeats, chance)
            area, half = auc(hidden, never)
            times = f"hidden {median(hidden) * 1e3:6.3f} ms  never {median(never) * 1e3:6.3f} ms"
            told = "" if area - half <= WANTED else f"  more than {WANTED}"
            print(f"{way.name:28}  {times}  AUC {area:.3f} ± {half:.3f}{told}", flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(".grounds-bench"))
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--pairs", type=int, default=5_000)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with loaded(options.data, options.items) as (settings, url):
        asyncio.run(measure(settings, url, options.pairs, options.repeats, options.seed))


if __name__ == "__main__":
    main()
