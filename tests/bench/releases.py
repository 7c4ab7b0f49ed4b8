"""A release beside COPY of its view and beside pages, its files over HTTP, a lake, and receipts of millions of items.

`./run --with release,lake python -m tests.bench.releases --items 2000000` prints rates, ratios and memory.
"""

import argparse
import asyncio
import multiprocessing
import os
import resource
import statistics
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import asyncpg
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from app.auth.dev_issuer import DevelopmentIssuer
from app.lakes.decide import decide_lake
from app.lakes.export import export_lake
from app.releases.writer import ReleaseWriter
from app.settings import Settings
from db.access.declaration import INGEST, WORKER
from db.connection import Connection, open_database
from db.delivery.retractions import retract_due
from db.ingest.merge import ingest_lines
from db.ingest.staging import Stager
from db.policy.compile import page_columns
from db.policy.conditions import CONDITIONS
from db.releases.shards import bits_of
from db.secrets import role_password
from schema.actor import Role
from tests.bench.objection import as_line
from tests.bench.page import PURPOSE, QUERY
from tests.bench.world import Client, blocks, loaded, served, training_connection
from tests.support.facts import fact

CLIENT = "bench-releases"
ITEMS_PER_SHARD = 330_000
"""Of the made-up platform, about three of ten items are permitted: a file then has 100,000 rows."""
PAGES, ROUNDS = 60, 20
RECEIPT = """
INSERT INTO grounds.delivery (client, purpose, policy, decided_at, lowest, highest, item_count, item_bits, file_sha256)
SELECT $1, $2, p.version, now(), $3, $4, $5, $6, sha256('') FROM grounds.policy p WHERE p.active"""
HOLDERS, HELD_ITEMS, DENSITY = 3, 10_000_000, 10


async def claimed_connection(settings: Settings, url: str) -> Connection:
    """Connect as the training client of this benchmark, to read all of the view."""
    training = await training_connection(settings, url)
    client = await training.fetchval("SELECT grounds.register_client($1)", CLIENT)
    for name, value in (("grounds.client", str(client)), ("grounds.purpose", PURPOSE), ("statement_timeout", "0")):
        await training.execute("SELECT set_config($1, $2, FALSE)", name, value)
    return training


async def login(settings: Settings, url: str, role: str) -> Connection:
    return await asyncpg.connect(url, user=role, password=role_password(settings.secret_bytes(), role))


