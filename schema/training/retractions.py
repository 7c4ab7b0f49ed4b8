"""Retractions: a client is told that an item is no longer permitted, and acknowledges."""

from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Annotated

import strawberry

from db.delivery.retractions import (
    IncidentRow,
    RetractionRow,
    acknowledge_retractions,
    eligibility_states,
    page_of_incidents,
    page_of_retractions,
    withheld,
)
from schema.context import Context, Info
from schema.enums import described_enum
from schema.errors import BadInput
from schema.governed import EXAMINERS, TRAINING, governed
from schema.records.consent import MAX_PAGE_SIZE
from schema.relay.connection import After, Connection, First, check_page_size, connection_of_objects, read_cursor
from schema.relay.ids import IdKind, Ids

MAX_RETRACTIONS = 1000
MAX_CHECKED_IDS = 10_000


@described_enum(
    "The action that a client must take with an item that it received.",
    RETRACT="Delete the item.",
    SUPERSEDE="Delete the item; the edited version is delivered if it is permitted.",
    HOLD="Keep the item but do not use it.",
    RELEASE="The item can be used again.",
)
class RetractionKind(StrEnum):
    RETRACT = "RETRACT"
    SUPERSEDE = "SUPERSEDE"
    HOLD = "HOLD"
    RELEASE = "RELEASE"


@described_enum(
    "The cause of a retraction; the cause does not disclose whether the author objected.",
    NO_LONGER_PERMITTED="The item is no longer permitted.",
    EDITED="The item was edited.",
    AUTHORITY="An authority ordered or lifted a hold.",
)
class RetractionCause(StrEnum):
    NO_LONGER_PERMITTED = "NO_LONGER_PERMITTED"
    EDITED = "EDITED"
    AUTHORITY = "AUTHORITY"


_CAUSES = {
    RetractionKind.RETRACT: RetractionCause.NO_LONGER_PERMITTED,
    RetractionKind.SUPERSEDE: RetractionCause.EDITED,
    RetractionKind.HOLD: RetractionCause.AUTHORITY,
    RetractionKind.RELEASE: RetractionCause.AUTHORITY,
}


@strawberry.type(
    description="A message that this client may no longer use an item that it received, or may use the item again."
)
class Retraction:
    id: strawberry.ID = governed(
        TRAINING, description="The id of the retraction, to be passed to `acknowledgeRetractions`."
    )
    content_id: strawberry.ID = governed(TRAINING, description="The id of the item, as delivered to this client.")
    kind: RetractionKind = governed(TRAINING, description="The action that the client must take.")
    cause: RetractionCause = governed(TRAINING, description="The cause of the retraction.")
    retracted_at: datetime = governed(TRAINING, description="The time of the retraction.")
    due_by: datetime | None = governed(
        TRAINING,
        description=(
            "The deadline for the acknowledgement, null if there is none; after the deadline, deliveries stop "
            "until the acknowledgement arrives."
        ),
    )


@strawberry.type(
    description=(
        "A delivery of an item after the platform had received an objection, but before the gateway learned "
        "of the objection."
    )
)
class Incident:
    client: str = governed(EXAMINERS, description="The name of the client that received the item.")
    content_id: strawberry.ID = governed(EXAMINERS, description="The id of the item.")
    delivered_at: datetime = governed(EXAMINERS, description="The time of the delivery.")
    retracted_at: datetime = governed(EXAMINERS, description="The time of the retraction.")
    due_by: datetime = governed(EXAMINERS, description="The deadline for the acknowledgement.")
    acknowledged: bool = governed(EXAMINERS, description="Whether the client acknowledged the retraction.")


@described_enum(
    "What a client can do with an item that it received.",
    PERMITTED="The client can use the item.",
    HELD="The client must keep the item but not use it.",
    RETRACTED="The client must delete the item; this is also the answer if no item has this id.",
    ASK_AGAIN="The gateway has not decided yet and can answer in some seconds; until then, the client must neither"
    " use nor delete the item.",
)
class EligibilityState(StrEnum):
    PERMITTED = "PERMITTED"
    HELD = "HELD"
    RETRACTED = "RETRACTED"
    ASK_AGAIN = "ASK_AGAIN"


@strawberry.type(description="The result for one item of the request.")
class ItemEligibility:
    content_id: strawberry.ID = governed(TRAINING, description="The id of the item, as in the request.")
    state: EligibilityState = governed(TRAINING, description="What the client can do with the item.")


@strawberry.type(
    description="The result of an eligibility check: what the client can do with each item of the request."
)
class EligibilityCheck:
    items: list[ItemEligibility] = governed(
        TRAINING, description="The results for the items, in the order of the request."
    )


@strawberry.type(description="The result of an acknowledgement.")
class RetractionAcknowledgement:
    remaining: int = governed(TRAINING, description="The number of retractions that are not yet acknowledged.")


async def retractions_page(
    info: Info,
    first: Annotated[int, strawberry.argument(description="The number of retractions per page, 1 to 1000.")],
    after: After = None,
) -> Connection[Retraction]:
    """Resolve a page of a training client's retractions; the same cursor returns the same page again."""
    context = info.context
    reader = context.database.client(await context.client())
    number = read_cursor(context.ids, IdKind.RETRACTION_CURSOR, after)
    rows, has_next = await page_of_retractions(reader, number, check_page_size(first, MAX_RETRACTIONS))
    nodes, cursors = [retraction_of(context.ids, row) for row in rows], cursors_of(context.ids, rows)
    return connection_of_objects(nodes, cursors, after, has_next=has_next)


