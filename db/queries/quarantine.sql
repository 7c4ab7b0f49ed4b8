-- name: set_conflicts_aside!
-- Another statement about the same instant: the first stands, and what it is about stays shut until a later one. It is
-- told from the same statement about another instant, which may be a conflict of its own.
INSERT INTO stage_rejected (line, record, platform_id, digest, observed_at, account, person, contact)
SELECT line, 'account', platform_id, digest || timestamptz_send(observed_at), observed_at, NULL, NULL, NULL
FROM stage_account WHERE outcome = 'conflict'
UNION ALL SELECT line, 'content', platform_id, digest || timestamptz_send(observed_at), observed_at, NULL, NULL, NULL
FROM stage_content WHERE outcome = 'conflict'
UNION ALL SELECT line, 'notice', platform_id, digest || timestamptz_send(observed_at), observed_at, account, NULL, NULL
FROM stage_notice WHERE outcome = 'conflict'
UNION ALL SELECT line, 'objection', platform_id, digest || timestamptz_send(observed_at), observed_at, account, person, contact
FROM stage_objection WHERE outcome = 'conflict'
UNION ALL SELECT line, 'consent', platform_id, digest || timestamptz_send(observed_at), observed_at, account, NULL, NULL
FROM stage_consent WHERE outcome = 'conflict';

-- name: time_rejected!
-- A bad line whose own instant cannot be believed is about what is stored now. Whom a bad notice or consent belongs to
-- is what it says, or else what is stored of it.
UPDATE stage_rejected r
SET observed_at = coalesce(r.observed_at, CASE r.record
        WHEN 'account' THEN (SELECT k.observed_at FROM grounds.account k WHERE k.platform_id = r.platform_id)
        WHEN 'content' THEN (SELECT k.observed_at FROM grounds.content k WHERE k.platform_id = r.platform_id)
        WHEN 'notice' THEN (SELECT k.observed_at FROM grounds.notice k WHERE k.platform_id = r.platform_id)
        WHEN 'objection' THEN (SELECT k.observed_at FROM grounds.objection k WHERE k.platform_id = r.platform_id)
        WHEN 'consent' THEN (SELECT k.observed_at FROM grounds.consent k WHERE k.platform_id = r.platform_id) END),
    account = coalesce(r.account, CASE r.record
        WHEN 'notice' THEN (SELECT a.platform_id FROM grounds.notice k JOIN grounds.account a ON a.id = k.account
                            WHERE k.platform_id = r.platform_id)
        WHEN 'consent' THEN (SELECT a.platform_id FROM grounds.consent k JOIN grounds.account a ON a.id = k.account
                             WHERE k.platform_id = r.platform_id) END);

-- name: quarantine_rejected!
-- The same line again changes nothing: its digest is the key.
WITH fresh AS (
    INSERT INTO grounds.quarantine (record, platform_id, line, account, observed_at)
    SELECT r.record, r.platform_id, r.digest, CASE WHEN r.record IN ('notice', 'consent') THEN r.account END,
        coalesce(r.observed_at, '-infinity')
    FROM stage_rejected r
    ON CONFLICT DO NOTHING
    RETURNING record, platform_id, observed_at
)
UPDATE grounds.content c SET quarantined_at = greatest(c.quarantined_at, f.observed_at)
FROM fresh f WHERE f.record = 'content' AND c.platform_id = f.platform_id;

-- name: force_objections!
-- A bad objection counts as one of scope ALL. Where nothing good is stored it stands alone, before any instant.
INSERT INTO grounds.objection AS o (platform_id, scope, received_at, observed_at, quarantined_at)
SELECT DISTINCT ON (r.platform_id) r.platform_id, 'ALL', grounds.decision_time(), '-infinity', q.observed_at
FROM stage_rejected r
JOIN grounds.quarantine q ON q.record = 'objection' AND q.platform_id = r.platform_id AND q.line = r.digest
WHERE r.record = 'objection'
ORDER BY r.platform_id, q.observed_at DESC
ON CONFLICT (platform_id) DO UPDATE SET quarantined_at = greatest(o.quarantined_at, excluded.quarantined_at);

-- name: target_forced_objections!
INSERT INTO grounds.objection_target (objection, kind, value)
SELECT o.id, target.kind, target.value
FROM stage_rejected r
JOIN grounds.objection o ON o.platform_id = r.platform_id
CROSS JOIN LATERAL (VALUES ('ACCOUNT', r.account), ('PERSON', r.person), ('CONTACT', r.contact)) target (kind, value)
WHERE r.record = 'objection' AND target.value IS NOT NULL
ON CONFLICT DO NOTHING;

-- name: count_outcomes
SELECT 'account' AS record, outcome, count(*) FROM stage_account GROUP BY outcome
UNION ALL SELECT 'content', outcome, count(*) FROM stage_content GROUP BY outcome
UNION ALL SELECT 'notice', outcome, count(*) FROM stage_notice GROUP BY outcome
UNION ALL SELECT 'objection', outcome, count(*) FROM stage_objection GROUP BY outcome
UNION ALL SELECT 'consent', outcome, count(*) FROM stage_consent GROUP BY outcome;

-- name: conflicts
SELECT line, record, platform_id FROM (
    SELECT line, 'account' AS record, platform_id, outcome FROM stage_account
    UNION ALL SELECT line, 'content', platform_id, outcome FROM stage_content
    UNION ALL SELECT line, 'notice', platform_id, outcome FROM stage_notice
    UNION ALL SELECT line, 'objection', platform_id, outcome FROM stage_objection
    UNION ALL SELECT line, 'consent', platform_id, outcome FROM stage_consent) staged
WHERE outcome = 'conflict';
