-- name: judge_objection!
-- Compare with what is stored: an older statement never overwrites, an equal one changes nothing.
UPDATE stage_objection s
SET outcome = CASE
    WHEN s.observed_at < k.observed_at THEN 'stale'
    WHEN s.observed_at > k.observed_at THEN 'changed'
    WHEN s.digest = k.digest THEN 'unchanged'
    ELSE 'conflict' END
FROM grounds.objection k WHERE k.platform_id = s.platform_id AND k.observed_at IS NOT NULL;

-- name: insert_objection!
INSERT INTO grounds.objection (platform_id, scope, received_at, channel, withdrawn_at, observed_at, digest)
SELECT platform_id, scope, received_at, channel, withdrawn_at, observed_at, digest
FROM stage_objection WHERE outcome IS NULL;

-- name: update_objection!
UPDATE grounds.objection o
SET scope = s.scope, received_at = s.received_at, channel = s.channel, withdrawn_at = s.withdrawn_at,
    observed_at = s.observed_at, digest = s.digest
FROM stage_objection s WHERE s.outcome = 'changed' AND o.platform_id = s.platform_id;

-- name: insert_targets!
-- An objection keeps every target that it ever named.
INSERT INTO grounds.objection_target (objection, kind, value)
SELECT o.id, target.kind, target.value
FROM stage_objection s
JOIN grounds.objection o ON o.platform_id = s.platform_id
CROSS JOIN LATERAL (VALUES ('ACCOUNT', s.account), ('PERSON', s.person), ('CONTACT', s.contact)) target (kind, value)
WHERE (s.outcome IS NULL OR s.outcome = 'changed') AND target.value IS NOT NULL
ON CONFLICT DO NOTHING;
