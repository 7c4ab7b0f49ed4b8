"""POST /ingest: a platform streams its facts as NDJSON and is told what became of them."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.auth import Authenticator, Unauthorized
from app.observe import observe
from db.ingest import ingest
from db.session import Busy, Database, connection
from db.staging import Rejected
from schema.actor import Role

REJECTS_SHOWN = 1000


class IngestEndpoint:
    """Take a stream of facts in."""

    def __init__(self, database: Database, authenticator: Authenticator) -> None:
        self._database = database
        self._authenticator = authenticator

    async def __call__(self, request: Request) -> Response:
        """Take one stream in; the answer comes when everything good in it is committed."""
        try:
            actor = await self._authenticator.actor(request.headers.get("authorization"))
        except Unauthorized as refusal:
            return _answer(401, {"error": refusal.reason}, {"WWW-Authenticate": "Bearer"})
        if actor.role is not Role.PLATFORM_INGEST:
            return _answer(403, {"error": f"ingest is for PLATFORM_INGEST; this token is for {actor.role}"})
        rejects: list[dict[str, Any]] = []

        def note(rejected: Rejected) -> None:
            if len(rejects) < REJECTS_SHOWN:
                rejects.append(describe(rejected))

        try:
            async with connection(self._database.ingest) as borrowed:
                summary = await ingest(borrowed, _blocks(request), on_rejected=note)
        except Busy:
            return _answer(503, {"error": "other streams are being taken in (try again)"}, {"Retry-After": "1"})
        counts = {outcome: summary.total(outcome) for outcome in ("accepted", "unchanged", "stale", "rejected")}
        observe.ingested(**counts)
        return _answer(200, {"records": summary.as_dict(), "total": counts, "rejects": rejects})


def describe(rejected: Rejected) -> dict[str, Any]:
    """Say of a line that was set aside: where it is, what it is about, and what to mend; never what it says."""
    return {
        "line": rejected.number,
        "record": rejected.record,
        "id": rejected.id,
        "field": rejected.field,
        "reason": rejected.reason,
    }


async def _blocks(request: Request) -> AsyncIterator[bytes]:
    async for block in request.stream():
        if block:
            yield block


def _answer(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json", headers=headers)
