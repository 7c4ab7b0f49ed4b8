"""How a server ends: a signal lets it drain, and a database that is gone is said so."""

import json
import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import psycopg
import pytest

from app.auth.dev_issuer import DevelopmentIssuer
from db.embedded_postgres import remove_embedded_postgres
from grounds_client.documents import document_id
from schema.actor import Role
from tests.app.server.test_serve import soon
from tests.support.command import Serving, serving
from tests.support.gateway import SECRET

pytestmark = pytest.mark.xdist_group("serve")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("ending") / "data"
    yield folder
    remove_embedded_postgres(folder / "postgres")


@pytest.fixture
def external(database_url: str) -> dict[str, str]:
    return {"DATABASE_URL": database_url, "GROUNDS_SECRET": SECRET.decode()}


def postmaster(server: Serving) -> int:
    with psycopg.connect(server.database_url) as connection:
        folder = connection.execute("SHOW data_directory").fetchone()
    assert folder is not None
    return int(Path(folder[0], "postmaster.pid").read_text().splitlines()[0])


def test_sigterm_makes_it_not_ready_before_it_takes_no_more_requests(external: dict[str, str], tmp_path: Path) -> None:
    with serving(tmp_path, tmp_path / "log", env=external | {"GROUNDS_DRAIN_SECONDS": "2"}) as server:
        assert httpx.get(f"{server.address}/ready").status_code == 200
        server.process.send_signal(signal.SIGTERM)
        assert soon(lambda: httpx.get(f"{server.address}/ready").status_code == 503)
        with httpx.Client(base_url=server.address) as client:  # a connection that is new
            assert client.get("/ready").json() == {"status": "not ready", "reason": "the gateway is stopping"}
            assert client.get("/health").status_code == 200
            assert client.get("/object").status_code == 200
        assert server.process.poll() is None
        assert server.process.wait(30) == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.address}/ready")


def test_a_second_signal_ends_it_at_once_and_sighup_ends_nothing(external: dict[str, str], tmp_path: Path) -> None:
    for second in (signal.SIGTERM, signal.SIGINT):
        with serving(tmp_path, tmp_path / "log", env=external | {"GROUNDS_DRAIN_SECONDS": "120"}) as server:
            for _ in range(3):
                os.kill(server.process.pid, signal.SIGHUP)
                time.sleep(0.1)
                assert httpx.get(f"{server.address}/ready").status_code == 200, second
            server.process.send_signal(signal.SIGTERM)
            assert soon(lambda: httpx.get(f"{server.address}/ready").status_code == 503), second
            assert server.stop(second) == 0, second


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.ci)])
def test_sighup_reads_the_trusted_documents_again(external: dict[str, str], tmp_path: Path, workers: str) -> None:
    file = tmp_path / "documents.json"
    only = {"GROUNDS_DOCUMENTS": str(file), "GROUNDS_DOCUMENTS_ONLY": "AUDITOR"}
    texts = ["{ viewer { name } }", "{ viewer { role } }"]
    file.write_text(manifest_of(texts[:1]))
    with serving(tmp_path, tmp_path / "log", "--workers", workers, env=external | only) as server:
        headers = {"Authorization": f"Bearer {DevelopmentIssuer.open(tmp_path).token(Role.AUDITOR)}"}

        def is_trusted() -> bool:
            answers = [
                httpx.post(f"{server.address}/graphql", json={"query": texts[1]}, headers=headers) for _ in range(8)
            ]
            return all("data" in answer.json() for answer in answers)

        assert soon(partial(says, server, '"event": "started"', int(workers)))
        assert not is_trusted()
        for content, event in ((manifest_of(texts), '"event": "reloaded"'), ("{", '"event": "not reloaded"')):
            file.write_text(content)
            os.kill(server.process.pid, signal.SIGHUP)
            assert soon(partial(says, server, event, int(workers)))
            assert is_trusted()


def says(server: Serving, event: str, times: int) -> bool:
    return server.log.read_text().count(event) == times


def manifest_of(texts: list[str]) -> str:
    return json.dumps({document_id(text): text for text in texts})


@pytest.mark.ci
def test_an_embedded_database_that_dies_ends_it_with_words(data: Path, tmp_path: Path) -> None:
    for workers in ("1", "2"):
        with serving(data, tmp_path / "log", "--workers", workers) as server:
            os.kill(postmaster(server), signal.SIGKILL)
            assert server.process.wait(30) == 2, workers
            log = data / "postgres" / "log"
            said = f"grounds: the embedded PostgreSQL has ended (read {log}, and start the gateway again)\n"
            assert server.log.read_text().endswith(said), workers
    with serving(data, tmp_path / "log") as server:  # and what was committed is there again
        assert httpx.get(f"{server.address}/ready").status_code == 200
        assert server.stop() == 0
