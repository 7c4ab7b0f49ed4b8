"""A snapshot of coverage: how long it takes, its longest statement, the memory that it needs, and what reading takes.

`./run python -m tests.bench.coverage --items 2000000` prints them, and what share of published tables is suppressed.
Two clients hold every permitted item before.
"""

import argparse
import asyncio
import statistics
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import asyncpg
import orjson

from app.settings import Settings
from db.access import WORKER
from db.admin import role_password
from db.coverage import Dimension, exact_rows, exact_snapshot, published_coverage, take_coverage
from db.session import Database, open_database
from tests.bench.world import loaded

AFRESH = """
TRUNCATE grounds.coverage_part, grounds.coverage_delivered, grounds.coverage_cell, grounds.coverage_snapshot,
    grounds.coverage_published
"""
DELIVER = """
INSERT INTO grounds.delivery (client, purpose, policy, decided_at, items, lowest, highest)
SELECT client, 'GENAI_TRAINING', '2025-05-27', now(), array_agg(id ORDER BY id), min(id), max(id)
FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM grounds.decision WHERE permitted) permitted
CROSS JOIN generate_series(1, 2) client GROUP BY client, place / 1000
"""


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
        await _read(database, rounds)
    await _suppressed(administrator)
    await worker.close()
    await administrator.close()


async def _read(database: Database, rounds: int) -> None:
    reader = database.examiner("benchmark")
    snapshot = await exact_snapshot(reader, None)
    assert snapshot is not None, "it was taken"
    country, kind, language = Dimension.COUNTRY, Dimension.KIND, Dimension.LANGUAGE
    questions: dict[str, Callable[[], Awaitable[object]]] = {
        "exact, all items": lambda: exact_rows(reader, snapshot, [], {}),
        "exact, country by language": lambda: exact_rows(reader, snapshot, [country, language], {}),
        "exact, country by language of a kind": lambda: exact_rows(
            reader, snapshot, [country, language], {kind: ["POST"]}
        ),
        "published, country by kind": lambda: published_coverage(database.dashboard, None, ["", "KIND,COUNTRY"]),
    }
    for name, ask in questions.items():
        taken = []
        for _ in range(rounds):
            began = perf_counter()
            await ask()
            taken.append(perf_counter() - began)
        print(f"{name:40} {statistics.median(taken) * 1e3:8.1f} ms")


async def _suppressed(administrator: asyncpg.Connection) -> None:
    """Print of each published table how many of its cells are not shown, and what share of all items they hold."""
    tables = orjson.loads(await administrator.fetchval("SELECT tables::text FROM grounds.coverage_published"))
    everything = tables[""][0][1]
    for name, rows in tables.items():
        cells = [counts[0] for _, *counts in rows]
        hidden = sum(count is None for count in cells)
        rest = 1 - sum(count or 0 for count in cells) / everything
        merged = next((count for key, count, *_ in rows if key == ["other"]), 0) if "," not in name else 0
        share = f"{hidden:5} of {len(cells):5} suppressed, {max(rest, 0):6.2%} of items"
        print(f"{name or 'all':20} {share}; {merged:,} are other")


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
