-- name: judge_notice!
-- Compare with what is stored: an older statement never overwrites, an equal one changes nothing.
UPDATE stage_notice s
SET outcome = CASE
    WHEN s.observed_at < k.observed_at THEN 'stale'
    WHEN s.observed_at > k.observed_at THEN 'changed'
    WHEN s.digest = k.digest THEN 'unchanged'
    ELSE 'conflict' END
FROM grounds.notice k WHERE k.platform_id = s.platform_id AND k.observed_at IS NOT NULL;

-- name: take_back_bounces!
-- Taking back a bounce restarts the dwell of the account.
UPDATE grounds.account a SET taken_back_at = grounds.decision_time()
FROM stage_notice s JOIN grounds.notice n ON n.platform_id = s.platform_id
WHERE s.outcome = 'changed' AND n.bounced_at IS NOT NULL AND s.bounced_at IS NULL AND a.platform_id = s.account;

-- name: insert_notice!
INSERT INTO grounds.notice (
    platform_id, account, channel, epoch, sent_at, delivered_at, bounced_at, observed_at, digest)
SELECT s.platform_id, a.id, s.channel, s.epoch, s.sent_at, s.delivered_at, s.bounced_at, s.observed_at, s.digest
FROM stage_notice s JOIN grounds.account a ON a.platform_id = s.account
WHERE s.outcome IS NULL;

-- name: update_notice!
UPDATE grounds.notice n
SET account = a.id, channel = s.channel, epoch = s.epoch, sent_at = s.sent_at, delivered_at = s.delivered_at,
    bounced_at = s.bounced_at, observed_at = s.observed_at, digest = s.digest
FROM stage_notice s JOIN grounds.account a ON a.platform_id = s.account
WHERE s.outcome = 'changed' AND n.platform_id = s.platform_id;