def in_a_process(function: Callable[..., Any], *given: Any) -> tuple[Any, float, float]:
    """Call a function in a process of its own; return its result, its seconds, and the MiB that it used at most."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=_report, args=(theirs, function, given))
    process.start()
    result: tuple[Any, float, float] = mine.recv()
    process.join()
    return result


def _report(pipe: Any, function: Callable[..., Any], given: Any) -> None:
    began = perf_counter()
    result = function(*given)
    pipe.send((result, perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


async def copy_seconds(training: Connection, columns: str, relation: str) -> float:
    """Time COPY of a view, whose rows are thrown away."""

    async def drop(_: bytes) -> None:
        pass

    began = perf_counter()
    await training.copy_from_query(f"SELECT {columns} FROM grounds.{relation}", output=drop, format="csv")
    return perf_counter() - began


def write_release(settings: Settings, url: str) -> int:
    """Write every file of the releases that are planned; return their number."""

    async def write() -> int:
        worker = await login(settings, url, WORKER)
        writer = ReleaseWriter(url, settings.secret_bytes(), settings.release_folder)
        files = 0
        while await writer.write_next(worker):
            files += 1
        await worker.close()
        return files

    return asyncio.run(write())


async def start_release(training: Connection, name: str, items_per_file: int) -> int:
    number: int = await training.fetchval(
        "SELECT grounds.start_release($1, '{}', $2, 1000)", f"{name} {os.getpid()}", items_per_file
    )
    return number


async def measure_writing(settings: Settings, url: str, rounds: int, items_per_file: int) -> None:
    """Write a release between two COPY of the same view, and write pages into a Parquet file as a client does."""
    training = await claimed_connection(settings, url)
    administrator = await asyncpg.connect(url)
    copied, written, peaks = [], [], []
    for turn in range(rounds):
        copied.append(await copy_seconds(training, ", ".join(page_columns()), "trainable_content"))
        release = await start_release(training, f"written {turn}", items_per_file)
        (_, seconds, peak) = await asyncio.to_thread(in_a_process, write_release, settings, url)
        written.append(seconds)
        peaks.append(peak)
    ((rows, size, files),) = await administrator.fetch(
        "SELECT sum(item_count), sum(byte_count), count(*) FROM grounds.release_shard WHERE release = $1", release
    )
    copy, write = rows / statistics.median(copied), rows / statistics.median(written)
    print(f"{rows:,} items in {files} files: {write:,.0f} rows/s, {size / rows:.1f} bytes per row")
    print(f"COPY of the view: {copy:,.0f} rows/s; a release: {write / copy:.2f} x; peak {max(peaks):.0f} MiB")
    async with served(settings) as client:  # only now: its jobs write releases too
        pages, sent = await asyncio.to_thread(pull_pages, settings, client)
    print(f"pages of 1,000 into Parquet: {pages:,.0f} rows/s, {sent:,.0f} bytes per row")
    print(f"a release is {write / pages:.1f} x as fast as pages, with {sent / (size / rows):.1f} x fewer bytes")
    await training.close()
    await administrator.close()


def pull_pages(settings: Settings, client: Client) -> tuple[float, float]:
    """Pull pages with every field into a Parquet file; return rows per second, and bytes per row."""
    headers, after, rows, sent = request_headers(settings), None, 0, 0
    began = perf_counter()
    writer, sink = None, BytesIO()
    for _ in range(PAGES):
        body = orjson.dumps({"query": QUERY, "variables": {"first": 1000, "after": after}})
        client.request("POST", "/graphql", body, {**headers, "Content-Type": "application/json"})
        answer = client.getresponse().read()
        read = orjson.loads(answer)
        if "errors" in read:  # as a client does while the gateway is busy
            print(read["errors"][0]["message"])
            sleep(1)
            continue
        page = read["data"]["trainableContent"]
        table = pa.Table.from_pylist(page["nodes"], schema=writer.schema if writer else None)
        writer = writer or pq.ParquetWriter(sink, table.schema, compression="zstd")
        writer.write_table(table)
        rows, sent, after = rows + table.num_rows, sent + len(answer), page["pageInfo"]["endCursor"]
    assert writer is not None
    writer.close()
    return rows / (perf_counter() - began), sent / rows


def request_headers(settings: Settings) -> dict[str, str]:
    issuer = DevelopmentIssuer.open(settings.data)
    token = issuer.token(Role.TRAINING_CLIENT, client=CLIENT, purpose=PURPOSE)
    return {"Authorization": f"Bearer {token}"}


async def measure_files(settings: Settings, url: str, items_per_file: int) -> None:
    """Get files of which nothing was struck, and files from which one item must be cut: until the first byte."""
    training, ingest = await claimed_connection(settings, url), await login(settings, url, INGEST)
    administrator, stager = await asyncpg.connect(url), Stager()
    await start_release(training, "files", items_per_file)
    await asyncio.to_thread(in_a_process, write_release, settings, url)
    async with served(settings) as client:
        release = find_release(settings, client, f"files {os.getpid()}")
        first = [first_byte(client, settings, release, number) for number in range(release["files"])]
        again = [first_byte(client, settings, release, turn % release["files"]) for turn in range(ROUNDS * 5)]
        cut = []
        for turn in range(ROUNDS):
            number = turn % max(1, release["files"] - 1)  # the last file has fewer items
            deleted = await deletion(administrator, number, turn)
            await ingest_lines(ingest, blocks(iter([deleted])), stager, on_rejected=print)
            cut.append(first_byte(client, settings, release, number))
    stager.close()
    rows = await administrator.fetchval("SELECT max(item_count) FROM grounds.release_shard")
    print(f"files of up to {rows:,} rows")
    for name, taken in (("first request", first), ("nothing struck", again), ("one item cut", cut)):
        slow = sorted(taken)[int(len(taken) * 0.95)]
        print(f"first byte, {name:16} {statistics.median(taken) * 1e3:8.1f} ms, 95 %: {slow * 1e3:8.1f} ms")
    for opened in (training, ingest, administrator):
        await opened.close()


def find_release(settings: Settings, client: Client, name: str) -> dict[str, Any]:
    """Find a release of this benchmark by its name."""
    body = orjson.dumps({"query": "{ releases(first: 100) { nodes { id name files } } }"})
    client.request("POST", "/graphql", body, {**request_headers(settings), "Content-Type": "application/json"})
    nodes = orjson.loads(client.getresponse().read())["data"]["releases"]["nodes"]
    found: dict[str, Any] = next(each for each in nodes if each["name"] == name)
    return found


async def deletion(administrator: asyncpg.Connection, number: int, turn: int) -> bytes:
    """Make the line that deletes an item of the newest release's file."""
    (row,) = await administrator.fetch(
        "SELECT c.platform_id, a.platform_id, c.kind, c.created_at FROM grounds.release_shard s,"
        " LATERAL (SELECT i FROM grounds.items_of_bits(s.first, s.item_bits) i OFFSET $2 LIMIT 1) x"
        " JOIN grounds.content c ON c.id = x.i JOIN grounds.account a ON a.id = c.account"
        " WHERE s.number = $1 ORDER BY s.release DESC LIMIT 1",
        *(number, 1000 + turn),
    )
    now = datetime.now(UTC)
    line = {"id": row[0], "account": row[1], "kind": row[2], "created_at": row[3].isoformat()}
    return as_line(fact("content", **line) | {"observed_at": now.isoformat(), "deleted_at": now.isoformat()})


