"""Retractions: a client that received an item is told when it is no longer permitted, and acknowledges."""

from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Annotated

import strawberry

from db.retraction import (
    IncidentRow,
    RetractionRow,
    acknowledge_retractions,
    page_of_incidents,
    page_of_retractions,
    permitted_of,
    withheld,
)
from schema.connection import Connection, checked_first, connection_of, read_cursor
from schema.consent import MOST_ROWS
from schema.context import Context
from schema.errors import BadInput
from schema.governed import EXAMINERS, TRAINING, governed
from schema.ids import Ids, Kind

MOST_RETRACTIONS = 1000
MOST_CHECKED = 10_000

Info = strawberry.Info[Context, None]
After = Annotated[str | None, strawberry.argument(description="The endCursor of the page before.")]


@strawberry.enum(description="What a client does with an item that it received.")
class RetractionKind(StrEnum):
    """Name what is to be done."""

    RETRACT = "RETRACT"
    SUPERSEDE = "SUPERSEDE"
    HOLD = "HOLD"
    RELEASE = "RELEASE"


@strawberry.enum(description="Why, only coarsely: whether somebody objected is nobody's business.")
class RetractionCause(StrEnum):
    """Name why."""

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
    description="What became of an item that this client received. RETRACT: delete it. SUPERSEDE: delete it, an edited"
    " version comes when it is permitted. HOLD: keep it, do not use it. RELEASE: it may be used again."
)
class Retraction:
    """Hold a retraction."""

    id: strawberry.ID = governed(TRAINING, description="What acknowledgeRetractions takes.")
    item: strawberry.ID = governed(TRAINING, description="The id that the item was delivered by.")
    kind: RetractionKind = governed(TRAINING)
    cause: RetractionCause = governed(TRAINING)
    urgent: bool = governed(
        TRAINING, description="It was delivered although an objection to it had been received somewhere by then."
    )
    retracted_at: datetime = governed(TRAINING)
    due_by: datetime | None = governed(
        TRAINING, description="When it has to be acknowledged; from then on nothing is delivered until it is."
    )


@strawberry.type(description="An item that was delivered after an objection had been received, before it came here.")
class Incident:
    """Hold an incident."""

    client: str = governed(EXAMINERS)
    content: strawberry.ID = governed(EXAMINERS)
    delivered_at: datetime = governed(EXAMINERS)
    retracted_at: datetime = governed(EXAMINERS)
    due_by: datetime = governed(EXAMINERS)
    acknowledged: bool = governed(EXAMINERS)


@strawberry.type(description="What a client may still use, of the items that it asked about.")
class EligibilityCheck:
    """Hold which items are permitted."""

    permitted: list[strawberry.ID] = governed(TRAINING)
    not_permitted: list[strawberry.ID] = governed(TRAINING, description="Those to delete, and ids that are none.")


@strawberry.type(description="What an acknowledgement left.")
class Acknowledged:
    """Hold what is left."""

    left: int = governed(TRAINING, description="How many retractions are not acknowledged yet.")


async def retractions_page(
    info: Info,
    first: Annotated[int, strawberry.argument(description="How many: 1 to 1000.")],
    after: After = None,
) -> Connection[Retraction]:
    """Read a page of the feed; the same cursor gives the same page again."""
    context = info.context
    reader = context.database.client(await context.client())
    number = read_cursor(context.ids, Kind.RETRACTION_CURSOR, after)
    rows, has_next = await page_of_retractions(reader, number, checked_first(first, MOST_RETRACTIONS))
    nodes, cursors = [retraction_of(context.ids, row) for row in rows], cursors_of(context.ids, rows)
    return connection_of(nodes, cursors, after, has_next=has_next)


