"""The same page on a platform and on one that is many times as large, both served at once.

`./run python -m tests.bench.growth --items 200000 --copies 50` prints medians and their ratio. The large platform is
the small one, copied in the database: its accounts, their standing, their items and the accounts that those name.
"""

import argparse
import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import asyncpg
import orjson
import psycopg

from app.auth.dev_issuer import DevelopmentIssuer
from app.settings import Settings
from schema.actor import Role
from schema.relay.ids import IdKind, ids_of
from tests.bench.page import CLIENT, PURPOSE, QUERY, Call
from tests.bench.world import interleaved, loaded, served

SHIFTED = {"account": ("id",), "account_standing": ("account",), "content": ("id", "account")}
SHIFTED |= {"content_reference": ("content", "account")}
RENAMED = ("platform_id", "parent", "person")


def copy_platform(url: str, copies: int) -> None:
    """Copy everything that a page reads, so often that there are so many of it; once done, nothing more is."""
    with psycopg.connect(url) as connection:
        connection.execute("SET session_replication_role = 'replica'")  # standings are copied too: no trigger
        steps: dict[str, int] = {}
        for table in ("account", "content"):
            (highest, done) = connection.execute(
                f"SELECT max(id), bool_or(platform_id LIKE '%~1') FROM grounds.{table}".encode()
            ).fetchone() or (0, False)
            if done:
                return
            steps[table] = highest
        for table in SHIFTED:
            connection.execute(_copy(connection, table, steps).encode(), {"last": copies - 1})
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE")


def _copy(connection: psycopg.Connection, table: str, steps: dict[str, int]) -> str:
    """Write the statement that copies a table: numbers move by a step for each copy, names get its number."""
    columns = [
        name
        for (name,) in connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
            " AND attgenerated = '' ORDER BY attnum",
            [f"grounds.{table}"],
        )
    ]

    def value(column: str) -> str:
        if column in SHIFTED[table]:
            of = table if column == "id" else column if column in steps else "account"
            return f"{column} + n * {steps[of]}"
        return f"{column} || '~' || n" if column in RENAMED else column

    return (
        f"INSERT INTO grounds.{table} ({', '.join(columns)}) OVERRIDING SYSTEM VALUE"
        f" SELECT {', '.join(map(value, columns))} FROM generate_series(1, %(last)s) n, LATERAL ("
        f" SELECT * FROM grounds.{table} OFFSET 0) original"
    )


async def measure(platforms: dict[str, Settings], urls: dict[str, str], rounds: int) -> None:
    """Measure pages in the middle of both."""
    async with AsyncExitStack() as opened:
        clients = {
            name: (await opened.enter_async_context(served(settings)), settings) for name, settings in platforms.items()
        }
        for size in (100, 1000):
            calls = {
                name: await _asking(client, settings, urls[name], size) for name, (client, settings) in clients.items()
            }
            medians = await interleaved(calls, rounds)
            base = next(iter(medians.values()))
            for name, median in medians.items():
                print(f"page of {size:5} of {name:20} {median * 1e3:8.2f} ms  {median / base:5.2f} x", flush=True)


async def _asking(client: HTTPConnection, settings: Settings, url: str, size: int) -> Call:
    admin = await asyncpg.connect(url)
    highest = await admin.fetchval("SELECT max(id) FROM grounds.content")
    await admin.close()
    ids = ids_of(settings.secret_bytes(), f"client:{CLIENT}")
    token = DevelopmentIssuer.open(settings.data).token(Role.TRAINING_CLIENT, client=CLIENT, purpose=PURPOSE)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    async def call(turn: int) -> None:
        place = highest * (turn * 37 % 90) // 100 + 1
        variables = {"first": size, "after": ids.encode(IdKind.TRAINABLE_CONTENT_CURSOR, place)}
        client.request("POST", "/graphql", orjson.dumps({"query": QUERY, "variables": variables}), headers)
        answer = client.getresponse().read()
        assert answer.count(b'"receipt"') == size, answer[:200]

    return call


@contextmanager
def platforms(data: Path, items: int, copies: int) -> Iterator[tuple[dict[str, Settings], dict[str, str]]]:
    """Yield the small platform and the large one."""
    with loaded(data / "small", items) as (small, small_url), loaded(data / "large", items) as (large, large_url):
        copy_platform(large_url, copies)
        names = (f"{items:,} items", f"{items * copies:,} items")
        yield dict(zip(names, (small, large), strict=True)), dict(zip(names, (small_url, large_url), strict=True))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(".grounds-bench-growth"))
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--copies", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    with platforms(options.data, options.items, options.copies) as (settings, urls):
        asyncio.run(measure(settings, urls, options.rounds))


if __name__ == "__main__":
    main()
