-- name: judge_content!
-- Compare with what is stored: an older statement never overwrites, an equal one changes nothing.
UPDATE stage_content s
SET outcome = CASE
    WHEN s.observed_at < k.observed_at THEN 'stale'
    WHEN s.observed_at > k.observed_at THEN 'changed'
    WHEN s.digest = k.digest THEN 'unchanged'
    ELSE 'conflict' END
FROM grounds.content k WHERE k.platform_id = s.platform_id AND k.observed_at IS NOT NULL;

-- name: insert_content!
INSERT INTO grounds.content (
    account, created_at, edited_at, deleted_at, audience_since, observed_at, quarantined_at, pipeline,
    media_deidentified, reserved, has_references, kind, product, audience, language, special_category, safety, parent,
    platform_id, digest, text, media)
SELECT a.id, s.created_at, s.edited_at, s.deleted_at, s.audience_since, s.observed_at,
    coalesce((SELECT max(q.observed_at) FROM grounds.quarantine q
              WHERE q.record = 'content' AND q.platform_id = s.platform_id), '-infinity'),
    s.pipeline, s.media_deidentified, s.reserved, cardinality(s.referenced) > 0, s.kind, a.product, s.audience,
    s.language, s.special_category, s.safety, s.parent, s.platform_id, s.digest, s.text, s.media
FROM stage_content s JOIN grounds.account a ON a.platform_id = s.account
WHERE s.outcome IS NULL
ORDER BY s.line;

-- name: update_content!
-- Taking back a deletion, a reservation or a flag restarts the dwell.
UPDATE grounds.content c
SET account = a.id, created_at = s.created_at, edited_at = s.edited_at, deleted_at = s.deleted_at,
    audience_since = s.audience_since, observed_at = s.observed_at, pipeline = s.pipeline,
    media_deidentified = s.media_deidentified, reserved = s.reserved,
    has_references = cardinality(s.referenced) > 0, kind = s.kind, product = a.product, audience = s.audience, language = s.language,
    special_category = s.special_category, safety = s.safety, parent = s.parent, digest = s.digest, text = s.text,
    media = s.media,
    revised_at = CASE
        WHEN (c.text, c.media::text, c.edited_at) IS DISTINCT FROM (s.text, s.media::text, s.edited_at)
        THEN grounds.decision_time() ELSE c.revised_at END,
    taken_back_at = CASE
        WHEN (c.deleted_at IS NOT NULL AND s.deleted_at IS NULL)
             OR (c.reserved AND NOT s.reserved)
             OR (c.special_category = 'FLAGGED' AND s.special_category IS DISTINCT FROM 'FLAGGED')
             OR (c.safety = 'FLAGGED' AND s.safety IS DISTINCT FROM 'FLAGGED')
        THEN grounds.decision_time() ELSE c.taken_back_at END
FROM stage_content s JOIN grounds.account a ON a.platform_id = s.account
WHERE s.outcome = 'changed' AND c.platform_id = s.platform_id;

-- name: drop_references!
DELETE FROM grounds.content_reference r
USING stage_content s JOIN grounds.content c ON c.platform_id = s.platform_id
WHERE s.outcome = 'changed' AND r.content = c.id;

-- name: insert_references!
INSERT INTO grounds.content_reference (content, account, relation)
SELECT c.id, a.id, named.relation
FROM stage_content s
JOIN grounds.content c ON c.platform_id = s.platform_id
CROSS JOIN unnest(s.referenced, s.relations) named (platform_id, relation)
JOIN grounds.account a ON a.platform_id = named.platform_id
WHERE (s.outcome IS NULL OR s.outcome = 'changed') AND cardinality(s.referenced) > 0
ON CONFLICT DO NOTHING;
