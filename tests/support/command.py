"""Run the `grounds` command: a process of its own, most often one that the fork server starts."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import psycopg

from tests.support.fork_server import BUILD, ForkedCommand

COMMAND = str(Path(sys.executable).with_name("grounds"))
"""The command itself, for a process that imports what it needs."""


def environment(data: Path, more: Mapping[str, str] = {}) -> dict[str, str]:
    """Return the environment of a command, without the settings of the test run but that of offers."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("GROUNDS_", "DATABASE_URL"))}
    offers = os.environ.get("GROUNDS_OFFERS", "false")
    return ours | {"GROUNDS_DATA": str(data), "GROUNDS_DRAIN_SECONDS": "0", "GROUNDS_OFFERS": offers, **more}


KILLED = """
import importlib, inspect, os, signal
from app.cli.main import main

module = importlib.import_module({module!r})
*owners, name = {function!r}.split(".")
owner = module
for each in owners:
    owner = getattr(owner, each)
whole = getattr(owner, name)

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

if inspect.iscoroutinefunction(whole):
    async def killed(*given):
        if {when!r} == "before" or [await whole(*given)]:
            kill()
else:
    def killed(*given):
        if {when!r} == "before" or [whole(*given)]:
            kill()

setattr(owner, name, killed)
main()
"""
"""A build that kills itself before or after a `function` of a `module`: fill these in, and `when`."""


def grounds(
    *arguments: object,
    data: Path,
    stdin: bytes = b"",
    cwd: Path | None = None,
    env: Mapping[str, str] = {},
    build: str = BUILD,
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end; whatever it ends with, it never shows a trace."""
    reading, writing = os.pipe()
    with TemporaryFile() as out, TemporaryFile() as err:
        streams = {"stdin": reading, "stdout": out.fileno(), "stderr": err.fileno()}
        process = ForkedCommand(*arguments, build=build, env=environment(data, env), cwd=cwd, **streams)
        os.close(reading)
        with suppress(BrokenPipeError), os.fdopen(writing, "wb") as giving:  # it need not read what it is given
            giving.write(stdin)
        code = process.wait()
        said = [read_from_start(file) for file in (out, err)]
    told = subprocess.CompletedProcess(["grounds", *map(str, arguments)], code, *said)
    assert "Traceback" not in told.stderr + told.stdout, told.stderr
    return told


def read_from_start(file: IO[bytes]) -> str:
    """Read what another process wrote into a file."""
    file.seek(0)
    return file.read().decode()


@dataclass
class Serving:
    """A `grounds serve` that listens."""

    process: "ForkedCommand | subprocess.Popen[bytes]"
    address: str
    data: Path
    log: Path

    @property
    def database_url(self) -> str:
        """Return the administrator's URL of its embedded database."""
        return (self.data / "postgres" / "url").read_text().rpartition("/")[0] + "/grounds"

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement as the administrator."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            return connection.execute(statement.encode()).fetchall()


@contextmanager
def serving(
    data: Path, log: Path, *arguments: str, env: Mapping[str, str] = {}, build: str = BUILD
) -> Iterator[Serving]:
    """Serve until the block ends; its log goes to a file. `build` can be one that is broken on purpose."""
    arguments = ("serve", "--port", "0", *arguments)
    with (
        log.open("wb") as stderr,
        ForkedCommand(*arguments, build=build, env=environment(data, env), stderr=stderr.fileno()) as process,
    ):
        try:
            yield Serving(process, address_from(process, log), data, log)
        finally:
            process.terminate()


def address_from(process: "ForkedCommand | subprocess.Popen[bytes]", log: Path) -> str:
    """Wait until a server listens; return the address from its log."""
    for _ in range(12_000):  # two minutes: machines are shared
        for line in log.read_text().splitlines():
            if '"started"' in line:
                return str(json.loads(line)["address"])
        assert process.poll() is None, log.read_text()
        time.sleep(0.01)
    raise AssertionError(f"it does not start: {log.read_text()}")


def write(file: Path, *records: dict[str, Any] | str) -> Path:
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    file.write_text("\n".join(lines) + "\n")
    return file


def summaries(printed: str) -> list[dict[str, list[int]]]:
    """Read what is printed of each file: record -> accepted, unchanged, stale, rejected."""
    found: list[dict[str, list[int]]] = []
    for line in printed.splitlines():
        cells = [cell.strip() for cell in line.replace("┃", "│").strip("│").split("│")]
        if cells[0] == "record":
            assert cells[1:] == ["accepted", "unchanged", "stale", "rejected"]
            found.append({})
        elif len(cells) == 5:
            found[-1][cells[0]] = [int(cell) for cell in cells[1:]]
    return found
