"""GET /metrics: Prometheus' text format, for the bearer of the operator's token."""

import asyncio
import hmac
import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.http.boundary import HTTPError
from app.metrics import exposition
from db.connection import Database, connection
from db.metrics import DatabaseGauge, database_gauges
from db.migrate import newest_version

METRICS: Final = "/metrics"
REMEMBERED_SECONDS: Final = 10.0
_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class MetricsEndpoint:
    """The endpoint of the metrics. The database is asked at most once in REMEMBERED_SECONDS."""

    def __init__(self, database: Database, token: str) -> None:
        self._database = database
        self._expected = f"Bearer {token}".encode()
        self._found: list[DatabaseGauge] = []
        self._policy = ""
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def respond(self, request: Request) -> Response:
        """Respond to `GET /metrics`. Raises HTTPError for another token, and PoolExhausted."""
        stated = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(stated, self._expected):
            message = (
                "the token is not the token in GROUNDS_METRICS_TOKEN (send the header Authorization: Bearer <token>)"
            )
            raise HTTPError(401, message, {"WWW-Authenticate": "Bearer"})
        async with self._reading:
            if time.monotonic() - self._read_at >= REMEMBERED_SECONDS:
                self._found = await database_gauges(self._database.worker)
                async with connection(self._database.probe) as borrowed:
                    self._policy = await borrowed.fetchval("SELECT version FROM grounds.policy WHERE active") or ""
                self._read_at = time.monotonic()
        return Response(
            exposition(self._found, version("grounds"), newest_version(), self._policy), media_type=_CONTENT_TYPE
        )


def metrics_routes(database: Database, token: str | None) -> Sequence[Route]:
    """Return the HTTP route of /metrics, or none where no token is set."""
    return [Route(METRICS, MetricsEndpoint(database, token).respond)] if token else []
