"""Serve by several processes that listen on one socket: whichever is free takes the next connection."""

import asyncio
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import connection, get_context, parent_process
from multiprocessing.context import SpawnProcess

import uvloop

from app.observe import configure_logging, observe
from app.server import GRACE_SECONDS, listen, serving
from app.settings import Settings, SettingsError

STEADY_SECONDS = 5.0

# Started afresh rather than forked: our threads and connections are no business of theirs.
_spawned = get_context("spawn")


def serve_by(workers: int, settings: Settings, url: str, host: str, port: int) -> None:
    """Serve until a signal comes; a worker that dies is replaced.

    Raises SettingsError when one ends soon after its start: the next would too.
    """
    share = settings.model_copy(update={"connections": max(1, settings.connections // workers)})
    with listen(host, port) as listener, _asked_to_end() as ending:
        running: dict[SpawnProcess, float] = {}
        try:
            while ending not in connection.wait([*(process.sentinel for process in running), ending], timeout=0):
                for process in [each for each in running if not each.is_alive()]:
                    observe.worker_ended(process.exitcode)
                    if time.monotonic() - running.pop(process) < STEADY_SECONDS:
                        raise SettingsError("a worker ended soon after its start (see what it said above)")
                while len(running) < workers:
                    process = _spawned.Process(target=_work, args=(share, url, host, listener))
                    process.start()
                    running[process] = time.monotonic()
                connection.wait([*(process.sentinel for process in running), ending])
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.join(2 * GRACE_SECONDS)
                process.kill()


def _work(settings: Settings, url: str, host: str, listener: socket.socket) -> None:
    configure_logging()
    uvloop.run(_serve(settings, url, host, listener))


async def _serve(settings: Settings, url: str, host: str, listener: socket.socket) -> None:
    """Serve until a signal comes, or the process that started this one is gone."""
    async with serving(settings, url, host, listener=listener) as (server, _):
        parent = parent_process()
        assert parent is not None, "a worker is started by another process"
        asyncio.get_running_loop().add_reader(parent.sentinel, server.ending.set)
        await server.ending.wait()


@contextmanager
def _asked_to_end() -> Iterator[socket.socket]:
    """Give a socket that can be read once SIGTERM or Ctrl-C came."""
    heard, told = socket.socketpair()
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: told.close()) for number in numbers]
    try:
        with heard, told:
            yield heard
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
