"""Everything about a person, read for /me and its download by GraphQL operations as the data subject."""

from typing import Any, Final

from app.http.graphql import GraphQLEndpoint
from app.web.pages import OperationError, execute_operation
from schema.actor import Actor

ITEMS_A_PAGE: Final = 20
ITEMS_A_READ: Final = 100
MAX_ITEMS_IN_FILE: Final = 20_000
"""The maximum number of items in a downloaded file. A person with more items downloads further files."""


class OwnRecordsReader:
    """The reader of what is known about a person, for that person."""

    def __init__(self, endpoint: GraphQLEndpoint, actor: Actor) -> None:
        self._endpoint, self._actor = endpoint, actor

    async def page(self, after: str | None, items: int = ITEMS_A_PAGE) -> dict[str, Any]:
        """Read what a person's privacy page shows; an invalid cursor leads to the first items."""
        try:
            data = await self._execute("my_data", first=items, after=after)
        except OperationError as error:
            if after is None or not error.is_input_error:
                raise
            return await self.page(None, items)
        data["viewer"]["deliveries"] += await self._older_deliveries(data["contents"]["nodes"])
        return data

    async def everything(self, after: str | None) -> dict[str, Any]:
        """Read a person's whole records for a download, or the next MAX_ITEMS_IN_FILE items after a cursor."""
        data = await self.page(after, ITEMS_A_READ)
        items, page = data["contents"]["nodes"], data["contents"]["pageInfo"]
        while page["hasNextPage"] and len(items) < MAX_ITEMS_IN_FILE:
            more = await self._execute("my_items", first=ITEMS_A_READ, after=page["endCursor"])
            page = more["contents"]["pageInfo"]
            data["viewer"]["deliveries"] += await self._older_deliveries(more["contents"]["nodes"])
            items += more["contents"]["nodes"]
        data["contents"]["pageInfo"] = page
        return data

    async def _older_deliveries(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Read for a person's privacy page the deliveries of items that are not among the latest."""
        older = [item["id"] for item in items if item["number"] is None]
        if not older:
            return []
        found: list[dict[str, Any]] = (await self._execute("my_deliveries", contentIds=older))["viewer"]["deliveries"]
        return found

    async def _execute(self, operation: str, **variables: Any) -> dict[str, Any]:
        """Execute an operation of the privacy pages as the person."""
        return await execute_operation(self._endpoint, self._actor, operation, variables)
