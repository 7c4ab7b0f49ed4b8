"""`grounds demo`: serve a made-up platform. `--check` pulls it as a training client does."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from rich.console import Console
from rich.progress import Progress

from app.auth.dev_issuer import open_issuer
from app.auth.sign_in_codes import issue_code
from app.demo.canaries import canary_lines, demo_canaries
from app.demo.media_files import MEDIA_ORIGIN, media_files
from app.demo.population import population_lines
from app.server.scheduler import hold_job_lock
from app.server.serve import GatewayServer, running_server, wait_for_end
from app.settings import Settings, SettingsError
from db.connection import Connection, Database, connection
from db.coverage.snapshot import take_coverage
from db.ingest.merge import ingest_lines
from db.ingest.staging import Stager
from db.oversight.officer import ActOutcome, Officer
from schema.actor import Actor, Role

DEMO_CLIENT = "demo"
DEMO_PURPOSE = "GENAI_TRAINING"
PAGE_SIZE = 1000

PULL_QUERY = """query Pull($first: Int!, $after: String) {
  trainableContent(first: $first, after: $after) {
    nodes { id kind language text reason { ground summary conditions { code evidence } } }
    pageInfo { hasNextPage endCursor }
  }
}"""


@dataclass(frozen=True, slots=True)
class DemoCounts:
    """The number of items in the demo, and the number of items that qualify."""

    items: int
    permitted: int


async def run_demo(settings: Settings, url: str, host: str, port: int, items: int | None) -> None:
    """Load the demo's made-up platform if it is missing, serve it, and print how to try it, until a signal comes."""
    out = Console(highlight=False, soft_wrap=True)
    async with _serving_with_media(settings, url, host, port) as (server, database):
        loading = asyncio.create_task(_load_population(settings, database, items, Console(stderr=True)))
        ending = asyncio.create_task(wait_for_end(server, settings))
        await asyncio.wait({loading, ending}, return_when=asyncio.FIRST_COMPLETED)
        if not loading.done():
            loading.cancel()
        else:
            loaded, sign_in = await loading, _sign_in_line(settings, server.address)
            example = await _example_item(database)
            token = _training_token(settings)
            out.print(_instructions(server.address, token, sign_in, example, loaded), markup=False)
        await ending


@asynccontextmanager
async def _serving_with_media(
    settings: Settings, url: str, host: str, port: int
) -> AsyncIterator[tuple[GatewayServer, Database]]:
    """Run the demo's server beside a store of the made-up media, unless the operator names a store."""
    with media_files() as store:
        media = settings.media or {MEDIA_ORIGIN: store}
        async with running_server(settings.model_copy(update={"media": media}), url, host, port) as running:
            yield running


async def check_demo(settings: Settings, url: str, host: str, port: int, items: int | None) -> bool:
    """Pull every permitted item of the demo over HTTP, compare with the decisions of the database, and report."""
    async with running_server(settings, url, host, port) as (server, database):
        loaded = await _load_population(settings, database, items, Console(stderr=True))
        token = _training_token(settings)
        started = time.perf_counter()
        pulled, pages = await _pull_all_items(server.address, token)
        seconds = time.perf_counter() - started
    distinct = len({item["id"] for item in pulled})
    agreed = len(pulled) == distinct == loaded.permitted
    for item in pulled[:3]:
        print(json.dumps(item, ensure_ascii=False, indent=2))
    if not agreed:
        print(f"The client received {len(pulled)} items, {distinct} distinct; the database permits {loaded.permitted}.")
    result = {"items": loaded.items, "permitted": len(pulled), "pages": pages, "seconds": round(seconds, 3)}
    print(json.dumps(result))
    return agreed


def _training_token(settings: Settings) -> str:
    """Make a token for the demo's training client."""
    return open_issuer(settings).token(Role.TRAINING_CLIENT, client=DEMO_CLIENT, purpose=DEMO_PURPOSE)


