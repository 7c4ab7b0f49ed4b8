"""What it costs that accounts are one person's: to load them, to object, and for others meanwhile.

`./run python -m tests.bench.persons --accounts 10000` prints seconds and ratios: so many accounts of as many persons,
of one person, and in a chain of links; an objection by one of that person; an objection by a contact that ten times as
many accounts share; and an item that names as many accounts.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from app.server.bootstrap import open_current_database
from app.settings import Settings
from db.connection import Database, connection, open_database
from db.embedded_postgres import remove_embedded_postgres
from db.ingest.merge import ingest_lines
from db.ingest.staging import Stager
from db.oversight.objection_filing import ObjectionSubmitter, Target, file_objection
from db.vocabulary import ObjectionChannel, ObjectionScope, TargetKind
from tests.bench.retraction import cpu_seconds
from tests.support.facts import fact

CONTACT = sha256(b"shared").hexdigest()
Records = Iterable[dict[str, Any]]


async def load_records(database: Database, stager: Stager, records: Records) -> float:
    """Load records; return the seconds."""
    began, lines = time.perf_counter(), [json.dumps(record).encode() + b"\n" for record in records]

    async def blocks() -> AsyncIterator[bytes]:
        for start in range(0, len(lines), 1000):
            yield b"".join(lines[start : start + 1000])

    async with connection(database.ingest) as borrowed:
        summary = await ingest_lines(borrowed, blocks(), stager, on_rejected=print)
    assert summary.total("accepted") == len(lines), summary.as_dict()
    return time.perf_counter() - began


async def _object(database: Database, kind: TargetKind, value: str) -> float:
    """File an objection; return the seconds until it is in effect, the backlog included."""
    began = time.perf_counter()
    officer = ObjectionSubmitter.officer(database, "officer")
    await file_objection(officer, Target(kind, value), ObjectionScope.ALL, ObjectionChannel.API)
    acknowledged = time.perf_counter() - began
    async with connection(database.worker) as borrowed:
        process = await borrowed.fetchval("SELECT pg_backend_pid()")
        cpu = cpu_seconds(process)
        while await borrowed.fetchval("SELECT grounds.derive_backlog()"):
            pass
        taken = cpu_seconds(process) - cpu
    derived = f"every standing derived after {time.perf_counter() - began:.2f} s, {taken:.2f} s of CPU for the backlog"
    print(f"    acknowledged after {acknowledged:.2f} s, {derived}")
    return acknowledged


async def _beside(database: Database, others: list[str], busy: asyncio.Task[float]) -> list[float]:
    """Let other people object one after the other while something is under way; return the seconds of each."""
    taken = []
    officer = ObjectionSubmitter.officer(database, "officer")
    for name in others:
        if busy.done():
            break
        began = time.perf_counter()
        await file_objection(officer, Target(TargetKind.ACCOUNT, name), ObjectionScope.ALL, ObjectionChannel.API)
        taken.append(time.perf_counter() - began)
    print(f"    {len(taken)} others objected meanwhile, and waited {max(taken) * 1e3:.1f} ms at most")
    return taken


def _chain(accounts: int) -> Records:
    """Each account has the person of the one before, and then one of its own."""
    for number in range(accounts):
        yield fact("account", 2, id=f"chain-{number}", person=f"link-{number}")
        yield fact("account", 3, id=f"chain-{number}", person=f"link-{number + 1}")


async def measure(database: Database, stager: Stager, accounts: int) -> None:
    """Load and object, in the order of the docstring."""
    await load_records(database, stager, (fact("account", id=f"warm-{n}", person=f"warm-{n}") for n in range(accounts)))
    apart = await load_records(
        database, stager, (fact("account", id=f"a-{n}", person=f"a-{n}") for n in range(accounts))
    )
    print(f"{accounts:,} accounts of as many persons  {apart:6.2f} s")
    one = await load_records(database, stager, (fact("account", id=f"b-{n}", person="one") for n in range(accounts)))
    print(f"{accounts:,} accounts of one person       {one:6.2f} s  {one / apart:5.2f} x")
    chain = await load_records(database, stager, _chain(accounts))
    print(f"{accounts:,} accounts in a chain          {chain:6.2f} s  {chain / apart / 2:5.2f} x (a line)")
    officer = ObjectionSubmitter.officer(database, "officer")
    alone = []
    for number in range(20):
        began = time.perf_counter()
        target = Target(TargetKind.ACCOUNT, f"a-{number}")
        await file_objection(officer, target, ObjectionScope.ALL, ObjectionChannel.API)
        alone.append(time.perf_counter() - began)
    print(f"an objection by another person     {statistics.median(alone) * 1e3:8.1f} ms")
    busy = asyncio.create_task(_object(database, TargetKind.ACCOUNT, "b-0"))
    beside = await _beside(database, [f"a-{number}" for number in range(100, 1000)], busy)
    print(f"an objection by one of that person {await busy:8.2f} s; others {statistics.median(beside) * 1e3:.1f} ms")
    shared = (fact("account", id=f"c-{n}", person=f"c-{n}", contacts=[CONTACT]) for n in range(10 * accounts))
    took = await load_records(database, stager, shared)
    print(f"{10 * accounts:,} accounts with one contact    {took:6.2f} s  {took / apart / 10:5.2f} x (a line)")
    busy = asyncio.create_task(_object(database, TargetKind.CONTACT, CONTACT))
    beside = await _beside(database, [f"a-{number}" for number in range(1000, 2000)], busy)
    print(f"an objection by that contact       {await busy:8.2f} s; others {statistics.median(beside) * 1e3:.1f} ms")
    references = [{"account": f"a-{n}", "relation": "TAG"} for n in range(accounts)]
    took = await load_records(database, stager, [fact("content", account="a-9", references=references)])
    print(f"an item that names {accounts:,} accounts  {took:6.2f} s")


async def _run(settings: Settings, url: str, accounts: int) -> None:
    stager = Stager()
    async with open_database(url, settings.secret_bytes()) as database:
        await measure(database, stager, accounts)
    stager.close()


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder))
        with open_current_database(settings) as url:
            asyncio.run(_run(settings, url, options.accounts))
        remove_embedded_postgres(settings.data / "postgres")


if __name__ == "__main__":
    main()
