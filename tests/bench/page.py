"""A page over HTTP beside the bare SQL of the same page: sizes, places in the list, filters, and one item explained.

`./run python -m tests.bench.page --items 2000000` prints medians and ratios of one interleaved run.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from app.auth.dev_issuer import DevelopmentIssuer
from app.settings import Settings
from db.connection import Connection, open_database
from db.delivery.availability import Place
from db.delivery.pages import MAX_ID, OFFERED, PERMITTED, Filter, PageForm, narrowing, page_statement
from db.policy.compile import page_columns
from schema.actor import Role
from schema.relay.ids import IdKind, Ids, ids_of
from schema.training.availability import encode_place, filter_fingerprint
from tests.bench.world import Client, build_offers, interleaved, loaded, served, training_connection

CLIENT = "bench"
PURPOSE = "GENAI_TRAINING"
QUERY = """query Page($first: Int!, $after: String, $filter: TrainableContentFilter) {
  trainableContent(first: $first, after: $after, filter: $filter) {
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
LEAN = """query Page($first: Int!, $after: String, $filter: TrainableContentFilter) {
  trainableContent(first: $first, after: $after, filter: $filter) {
    nodes {
      id kind product language createdMonth text author { id region } reason { ground policyVersion receipt }
    }
    pageInfo { hasNextPage endCursor }
  }
}"""
BY_EXECUTOR = "nodes @include(if: true) {"
"""An operation with a directive is not planned: the executor answers it, each time."""
AVAILABILITY = QUERY.replace("filter: $filter)", "filter: $filter, order: AVAILABILITY)")
EXPLAIN = """query Explain($id: ID!) {
  eligibility(contentId: $id) { permitted ground conditions { code outcome required evidence } }
}"""
FILTERS: dict[str, dict[str, Any]] = {
    "no filter": {},
    "a common language": {"languages": ["de"]},
    "a rare language": {"languages": ["mt"]},
    "three rare languages": {"languages": ["mt", "ga", "is"]},
    "a kind": {"kinds": ["CAPTION"]},
    "two kinds and a rare language": {"kinds": ["CAPTION", "PHOTO"], "languages": ["mt"]},
    "a rare product": {"products": ["MESSENGER"]},
    "a ground": {"grounds": ["AI_INTERACTION"]},
    "a month": {"createdMonths": ["2026-01-01"]},
    "a year": {"createdMonths": [f"2025-{month:02}-01" for month in range(1, 13)]},
    "a month in a rare language": {"createdMonths": ["2026-01-01"], "languages": ["mt"]},
    "a kind that a product has not": {"kinds": ["POST"], "products": ["MESSENGER"]},
    "kinds that a product has not": {"kinds": ["POST", "PHOTO"], "products": ["MESSENGER"]},
    "no such language": {"languages": ["fo"]},
    "no such languages": {"languages": ["fo", "se"]},
    "a dialect that nothing has": {"languages": ["de-xx"]},
    "a region": {"regions": ["MT"]},
    "a region and a rare language": {"regions": ["DE"], "languages": ["mt"]},
    "months long ago": {"createdFromMonth": "1990-01-01", "createdUntilMonth": "1999-12-01"},
    "from a month": {"createdFromMonth": "2026-01-01"},
    "media of a type": {"mediaTypes": ["image/jpeg"]},
    "media of no such type": {"mediaTypes": ["image/x-none"]},
    "a half": {"sample": {"share": 0.5, "seed": "bench"}},
    "one of a hundred": {"sample": {"share": 0.01, "seed": "bench"}},
    "24 such": {"languages": [f"xx{letter}" for letter in "abcdefghijklmnopqrstuvwx"]},
}
Call = Callable[[int], Awaitable[object]]


@dataclass(frozen=True)
class Bench:
    """The means of measuring: a connection to a server, one to its database, and the permitted ids."""

    client: Client
    bare: Connection
    ids: Ids
    tokens: Mapping[Role, str]
    numbers: list[int]
    number: str

    def over_http(
        self, query: str, places: list[int], size: int, filter: dict[str, Any] | None = None, *, packed: bool = False
    ) -> Call:
        """Ask for a page after a place."""
        encoding = "zstd" if packed else "identity"

        async def call(turn: int) -> None:
            after = self.ids.encode(IdKind.TRAINABLE_CONTENT_CURSOR, places[turn % len(places)])
            self.ask(Role.TRAINING_CLIENT, query, {"first": size, "after": after, "filter": filter}, encoding)

        return call

    def ask(self, role: Role, query: str, variables: dict[str, Any], encoding: str = "identity") -> bytes:
        """Send a request and read the answer."""
        headers = {"Authorization": f"Bearer {self.tokens[role]}", "Content-Type": "application/json"}
        body = orjson.dumps({"query": query, "variables": variables})
        self.client.request("POST", "/graphql", body, {**headers, "Accept-Encoding": encoding})
        answer = self.client.getresponse().read()
        assert b'"errors"' not in answer[:20], answer[:200]
        return answer

    def in_order_of_availability(self, places: list[int], size: int) -> Call:
        """Ask for a page in the order of availability: once all is built, positions are the places of items."""
        fingerprint = filter_fingerprint(PURPOSE, None)

        async def call(turn: int) -> None:
            after = encode_place(self.ids, fingerprint, Place(places[turn % len(places)]))
            self.ask(Role.TRAINING_CLIENT, AVAILABILITY, {"first": size, "after": after})

        return call

    def bare_page(self, places: list[int], size: int) -> Call:
        """Read the same rows of the same view, and encode them."""
        select = f"SELECT {', '.join(page_columns())} FROM grounds.trainable_content WHERE id > $1 ORDER BY id LIMIT $2"

        async def call(turn: int) -> bytes:
            rows = await self.bare.fetch(select, places[turn % len(places)], size + 1)
            return orjson.dumps([dict(row) for row in rows])

        return call

    def bare_page_with_receipt(self, places: list[int], size: int, view: str = PERMITTED) -> Call:
        """Run the gateway's own statement, which writes the receipt, and encode its rows."""
        used, _ = narrowing(Filter())

        async def call(turn: int) -> bytes:
            place = places[turn % len(places)]
            rows = await self.bare.fetch(
                page_statement(used, PageForm(view)), self.number, PURPOSE, place, size, MAX_ID
            )
            return orjson.dumps([dict(row) for row in rows])

        return call


async def measure(settings: Settings, url: str, rounds: int) -> None:
    """Measure all."""
    bare = await training_connection(settings, url)
    number = str(await bare.fetchval("SELECT grounds.register_client($1)", CLIENT))
    claims = "SELECT set_config('grounds.client', $1, FALSE), set_config('grounds.purpose', $2, FALSE)"
    await bare.fetch(claims, number, PURPOSE)
    await bare.execute("SET statement_timeout = '10min'")
    numbers = [row[0] for row in await bare.fetch("SELECT id FROM grounds.trainable_content", timeout=600)]
    print(f"{len(numbers):,} items are permitted")
    issuer = DevelopmentIssuer.open(settings.data)
    tokens = {
        Role.TRAINING_CLIENT: issuer.token(Role.TRAINING_CLIENT, client=CLIENT, purpose=PURPOSE),
        Role.PRIVACY_OFFICER: issuer.token(Role.PRIVACY_OFFICER),
    }
    async with open_database(url, settings.secret_bytes()) as database:
        ids = ids_of(database.first_secret, f"client:{CLIENT}", database.incarnations)
    await build_offers(settings, url)
    async with served(settings) as client:
        bench = Bench(client, bare, ids, tokens, numbers, number)
        for size in (1000, 100):
            await _sizes(bench, settings, size, rounds)
        await _places(bench, rounds)
        await _filters(bench, rounds)
        await _explained(bench, settings, url, rounds)
    await bare.close()


async def _sizes(bench: Bench, settings: Settings, size: int, rounds: int) -> None:
    starts = bench.numbers[: max(1, len(bench.numbers) - size - 1)]
    places = [starts[len(starts) * turn // rounds] for turn in range(rounds)]
    calls = {
        "bare SQL and orjson": bench.bare_page(places, size),
        "the same with the receipt": bench.bare_page_with_receipt(places, size),
        "the same from offers": bench.bare_page_with_receipt(places, size, OFFERED),
        "every field, all conditions": bench.over_http(QUERY, places, size),
        "the same by zstd": bench.over_http(QUERY, places, size, packed=True),
        "the view's fields": bench.over_http(LEAN, places, size),
        "every field, by the executor": bench.over_http(QUERY.replace("nodes {", BY_EXECUTOR), places, size),
        "the view's, by the executor": bench.over_http(LEAN.replace("nodes {", BY_EXECUTOR), places, size),
    }
    if settings.offers:
        turns = [len(starts) * turn // rounds for turn in range(rounds)]
        calls["in the order of availability"] = bench.in_order_of_availability(turns, size)
    _print(f"page of {size}", await interleaved(calls, rounds))
    for name, call in calls.items():
        if "SQL" not in name and "the same" not in name:
            before = bench.client.cpu()
            for turn in range(rounds):
                await call(turn)
            print(f"page of {size:<12} {name:30} {(bench.client.cpu() - before) / rounds * 1e3:8.2f} ms of the server")


async def _places(bench: Bench, rounds: int) -> None:
    last = bench.numbers[-1001:-1000]
    calls = {"first page": bench.over_http(QUERY, [0], 1000), "last page": bench.over_http(QUERY, last, 1000)}
    _print("place, page of 1000", await interleaved(calls, rounds))


async def _filters(bench: Bench, rounds: int) -> None:
    places = [bench.numbers[len(bench.numbers) * turn // (2 * rounds)] for turn in range(rounds)]
    calls = {name: bench.over_http(QUERY, places, 100, filter or None) for name, filter in FILTERS.items()}
    _print("filter, page of 100", await interleaved(calls, max(10, rounds // 4)))


async def _explained(bench: Bench, settings: Settings, url: str, rounds: int) -> None:
    """Explain one item to an officer, beside the statement that decides it."""
    chosen = [bench.numbers[len(bench.numbers) * turn // rounds] for turn in range(rounds)]

    async with open_database(url, settings.secret_bytes()) as database:
        staff = ids_of(database.first_secret, "staff", database.incarnations)
        reader = database.examiner(Role.PRIVACY_OFFICER)

        async def bare(turn: int) -> object:
            select = "SELECT * FROM grounds.decision WHERE id = ANY ($1::bigint[])"
            return await reader.fetch(select, [chosen[turn % len(chosen)]])

        async def explained(turn: int) -> object:
            id = staff.encode(IdKind.CONTENT, chosen[turn % len(chosen)])
            return bench.ask(Role.PRIVACY_OFFICER, EXPLAIN, {"id": id})

        _print("one item", await interleaved({"bare SQL": bare, "eligibility over HTTP": explained}, rounds))


def _print(what: str, medians: Mapping[str, float]) -> None:
    base = next(iter(medians.values()))
    for name, median in medians.items():
        print(f"{what:20} {name:30} {median * 1e3:8.2f} ms  {median / base:6.2f} x", flush=True)


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
