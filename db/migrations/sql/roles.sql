-- Roles of the whole cluster. The owner cannot log in; each audience has a login of its own, which can do little.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['grounds_owner', 'grounds_training', 'grounds_staff', 'grounds_subject', 'grounds_dashboard',
        'grounds_ingest'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I', name);
        END IF;
    END LOOP;
    IF NOT pg_has_role('grounds_owner', 'USAGE') THEN -- from 16 on, who creates a role is a member that may not use it
        EXECUTE format('GRANT grounds_owner TO %I', current_user);
    END IF;
END $$;
ALTER ROLE grounds_owner NOLOGIN;
ALTER ROLE grounds_training LOGIN;
ALTER ROLE grounds_staff LOGIN;
ALTER ROLE grounds_subject LOGIN;
ALTER ROLE grounds_dashboard LOGIN;
ALTER ROLE grounds_ingest LOGIN;

-- These settings hold from log-in; SET ROLE would not apply them. Estimates of eligibility are far off (1 row against
-- hundreds of thousands), so a page is held to its one good plan: items in the order of an index, and for each of them
-- a look-up of its author's standing.
ALTER ROLE grounds_training SET enable_sort = off;
ALTER ROLE grounds_training SET enable_seqscan = off;
ALTER ROLE grounds_training SET enable_bitmapscan = off;
ALTER ROLE grounds_training SET enable_hashjoin = off;
ALTER ROLE grounds_training SET enable_mergejoin = off;
ALTER ROLE grounds_training SET enable_material = off;
ALTER ROLE grounds_training SET jit = off;
ALTER ROLE grounds_training SET plan_cache_mode = force_generic_plan;
ALTER ROLE grounds_training SET statement_timeout = '5s';
ALTER ROLE grounds_training SET lock_timeout = '500ms';
ALTER ROLE grounds_training SET timezone = 'UTC';
-- Those who examine read pages and single items too; to plan a decision anew takes as long as to make it.
ALTER ROLE grounds_staff SET enable_seqscan = off;
ALTER ROLE grounds_staff SET enable_hashjoin = off;
ALTER ROLE grounds_staff SET enable_mergejoin = off;
ALTER ROLE grounds_staff SET jit = off;
ALTER ROLE grounds_staff SET plan_cache_mode = force_generic_plan;
ALTER ROLE grounds_staff SET statement_timeout = '5s';
ALTER ROLE grounds_staff SET lock_timeout = '500ms';
ALTER ROLE grounds_staff SET timezone = 'UTC';
ALTER ROLE grounds_staff SET default_transaction_read_only = on;
ALTER ROLE grounds_subject SET enable_seqscan = off;
ALTER ROLE grounds_subject SET enable_hashjoin = off;
ALTER ROLE grounds_subject SET enable_mergejoin = off;
ALTER ROLE grounds_subject SET jit = off;
ALTER ROLE grounds_subject SET plan_cache_mode = force_generic_plan;
ALTER ROLE grounds_subject SET statement_timeout = '5s';
ALTER ROLE grounds_subject SET lock_timeout = '500ms';
ALTER ROLE grounds_subject SET timezone = 'UTC';
ALTER ROLE grounds_subject SET default_transaction_read_only = on;
ALTER ROLE grounds_dashboard SET jit = off;
ALTER ROLE grounds_dashboard SET statement_timeout = '5s';
ALTER ROLE grounds_dashboard SET lock_timeout = '500ms';
ALTER ROLE grounds_dashboard SET timezone = 'UTC';
ALTER ROLE grounds_dashboard SET default_transaction_read_only = on;
-- A merge looks a few thousand names up in tables of millions: by index, whatever the statistics of a new database say.
ALTER ROLE grounds_ingest SET enable_hashjoin = off;
ALTER ROLE grounds_ingest SET enable_mergejoin = off;
ALTER ROLE grounds_ingest SET random_page_cost = 1.1;
ALTER ROLE grounds_ingest SET jit = off;
ALTER ROLE grounds_ingest SET timezone = 'UTC';
