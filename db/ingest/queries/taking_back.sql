-- name: judge_taking_back!
-- {versions} gives, for each line that changes a record or comes late, the record's row and the line as versions. The one
-- that is not the newest is kept; the line is judged beside the version before it and, where it came late, the one after.
WITH line AS MATERIALIZED ({versions}
), kept AS (
    INSERT INTO grounds.stated_version
    SELECT (v.version).* FROM (
        SELECT CASE l.outcome WHEN 'changed' THEN l.current
            ELSE grounds.carry_last_known(grounds.version_before(l.stated), l.stated) END AS version FROM line l OFFSET 0) v
    ON CONFLICT DO NOTHING RETURNING id
), pair AS (
    SELECT l.line, l.current AS before, l.stated AS after FROM line l WHERE l.outcome = 'changed'
    UNION ALL
    SELECT l.line, grounds.version_before(l.stated), l.stated FROM line l JOIN kept k ON k.id = (l.stated).id
    WHERE l.outcome = 'stale'
    UNION ALL
    SELECT l.line, l.stated, grounds.version_after(l.stated, l.current) FROM line l JOIN kept k ON k.id = (l.stated).id
    WHERE l.outcome = 'stale'
), compared AS (
    SELECT p.*, grounds.takes_back(p.before, p.after, c.countries, {kinds}) AS takes_back,
        grounds.takes_back_birth_date(p.before, p.after) AS takes_back_birth_date
    FROM pair p CROSS JOIN grounds.policy_coverage() c WHERE (p.before).id IS NOT NULL OFFSET 0
), judged AS (
    SELECT line, bool_or(takes_back) AS takes_back, bool_or(takes_back_birth_date) AS takes_back_birth_date,
        array_agg({others}) AS others_wait
    FROM compared GROUP BY line
)
UPDATE stage_{record} s
SET takes_back = j.takes_back, takes_back_birth_date = j.takes_back_birth_date, others_wait = j.others_wait
FROM judged j WHERE j.line = s.line;

-- name: judge_bounces!
-- The same of notices.
WITH line AS MATERIALIZED ({versions}
), kept AS (
    INSERT INTO grounds.stated_version
    SELECT (v.version).* FROM (SELECT CASE l.outcome WHEN 'changed' THEN l.current ELSE l.stated END AS version FROM line l) v
    ON CONFLICT DO NOTHING RETURNING id
)
UPDATE stage_notice s SET others_wait = grounds.bounces_taken_back(l.current, l.stated)
FROM line l WHERE l.line = s.line AND (l.outcome = 'changed' OR (l.stated).id IN (SELECT k.id FROM kept k));

-- name: carry_last_known!
-- What a late line knows is carried on to the versions after it, as far as it changes what was last known there.
WITH RECURSIVE carried AS (
    SELECT v AS version FROM stage_{record} s JOIN grounds.{record} k ON k.platform_id = s.platform_id
    JOIN grounds.stated_version v ON v.record = '{record}' AND v.id = k.id AND v.observed_at = s.observed_at
    WHERE s.outcome = 'stale'
    UNION ALL
    SELECT n.carried FROM carried c
    CROSS JOIN LATERAL (SELECT grounds.version_after(c.version, NULL) AS version OFFSET 0) a
    CROSS JOIN LATERAL (SELECT grounds.carry_last_known(c.version, a.version) AS carried OFFSET 0) n
    WHERE (a.version).id IS NOT NULL AND n.carried IS DISTINCT FROM a.version
)
UPDATE grounds.stated_version v
SET last_failing_facts = (c.version).last_failing_facts, last_country = (c.version).last_country,
    last_adult_from = (c.version).last_adult_from
FROM carried c
WHERE v.record = '{record}' AND v.id = (c.version).id AND v.observed_at = (c.version).observed_at
    AND v IS DISTINCT FROM c.version;

