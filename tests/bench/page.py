"""A page over HTTP beside the bare SQL of the same page.

`./run python -m tests.bench.page --items 200000` prints medians and ratios of one interleaved run.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from http.client import HTTPConnection
from pathlib import Path

import orjson

from app.issuer import DevelopmentIssuer
from app.settings import Settings
from db.policy.compile import page_columns
from db.session import Connection
from schema.actor import Role
from schema.ids import Ids, Kind, ids_of
from tests.bench.world import interleaved, loaded, served, training_connection

CLIENT = "bench"
QUERY = """query Page($first: Int!, $after: String) {
  trainableContent(first: $first, after: $after) {
    nodes {
      id kind product language createdMonth text media { type url sha256 } author { id region }
      reason {
        ground legalBasis { title iri } summary policyVersion decidedAt receipt
        conditions { code outcome required evidence }
      }
    }
    pageInfo { hasNextPage endCursor }
  }
}"""
LEAN = """query Page($first: Int!, $after: String) {
  trainableContent(first: $first, after: $after) {
    nodes { id kind language text reason { ground policyVersion receipt } }
    pageInfo { hasNextPage endCursor }
  }
}"""


async def measure(settings: Settings, url: str, rounds: int) -> None:
    """Measure pages of 100 and of 1,000."""
    bare = await training_connection(settings, url)
    await bare.fetch(
        "SELECT set_config('grounds.client', grounds.register_client($1)::text, FALSE),"
        " set_config('grounds.purpose', 'GENAI_TRAINING', FALSE)",
        CLIENT,
    )
    ids = ids_of(settings.secret_bytes(), f"client:{CLIENT}")
    token = DevelopmentIssuer.open(settings.data).token(Role.TRAINING_CLIENT, client=CLIENT, purpose="GENAI_TRAINING")
    numbers = [row[0] for row in await bare.fetch("SELECT id FROM grounds.trainable_content", timeout=600)]
    print(f"{len(numbers):,} items are permitted")
    async with served(settings) as client:
        for size in (100, 1000):
            starts = numbers[: max(1, len(numbers) - size - 1)]
            places = [starts[len(starts) * turn // rounds] for turn in range(rounds)]
            medians = await interleaved(
                {
                    "bare SQL and orjson": _bare(bare, places, size),
                    "every field": _over_http(client, token, QUERY, ids, places, size),
                    "without conditions": _over_http(client, token, LEAN, ids, places, size),
                },
                rounds,
            )
            base = medians["bare SQL and orjson"]
            for name, median in medians.items():
                print(f"page of {size:5}  {name:22} {median * 1e3:8.2f} ms  {median / base:5.2f} x")
    await bare.close()


Call = Callable[[int], Awaitable[object]]


def _bare(connection: Connection, places: list[int], size: int) -> Call:
    select = f"SELECT {', '.join(page_columns())} FROM grounds.trainable_content WHERE id > $1 ORDER BY id LIMIT $2"

    async def call(turn: int) -> bytes:
        return orjson.dumps([dict(row) for row in await connection.fetch(select, places[turn], size + 1)])

    return call


def _over_http(client: HTTPConnection, token: str, query: str, ids: Ids, places: list[int], size: int) -> Call:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    async def call(turn: int) -> None:
        after = ids.write(Kind.TRAINABLE_CONTENT_CURSOR, places[turn])
        body = orjson.dumps({"query": query, "variables": {"first": size, "after": after}})
        client.request("POST", "/graphql", body, headers)
        answer = client.getresponse().read()
        assert b'"errors"' not in answer[:20], answer[:200]

    return call


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(".grounds-bench"))
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    with loaded(options.data, options.items) as (settings, url):
        asyncio.run(measure(settings, url, options.rounds))


if __name__ == "__main__":
    main()