def retraction_of(ids: Ids, row: RetractionRow) -> Retraction:
    """Show a retraction to its client."""
    kind = RetractionKind(row.kind)
    return Retraction(
        id=strawberry.ID(ids.write(Kind.RETRACTION, row.id)),
        item=strawberry.ID(ids.write(Kind.TRAINABLE_CONTENT, row.item)),
        kind=kind,
        cause=_CAUSES[kind],
        urgent=row.urgent,
        retracted_at=row.retracted_at,
        due_by=row.due_by,
    )


def retraction_as_json(ids: Ids, row: RetractionRow) -> dict[str, object]:
    """Give what the API would, for a client that is told by other ways than GraphQL."""
    shown = retraction_of(ids, row)
    return {
        **{"id": shown.id, "item": shown.item, "kind": shown.kind, "cause": shown.cause, "urgent": shown.urgent},
        **{"retractedAt": shown.retracted_at, "dueBy": shown.due_by},
    }


def cursors_of(ids: Ids, rows: list[RetractionRow]) -> list[str]:
    """Give the cursor of each retraction."""
    return ids.write_all(Kind.RETRACTION_CURSOR, [row.id for row in rows])


async def incidents_page(
    info: Info,
    first: Annotated[int, strawberry.argument(description="How many: 1 to 100.")],
    after: After = None,
) -> Connection[Incident]:
    """Read a page of incidents."""
    context = info.context
    number = read_cursor(context.ids, Kind.RETRACTION_CURSOR, after)
    rows, has_next = await page_of_incidents(context.reader, number, checked_first(first, MOST_ROWS))
    cursors = context.ids.write_all(Kind.RETRACTION_CURSOR, [row.id for row in rows])
    return connection_of([*map(partial(_incident, context), rows)], cursors, after, has_next=has_next)


async def check_eligibility(
    info: Info,
    ids: Annotated[list[strawberry.ID], strawberry.argument(description="Of items, as delivered; at most 10,000.")],
) -> EligibilityCheck:
    """Say which items a client may still use."""
    if len(ids) > MOST_CHECKED:
        raise BadInput(f"ids: has {len(ids)} values (ask about at most {MOST_CHECKED} at once)")
    context = info.context
    numbers = {id: context.ids.read_as(Kind.TRAINABLE_CONTENT, id) for id in ids}
    known = [number for number in numbers.values() if number is not None]
    purpose = context.actor.purpose or ""
    permitted = await permitted_of(context.database.training, await context.client(), purpose, known)
    return EligibilityCheck(
        permitted=[id for id, number in numbers.items() if number in permitted],
        not_permitted=[id for id, number in numbers.items() if number not in permitted],
    )


async def refuse_the_withheld(context: Context) -> None:
    """Raise BadInput for a client that receives nothing: suspended, or late with acknowledging."""
    why = await withheld(context.database, await context.client())
    if why is not None:
        raise BadInput(f"trainableContent: nothing is delivered to this client {_WITHHELD[why]}")


_WITHHELD = {
    "SUSPENDED": "while it is suspended (ask the privacy officers; retractions are told, and due, all the same)",
    "OVERDUE": "until it acknowledges what was retracted"
    " (read retractions, act on them, and call acknowledgeRetractions)",
}


async def _acknowledge(
    info: Info,
    up_to: Annotated[strawberry.ID, strawberry.argument(description="The id of the last one that was acted on.")],
) -> Acknowledged:
    context = info.context
    number = context.ids.read_as(Kind.RETRACTION, up_to)
    if number is None:
        raise BadInput("upTo: is no retraction of this client (take its id from retractions)")
    left = await acknowledge_retractions(context.database.training, await context.client(), number)
    return Acknowledged(left=left)


def _incident(context: Context, row: IncidentRow) -> Incident:
    shown = row._asdict() | {"content": strawberry.ID(context.ids.write(Kind.CONTENT, row.content))}
    del shown["id"]
    return Incident(**shown)


@strawberry.type
class RetractionMutation:
    """Acknowledge retractions."""

    acknowledge_retractions: Acknowledged = governed(
        TRAINING, resolver=_acknowledge, description="Say that every retraction up to this one was acted on."
    )
