"""Processes of the `grounds` command without their imports, which take a second of CPU each.

A fork server imports the command once and forks for each run of it. Such a run is a process of its own: it has its own
id, folder, environment and streams, ends with an exit code, and can be killed. Tests of imports and of memory start
Python instead.
"""

import atexit
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Self

from tests.support.repository import ROOT

# What the subcommands import when they run. None of it starts a thread, which a fork would lose.
IMPORTED = (
    *("app.cli.main", "app.cli.fact_files", "app.cli.document_registration", "app.campaigns.campaign", "app.demo.demo"),
    *("app.server.serve", "app.server.workers", "grounds_client.contract.commands", "db.ingest.merge"),
)
BUILD = "from app.cli.main import main; main()"
MAX_REQUEST_BYTES = 128 * 1024


class ForkedCommand:
    """A run of `grounds` by the fork server, with those methods of `subprocess.Popen` that tests use.

    `build` can be the code of a build that is broken on purpose.
    """

    def __init__(
        self,
        *arguments: object,
        build: str = BUILD,
        env: Mapping[str, str],
        cwd: Path | None = None,
        stdin: int = 0,
        stdout: int = 1,
        stderr: int = 2,
    ) -> None:
        self.returncode: int | None = None
        self._reports, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        request = {"build": build, "cwd": str(cwd or Path.cwd()), "env": dict(env), "arguments": arguments}
        with far:
            message = json.dumps(request, default=str).encode()
            try:
                socket.send_fds(_fork_server()[1], [message], [far.fileno(), stdin, stdout, stderr])
            except OSError as error:
                self._reports.close()
                raise ForkServerEnded(_fork_server()[0].wait()) from error
        self.pid = self._next_report()

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; return its exit code, or the negative number of the signal that ended it."""
        if self.returncode is None:
            self._reports.settimeout(timeout)
            try:
                self.returncode = self._next_report()
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired("grounds", timeout or 0) from None
            self._reports.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()

    def _next_report(self) -> int:
        report = self._reports.recv(64)
        if not report:
            self._reports.close()
            raise ForkServerEnded(_fork_server()[0].wait())
        return int(report)


class ForkServerEnded(Exception):
    """The fork server ended with this exit code, before its time; its standard error is that of the tests."""


@cache
def _fork_server() -> tuple["subprocess.Popen[bytes]", socket.socket]:
    """Start the fork server of this process, and return it with the socket that takes requests."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    number = theirs.fileno()
    command = [sys.executable, "-c", f"from tests.support.fork_server import run; run({number})"]
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("GROUNDS_", "DATABASE_URL"))}
    with theirs:
        server = subprocess.Popen(command, cwd=ROOT, env=plain, stdin=subprocess.DEVNULL, pass_fds=[number])

    @atexit.register
    def end() -> None:
        ours.close()
        server.wait()

    return server, ours


def run(number: int) -> None:
    """Fork for each request that comes on a socket, until its other end is closed; in the new process, do as asked."""
    for name in IMPORTED:
        import_module(name)
    assert len([*Path("/proc/self/task").iterdir()]) == 1, "a thread would be missing in the processes"
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at the terminal ends the tests, and they end this
    requests = socket.socket(fileno=number)
    while True:
        request, files, *_ = socket.recv_fds(requests, MAX_REQUEST_BYTES, 4)
        if not request:
            return
        if os.fork() == 0:
            break
        for file in files:
            os.close(file)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    requests.close()
    _run_and_report(request, *files)


def _run_and_report(request: bytes, reports: int, *streams: int) -> None:
    """Fork once more: the parent reports process id and exit code, for only a parent learns of them."""
    if pid := os.fork():
        for stream in streams:
            os.close(stream)
        os.write(reports, str(pid).encode())
        os.write(reports, str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())
        os._exit(0)
    os.close(reports)
    for number, (stream, name) in enumerate(zip(streams, ("stdin", "stdout", "stderr"), strict=True)):
        os.dup2(stream, number)
        os.close(stream)
        # Made anew, for a file object remembers whether one can seek in it.
        mode, buffering, errors = "w" if number else "r", 1 if name == "stderr" else -1, getattr(sys, name).errors
        setattr(sys, name, open(number, mode, buffering, errors=errors, closefd=False))  # noqa: SIM115 - it stays open
    asked = json.loads(request)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    time.tzset()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["grounds", *map(str, asked["arguments"])]
    exec(asked["build"], {"__name__": "__main__"})
