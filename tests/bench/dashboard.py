"""The dashboard's pages on a large platform: how long until the first byte of each, and how much it sends.

`./run python -m tests.bench.dashboard --items 2000000` prints the median and the slowest of each page, by role.
"""

import argparse
import asyncio
import statistics
from pathlib import Path
from time import perf_counter
from urllib.parse import urlencode

from app.auth.dev_issuer import DevelopmentIssuer
from app.settings import Settings
from app.web.dashboard.layout import PAGES, SIGN_IN
from schema.actor import Role
from tests.bench.world import Client, loaded, served

QUERIES = {
    "Explain": ("?id=content-17&day=2026-05-01",),
    "Representation": ("", "?view=country-language", "?view=country-language&kind=POST"),
    "Notices and objections": ("", "?objections=all"),
}


async def measure(settings: Settings, rounds: int) -> None:
    """Open every page over and over."""
    issuer = DevelopmentIssuer.open(settings.data)
    async with served(settings) as client:
        for role in (Role.PRIVACY_OFFICER, Role.DASHBOARD):
            cookie = _sign_in(client, issuer.token(role))
            for page in PAGES:
                for query in QUERIES.get(page.name, ("",)):
                    if role in page.readers:
                        _print(client, cookie, role, page.path + query, rounds)


def _sign_in(client: Client, token: str) -> str:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
    client.request("POST", SIGN_IN, urlencode({"token": token}), headers)
    answer = client.getresponse()
    answer.read()
    assert answer.status == 303, answer.status
    return (answer.getheader("Set-Cookie") or "").partition(";")[0]


def _print(client: Client, cookie: str, role: Role, path: str, rounds: int) -> None:
    taken, size = [], 0
    for turn in range(-1, rounds):
        began = perf_counter()
        client.request("GET", path, headers={"Cookie": cookie})
        answer = client.getresponse()
        first = perf_counter() - began
        size = len(answer.read())
        assert answer.status == 200, (path, answer.status)
        if turn >= 0:
            taken.append(first * 1e3)
    print(
        f"{role:16} {path:60} {statistics.median(taken):7.0f} ms, at most {max(taken):5.0f} ms, {size / 1024:5.0f} KiB"
    )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--data", type=Path, default=Path(".grounds-bench"))
    given = parser.parse_args()
    with loaded(given.data, given.items) as (settings, _):
        asyncio.run(measure(settings, given.rounds))


if __name__ == "__main__":
    main()
