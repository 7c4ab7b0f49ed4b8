"""A snapshot of coverage: how long it takes, its longest statement, the memory that it needs, and what reading takes.

`./run python -m tests.bench.coverage --items 2000000` prints them, and what is left of use in the published tables: how
much is shown, how far it is from the exact counts, whether the largest representation ratios keep their order. Two
clients hold every permitted item before.
"""

import argparse
import asyncio
import os
import statistics
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import combinations
from math import hypot
from pathlib import Path
from time import perf_counter

import asyncpg
import orjson

from app.settings import Settings
from db.access.declaration import WORKER
from db.connection import Database, open_database
from db.coverage.publication import CountRow, share_margin
from db.coverage.snapshot import Dimension, exact_rows, exact_snapshot, published_coverage, take_coverage
from db.secrets import role_password
from tests.bench.world import loaded

AFRESH = """
TRUNCATE grounds.coverage_part, grounds.coverage_person, grounds.coverage_parent, grounds.coverage_delivered,
    grounds.coverage_cell, grounds.coverage_snapshot, grounds.coverage_published
"""
DELIVER = """
INSERT INTO grounds.delivery (client, purpose, policy, decided_at, items, lowest, highest, item_count)
SELECT client, 'GENAI_TRAINING', '2025-05-27', now(), array_agg(id ORDER BY id), min(id), max(id), count(*)
FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM grounds.decision WHERE permitted) permitted
CROSS JOIN generate_series(1, 2) client GROUP BY client, place / 1000
"""


JUDGED = """
CREATE TEMPORARY TABLE judged AS
SELECT c.kind, coalesce(c.product, 'unknown') AS product, coalesce(d.country, 'unknown') AS country,
    coalesce(c.language_base, 'unknown') AS language, to_char(c.created_month, 'YYYY-MM') AS month, d.ground,
    d.permitted, coalesce(-m.person_group, c.account) AS person
FROM grounds.decision d JOIN grounds.content c ON c.id = d.id LEFT JOIN grounds.person_member m ON m.account = c.account
"""
Exact = dict[tuple[str, ...], tuple[int, int, int]]
"""Items, permitted ones and persons, by values."""
MANY_PERSONS = 100
LARGEST_RATIOS = 20


async def measure(settings: Settings, url: str, rounds: int) -> None:
    """Take a snapshot, and read it."""
    administrator = await asyncpg.connect(url)
    await administrator.execute(AFRESH)
    if not await administrator.fetchval("SELECT EXISTS (SELECT FROM grounds.delivery)"):
        async with administrator.transaction():
            await administrator.execute(
                "SET LOCAL grounds.examiner = 'benchmark'; SET LOCAL grounds.purpose = 'GENAI_TRAINING'"
            )
            await administrator.execute(DELIVER)
    await administrator.execute("VACUUM ANALYZE grounds.delivery")
    password = role_password(settings.secret_bytes(), WORKER)
    worker = await asyncpg.connect(url, user=WORKER, password=password)
    backend = await worker.fetchval("SELECT pg_backend_pid()")
    pieces: list[float] = []
    used = _cpu_seconds("self", str(backend))
    with _peaks("self", str(backend)) as peaks:
        going_on = 1
        while going_on:
            began = perf_counter()
            going_on = await take_coverage(worker)
            pieces.append(perf_counter() - began)
    items = await administrator.fetchval("SELECT counts[1] FROM grounds.coverage_cell WHERE shape = 0")
    print(f"{items:,} items in {sum(pieces):.1f} s, {len(pieces)} pieces, the longest {max(pieces):.1f} s")
    print(f"of CPU time {_cpu_seconds('self', str(backend)) - used:.1f} s")
    print(f"own memory: {peaks['self']:.0f} MiB more than before; PostgreSQL's process: {peaks[str(backend)]:.0f} MiB")
    size = await administrator.fetchval("SELECT pg_total_relation_size('grounds.coverage_cell')")
    print(f"{size / 2**20:.0f} MiB in store for a day")
    async with open_database(url, settings.secret_bytes()) as database:
        await time_exact_rows(database, rounds)
    await print_usefulness(administrator)
    await worker.close()
    await administrator.close()


async def time_exact_rows(database: Database, rounds: int) -> None:
    reader = database.examiner("benchmark")
    snapshot = await exact_snapshot(reader, None, None)
    assert snapshot is not None, "it was taken"
    country, kind, language = Dimension.COUNTRY, Dimension.KIND, Dimension.LANGUAGE
    questions: dict[str, Callable[[], Awaitable[object]]] = {
        "exact, all items": lambda: exact_rows(reader, snapshot, [], {}),
        "exact, country by language": lambda: exact_rows(reader, snapshot, [country, language], {}),
        "exact, country by language of a kind": lambda: exact_rows(
            reader, snapshot, [country, language], {kind: ["POST"]}
        ),
        "published, country by kind": lambda: published_coverage(database.dashboard, None, ["", "KIND,COUNTRY"], None),
    }
    for name, ask in questions.items():
        taken = []
        for _ in range(rounds):
            began = perf_counter()
            await ask()
            taken.append(perf_counter() - began)
        print(f"{name:40} {statistics.median(taken) * 1e3:8.1f} ms")


