"""What hostile requests cost the server, and the client beside them.

`./run python -m tests.bench.hostile` prints, of one run over every attack of
`tests.support.hostile_documents`, the dearest in CPU, what
the server's memory grew by, and how much longer another client waits while four attackers send them.
"""

import argparse
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import orjson

from app.auth.dev_issuer import DevelopmentIssuer
from app.server.bootstrap import open_current_database
from app.settings import Settings
from schema.actor import Role
from tests.support.facts import NOW, fact
from tests.support.hostile_documents import Attack, corpus, fragment_graphs

ATTEMPTS = 10
ENOUGH_SECONDS = 0.1  # on the machine of the results
ENOUGH_TIMES = 5.0  # what the dearest answer that the limits allow costs: on any machine, and however busy it is
GRAPHS = 1000
ATTACKERS = 4
LIGHT = Attack("a light request", "{ viewer { name } }")
CLAIMS: dict[Role, dict[str, Any]] = {
    Role.TRAINING_CLIENT: {"client": "attacker", "purpose": "GENAI_TRAINING"},
    Role.DATA_SUBJECT: {"subject": "author-1"},
}


@dataclass(frozen=True)
class Answer:
    """A response, and what it cost the server's process in seconds of CPU."""

    status: int
    body: bytes
    cpu: float


