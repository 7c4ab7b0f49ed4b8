"""Ingest beside a plain COPY of the same records into one indexed table.

`./run python -m tests.bench.ingest --items 100000` prints records a second and their ratio.
"""

import argparse
import asyncio
import io
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import asyncpg

from app.demo.population import population_lines
from app.server.bootstrap import open_current_database
from app.settings import Settings
from db.connection import connection, open_database
from db.embedded_postgres import remove_embedded_postgres
from db.ingest.merge import ingest_lines
from db.ingest.staging import Stager, copy_text
from tests.bench.world import blocks


async def measure(settings: Settings, url: str, lines: list[bytes]) -> None:
    """Ingest, ingest again, and copy."""
    stager = Stager()
    count = len(lines)
    async with open_database(url, settings.secret_bytes()) as database, connection(database.ingest) as borrowed:
        rates = {}
        for name in ("ingest", "the same again"):
            started = perf_counter()
            await ingest_lines(borrowed, blocks(iter(lines)), stager, on_rejected=print)
            rates[name] = count / (perf_counter() - started)
    stager.close()
    rates["plain COPY"] = count / await _plain_copy(url, lines)
    for name, rate in rates.items():
        print(f"{name:16} {rate:9,.0f} records/s  {rate / rates['plain COPY']:5.2f} x")


async def _plain_copy(url: str, lines: list[bytes]) -> float:
    rows = [((said := json.loads(line))["record"], said["id"], line.decode()) for line in lines]
    admin = await asyncpg.connect(url)
    await admin.execute("CREATE TABLE plain (record text, id text, line text, PRIMARY KEY (record, id))")
    source = io.BytesIO(copy_text(rows))
    started = perf_counter()
    await admin.copy_to_table("plain", source=source, columns=["record", "id", "line"])
    seconds = perf_counter() - started
    await admin.close()
    return seconds


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    options = parser.parse_args()
    lines = list(population_lines(options.items, datetime.now(UTC)))
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder))
        with open_current_database(settings) as url:
            asyncio.run(measure(settings, url, lines))
        remove_embedded_postgres(settings.data / "postgres")


if __name__ == "__main__":
    main()
