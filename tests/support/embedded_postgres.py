"""Processes that start, share and outlive an embedded PostgreSQL, and what is left of its server."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from db import embedded_postgres as embedded

UNSAFE_BUT_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
REPOSITORY = Path(embedded.__file__).parents[1]
SERVE = """
import sys
from pathlib import Path
from db import embedded_postgres as embedded
with embedded.embedded_postgres(Path(sys.argv[1]), settings={"fsync": "off"}) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@contextmanager
def serving(
    home: Path, script: str = SERVE, *, site: Path = REPOSITORY, env: Mapping[str, str] = {}, **options: Any
) -> Iterator["subprocess.Popen[str]"]:
    """Run the script on `home` in a process of its own, which imports from `site` first; kill it if it still runs."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(REPOSITORY), *sys.path]), **env}
    command = [sys.executable, "-c", script, str(home)]
    pipes: Mapping[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, text=True, **pipes, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def url_from(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    assert process.stderr is not None
    return process.stdout.readline().strip() or pytest.fail(process.stderr.read())


def ask(url: str, query: str) -> Any:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        row = cursor.fetchone() if cursor.description else None
        return row and row[0]


def refuses(url: str) -> bool:
    try:
        ask(url, "SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


def server_processes(home: Path, url: str) -> list[int]:
    """The postmaster and all its children, by id."""
    children = ask(url, "SELECT array_agg(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    return [postmaster(home), *children]


def postmaster(home: Path) -> int:
    return int((home / "cluster/database/data/postmaster.pid").read_text().split()[0])


def lives(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return met
