"""A training client that may be killed at any moment: it keeps what it was told, then how far it came.

    python -m tests.support.retraction_consumer graphql|events STORE [SECONDS] [cursor-first]

What it applies goes to a SQLite file; SECONDS pass between that and its keeping the cursor. GATEWAY and TOKEN are in
the environment. With `cursor-first` it is a client that loses retractions when it is killed.
"""

import http.client
import json
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

FEED = """query Feed($after: String) {
  retractions(first: 7, after: $after) { edges { cursor node { id contentId kind } } }
}"""
Told = tuple[str, dict[str, Any]]


def open_store(path: Path) -> sqlite3.Connection:
    store = sqlite3.connect(path, isolation_level=None, timeout=30)
    store.execute("PRAGMA synchronous = OFF")  # the process is killed, not the machine
    store.execute("CREATE TABLE IF NOT EXISTS applied (place INTEGER PRIMARY KEY, id, kind)")
    store.execute("CREATE TABLE IF NOT EXISTS kept (cursor)")
    return store


def applied(path: Path) -> list[str]:
    """Return what was applied, in order."""
    store = open_store(path)
    try:
        return [id for (id,) in store.execute("SELECT id FROM applied ORDER BY place")]
    finally:
        store.close()


def graphql(gateway: http.client.HTTPConnection, headers: dict[str, str], after: str | None) -> Iterator[Told]:
    """Pull page after page."""
    while True:
        body = json.dumps({"query": FEED, "variables": {"after": after}})
        gateway.request("POST", "/graphql", body, headers | {"Content-Type": "application/json"})
        edges = json.loads(gateway.getresponse().read())["data"]["retractions"]["edges"]
        for edge in edges:
            yield edge["cursor"], edge["node"]
            after = edge["cursor"]
        if not edges:
            time.sleep(0.05)


def events(gateway: http.client.HTTPConnection, headers: dict[str, str], after: str | None) -> Iterator[Told]:
    """Read one stream."""
    gateway.request("GET", "/retractions", headers=headers | ({"Last-Event-ID": after} if after else {}))
    event: dict[str, str] = {}
    for line in gateway.getresponse():
        name, _, value = line.decode().rstrip("\n").partition(": ")
        event[name] = value
        if not name and "data" in event:
            yield event["id"], json.loads(event["data"])
            event = {}


def keep(store: sqlite3.Connection, cursor: str) -> None:
    store.execute("BEGIN")
    store.execute("DELETE FROM kept")
    store.execute("INSERT INTO kept VALUES (?)", [cursor])
    store.execute("COMMIT")


def consume(way: str, path: Path, seconds: float, *, cursor_first: bool) -> None:
    """Apply what comes until killed."""
    store = open_store(path)
    kept = store.execute("SELECT cursor FROM kept").fetchone()
    gateway = http.client.HTTPConnection(urlsplit(os.environ["GATEWAY"]).netloc)
    headers = {"Authorization": f"Bearer {os.environ['TOKEN']}"}
    source = {"graphql": graphql, "events": events}[way]
    for cursor, told in source(gateway, headers, kept[0] if kept else None):
        if cursor_first:
            keep(store, cursor)
            time.sleep(seconds)
        store.execute("INSERT INTO applied (id, kind) VALUES (?, ?)", [told["id"], told["kind"]])
        if not cursor_first:
            time.sleep(seconds)
            keep(store, cursor)


if __name__ == "__main__":
    way, path, *more = sys.argv[1:]
    consume(way, Path(path), float(more[0]) if more else 0.0, cursor_first="cursor-first" in more)
