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

-- Versions come in the order in which they were replaced, and are removed in it.
CREATE INDEX fact_version_replaced ON grounds.fact_version USING brin (replaced_at) WITH (pages_per_range = 16);

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

-- From which time on every version is stored. Nothing is decided of what was known before.
CREATE FUNCTION grounds.versions_from() RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce((SELECT i.versions_from FROM grounds.installation i), '-infinity')
$$;

-- Remove versions that were replaced so many days ago, at most so many; give how many. Of what lines stated (which a late
-- line is compared with), the newest before that time stays.
CREATE FUNCTION grounds.remove_versions(days int, at_most int) RETURNS int
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    until CONSTANT timestamptz := grounds.decision_time() - make_interval(days => days);
    removed int;
    removed_lines int;
BEGIN
    PERFORM set_config('grounds.job', 'versions', TRUE);
    UPDATE grounds.installation i SET versions_from = until WHERE i.versions_from < until;
    DELETE FROM grounds.fact_version v WHERE v.ctid = ANY (ARRAY(
        SELECT o.ctid FROM grounds.fact_version o WHERE o.replaced_at < until LIMIT at_most));
    GET DIAGNOSTICS removed = ROW_COUNT;
    DELETE FROM grounds.stated_version v WHERE v.ctid = ANY (ARRAY(
        SELECT o.ctid FROM grounds.stated_version o WHERE o.observed_at < until AND EXISTS (
            SELECT FROM grounds.stated_version n WHERE n.record = o.record AND n.id = o.id
                AND n.observed_at > o.observed_at AND n.observed_at < until)
        LIMIT at_most));
    GET DIAGNOSTICS removed_lines = ROW_COUNT;
    RETURN removed + removed_lines;
END $$;
