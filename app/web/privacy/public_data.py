"""What the public pages show: read by one GraphQL operation as everyone, and kept for some seconds."""

import asyncio
import time
from typing import Any, Final

from app.http.boundary import http_error
from app.http.graphql import GraphQLEndpoint
from app.web.pages import execute_operation
from schema.actor import Actor, Role

SECONDS_KEPT: Final = 10.0
"""The time for which the public pages show cached data, because everyone can open these pages at any rate."""
EVERYONE: Final = Actor(name="everyone", role=Role.PUBLIC)


class PublicData:
    """The data of the public pages, read again after SECONDS_KEPT, by one request at a time."""

    def __init__(self, endpoint: GraphQLEndpoint) -> None:
        self._endpoint = endpoint
        self._reading = asyncio.Lock()
        self._data: dict[str, Any] = {}
        self._kept_until = 0.0

    async def read(self) -> dict[str, Any]:
        """Return what the public pages show. Raises HTTPError if nothing is kept and it cannot be read."""
        if time.monotonic() > self._kept_until:
            async with self._reading:
                if time.monotonic() > self._kept_until:
                    self._data = await self._execute("public_record")
                    self._kept_until = time.monotonic() + SECONDS_KEPT
        return self._data

    async def checkpoints(self, first_number: int) -> list[dict[str, Any]]:
        """Read the checkpoints from a number on for the public pages. Raises OperationError for a wrong number."""
        data = await self._execute("public_checkpoints", firstNumber=first_number)
        found: list[dict[str, Any]] = data["publicRecord"]["ledger"]["checkpoints"]
        return found

    async def _execute(self, operation: str, **variables: Any) -> dict[str, Any]:
        """Execute an operation of the public pages as everyone. Raises HTTPError for any failure."""
        try:
            return await execute_operation(self._endpoint, EVERYONE, operation, variables)
        except Exception as error:
            raise http_error(error) from None
