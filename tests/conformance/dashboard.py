"""A dashboard in TypeScript: `./run python -m tests.conformance.dashboard` (needs Node and npm).

graphql-codegen makes the types, a browser's origin is allowed by CORS, and the role DASHBOARD reads published counts.
Once the schema breaks, graphql-codegen and our own check fail.
"""

import asyncio
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from schema.actor import Role
from tests.conformance.consumer import break_schema, check_must_fail, make_project, must_fail, must_pass
from tests.conformance.served import Served, install_from_npm, load, served, temporary_folder

COMMANDS = "node_modules/.bin"
PACKAGES = (
    *("@graphql-codegen/cli@7", "@graphql-codegen/client-preset@6"),
    *("graphql@16", "typescript@5", "@types/node@20"),
)
GENERATE = (f"{COMMANDS}/graphql-codegen", "--silent")
COMPILE = (
    *(f"{COMMANDS}/tsc", "--strict", "--target", "es2022", "--module", "commonjs", "--moduleResolution", "node10"),
    *("--skipLibCheck", "--outDir", "built", "src/print.ts"),
)
ORIGIN = "https://dashboard.example.org"


async def read_counts(project: Path) -> None:
    """Serve the demo's population, and let the dashboard read its published counts; raise SystemExit if it cannot."""
    async with served(project, origins=frozenset({ORIGIN})) as gateway:
        await load(gateway)
        await _check_origins(gateway)
        os.environ["GROUNDS_TOKEN"] = gateway.token(Role.DASHBOARD)
        today = datetime.now(UTC).date()
        days = [(today - timedelta(days=1)).isoformat(), (today + timedelta(days=1)).isoformat()]
        lines = await _printed_counts(project, gateway.endpoint, *days)
    print(f"the dashboard read {len(lines)} rows, typed: {', '.join(lines[:2])}", flush=True)


async def _printed_counts(project: Path, *asked: str) -> list[str]:
    """Run the dashboard until the first counts are published; raise SystemExit if it fails, or if there are none."""
    for _ in range(120):
        command = ["node", "built/print.js", *asked]
        printed = await asyncio.to_thread(
            subprocess.run, command, cwd=project, capture_output=True, text=True, check=False
        )
        if printed.returncode:
            raise SystemExit(f"the dashboard ended with {printed.returncode}:\n{printed.stderr}")
        if printed.stdout.strip():
            return printed.stdout.splitlines()
        await asyncio.sleep(1)
    raise SystemExit("the gateway has published no counts within two minutes")


async def _check_origins(gateway: Served) -> None:
    """Ask as a browser does before it sends a query from another origin; raise SystemExit for a wrong answer."""
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    async with httpx.AsyncClient() as client:
        for origin, allowed in ((ORIGIN, ORIGIN), ("https://other.example.org", None)):
            answer = await client.options(gateway.endpoint, headers={"Origin": origin} | asked)
            if answer.headers.get("access-control-allow-origin") != allowed:
                raise SystemExit(f"{origin}: the answer to a preflight request was {dict(answer.headers)}")
    print("a browser may send queries from the origin that the operator allows, and from no other", flush=True)


def main() -> None:
    """Make the project, run its dashboard against a gateway of our own, and break the schema."""
    with temporary_folder() as folder:
        project = make_project("dashboard", folder)
        install_from_npm(project, *PACKAGES)
        for command in (GENERATE, COMPILE):
            must_pass(command, project)
        asyncio.run(read_counts(project))
        break_schema(project, "CoverageDay", "permitted")
        must_fail(GENERATE[:1], project, "permitted")
        check_must_fail(project, "operations", "permitted")


if __name__ == "__main__":
    main()
