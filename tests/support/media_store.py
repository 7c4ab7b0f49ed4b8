"""A platform's store of media: files by path, redirects, and what it was asked."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.local_server import listening

ORIGIN = "https://media.example.org"


@dataclass
class Store:
    """The files of a store, and the headers of each request that arrived."""

    address: str
    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    states_length: bool = True
    answering: threading.Event = field(default_factory=threading.Event)
    """Not set: requests arrive and are not answered yet."""
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@contextmanager
def media_store() -> Iterator[Store]:
    """Serve files until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            store.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            store.answering.wait(30)
            body = store.files.get(self.path)
            self.send_response(302 if self.path in store.redirects else 404 if body is None else 200)
            if self.path in store.redirects:
                self.send_header("Location", store.redirects[self.path])
            for name, value in store.headers.items():
                self.send_header(name, value)
            if store.states_length:
                self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *arguments: Any) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    store = Store(f"http://127.0.0.1:{server.server_port}")
    with listening(server):
        store.answering.set()
        try:
            yield store
        finally:
            store.answering.set()
