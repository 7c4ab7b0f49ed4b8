"""GraphQL over HTTP to the letter: `./run python -m tests.conformance.graphql_http` (needs Node and npm)."""

import asyncio
import shutil
from pathlib import Path

from schema.actor import Role
from tests.conformance.served import install_from_npm, served, temporary_folder

PACKAGES = ("graphql-http@1", "graphql@16")
AUDIT = Path(__file__).with_suffix(".mjs")


async def audit(folder: Path) -> int:
    """Serve, audit, and return the audit's exit code."""
    async with served(folder) as gateway:
        return await gateway.run("node", AUDIT.name, gateway.endpoint, gateway.token(Role.AUDITOR), cwd=folder)


def main() -> None:
    """Install the package in a temporary folder, and run its audits against a server of our own."""
    with temporary_folder() as folder:
        install_from_npm(folder, *PACKAGES)
        shutil.copy(AUDIT, folder)
        code = asyncio.run(audit(folder))
    raise SystemExit(code)


if __name__ == "__main__":
    main()
