-- name: count_unasked_consents
-- Of an account that is not known yet it counts only whether the policy asks any account for consent.
SELECT count(*) FROM stage_consent s JOIN grounds.account a ON a.platform_id = s.account
WHERE (s.outcome IS NULL OR s.outcome = 'changed') AND s.given_at IS NOT NULL AND NOT EXISTS (
    SELECT FROM grounds.policy p WHERE p.active AND CASE
        WHEN a.is_known THEN (p.document #> '{{grounds,OPTED_IN,products}}')::jsonb ? a.product
        ELSE (p.document #> '{{grounds,OPTED_IN}}') IS NOT NULL END);
