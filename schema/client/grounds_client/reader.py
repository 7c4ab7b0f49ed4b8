"""Read items, retractions and files of releases from a gateway."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Self

import httpx
from graphql import build_client_schema, get_introspection_query, parse, print_ast

from grounds_client.connection import GatewayConnection, GatewayError, TokenProvider
from grounds_client.older import operation_for

_INVALID: Final = "GRAPHQL_VALIDATION_FAILED"

_ITEMS = """query Items($first: Int!, $after: String, $filter: TrainableContentFilter) {
  trainableContent(first: $first, after: $after, filter: $filter) {
    nodes {
      id kind product language createdMonth text author { id } reason { ground policyVersion receipt }
    }
    pageInfo { endCursor hasNextPage }
  }
}"""
_ITEMS_IN_ORDER = _ITEMS.replace("filter: $filter)", "filter: $filter, order: $order)").replace(
    "$filter: TrainableContentFilter)", "$filter: TrainableContentFilter, $order: TrainableContentOrder!)"
)
BY_ID: Final = "ID"
BY_AVAILABILITY: Final = "AVAILABILITY"
_RETRACTIONS = """query Retractions($first: Int!, $after: String) {
  retractions(first: $first, after: $after) {
    nodes { id contentId kind dueBy }
    pageInfo { endCursor hasNextPage }
  }
}"""
_ACKNOWLEDGE = "mutation Acknowledge($id: ID!) { acknowledgeRetractions(upTo: $id) { remaining } }"
_RELEASES = """query Releases($after: String) {
  releases(first: 100, after: $after) { nodes { id name state } pageInfo { endCursor hasNextPage } }
}"""
_START = """mutation Start($name: String!, $filter: TrainableContentFilter) {
  startRelease(name: $name, filter: $filter) { id }
}"""


@dataclass(frozen=True, slots=True)
class Item:
    """An item on which the client may train, with the ground and the receipt of its delivery.

    A gateway of an earlier version may not state all fields; these are None.
    """

    id: str
    kind: str
    product: str
    language: str | None
    created_month: date
    text: str
    author: str
    ground: str
    policy_version: str | None
    receipt: str | None


@dataclass(frozen=True, slots=True)
class ReceivedRetraction:
    """A retraction: delete the item (RETRACT, SUPERSEDE), do not use it (HOLD), or use it again (RELEASE)."""

    id: str
    content_id: str
    kind: str
    due_by: datetime | None


class GatewayReader:
    """A reader of what a gateway permits to a training client, and of its retractions and releases."""

    def __init__(self, url: str, token: str | TokenProvider, *, patience: float = 120, timeout: float = 60) -> None:
        self._connection = GatewayConnection(url, token, patience, timeout)
        self._operations: dict[str, str] = {}  # what a gateway of an earlier version gets instead

    def __enter__(self) -> Self:
        """Return the client of the gateway itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the client's connection to the gateway."""
        self.close()

    def close(self) -> None:
        """Close the client's connection to the gateway."""
        self._connection.close()

    def execute(self, query: str, **variables: Any) -> dict[str, Any]:
        """Execute a GraphQL operation as this client. Raises GatewayError."""
        return self._connection.execute(query, variables)

    def trainable_content(self, *, page_size: int = 1000, order: str = BY_ID, **filter: Any) -> Iterator[Item]:
        """Read the items on which this client may train. The filter has the fields of `TrainableContentFilter`.

        With the order `AVAILABILITY`, the items come in the order in which they became available. To read later only
        what is new, use `pages_of_items` and store its cursor.

        Write the names of the fields in Python's way: `created_from_month` for `createdFromMonth`.
        """
        for items, _ in self.pages_of_items(graphql_filter(filter), page_size=page_size, order=order):
            yield from items

    def pages_of_items(
        self, filter: dict[str, Any] | None, after: str | None = None, *, page_size: int = 1000, order: str = BY_ID
    ) -> Iterator[tuple[list[Item], str | None]]:
        """Read the pages of items after a cursor, each with the cursor after it. The filter has GraphQL's names.

        With the order `AVAILABILITY`, the cursor after the last page gives later exactly what became available since.
        """
        variables: dict[str, Any] = {"first": page_size, "filter": filter}
        query = _ITEMS
        if order != BY_ID:
            query, variables["order"] = _ITEMS_IN_ORDER, order
        for page in self._pages(query, "trainableContent", after, variables):
            yield [_item_of(node) for node in page["nodes"]], page["pageInfo"]["endCursor"]

    def retractions(self, after: str | None = None) -> Iterator[tuple[list[ReceivedRetraction], str]]:
        """Read the pages of retractions after a cursor. Store the cursor of a page after you have applied the page."""
        for page in self._pages(_RETRACTIONS, "retractions", after, {"first": 1000}):
            if page["nodes"]:
                yield [_retraction_of(node) for node in page["nodes"]], page["pageInfo"]["endCursor"]

    def acknowledge(self, up_to: ReceivedRetraction) -> int:
        """Acknowledge this retraction and all earlier ones; return the number of retractions that are left."""
        answer = self.execute(_ACKNOWLEDGE, id=up_to.id)
        remaining: int = answer["acknowledgeRetractions"]["remaining"]
        return remaining

    def find_release(self, name: str) -> str | None:
        """Find the id of this client's release with a name; None if there is none."""
        for page in self._pages(_RELEASES, "releases", None, {}):
            for release in page["nodes"]:
                if release["name"] == name:
                    return str(release["id"])
        return None

    def start_release(self, name: str, **filter: Any) -> str:
        """Start a release, or find the one that this client has with this name; return its id."""
        found = self.find_release(name)
        if found is None:
            try:
                return str(self.execute(_START, name=name, filter=graphql_filter(filter))["startRelease"]["id"])
            except GatewayError:  # a request whose answer was lost has started it
                found = self.find_release(name)
                if found is None:
                    raise
        return found

    def public_key(self) -> str:
        """Read the key with which the gateway signs, in hexadecimal. Raises GatewayError."""
        record = json.loads(self._connection.get("/transparency.json"))["publicRecord"]
        return str(record["ledger"]["publicKey"])

    def release_document(self, release: str, name: str, patience: float | None = None) -> bytes:
        """Get a document of a release, such as manifest.json. Raises GatewayError."""
        return self._connection.get(f"/releases/{release}/{name}", patience)

    @contextmanager
    def release_file(self, release: str, name: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
        """Open a file of a release, to be read piece by piece. Raises GatewayError."""
        with self._connection.stream(f"/releases/{release}/{name}", headers) as response:
            yield response

    def _pages(self, query: str, field: str, after: str | None, variables: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Read the pages of a connection of the gateway after a cursor."""
        while True:
            try:
                page: dict[str, Any] = self.execute(self._operations.get(query, query), after=after, **variables)[field]
            except GatewayError as error:
                if error.code != _INVALID or query in self._operations:
                    raise
                self._operations[query] = self._operation_for_gateway(query, error)
                continue
            yield page
            if not page["pageInfo"]["hasNextPage"]:
                return
            after = page["pageInfo"]["endCursor"]

    def _operation_for_gateway(self, query: str, error: GatewayError) -> str:
        """Write an operation for a gateway that refused it: one of an earlier version. Raises GatewayError."""
        schema = build_client_schema(self.execute(get_introspection_query(descriptions=False)))  # type: ignore[arg-type]
        fitting = operation_for(schema, query)
        if fitting == print_ast(parse(query)):
            raise error
        return fitting


def graphql_filter(filter: dict[str, Any]) -> dict[str, Any] | None:
    """Write a filter with Python's names as the input `TrainableContentFilter`; None without any."""
    found = {}
    for name, value in filter.items():
        first, *others = name.split("_")
        found[first + "".join(map(str.capitalize, others))] = value.isoformat() if isinstance(value, date) else value
    return found or None


def _item_of(node: dict[str, Any]) -> Item:
    """Make an item of a node of `trainableContent`."""
    reason = node["reason"]
    return Item(
        id=node["id"],
        kind=node["kind"],
        product=node["product"],
        language=node.get("language"),
        created_month=date.fromisoformat(node["createdMonth"]),
        text=node["text"],
        author=node["author"]["id"],
        ground=reason["ground"],
        policy_version=reason.get("policyVersion"),
        receipt=reason.get("receipt"),
    )


def _retraction_of(node: dict[str, Any]) -> ReceivedRetraction:
    """Make a retraction of a node of `retractions`."""
    due = node.get("dueBy")
    return ReceivedRetraction(node["id"], node["contentId"], node["kind"], datetime.fromisoformat(due) if due else None)
