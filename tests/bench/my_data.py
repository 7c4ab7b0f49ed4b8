"""How long until the first byte of `/me`, for the author of items that were delivered very often.

`./run python -m tests.bench.my_data --items 100 --deliveries 10000` writes so many receipts, each with all items of one
author, and prints the median of the time to the first byte, and the server's CPU time. Wanted: at most 500 ms.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import psycopg

from app.auth.dev_issuer import DevelopmentIssuer
from app.auth.signed_links import LinkAction
from app.server.bootstrap import open_current_database
from app.settings import Settings
from db.connection import connection, open_database
from db.delivery.retractions import record_deliveries
from db.embedded_postgres import remove_embedded_postgres
from db.ingest.staging import Stager
from schema.actor import Role
from tests.bench.persons import load_records
from tests.bench.retraction import cpu_seconds
from tests.bench.world import Client, served
from tests.support.facts import fact

RECEIPTS = """
DO $$ DECLARE
    items bigint[] := ARRAY(SELECT id FROM grounds.content ORDER BY id);
BEGIN
    PERFORM set_config('grounds.client', grounds.register_client('reader')::text, TRUE),
        set_config('grounds.purpose', 'GENAI_TRAINING', TRUE);
    FOR _ IN 1..{} LOOP PERFORM grounds.write_receipt(items); END LOOP;
END $$
"""


async def prepare(settings: Settings, url: str, items: int, deliveries: int) -> None:
    """Load the items of one author, write the receipts, and let the job summarise them."""
    stager = Stager()
    async with open_database(url, settings.secret_bytes()) as database:
        records = [fact("account"), fact("notice"), *(fact("content", id=f"item-{n}") for n in range(items))]
        await load_records(database, stager, records)
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(RECEIPTS.format(deliveries).encode())
        async with connection(database.worker) as worker:
            while await record_deliveries(worker):
                pass
    stager.close()


def first_byte(client: Client, token: str) -> float:
    """Open the page of the token's subject, and return the seconds until its first byte."""
    began = perf_counter()
    client.request("GET", LinkAction.ME, headers={"Authorization": f"Bearer {token}"})
    answer = client.getresponse()
    taken = perf_counter() - began
    assert (answer.status, b"reader" in answer.read()) == (200, True)
    return taken


async def measure(settings: Settings, rounds: int) -> None:
    """Open the page over and over."""
    async with served(settings) as client:
        token = DevelopmentIssuer.open(settings.data).token(Role.DATA_SUBJECT, subject="author")
        first_byte(client, token)
        before = cpu_seconds(client.server)
        taken = [first_byte(client, token) for _ in range(rounds)]
        cpu = (cpu_seconds(client.server) - before) / rounds
    longest = f"{max(taken) * 1e3:.0f} ms at most of {rounds}"
    print(f"/me: first byte after {median(taken) * 1e3:.0f} ms, {longest}; {cpu * 1e3:.0f} ms of the server's CPU")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--deliveries", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder))
        with open_current_database(settings) as url:
            asyncio.run(prepare(settings, url, options.items, options.deliveries))
            asyncio.run(measure(settings, options.rounds))
        remove_embedded_postgres(settings.data / "postgres")


if __name__ == "__main__":
    main()
