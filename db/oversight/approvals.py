"""Read the requests of officers that wait for a second officer."""

from datetime import datetime
from typing import NamedTuple

from db.connection import Reader


class ApprovalRow(NamedTuple):
    """A request that waits: of a policy, a hold's end, a client's return, a rejection or a placeholder.

    `id` is the number of a hold or an objection, and `name` that of a policy, a client, or an objection's reference.
    """

    kind: str
    id: int | None
    name: str | None
    reason: str | None
    requested_by: str
    requested_at: datetime


async def open_approvals(reader: Reader) -> list[ApprovalRow]:
    """Read from the database what waits for a second officer, the oldest request first."""
    rows = await reader.fetch(_WAITING)
    reader.people.objections.update(row["id"] for row in rows if row["kind"] == "OBJECTION")
    return [ApprovalRow(*row) for row in rows]


_WAITING = """
SELECT 'POLICY' AS kind, NULL::bigint AS id, p.version AS name, NULL::text AS reason, p.proposed_by, p.proposed_at
FROM grounds.policy_proposal p WHERE p.approved_at IS NULL
UNION ALL SELECT 'HOLD', h.id, concat_ws(' ', h.scope, CASE WHEN h.scope <> 'ACCOUNT' THEN h.value END), h.reason,
    h.lift_asked_by, h.lift_asked_at
FROM grounds.hold h WHERE h.lift_asked_at IS NOT NULL AND h.lifted_at IS NULL
UNION ALL SELECT 'CLIENT', NULL, k.name, s.reason, s.resume_asked_by, s.resume_asked_at
FROM grounds.client_suspension s JOIN grounds.client k ON k.id = s.client
WHERE s.resume_asked_at IS NOT NULL AND s.resumed_at IS NULL
UNION ALL SELECT 'OBJECTION', o.id, o.platform_id, x.reason, x.asked_by, x.asked_at
FROM grounds.objection_rejection x JOIN grounds.objection_in_force o ON o.id = x.objection
WHERE x.rejected_at IS NULL AND o.withdrawn_at IS NULL
UNION ALL SELECT 'PLACEHOLDER', NULL, p.kind, p.reason, p.declared_by, p.declared_at
FROM grounds.placeholder p WHERE p.approved_at IS NULL
ORDER BY 6, 1, 3"""
