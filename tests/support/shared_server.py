"""A server that the tests of a worker share: its port, processes and connections stay, all else is new for each."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any
from unittest import mock

from starlette.types import ASGIApp

import app.main
import app.server.serve
from app.auth.dev_issuer import DevelopmentIssuer
from app.http.boundary import host_names
from app.server.jobs import background_jobs
from app.server.scheduler import Job, run_jobs
from app.server.serve import bind_socket, running_server
from app.server.status import ServerStatus
from app.settings import Settings
from schema.build import build_schema
from tests.support.gateway import SECRET, TestGateway, new_client, settle_offers
from tests.support.shared_database import SharedDatabase

_build_schema = cache(build_schema)  # a schema remembers nothing


class SharedServer:
    """A server over a shared database, restarted where the database had to be replaced."""

    def __init__(self, database: SharedDatabase, data: Path) -> None:
        self._database, self._data = database, data
        self._listener = bind_socket("127.0.0.1", 0)
        self._running = AsyncExitStack()
        self._is_running = False

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def releases(self) -> Path:
        """The folder of the files of releases."""
        return self._data / "releases"

    @asynccontextmanager
    async def gateway(self, **settings: Any) -> AsyncIterator[TestGateway]:
        """Serve a restored database by an application that remembers nothing, beside jobs that have just begun.

        `settings` are those that the application is made with: all but `connections`.
        """
        if not await asyncio.to_thread(self._database.restore):
            await self._stop()
            self._database.replace()
        if not self._is_running:
            await self._start()
        url = self._database.url
        made = self._settings(**settings) if settings else self._default
        status = ServerStatus()
        changed = {"settings": made, "hosts": host_names(made.hosts, "127.0.0.1"), "status": status}
        self._server.config.loaded_app = _build(**self._arguments | changed)
        jobs = background_jobs(url, SECRET, made.webhook_networks, made.offers, releases=made.release_folder)
        async with (
            run_jobs([_hastened(job) for job in jobs], self._pools, status),
            new_client(self.address) as client,
        ):
            if made.offers:
                await asyncio.to_thread(settle_offers, url)
            issuer = DevelopmentIssuer.open(self._data)
            yield TestGateway(self.address, url, issuer, client, self._database, made.offers)

    async def close(self) -> None:
        await self._stop()
        self._listener.close()

    async def _stop(self) -> None:
        self._is_running = False
        await self._running.aclose()

    async def _start(self) -> None:
        def remembered(*given: Any) -> ASGIApp:
            self._arguments = signature(app.main.build_app).bind(*given).arguments
            return _build(*given)

        self._default = self._settings()  # to read them takes 5 ms
        # Jobs run for a test, not for the server: one that has just begun does each at once.
        with mock.patch.multiple(app.server.serve, build_app=remembered, background_jobs=lambda *_: ()):
            started = running_server(self._default, self._database.url, "127.0.0.1", listener=self._listener.dup())
            self._server, self._pools = await self._running.enter_async_context(started)
        for number in (signal.SIGTERM, signal.SIGINT):  # which end the run, not the server in it
            asyncio.get_running_loop().remove_signal_handler(number)
        self._is_running = True

    def _settings(self, **settings: Any) -> Settings:
        here = {"webhook_networks": "127.0.0.0/8,::1"}  # where tests receive
        return Settings(data=self._data, database_url=self._database.url, secret=SECRET.decode(), **here | settings)


def _hastened(job: Job) -> Job:
    """Return a job that runs more often if it runs every second or so, so that tests wait less."""
    return replace(job, seconds=job.seconds / 5) if job.seconds <= 1 else job


def _build(*given: Any, **named: Any) -> ASGIApp:
    with mock.patch.object(app.main, "build_schema", _build_schema):
        return app.main.build_app(*given, **named)