-- name: carry_to_stored_content!
UPDATE grounds.content k SET last_failing_facts = c.failing_facts
FROM (
    SELECT n.id, n.failing_facts | (n.unknown_facts & (v.version).last_failing_facts) AS failing_facts
    FROM stage_content s JOIN grounds.content n ON n.platform_id = s.platform_id
    CROSS JOIN LATERAL (SELECT grounds.last_stated_version('content', n.id) AS version OFFSET 0) v
    WHERE s.outcome = 'stale'
) c
WHERE k.id = c.id AND coalesce(k.last_failing_facts, k.failing_facts) <> c.failing_facts;

-- name: carry_to_stored_account!
UPDATE grounds.account k SET last_country = c.country, last_adult_from = c.adult_from
FROM (
    SELECT n.id, coalesce(n.country, (v.version).last_country) AS country,
        coalesce(n.adult_from, (v.version).last_adult_from) AS adult_from
    FROM stage_account s JOIN grounds.account n ON n.platform_id = s.platform_id
    CROSS JOIN LATERAL (SELECT grounds.last_stated_version('account', n.id) AS version OFFSET 0) v
    WHERE s.outcome = 'stale'
) c
WHERE k.id = c.id AND (coalesce(k.last_country, k.country), coalesce(k.last_adult_from, k.adult_from))
    IS DISTINCT FROM (c.country, c.adult_from);

-- name: versions_of_account!
    SELECT s.line, s.outcome,
        ROW('account', k.id, k.observed_at, (k.status <> 'ACTIVE')::int + 2 * coalesce(k.reserved, FALSE)::int, 0, (k.status <> 'ACTIVE')::int + 2 * coalesce(k.reserved, FALSE)::int, k.kind,
            k.country, coalesce(k.last_country, k.country), k.adult_from, coalesce(k.last_adult_from, k.adult_from),
            k.compromised, '{{}}', NULL)::grounds.stated_version AS current,
        ROW('account', k.id, s.observed_at, (s.status <> 'ACTIVE')::int + 2 * coalesce(s.reserved, FALSE)::int, 0, (s.status <> 'ACTIVE')::int + 2 * coalesce(s.reserved, FALSE)::int, s.kind,
            s.country, s.country, grounds.adult_from(s.born_on), grounds.adult_from(s.born_on),
            s.compromised, '{{}}', NULL)::grounds.stated_version AS stated
    FROM stage_account s JOIN grounds.account k ON k.platform_id = s.platform_id
    WHERE s.outcome IN ('changed', 'stale')

-- name: versions_of_content!
    SELECT s.line, s.outcome,
        ROW('content', k.id, k.observed_at, k.failing_facts, k.unknown_facts,
            coalesce(k.last_failing_facts, k.failing_facts), coalesce(k.stated_kind, k.kind),
            NULL, NULL, NULL, NULL, NULL,
            ARRAY(SELECT 'reference ' || n.platform_id FROM grounds.content_reference r
                  JOIN grounds.account n ON n.id = r.account WHERE r.content = k.id)
                || ARRAY(SELECT 'contact ' || n.contact FROM grounds.content_reference r
                         JOIN grounds.referenced_contact n ON n.id = r.contact WHERE r.content = k.id)
                || ('account ' || o.platform_id)
                || array_remove(ARRAY['parent ' || k.parent, 'family ' || f.current], NULL),
            f.current)::grounds.stated_version AS current,
        ROW('content', k.id, s.observed_at, s.failing_facts, s.unknown_facts, s.failing_facts, s.kind,
            NULL, NULL, NULL, NULL, NULL,
            ARRAY(SELECT 'reference ' || n FROM unnest(s.referenced) n)
                || ARRAY(SELECT 'contact ' || n FROM unnest(s.referenced_contacts) n)
                || ('account ' || s.account)
                || array_remove(ARRAY['parent ' || s.parent, 'family ' || f.stated], NULL),
            f.stated)::grounds.stated_version AS stated
    FROM stage_content s JOIN grounds.content k ON k.platform_id = s.platform_id
    JOIN grounds.account o ON o.id = k.account
    CROSS JOIN LATERAL (
        SELECT grounds.stated_family(coalesce(k.stated_kind, k.kind), k.parent, k.platform_id) AS current,
            grounds.stated_family(s.kind, s.parent, s.platform_id) AS stated
    ) f
    WHERE s.outcome IN ('changed', 'stale')

