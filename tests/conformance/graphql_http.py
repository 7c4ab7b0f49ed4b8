"""GraphQL over HTTP to the letter: `./run python -m tests.conformance.graphql_http` (needs Node and npm)."""

import asyncio
import shutil
import subprocess
import tempfile
from pathlib import Path

from app.issuer import DevelopmentIssuer
from app.runtime import open_server
from app.server import serving
from app.settings import Settings
from db.embedded import remove_embedded_postgres
from schema.actor import Role

PACKAGES = ("graphql-http@1", "graphql@16")
AUDIT = Path(__file__).with_suffix(".mjs")


async def audit(settings: Settings, url: str, folder: Path) -> int:
    """Serve, audit, and give the audit's exit code."""
    token = DevelopmentIssuer.open(settings.data_folder()).token(Role.AUDITOR)
    async with serving(settings, url, "127.0.0.1", 0) as (server, _):
        command = ["node", AUDIT.name, f"{server.address}/graphql", token]
        process = await asyncio.create_subprocess_exec(*command, cwd=folder)
        return await process.wait()


def main() -> None:
    """Install the package in a temporary folder, and run its audits against a server of our own."""
    if shutil.which("npm") is None:
        raise SystemExit("this needs Node and npm (install them, and run it again)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run(["npm", "install", "--silent", "--no-save", *PACKAGES], cwd=folder, check=True)
        shutil.copy(AUDIT, folder)
        settings = Settings(data=folder / "data")
        with open_server(settings) as url:
            code = asyncio.run(audit(settings, url, folder))
        remove_embedded_postgres(settings.data / "postgres")
    raise SystemExit(code)


if __name__ == "__main__":
    main()