def retraction_of(ids: Ids, row: RetractionRow) -> Retraction:
    """Show a retraction to its training client as a GraphQL object."""
    kind = RetractionKind(row.kind)
    return Retraction(
        id=strawberry.ID(ids.encode(IdKind.RETRACTION, row.id)),
        content_id=strawberry.ID(ids.encode(IdKind.TRAINABLE_CONTENT, row.item)),
        kind=kind,
        cause=_CAUSES[kind],
        retracted_at=row.retracted_at,
        due_by=row.due_by,
    )


def retraction_as_json(ids: Ids, row: RetractionRow) -> dict[str, object]:
    """Show a retraction to its training client as GraphQL does, for the stream and the webhook."""
    shown = retraction_of(ids, row)
    return {
        **{"id": shown.id, "contentId": shown.content_id, "kind": shown.kind, "cause": shown.cause},
        **{"retractedAt": shown.retracted_at, "dueBy": shown.due_by},
    }


def cursors_of(ids: Ids, rows: list[RetractionRow]) -> list[str]:
    """Return the cursor of each of a training client's retractions."""
    return ids.encode_all(IdKind.RETRACTION_CURSOR, [row.id for row in rows])


async def incidents_page(
    info: Info,
    first: First,
    after: After = None,
) -> Connection[Incident]:
    """Resolve `incidents` of the GraphQL API: deliveries of items against which an objection had been received."""
    context = info.context
    number = read_cursor(context.ids, IdKind.RETRACTION_CURSOR, after)
    rows, has_next = await page_of_incidents(context.reader, number, check_page_size(first, MAX_PAGE_SIZE))
    cursors = context.ids.encode_all(IdKind.RETRACTION_CURSOR, [row.id for row in rows])
    return connection_of_objects([*map(partial(_incident, context), rows)], cursors, after, has_next=has_next)


async def check_eligibility(
    info: Info,
    ids: Annotated[
        list[strawberry.ID],
        strawberry.argument(description="The ids of the items, as delivered to the client, at most 10,000."),
    ],
) -> EligibilityCheck:
    """Resolve `checkEligibility` of the GraphQL API: which received items a training client may still use."""
    if len(ids) > MAX_CHECKED_IDS:
        raise BadInput(f"ids: must have at most {MAX_CHECKED_IDS} values, not {len(ids)} (send several requests)")
    context = info.context
    numbers = {id: context.ids.decode_as(IdKind.TRAINABLE_CONTENT, id) for id in ids}
    known = [number for number in numbers.values() if number is not None]
    purpose = context.actor.purpose or ""
    states = await eligibility_states(context.database.eligibility, await context.client(), purpose, known)
    return EligibilityCheck(
        items=[
            ItemEligibility(
                content_id=id, state=EligibilityState(states.get(number, "RETRACTED") if number else "RETRACTED")
            )
            for id, number in numbers.items()
        ]
    )


async def raise_if_delivery_suspended(context: Context) -> None:
    """Raise BadInput for a training client that receives nothing: suspended, or late to acknowledge."""
    why = await withheld(context.database, await context.client())
    if why is not None:
        raise BadInput(f"trainableContent: nothing is delivered to this client {_WITHHELD[why]}")


_WITHHELD = {
    "SUSPENDED": (
        "while it is suspended (ask the privacy officers; retractions are still sent, and must still be acknowledged)"
    ),
    "OVERDUE": (
        "until it acknowledges its overdue retractions (read and apply the retractions, then call "
        "acknowledgeRetractions)"
    ),
}


async def _resolve_acknowledge_retractions(
    info: Info,
    up_to: Annotated[
        strawberry.ID, strawberry.argument(description="The id of the last retraction that the client acted on.")
    ],
) -> RetractionAcknowledgement:
    """Resolve `acknowledgeRetractions` of the GraphQL API for a training client."""
    context = info.context
    number = context.ids.decode_as(IdKind.RETRACTION, up_to)
    if number is None:
        raise BadInput("upTo: must be a retraction of this client (use an id from retractions)")
    left = await acknowledge_retractions(context.database.training, await context.client(), number)
    return RetractionAcknowledgement(remaining=left)


def _incident(context: Context, row: IncidentRow) -> Incident:
    """Show the delivery of an item to a training client after an objection as a GraphQL object."""
    return Incident(
        client=row.client,
        content_id=strawberry.ID(context.ids.encode(IdKind.CONTENT, row.content)),
        delivered_at=row.delivered_at,
        retracted_at=row.retracted_at,
        due_by=row.due_by,
        acknowledged=row.acknowledged,
    )


@strawberry.type
class RetractionMutation:
    """The mutations on retractions."""

    acknowledge_retractions: RetractionAcknowledgement = governed(
        TRAINING,
        resolver=_resolve_acknowledge_retractions,
        description="Acknowledges all retractions up to and including the retraction `upTo`.",
    )
