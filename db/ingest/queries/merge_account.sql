-- name: insert_account!
-- Whole at once where nothing named them before: to name them first and store them then would write each twice.
INSERT INTO grounds.account (platform_id, is_known, {columns})
SELECT s.platform_id, TRUE, {values} FROM stage_account s
WHERE NOT EXISTS (SELECT FROM grounds.account a WHERE a.platform_id = s.platform_id);

-- name: name_accounts!
-- An account that is named has a row, known or not, so that whatever belongs to it has an id to point to.
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
-- A link counts once seen, whatever becomes of its line.
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
-- An item carries its account's product, country and reservation. This runs before the account is stored: only then are the
-- old ones known.
-- `reference_count` is set to what it is, as in grounds.refresh_standing_by_person.
UPDATE grounds.content c SET product = s.product, country = s.country, account_reserved = s.reserved, reference_count = c.reference_count
FROM stage_account s JOIN grounds.account a ON a.platform_id = s.platform_id
WHERE (s.outcome IS NULL OR s.outcome = 'changed') AND c.account = a.id
    AND (a.product, a.country, coalesce(a.reserved, FALSE)) IS DISTINCT FROM (s.product, s.country, s.reserved);

-- name: update_account!
-- An account that was inserted just now is left as it is.
UPDATE grounds.account k
SET is_known = TRUE, {assignments},
    last_country = coalesce(s.country, k.last_country, k.country),
    last_adult_from = coalesce(grounds.adult_from(s.born_on), k.last_adult_from, k.adult_from),
    birth_date_reverted_at = CASE WHEN s.takes_back_birth_date THEN grounds.decision_time()
        ELSE k.birth_date_reverted_at END,
    reverted_at = CASE WHEN s.takes_back THEN grounds.decision_time() ELSE k.reverted_at END
FROM stage_account s
WHERE k.platform_id = s.platform_id AND (s.outcome IS NULL OR s.outcome = 'changed')
    AND k.observed_at IS DISTINCT FROM s.observed_at;

-- name: object_by_signals!
-- A statement about the whole account counts whatever becomes of its line.
SELECT grounds.object_by_signal(s.platform_id, said.standard, said.at, said.dated)
FROM stage_account s
CROSS JOIN LATERAL jsonb_to_recordset(s.objections) said (standard text, at timestamptz, dated boolean)
WHERE s.objections IS NOT NULL
ORDER BY said.at;
