"""Pages per second and CPU per page at 16 clients: Grounds beside the bare SQL, plain strawberry and PostGraphile 5.

`./run python -m tests.bench.throughput --data FOLDER --items 2000000 --seconds 20` prints medians of one run. The
contenders take short turns, round after round, so that noise meets all of them; each has 16 connections to the database
and serves pages at random places to 16 clients of different names, which count bytes and decode nothing. One Grounds
reads its pages from offers, another by the rules. Each is first seen to serve the very page that the view has; later on
an answer that cannot be a page ends the run.
"""

import argparse
import asyncio
import random
import statistics
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

import uvloop

from app.auth.dev_issuer import DevelopmentIssuer
from app.settings import Settings
from db.connection import Connection
from schema.actor import Role
from schema.relay.ids import IdKind, ids_of
from tests.bench.contenders import (
    CLIENT,
    CONNECTIONS,
    PURPOSE,
    Address,
    bare,
    bare_with_receipt,
    cpu_of,
    plain_strawberry,
    running,
)
from tests.bench.page_sources import SIZES, Ask, Bare, Served, Source, Visitor
from tests.bench.postgraphile import QUERY as POSTGRAPHILE_QUERY
from tests.bench.postgraphile import flat_table, postgraphile
from tests.bench.world import build_offers, loaded, training_connection

PLACES = 1000
TURN_SECONDS = 2.0
EVERY_FIELD = "every field"
OF_THE_VIEW = "the view's fields"
FIELDS = {
    EVERY_FIELD: """id kind product language createdMonth text media { type url sha256 } author { id region }
      reason {
        ground legalBasis { title iri } summary policyVersion decidedAt receipt
        conditions { code outcome required evidence }
      }""",
    OF_THE_VIEW: """id kind product language createdMonth text author { id region }
      reason { ground policyVersion receipt }""",
}
QUERIES = {
    name: f"""query Page($first: Int!, $after: String!) {{
  trainableContent(first: $first, after: $after) {{
    nodes {{
      {fields}
    }}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}"""
    for name, fields in FIELDS.items()
}
BARE, WITH_RECEIPT, POSTGRAPHILE, PLAIN = "bare", "bare with receipt", "PostGraphile 5", "plain strawberry"
FLAT = "PostGraphile 5, a flat table"


@dataclass(frozen=True)
class Contender:
    """A source, and the fields that it is asked for."""

    name: str
    fields: str
    source: Source

    @property
    def title(self) -> str:
        """Name it and its fields."""
        return ": ".join(filter(None, (self.name, self.fields)))


@asynccontextmanager
async def contenders(settings: Settings, url: str) -> AsyncIterator[list[Contender]]:
    """Start everything that is measured."""
    async with AsyncExitStack() as opened:
        connections, client = await _connections(settings, url, opened)
        places = await _places(connections[0])
        receipts = partial(bare_with_receipt, client=client)
        made = [
            Contender(BARE, "", Bare(connections, places, bare)),
            Contender(WITH_RECEIPT, "", Bare(connections, places, receipts)),
        ]
        visitors = _visitors(settings, places)
        await build_offers(settings, url)
        for title, environment in (("Grounds", "true"), ("Grounds by the rules", "false")):
            for workers in (1, 2) if environment == "true" else (1,):
                address = await opened.enter_async_context(grounds(settings, workers, environment))
                for fields, query in QUERIES.items():
                    name = title + (f", {workers} workers" if workers > 1 else "")
                    made.append(Contender(name, fields, Served(address, query, visitors)))
        anyone = [Visitor(visitors[0].cursors)]
        address = await opened.enter_async_context(plain_strawberry(settings, url, client))
        made += [Contender(PLAIN, fields, Served(address, query, anyone)) for fields, query in QUERIES.items()]
        flat = await opened.enter_async_context(flat_table(url))  # after Grounds, which wants no such table
        for name, schema in ((POSTGRAPHILE, "grounds"), (FLAT, flat)):
            other = await opened.enter_async_context(postgraphile(settings, url, client, schema))
            if other is not None:
                read = Visitor(other.cursors(places))
                made.append(Contender(name, OF_THE_VIEW, Served(other.address, POSTGRAPHILE_QUERY, [read])))
        yield made


def _visitors(settings: Settings, places: Sequence[int]) -> list[Visitor]:
    """Make the 16 clients of Grounds: one name each, because a process executes two operations of a client at once.

    The first asks for the first place first, which is the page that is compared.
    """
    issuer, made = DevelopmentIssuer.open(settings.data), []
    for number in range(CONNECTIONS):
        name = f"{CLIENT}-{number}"
        token = issuer.token(Role.TRAINING_CLIENT, client=name, purpose=PURPOSE)
        start = len(places) * number // CONNECTIONS
        cursors = ids_of(settings.secret_bytes(), f"client:{name}").encode_all(
            IdKind.TRAINABLE_CONTENT_CURSOR, [*places[start:], *places[:start]]
        )
        made.append(Visitor(cursors, {"Authorization": f"Bearer {token}"}))
    return made


async def _connections(settings: Settings, url: str, opened: AsyncExitStack) -> tuple[list[Connection], int]:
    """Connect as training clients do, each session for our client; give that client's number too."""
    connections = [await training_connection(settings, url) for _ in range(CONNECTIONS)]
    for connection in connections:
        opened.push_async_callback(connection.close)
        client = await connection.fetchval("SELECT grounds.register_client($1)", CLIENT)
        await connection.execute(
            "SELECT set_config('grounds.client', $1, FALSE), set_config('grounds.purpose', $2, FALSE)",
            str(client),
            PURPOSE,
        )
    return connections, client


