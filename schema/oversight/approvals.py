"""Requests of officers that wait for a second officer."""

from datetime import datetime
from enum import StrEnum

import strawberry

from db.oversight.approvals import ApprovalRow, open_approvals
from schema.context import Context, Info
from schema.enums import described_enum
from schema.governed import EXAMINERS, governed
from schema.relay.ids import IdKind


@described_enum(
    "What a request of an officer is about.",
    POLICY="A policy that was proposed.",
    HOLD="An officer requests that a hold is lifted.",
    CLIENT="An officer requests to end the suspension of a training client.",
    OBJECTION="An officer requests that an objection is rejected.",
    PLACEHOLDER="A person id or a contact that an officer declared to be a placeholder.",
)
class ApprovalKind(StrEnum):
    POLICY = "POLICY"
    HOLD = "HOLD"
    CLIENT = "CLIENT"
    OBJECTION = "OBJECTION"
    PLACEHOLDER = "PLACEHOLDER"


@strawberry.type(description="A request of an officer that takes effect when a second officer agrees.")
class ApprovalRequest:
    kind: ApprovalKind = governed(EXAMINERS, description="What the request is about.")
    id: strawberry.ID | None = governed(
        EXAMINERS,
        description="The id of the hold or the objection, the version of the policy or the name of the client; null for"
        " a placeholder.",
    )
    name: str = governed(
        EXAMINERS, description="A short description, such as the scope of the hold or the reference of the objection."
    )
    reason: str | None = governed(
        EXAMINERS,
        description="The reason that was given for the hold, the suspension, the rejection or the placeholder.",
    )
    requested_by: str = governed(EXAMINERS, description="The name of the officer who made the request.")
    requested_at: datetime = governed(EXAMINERS, description="The time of the request.")


async def resolve_approval_requests(info: Info) -> list[ApprovalRequest]:
    """Resolve `approvalRequests`: what waits for a second officer, the oldest request first."""
    return [_request_of(info.context, row) for row in await open_approvals(info.context.reader)]


def _request_of(context: Context, row: ApprovalRow) -> ApprovalRequest:
    """Show a request that waits for a second officer as a GraphQL object."""
    kind = ApprovalKind(row.kind)
    encoded = {ApprovalKind.HOLD: IdKind.HOLD, ApprovalKind.OBJECTION: IdKind.OBJECTION}
    id = row.name if kind in (ApprovalKind.POLICY, ApprovalKind.CLIENT) else None
    if row.id is not None:
        id = context.ids.encode(encoded[kind], row.id)
    return ApprovalRequest(
        kind=kind,
        id=None if id is None else strawberry.ID(id),
        name=row.name or "",
        reason=row.reason,
        requested_by=row.requested_by,
        requested_at=row.requested_at,
    )
