"""`grounds verify` on a large ledger: receipts verified per second, and what sealing them takes.

`./run python -m tests.bench.ledger --receipts 300000 --items 100` prints both. The receipts are written by one
statement; they are sealed by the job's own function, in batches of as many as --batch says.
"""

import argparse
import asyncio
import statistics
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from time import perf_counter

import asyncpg

from app.server.bootstrap import open_current_database
from app.settings import Settings
from db.access.declaration import WORKER
from db.delivery.ledger import MAX_RECEIPTS_PER_CHECKPOINT, Audit, seal_receipts, signing_key, verify_chain
from db.embedded_postgres import remove_embedded_postgres
from db.secrets import role_password

WRITE = """
INSERT INTO grounds.delivery (client, purpose, policy, decided_at, items, lowest, highest, item_count)
SELECT 1 + n % 5, 'GENAI_TRAINING', '2025-05-27', now(),
    ARRAY(SELECT after + k FROM generate_series(1, $2::int) k), after + 1, after + $2, $2
FROM generate_series(1, $1::int) n CROSS JOIN LATERAL (SELECT n % 5000 * 1000 AS after) place
"""


async def measure(url: str, secret: bytes, receipts: int, items: int, batch: int, rounds: int) -> None:
    """Write, seal, and verify over and over, by one connection and by two."""
    administrator = await asyncpg.connect(url)
    await administrator.execute(WRITE, receipts, items)
    await administrator.execute("VACUUM ANALYZE grounds.delivery")
    (size,) = await administrator.fetchrow("SELECT pg_table_size('grounds.delivery')") or (0,)
    print(f"{receipts:,} receipts of {items} items: {size / receipts / items:.1f} bytes an item")
    began = perf_counter()
    worker = await asyncpg.connect(url, user=WORKER, password=role_password(secret, WORKER))
    going_on = True
    while going_on:
        async with worker.transaction():
            going_on = bool(await seal_receipts(worker, signing_key(secret), batch))
    print(f"sealed {receipts / (perf_counter() - began):12,.0f} a second, in batches of {batch:,}")
    for number in (1, 2):
        taken = [await _verified(url, secret, receipts, number) for _ in range(rounds)]
        print(f"verified {receipts / statistics.median(taken):10,.0f} a second by {number} connections", flush=True)
    await worker.close()
    await administrator.close()


async def _verified(url: str, secret: bytes, receipts: int, number: int) -> float:
    began = perf_counter()
    async with AsyncExitStack() as opened:
        connections = []
        for _ in range(number):
            connection = await asyncpg.connect(url)
            opened.push_async_callback(connection.close)
            await opened.enter_async_context(connection.transaction())
            connections.append(connection)
        audit = Audit(signing_key(secret).public_key())
        await verify_chain(connections, audit)
    assert (audit.findings, audit.receipts, audit.unsealed) == ([], receipts, 0), audit
    return perf_counter() - began


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--receipts", type=int, default=300_000)
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--batch", type=int, default=MAX_RECEIPTS_PER_CHECKPOINT)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder))
        with open_current_database(settings) as url:
            arguments = (options.receipts, options.items, options.batch, options.rounds)
            asyncio.run(measure(url, settings.secret_bytes(), *arguments))
        remove_embedded_postgres(settings.data / "postgres")


if __name__ == "__main__":
    main()
