"""`grounds serve --workers`: several processes answer on one socket, are replaced when they die, and end together."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from db.embedded_postgres import remove_embedded_postgres
from schema.actor import Role
from tests.app.server.test_serve import bearer, postgres_is_gone, soon
from tests.support.command import Serving, grounds, serving

pytestmark = pytest.mark.xdist_group("serve")

# A build in which a worker that has lived for a second has lived long.
SOON_STEADY = """
from app.cli.main import main
from app.server import workers
workers.STEADY_SECONDS = 1.0
main()
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder that the servers of this module share, one after the other."""
    folder = tmp_path_factory.mktemp("data") / "data"
    yield folder
    if folder.exists():
        remove_embedded_postgres(folder / "postgres")


def workers(server: Serving) -> list[int]:
    """Return the processes that listen beside the one that was started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            command = (status.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == server.process.pid and b"spawn_main" in command:
            found.append(int(status.parent.name))
    return found


def answers(server: Serving) -> bool:
    query = {"query": "{ viewer { role } }"}
    try:
        answer = httpx.post(f"{server.address}/graphql", json=query, headers=bearer(server.data))
    except httpx.TransportError:
        return False
    return bool(answer.json()["data"]["viewer"]["role"] == Role.AUDITOR)


def started(server: Serving) -> int:
    return server.log.read_text().count('"event": "started"')


@pytest.mark.ci
def test_workers_answer_outlive_sighup_are_replaced_and_end_together(data: Path, tmp_path: Path) -> None:
    with serving(data, tmp_path / "log", "--workers", "2", build=SOON_STEADY) as server:
        assert soon(lambda: started(server) == 2)
        first = workers(server)
        assert len(first) == 2
        assert all(answers(server) for _ in range(8))
        os.kill(server.process.pid, signal.SIGHUP)
        # One that dies long after its start is replaced; soon() waits until both have lived long enough.
        assert soon(lambda: lived(first[0]) > 2)
        os.kill(first[0], signal.SIGKILL)
        assert soon(lambda: started(server) == 3)
        assert all(answers(server) for _ in range(8))
        assert set(workers(server)) & set(first) == {first[1]}
        url = server.database_url
        assert server.stop() == 0
    assert not workers(server)
    assert postgres_is_gone(url, data)
    assert (tmp_path / "log").read_text().count('"event": "stopped"') == 2


@pytest.mark.ci
def test_workers_do_not_outlive_who_started_them(data: Path, tmp_path: Path) -> None:
    with serving(data, tmp_path / "log", "--workers", "2") as server:
        assert soon(lambda: started(server) == 2)
        left, url = workers(server), server.database_url
        server.process.kill()
        assert soon(lambda: not any(Path(f"/proc/{pid}").exists() for pid in left))
        assert soon(lambda: postgres_is_gone(url, data))


def test_a_number_of_workers_that_cannot_be_is_refused(data: Path) -> None:
    told = grounds("serve", "--port", 0, "--workers", 0, data=data)
    assert told.returncode == 2
    assert "--workers" in told.stderr


def lived(pid: int) -> float:
    """Return the seconds for which a process has run."""
    began = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return uptime - began / os.sysconf("SC_CLK_TCK")