async def _places(connection: Connection) -> list[int]:
    """Return random places that have a page of every size after them."""
    async with connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = 0")  # pages take milliseconds, but this is everything
        found = await connection.fetch("SELECT id FROM grounds.trainable_content")
    print(f"{len(found):,} items are permitted", flush=True)
    return random.Random(5).choices([row[0] for row in found[: -max(SIZES) - 1]], k=PLACES)


def grounds(settings: Settings, workers: int, offers: str) -> AbstractAsyncContextManager[Address]:
    """Run `grounds serve`, and return its host and port."""
    command = [sys.executable, "-c", "from app.cli.main import main; main()", "serve", "--port", "0"]
    environment = {
        "GROUNDS_DATA": str(settings.data.resolve()),
        "GROUNDS_CONNECTIONS": str(CONNECTIONS),
        "GROUNDS_OFFERS": offers,
    }
    return running([*command, "--workers", str(workers)], environment, processes=workers)


@dataclass(frozen=True)
class Turn:
    """The result of a turn."""

    pages: int
    bytes: int
    seconds: float
    cpu: float
    """The seconds of CPU of the source."""
    database_cpu: float


async def turn(contender: Contender, size: int, seconds: float, postgres: int) -> Turn:
    """Let all clients ask as fast as they are answered; the time is until the last answer."""
    lengths: list[int] = []

    async def client(ask: Ask) -> None:
        while perf_counter() < until:
            try:
                lengths.append(await ask())
            except Exception as error:
                error.add_note(contender.title)
                raise

    async with contender.source.clients(size) as clients:
        started, source, database = perf_counter(), contender.source.cpu(), cpu_of(postgres)
        until = started + seconds
        await asyncio.gather(*map(client, clients))
        used = contender.source.cpu() - source, cpu_of(postgres) - database
        return Turn(len(lengths), sum(lengths), perf_counter() - started, *used)


async def _postmaster(settings: Settings, url: str) -> int:
    """Return the process that is the parent of all processes of PostgreSQL."""
    connection = await training_connection(settings, url)
    backend = await connection.fetchval("SELECT pg_backend_pid()")
    await connection.close()
    status = Path(f"/proc/{backend}/status").read_text()  # noqa: ASYNC240 - nothing else runs yet
    return int(status.partition("PPid:")[2].split()[0])


async def measure(settings: Settings, url: str, seconds: float) -> None:
    """Measure each page size, all in turn; the first round does not count."""
    postgres = await _postmaster(settings, url)
    async with contenders(settings, url) as entered:
        for size in SIZES:
            expected = await entered[0].source.check(size)
            for contender in entered:
                if await contender.source.check(size) != expected or len(expected) != size:
                    raise RuntimeError(f"{contender.title}: serves another page than the view has")
            turns: list[list[Turn]] = [[] for _ in entered]
            for number in range(1 + max(1, round(seconds / TURN_SECONDS))):
                for contender, taken in zip(entered, turns, strict=True):
                    result = await turn(contender, size, min(seconds, TURN_SECONDS), postgres)
                    if number:
                        taken.append(result)
            report(size, entered, turns)


def report(size: int, entered: Sequence[Contender], turns: Sequence[Sequence[Turn]]) -> None:
    """Print pages/s, and ratios to the others; to plain strawberry where it serves the same fields."""
    rates = {
        (contender.name, contender.fields): statistics.median(each.pages / each.seconds for each in taken)
        for contender, taken in zip(entered, turns, strict=True)
    }
    rounds = len(turns[0])
    print(f"\nPages of {size} at {CONNECTIONS} clients, medians of {rounds} turns")
    columns = (
        "pages/s",
        "least",
        "most",
        "kB",
        "CPU ms",
        "DB ms",
        "/ bare",
        "/ receipt",
        "/ PostGr.",
        "/ flat",
        "/ plain",
    )
    print(f"{'':45}{''.join(f'{column:>10}' for column in columns)}")
    for contender, taken in zip(entered, turns, strict=True):
        rate = rates[contender.name, contender.fields]
        each = [one.pages / one.seconds for one in taken]
        kilobytes = sum(one.bytes for one in taken) / sum(one.pages for one in taken) / 1e3
        others: list[tuple[str, str]] = [
            (BARE, ""),
            (WITH_RECEIPT, ""),
            (POSTGRAPHILE, OF_THE_VIEW),
            (FLAT, OF_THE_VIEW),
        ]
        ratios = [rate / rates[other] if other in rates else None for other in [*others, (PLAIN, contender.fields)]]
        said = "".join(f"{ratio:10.2f}" if ratio else f"{'-':>10}" for ratio in ratios)
        cpu = [
            statistics.median(getattr(one, what) / one.pages * 1e3 for one in taken) for what in ("cpu", "database_cpu")
        ]
        shown = f"{rate:10.1f}{min(each):10.1f}{max(each):10.1f}{kilobytes:10.0f}{cpu[0]:10.2f}{cpu[1]:10.2f}"
        print(f"{contender.title:45}{shown}{said}", flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(".grounds-bench"))
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=20.0, help="for each contender and page size")
    options = parser.parse_args()
    with loaded(options.data, options.items) as (settings, url):
        uvloop.run(measure(settings, url, options.seconds))


if __name__ == "__main__":
    main()
