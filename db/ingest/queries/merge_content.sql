-- name: keep_private!
-- An item that was ever of a private kind stays one, of both a private message; its audience counts as ONLY_ME. Nothing of
-- a private message's text or media is stored.
UPDATE stage_content s
SET stated_kind = s.kind, audience = 'ONLY_ME', kind = p.kind,
    text = CASE p.kind WHEN 'BUSINESS_MESSAGE' THEN s.text END,
    media = CASE p.kind WHEN 'BUSINESS_MESSAGE' THEN s.media END,
    pipeline = CASE p.kind WHEN 'BUSINESS_MESSAGE' THEN s.pipeline END,
    names_sought = CASE p.kind WHEN 'BUSINESS_MESSAGE' THEN s.names_sought END,
    media_deidentified = CASE p.kind WHEN 'BUSINESS_MESSAGE' THEN s.media_deidentified END,
    needs_minors_scan = p.kind = 'BUSINESS_MESSAGE' AND s.media IS NOT NULL
FROM (
    SELECT l.line, CASE WHEN 'PRIVATE_MESSAGE' IN (l.kind, k.kind) THEN 'PRIVATE_MESSAGE' ELSE 'BUSINESS_MESSAGE' END AS kind
    FROM stage_content l LEFT JOIN grounds.content k ON k.platform_id = l.platform_id AND l.outcome = 'changed'
    WHERE 'PRIVATE_MESSAGE' IN (l.kind, k.kind) OR 'BUSINESS_MESSAGE' IN (l.kind, k.kind)
) p
WHERE p.line = s.line AND s.outcome IS DISTINCT FROM 'stale' AND s.outcome IS DISTINCT FROM 'conflict';

-- name: keep_stored_private!
-- So says a late line, and one that conflicts with what is stored.
UPDATE grounds.content k
SET stated_kind = coalesce(k.stated_kind, k.kind), audience = 'ONLY_ME', kind = p.kind,
    text = CASE p.kind WHEN 'BUSINESS_MESSAGE' THEN k.text END,
    media = CASE p.kind WHEN 'BUSINESS_MESSAGE' THEN k.media END,
    pipeline = CASE p.kind WHEN 'BUSINESS_MESSAGE' THEN k.pipeline END,
    names_sought = CASE p.kind WHEN 'BUSINESS_MESSAGE' THEN k.names_sought END,
    media_deidentified = CASE p.kind WHEN 'BUSINESS_MESSAGE' THEN k.media_deidentified END,
    needs_minors_scan = p.kind = 'BUSINESS_MESSAGE' AND k.media IS NOT NULL
FROM (
    SELECT s.platform_id, max(s.kind) AS kind FROM stage_content s -- of both, the former's name is the later word
    WHERE s.outcome IN ('stale', 'conflict') AND s.kind IN ('PRIVATE_MESSAGE', 'BUSINESS_MESSAGE')
    GROUP BY s.platform_id
) p
WHERE k.platform_id = p.platform_id AND k.kind NOT IN ('PRIVATE_MESSAGE', p.kind);

-- name: insert_content!
INSERT INTO grounds.content (platform_id, {columns}, product, country, account_reserved,
    reference_count, reverted_at, quarantined_at)
SELECT s.platform_id, {values}, a.product, a.country, coalesce(a.reserved, FALSE),
    cardinality(s.referenced) + cardinality(s.referenced_contacts),
    coalesce((SELECT w.since FROM grounds.family_wait w
              WHERE w.family = grounds.stated_family(coalesce(s.stated_kind, s.kind), s.parent, s.platform_id)), '-infinity'),
    coalesce((SELECT max(q.observed_at) FROM grounds.quarantine q
              WHERE q.record = 'content' AND q.platform_id = s.platform_id), '-infinity')
FROM stage_content s {account}
WHERE s.outcome IS NULL
ORDER BY s.line;

-- name: update_content!
UPDATE grounds.content k
SET {assignments}, product = a.product, country = a.country, account_reserved = coalesce(a.reserved, FALSE),
    reference_count = cardinality(s.referenced) + cardinality(s.referenced_contacts),
    revised_at = CASE
        WHEN (k.text, k.media::text, k.edited_at) IS DISTINCT FROM (s.text, s.media::text, s.edited_at)
        THEN grounds.decision_time() ELSE k.revised_at END,
    last_failing_facts = s.failing_facts | (s.unknown_facts & coalesce(k.last_failing_facts, k.failing_facts)),
    reverted_at = greatest(k.reverted_at, CASE WHEN s.takes_back THEN grounds.decision_time() END, (
        SELECT w.since FROM grounds.family_wait w
        WHERE w.family = grounds.stated_family(coalesce(s.stated_kind, s.kind), s.parent, s.platform_id)))
FROM stage_content s {account}
WHERE s.outcome = 'changed' AND k.platform_id = s.platform_id;

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

-- name: object_by_items_signals!
SELECT grounds.object_by_signal(s.account, said.standard, said.at, said.dated)
FROM stage_content s
CROSS JOIN LATERAL jsonb_to_recordset(s.objections) said (standard text, at timestamptz, dated boolean)
WHERE s.objections IS NOT NULL
ORDER BY said.at;

-- name: name_contacts!
INSERT INTO grounds.referenced_contact (contact)
SELECT DISTINCT named.contact FROM stage_content s CROSS JOIN unnest(s.referenced_contacts) named (contact)
WHERE NOT EXISTS (SELECT FROM grounds.referenced_contact k WHERE k.contact = named.contact)
ON CONFLICT DO NOTHING;

-- name: insert_contact_references!
INSERT INTO grounds.content_reference (content, contact, relation)
SELECT c.id, k.id, named.relation
FROM stage_content s
JOIN grounds.content c ON c.platform_id = s.platform_id
CROSS JOIN unnest(s.referenced_contacts, s.contact_relations) named (contact, relation)
JOIN grounds.referenced_contact k ON k.contact = named.contact
WHERE (s.outcome IS NULL OR s.outcome = 'changed') AND cardinality(s.referenced_contacts) > 0
ON CONFLICT DO NOTHING;
