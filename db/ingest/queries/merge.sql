-- What is done alike to each record. {record} names its table; {columns}, {values} and {assignments} are the columns
-- that the stage and the table share, and {account} joins the account of a record that belongs to one.

-- name: create_stage#
-- A chunk of lines lies here while it is merged; its rows end with the transaction.
CREATE TEMP TABLE IF NOT EXISTS stage_{record} (
    outcome text, takes_back boolean, takes_back_birth_date boolean, others_wait text[], {definitions}
) ON COMMIT DELETE ROWS;

-- name: begin_merge!
-- Two merges at once would judge against what the other is about to change. Row security asks for the claim.
SELECT pg_advisory_xact_lock(hashtextextended('grounds.ingest', 0)), set_config('grounds.ingest', 'on', TRUE);

-- name: judge!
-- An older statement never overwrites a stored one, and an equal one changes nothing. No outcome: nothing is stored.
UPDATE stage_{record} s
SET outcome = CASE
    WHEN s.observed_at < k.observed_at THEN 'stale'
    WHEN s.observed_at > k.observed_at THEN 'changed'
    WHEN s.digest = k.digest THEN 'unchanged'
    ELSE 'conflict' END
FROM grounds.{record} k WHERE k.platform_id = s.platform_id AND k.observed_at IS NOT NULL;

-- name: insert!
INSERT INTO grounds.{record} (platform_id, {columns})
SELECT s.platform_id, {values} FROM stage_{record} s {account}
WHERE s.outcome IS NULL;

-- name: update!
UPDATE grounds.{record} k SET {assignments} FROM stage_{record} s {account}
WHERE s.outcome = 'changed' AND k.platform_id = s.platform_id;

-- name: count_outcomes
SELECT '{record}' AS record, outcome, count(*) FROM stage_{record} GROUP BY outcome;

-- name: conflicts
SELECT line, '{record}' AS record, platform_id, outcome FROM stage_{record}
WHERE outcome IN ('conflict', 'other text');

-- name: set_conflicts_aside!
-- Of two statements about one instant the first stands, and what they are about is quarantined until a later one. The
-- digest holds the instant: the same statement about another instant can be a conflict of its own.
INSERT INTO stage_rejected (line, record, platform_id, digest, observed_at, account, person, contact,
    received_at)
SELECT line, '{record}', platform_id, digest || timestamptz_send(observed_at), observed_at, {targets}
FROM stage_{record} WHERE outcome IN ('conflict', 'other text');

-- name: unreadable_signals
-- Signals of a line that was stored, each with the field and what is wrong with it.
SELECT line, '{record}' AS record, platform_id, unreadable FROM stage_{record}
WHERE cardinality(unreadable) > 0 AND (outcome IS NULL OR outcome = 'changed');

-- name: still_set_aside
-- A good line that is no later than a bad one about the same record does not replace it.
SELECT '{record}' AS record, count(*) FROM stage_{record} s
WHERE (s.outcome IS NULL OR s.outcome IN ('changed', 'unchanged')) AND EXISTS (
    SELECT FROM grounds.quarantine q
    WHERE q.record = '{record}' AND q.platform_id = s.platform_id AND q.observed_at >= s.observed_at);