async def _pull_all_items(address: str, token: str) -> tuple[list[dict[str, Any]], int]:
    """Pull all permitted items of the demo page by page; return them with the number of pages."""
    items: list[dict[str, Any]] = []
    pages = 0
    variables: dict[str, Any] = {"first": PAGE_SIZE, "after": None}
    async with httpx.AsyncClient(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
        while True:
            response = await client.post("/graphql", json={"query": PULL_QUERY, "variables": variables})
            answer = response.json()
            if "errors" in answer:
                raise RuntimeError(f"the gateway answered {answer['errors'][0]['message']}")
            page = answer["data"]["trainableContent"]
            items += page["nodes"]
            pages += 1
            if not page["pageInfo"]["hasNextPage"]:
                return items, pages
            variables["after"] = page["pageInfo"]["endCursor"]


async def _load_population(settings: Settings, database: Database, items: int | None, console: Console) -> DemoCounts:
    """Load the demo's population once. An interrupted load is finished; the same facts change nothing twice."""
    marker = settings.data_folder() / "demo.json"
    there = bool(await database.examiner("demo").fetchval("SELECT id FROM grounds.content LIMIT 1"))
    async with connection(database.ingest) as borrowed:
        made = _read_marker(marker)
        if made is None:
            if there:
                raise SettingsError(
                    f"{settings.data} contains facts that the demo did not generate (pass an empty data"
                    " folder with --data)"
                )
            made = {"items": items or 20_000, "now": datetime.now(UTC).isoformat(), "complete": False}
            marker.write_text(json.dumps(made))
        elif items is not None and items != made["items"]:
            console.print(f"Using the {made['items']:,} items that exist (--items applies only to a new data folder).")
        if not (made["complete"] and there):
            async with hold_job_lock(database, "coverage") as worker:  # or it would count what is there by then
                await _ingest_population(borrowed, made["items"], datetime.fromisoformat(made["now"]), console)
                await _plant_canaries(database, made["items"])
                while await take_coverage(worker):
                    pass
            marker.write_text(json.dumps({**made, "complete": True}))
    return await _count_items(database)


def _read_marker(marker: Path) -> dict[str, Any] | None:
    """Read the file that records which population the demo has loaded; None if there is none."""
    try:
        made: dict[str, Any] = json.loads(marker.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return made


async def _ingest_population(borrowed: Connection, items: int, now: datetime, console: Console) -> None:
    """Load the made-up facts of the demo in blocks, with a progress bar."""
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(f"Generating {items:,} items", total=items)

        async def blocks() -> AsyncIterator[bytes]:
            """Yield the demo's made-up facts in blocks, and advance the progress bar."""
            for block in in_blocks(chain(population_lines(items, now), canary_lines(items, now))):
                progress.advance(task, block.count(b'"record":"content"'))
                yield block

        rejected: list[object] = []
        stager = Stager()
        try:
            await ingest_lines(borrowed, blocks(), stager, on_rejected=rejected.append)
        finally:
            stager.close()
    if rejected:
        raise RuntimeError(f"the generated population has {len(rejected)} lines that were rejected")


async def _plant_canaries(database: Database, items: int) -> None:
    """Plant the demo's canaries, as an officer does."""
    for item, reason in demo_canaries(items).items():
        outcome = await Officer(database.staff, "demo").plant_canary(item, reason)
        if outcome not in (ActOutcome.PLANTED, ActOutcome.PLANTED_BEFORE):
            raise RuntimeError(f"the item {item} cannot be planted: {outcome}")


def in_blocks(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Gather the demo's lines into blocks, as a file would yield them."""
    block = bytearray()
    for line in lines:
        block += line
        if len(block) > 1 << 18:
            yield bytes(block)
            block.clear()
    yield bytes(block)


async def _count_items(database: Database) -> DemoCounts:
    """Count the demo's items, and those that are permitted, without its canaries."""
    async with connection(database.staff) as borrowed, borrowed.transaction():
        await borrowed.execute("SET LOCAL statement_timeout = '10min'")
        await borrowed.execute(
            "SELECT set_config('grounds.examiner', 'demo', TRUE), set_config('grounds.purpose', $1, TRUE)", DEMO_PURPOSE
        )
        row = await borrowed.fetchrow(
            "SELECT count(*) AS items, count(*) FILTER (WHERE permitted) AS permitted FROM grounds.decision"
            " WHERE id <> ALL (ARRAY(SELECT grounds.planted_items()))"
        )
    assert row is not None
    return DemoCounts(row["items"], row["permitted"])


def _instructions(address: str, token: str, sign_in: str, example: str, loaded: DemoCounts) -> str:
    """Write how to try the demo: what to open in a browser, and how a program queries the gateway."""
    reason = "reason { summary conditions { code evidence } }"
    asked = f"{{ trainableContent(first: 3) {{ nodes {{ kind language text {reason} }} }} }}"
    body = json.dumps({"query": asked})
    return f"""
Grounds listens on {address}; {loaded.permitted:,} of {loaded.items:,} items qualify. Open in a browser:

  {address}/  the public page, which leads to all other pages
  {address}/object  the form with which a person objects
  {sign_in}
      signs you in to the dashboard as a privacy officer (works once, within 10 minutes, on this machine)
  {address}/dashboard/explain?id={example}  why this item is permitted or not
  {address}/graphql  the API reference, with a form for queries

A token for the training client "{DEMO_CLIENT}", valid for one hour:

{token}

With curl:

curl -s {address}/graphql -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' -d '{body}'

To fetch the file of a photo, request `media {{ url }}`. Send the same token to the address in the answer:
  curl -H 'Authorization: Bearer ...' {address}/media/...

With Python (start it with .venv/bin/python):

from grounds_client import Client
client = Client("{address}", "{token}")
for item in client.execute("{asked}")["trainableContent"]["nodes"]: print(item)

Press Ctrl-C to stop the gateway. The next start uses the same data."""


def _sign_in_line(settings: Settings, address: str) -> str:
    """Return how to sign in to the demo's dashboard: a link on this machine only, else a token."""
    if urlsplit(address).hostname in ("127.0.0.1", "::1", "localhost"):
        code = issue_code(settings.secret_bytes(), Actor(name="demo", role=Role.PRIVACY_OFFICER))
        return f"{address}/dashboard/sign-in?code={code}"
    return f"{address}/dashboard  with this token: {open_issuer(settings).token(Role.PRIVACY_OFFICER)}"


async def _example_item(database: Database) -> str:
    """Return the platform's id of an item of the demo, for the page that explains it."""
    async with connection(database.staff) as borrowed, borrowed.transaction():
        await borrowed.execute("SELECT set_config('grounds.examiner', 'demo', TRUE)")
        found: str = await borrowed.fetchval(_EXAMPLE)
    return found


_EXAMPLE = """
SELECT c.platform_id FROM grounds.content c
WHERE c.kind IN ('POST', 'COMMENT') AND c.id <> ALL (ARRAY(SELECT grounds.planted_items())) ORDER BY c.id LIMIT 1"""
