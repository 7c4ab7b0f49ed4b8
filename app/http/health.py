"""The probes `/health` (the process runs) and `/ready` (the process can serve requests)."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.server.status import ServerStatus
from db.connection import UNAVAILABLE, Database, connection
from db.jobs import JOB_STATES, JobState

HEALTH, READY = "/health", "/ready"
CACHE_SECONDS: Final = 1.0
OVERDUE: Final = "Overdue"
"""The kind of error that is shown for an overdue job: a job whose last run ended too long ago."""


async def respond_alive(_: Request) -> Response:
    """Respond to `GET /health` while the process runs."""
    return JSONResponse({"status": "healthy"})


class Readiness:
    """The endpoint `/ready`: can the database be reached, is a policy in force, and which jobs fail or hang?

    It has a connection of its own, and looks at most once in CACHE_SECONDS: a flood of probes costs nothing.
    """

    def __init__(self, database: Database, status: ServerStatus) -> None:
        self._database, self._status = database, status
        self._found: tuple[int, dict[str, Any]] = (503, {})
        self._recorded_failures: dict[str, dict[str, Any]] = {}
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()

    async def respond(self, _: Request) -> Response:
        """Respond to `GET /ready` with 200 or 503."""
        if self._status.stopping:
            return JSONResponse({"status": "not ready", "reason": "the gateway is stopping"}, 503)
        async with self._looking:
            if time.monotonic() - self._looked_at >= CACHE_SECONDS:
                self._found, self._looked_at = await self._look(), time.monotonic()
        status, body = self._found
        failing = self._recorded_failures | {
            name: {"failures": each.count, "since": each.since.isoformat(), "kind": each.kind}
            for name, each in self._status.failing_jobs.items()
        }
        warnings = {"warnings": list(self._status.warnings)} if self._status.warnings else {}
        jobs = {"failing_jobs": dict(sorted(failing.items()))} if failing else {}
        return JSONResponse(body | warnings | jobs, status)

    async def _look(self) -> tuple[int, dict[str, Any]]:
        """Ask the database for `GET /ready` whether a policy is in force; return the status and the body."""
        try:
            async with connection(self._database.probe) as borrowed:
                version = await borrowed.fetchval("SELECT version FROM grounds.policy WHERE active")
                self._recorded_failures = _failures(
                    {name: JobState(*of) for name, *of in await borrowed.fetch(JOB_STATES)}
                )
        except UNAVAILABLE:
            return 503, {"status": "not ready", "reason": "the database does not answer"}
        if version is None:
            return 503, {"status": "not ready", "reason": "no policy is in force"}
        return 200, {"status": "ready", "policy": version}


def _failures(states: Mapping[str, JobState]) -> dict[str, dict[str, Any]]:
    """Describe for `GET /ready` the jobs that fail in any process, and those that are overdue."""
    found: dict[str, dict[str, Any]] = {}
    for name, state in states.items():
        if state.failing_since or state.is_overdue:
            since = state.failing_since or state.last_success_at
            found[name] = {"since": since.isoformat() if since else None, "kind": state.error_kind or OVERDUE}
    return found
