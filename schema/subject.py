"""What a data subject may ask of the own data: notices, objections, and what was delivered to whom."""

from datetime import datetime

import strawberry

from db.account import account_number
from db.objecting import MOST_ITEMS, deliveries_of, numbered_items
from schema.consent import Notice, Objection, notices_of, objections_of
from schema.context import Context
from schema.governed import governed
from schema.ids import Kind
from schema.values import Role

SUBJECTS = (Role.DATA_SUBJECT,)

Info = strawberry.Info[Context, None]


@strawberry.type(description="A page that a training client received, and which of one's own items were on it.")
class OwnDelivery:
    """Hold a delivery, as a data subject sees it."""

    id: strawberry.ID = governed(SUBJECTS)
    client: str = governed(SUBJECTS, description="To whom.")
    purpose: str = governed(SUBJECTS)
    policy_version: str = governed(SUBJECTS)
    decided_at: datetime = governed(SUBJECTS)
    items: list[strawberry.ID] = governed(SUBJECTS, description="One's own items on it; see content(id).")


async def _notices(info: Info) -> list[Notice]:
    number = await _own_number(info.context)
    return [] if number is None else await notices_of(info.context, number)


async def _objections(info: Info) -> list[Objection]:
    number = await _own_number(info.context)
    return [] if number is None else await objections_of(info.context, number)


async def _deliveries(info: Info) -> list[OwnDelivery]:
    context = info.context
    numbered, _ = await numbered_items(context.reader)
    return [
        OwnDelivery(
            id=strawberry.ID(context.ids.write(Kind.RECEIPT, row.id)),
            client=row.client,
            purpose=row.purpose,
            policy_version=row.policy,
            decided_at=row.decided_at,
            items=[strawberry.ID(text) for text in context.ids.write_all(Kind.CONTENT, row.items)],
        )
        for row in await deliveries_of(context.reader, list(numbered))
    ]


async def _own_number(context: Context) -> int | None:
    return await account_number(context.reader, context.actor.subject or "")


@strawberry.type
class OwnRecords:
    """Show a data subject what is kept of the own position and items."""

    notices: list[Notice] = governed(SUBJECTS, resolver=_notices, description="A data subject's own.")
    objections: list[Objection] = governed(
        SUBJECTS, resolver=_objections, description="Those that reach a data subject's own account."
    )
    deliveries: list[OwnDelivery] = governed(
        SUBJECTS,
        resolver=_deliveries,
        description=f"What was delivered of a data subject's latest {MOST_ITEMS} items, the latest delivery first.",
    )