-- name: versions_of_notice!
    SELECT s.line, s.outcome,
        ROW('notice', k.id, k.observed_at, (k.bounced_at IS NOT NULL)::int, 0, (k.bounced_at IS NOT NULL)::int, NULL,
            NULL, NULL, NULL, NULL, NULL, '{{}}', o.platform_id)::grounds.stated_version AS current,
        ROW('notice', k.id, s.observed_at, (s.bounced_at IS NOT NULL)::int, 0, (s.bounced_at IS NOT NULL)::int, NULL,
            NULL, NULL, NULL, NULL, NULL, '{{}}', s.account)::grounds.stated_version AS stated
    FROM stage_notice s JOIN grounds.notice k ON k.platform_id = s.platform_id
    JOIN grounds.account o ON o.id = k.account
    WHERE s.outcome IN ('changed', 'stale')

-- name: let_stored_wait!
-- A late line that takes part in taking something back restarts the dwell of what is stored.
UPDATE grounds.{record} k SET reverted_at = grounds.decision_time()
FROM stage_{record} s WHERE s.outcome = 'stale' AND s.takes_back AND k.platform_id = s.platform_id;

-- name: let_families_wait!
-- A family that loses a member loses what the member said. Its medium lets all of it wait; where that is none, each of its
-- captions waits. So do those of a medium that a late line says was private: until now it waited for them.
WITH lost AS (
    SELECT DISTINCT lost AS id FROM stage_content s CROSS JOIN LATERAL unnest(s.others_wait) lost WHERE lost IS NOT NULL
), noted AS (
    INSERT INTO grounds.family_wait (family, since) SELECT l.id, grounds.decision_time() FROM lost l
    ON CONFLICT (family) DO UPDATE SET since = excluded.since
), family AS (
    SELECT l.id, grounds.decision_time() AS since FROM lost l
    UNION
    SELECT w.family, w.since FROM stage_content s JOIN grounds.content k ON k.platform_id = s.platform_id
    JOIN grounds.family_wait w ON w.family = grounds.stated_family(k.stated_kind, k.parent, k.platform_id)
    WHERE s.outcome IN ('stale', 'conflict') AND s.kind IN ('PRIVATE_MESSAGE', 'BUSINESS_MESSAGE')
), waiting AS (
    SELECT c.id, f.since FROM family f JOIN grounds.content c ON c.platform_id = f.id
    WHERE coalesce(c.stated_kind, c.kind) IN ('PHOTO', 'VIDEO', 'AUDIO')
    UNION
    SELECT c.id, f.since FROM family f JOIN grounds.content c ON c.parent = f.id
    WHERE coalesce(c.stated_kind, c.kind) = 'CAPTION' AND (c.stated_kind IS NOT NULL OR NOT EXISTS (
        SELECT FROM grounds.content m WHERE m.platform_id = f.id AND m.kind IN ('PHOTO', 'VIDEO', 'AUDIO')))
)
UPDATE grounds.content k SET reverted_at = greatest(k.reverted_at, w.since)
FROM (SELECT id, max(since) AS since FROM waiting GROUP BY id) w WHERE k.id = w.id;

-- name: let_accounts_wait!
UPDATE grounds.account a SET reverted_at = grounds.decision_time()
FROM stage_notice s WHERE a.platform_id = ANY (s.others_wait);

-- name: let_persons_wait!
UPDATE grounds.account k SET birth_date_reverted_at = grounds.decision_time()
FROM stage_account s WHERE s.outcome = 'stale' AND s.takes_back_birth_date AND k.platform_id = s.platform_id;
