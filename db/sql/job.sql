-- The state of each background job. A job runs in one process at a time, and `grounds status` is a process of its own.
CREATE TABLE grounds.job (
    name text PRIMARY KEY,
    last_success_at timestamptz,
    failing_since timestamptz,
    error_kind text,
    seconds double precision NOT NULL DEFAULT 0,                -- how often it is done
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),  -- when a server last began to do it
    CHECK ((failing_since IS NULL) = (error_kind IS NULL))
);

-- Record that a job succeeded (no error), or failed with a kind of error; the message may hold data.
CREATE FUNCTION grounds.record_job(job_name text, error text) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO grounds.job AS j (name, last_success_at, failing_since, error_kind)
    VALUES (
        job_name,
        CASE WHEN error IS NULL THEN clock_timestamp() END,
        CASE WHEN error IS NOT NULL THEN clock_timestamp() END,
        error
    )
    ON CONFLICT (name) DO UPDATE SET
        last_success_at = coalesce(excluded.last_success_at, j.last_success_at),
        failing_since = CASE WHEN error IS NOT NULL THEN coalesce(j.failing_since, excluded.failing_since) END,
        error_kind = error
$$;

-- Record which jobs a server that starts does, and how often. A job that no server has any more is forgotten.
CREATE FUNCTION grounds.start_jobs(names text[], intervals double precision[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM grounds.job j WHERE j.name <> ALL (names);
    INSERT INTO grounds.job (name, seconds) SELECT * FROM unnest(names, intervals)
    ON CONFLICT (name) DO UPDATE SET seconds = excluded.seconds, started_at = excluded.started_at;
END $$;

-- The state of each job. One that neither succeeds nor fails for ten minutes and two of its intervals is overdue: it hangs,
-- or the process that does it stands still.
CREATE FUNCTION grounds.job_states() RETURNS TABLE (
    name text, last_success_at timestamptz, failing_since timestamptz, error_kind text, is_overdue boolean
) LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('grounds.job', 'read jobs', TRUE);
    RETURN QUERY
        SELECT j.name, j.last_success_at, j.failing_since, j.error_kind, greatest(j.last_success_at, j.started_at)
            < clock_timestamp() - make_interval(secs => 600 + 2 * j.seconds)
        FROM grounds.job j ORDER BY j.name;
END $$;
