"""Read an item's history: its recipients, and each fact with the time when it became known."""

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from db.connection import Reader


class RecipientRow(NamedTuple):
    """A client that received an item for a purpose: when first, and its retraction since."""

    client: str
    purpose: str
    delivered_at: datetime
    times: int
    policy: str
    retraction: str
    retraction_kind: str | None


class FactRow(NamedTuple):
    """An event. `facts` of an `item` or an `account` are a whole version of it, without text."""

    kind: str
    occurred_at: datetime
    recorded_at: datetime
    facts: dict[str, Any]


async def load_recipients(reader: Reader, items: Sequence[int]) -> list[list[RecipientRow]]:
    """Read from the database which clients received each of some items, the earliest first."""
    reader.people.items.update(items)
    found: defaultdict[int, list[RecipientRow]] = defaultdict(list)
    for item, *values in await reader.fetch(_RECIPIENTS, items):
        found[item].append(RecipientRow(*values))
    return [found[item] for item in items]


async def load_facts(reader: Reader, item: int) -> list[FactRow]:
    """Read from the database all versions of an item's and its account's records, in the order they became known."""
    reader.people.items.add(item)
    rows = await reader.fetch(_FACTS, item)
    return [FactRow(kind, occurred, recorded, json.loads(facts)) for kind, occurred, recorded, facts in rows]


# A client was told of what it held then: what it received again since is not retracted.
_RECIPIENTS = """
SELECT d.item, k.name, d.purpose, f.decided_at, d.deliveries, f.policy, CASE
    WHEN t.id IS NULL THEN 'NONE' WHEN t.id <= k.acknowledged THEN 'ACKNOWLEDGED'
    WHEN t.due_by <= grounds.decision_time() THEN 'OVERDUE' ELSE 'UNACKNOWLEDGED' END, t.kind
FROM grounds.recipients_of($1::bigint[]) d
JOIN grounds.client k ON k.id = d.client
JOIN grounds.delivery f ON f.id = d.first_delivery
LEFT JOIN LATERAL (
    SELECT r.id, r.kind, r.due_by, r.delivery FROM grounds.retractions_of(d.item) r
    WHERE r.client = d.client ORDER BY r.id DESC LIMIT 1) t ON t.delivery >= d.last_delivery
ORDER BY f.decided_at, k.name, d.purpose
"""
_VERSIONS = """
SELECT '{kind}', v.recorded_at, v.recorded_at, v.facts FROM grounds.fact_version v
WHERE v.relation = '{table}' AND v.id = {number}
UNION ALL SELECT '{kind}', k.recorded_at, k.recorded_at, to_jsonb(k) - 'text' - 'media' FROM grounds.{table} k
WHERE k.id = {number}
"""
_EVENTS = "SELECT e.kind, e.occurred_at, e.recorded_at, '{}'::jsonb FROM grounds.consent_event e"
_AUTHOR = "(SELECT c.account FROM grounds.content c WHERE c.id = $1::bigint)"
_FACTS = f"""
WITH about AS MATERIALIZED (
    SELECT c.id, c.platform_id, a.id AS account, a.platform_id AS account_name, a.country, a.product
    FROM grounds.content c JOIN grounds.account a ON a.id = c.account WHERE c.id = $1::bigint
), held AS MATERIALIZED (
    SELECT h.*, least(h.recorded_at, (
        SELECT min(v.recorded_at) FROM grounds.fact_version v WHERE v.relation = 'hold' AND v.id = h.id)) AS known_at
    FROM about CROSS JOIN LATERAL (
        SELECT * FROM grounds.hold WHERE scope = 'GLOBAL' OR (scope, value) IN (
            ('COUNTRY', about.country), ('PRODUCT', about.product), ('ACCOUNT', about.account_name)) OFFSET 0) h
)
SELECT f.kind, f.occurred_at, f.recorded_at, f.facts::text FROM (
    SELECT * FROM ({_VERSIONS.format(kind="item", table="content", number="$1::bigint")})
        item (kind, occurred_at, recorded_at, facts)
    UNION ALL {_VERSIONS.format(kind="account", table="account", number=_AUTHOR)}
    UNION ALL {_EVENTS} WHERE e.account = {_AUTHOR}
    UNION ALL SELECT o.* FROM about CROSS JOIN LATERAL grounds.objections_affecting(about.account) r
        CROSS JOIN LATERAL ({_EVENTS} WHERE e.objection = r.objection OFFSET 0) o
    UNION ALL SELECT 'RECORD_QUARANTINED', q.recorded_at, q.recorded_at, jsonb_build_object('record', q.record)
        FROM about CROSS JOIN LATERAL (
            SELECT record, recorded_at FROM grounds.quarantine
            WHERE (record, platform_id) IN (('content', about.platform_id), ('account', about.account_name))
            UNION ALL SELECT record, recorded_at FROM grounds.quarantine WHERE account = about.account_name) q
    UNION ALL SELECT 'HOLD_OPENED', h.opened_at, h.known_at, to_jsonb(h) FROM held h
    UNION ALL SELECT 'HOLD_LIFTED', h.lifted_at, h.recorded_at, to_jsonb(h) FROM held h WHERE h.lifted_at IS NOT NULL
    UNION ALL SELECT 'DELIVERED', r.delivered_at, r.delivered_at, to_jsonb(r)
        FROM ({_RECIPIENTS.replace("$1::bigint[]", "ARRAY[$1::bigint]")})
        r (item, client, purpose, delivered_at, times, policy, retraction, told)
    UNION ALL SELECT 'RETRACTED', t.retracted_at, t.retracted_at,
            jsonb_build_object('client', k.name, 'told', t.kind, 'is_incident', t.is_incident)
        FROM grounds.retractions_of($1::bigint) t JOIN grounds.client k ON k.id = t.client
) f ORDER BY f.recorded_at, f.occurred_at, f.kind
"""
