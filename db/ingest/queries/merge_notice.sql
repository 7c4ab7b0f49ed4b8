-- name: count_notices
SELECT epoch, count(*) FROM stage_notice WHERE outcome IS NULL OR outcome = 'changed' GROUP BY epoch;
