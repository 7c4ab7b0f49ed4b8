"""A receiver of webhooks that answers well, badly, or not at all, and keeps what it was told."""

import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

from tests.support.local_server import listening

Manner = Callable[[], str]


@dataclass
class Receiver:
    """The requests that arrived at a receiver."""

    address: str
    manner: Manner = lambda: "well"
    secret: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    forged: int = 0
    asked: dict[str, int] = field(default_factory=dict)  # how often each path was asked, and each manner was used

    @property
    def applied(self) -> list[str]:
        """Return the ids of what was applied, in order."""
        return [told["id"] for body in self.bodies for told in body["retractions"]]

    def count(self, name: str) -> None:
        self.asked[name] = self.asked.get(name, 0) + 1

    def verify(self, body: bytes, headers: dict[str, str]) -> None:
        """Count a body that Standard Webhooks' own library does not accept."""
        try:
            Webhook(self.secret).verify(body, headers)
        except WebhookVerificationError:
            self.forged += 1


@contextmanager
def receiver(manner: Manner = lambda: "well") -> Iterator[Receiver]:
    """Listen until the block ends.

    A manner is `well` (applied, 200), `lost` (500, not applied), `late` (applied, 500), `redirect`, `close`, `hang`.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            manner = state.manner()
            state.count(self.path)
            state.count(manner)
            state.verify(body, dict(self.headers))
            if manner in ("well", "late"):
                state.headers.append(dict(self.headers))
                state.bodies.append(json.loads(body))
            if manner == "hang":
                ended.wait(30)
            if manner not in ("close", "hang"):
                self.send_response({"well": 200, "redirect": 302}.get(manner, 500))
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    ended = threading.Event()
    state = Receiver(f"http://127.0.0.1:{server.server_port}/hook", manner)
    with listening(server):
        try:
            yield state
        finally:
            ended.set()


def at_random(seed: int, *manners: str) -> Manner:
    """Choose a manner for each request."""
    chance = random.Random(seed)
    return lambda: chance.choice(manners)
