"""Serve: open the pools, listen, and stop cleanly on SIGTERM and Ctrl-C."""

import asyncio
import gc
import signal
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from ipaddress import ip_address

import uvicorn

from app.duties import duties
from app.edges import HEADERS, BoundedProtocol, host_names
from app.jobs import doing
from app.main import build
from app.observe import observe
from app.runtime import open_authenticator
from app.settings import Settings, SettingsError
from db.session import Database, open_database
from db.stager import Stager
from db.walls import check_walls

GRACE_SECONDS = 5


class _Server(uvicorn.Server):
    """End by our own handlers: uvicorn's would raise the signal anew, and that would skip the clean end behind us."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self.ending = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        self.lifespan.state["ending"] = self.ending  # what lasts looks there; every request has it in its scope
        await super().startup(sockets)
        self.listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop, and say so to what lasts."""
        self.ending.set()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ask the server to end on SIGTERM and Ctrl-C; in a thread that may not handle signals, leave them alone."""
        loop = asyncio.get_running_loop()
        ours = (signal.SIGTERM, signal.SIGINT) if threading.current_thread() is threading.main_thread() else ()
        for number in ours:
            loop.add_signal_handler(number, self._end)
        try:
            yield
        finally:
            for number in ours:
                loop.remove_signal_handler(number)

    def _end(self) -> None:
        self.should_exit = True
        self.ending.set()

    @property
    def address(self) -> str:
        """Give the URL where it can be asked; where it listens on every address, that is this machine's own."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        if ip_address(host).is_unspecified:
            host = "::1" if ":" in host else "127.0.0.1"
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"


@asynccontextmanager
async def serving(
    settings: Settings, url: str, host: str, port: int = 0, *, listener: socket.socket | None = None
) -> AsyncIterator[tuple[_Server, Database]]:
    """Serve in the background until the block ends; `server.ending` is set when a signal asks for it.

    With a `listener`, whoever made it listens on `host` already.
    """
    secret = settings.secret_bytes()
    check_walls(url)
    async with AsyncExitStack() as opened:
        listener = listener or opened.enter_context(listen(host, port))
        authenticator = await open_authenticator(settings)
        opened.push_async_callback(authenticator.aclose)
        stager = opened.enter_context(closing(Stager()))
        database = await opened.enter_async_context(open_database(url, secret, connections=settings.connections))
        await opened.enter_async_context(doing(duties(url, secret), database))
        server = _Server(
            uvicorn.Config(
                build(database, stager, secret, authenticator, settings, host_names(settings.hosts, host)),
                http=BoundedProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                headers=list(HEADERS.items()),
                proxy_headers=False,  # nothing here reads what a proxy says of its client
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        running = asyncio.create_task(server.serve(sockets=[listener]))
        await server.listening.wait()
        # What is alive now stays alive: the collector need not look at it again. A page makes thousands of objects and
        # no circles, so the collector may come more seldom (its default is every 700 objects).
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 50, 50)
        observe.started(server.address, settings.issuer or "development")
        try:
            yield server, database
        finally:
            server.should_exit = True
            await running
            observe.stopped()


async def serve(settings: Settings, url: str, host: str, port: int) -> None:
    """Serve until a signal comes."""
    async with serving(settings, url, host, port) as (server, _):
        await server.ending.wait()


def listen(host: str, port: int) -> socket.socket:
    """Bind a socket; raise SettingsError when that cannot be done."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named by its protocol, or asyncio leaves Nagle's algorithm on, and an answer waits 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SettingsError(f"cannot listen on {host}:{port}: {error.strerror} (choose another with --port)") from None
    return listener
