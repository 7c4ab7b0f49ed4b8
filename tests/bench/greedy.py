"""How long others wait while one training client reads by many connections at once.

`./run python -m tests.bench.greedy --items 60000 --connections 32` prints medians of `/object`, of another client's
page of 10 items, of `/health` and of `/ready`: alone, beside the greedy client, and the ratios. Wanted: at most 5, and
no request is refused. It takes turns between both, so that noise meets both.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from urllib.parse import urlencode

from app.auth.dev_issuer import DevelopmentIssuer
from app.settings import Settings
from schema.actor import Role
from tests.bench.page import PURPOSE, QUERY
from tests.bench.world import Client, loaded, served

TURNS = 5
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
def greedy(client: Client, connections: int, send: Request) -> Iterator["Synchronized[int]"]:
    """Read page after page by so many connections until the block ends; yield how many were read.

    A process reads them whose CPU time counts for little: a client has a machine of its own.
    """
    context = multiprocessing.get_context("fork")
    pages: Synchronized[int] = context.Value("q", 0)
    reading = context.Process(target=read_pages, args=(client, connections, send, pages), daemon=True)
    reading.start()
    try:
        while pages.value < connections:
            sleep(0.01)
        yield pages
    finally:
        reading.kill()
        reading.join()


def read_pages(client: Client, connections: int, send: Request, pages: "Synchronized[int]") -> None:
    """Read page after page by so many connections, and count the pages; a client that is refused asks again at once."""
    os.nice(19)

    def read() -> None:
        with closing(HTTPConnection(client.host, client.port, timeout=60)) as connection:
            while True:
                send(connection)
                answer = connection.getresponse()
                answer.read()
                assert answer.status in {200, 503}, answer.status
                with pages.get_lock():
                    pages.value += answer.status == 200

    threads = [threading.Thread(target=read) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def timed(client: Client, requests: dict[str, Request], rounds: int, taken: dict[str, list[float]]) -> None:
    """Send each request in turn, and note the seconds. Every answer is a success."""
    for _ in range(rounds):
        for name, send in requests.items():
            began = perf_counter()
            send(client)
            answer = client.getresponse()
            body = answer.read()
            taken[name].append(perf_counter() - began)
            assert answer.status in {200, 303}, (name, answer.status)
            assert b'"errors"' not in body, body[:200]


def measure(client: Client, settings: Settings, connections: int, rounds: int) -> None:
    """Measure the requests of others, by turns alone and beside the greedy client."""
    numbers = iter(range(1_000_000))
    requests: dict[str, Request] = {
        "/object": form_request(numbers),
        "another client's page of 10": page_request(settings, "modest", 10),
        "/health": lambda connection: connection.request("GET", "/health"),
        "/ready": lambda connection: connection.request("GET", "/ready"),
    }
    alone, beside = (defaultdict[str, list[float]](list) for _ in range(2))
    rates = []
    timed(client, requests, 5, defaultdict(list))
    for _ in range(TURNS):
        timed(client, requests, rounds, alone)
        with greedy(client, connections, page_request(settings, "greedy", 1000)) as pages:
            began, before = perf_counter(), pages.value
            timed(client, requests, rounds, beside)
            rates.append((pages.value - before) / (perf_counter() - began))
        sleep(1)
    for name in requests:
        medians = median(alone[name]), median(beside[name])
        print(f"{name:30} {medians[0] * 1e3:8.1f} ms {medians[1] * 1e3:8.1f} ms {medians[1] / medians[0]:6.2f} x")
    print(f"the greedy client reads {median(rates):.1f} pages per second")


async def serve_and_measure(settings: Settings, connections: int, rounds: int) -> None:
    """Measure a server whose log is read meanwhile."""
    async with served(settings) as client:
        await asyncio.to_thread(measure, client, settings, connections, rounds)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=60_000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--data", type=Path, default=Path(".grounds-bench"))
    options = parser.parse_args()
    os.environ["GROUNDS_TRUSTED_PROXIES"] = "127.0.0.1/32"
    with loaded(options.data, options.items) as (settings, _):
        asyncio.run(serve_and_measure(settings, options.connections, options.rounds))


if __name__ == "__main__":
    main()
