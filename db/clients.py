"""Training clients as officers see them: what each received and owes, its webhook, and who suspended it."""

from collections import defaultdict
from datetime import datetime
from typing import NamedTuple

from db.session import Reader


class ClientRow(NamedTuple):
    """Hold a client; of its webhook no more than the host, which is None where it has none."""

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
    """Hold an officer's suspension of a client; it is over once a second officer agreed to resume."""

    reason: str
    suspended_by: str
    suspended_at: datetime
    resume_asked_by: str | None
    resume_asked_at: datetime | None
    resumed_by: str | None
    resumed_at: datetime | None


class VerificationRow(NamedTuple):
    """Hold what a run of `grounds verify` found."""

    at: datetime
    by: str
    checkpoints: int
    receipts: int
    unsealed: int
    findings: int
    up_to: datetime | None


async def clients(reader: Reader, name: str | None = None) -> list[ClientRow]:
    """Read every client, or the one of a name, with what it received and what it owes."""
    return [ClientRow(*row) for row in await reader.fetch(_CLIENTS, name)]


async def suspensions(reader: Reader) -> dict[int, list[SuspensionRow]]:
    """Read every suspension by an officer, the latest first, by the client's number."""
    found: defaultdict[int, list[SuspensionRow]] = defaultdict(list)
    for client, *values in await reader.fetch(
        "SELECT client, reason, suspended_by, suspended_at, resume_asked_by, resume_asked_at, resumed_by, resumed_at"
        " FROM grounds.client_suspension ORDER BY id DESC"
    ):
        found[client].append(SuspensionRow(*values))
    return found


async def last_verification(reader: Reader) -> VerificationRow | None:
    """Read what the last run of `grounds verify` found; None before the first."""
    rows = await reader.fetch(
        "SELECT verified_at, verified_by, checkpoints, receipts, unsealed, findings, up_to FROM grounds.verification"
        " ORDER BY id DESC LIMIT 1"
    )
    return VerificationRow(*rows[0]) if rows else None


# How many items a receipt has follows from its size, however it is stored: 20 to 24 bytes and 8 an item. To count them
# would read them: 90 ms for 10,000 receipts.
_ITEMS = "(pg_column_size(items) - 20) / 8"
_CLIENTS = f"""
SELECT k.id, k.name, k.registered_at, k.suspended,
    CASE WHEN k.overdue_at <= grounds.decision_time() THEN k.overdue_at END AS overdue_since,
    d.pages, d.items, d.last_delivered_at, r.retractions, r.retractions - r.unacknowledged AS acknowledged,
    r.unacknowledged, r.overdue, w.host, w.attempted_at, w.failures
FROM grounds.client k
CROSS JOIN LATERAL (
    SELECT count(*) AS pages, coalesce(sum({_ITEMS}), 0)::bigint AS items,
        max(decided_at) AS last_delivered_at
    FROM grounds.delivery WHERE client = k.id) d
CROSS JOIN LATERAL (
    SELECT count(*) AS retractions, count(*) FILTER (WHERE id > k.acknowledged) AS unacknowledged,
        count(*) FILTER (WHERE id > k.acknowledged AND due_by <= grounds.decision_time()) AS overdue
    FROM grounds.retraction WHERE client = k.id) r
LEFT JOIN grounds.client_webhooks() w ON w.client = k.id
WHERE $1::text IS NULL OR k.name = $1
ORDER BY k.name
"""
