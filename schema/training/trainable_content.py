"""What a training client receives: permitted items, each with its reason."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Annotated, Any, ClassVar

import strawberry
from graphql import GraphQLObjectType

from db.delivery.availability import DeliveredAvailable, Place, deliver_available, place_of
from db.delivery.pages import Delivered, Filter, deliver, deliver_offers
from db.policy.compile import page_columns
from db.policy.document import Policy
from schema.context import Context, Info
from schema.enums import ContentKind, Region
from schema.errors import BadInput
from schema.execution.limits import MAX_PAGE_SIZE
from schema.execution.row_compiler import Column, Computed, FromList, RowPage, SameRow, build_objects
from schema.governed import TRAINING, governed
from schema.relay.connection import After, Connection, PageInfo, check_page_size, page_info, read_cursor
from schema.relay.ids import IdKind, Ids
from schema.relay.node import Node
from schema.training.availability import (
    TrainableContentOrder,
    encode_place,
    filter_fingerprint,
    offers_not_built,
    raise_if_other_order,
    raise_unless_offers,
    read_place,
)
from schema.training.filters import TrainableContentFilter, narrowed_by
from schema.training.media import Media, MediaSource, StoredMedium, fetched_medium, media_filter, media_of_items
from schema.training.reason import QualifyingReason
from schema.training.retractions import raise_if_delivery_suspended


@dataclass(frozen=True)
class TrainablePage(RowPage):
    """A delivered page; what all its rows share is made once, on demand."""

    delivered: Delivered
    policy: Policy
    naming: Ids
    media_base: str
    """The beginning of the address of every file."""
    columns: ClassVar[dict[str, int]] = {name: position for position, name in enumerate(page_columns())}

    @property
    def rows(self) -> Sequence[Any]:
        """Return the rows of a page of trainable content."""
        return self.delivered.rows

    @cached_property
    def numbers(self) -> list[int]:
        """Return the internal numbers of a page of trainable content."""
        return [row[0] for row in self.delivered.rows]

    @property
    def ends(self) -> list[int]:
        """Return the numbers at which a page of trainable content begins and ends."""
        looked_up_to = self.delivered.looked_up_to
        return [*self.numbers[:1], *(self.numbers[-1:] if looked_up_to is None else [looked_up_to])]

    @cached_property
    def ids(self) -> list[str]:
        """Encode the pseudonym of each item of a page of trainable content."""
        return self.naming.encode_all(IdKind.TRAINABLE_CONTENT, self.numbers)

    @cached_property
    def authors(self) -> list[str]:
        """Encode the pseudonym of each author of a page of trainable content."""
        return self.naming.encode_all(IdKind.AUTHOR, [row[1] for row in self.delivered.rows])

    @cached_property
    def media_files(self) -> list[list[dict[str, Any]]]:
        """Describe the media of each row of a page of trainable content."""
        column = self.columns["media"]
        return media_of_items(self.naming, self.media_base, self.numbers, [row[column] for row in self.rows])

    @cached_property
    def cursors(self) -> list[str]:
        """Encode the cursor of each row of a page of trainable content."""
        return self.naming.encode_all(IdKind.TRAINABLE_CONTENT_CURSOR, self.numbers)

    @cached_property
    def receipt(self) -> str:
        """Return the id of the receipt of a page of trainable content."""
        assert self.delivered.receipt is not None, "a page with rows has a receipt"
        return self.naming.encode(IdKind.RECEIPT, self.delivered.receipt)

    @property
    def policy_version(self) -> str:
        """Return the version of the policy that decided a page of trainable content."""
        return self.delivered.policy

    @property
    def decided_at(self) -> datetime:
        """Return the instant at which a page of trainable content was decided."""
        return self.delivered.decided_at


@dataclass(frozen=True)
class PageWithoutEvidence(TrainablePage):
    """A delivered page without the columns of evidence: a selection that shows evidence is not compiled for it."""

    columns: ClassVar[dict[str, int]] = {
        name: position for position, name in enumerate(page_columns(with_evidence=False))
    }


@dataclass(frozen=True)
class AvailablePage(TrainablePage):
    """A delivered page in the order of availability."""

    found: DeliveredAvailable
    start: Place
    fingerprint: int

    @cached_property
    def cursors(self) -> list[str]:
        """Encode the cursor of each row of a page in the order of availability."""
        positions = [row["position"] for row in self.rows]
        return [
            encode_place(
                self.naming,
                self.fingerprint,
                place_of(position, self.start, self.found.end, positions[number + 1 :]),
            )
            for number, position in enumerate(positions)
        ]

    @property
    def end_cursor(self) -> str:
        """Encode the cursor at which a page in the order of availability ends, which is never null."""
        return encode_place(self.naming, self.fingerprint, self.found.end)


@strawberry.type(description="The author of an item, identified by a pseudonym.")
class PseudonymousAuthor:
    id: strawberry.ID = governed(
        TRAINING, row=FromList("authors"), description="The pseudonym of the author, which only this client receives."
    )
    region: Region | None = governed(
        TRAINING, row=Column("country"), description="The author's country, null if unknown."
    )


@strawberry.type(description="A permitted item with the reason why the item is permitted.")
class TrainableContent(Node):
    id: strawberry.ID = governed(
        TRAINING, row=FromList("ids"), description="The pseudonym of the item, which only this client receives."
    )
    kind: ContentKind = governed(TRAINING, row=Column("kind"), description="The kind of the item.")
    product: str = governed(TRAINING, row=Column("product"), description="The product on which the item was published.")
    language: str | None = governed(
        TRAINING, row=Column("language"), description="The language of the item as a BCP 47 tag, null if unknown."
    )
    created_month: date = governed(
        TRAINING,
        row=Column("created_month"),
        description="The month in which the item was created, given as the first day of the month.",
    )
    text: str = governed(
        TRAINING, row=Computed(lambda text: text or "", ("text",)), description="The de-identified text."
    )
    media: list[Media] = governed(TRAINING, row=MediaSource(), description="The de-identified media of the item.")
    author: PseudonymousAuthor = governed(TRAINING, row=SameRow(), description="The author of the item.")
    reason: QualifyingReason = governed(TRAINING, row=SameRow(), description="The reason why the item is permitted.")


async def trainable_content(
    info: Info,
    first: Annotated[int, strawberry.argument(description="The number of items per page, 1 to 1000.")],
    after: After = None,
    filter: Annotated[
        TrainableContentFilter | None,
        strawberry.argument(description="The items to return, by default all permitted ones."),
    ] = None,
    order: Annotated[
        TrainableContentOrder,
        strawberry.argument(
            description="The order of the items; a cursor is valid only with the order in which the "
            "cursor was returned."
        ),
    ] = TrainableContentOrder.ID,
) -> Connection[TrainableContent]:
    """Resolve `trainableContent` of the GraphQL API: deliver a page of permitted items and write its receipt."""
    return await deliver_trainable_content(info.context, first, after, filter, order)


async def deliver_trainable_content(
    context: Context,
    first: int,
    after: str | None = None,
    filter: TrainableContentFilter | None = None,
    order: TrainableContentOrder = TrainableContentOrder.ID,
    *,
    with_evidence: bool = True,
) -> Connection[TrainableContent]:
    """Deliver a page of trainable content, to a request that the executor answers or a plan does.

    A plan that shows no evidence reads the page without the columns of evidence.
    """
    size = check_page_size(first, MAX_PAGE_SIZE)
    if order is TrainableContentOrder.AVAILABILITY:
        return await _available_content(context, size, after, filter)
    if after is not None:
        raise_if_other_order(context.ids, after)
    start = read_cursor(context.ids, IdKind.TRAINABLE_CONTENT_CURSOR, after)
    narrowed = Filter() if filter is None else await narrowed_by(context, filter)
    page = await _deliver(context, start, size, narrowed, with_evidence=with_evidence)
    if not page.rows:
        await _raise_if_nothing_permitted(context, page.policy)
    ends = page.naming.encode_all(IdKind.TRAINABLE_CONTENT_CURSOR, page.ends)
    position = page_info(ends, after=after, has_next=page.delivered.has_next)
    if not page.rows:
        position.start_cursor = None
    return Connection(
        edges=page,  # type: ignore[arg-type]  # a page of rows, which the executor answers for
        nodes=page,  # type: ignore[arg-type]
        page_info=position,
    )


async def _available_content(
    context: Context, size: int, after: str | None, filter: TrainableContentFilter | None
) -> Connection[TrainableContent]:
    """Resolve `trainableContent` in the order of availability: deliver a page that ends with a cursor in any case."""
    raise_unless_offers(context)
    assert context.actor.purpose is not None, "a training client's token states a purpose"
    fingerprint = filter_fingerprint(context.actor.purpose, filter)
    start = read_place(context.ids, fingerprint, after)
    narrowed = Filter() if filter is None else await narrowed_by(context, filter)
    found = await deliver_available(
        context.database.training, await context.client(), context.actor.purpose, start, size, narrowed
    )
    if found is None:
        raise_unless_purpose_named(context, await context.gateway.policy_in_force())
        raise offers_not_built()
    _count(context, found.delivered)
    policy = await context.gateway.policy(found.delivered.policy)
    page = AvailablePage(found.delivered, policy, context.ids, context.gateway.public_url, found, start, fingerprint)
    if not page.rows:
        await _raise_if_nothing_permitted(context, policy)
    return Connection(
        edges=page,  # type: ignore[arg-type]  # a page of rows, which the executor answers for
        nodes=page,  # type: ignore[arg-type]
        page_info=PageInfo(
            has_next_page=found.delivered.has_next,
            has_previous_page=after is not None,
            start_cursor=page.cursors[0] if page.rows else None,
            end_cursor=page.end_cursor,
        ),
    )


async def trainable_item(info: Info, number: int) -> TrainableContent | None:
    """Resolve a training client's `node`: deliver one item with a receipt of its own; None if not permitted."""
    context = info.context
    page = await _deliver(context, 0, 1, Filter(item=number))
    kind = info._raw_info.schema.get_type("TrainableContent")
    assert isinstance(kind, GraphQLObjectType)
    items: list[TrainableContent] = build_objects(page, context.actor.role, kind)
    return items[0] if items else None


