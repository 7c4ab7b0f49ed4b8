"""`grounds serve` and `grounds demo` as processes: they start, share, stop, are killed, and log nothing private."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from app.auth.dev_issuer import DevelopmentIssuer
from db.embedded_postgres import remove_embedded_postgres
from schema.actor import Role
from tests.support.command import COMMAND, Serving, environment, grounds, serving, write
from tests.support.facts import NOW, fact
from tests.support.fork_server import ForkedCommand
from tests.support.gateway import SECRET, set_clock

pytestmark = pytest.mark.xdist_group("serve")

CANARY = "canary"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder that the servers of this module share, one after the other."""
    folder = tmp_path_factory.mktemp("data") / "data"
    yield folder
    remove_embedded_postgres(folder / "postgres")


@dataclass(frozen=True)
class Demo:
    """A data folder with a demo of 500 items, and the output of its first check."""

    data: Path
    checked: "subprocess.CompletedProcess[str]"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo") / "data"
    yield Demo(folder, grounds("demo", "--check", "--port", "0", "--items", "500", data=folder))
    remove_embedded_postgres(folder / "postgres")


def bearer(data: Path, role: Role = Role.AUDITOR, **claims: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {DevelopmentIssuer.open(data).token(role, **claims)}"}  # type: ignore[arg-type]  # names


def ready(server: Serving) -> bool:
    return bool(
        httpx.get(f"{server.address}/ready").json().items() >= {"status": "ready", "policy": "2025-05-27"}.items()
    )


def soon(holds: Callable[[], bool], seconds: float = 20) -> bool:
    ends = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < ends:
        time.sleep(0.05)
    return held


def postgres_is_gone(database_url: str, data: Path) -> bool:
    """Return whether neither a connection nor a process of the data folder's cluster is left."""
    with suppress(psycopg.OperationalError), psycopg.connect(database_url, connect_timeout=5):
        return False
    cluster = os.fsencode((data / "postgres" / "cluster").resolve())
    return not any(cluster in commands for commands in _commands())


def _commands() -> Iterator[bytes]:
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            yield (process / "cmdline").read_bytes()


def ingest(server: Serving, record: dict[str, Any]) -> None:
    headers = bearer(server.data, Role.PLATFORM_INGEST)
    answer = httpx.post(f"{server.address}/ingest", content=json.dumps(record), headers=headers).json()
    assert answer["total"]["accepted"] + answer["total"]["unchanged"] == 1


def knows(server: Serving, account: str) -> bool:
    query = {"query": f'{{ account(id: "{account}") {{ id }} }}'}
    answer = httpx.post(f"{server.address}/graphql", json=query, headers=bearer(server.data)).json()
    return answer["data"]["account"] is not None


@pytest.mark.ci
def test_two_that_start_at_once_on_a_new_folder_share_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with (
        (tmp_path / "other").open("wb") as log,
        ForkedCommand("serve", "--port", 0, env=environment(data), stderr=log.fileno()) as process,
        serving(data, tmp_path / "log") as server,
    ):
        assert soon(lambda: '"started"' in (tmp_path / "other").read_text())
        started = json.loads((tmp_path / "other").read_text().splitlines()[0])
        other = Serving(process, started["address"], data, tmp_path / "other")
        assert server.address != other.address
        assert ready(server)
        assert ready(other)
        ingest(server, fact("account", id="shared"))
        assert knows(other, "shared")
        # The process that started the database leaves last.
        owner = int((data / "postgres" / "owner").read_text())
        first, last = sorted((server, other), key=lambda each: each.process.pid == owner)
        assert first.stop() == 0
        assert ready(last)
        assert last.stop() == 0
    for log_file in ("log", "other"):
        assert logged_events(tmp_path / log_file) == ["started", "stopped"]
    remove_embedded_postgres(data / "postgres")


def test_a_signal_ends_it_cleanly_and_the_next_start_has_the_data(data: Path, tmp_path: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with serving(data, tmp_path / "log", "--host", "localhost") as server:
            assert httpx.get(f"{server.address}/health").json() == {"status": "healthy"}
            assert ready(server)
            if number is signal.SIGTERM:
                ingest(server, fact("account", id="kept"))
            assert knows(server, "kept")
            database_url = server.database_url
            began = time.monotonic()
            assert server.stop(number) == 0
            assert time.monotonic() - began < 10
        assert postgres_is_gone(database_url, data)
    assert logged_events(tmp_path / "log") == ["started", "stopped"]


def test_killed_it_leaves_no_postgresql_behind_and_loses_nothing(data: Path, tmp_path: Path) -> None:
    with serving(data, tmp_path / "log") as server:
        ingest(server, fact("account", id="last"))
        database_url = server.database_url
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
        assert soon(lambda: postgres_is_gone(database_url, data))
    with serving(data, tmp_path / "log") as server:
        assert knows(server, "last")
        assert server.stop() == 0


def test_a_port_in_use_is_told_of(database_url: str, tmp_path: Path) -> None:
    env = {"DATABASE_URL": database_url, "GROUNDS_SECRET": SECRET.decode()}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = grounds("serve", "--port", port, data=tmp_path, env=env)
    assert (told.returncode, told.stdout) == (2, "")
    said = "Address already in use (choose another port with --port)"
    assert told.stderr == f"grounds: cannot listen on 127.0.0.1:{port}, {said}\n"


def test_no_text_no_token_and_no_trace_is_logged(data: Path, tmp_path: Path) -> None:
    with serving(data, tmp_path / "log") as server:
        set_clock(server.database_url, NOW)
        secrets = [*provoke(server), CANARY]
        # A stream that is still open when the server has to stop.
        place = urlsplit(server.address)
        with socket.create_connection((place.hostname, place.port)) as stream:
            headers = bearer(data, Role.PLATFORM_INGEST)["Authorization"]
            head = "POST /ingest HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            head += f"Authorization: {headers}\r\nContent-Length: 9999999\r\n\r\n"
            stream.sendall(head.encode() + json.dumps(fact("content", id=CANARY)).encode())
            time.sleep(0.3)
            assert server.stop() == 0
            answer = stream.recv(65536).decode()
        assert answer.startswith("HTTP/1.1 503 ")
        assert "the gateway is stopping (try again); the complete lines are stored (send the stream again)" in answer
    log = (tmp_path / "log").read_text()
    assert '"event": "ingested"' in log
    for secret in [*secrets, "Traceback", "postgresql://"]:
        assert secret not in log


def logged_events(log: Path) -> list[str]:
    """Read what a server logged, but for its requests and streams."""
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    return [event for event in events if event not in ("request", "ingested")]


def provoke(server: Serving) -> list[str]:
    """Send all that may be logged by mistake; return the tokens that were used."""
    client = bearer(server.data, Role.TRAINING_CLIENT, client="a-client", purpose="GENAI_TRAINING")
    subject = bearer(server.data, Role.DATA_SUBJECT, subject=f"{CANARY}-subject")
    platform, auditor = bearer(server.data, Role.PLATFORM_INGEST), bearer(server.data)
    with httpx.Client(base_url=server.address, timeout=30) as http:
        provoke_intake(http, platform, auditor)
        for headers in (client, subject, auditor, {"Authorization": f"Bearer {CANARY}.{CANARY}.{CANARY}"}):
            provoke_graphql(http, headers)
        http.get(f"/{CANARY}?{CANARY}={CANARY}")
        # What fails inside: the view is gone, then the connections are.
        with psycopg.connect(server.database_url, autocommit=True) as connection:
            connection.execute("ALTER VIEW grounds.trainable_content RENAME TO gone")
            told = http.post("/graphql", json={"query": PULLING}, headers=client).json()["errors"][0]["extensions"]
            connection.execute("ALTER VIEW grounds.gone RENAME TO trainable_content")
            assert told == {"code": "INTERNAL"}
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'grounds%'")
            http.post("/graphql", json={"query": PULLING}, headers=client)
    place = urlsplit(server.address)
    for sent in (f"{CANARY}\r\n\r\n", f"POST /graphql HTTP/1.1\r\nContent-Length: {CANARY}\r\n\r\n"):
        with socket.create_connection((place.hostname, place.port)) as stream:
            stream.sendall(sent.encode())
            stream.recv(1024)
    return [headers["Authorization"].removeprefix("Bearer ") for headers in (client, subject, platform, auditor)]


def provoke_intake(http: httpx.Client, platform: dict[str, str], auditor: dict[str, str]) -> None:
    lines = [
        *(fact("account", id=f"{CANARY}-account", person=CANARY), fact("content", text=f"A {CANARY} sang. " * 9)),
        *(fact("content", id=CANARY, audience=CANARY), fact("content", id="m", kind="PRIVATE_MESSAGE", text=CANARY)),
        fact("content", text=f"Another {CANARY}."),
    ]
    body = "\n".join([*map(json.dumps, lines), f'{{"record": "content", "text": "{CANARY}', f'"{CANARY}"'])
    assert http.post("/ingest", content=body, headers=platform).json()["total"]["rejected"] == 4
    assert http.post("/ingest", content=body, headers=auditor).status_code == 403
    assert http.post("/ingest", content=body, headers={"Authorization": f"Bearer {CANARY}"}).status_code == 401


PULLING = "{ trainableContent(first: 9) { nodes { text } } }"
QUERIES = (
    PULLING,
    f"query {CANARY} {PULLING}",
    f"{{ {CANARY}",
    f"{{ {CANARY} }}",
    f'{{ content(id: "{CANARY}") {{ id }} }}',
    f'{{ account(id: "{CANARY}\\u0000") {{ id }} }}',
    f'{{ trainableContent(first: 1, after: "{CANARY}") {{ nodes {{ id }} }} }}',
)


def provoke_graphql(http: httpx.Client, headers: dict[str, str]) -> None:
    for query in QUERIES:
        asked: dict[str, Any] = {"query": query, "variables": {CANARY: CANARY}}
        assert http.post("/graphql", json=asked, headers=headers).status_code in (200, 401)
        http.post("/graphql", json=asked | {"operationName": CANARY}, headers=headers)
        http.post("/graphql", content=query, headers=headers)
        http.get("/graphql", params={"query": query}, headers=headers)


def test_the_demo_checks_itself_and_keeps_its_data(demo: Demo) -> None:
    other = grounds("demo", "--check", "--port", "0", "--items", "7", data=demo.data)
    assert "Using the 500 items that exist (--items applies only to a new data folder)." in other.stderr
    results = []
    for told in (demo.checked, other):
        assert told.returncode == 0, told.stderr
        *shown, result = told.stdout.splitlines()
        results.append(json.loads(result))
        decoder, text, items = json.JSONDecoder(), "\n".join(shown), []
        while text:
            item, end = decoder.raw_decode(text)
            items.append(item)
            text = text[end:].strip()
        assert len(items) == 3
        for item in items:
            assert item["reason"]["ground"] in ("PUBLIC_CONTENT", "AI_INTERACTION")
            assert item["reason"]["summary"]
            assert all(condition["code"] for condition in item["reason"]["conditions"])
    for result in results:
        assert list(result) == ["items", "permitted", "pages", "seconds"]
        assert (result["items"], result["pages"]) == (500, 1)
        assert 50 < result["permitted"] == results[0]["permitted"] < 500


def test_the_demo_is_not_mixed_with_facts_that_are_no_demo(database_url: str, tmp_path: Path) -> None:
    env = {"DATABASE_URL": database_url, "GROUNDS_SECRET": SECRET.decode()}
    facts = write(tmp_path / "facts", fact("content", id="real"))
    assert grounds("ingest", facts, data=tmp_path, env=env).returncode == 0
    told = grounds("demo", "--port", "0", data=tmp_path, env=env)
    assert (told.returncode, told.stdout) == (2, "")
    assert "contains facts that the demo did not generate (pass an empty data folder with --data)" in told.stderr


def test_what_the_demo_prints_works_when_pasted_and_ctrl_c_ends_it(demo: Demo, tmp_path: Path) -> None:
    command = [COMMAND, "demo", "--port", "0"]
    with (
        (tmp_path / "out").open("wb") as out,
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(command, env=environment(demo.data), stdout=out, stderr=log) as process,
    ):
        try:
            assert soon(lambda: "Ctrl-C" in (tmp_path / "out").read_text()), (tmp_path / "log").read_text()
            printed = (tmp_path / "out").read_text()
            address = re.search(r"Grounds listens on (http://127\.0\.0\.1:\d+); \d+ of 500 items qualify", printed)
            assert address
            assert re.search(r"^[\w-]+\.[\w-]+\.[\w-]+$", printed, re.MULTILINE), "a token alone on its line"
            (pasted,) = re.findall(r"^curl .*$", printed, re.MULTILINE)
            items = asked_by_curl(shlex.split(pasted))
            assert len(items) == 3
            snippet = printed[printed.index("from grounds_client") : printed.index("\nPress Ctrl-C")]
            told = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, check=True)
            assert told.stdout.splitlines() == [str(item) for item in items]
            (link,) = re.findall(r"^ +(\S+/sign-in\?code=\S+)$", printed, re.MULTILINE)
            assert httpx.get(link).headers["location"] == "/dashboard"
            database_url = Serving(process, address[1], demo.data, tmp_path / "log").database_url
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert postgres_is_gone(database_url, demo.data)
    assert logged_events(tmp_path / "log") == ["started", "stopped"]


def asked_by_curl(command: list[str]) -> list[dict[str, Any]]:
    """Run a curl command; where there is no curl, do what it says."""
    if shutil.which("curl"):
        answer = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    else:
        headers = dict(value.split(": ", 1) for flag, value in pairwise(command) if flag == "-H")
        body = command[command.index("-d") + 1]
        answer = httpx.post(command[2], content=body, headers=headers).json()
    nodes: list[dict[str, Any]] = answer["data"]["trainableContent"]["nodes"]
    return nodes


@pytest.mark.ci
def test_the_demo_ends_while_it_loads_and_finishes_at_the_next_start(tmp_path: Path) -> None:
    data = tmp_path / "data"
    arguments = ("demo", "--port", 0, "--items", 4000)
    with (
        (tmp_path / "log").open("wb") as log,
        ForkedCommand(*arguments, env=environment(data), stderr=log.fileno()) as process,
    ):
        assert soon(lambda: (data / "demo.json").exists())
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert json.loads((data / "demo.json").read_text())["complete"] is False
    assert "Traceback" not in (tmp_path / "log").read_text()
    told = grounds("demo", "--check", "--port", "0", data=data)
    assert (told.returncode, json.loads(told.stdout.splitlines()[-1])["items"]) == (0, 4000)
    remove_embedded_postgres(data / "postgres")
