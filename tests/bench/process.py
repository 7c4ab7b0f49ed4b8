"""The server process: how soon it is ready on existing data, and what 100,000 pages leave in its memory.

`./run python -m tests.bench.process --items 200000 --pages 100000` prints both.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from time import perf_counter, sleep

import orjson

from app.auth.dev_issuer import DevelopmentIssuer
from app.settings import Settings
from schema.actor import Role
from tests.bench.page import QUERY
from tests.bench.world import loaded, served

SIZES = (1, 5, 16, 53, 100)


def starts(settings: Settings, times: int) -> None:
    """Time `grounds serve` from its start until /ready says so, the embedded PostgreSQL's start included."""
    taken = []
    for number in range(times):
        port = 18_000 + os.getpid() % 10_000 + number
        command = [sys.executable, "-c", "from app.cli.main import main; main()", "serve", "--port", str(port)]
        began = perf_counter()
        with subprocess.Popen(
            command, env={**os.environ, "GROUNDS_DATA": str(settings.data)}, stderr=subprocess.DEVNULL
        ) as process:
            while not _ready(port):
                sleep(0.01)
            taken.append(perf_counter() - began)
            process.terminate()
    print(f"ready after {statistics.median(taken):.2f} s (median of {times})")


def _ready(port: int) -> bool:
    try:
        with closing(HTTPConnection("127.0.0.1", port, timeout=5)) as client:
            client.request("GET", "/ready")
            return client.getresponse().status == 200
    except OSError:
        return False


async def memory(settings: Settings, pages: int) -> None:
    """Pull pages of several sizes over and over, and read the server's resident memory."""
    token = DevelopmentIssuer.open(settings.data).token(Role.TRAINING_CLIENT, client="bench", purpose="GENAI_TRAINING")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    async with served(settings) as client:
        pid = client.server
        after: dict[int, str | None] = dict.fromkeys(SIZES)
        warm = max(1, pages // 20)
        for number in range(warm + pages):
            if number == warm:
                before = _resident(pid)
            size = SIZES[number % len(SIZES)]
            body = orjson.dumps({"query": QUERY, "variables": {"first": size, "after": after[size]}})
            client.request("POST", "/graphql", body, headers)
            page = orjson.loads(client.getresponse().read())["data"]["trainableContent"]["pageInfo"]
            after[size] = page["endCursor"] if page["hasNextPage"] else None
        print(f"{pages:,} pages after the first {warm:,}: {_resident(pid) - before:+.1f} MiB on {before:.0f} MiB")


def _resident(pid: int) -> float:
    """Read a process's resident memory, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(".grounds-bench"))
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--pages", type=int, default=100_000)
    parser.add_argument("--starts", type=int, default=5)
    options = parser.parse_args()
    with loaded(options.data, options.items) as (settings, _):
        asyncio.run(memory(settings, options.pages))
    starts(settings, options.starts)


if __name__ == "__main__":
    main()
