"""Fuzzing by schemathesis: `./run python -m tests.conformance.schemathesis` (needs PyPI)."""

import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import httpx

from schema.actor import Role
from tests.conformance.served import SDL, Served, install_from_pypi, load, served, temporary_folder

PACKAGES = ("schemathesis>=4,<5",)
ROLES = (Role.TRAINING_CLIENT, Role.PRIVACY_OFFICER, Role.AUDITOR)
FEWEST_CASES = 1000
HERE = Path(__file__).parent

# The lists at the root, and what in them can be asked for again: our ids, and the platform's.
LISTS = {"trainableContent": "id", "contents": "id platformId", "accounts": "id", "consentEvents": "id"}


async def fuzz(folder: Path, commands: Path) -> list[str]:
    """Serve the demo's population, fuzz as each role, and return what is wrong, a line each."""
    async with served(folder) as gateway:
        await load(gateway)
        return [fault for role in ROLES for fault in await fuzz_as(role, gateway, folder / role, commands)]


async def fuzz_as(role: Role, gateway: Served, folder: Path, commands: Path) -> list[str]:
    """Fuzz as one role, and return what is wrong."""
    token = gateway.token(role)
    configure(folder, await words(gateway, token))
    print(f"\n=== as {role} ===", flush=True)
    report = folder / "report.json"
    options = ["--url", gateway.endpoint, "--header", f"Authorization: Bearer {token}", "--report-json-path", report]
    code = await gateway.run(str(commands / "schemathesis"), "run", str(SDL), *map(str, options), cwd=folder)
    if code != 0:
        return [f"{role}: schemathesis ended with {code} (see above)"]
    cases = json.loads(report.read_text())["test_cases"]["generated"]
    print(f"{role}: {cases} cases, 0 failures", flush=True)
    return [] if cases >= FEWEST_CASES else [f"{role}: {cases} cases ran, fewer than {FEWEST_CASES}"]


async def words(gateway: Served, token: str) -> dict[str, list[str]]:
    """Ask the gateway for the ids and cursors that it gives this token, by the dictionary that they go into."""
    found: dict[str, list[str]] = {"ids": []}
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=gateway.address, headers=headers, timeout=60) as client:
        for name, fields in LISTS.items():
            query = f"{{ {name}(first: 20) {{ edges {{ cursor node {{ {fields} }} }} }} }}"
            data: dict[str, Any] | None = (await client.post("/graphql", json={"query": query})).json()["data"]
            edges = data[name]["edges"] if data else []  # no data: the list is not for this role
            found[name] = [edge["cursor"] for edge in edges]
            found["ids"] += [id for edge in edges for id in edge["node"].values()]
    return found


def configure(folder: Path, dictionaries: dict[str, list[str]]) -> None:
    """Lay out what schemathesis reads in its folder; a dictionary may not be empty."""
    folder.mkdir()
    for name in ("schemathesis.toml", "schemathesis_hooks.py"):
        shutil.copy(HERE / name, folder)
    for name, entries in dictionaries.items():
        (folder / f"{name}.txt").write_text("".join(f"{json.dumps(entry)}\n" for entry in entries or ["none"]))


def main() -> None:
    """Install the package in an environment of its own, and fuzz a server of our own."""
    with temporary_folder() as folder:
        commands = install_from_pypi(folder, *PACKAGES)
        faults = asyncio.run(fuzz(folder, commands))
    sys.exit("\n".join(faults) or None)


if __name__ == "__main__":
    main()