def first_byte(client: Client, settings: Settings, release: dict[str, Any], number: int) -> float:
    """Get a file of a release; return the seconds until its first byte."""
    while True:
        began = perf_counter()
        client.request(
            "GET", f"/releases/{release['id']}/data/train-{number:05}.parquet", headers=request_headers(settings)
        )
        response = client.getresponse()
        response.read(1)
        taken = perf_counter() - began
        response.read()
        if response.status == 200:
            return taken
        sleep(0.05)


async def measure_lake(settings: Settings, url: str, items: int) -> None:
    """Decide about all items by PostgreSQL's own view, and by DuckDB over exported facts."""
    training = await claimed_connection(settings, url)
    administrator = await asyncpg.connect(url)
    await administrator.execute(
        "SELECT set_config('grounds.purpose', $1, FALSE), set_config('grounds.client', '1', FALSE)", PURPOSE
    )
    await administrator.execute("SET jit = off")
    codes = ", ".join(f'"{condition.code}"' for condition in CONDITIONS)
    view = await copy_seconds(administrator, f"id, ground, {codes}", "decision")
    print(f"PostgreSQL's view of decisions: {items / view:,.0f} items/s")
    with tempfile.TemporaryDirectory(dir=settings.data.parent) as folder:
        async with open_database(url, settings.secret_bytes()) as database:
            began = perf_counter()
            await export_lake(database, url, settings.secret_bytes(), Path(folder, "lake"), CLIENT, PURPOSE)
            print(f"export: {items / (perf_counter() - began):,.0f} items/s")
        decided, seconds, peak = await asyncio.to_thread(
            in_a_process, decide_lake, Path(folder, "lake"), Path(folder, "decided")
        )
        print(
            f"DuckDB, with its start and check of digests: {decided.items / seconds:,.0f} items/s, peak {peak:.0f} MiB"
        )
        print(f"DuckDB is {view / seconds:.1f} x as fast as the view; {decided.permitted:,} permitted")
    await training.close()
    await administrator.close()


async def measure_receipts(settings: Settings, url: str, rounds: int) -> None:
    """Object, and look 100 items up, without and beside receipts of three clients for 10 M items each."""
    administrator, worker = await asyncpg.connect(url), await login(settings, url, WORKER)
    ingest, stager = await login(settings, url, INGEST), Stager()
    await ingest_lines(ingest, blocks(objectors(3 * rounds)), stager, on_rejected=print)
    while await retract_due(worker):
        pass
    before = await object_in_turn(ingest, worker, stager, range(rounds))
    size = await give_receipts(administrator)
    after = await object_in_turn(ingest, worker, stager, range(rounds, 2 * rounds))
    found = await look_up(administrator, rounds)
    await administrator.execute("DELETE FROM grounds.delivery WHERE lowest >= 1000000000")
    before += await object_in_turn(ingest, worker, stager, range(2 * rounds, 3 * rounds))
    print(f"receipts of {HOLDERS} x {HELD_ITEMS:,} items of {DENSITY} %: {size:.2f} bytes per id")
    for name, place in (("objection, acknowledged", 0), ("until its retractions are written", 1)):
        one, other = (statistics.median(each[place] for each in taken) for taken in (before, after))
        print(f"{name:34} {one * 1e3:7.1f} ms without, {other * 1e3:7.1f} ms with them: {other / one:.2f} x")
    print(f"100 items looked up in them: {found * 1e3:.1f} ms")
    stager.close()
    for opened in (administrator, worker, ingest):
        await opened.close()