async def print_usefulness(administrator: asyncpg.Connection) -> None:
    """Print of each published table how much of it is shown, and how far that is from the exact counts."""
    published = orjson.loads(await administrator.fetchval("SELECT tables::text FROM grounds.coverage_published"))
    tables = published["GENAI_TRAINING"]
    async with administrator.transaction():
        await administrator.execute(
            "SET LOCAL grounds.examiner = 'benchmark'; SET LOCAL grounds.purpose = 'GENAI_TRAINING'"
        )
        await administrator.execute(JUDGED)
    whole = (await _exact_cells(administrator, []))[()][0]
    print(f"all items {whole:,}, published {tables[''][0][1]:,} ± {tables[''][0][8]:,}")
    for name, rows in tables.items():
        if name:
            exact = await _exact_cells(administrator, name.split(","))
            shown = {row.key: row for row in (CountRow(tuple(key), *numbers) for key, *numbers in rows)}
            print_table(name, exact, {key: row for key, row in shown.items() if row.items is not None and key in exact})


def print_table(name: str, exact: Exact, shown: dict[tuple[str, ...], CountRow]) -> None:
    """Print how much of a published table is shown, how far it is from the exact counts, and in which order."""
    share = sum(exact[key][0] for key in shown) / sum(items for items, *_ in exact.values())
    large = [key for key in shown if exact[key][2] >= MANY_PERSONS]
    off = [abs((shown[key].items or 0) - exact[key][0]) / exact[key][0] for key in large]
    permitting = [key for key in large if exact[key][1] > 0]
    off_permitted = [abs((shown[key].permitted or 0) - exact[key][1]) / exact[key][1] for key in permitting]
    top = sorted(large, key=lambda key: -exact[key][1] / exact[key][0])[:LARGEST_RATIOS]
    published = [((shown[key].permitted or 0) / (shown[key].items or 1), share_margin(shown[key]) or 0) for key in top]
    pairs = list(combinations(published, 2))
    apart = [pair for pair in pairs if abs(pair[0][0] - pair[1][0]) > hypot(pair[0][1], pair[1][1])]
    print(
        f"{name:18} {len(shown):4} of {len(exact):4} cells shown, {share:7.2%} of items;"
        f" {len(large):4} of {sum(n >= MANY_PERSONS for *_, n in exact.values()):4} of {MANY_PERSONS} persons,"
        f" off by {_median(off):6.2%}, permitted by {_median(off_permitted):6.2%}; of {len(pairs)} pairs of the"
        f" largest ratios {_in_order(pairs):6.1%} in order, of {len(apart)} separated ones {_in_order(apart):6.1%}"
    )


def _median(numbers: list[float]) -> float:
    return statistics.median(numbers) if numbers else 0.0


def _in_order(pairs: list[tuple[tuple[float, float], tuple[float, float]]]) -> float:
    return sum(larger >= smaller for (larger, _), (smaller, _) in pairs) / max(1, len(pairs))


async def _exact_cells(administrator: asyncpg.Connection, by: list[str]) -> Exact:
    """Count items, permitted ones and persons as they are."""
    columns = ", ".join(name.lower() for name in by)
    rows = await administrator.fetch(
        f"SELECT ARRAY[{columns}]::text[], count(*), count(*) FILTER (WHERE permitted), count(DISTINCT person)"
        f" FROM judged GROUP BY {columns or '()'}"
    )
    return {tuple(key): (items, permitted, persons) for key, items, permitted, persons in rows}


@contextmanager
def _peaks(*processes: str) -> Iterator[dict[str, float]]:
    """Watch how much memory of their own processes use, in MiB at most; of this one, how much more than at first."""
    peaks = dict.fromkeys(processes, 0.0)
    first = _own_memory("self")
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            for process in processes:
                peaks[process] = max(peaks[process], _own_memory(process) - (first if process == "self" else 0))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield peaks
    finally:
        ended.set()
        watching.join()


def _cpu_seconds(*processes: str) -> float:
    """Return how much CPU time some processes used so far."""
    fields = [Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split() for process in processes]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


def _own_memory(process: str) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) / 1024


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=2_000_000)
    parser.add_argument("--data", type=Path, default=Path(".grounds-bench"))
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    with loaded(options.data, options.items) as (settings, url):
        asyncio.run(measure(settings, url, options.rounds))


if __name__ == "__main__":
    main()
