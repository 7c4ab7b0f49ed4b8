"""A page over HTTP beside the bare SQL of the same page.

`./run python -m tests.bench.page --items 200000` prints medians and ratios of one interleaved run.
"""

import argparse
import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import orjson

from app.issuer import DevelopmentIssuer
from app.settings import Settings
from db.policy.compile import page_columns
from schema.actor import Role
from schema.ids import Kind, ids_of
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
    select = f"SELECT {', '.join(page_columns())} FROM grounds.trainable_content WHERE id > $1 ORDER BY id LIMIT $2"
    ids = ids_of(settings.secret_bytes(), f"client:{CLIENT}")
    token = DevelopmentIssuer.open(settings.data).token(Role.TRAINING_CLIENT, client=CLIENT, purpose="GENAI_TRAINING")
    numbers = [row[0] for row in await bare.fetch("SELECT id FROM grounds.trainable_content", timeout=600)]
    print(f"{len(numbers):,} items are permitted")
    async with served(settings) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        for size in (100, 1000):
            starts = numbers[: max(1, len(numbers) - size - 1)]
            places = [starts[len(starts) * turn // rounds] for turn in range(rounds)]

            async def plain(turn: int, places: list[int] = places, size: int = size) -> bytes:
                rows: list[asyncpg.Record] = await bare.fetch(select, places[turn], size + 1)
                return orjson.dumps([dict(row) for row in rows])

            def over_http(query: str, places: list[int] = places, size: int = size) -> Any:
                async def call(turn: int) -> None:
                    after = ids.write(Kind.TRAINABLE_CONTENT_CURSOR, places[turn])
                    body = {"query": query, "variables": {"first": size, "after": after}}
                    response = await client.post("/graphql", json=body)
                    assert b'"errors"' not in response.content[:20], response.text[:200]

                return call

            medians = await interleaved(
                {"bare SQL and orjson": plain, "every field": over_http(QUERY), "without conditions": over_http(LEAN)},
                rounds,
            )
            base = medians["bare SQL and orjson"]
            for name, median in medians.items():
                print(f"page of {size:5}  {name:22} {median * 1e3:8.2f} ms  {median / base:5.2f} x")
    await bare.close()


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
