SET LOCAL check_function_bodies = off; -- the decision is compiled later, of the policy in force

-- Facts as they were: every version that was accepted is kept with the time in which it was known. The current version
-- stands in its table, since recorded_at; those before it stand here, without text.
ALTER TABLE grounds.account ADD COLUMN recorded_at timestamptz NOT NULL DEFAULT grounds.decision_time();
ALTER TABLE grounds.notice ADD COLUMN recorded_at timestamptz NOT NULL DEFAULT grounds.decision_time();
ALTER TABLE grounds.objection ADD COLUMN recorded_at timestamptz NOT NULL DEFAULT grounds.decision_time();
ALTER TABLE grounds.consent ADD COLUMN recorded_at timestamptz NOT NULL DEFAULT grounds.decision_time();
ALTER TABLE grounds.content ADD COLUMN recorded_at timestamptz NOT NULL DEFAULT grounds.decision_time();
ALTER TABLE grounds.hold ADD COLUMN recorded_at timestamptz NOT NULL DEFAULT grounds.decision_time();
-- These are never changed: once seen, they count for ever.
ALTER TABLE grounds.account_person ADD COLUMN recorded_at timestamptz NOT NULL DEFAULT grounds.decision_time();
ALTER TABLE grounds.account_contact ADD COLUMN recorded_at timestamptz NOT NULL DEFAULT grounds.decision_time();
ALTER TABLE grounds.objection_target ADD COLUMN recorded_at timestamptz NOT NULL DEFAULT grounds.decision_time();
ALTER TABLE grounds.quarantine ADD COLUMN recorded_at timestamptz NOT NULL DEFAULT grounds.decision_time();
-- References change with their item, and are kept with its versions.
ALTER TABLE grounds.content_reference ADD COLUMN recorded_at timestamptz NOT NULL DEFAULT grounds.decision_time();

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

CREATE FUNCTION grounds.stamp_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.recorded_at := grounds.decision_time();
    RETURN NEW;
END $$;

-- A version that was replaced in the instant in which it came was never known to anybody.
CREATE FUNCTION grounds.keep_version() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO grounds.fact_version (relation, id, account, recorded_at, replaced_at, facts, "references")
    SELECT TG_TABLE_NAME, (v.facts ->> 'id')::bigint, (v.facts ->> 'account')::bigint,
        (v.facts ->> 'recorded_at')::timestamptz, grounds.decision_time(), v.facts,
        CASE WHEN TG_TABLE_NAME = 'content' AND (v.facts ->> 'has_references')::boolean THEN (
            SELECT jsonb_agg(to_jsonb(r)) FROM grounds.content_reference r WHERE r.content = (v.facts ->> 'id')::bigint) END
    FROM (SELECT to_jsonb(o) - 'text' - 'media' AS facts FROM old_rows o) v
    WHERE (v.facts ->> 'recorded_at')::timestamptz < grounds.decision_time();
    RETURN NULL;
END $$;

DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['account', 'notice', 'objection', 'consent', 'content', 'hold'] LOOP
        EXECUTE 'CREATE TRIGGER stamped BEFORE UPDATE ON grounds.' || relation
            || ' FOR EACH ROW EXECUTE FUNCTION grounds.stamp_version()';
        EXECUTE 'CREATE TRIGGER kept AFTER UPDATE ON grounds.' || relation
            || ' REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION grounds.keep_version()';
    END LOOP;
END $$;

-- Which policy was in force when.
CREATE TABLE grounds.policy_activation (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version text NOT NULL,
    activated_at timestamptz NOT NULL DEFAULT grounds.decision_time()
);
INSERT INTO grounds.policy_activation (version, activated_at) SELECT version, activated_at FROM grounds.policy ORDER BY activated_at;
CREATE FUNCTION grounds.keep_activation() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO grounds.policy_activation (version)
    SELECT NEW.version WHERE NEW.version IS DISTINCT FROM (
        SELECT a.version FROM grounds.policy_activation a ORDER BY a.id DESC LIMIT 1);
    RETURN NULL;
END $$;
CREATE TRIGGER kept AFTER INSERT OR UPDATE OF active ON grounds.policy
    FOR EACH ROW WHEN (NEW.active) EXECUTE FUNCTION grounds.keep_activation();

-- The instants that somebody asks about: what was known then, and of when.
CREATE FUNCTION grounds.known_at() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
RETURN grounds.claim('known_at')::timestamptz;
CREATE FUNCTION grounds.valid_at() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
RETURN grounds.claim('valid_at')::timestamptz;

-- The policy of that time: the last one put in force until then, or else the first.
CREATE VIEW grounds.past_policy WITH (security_invoker) AS
SELECT p.version, p.document, TRUE AS active
FROM grounds.policy p
WHERE p.version = coalesce(
    (SELECT a.version FROM grounds.policy_activation a WHERE a.activated_at <= grounds.valid_at() ORDER BY a.id DESC LIMIT 1),
    (SELECT a.version FROM grounds.policy_activation a ORDER BY a.id LIMIT 1));

-- Text of what is deleted, or was retracted for good, goes within a week; what is kept of it is the ledger. An item that
-- is permitted again without its text is UNKNOWN under DEIDENTIFIED until the platform sends it again.
ALTER TABLE grounds.content ADD COLUMN purged_at timestamptz;
CREATE INDEX content_deleted ON grounds.content (recorded_at) WHERE deleted_at IS NOT NULL AND purged_at IS NULL;

CREATE FUNCTION grounds.purge_texts(at_most int) RETURNS int LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
    WITH gone AS (
        (SELECT c.id FROM grounds.content c
         WHERE c.deleted_at IS NOT NULL AND c.purged_at IS NULL
            AND c.recorded_at <= grounds.decision_time() - interval '6 days' LIMIT at_most)
        UNION
        (SELECT r.item FROM (SELECT set_config('grounds.duty', 'purge', TRUE) AS duty OFFSET 0) claim
         CROSS JOIN LATERAL (
            SELECT item FROM grounds.retraction
            WHERE kind = 'RETRACT' AND retracted_at <= grounds.decision_time() - interval '6 days'
                AND claim.duty IS NOT NULL OFFSET 0) r
         CROSS JOIN LATERAL (SELECT purged_at FROM grounds.content WHERE id = r.item OFFSET 0) c
         CROSS JOIN LATERAL (SELECT shortfall FROM grounds.decision WHERE id = r.item OFFSET 0) d
         WHERE c.purged_at IS NULL AND d.shortfall <> '{}' LIMIT at_most)
    ), purged AS (
        UPDATE grounds.content c
        SET text = NULL, media = NULL, pipeline = NULL, media_deidentified = NULL, purged_at = grounds.decision_time()
        FROM gone WHERE c.id = gone.id RETURNING c.id
    )
    SELECT count(*)::int FROM purged
$$;
