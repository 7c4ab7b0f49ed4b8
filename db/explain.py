"""What is recorded of an item: who received it, and every fact that bears on it with the time it became known."""

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from db.session import Reader


class RecipientRow(NamedTuple):
    """Hold that a client received an item for a purpose: when first, and what it was told of it since."""

    client: str
    purpose: str
    delivered_at: datetime
    times: int
    policy: str
    retraction: str
    retraction_kind: str | None


class FactRow(NamedTuple):
    """Hold something that happened. `facts` of an `item` or an `account` are a whole version of it, without text."""

    kind: str
    occurred_at: datetime
    recorded_at: datetime
    facts: dict[str, Any]


async def recipients_of(reader: Reader, items: Sequence[int]) -> list[list[RecipientRow]]:
    """Read who received each of some items, the earliest first."""
    found: defaultdict[int, list[RecipientRow]] = defaultdict(list)
    for item, *values in await reader.fetch(_RECIPIENTS, items):
        found[item].append(RecipientRow(*values))
    return [found[item] for item in items]


async def facts_of(reader: Reader, item: int) -> list[FactRow]:
    """Read all facts of an item and of its account, in the order in which they became known."""
    rows = await reader.fetch(_FACTS, item)
    return [FactRow(kind, occurred, recorded, json.loads(facts)) for kind, occurred, recorded, facts in rows]


# A client was told of what it held then: what it received again since is not retracted.
_RECIPIENTS = """
SELECT w.item, k.name, d.purpose, d.delivered_at, d.times, d.policy, CASE
    WHEN t.id IS NULL THEN 'NONE' WHEN t.id <= k.acknowledged THEN 'ACKNOWLEDGED'
    WHEN t.due_by <= grounds.decision_time() THEN 'OVERDUE' ELSE 'TOLD' END, t.kind
FROM unnest($1::bigint[]) w (item)
CROSS JOIN grounds.client k
CROSS JOIN LATERAL (
    SELECT r.purpose, min(r.decided_at) AS delivered_at, count(*) AS times, max(r.id) AS last,
        (array_agg(r.policy ORDER BY r.id))[1] AS policy
    FROM grounds.delivery r
    WHERE r.client = k.id AND r.lowest <= w.item AND r.highest >= w.item AND w.item = ANY (r.items)
    GROUP BY r.purpose) d
LEFT JOIN LATERAL (
    SELECT id, kind, due_by, delivery FROM grounds.retraction
    WHERE client = k.id AND item = w.item ORDER BY id DESC LIMIT 1) t ON t.delivery >= d.last
ORDER BY d.delivered_at, k.name, d.purpose
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
    UNION ALL SELECT o.* FROM about CROSS JOIN LATERAL grounds.objections_reaching(about.account) r
        CROSS JOIN LATERAL ({_EVENTS} WHERE e.objection = r.objection OFFSET 0) o
    UNION ALL SELECT 'LINE_SET_ASIDE', q.recorded_at, q.recorded_at, jsonb_build_object('record', q.record)
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
            jsonb_build_object('client', k.name, 'told', t.kind, 'urgent', t.urgent)
        FROM grounds.client k JOIN grounds.retraction t ON t.client = k.id AND t.item = $1::bigint
) f ORDER BY f.recorded_at, f.occurred_at, f.kind
"""
