"""Serve: open the pools, listen, and stop cleanly on SIGTERM and Ctrl-C."""

import asyncio
import gc
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    closing,
    contextmanager,
    nullcontext,
    suppress,
)
from ipaddress import ip_address

import uvicorn

from app.http.boundary import SECURITY_HEADERS, BoundedProtocol, host_names
from app.main import build_app
from app.server.bootstrap import check_embedded_database, open_authenticator, other_secrets
from app.server.checkpoint_files import UNNOTICED
from app.server.jobs import background_jobs
from app.server.journal import UNWRITTEN, keep_journal, open_journal
from app.server.scheduler import run_jobs
from app.server.status import ServerStatus
from app.settings import Settings, SettingsError
from app.telemetry import observe
from db.access.verification import verify_access
from db.connection import Database, open_database
from db.ingest.staging import Stager
from db.replica import open_replica

GRACE_SECONDS = 5
WATCH_SECONDS = 1.0


class GatewayServer(uvicorn.Server):
    """uvicorn's server with our own signal handlers; uvicorn's handlers raise the signal again and skip the clean end.

    SIGTERM makes /ready say 503 for `drain_seconds` before the listener closes, so that a load balancer sends its
    requests elsewhere. Ctrl-C and a second SIGTERM end the server at once. SIGHUP lets the server read its trusted
    documents again; it ends the server if a terminal that closes sends it.
    """

    def __init__(self, config: uvicorn.Config, status: ServerStatus, drain_seconds: float) -> None:
        super().__init__(config)
        self._status, self._drain_seconds = status, drain_seconds
        self.listening = asyncio.Event()
        self.ending = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the gateway's HTTP server, and set `listening`."""
        self.lifespan.state["ending"] = self.ending  # what lasts looks there; every request has it in its scope
        await super().startup(sockets)
        self.listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop the gateway's HTTP server, and close its resources."""
        self.ending.set()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle the signals of the server's process; in a thread that may not, leave them alone."""
        loop = asyncio.get_running_loop()
        handlers = {signal.SIGTERM: self._drain, signal.SIGINT: self.end, signal.SIGHUP: self._hang_up}
        if threading.current_thread() is not threading.main_thread():
            handlers = {}
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    def end(self) -> None:
        """Stop the server at once: requests under way have GRACE_SECONDS."""
        self.should_exit = True
        self.ending.set()

    def _drain(self) -> None:
        """Let the server drain at the first SIGTERM, and stop it at the second."""
        if self._status.stopping or not self._drain_seconds:
            self.end()
        self._status.stopping = True
        asyncio.get_running_loop().call_later(self._drain_seconds, self.end)

    def _hang_up(self) -> None:
        """Stop the server where its terminal was closed; otherwise read the files again that can change."""
        if sys.stdin.isatty():
            self.end()
            return
        try:
            self._status.reload()
        except SettingsError as error:
            observe.not_reloaded(str(error))
        else:
            observe.reloaded()

    @property
    def address(self) -> str:
        """Return the URL of the running server; where it listens on every address, that is this machine's own."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        if ip_address(host).is_unspecified:
            host = "::1" if ":" in host else "127.0.0.1"
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"


@asynccontextmanager
async def running_server(
    settings: Settings, url: str, host: str, port: int = 0, *, listener: socket.socket | None = None
) -> AsyncIterator[tuple[GatewayServer, Database]]:
    """Run the server in the background until the block ends; `server.ending` is set when a signal asks for it.

    A `listener` that is given listens on `host` already.
    """
    verify_access(url)
    keep_journal(url, settings)
    async with AsyncExitStack() as opened:
        listener = listener or opened.enter_context(bind_socket(host, port))
        server, database = await _make_server(settings, url, host, opened)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        await server.listening.wait()
        # What is alive now stays alive: the collector need not look at it again. A page makes thousands of objects and
        # no circles, so the collector may come more seldom (its default is every 700 objects).
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 50, 50)
        observe.started(server.address, settings.issuer or "development", _warnings(settings))
        try:
            yield server, database
        finally:
            server.should_exit = True
            await running
            observe.stopped()


async def serve_gateway(settings: Settings, url: str, host: str, port: int) -> None:
    """Run the server until a signal comes. Raises SettingsError where the embedded PostgreSQL ends before."""
    async with running_server(settings, url, host, port) as (server, _):
        await wait_for_end(server, settings)


async def wait_for_end(server: GatewayServer, settings: Settings) -> None:
    """Wait until the server's process is to stop. Raises SettingsError where the embedded PostgreSQL ends before."""
    while not server.ending.is_set():
        check_embedded_database(settings)
        with suppress(TimeoutError):
            await asyncio.wait_for(server.ending.wait(), WATCH_SECONDS)


def _tracing(settings: Settings) -> AbstractAsyncContextManager[None]:
    """Return what traces the server's requests. Raises SettingsError where the packages for it are missing."""
    if settings.otlp is None:
        return nullcontext()
    try:
        from app.tracing import traced_requests  # its packages are an extra
    except ImportError:
        raise SettingsError(
            "GROUNDS_OTLP: the packages for traces are missing (start with ./run --with telemetry grounds serve, or"
            " install grounds[telemetry])"
        ) from None
    return traced_requests(settings.otlp)


def _warnings(settings: Settings) -> tuple[str, ...]:
    """Return what the server warns of because a setting is missing."""
    missing = ((settings.checkpoints, UNNOTICED), (settings.journal, UNWRITTEN))
    return tuple(warning for folder, warning in missing if folder is None)


async def _make_server(
    settings: Settings, url: str, host: str, opened: AsyncExitStack
) -> tuple[GatewayServer, Database]:
    """Open the pools and jobs of a server, and make the server, which does not listen yet."""
    secret = settings.secret_bytes()
    status = ServerStatus(warnings=_warnings(settings))
    await opened.enter_async_context(_tracing(settings))
    authenticator = await open_authenticator(settings)
    opened.push_async_callback(authenticator.aclose)
    if fault := settings.name_models_fault():
        raise SettingsError(fault)
    stager = opened.enter_context(closing(Stager(settings.names)))
    journal = open_journal(settings)
    others, connections = other_secrets(settings), settings.connections
    opening = open_database(url, secret, connections=connections, journal=journal, coming=others)
    primary = await opened.enter_async_context(opening)
    with_replica = open_replica(primary, url, settings.replica_url, (secret, *others), connections)
    database = await opened.enter_async_context(with_replica)
    jobs = background_jobs(
        *(url, secret, settings.webhook_networks, settings.offers, settings.checkpoints),
        *(settings.release_folder, journal, database, settings.versions_days),
    )
    await opened.enter_async_context(run_jobs(jobs, database, status))
    hosts = host_names(settings.hosts, host)
    config = uvicorn.Config(
        build_app(database, stager, secret, authenticator, settings, hosts, status),
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        headers=list(SECURITY_HEADERS.items()),
        proxy_headers=False,  # nothing here reads what a proxy says of its client
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return GatewayServer(config, status, settings.drain_seconds), database


def bind_socket(host: str, port: int) -> socket.socket:
    """Bind the socket on which the server listens; raise SettingsError when that cannot be done."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named by its protocol, or asyncio leaves Nagle's algorithm on, and an answer waits 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"cannot listen on {host}:{port}, {error.strerror} (choose another port with --port)"
        ) from None
    return listener