async def deliver_medium(context: Context, address: str) -> StoredMedium | None:
    """Decide a training client's fetch of a file: deliver its item again, with a receipt; None if not permitted."""
    narrowed = media_filter(context.ids, address)
    if narrowed is None:
        return None
    page = await _deliver(context, 0, 1, narrowed)
    return fetched_medium(page.rows, narrowed)


async def _deliver(
    context: Context, after: int, first: int, narrowed: Filter, *, with_evidence: bool = True
) -> TrainablePage:
    """Deliver a page of trainable content to the training client, and count it."""
    actor = context.actor
    assert actor.purpose is not None, "a training client's token states a purpose"
    client = await context.client()
    asked = (context.database.training, client, actor.purpose, after, first, narrowed)
    offered = await deliver_offers(*asked, with_evidence=with_evidence) if context.gateway.offers else None
    delivered = offered or await deliver(*asked, with_evidence=with_evidence)
    _count(context, delivered)
    made = TrainablePage if with_evidence else PageWithoutEvidence
    return made(delivered, await context.gateway.policy(delivered.policy), context.ids, context.gateway.public_url)


def _count(context: Context, delivered: Delivered) -> None:
    """Count a delivered page of trainable content for the operator."""
    context.gateway.on_delivered(str(context.actor.client), Counter(row["ground"] for row in delivered.rows))


async def _raise_if_nothing_permitted(context: Context, policy: Policy) -> None:
    """Refuse a page of trainable content that is empty because of its purpose, or because the client is suspended."""
    raise_unless_purpose_named(context, policy)
    await raise_if_delivery_suspended(context)


def raise_unless_purpose_named(context: Context, policy: Policy) -> None:
    """Refuse a training client's purpose that the policy does not have, rather than answer with no items."""
    if context.actor.purpose not in policy.purposes:
        raise BadInput(
            f"purpose: {context.actor.purpose} is not a purpose of the policy (use a token for"
            f" {' or '.join(policy.purposes)})"
        )
