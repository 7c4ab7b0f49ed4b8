"""A snapshot of coverage: how long it takes, its longest statement, the memory that it needs, and what reading takes.

`./run python -m tests.bench.coverage --items 2000000` prints them, and what is left of use in the published tables: how
much is shown, how far it is from the exact counts, whether the largest representation ratios keep their order. Two
clients hold every permitted item before.
"""

import argparse
import asyncio
import statistics
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from time import perf_counter

import asyncpg
import orjson

from app.settings import Settings
from db.access.declaration import WORKER
from db.connection import Database, open_database
from db.coverage.snapshot import Dimension, exact_rows, exact_snapshot, published_coverage, take_coverage
from db.secrets import role_password
from tests.bench.world import loaded

AFRESH = """
TRUNCATE grounds.coverage_part, grounds.coverage_person, grounds.coverage_delivered, grounds.coverage_cell,
    grounds.coverage_snapshot, grounds.coverage_published
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
    with _peaks("self", str(backend)) as peaks:
        going_on = 1
        while going_on:
            began = perf_counter()
            going_on = await take_coverage(worker)
            pieces.append(perf_counter() - began)
    items = await administrator.fetchval("SELECT counts[1] FROM grounds.coverage_cell WHERE shape = 0")
    print(f"{items:,} items in {sum(pieces):.1f} s, {len(pieces)} pieces, the longest {max(pieces):.1f} s")
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
        if not name:
            continue
        exact = await _exact_cells(administrator, name.split(","))
        shown = {tuple(key): (items, its) for key, items, its, *_ in rows if items is not None and tuple(key) in exact}
        share = sum(exact[key][0] for key in shown) / whole
        large = [key for key in shown if exact[key][2] >= MANY_PERSONS]
        off = [abs(shown[key][0] - exact[key][0]) / exact[key][0] for key in large]
        top = sorted(large, key=lambda key: -exact[key][1] / exact[key][0])[:LARGEST_RATIOS]
        ratios = [shown[key][1] / shown[key][0] for key in top]
        in_order = _pairs_in_order(ratios)
        print(
            f"{name:18} {len(shown):5} of {len(exact):5} cells shown, {share:7.2%} of items;"
            f" {len(large):4} of {sum(n >= MANY_PERSONS for *_, n in exact.values()):4} of {MANY_PERSONS} persons,"
            f" off by {statistics.median(off) if off else 0:6.2%}; {in_order:6.1%} of pairs of the"
            f" {len(top)} largest ratios in order"
        )


def _pairs_in_order(numbers: list[float]) -> float:
    pairs = list(combinations(numbers, 2))
    return sum(larger >= smaller for larger, smaller in pairs) / max(1, len(pairs))


async def _exact_cells(administrator: asyncpg.Connection, by: list[str]) -> dict[tuple[str, ...], tuple[int, int, int]]:
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
