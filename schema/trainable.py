"""What a training client receives: permitted items, each with the reason why."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Annotated, Any, ClassVar, TypeVar

import orjson
import strawberry
from graphql import GraphQLField, GraphQLObjectType, get_named_type

from db.delivery import MOST_WALKS, Delivered, Filter, deliver
from db.policy.compile import page_columns
from db.policy.document import Policy
from schema.compiled import Column, Compiler, Listed, Made, RowPage, SameRow, Shape, instances
from schema.connection import Connection, checked_first, page_info, read_cursor
from schema.context import Context
from schema.errors import BadInput
from schema.governed import TRAINING, governed
from schema.ids import Ids, Kind
from schema.limits import MOST_ITEMS
from schema.node import Node
from schema.reason import QualifyingReason
from schema.retractions import refuse_the_withheld
from schema.values import ContentKind, GroundCode, Region

_MOST_VALUES = MOST_WALKS

Value = TypeVar("Value")


class _Media:
    """Take the media of a row, which are JSON there."""

    def expression(self, compiler: Compiler, declared: GraphQLField, shape: Shape | None) -> str:
        """Build each medium; most rows have none."""
        kind = get_named_type(declared.type)
        assert isinstance(kind, GraphQLObjectType)

        def media(text: str) -> list[Any]:
            return [compiler.render(kind, shape, medium) for medium in orjson.loads(text)]

        column = f"row[{compiler.columns['media']}]"
        return f"({compiler.bind(media)}({column}) if {column} else [])"


@strawberry.type(description="A picture, film or sound; de-identified.")
class Media:
    """Hold a medium."""

    type: str = governed(TRAINING)
    url: str = governed(TRAINING)
    sha256: str | None = governed(TRAINING)


@strawberry.type(description="The author, by a pseudonym that this client alone has.")
class PseudonymousAuthor:
    """Hold an author's pseudonym."""

    id: strawberry.ID = governed(TRAINING, row=Listed("authors"))
    region: Region | None = governed(TRAINING, row=Column("country"))


@strawberry.type(description="A permitted item, with the reason why.")
class TrainableContent(Node):
    """Hold a permitted item."""

    id: strawberry.ID = governed(TRAINING, row=Listed("ids"), description="A pseudonym that this client alone has.")
    kind: ContentKind = governed(TRAINING, row=Column("kind"))
    product: str = governed(TRAINING, row=Column("product"))
    language: str | None = governed(TRAINING, row=Column("language"), description="BCP 47.")
    created_month: date = governed(TRAINING, row=Column("created_month"), description="The first day of the month.")
    text: str = governed(TRAINING, row=Made(lambda text: text or "", ("text",)), description="De-identified.")
    media: list[Media] = governed(TRAINING, row=_Media())
    author: PseudonymousAuthor = governed(TRAINING, row=SameRow())
    reason: QualifyingReason = governed(TRAINING, row=SameRow())


@strawberry.input(description="Narrow the list. Values of one field are alternatives; the fields must all fit.")
class TrainableContentFilter:
    """Narrow the list."""

    kinds: list[ContentKind] | None = None
    products: list[str] | None = None
    languages: list[str] | None = strawberry.field(default=None, description="BCP 47, as the items have them.")
    grounds: list[GroundCode] | None = None
    created_months: list[date] | None = strawberry.field(default=None, description="Any day of each month.")


@dataclass(frozen=True)
class TrainablePage(RowPage):
    """Hold a delivered page; what all its rows share is made once, when it is asked for."""

    delivered: Delivered
    policy: Policy
    naming: Ids
    columns: ClassVar[dict[str, int]] = {name: position for position, name in enumerate(page_columns())}

    @property
    def rows(self) -> Sequence[Any]:
        """Give the rows."""
        return self.delivered.rows

    @cached_property
    def numbers(self) -> list[int]:
        """Give the rows' own numbers."""
        return [row[0] for row in self.delivered.rows]

    @cached_property
    def ids(self) -> list[str]:
        """Give each item's pseudonym."""
        return self.naming.write_all(Kind.TRAINABLE_CONTENT, self.numbers)

    @cached_property
    def authors(self) -> list[str]:
        """Give each author's pseudonym."""
        return self.naming.write_all(Kind.AUTHOR, [row[1] for row in self.delivered.rows])

    @cached_property
    def cursors(self) -> list[str]:
        """Give each row's cursor."""
        return self.naming.write_all(Kind.TRAINABLE_CONTENT_CURSOR, self.numbers)

    @cached_property
    def receipt(self) -> str:
        """Give the id of the page's receipt."""
        assert self.delivered.receipt is not None, "a page with rows has a receipt"
        return self.naming.write(Kind.RECEIPT, self.delivered.receipt)

    @property
    def policy_version(self) -> str:
        """Give the version of the policy that decided."""
        return self.delivered.policy

    @property
    def decided_at(self) -> datetime:
        """Give the instant of the decision."""
        return self.delivered.decided_at


