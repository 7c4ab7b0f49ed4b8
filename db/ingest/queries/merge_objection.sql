-- name: widen_stated!
-- An objection only widens: its scope and its receipt are those of all versions together, and a withdrawal that does not
-- follow every receipt withdraws nothing. Where only a bad line is stored, there is no version yet. The account that
-- filed an objection here stays the one that may read and withdraw it, whatever the platform says of it.
WITH widened AS (
    UPDATE stage_objection s
    SET scope = CASE k.scope WHEN s.scope THEN s.scope ELSE 'ALL' END,
        received_at = least(s.received_at, k.received_at),
        last_received_at = greatest(s.received_at, k.received_at, k.last_received_at),
        withdrawn_at = CASE WHEN s.withdrawn_at > greatest(s.received_at, k.received_at, k.last_received_at)
            THEN s.withdrawn_at END,
        named_account = CASE k.filed_by WHEN 'SUBJECT' THEN k.named_account ELSE s.named_account END
    FROM grounds.objection k
    WHERE s.outcome = 'changed' AND k.platform_id = s.platform_id AND k.observed_at > '-infinity'
    RETURNING s.line
)
UPDATE stage_objection s SET withdrawn_at = NULL
WHERE s.withdrawn_at <= s.received_at AND NOT EXISTS (SELECT FROM widened w WHERE w.line = s.line);

-- name: widen_stored!
-- A stale version widens what is stored, and so does one of the same instant that says otherwise.
UPDATE grounds.objection k
SET scope = CASE s.scope WHEN k.scope THEN k.scope ELSE 'ALL' END,
    received_at = least(k.received_at, s.received_at),
    last_received_at = greatest(k.last_received_at, k.received_at, s.received_at),
    withdrawn_at = CASE WHEN k.withdrawn_at > s.received_at THEN k.withdrawn_at END
FROM stage_objection s
WHERE s.outcome IN ('stale', 'conflict') AND k.platform_id = s.platform_id
    AND (k.scope NOT IN ('ALL', s.scope) OR s.received_at < k.received_at
        OR s.received_at > greatest(k.received_at, k.last_received_at));

-- name: insert_targets!
-- An objection keeps every target that it ever named, in whatever order its versions arrive.
INSERT INTO grounds.objection_target (objection, kind, value)
SELECT o.id, target.kind, target.value
FROM stage_objection s
JOIN grounds.objection o ON o.platform_id = s.platform_id
CROSS JOIN LATERAL (VALUES ('ACCOUNT', s.account), ('PERSON', s.person), ('CONTACT', s.contact)) target (kind, value)
WHERE target.value IS NOT NULL
ON CONFLICT DO NOTHING;
