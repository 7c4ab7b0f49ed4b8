"""How long others wait while one training client reads by many connections at once.

`./run python -m tests.bench.greedy --items 60000 --connections 32` prints medians of `/object`, of another client's
page of 10 items, of `/health` and of `/ready`: alone, beside the greedy client, and the ratios. Wanted: at most 5, and
no request is refused.
"""

import argparse
import asyncio
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from time import perf_counter
from urllib.parse import urlencode

from app.auth.dev_issuer import DevelopmentIssuer
from app.settings import Settings
from schema.actor import Role
from tests.bench.page import PURPOSE, QUERY
from tests.bench.world import Client, loaded, served

Request = Callable[[HTTPConnection], None]


def page_request(settings: Settings, client: str, first: int) -> Request:
    """Return what asks for a page as a training client."""
    token = DevelopmentIssuer.open(settings.data).token(Role.TRAINING_CLIENT, client=client, purpose=PURPOSE)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = json.dumps({"query": QUERY, "variables": {"first": first}})
    return lambda connection: connection.request("POST", "/graphql", body, headers)


def form_request(number: Iterator[int]) -> Request:
    """Return what files an objection as one of many clients of a proxy."""

    def send(connection: HTTPConnection) -> None:
        each = next(number)
        headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Forwarded-For": f"10.0.{each % 250}.1"}
        connection.request("POST", "/object", urlencode({"who": f"someone.{each}@example.org"}), headers)

    return send


@contextmanager
def greedy(client: Client, connections: int, send: Request) -> Iterator[None]:
    """Read page after page by so many connections until the block ends."""
    over = threading.Event()

    def read() -> None:
        with closing(HTTPConnection(client.host, client.port, timeout=60)) as connection:
            while not over.is_set():
                send(connection)
                connection.getresponse().read()

    threads = [threading.Thread(target=read) for _ in range(connections)]
    with ExitStack() as ending:
        for thread in threads:
            thread.start()
            ending.callback(thread.join)
        ending.callback(over.set)
        yield


def medians(client: Client, requests: dict[str, Request], rounds: int) -> dict[str, float]:
    """Send each request in turn; return the medians in seconds. Every answer is a success."""
    taken: dict[str, list[float]] = {name: [] for name in requests}
    for _ in range(rounds):
        for name, send in requests.items():
            began = perf_counter()
            send(client)
            answer = client.getresponse()
            body = answer.read()
            taken[name].append(perf_counter() - began)
            assert answer.status in {200, 303}, (name, answer.status)
            assert b'"errors"' not in body, body[:200]
    return {name: median(seconds) for name, seconds in taken.items()}


async def measure(settings: Settings, connections: int, rounds: int) -> None:
    """Measure the requests of others, alone and beside the greedy client."""
    numbers = iter(range(1_000_000))
    requests: dict[str, Request] = {
        "/object": form_request(numbers),
        "another client's page of 10": page_request(settings, "modest", 10),
        "/health": lambda connection: connection.request("GET", "/health"),
        "/ready": lambda connection: connection.request("GET", "/ready"),
    }
    async with served(settings) as client:
        await asyncio.to_thread(medians, client, requests, 5)
        alone = await asyncio.to_thread(medians, client, requests, rounds)
        with greedy(client, connections, page_request(settings, "greedy", 1000)):
            beside = await asyncio.to_thread(medians, client, requests, rounds)
    for name, seconds in beside.items():
        print(f"{name:30} {alone[name] * 1e3:8.1f} ms {seconds * 1e3:8.1f} ms {seconds / alone[name]:6.2f} x")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=60_000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--data", type=Path, default=Path(".grounds-bench"))
    options = parser.parse_args()
    os.environ["GROUNDS_TRUSTED_PROXIES"] = "127.0.0.1/32"
    with loaded(options.data, options.items) as (settings, _):
        asyncio.run(measure(settings, options.connections, options.rounds))


if __name__ == "__main__":
    main()
