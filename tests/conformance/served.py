"""What the suites stand on, in a temporary folder that is gone when the command ends: packages, and a gateway."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from app.auth.dev_issuer import DevelopmentIssuer
from app.demo.demo import in_blocks
from app.demo.population import population_lines
from app.server.bootstrap import open_current_database
from app.server.serve import running_server
from app.settings import Settings
from db.embedded_postgres import remove_embedded_postgres
from schema.actor import Role

SDL = Path(__file__).parents[2] / "schema" / "schema.graphql"
ITEMS = 300
ENDED = "ended by a signal"


@dataclass(frozen=True)
class Served:
    """A gateway with an empty database of its own."""

    address: str
    issuer: DevelopmentIssuer
    ending: asyncio.Event  # a signal asks us to end

    @property
    def endpoint(self) -> str:
        """Return the URL of GraphQL."""
        return f"{self.address}/graphql"

    def token(self, role: Role) -> str:
        """Sign a token; a training client's name is `client`."""
        if role is Role.TRAINING_CLIENT:
            return self.issuer.token(role, client="client", purpose="GENAI_TRAINING")
        return self.issuer.token(role)

    async def run(self, *command: str, cwd: Path) -> int:
        """Run a command to its end, and return its exit code; raise SystemExit if a signal asks us to end before."""
        process = await asyncio.create_subprocess_exec(*command, cwd=cwd)
        ended = asyncio.create_task(process.wait())
        ending = asyncio.create_task(self.ending.wait())
        try:
            await asyncio.wait({ended, ending}, return_when=asyncio.FIRST_COMPLETED)
            if self.ending.is_set():
                raise SystemExit(ENDED)
            return await ended
        finally:
            ending.cancel()
            if process.returncode is None:
                process.kill()
                await process.wait()


@asynccontextmanager
async def served(folder: Path, **chosen: Any) -> AsyncIterator[Served]:
    """Serve with the settings as they are by default but for those chosen, and a database of our own."""
    for name in [name for name in os.environ if name.startswith(("GROUNDS_", "DATABASE_URL"))]:
        del os.environ[name]  # or facts that are made up would go into somebody's database
    settings = Settings(data=folder / "data", **chosen)
    try:
        with open_current_database(settings) as url:
            async with running_server(settings, url, "127.0.0.1", 0) as (server, _):
                issuer = DevelopmentIssuer.open(settings.data_folder())
                yield Served(server.address, issuer, server.ending)
    finally:
        remove_embedded_postgres(settings.data / "postgres")


async def load(gateway: Served) -> None:
    """Send the demo's population to /ingest."""
    lines = b"".join(in_blocks(population_lines(ITEMS, datetime.now(UTC))))
    headers = {"Authorization": f"Bearer {gateway.token(Role.PLATFORM_INGEST)}"}
    async with httpx.AsyncClient(base_url=gateway.address, headers=headers, timeout=60) as client:
        (await client.post("/ingest", content=lines)).raise_for_status()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a folder that is gone when the command ends, also where it is asked to by SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(ENDED))
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def install_from_npm(folder: Path, *packages: str) -> None:
    """Install packages of npm in a folder."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise SystemExit("this needs Node and npm (install them, and run it again)")
    _install(["npm", "install", "--silent", "--no-save", "--no-audit", "--no-fund", *packages], folder)


def install_from_pypi(folder: Path, *packages: str) -> Path:
    """Install packages of PyPI, if any, in a virtual environment of its own, and return the folder of its commands."""
    commands = folder / "venv" / "bin"
    subprocess.run([sys.executable, "-m", "venv", commands.parent], check=True)
    if packages:
        _install([f"{commands}/pip", "install", "--quiet", "--disable-pip-version-check", *packages], folder)
    return commands


def _install(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, check=False)
    if done.returncode != 0:
        raise SystemExit("the packages cannot be installed (see that the registry is reached, and run it again)")
