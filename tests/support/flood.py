"""Unknown visitors who send many requests: a process of its own, so that a test does not wait for its own client.

`python -m tests.support.flood ADDRESS REQUESTS SECONDS` sends so many requests within so many seconds, evenly, and
prints how many got each status as JSON. Half of the visitors fill in the form for objections, half try to sign in; they
have two addresses in all.
"""

import asyncio
import json
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlencode, urlsplit

from app.web.dashboard.layout import SIGN_IN

CONNECTIONS = 64
"""Each answer of the form takes a quarter of a second."""


async def flood(address: str, requests: int, seconds: float) -> Counter[int]:
    """Send the requests from another process: status -> how many answers had it."""
    command = (sys.executable, "-m", "tests.support.flood", address, str(requests), str(seconds))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    printed, _ = await process.communicate()
    assert process.returncode == 0, "the flood ended with an error"
    return Counter({int(status): count for status, count in json.loads(printed).items()})


def send(connection: HTTPConnection, address: str, number: int) -> int:
    """Send the request with this number; return the status of its answer."""
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Forwarded-For": f"192.0.2.{number % 2}"}
    if number % 2:
        connection.request("POST", "/object", urlencode({"who": f"flood-{number}"}), headers)
    else:
        own_page = {"Origin": address, "Sec-Fetch-Site": "same-origin"}
        connection.request("POST", SIGN_IN, urlencode({"token": "a.b.c"}), headers | own_page)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def run(address: str, requests: int, seconds: float) -> Counter[int]:
    """Send each request by a connection of its own, several at once: status -> how many answers had it."""
    place = urlsplit(address)
    began = time.monotonic()
    counts: list[Counter[int]] = [Counter() for _ in range(CONNECTIONS)]

    def visit(first: int) -> None:
        for number in range(first, requests, CONNECTIONS):
            time.sleep(max(0.0, began + number * seconds / requests - time.monotonic()))
            with closing(HTTPConnection(place.hostname or "", place.port, timeout=60)) as connection:
                counts[first][send(connection, address, number)] += 1

    threads = [threading.Thread(target=visit, args=(first,)) for first in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts, Counter())


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))
