"""Connections in the manner of Relay: keyset pages behind opaque cursors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import strawberry

from schema.compiled import Listed, RowPage, SameRow
from schema.errors import BadInput
from schema.governed import EVERYONE, governed
from schema.ids import Ids, Kind

Item = TypeVar("Item")


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    """Say where a page stands in its list."""

    has_next_page: bool = governed(EVERYONE)
    has_previous_page: bool = governed(EVERYONE)
    start_cursor: str | None = governed(EVERYONE)
    end_cursor: str | None = governed(EVERYONE)


@strawberry.type(description="An item of a page and the cursor behind it.")
class Edge(Generic[Item]):
    """Hold an item and its cursor."""

    cursor: str = governed(EVERYONE, row=Listed("cursors"))
    node: Item = governed(EVERYONE, row=SameRow())


@strawberry.type(description="A page of a list.")
class Connection(Generic[Item]):
    """Hold a page."""

    edges: list[Edge[Item]] = governed(EVERYONE)
    nodes: list[Item] = governed(EVERYONE)
    page_info: PageInfo = governed(EVERYONE)


def checked_first(first: int, most: int) -> int:
    """Give the page size, or raise BadInput."""
    if not 1 <= first <= most:
        raise BadInput(f"first: {first} is not between 1 and {most} (ask for a page of 1 to {most} items)")
    return first


def read_cursor(ids: Ids, kind: Kind, after: str | None) -> int:
    """Give the number after which a page begins; 0 for the first page. Raises BadInput for anything not given out."""
    if after is None:
        return 0
    number = ids.read_as(kind, after)
    if number is None:
        raise BadInput("after: is no cursor of this list (pass pageInfo.endCursor of the page before, unchanged)")
    return number


@dataclass(frozen=True)
class KeysetPage(RowPage):
    """Hold a page of rows whose first value is the key of the list."""

    naming: Ids
    id_kind: Kind
    cursor_kind: Kind
    found: Sequence[tuple[Any, ...]]
    make: Callable[[Any], object]
    policy: None = None

    @property
    def rows(self) -> Sequence[Any]:
        """Give the rows."""
        return self.found

    @cached_property
    def ids(self) -> list[str]:
        """Give each row's id."""
        return self.naming.write_all(self.id_kind, [row[0] for row in self.found])

    @cached_property
    def cursors(self) -> list[str]:
        """Give each row's cursor."""
        return self.naming.write_all(self.cursor_kind, [row[0] for row in self.found])

    @property
    def objects(self) -> list[object]:
        """Make each row's object, for the ordinary path."""
        return [self.make(row) for row in self.found]


def page_of(page: KeysetPage, *, after: str | None, has_next: bool) -> Connection[Any]:
    """Make a connection of a page of rows."""
    return Connection(
        edges=page,  # type: ignore[arg-type]  # a page of rows, which the executor answers for
        nodes=page,  # type: ignore[arg-type]
        page_info=page_info(page.cursors, after=after, has_next=has_next),
    )


def connection_of(nodes: list[Item], cursors: list[str], after: str | None, *, has_next: bool) -> Connection[Item]:
    """Make a connection of a page of objects."""
    edges = [Edge(cursor=cursor, node=node) for cursor, node in zip(cursors, nodes, strict=True)]
    return Connection(edges=edges, nodes=nodes, page_info=page_info(cursors, after=after, has_next=has_next))


def page_info(cursors: list[str], *, after: str | None, has_next: bool) -> PageInfo:
    """Say where a page stands; a page after a cursor has one before it."""
    return PageInfo(
        has_next_page=has_next,
        has_previous_page=after is not None,
        start_cursor=cursors[0] if cursors else None,
        end_cursor=cursors[-1] if cursors else None,
    )
