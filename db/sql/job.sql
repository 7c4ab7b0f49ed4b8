-- The state of each background job. A job runs in one process at a time, and `grounds status` is a process of its own.
CREATE TABLE grounds.job (
    name text PRIMARY KEY,
    last_success_at timestamptz,
    failing_since timestamptz,
    error_kind text,
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
