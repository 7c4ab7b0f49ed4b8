"""Canaries: planted items that can never qualify, and the deliveries that they stopped."""

from datetime import datetime

import strawberry

from db.oversight.canaries import CanaryIncidentRow, CanaryRow, list_canaries
from schema.context import Context, Info
from schema.governed import OFFICERS, governed
from schema.relay.ids import IdKind


@strawberry.type(
    description=(
        "A delivery that the gateway stopped because the delivery contained a canary; the gateway also opened a hold."
    )
)
class CanaryIncident:
    client: str | None = governed(
        OFFICERS, description="The name of the client that requested the delivery, null if no client requested it."
    )
    purpose: str | None = governed(
        OFFICERS, description="The purpose of the client that requested the delivery, null if no client requested it."
    )
    policy_version: str | None = governed(
        OFFICERS,
        description="The version of the policy in force when the delivery was stopped, null if there was none.",
    )
    found_at: datetime = governed(OFFICERS, description="The time at which the delivery was stopped.")
    hold_id: strawberry.ID = governed(OFFICERS, description="The id of the hold that stops all deliveries.")


async def _resolve_incidents(root: "Canary", info: Info) -> list[CanaryIncident]:
    """Resolve `Canary.incidents` for officers: the deliveries that a planted item stopped."""
    context = info.context
    rows = await context.canary_incidents.load(root.row.item)
    return [_incident_of_canary(context, row) for row in rows]


@strawberry.type(description="A canary: a test item that the operator plants and that the rules never permit.")
class Canary:
    row: strawberry.Private[CanaryRow]
    content_id: strawberry.ID = governed(OFFICERS, description="The id of the item.")
    platform_id: str = governed(OFFICERS, description="The platform's id of the item.")
    reason: str = governed(OFFICERS, description="The reason why the rules never permit the item.")
    planted_by: str = governed(OFFICERS, description="The name of the operator, as given when the item was planted.")
    planted_at: datetime = governed(OFFICERS, description="The time at which the item was planted.")
    incidents: list[CanaryIncident] = governed(
        OFFICERS,
        resolver=_resolve_incidents,
        description="The deliveries that were stopped because they contained the item, earliest first.",
    )


def canary_of(context: Context, row: CanaryRow) -> Canary:
    """Show a planted item to officers as a GraphQL object."""
    return Canary(
        row=row,
        content_id=strawberry.ID(context.ids.encode(IdKind.CONTENT, row.item)),
        platform_id=row.platform_id,
        reason=row.reason,
        planted_by=row.planted_by,
        planted_at=row.planted_at,
    )


async def resolve_canaries(info: Info) -> list[Canary]:
    """Resolve `canaries` for officers: every planted item."""
    return [canary_of(info.context, row) for row in await list_canaries(info.context.reader)]


def _incident_of_canary(context: Context, row: CanaryIncidentRow) -> CanaryIncident:
    """Show officers a delivery that a planted item stopped, as a GraphQL object."""
    return CanaryIncident(
        client=row.client,
        purpose=row.purpose,
        policy_version=row.policy,
        found_at=row.found_at,
        hold_id=strawberry.ID(context.ids.encode(IdKind.HOLD, row.hold)),
    )
