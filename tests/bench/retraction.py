"""How long it takes until every holder of changed items is told: changed by one statement, by one author, by 1,000.

`./run python -m tests.bench.retraction --items 100000 --clients 20` prints the median seconds of the job, from the
change on, and of its CPU, which depends less on what else runs. Every client holds every item, and each round has a
fresh copy of the database.
"""

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import psycopg

from app.server.bootstrap import open_current_database
from app.settings import Settings
from db.connection import connection, open_database
from db.delivery.retractions import record_deliveries, retract_due
from db.embedded_postgres import remove_embedded_postgres
from db.ingest.merge import ingest_lines
from db.ingest.staging import Stager
from tests.bench.objection import as_line, once
from tests.bench.world import blocks
from tests.support.facts import NOW, fact

AUTHORS = 1000
STATEMENT = "UPDATE grounds.content SET audience = 'FRIENDS' WHERE account = (SELECT id FROM grounds.account LIMIT 1)"
WAYS = {"one statement": 0, "one author": 1, "1,000 authors": AUTHORS}
"""How many authors object; 0: nobody does, and a statement changes the items of one."""
RECEIPTS = """DO $$ BEGIN
    PERFORM set_config('grounds.purpose', 'GENAI_TRAINING', TRUE);
    FOR holder IN 1..(SELECT count(*) FROM grounds.client) LOOP
        PERFORM set_config('grounds.client', holder::text, TRUE);
        PERFORM grounds.write_receipt(array_agg(id ORDER BY id)) FROM grounds.content GROUP BY id / 1000;
    END LOOP;
END $$"""


def facts(items: int) -> Iterator[bytes]:
    """Yield the facts of so many items of one author, and of as many of a thousand."""
    names = ["author", *(f"author-{number}" for number in range(AUTHORS))]
    yield from (as_line(fact("account", id=name)) for name in names)
    yield from (as_line(fact("notice", id=f"notice of {name}", account=name)) for name in names)
    yield from (as_line(fact("content", id=f"one {number}", account="author")) for number in range(items))
    for number in range(items):
        yield as_line(fact("content", id=f"many {number}", account=f"author-{number % AUTHORS}"))


async def load(settings: Settings, url: str, items: int, clients: int) -> None:
    """Load the items, and let each client have all of them."""
    stager = Stager()
    async with open_database(url, settings.secret_bytes()) as database, connection(database.ingest) as borrowed:
        await ingest_lines(borrowed, blocks(facts(items)), stager, on_rejected=print)
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute("INSERT INTO grounds.client (name) SELECT 'c' || n FROM generate_series(1, %s) n", [clients])
            admin.execute(RECEIPTS)
        async with connection(database.worker) as worker:
            while await record_deliveries(worker) or await retract_due(worker):
                pass
    stager.close()
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("VACUUM ANALYZE")


async def tell(settings: Settings, url: str, authors: int) -> tuple[float, float]:
    """Change the items, and do what the job does; return its seconds, and those of its CPU."""
    stager = Stager()
    async with open_database(url, settings.secret_bytes()) as database:
        if authors:
            names = ["author"] if authors == 1 else [f"author-{number}" for number in range(authors)]
            lines = b"".join(
                as_line(fact("objection", id=name, account=name, received_at=NOW.isoformat())) for name in names
            )
            async with connection(database.ingest) as borrowed:
                await ingest_lines(borrowed, once(lines), stager, on_rejected=print)
        else:
            with psycopg.connect(url, autocommit=True) as admin:
                admin.execute(STATEMENT)
        async with connection(database.worker) as worker:
            process = await worker.fetchval("SELECT pg_backend_pid()")
            began, cpu = perf_counter(), cpu_seconds(process)
            while await retract_due(worker):
                pass
            taken = perf_counter() - began, cpu_seconds(process) - cpu
    stager.close()
    return taken


def cpu_seconds(process: int) -> float:
    """Return how long a process has computed, by Linux's clock of 100 ticks a second."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def measure(settings: Settings, url: str, expected: int, rounds: int) -> None:
    """Measure each way in turn on copies of the database, and print medians."""
    taken: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    server, _, name = url.rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        for _ in range(rounds):
            for way, authors in WAYS.items():
                admin.execute("DROP DATABASE IF EXISTS bench WITH (FORCE)")
                admin.execute(f"CREATE DATABASE bench TEMPLATE {name} STRATEGY file_copy".encode())
                taken[way].append(asyncio.run(tell(settings, f"{server}/bench", authors)))
                with psycopg.connect(f"{server}/bench") as copy:
                    told = copy.execute("SELECT count(*), count(DISTINCT (client, item)) FROM grounds.retraction")
                    assert told.fetchone() == (expected, expected), way
    for way, times in taken.items():
        elapsed, cpu = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"{expected:,} retractions, changed by {way:14} {elapsed:6.1f} s, {cpu:6.1f} s of CPU")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder))
        with open_current_database(settings) as url:
            asyncio.run(load(settings, url, options.items, options.clients))
            measure(settings, url, options.items * options.clients, options.rounds)
        remove_embedded_postgres(settings.data / "postgres")


if __name__ == "__main__":
    main()
