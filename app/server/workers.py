"""Serve with several processes that listen on one socket."""

import asyncio
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection, get_context, parent_process
from multiprocessing.context import SpawnProcess
from typing import Any

import uvloop
from prometheus_client.multiprocess import mark_process_dead

from app.metrics import SHARED_FOLDER
from app.server.bootstrap import check_embedded_database
from app.server.serve import GRACE_SECONDS, WATCH_SECONDS, bind_socket, running_server
from app.settings import Settings, SettingsError
from app.telemetry import configure_logging, observe

STEADY_SECONDS = 5.0

# Started afresh rather than forked: our threads and connections are no business of theirs.
_worker_context = get_context("spawn")


def serve_with_workers(workers: int, settings: Settings, url: str, host: str, port: int) -> None:
    """Run several worker processes of the server until a signal comes; a worker that dies is replaced.

    Raises SettingsError where one ends soon after the first start, for the next would too, and where the embedded
    PostgreSQL ends.
    """
    with bind_socket(host, port) as listener, _shared_metrics(), _signal_socket() as ending:
        crew = _WorkerGroup(workers, settings, url, host, listener)
        if not sys.stdin.isatty():
            signal.signal(signal.SIGHUP, lambda *_: crew.reload())  # _signal_socket sets the handler before again
        try:
            while ending not in connection.wait([*crew.sentinels(), ending], timeout=0):
                check_embedded_database(settings)
                crew.replace_the_dead()
                connection.wait([*crew.sentinels(), ending], WATCH_SECONDS)
        finally:
            crew.stop()


class _WorkerGroup:
    """The processes that serve on one listener."""

    def __init__(self, size: int, settings: Settings, url: str, host: str, listener: socket.socket) -> None:
        self._size, self._drain_seconds = size, settings.drain_seconds
        share = settings.model_copy(update={"connections": max(1, settings.connections // size)})
        self._given = (share, url, host, listener)
        self._started_at: dict[SpawnProcess, float] = {}
        self._served = False
        """Whether any worker ran for STEADY_SECONDS. If so, the settings are sound, and a worker that ends early met an
        outage."""
        self._next_start = 0.0

    def sentinels(self) -> list[int]:
        """Return the handles that become ready when a worker process of the server ends."""
        return [process.sentinel for process in self._started_at]

    def replace_the_dead(self) -> None:
        """Replace the server's worker processes that ended; wait a moment if a worker ended soon after its start."""
        now = time.monotonic()
        for process in [each for each in self._started_at if not each.is_alive()]:
            observe.worker_ended(process.exitcode)
            mark_process_dead(process.pid)  # type: ignore[no-untyped-call]  # its connections are no longer in use
            if now - self._started_at.pop(process) < STEADY_SECONDS:
                if not self._served:
                    raise SettingsError("a worker ended soon after its start (read the log lines above)")
                self._next_start = now + STEADY_SECONDS
        self._served |= any(now - started_at >= STEADY_SECONDS for started_at in self._started_at.values())
        while now >= self._next_start and len(self._started_at) < self._size:
            process = _worker_context.Process(target=_run_worker, args=self._given)
            handler = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # so a worker that starts ignores it until it serves
            process.start()
            signal.signal(signal.SIGHUP, handler)
            self._started_at[process] = time.monotonic()

    def reload(self) -> None:
        """Let all worker processes of the server read the files again that can change."""
        for pid in [process.pid for process in self._started_at if process.pid is not None]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGHUP)

    def stop(self) -> None:
        """Let all worker processes drain and end; kill those that do not."""
        for process in self._started_at:
            process.terminate()
        for process in self._started_at:
            process.join(self._drain_seconds + 2 * GRACE_SECONDS)
            process.kill()


def _run_worker(settings: Settings, url: str, host: str, listener: socket.socket) -> None:
    """Run one worker process of the server."""
    configure_logging()
    uvloop.run(_serve_in_worker(settings, url, host, listener))


async def _serve_in_worker(settings: Settings, url: str, host: str, listener: socket.socket) -> None:
    """Run the server in a worker until a signal comes, or the process that started it is gone."""
    async with running_server(settings, url, host, listener=listener) as (server, _):
        parent = parent_process()
        assert parent is not None, "a worker must be started by the process grounds serve"
        asyncio.get_running_loop().add_reader(parent.sentinel, server.end)
        await server.ending.wait()


@contextmanager
def _shared_metrics() -> Iterator[None]:
    """Let the worker processes count in files of one folder, so that each of them shows the sums of all workers."""
    with tempfile.TemporaryDirectory(prefix="grounds-metrics-") as folder:
        os.environ[SHARED_FOLDER] = folder  # read by the workers, which are started afresh
        yield


@contextmanager
def _signal_socket() -> Iterator[socket.socket]:
    """Yield a socket that can be read once SIGTERM or Ctrl-C came to the server's first process."""
    heard, told = socket.socketpair()
    handlers: dict[signal.Signals, Any] = dict.fromkeys((signal.SIGTERM, signal.SIGINT), lambda *_: told.close())
    if not sys.stdin.isatty():
        handlers[signal.SIGHUP] = signal.SIG_IGN
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        with heard, told:
            yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