async def trainable_content(
    info: strawberry.Info[Context, None],
    first: Annotated[int, strawberry.argument(description="How many items: 1 to 1000.")],
    after: Annotated[str | None, strawberry.argument(description="The endCursor of the page before.")] = None,
    filter: TrainableContentFilter | None = None,
) -> Connection[TrainableContent]:
    """Deliver a page of permitted items and write its receipt."""
    context = info.context
    size = checked_first(first, MOST_ITEMS)
    start = read_cursor(context.ids, Kind.TRAINABLE_CONTENT_CURSOR, after)
    page = await _deliver(context, start, size, await _narrowed(context, filter))
    if not page.rows:
        await refuse_the_withheld(context)
    ends = page.naming.write_all(Kind.TRAINABLE_CONTENT_CURSOR, [*page.numbers[:1], *page.numbers[-1:]])
    return Connection(
        edges=page,  # type: ignore[arg-type]  # a page of rows, which the executor answers for
        nodes=page,  # type: ignore[arg-type]
        page_info=page_info(ends, after=after, has_next=page.delivered.has_next),
    )


async def trainable_item(info: strawberry.Info[Context, None], number: int) -> TrainableContent | None:
    """Deliver one item by the statement that delivers pages, with a receipt of its own; None if not permitted."""
    context = info.context
    page = await _deliver(context, 0, 1, Filter(item=number))
    kind = info._raw_info.schema.get_type("TrainableContent")
    assert isinstance(kind, GraphQLObjectType)
    items: list[TrainableContent] = instances(page, context.actor.role, kind)
    return items[0] if items else None


async def _deliver(context: Context, after: int, first: int, narrowed: Filter) -> TrainablePage:
    actor = context.actor
    assert actor.purpose is not None, "a training client's token states a purpose"
    client = await context.client()
    delivered = await deliver(context.database.training, client, actor.purpose, after, first, narrowed)
    return TrainablePage(delivered, await context.gateway.policy(delivered.policy), context.ids)


async def _narrowed(context: Context, filter: TrainableContentFilter | None) -> Filter:
    if filter is None:
        return Filter()
    for name, values in vars(filter).items():
        if values is not None and len(values) > _MOST_VALUES:
            raise BadInput(f"filter.{name}: has {len(values)} values (name at most {_MOST_VALUES})")
    months = filter.created_months
    return Filter(
        kinds=await _kinds(context, filter),
        products=_each_once(filter.products),
        languages=_each_once(filter.languages),
        grounds=_each_once(filter.grounds),
        months=None if months is None else _each_once([day.replace(day=1) for day in months]),
    )


async def _kinds(context: Context, filter: TrainableContentFilter) -> list[str] | None:
    """Give the kinds that a filter leaves under the policy in force.

    A ground follows from the kind, and not every product has every kind: what is left out here is not looked for among
    millions.
    """
    if filter.grounds is None and (filter.kinds is None or filter.products is None):
        return _each_once(filter.kinds)
    policy = await context.gateway.policy_in_force()
    return _each_once(
        [
            kind
            for ground, coverage in policy.grounds.items()
            if filter.grounds is None or ground in filter.grounds
            if filter.products is None or set(filter.products) & set(coverage.products)
            for kind in coverage.kinds
            if filter.kinds is None or kind in filter.kinds
        ]
    )


def _each_once(values: Sequence[Value] | None) -> list[Value] | None:
    return None if values is None else list(dict.fromkeys(values))