@dataclass
class Server:
    """A server that runs as a process of its own, and its CPU and memory."""

    process: subprocess.Popen[bytes]
    address: str
    tokens: dict[Role, str]
    log: list[bytes] = field(default_factory=list)

    def connect(self) -> HTTPConnection:
        """Open a connection of a client."""
        return HTTPConnection(self.address, timeout=60)

    def send(self, client: HTTPConnection, attack: Attack, attempt: int = 0) -> Answer:
        """Send a request; nobody else should, or the CPU counts theirs too."""
        headers = {"Authorization": f"Bearer {self.tokens[attack.role]}", "Content-Type": "application/json"}
        before = self.cpu()
        client.request("POST", "/graphql", attack.body(attempt), headers)
        response = client.getresponse()
        body = response.read()
        return Answer(response.status, body, self.cpu() - before)

    def cheapest(self, client: HTTPConnection, attack: Attack, enough: float = 0.0, attempts: int = ATTEMPTS) -> Answer:
        """Send a request until it takes little enough CPU, a few times at most, so that noise does not count."""
        answers: list[Answer] = []
        while not answers or (answers[-1].cpu > enough and len(answers) < attempts):
            answers.append(self.send(client, attack, len(answers)))
        return min(answers, key=lambda answer: answer.cpu)

    def times(self, client: HTTPConnection, attack: Attack, other: Attack) -> float:
        """Return how many times what another request costs a request does: both by turns, so that noise meets both."""
        turns = [(self.send(client, attack, turn).cpu, self.send(client, other, turn).cpu) for turn in range(3)]
        return min(cpu for cpu, _ in turns) / min(cpu for _, cpu in turns)

    def cpu(self) -> float:
        """Return the seconds of CPU that the process used so far, all its threads: see clock_getcpuclockid(3)."""
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def resident(self) -> float:
        """Return the memory that the process holds, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@contextmanager
def served(settings: Settings, url: str, *, broken: str = "") -> Iterator[Server]:
    """Run `grounds serve` as a process of its own: as in production, or broken by some statements of Python."""
    command = [sys.executable, "-c", f"{broken}\nfrom app.cli.main import main; main()", "serve", "--port", "0"]
    secret = settings.secret_bytes().decode()
    environment = {**os.environ, "GROUNDS_DATA": str(settings.data), "DATABASE_URL": url, "GROUNDS_SECRET": secret}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    assert process.stderr is not None
    with process.stderr as log:
        started = log.readline().decode()
        address = started.partition('"address": "http://')[2].partition('"')[0]
        assert address, started
        issuer = DevelopmentIssuer.open(settings.data)
        tokens = {role: issuer.token(role, **CLAIMS.get(role, {})) for role in Role}
        server = Server(process, address, tokens)
        reader = threading.Thread(target=server.log.extend, args=(log,))
        reader.start()
        try:
            yield server
        finally:
            process.terminate()
            process.wait()
            reader.join()


def load(server: Server, accounts: int = 100, items: int = 100) -> None:
    """Send facts that make answers as large as they get: a page of accounts with a page of items each."""
    lines: list[dict[str, Any]] = []
    for number in range(accounts):
        author = f"author-{number}"
        lines.append(fact("account", id=author, person=f"person-{number // 2}"))
        lines += (fact("notice", id=f"notice-{number}-{each}", account=author) for each in range(5))
        if number % 10 == 0:
            lines += (fact("objection", id=f"objection-{number}-{each}", account=author) for each in range(3))
        for each in range(items):
            at = (NOW - timedelta(days=30 + (number * items + each) % 500)).isoformat()
            more: dict[str, Any] = {
                "created_at": at,
                "audience_since": at,
                "language": "de",
                "text": "A heron stood by the weir. " * 5,
            }
            lines.append(fact("content", id=f"item-{number}-{each}", account=author, **more))
    with closing(server.connect()) as client:
        headers = {"Authorization": f"Bearer {server.tokens[Role.PLATFORM_INGEST]}"}
        client.request("POST", "/ingest", b"\n".join(map(orjson.dumps, lines)), headers)
        answer = client.getresponse().read()
        assert not orjson.loads(answer)["total"]["rejected"], answer


@contextmanager
def attacked(server: Server, attacks: Sequence[Attack]) -> Iterator[None]:
    """Send attacks over and over, from several connections at once, while the block runs."""
    ended = threading.Event()

    def attacker(start: int) -> None:
        with closing(server.connect()) as client:
            turn = start * len(attacks) // ATTACKERS
            while not ended.is_set():
                server.send(client, attacks[turn % len(attacks)], turn % 16)
                turn += 1

    with ThreadPoolExecutor(ATTACKERS) as pool:
        attackers = [pool.submit(attacker, number) for number in range(ATTACKERS)]
        try:
            yield
        finally:
            ended.set()
    for each in attackers:
        each.result()


def waited(server: Server, seconds: float) -> tuple[float, float]:
    """Let a light client ask over and over: how long it waits at p99, in seconds, and the server's CPU meanwhile."""
    waits, works = [], []
    with closing(server.connect()) as client:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            started = time.perf_counter()
            works.append(server.send(client, LIGHT).cpu)
            waits.append(time.perf_counter() - started)
    return sorted(waits)[len(waits) * 99 // 100], sorted(works)[len(works) * 99 // 100]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(".grounds-bench-hostile"))
    parser.add_argument("--seconds", type=float, default=30.0)
    options = parser.parse_args()
    settings = Settings(data=options.data)
    with open_current_database(settings) as url, served(settings, url) as server:
        load(server)
        report(server, options.seconds)


@dataclass
class Onslaught:
    """The results of attacks, in order."""

    answers: list[tuple[Attack, Answer]]
    dearest: Attack
    """The one whose answer the limits allow that cost most."""
    allowed: float
    """What that was, in seconds of CPU."""
    grown: float
    """What the server's memory grew by, in MiB, beyond what its largest answers take."""


def onslaught(server: Server, attacks: Sequence[Attack]) -> Onslaught:
    """Send attacks one after the other, again where one took more CPU than ENOUGH_SECONDS.

    Those that are answered come before, so that their memory is not counted.
    """
    with closing(server.connect()) as client:
        costs = {attack.name: server.cheapest(client, attack, attempts=3).cpu for attack in attacks if attack.answered}
        dearest = max((attack for attack in attacks if attack.answered), key=lambda attack: costs[attack.name])
        before = server.resident()
        answers = [(attack, server.cheapest(client, attack, ENOUGH_SECONDS)) for attack in attacks]
    return Onslaught(answers, dearest, costs[dearest.name], server.resident() - before)


def report(server: Server, seconds: float) -> None:
    """Measure, and print."""
    attacks = [*corpus(), *fragment_graphs(GRAPHS)]
    found = onslaught(server, attacks)
    print(f"{len(attacks)} attacks; the server's memory grew by {found.grown:.0f} MiB to {server.resident():.0f}")
    print(f"CPU: {found.allowed * 1e3:.1f} ms for the dearest answer that the limits allow")
    print(f"CPU of all: median {statistics.median(answer.cpu for _, answer in found.answers) * 1e3:.1f} ms")
    for attack, answer in sorted(found.answers, key=lambda pair: -pair[1].cpu)[:20]:
        print(f"{answer.cpu * 1e3:8.1f} ms  {answer.status}  {len(answer.body):9} bytes  {attack.name}")
    tell("alone", waited(server, seconds))
    for told, answered in (("attacks", False), ("answers as dear as the limits allow", True)):
        with attacked(server, [attack for attack in attacks if attack.answered is answered]):
            tell(f"beside {told}", waited(server, seconds))


def tell(circumstances: str, waits: tuple[float, float]) -> None:
    """Print how long a light client waits."""
    elapsed, cpu = (seconds * 1e3 for seconds in waits)
    print(f"a light client waits {elapsed:.1f} ms at p99 {circumstances}, {cpu:.1f} ms of them for the server's CPU")


if __name__ == "__main__":
    main()
