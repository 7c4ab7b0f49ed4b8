-- name: refuse_changed_texts!
-- The text that was sent stays what it was; a campaign can be told in more languages.
UPDATE stage_campaign s SET outcome = 'other text'
FROM grounds.campaign k
WHERE k.platform_id = s.platform_id AND EXISTS (
    SELECT FROM jsonb_each_text(s.texts) t (language, hash) WHERE k.texts ->> t.language <> t.hash);

-- name: note_changed_campaigns!
-- A campaign does not change what it told: each use that a version adds to it, or lacks, is reported with its line.
UPDATE stage_campaign s SET changes = ARRAY(
    SELECT 'adds ' || u FROM unnest(s.told) u WHERE u <> ALL (k.told)
    UNION ALL SELECT 'lacks ' || u FROM unnest(k.told) u WHERE u <> ALL (s.told) ORDER BY 1)
FROM grounds.campaign k
WHERE s.outcome IN ('changed', 'stale') AND k.platform_id = s.platform_id;

-- name: changed_campaigns
SELECT line, platform_id, changes FROM stage_campaign WHERE cardinality(changes) > 0;

-- name: narrow_campaigns!
-- What every version says was told, and nothing else; a stale version narrows it as it would have done in its turn.
UPDATE grounds.campaign k
SET told = ARRAY(SELECT unnest(k.told) INTERSECT SELECT unnest(s.told) ORDER BY 1),
    disputed = ARRAY(SELECT unnest(k.disputed || k.told || s.told)
        EXCEPT (SELECT unnest(k.told) INTERSECT SELECT unnest(s.told)) ORDER BY 1),
    texts = k.texts || s.texts,
    observed_at = greatest(k.observed_at, s.observed_at),
    digest = CASE WHEN s.outcome = 'changed' THEN s.digest ELSE k.digest END
FROM stage_campaign s
WHERE s.outcome IN ('changed', 'stale') AND k.platform_id = s.platform_id
    AND (s.outcome = 'changed' OR NOT k.told <@ s.told OR NOT s.told <@ (k.told || k.disputed)
        OR NOT k.texts @> s.texts);
