"""Relay connections: pages by key behind opaque cursors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Generic, NoReturn, TypeVar

import strawberry

from schema.errors import BadInput, CursorLost
from schema.execution.row_compiler import FromList, RowPage, SameRow
from schema.governed import EVERYONE, governed
from schema.relay.ids import IdKind, Ids

Item = TypeVar("Item")

First = Annotated[int, strawberry.argument(description="The number of items per page, 1 to 100.")]
After = Annotated[
    str | None, strawberry.argument(description="The `endCursor` of the previous page, null for the first page.")
]


@strawberry.type(description="The position of a page in its list.")
class PageInfo:
    has_next_page: bool = governed(EVERYONE, description="Whether there is a page after this one.")
    has_previous_page: bool = governed(EVERYONE, description="Whether there is a page before this one.")
    start_cursor: str | None = governed(EVERYONE, description="The cursor of the first item of the page.")
    end_cursor: str | None = governed(
        EVERYONE, description="The cursor of the last item of the page, to be passed as `after` to get the next page."
    )


@strawberry.type(description="An item of a page with its cursor.")
class Edge(Generic[Item]):
    cursor: str = governed(EVERYONE, row=FromList("cursors"), description="The cursor of the item.")
    node: Item = governed(EVERYONE, row=SameRow(), description="The item.")


@strawberry.type(description="A page of a list.")
class Connection(Generic[Item]):
    edges: list[Edge[Item]] = governed(EVERYONE, description="The items of the page with their cursors.")
    nodes: list[Item] = governed(EVERYONE, description="The items of the page.")
    page_info: PageInfo = governed(EVERYONE, description="The position of the page in the list.")


def check_page_size(first: int, most: int) -> int:
    """Return the page size `first` of a Relay connection, or raise BadInput."""
    if not 1 <= first <= most:
        raise BadInput(f"first: must be 1 to {most}, not {first} (correct it)")
    return first


def read_cursor(ids: Ids, kind: IdKind, after: str | None) -> int:
    """Return the number after which a Relay page begins; 0 for the first one. Raises BadInput for a foreign cursor.

    It also raises CursorLost for a cursor from before the database was restored: rows that its reader has seen can be
    missing now, and what it would have been told of them is.
    """
    if after is None:
        return 0
    number = ids.decode_as(kind, after)
    if number is None and ids.is_lost_cursor(kind, after):
        raise_cursor_lost()
    if number is None:
        raise BadInput("after: must be a cursor of this list (pass pageInfo.endCursor of the previous page, unchanged)")
    return number


def raise_cursor_lost() -> NoReturn:
    """Raise CursorLost for a Relay cursor from before the database was restored."""
    raise CursorLost(
        "after: the database was restored after the gateway returned this cursor (pass the ids of all your items to "
        "checkEligibility, delete the items that are RETRACTED, then omit `after` to read from the start)"
    )


@dataclass(frozen=True)
class KeysetPage(RowPage):
    """A page of rows whose first value is the key of the list."""

    naming: Ids
    id_kind: IdKind
    cursor_kind: IdKind
    found: Sequence[tuple[Any, ...]]
    make: Callable[[Any], object]
    policy: None = None

    @property
    def rows(self) -> Sequence[Any]:
        """Return the rows of a Relay page."""
        return self.found

    @cached_property
    def ids(self) -> list[str]:
        """Encode the opaque id of each row of a Relay page."""
        return self.naming.encode_all(self.id_kind, [row[0] for row in self.found])

    @cached_property
    def cursors(self) -> list[str]:
        """Encode the cursor of each row of a Relay page."""
        return self.naming.encode_all(self.cursor_kind, [row[0] for row in self.found])

    @property
    def objects(self) -> list[object]:
        """Make the GraphQL object of each row of a Relay page, for the ordinary path."""
        return [self.make(row) for row in self.found]


def connection_of_rows(page: KeysetPage, *, after: str | None, has_next: bool) -> Connection[Any]:
    """Make a Relay connection of a page of rows."""
    return Connection(
        edges=page,  # type: ignore[arg-type]  # a page of rows, which the executor answers for
        nodes=page,  # type: ignore[arg-type]
        page_info=page_info(page.cursors, after=after, has_next=has_next),
    )


def connection_of_objects(
    nodes: list[Item], cursors: list[str], after: str | None, *, has_next: bool
) -> Connection[Item]:
    """Make a Relay connection of a page of objects."""
    edges = [Edge(cursor=cursor, node=node) for cursor, node in zip(cursors, nodes, strict=True)]
    return Connection(edges=edges, nodes=nodes, page_info=page_info(cursors, after=after, has_next=has_next))


def page_info(cursors: list[str], *, after: str | None, has_next: bool) -> PageInfo:
    """Return the Relay `pageInfo` of a page; a page after a cursor has one before it."""
    return PageInfo(
        has_next_page=has_next,
        has_previous_page=after is not None,
        start_cursor=cursors[0] if cursors else None,
        end_cursor=cursors[-1] if cursors else None,
    )
