"""An objection by an account of 100,000 items beside one by an account of one item: until it is committed.

`./run python -m tests.bench.objection --items 100000` prints medians and their ratio, and how long it takes until a
client that received all of them is told.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.server.bootstrap import open_current_database
from app.settings import Settings
from db.connection import Connection, Database, connection, open_database
from db.delivery.clients import list_clients
from db.delivery.pages import Filter, deliver, register_client
from db.delivery.retractions import retract_due
from db.embedded_postgres import remove_embedded_postgres
from db.ingest.merge import ingest_lines
from db.ingest.staging import Stager
from tests.bench.world import blocks, interleaved
from tests.support.facts import fact


def facts(items: int) -> Iterator[bytes]:
    """Yield the facts of two people: one wrote so many items, the other a single one."""
    for name in ("many", "one"):
        yield as_line(fact("account", id=name, person=name))
        yield as_line(fact("notice", id=name, account=name))
        yield as_line(fact("content", id=name, account=name))
    for number in range(items - 1):
        yield as_line(fact("content", id=f"item-{number}", account="many"))


def as_line(record: dict[str, Any]) -> bytes:
    """Write a record as a line."""
    return json.dumps(record).encode() + b"\n"


async def measure(settings: Settings, url: str, items: int, rounds: int) -> None:
    """Load, and object in turn."""
    stager = Stager()
    async with open_database(url, settings.secret_bytes()) as database, connection(database.ingest) as borrowed:
        summary = await ingest_lines(borrowed, blocks(facts(items)), stager, on_rejected=print)
        print(f"{summary.total('accepted'):,} records are in")
        await _deliver_all(database)
        medians = await interleaved(
            {f"by an account of {count:,} items": _objecting(borrowed, stager, name)
             for name, count in (("one", 1), ("many", items))},
            rounds,
        )  # fmt: skip
        await _retract(database)
    stager.close()
    base = next(iter(medians.values()))
    for name, median in medians.items():
        print(f"objection {name:32} {median * 1e3:8.2f} ms  {median / base:5.2f} x")


async def _deliver_all(database: Database) -> None:
    """Deliver every item to one client."""
    client = await register_client(database.training, "bench")
    after, has_next = 0, True
    while has_next:
        page = await deliver(database.training, client, "GENAI_TRAINING", after, 1000, Filter())
        after, has_next = page.rows[-1]["id"], page.has_next


async def _retract(database: Database) -> None:
    """Do what the background does once a second, and return how long it took."""
    began = time.perf_counter()
    async with connection(database.worker) as borrowed:
        while await retract_due(borrowed):
            pass
    took = time.perf_counter() - began
    (client,) = await list_clients(database.examiner("AUDITOR"))
    print(f"{client.retractions:,} retractions {took:8.2f} s")


def _objecting(borrowed: Connection, stager: Stager, account: str) -> Callable[[int], Awaitable[object]]:
    made = 0

    async def call(_: int) -> object:
        nonlocal made
        made += 1
        received = datetime.now(UTC).isoformat()
        line = as_line(fact("objection", id=f"{account}-{made}", account=account, received_at=received))
        summary = await ingest_lines(borrowed, once(line), stager, on_rejected=print)
        assert summary.total("accepted") == 1
        return summary

    return call


async def once(block: bytes) -> AsyncIterator[bytes]:
    """Yield one block, as a stream of blocks."""
    yield block


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder))
        with open_current_database(settings) as url:
            asyncio.run(measure(settings, url, options.items, options.rounds))
        remove_embedded_postgres(settings.data / "postgres")


if __name__ == "__main__":
    main()
