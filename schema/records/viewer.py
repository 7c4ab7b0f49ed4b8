"""What a data subject reads about themselves: notices, objections and deliveries."""

from datetime import datetime
from typing import Annotated

import strawberry

from db.records.account import find_account_id
from db.records.own_deliveries import MAX_ITEMS, load_own_deliveries, number_own_items
from db.releases.runs import runs_of_items
from schema.context import Context, Info
from schema.errors import BadInput
from schema.governed import SUBJECTS, governed
from schema.oversight.staff_reads import LATEST_READS, OwnStaffRead, own_staff_reads
from schema.records.consent import Notice, Objection, notices_of, objections_of
from schema.records.stated_models import OwnStatedModel, own_stated_models
from schema.relay.ids import IdKind

LATEST_ITEMS = MAX_ITEMS
"""The number of a data subject's latest items that have a number, and that `deliveries` covers by default."""


@strawberry.type(description="A page that a training client received and that contains items of the data subject.")
class OwnDelivery:
    id: strawberry.ID = governed(SUBJECTS, description="The id of the receipt.")
    client: str = governed(SUBJECTS, description="The name of the client.")
    purpose: str = governed(SUBJECTS, description="The purpose of the client.")
    policy_version: str = governed(SUBJECTS, description="The version of the policy that was used for the decision.")
    decided_at: datetime = governed(SUBJECTS, description="The time of the decision.")
    content_ids: list[strawberry.ID] = governed(
        SUBJECTS,
        description=("The ids of the data subject's own items on the page, if the query asked for these items."),
    )
    content_numbers: list[int | None] = governed(
        SUBJECTS, description="The values of `Content.number` for the items in `contentIds`, in the same order."
    )
    models: list[OwnStatedModel] = governed(
        SUBJECTS,
        description="The models that were trained with these items, according to the client; empty if the client "
        "named none.",
    )
    told_to_delete_at: datetime | None = governed(
        SUBJECTS,
        description=(
            "The time at which the gateway told the client to delete these items, null without such a message; if"
            " items of a page have different times, the page is listed several times."
        ),
    )
    has_confirmed: bool | None = governed(
        SUBJECTS,
        description=(
            "Whether the client has acknowledged that it must delete these items, null if the gateway did not "
            "tell the client to delete them."
        ),
    )


async def _resolve_own_notices(info: Info) -> list[Notice]:
    """Resolve `Viewer.notices`: the notices to the data subject."""
    number = await _own_account_id(info.context)
    return [] if number is None else await notices_of(info.context, number)


async def _resolve_own_objections(info: Info) -> list[Objection]:
    """Resolve `Viewer.objections`: the objections of the data subject."""
    number = await _own_account_id(info.context)
    return [] if number is None else await objections_of(info.context, number)


async def _resolve_content_count(info: Info) -> int:
    """Resolve `Viewer.contentCount`: how many items the data subject has."""
    _, count = await number_own_items(info.context.reader)
    return count


async def _resolve_own_deliveries(
    info: Info,
    content_ids: Annotated[
        list[strawberry.ID] | None,
        strawberry.argument(
            description=f"The ids of the items to look for, by default the data subject's latest {LATEST_ITEMS} items."
        ),
    ] = None,
) -> list[OwnDelivery]:
    """Resolve `Viewer.deliveries`: which clients received the data subject's items."""
    context = info.context
    numbers, _ = await number_own_items(context.reader)
    asked = list(numbers) if content_ids is None else _items_of(context, content_ids)
    runs = await runs_of_items(context.reader, asked)
    return [
        OwnDelivery(
            id=strawberry.ID(context.ids.encode(IdKind.RECEIPT, row.id)),
            client=row.client,
            purpose=row.purpose,
            policy_version=row.policy,
            decided_at=row.decided_at,
            content_ids=[strawberry.ID(text) for text in context.ids.encode_all(IdKind.CONTENT, row.items)],
            content_numbers=[numbers.get(item) for item in row.items],
            models=own_stated_models(context, runs, row.client, row.purpose, row.items),
            told_to_delete_at=row.told_to_delete_at,
            has_confirmed=row.has_confirmed,
        )
        for row in await load_own_deliveries(context.reader, asked)
    ]


def _items_of(context: Context, content_ids: list[strawberry.ID]) -> list[int]:
    """Decode the ids of a data subject's own items; others name no item. Raises BadInput for too many."""
    if len(content_ids) > MAX_ITEMS:
        raise BadInput(
            f"contentIds: must have at most {MAX_ITEMS} values, not {len(content_ids)} (send several requests)"
        )
    items = (context.ids.decode_as(IdKind.CONTENT, text) for text in content_ids)
    return [item for item in items if item is not None]


async def _own_account_id(context: Context) -> int | None:
    """Find the number of the data subject's own account record."""
    return await find_account_id(context.reader, context.actor.subject or "")


@strawberry.type
class OwnRecords:
    """Show a data subject what is kept of the own position and items."""

    notices: list[Notice] = governed(
        SUBJECTS, resolver=_resolve_own_notices, description="The notices to the data subject."
    )
    objections: list[Objection] = governed(
        SUBJECTS,
        resolver=_resolve_own_objections,
        description="The objections that apply to the data subject's account.",
    )
    content_count: int = governed(
        SUBJECTS, resolver=_resolve_content_count, description="The number of the data subject's items."
    )
    deliveries: list[OwnDelivery] = governed(
        SUBJECTS,
        resolver=_resolve_own_deliveries,
        description="The deliveries of the data subject's items, newest first.",
    )
    staff_reads: list[OwnStaffRead] = governed(
        SUBJECTS,
        resolver=own_staff_reads,
        description=f"The latest {LATEST_READS} reads of the data subject's data by the platform's staff.",
    )
