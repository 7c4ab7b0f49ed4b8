-- Roles of the whole cluster. The owner cannot log in; each audience has a login of its own, which can do little.
DO $$
DECLARE
    name text;
    setting text;
BEGIN
    FOREACH name IN ARRAY ARRAY['grounds_owner', 'grounds_training', 'grounds_staff', 'grounds_subject', 'grounds_dashboard',
        'grounds_ingest', 'grounds_worker'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I', name);
        END IF;
        IF name = 'grounds_owner' THEN
            ALTER ROLE grounds_owner NOLOGIN;
        ELSE
            EXECUTE format('ALTER ROLE %I LOGIN', name);
            EXECUTE format('ALTER ROLE %I SET jit = off', name);
            EXECUTE format('ALTER ROLE %I SET timezone = ''UTC''', name);
            -- What was answered stays, whatever the server's own setting is: a receipt, an objection. A synchronous standby that
            -- serves reads has applied it too (with `on`, one acknowledged objection in 60 was still permitted there).
            EXECUTE format('ALTER ROLE %I SET synchronous_commit = remote_apply', name);
        END IF;
    END LOOP;
    IF NOT pg_has_role('grounds_owner', 'USAGE') THEN -- from 16 on, who creates a role is a member that may not use it
        EXECUTE format('GRANT grounds_owner TO %I', current_user);
    END IF;

    -- These settings hold from log-in; SET ROLE would not apply them.
    FOREACH name IN ARRAY ARRAY['grounds_training', 'grounds_staff', 'grounds_subject', 'grounds_dashboard'] LOOP
        EXECUTE format('ALTER ROLE %I SET statement_timeout = ''5s''', name);
        EXECUTE format('ALTER ROLE %I SET lock_timeout = ''500ms''', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['grounds_staff', 'grounds_subject', 'grounds_dashboard'] LOOP
        EXECUTE format('ALTER ROLE %I SET default_transaction_read_only = on', name);
    END LOOP;
    -- A process that stands still in the middle of a transaction, on a machine that was paused for example, must not keep
    -- its locks from others. No transaction of these waits for anything but the database, except that of the webhooks' job: for
    -- answers, 10 s at most.
    FOREACH name IN ARRAY ARRAY['grounds_training', 'grounds_staff', 'grounds_subject', 'grounds_dashboard',
        'grounds_ingest', 'grounds_worker'] LOOP
        EXECUTE format('ALTER ROLE %I SET idle_in_transaction_session_timeout = ''30s''', name);
    END LOOP;

    -- Estimates of eligibility are far off (1 row against hundreds of thousands), so a page is held to its one good plan:
    -- items in the order of an index, and for each of them a look-up of its author's standing.
    FOREACH setting IN ARRAY ARRAY['sort', 'seqscan', 'bitmapscan', 'hashjoin', 'mergejoin', 'material'] LOOP
        EXECUTE format('ALTER ROLE grounds_training SET enable_%s = off', setting);
    END LOOP;
    -- Those who examine read pages and single items too.
    FOREACH setting IN ARRAY ARRAY['seqscan', 'hashjoin', 'mergejoin'] LOOP
        EXECUTE format('ALTER ROLE grounds_staff SET enable_%s = off', setting);
        EXECUTE format('ALTER ROLE grounds_subject SET enable_%s = off', setting);
    END LOOP;
    -- To plan a decision anew takes as long as to make it.
    FOREACH name IN ARRAY ARRAY['grounds_training', 'grounds_staff', 'grounds_subject'] LOOP
        EXECUTE format('ALTER ROLE %I SET plan_cache_mode = force_generic_plan', name);
    END LOOP;
END $$;
-- A merge looks a few thousand names up in tables of millions: by index, whatever the statistics of a new database say.
ALTER ROLE grounds_ingest SET enable_hashjoin = off;
ALTER ROLE grounds_ingest SET enable_mergejoin = off;
ALTER ROLE grounds_ingest SET random_page_cost = 1.1;
