-- Roles of the whole cluster. The owner cannot log in; each audience has a login of its own, which can do little.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['grounds_owner', 'grounds_training', 'grounds_staff', 'grounds_ingest'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I', name);
        END IF;
    END LOOP;
    IF NOT pg_has_role('grounds_owner', 'MEMBER') THEN
        EXECUTE format('GRANT grounds_owner TO %I', current_user);
    END IF;
END $$;
ALTER ROLE grounds_owner NOLOGIN;
ALTER ROLE grounds_training LOGIN;
ALTER ROLE grounds_staff LOGIN;
ALTER ROLE grounds_ingest LOGIN;

-- These settings hold from log-in; SET ROLE would not apply them. Estimates of eligibility are far off (53 rows against
-- hundreds of thousands), so that a page keeps index order only where sorting is off.
ALTER ROLE grounds_training SET enable_sort = off;
ALTER ROLE grounds_training SET jit = off;
ALTER ROLE grounds_training SET plan_cache_mode = force_generic_plan;
ALTER ROLE grounds_training SET statement_timeout = '5s';
ALTER ROLE grounds_training SET lock_timeout = '500ms';
ALTER ROLE grounds_training SET timezone = 'UTC';
ALTER ROLE grounds_staff SET jit = off;
ALTER ROLE grounds_staff SET statement_timeout = '5s';
ALTER ROLE grounds_staff SET lock_timeout = '500ms';
ALTER ROLE grounds_staff SET timezone = 'UTC';
ALTER ROLE grounds_staff SET default_transaction_read_only = on;
ALTER ROLE grounds_ingest SET jit = off;
ALTER ROLE grounds_ingest SET timezone = 'UTC';
