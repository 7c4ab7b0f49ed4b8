-- name: time_rejected!
-- A bad line whose own instant cannot be believed is as late as its loading, and as what is stored. The account of a bad
-- notice or consent is the one of the stored record, or else the one that the line names.
UPDATE stage_rejected r
SET observed_at = coalesce(r.observed_at, greatest(grounds.decision_time(), CASE r.record
        WHEN 'account' THEN (SELECT k.observed_at FROM grounds.account k WHERE k.platform_id = r.platform_id)
        WHEN 'content' THEN (SELECT k.observed_at FROM grounds.content k WHERE k.platform_id = r.platform_id)
        WHEN 'notice' THEN (SELECT k.observed_at FROM grounds.notice k WHERE k.platform_id = r.platform_id)
        WHEN 'objection' THEN (SELECT k.observed_at FROM grounds.objection k WHERE k.platform_id = r.platform_id)
        WHEN 'campaign' THEN (SELECT k.observed_at FROM grounds.campaign k WHERE k.platform_id = r.platform_id)
        WHEN 'consent' THEN (SELECT k.observed_at FROM grounds.consent k WHERE k.platform_id = r.platform_id) END)),
    account = coalesce(CASE r.record
        WHEN 'notice' THEN (SELECT a.platform_id FROM grounds.notice k JOIN grounds.account a ON a.id = k.account
                            WHERE k.platform_id = r.platform_id)
        WHEN 'consent' THEN (SELECT a.platform_id FROM grounds.consent k JOIN grounds.account a ON a.id = k.account
                             WHERE k.platform_id = r.platform_id) END, r.account);

-- name: quarantine_rejected!
-- The same line again changes nothing: its digest is the key.
WITH fresh AS (
    INSERT INTO grounds.quarantine (record, platform_id, line, account, observed_at)
    SELECT r.record, r.platform_id, r.digest, CASE WHEN r.record IN ('notice', 'consent') THEN r.account END,
        r.observed_at
    FROM stage_rejected r
    ON CONFLICT DO NOTHING
    RETURNING record, platform_id, observed_at
)
UPDATE grounds.content c SET quarantined_at = greatest(c.quarantined_at, f.observed_at)
FROM fresh f WHERE f.record = 'content' AND c.platform_id = f.platform_id;

-- name: force_objections!
-- A bad objection counts as one of scope ALL, not withdrawn, from the receipt that can be read of it, or else from its
-- instant or its loading. Where nothing good is stored it stands alone, before any instant.
INSERT INTO grounds.objection AS o (
    platform_id, scope, received_at, observed_at, quarantined_at, quarantined_received_at)
SELECT DISTINCT ON (r.platform_id) r.platform_id, 'ALL', receipt.at, '-infinity', q.observed_at, receipt.at
FROM stage_rejected r
JOIN grounds.quarantine q ON q.record = 'objection' AND q.platform_id = r.platform_id AND q.line = r.digest
CROSS JOIN LATERAL (SELECT least(coalesce(r.received_at, r.observed_at), grounds.decision_time()) AS at) receipt
WHERE r.record = 'objection'
ORDER BY r.platform_id, q.observed_at DESC
ON CONFLICT (platform_id) DO UPDATE SET quarantined_at = greatest(o.quarantined_at, excluded.quarantined_at),
    quarantined_received_at = least(o.quarantined_received_at, excluded.quarantined_received_at);

-- name: target_forced_objections!
INSERT INTO grounds.objection_target (objection, kind, value)
SELECT o.id, target.kind, target.value
FROM stage_rejected r
JOIN grounds.objection o ON o.platform_id = r.platform_id
CROSS JOIN LATERAL (VALUES ('ACCOUNT', r.account), ('PERSON', r.person), ('CONTACT', r.contact)) target (kind, value)
WHERE r.record = 'objection' AND target.value IS NOT NULL
ON CONFLICT DO NOTHING;
