-- The incarnations of the database: it begins a new one whenever it was restored. An id contains the incarnation in which
-- its row was first stored, because a restored database gives numbers out again.
CREATE TABLE grounds.incarnation (
    number int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    value bigint NOT NULL UNIQUE CHECK (value BETWEEN 0 AND 4294967295),
    last_ids jsonb NOT NULL, -- of each table: the last row that existed when the incarnation began
    began_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE FUNCTION grounds.begin_incarnation() RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    before constant jsonb := coalesce(
        (SELECT i.last_ids FROM grounds.incarnation i ORDER BY i.number DESC LIMIT 1), '{}');
    name text;
    found bigint;
    last_ids jsonb := '{}';
BEGIN
    PERFORM set_config('grounds.job', 'begin incarnation', TRUE);
    FOREACH name IN ARRAY ARRAY['account', 'content', 'notice', 'objection', 'consent_event', 'hold', 'delivery', 'release',
        'retraction', 'training_run'] LOOP
        IF name = 'retraction' THEN
            found := (SELECT max(b.last_id) FROM grounds.retraction_batch b);
        ELSE
            EXECUTE format('SELECT max(id) FROM grounds.%I', name) INTO found;
        END IF;
        -- Of rows that were removed, the ids stay as they were.
        last_ids := last_ids || jsonb_build_object(name, greatest(found, (before ->> name)::bigint, 0));
    END LOOP;
    INSERT INTO grounds.incarnation (value, last_ids) -- the first 32 bits of a random UUID are random
    VALUES (('x' || left(gen_random_uuid()::text, 8))::bit(32)::bigint, last_ids);
END $$;

CREATE FUNCTION grounds.incarnations() RETURNS TABLE (value bigint, last_ids jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT i.value, i.last_ids FROM grounds.incarnation i ORDER BY i.number
$$;

CREATE FUNCTION grounds.current_incarnation() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT i.value FROM grounds.incarnation i ORDER BY i.number DESC LIMIT 1
$$;

SELECT grounds.begin_incarnation();
