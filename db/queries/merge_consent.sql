-- name: judge_consent!
-- Compare with what is stored: an older statement never overwrites, an equal one changes nothing.
UPDATE stage_consent s
SET outcome = CASE
    WHEN s.observed_at < k.observed_at THEN 'stale'
    WHEN s.observed_at > k.observed_at THEN 'changed'
    WHEN s.digest = k.digest THEN 'unchanged'
    ELSE 'conflict' END
FROM grounds.consent k WHERE k.platform_id = s.platform_id AND k.observed_at IS NOT NULL;

-- name: insert_consent!
INSERT INTO grounds.consent (platform_id, account, given_at, withdrawn_at, observed_at, digest)
SELECT s.platform_id, a.id, s.given_at, s.withdrawn_at, s.observed_at, s.digest
FROM stage_consent s JOIN grounds.account a ON a.platform_id = s.account
WHERE s.outcome IS NULL;

-- name: update_consent!
UPDATE grounds.consent k
SET account = a.id, given_at = s.given_at, withdrawn_at = s.withdrawn_at, observed_at = s.observed_at,
    digest = s.digest
FROM stage_consent s JOIN grounds.account a ON a.platform_id = s.account
WHERE s.outcome = 'changed' AND k.platform_id = s.platform_id;
