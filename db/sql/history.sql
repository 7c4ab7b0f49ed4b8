CREATE TABLE grounds.fact_version (
    relation text NOT NULL,
    id bigint NOT NULL,
    account bigint, -- of what belongs to one
    recorded_at timestamptz NOT NULL,
    replaced_at timestamptz NOT NULL,
    facts jsonb NOT NULL,
    "references" jsonb
);

CREATE INDEX fact_version_id ON grounds.fact_version (relation, id, recorded_at);

CREATE INDEX fact_version_account ON grounds.fact_version (relation, account) WHERE account IS NOT NULL;

CREATE INDEX fact_version_family ON grounds.fact_version ((facts ->> 'family'))
    WHERE relation = 'content' AND facts ->> 'family' IS NOT NULL;

CREATE FUNCTION grounds.stamp_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.recorded_at := grounds.decision_time();
    RETURN NEW;
END $$;

-- A version that was replaced in the instant in which it came was never visible.
CREATE FUNCTION grounds.archive_version() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO grounds.fact_version (relation, id, account, recorded_at, replaced_at, facts, "references")
    SELECT TG_TABLE_NAME, (v.facts ->> 'id')::bigint, (v.facts ->> 'account')::bigint,
        (v.facts ->> 'recorded_at')::timestamptz, grounds.decision_time(), v.facts,
        CASE WHEN TG_TABLE_NAME = 'content' AND (v.facts ->> 'has_references')::boolean THEN (
            SELECT jsonb_agg(to_jsonb(r)) FROM grounds.content_reference r WHERE r.content = (v.facts ->> 'id')::bigint) END
    FROM (SELECT to_jsonb(o) - 'text' - 'media' - 'contacts' AS facts FROM old_rows o) v
    WHERE (v.facts ->> 'recorded_at')::timestamptz < grounds.decision_time();
    RETURN NULL;
END $$;

DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['account', 'notice', 'campaign', 'objection', 'consent', 'content', 'hold'] LOOP
        EXECUTE 'CREATE TRIGGER stamped BEFORE UPDATE ON grounds.' || relation
            || ' FOR EACH ROW EXECUTE FUNCTION grounds.stamp_version()';
        EXECUTE 'CREATE TRIGGER kept AFTER UPDATE ON grounds.' || relation
            || ' REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION grounds.archive_version()';
    END LOOP;
END $$;