async def look_up(administrator: asyncpg.Connection, rounds: int) -> float:
    """Look 100 items up in receipts that the job has not recorded yet; return the median of the seconds."""
    taken = []
    for turn in range(rounds):
        wanted = [10**9 + HELD_ITEMS * n // 10 + turn for n in range(100)]
        began = perf_counter()
        await administrator.fetch("SELECT * FROM grounds.received_after(0, '{}', $1::bigint[])", wanted)
        taken.append(perf_counter() - began)
    return statistics.median(taken)


def objectors(people: int) -> Iterator[bytes]:
    """Yield the facts of people who wrote 100 items each."""
    for number in range(people):
        name = f"objector {os.getpid()}-{number}"
        yield as_line(fact("account", id=name, person=name))
        yield as_line(fact("notice", id=name, account=name))
        for place in range(100):
            yield as_line(fact("content", id=f"{name}-{place}", account=name))


async def object_in_turn(
    ingest: Connection, worker: Connection, stager: Stager, people: range
) -> list[tuple[float, float]]:
    """Let people object, one after the other; return the seconds until each was acknowledged, and worked through."""
    taken = []
    for number in people:
        name = f"objector {os.getpid()}-{number}"
        line = as_line(fact("objection", id=name, account=name))
        began = perf_counter()
        await ingest_lines(ingest, blocks(iter([line])), stager, on_rejected=print)
        acknowledged = perf_counter()
        while await retract_due(worker):
            pass
        taken.append((acknowledged - began, perf_counter() - began))
    return taken


async def give_receipts(administrator: asyncpg.Connection) -> float:
    """Write receipts like those of delivered files, with ids that no item has; return the bytes on disk for each id."""
    size = "SELECT pg_total_relation_size('grounds.delivery')"
    before = await administrator.fetchval(size)
    span = HELD_ITEMS * 100 // DENSITY
    for holder in range(HOLDERS):
        client = await administrator.fetchval("SELECT grounds.register_client($1)", f"holder {holder}")
        for first in range(10**9, 10**9 + span, ITEMS_PER_SHARD):
            last = min(first + ITEMS_PER_SHARD, 10**9 + span) - 1
            bits = bits_of(range(first, last + 1, 100 // DENSITY), first, last)
            count = len(range(first, last + 1, 100 // DENSITY))
            await administrator.execute(
                RECEIPT,
                *(client, PURPOSE, first, first + 8 * len(bits) - 1, count, bits),
            )
    after = await administrator.fetchval(size)
    return float(after - before) / (HOLDERS * HELD_ITEMS)


async def measure(settings: Settings, url: str, options: argparse.Namespace) -> None:
    """Measure all parts, or those that are named."""
    print(f"load average {os.getloadavg()[0]:.1f} at the start")
    if "lake" in options.parts:
        await measure_lake(settings, url, options.items)
    if "receipts" in options.parts:
        await measure_receipts(settings, url, ROUNDS)
    if "writing" in options.parts:
        await measure_writing(settings, url, options.rounds, options.items_per_file)
    if "files" in options.parts:
        await measure_files(settings, url, options.items_per_file)
    print(f"load average {os.getloadavg()[0]:.1f} at the end")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(".grounds-bench"))
    parser.add_argument("--items", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--items-per-file", type=int, default=ITEMS_PER_SHARD)
    parser.add_argument("--parts", nargs="*", default=["writing", "files", "lake", "receipts"])
    options = parser.parse_args()
    with loaded(options.data, options.items) as (settings, url):
        asyncio.run(measure(settings, url, options))


if __name__ == "__main__":
    main()
