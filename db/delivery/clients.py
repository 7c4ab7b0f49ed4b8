"""Training clients as officers see them: deliveries, retractions, webhook, suspensions."""

from collections import defaultdict
from datetime import datetime
from typing import NamedTuple

from db.connection import Reader


class ClientRow(NamedTuple):
    """A training client, with the host of its webhook's address; None if it has no webhook."""

    id: int
    name: str
    registered_at: datetime
    suspended: bool
    overdue_since: datetime | None
    pages: int
    items: int
    last_delivered_at: datetime | None
    retractions: int
    acknowledged: int
    unacknowledged: int
    overdue: int
    webhook_host: str | None
    webhook_attempted_at: datetime | None
    webhook_failures: int | None


class SuspensionRow(NamedTuple):
    """An officer's suspension of a client; it ends when a second officer agrees to resume."""

    reason: str
    suspended_by: str
    suspended_at: datetime
    resume_requested_by: str | None
    resume_requested_at: datetime | None
    resumed_by: str | None
    resumed_at: datetime | None


class VerificationRow(NamedTuple):
    """The result of a run of `grounds verify`."""

    verified_at: datetime
    verified_by: str
    checkpoints: int
    receipts: int
    unsealed: int
    findings: int
    newest_checkpoint_at: datetime | None


async def list_clients(reader: Reader, name: str | None = None) -> list[ClientRow]:
    """Read from the database every training client, or the named one, with deliveries and open retractions."""
    return [ClientRow(*row) for row in await reader.fetch(_CLIENTS, name)]


async def list_suspensions(reader: Reader) -> dict[int, list[SuspensionRow]]:
    """Read from the database the suspensions of every training client, latest first, by the client's internal id."""
    found: defaultdict[int, list[SuspensionRow]] = defaultdict(list)
    for client, *values in await reader.fetch(
        "SELECT client, reason, suspended_by, suspended_at, resume_asked_by, resume_asked_at, resumed_by, resumed_at"
        " FROM grounds.client_suspension ORDER BY id DESC"
    ):
        found[client].append(SuspensionRow(*values))
    return found


async def last_verification(reader: Reader) -> VerificationRow | None:
    """Read from the database what the last check of the delivery ledger found; None before the first."""
    rows = await reader.fetch(
        "SELECT verified_at, verified_by, checkpoints, receipts, unsealed, findings, up_to FROM grounds.verification"
        " ORDER BY id DESC LIMIT 1"
    )
    return VerificationRow(*rows[0]) if rows else None


_CLIENTS = """
SELECT k.id, k.name, k.registered_at, k.suspended,
    r.overdue_since,
    d.pages, d.items, d.last_delivered_at, r.retractions, r.retractions - r.unacknowledged AS acknowledged,
    r.unacknowledged, r.overdue, w.host, w.attempted_at, w.failures
FROM grounds.client k
CROSS JOIN LATERAL (
    SELECT count(*) AS pages, coalesce(sum(item_count), 0)::bigint AS items,
        max(decided_at) AS last_delivered_at
    FROM grounds.delivery WHERE client = k.id) d
CROSS JOIN LATERAL (
    SELECT grounds.count_retractions_after(k.id, 0) AS retractions,
        grounds.count_retractions_after(k.id, k.acknowledged) AS unacknowledged,
        coalesce(sum(b.last_id - greatest(b.first_id - 1, k.acknowledged)), 0)::bigint AS overdue,
        min(b.due_by) AS overdue_since
    FROM grounds.retraction_batch b
    WHERE b.client = k.id AND b.last_id > k.acknowledged AND b.due_by <= grounds.decision_time()) r
LEFT JOIN grounds.client_webhooks() w ON w.client = k.id
WHERE $1::text IS NULL OR k.name = $1
ORDER BY k.name
"""
