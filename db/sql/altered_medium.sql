-- Files whose bytes were other ones than the platform stated. What was de-identified is not what the store now gives, so
-- the item is set aside until a later record of it arrives.
CREATE TABLE grounds.altered_medium (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    item bigint NOT NULL,
    stated bytea NOT NULL, -- the SHA-256 of the facts
    found bytea NOT NULL,  -- the SHA-256 of the bytes
    client int NOT NULL,   -- that fetched the file, and did not get it whole
    purpose text NOT NULL,
    found_at timestamptz NOT NULL,
    UNIQUE (item, stated, found, client, purpose)
);

CREATE FUNCTION grounds.quarantine_altered_medium(
    altered bigint, stated_sha256 text, found_sha256 text, fetched_by int, fetched_for text
) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('grounds.job', 'quarantine an altered medium', TRUE);
    INSERT INTO grounds.altered_medium (item, stated, found, client, purpose, found_at)
    VALUES (altered, decode(stated_sha256, 'hex'), decode(found_sha256, 'hex'), fetched_by, fetched_for,
        grounds.decision_time())
    ON CONFLICT DO NOTHING;
    INSERT INTO grounds.quarantine (record, platform_id, line, observed_at)
    SELECT 'content', c.platform_id, decode(found_sha256, 'hex') || timestamptz_send(grounds.decision_time()),
        greatest(grounds.decision_time(), c.observed_at)
    FROM grounds.content c WHERE c.id = altered
    ON CONFLICT DO NOTHING;
    UPDATE grounds.content c SET quarantined_at = greatest(c.quarantined_at, grounds.decision_time(), c.observed_at)
    WHERE c.id = altered;
END $$;
