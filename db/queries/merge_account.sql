-- name: judge_account!
-- Compare with what is stored: an older statement never overwrites, an equal one changes nothing.
UPDATE stage_account s
SET outcome = CASE
    WHEN s.observed_at < k.observed_at THEN 'stale'
    WHEN s.observed_at > k.observed_at THEN 'changed'
    WHEN s.digest = k.digest THEN 'unchanged'
    ELSE 'conflict' END
FROM grounds.account k WHERE k.platform_id = s.platform_id AND k.observed_at IS NOT NULL;

-- name: insert_accounts!
-- Whole at once where nothing named them before: to name them first and store them then would write each twice.
INSERT INTO grounds.account (
    platform_id, known, person, product, kind, born_on, country, status, status_since, compromised, observed_at, digest)
SELECT s.platform_id, TRUE, s.person, s.product, s.kind, s.born_on, s.country, s.status, s.status_since, s.compromised,
    s.observed_at, s.digest
FROM stage_account s
WHERE NOT EXISTS (SELECT FROM grounds.account a WHERE a.platform_id = s.platform_id);

-- name: name_accounts!
-- An account that is named has a row, known or not, so that whatever belongs to it has a number to point to.
INSERT INTO grounds.account (platform_id)
SELECT DISTINCT named.platform_id FROM (
    SELECT account AS platform_id FROM stage_content
    UNION ALL SELECT unnest(referenced) FROM stage_content
    UNION ALL SELECT account FROM stage_notice
    UNION ALL SELECT account FROM stage_consent
) named
WHERE NOT EXISTS (SELECT FROM grounds.account a WHERE a.platform_id = named.platform_id)
ON CONFLICT DO NOTHING;

-- name: link_persons!
-- Links count once seen, whatever became of the line.
INSERT INTO grounds.account_person (account, person)
SELECT a.id, s.person FROM stage_account s JOIN grounds.account a ON a.platform_id = s.platform_id
WHERE s.person IS NOT NULL AND NOT EXISTS (
    SELECT FROM grounds.account_person p WHERE p.account = a.id AND p.person = s.person)
ON CONFLICT DO NOTHING;

-- name: link_contacts!
INSERT INTO grounds.account_contact (account, contact)
SELECT a.id, stated.contact
FROM stage_account s
JOIN grounds.account a ON a.platform_id = s.platform_id
CROSS JOIN unnest(s.contacts) stated (contact)
WHERE NOT EXISTS (SELECT FROM grounds.account_contact c WHERE c.account = a.id AND c.contact = stated.contact)
ON CONFLICT DO NOTHING;

-- name: move_content!
-- What an account wrote carries the account's product. Before the account is stored: only then is the old one known.
UPDATE grounds.content c SET product = s.product
FROM stage_account s JOIN grounds.account a ON a.platform_id = s.platform_id
WHERE (s.outcome IS NULL OR s.outcome = 'changed') AND a.product IS DISTINCT FROM s.product AND c.account = a.id;

-- name: store_account!
-- Taking back a minor's birth date, a compromised window or a deletion restarts a dwell. One that was inserted just now
-- is as it is stated.
UPDATE grounds.account a
SET known = TRUE, person = s.person, product = s.product, kind = s.kind, born_on = s.born_on, country = s.country,
    status = s.status, status_since = s.status_since, compromised = s.compromised, observed_at = s.observed_at,
    digest = s.digest,
    birth_date_taken_back_at = CASE
        WHEN a.adult_from > grounds.decision_time()
             AND NOT coalesce(grounds.adult_from(s.born_on) > grounds.decision_time(), FALSE)
        THEN grounds.decision_time() ELSE a.birth_date_taken_back_at END,
    taken_back_at = CASE
        WHEN NOT a.compromised <@ s.compromised
             OR (a.status IN ('DELETED', 'DELETION_PENDING') AND s.status NOT IN ('DELETED', 'DELETION_PENDING'))
        THEN grounds.decision_time() ELSE a.taken_back_at END
FROM stage_account s
WHERE a.platform_id = s.platform_id AND (s.outcome IS NULL OR s.outcome = 'changed')
    AND a.observed_at IS DISTINCT FROM s.observed_at;
