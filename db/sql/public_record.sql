-- What everyone can read without a token, on the public page.

-- The holds that stop deliveries now, without those of single accounts, and without those that a planted item opened: they
-- are no order of an authority. What an officer wrote as the reason is not shown.
CREATE FUNCTION grounds.public_holds(OUT scope text, OUT value text, OUT authority text, OUT opened_at timestamptz)
RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT h.scope, h.value, h.authority, h.opened_at
    FROM grounds.hold h CROSS JOIN grounds.policy p
    WHERE p.active AND h.scope IN ('GLOBAL', 'COUNTRY', 'PRODUCT')
        AND NOT EXISTS (SELECT FROM grounds.canary_incident i WHERE i.hold = h.id)
        AND coalesce(h.lifted_at + make_interval(hours => (p.document #>> '{dwell,hold_hours}')::int), 'infinity')
            > grounds.decision_time()
    ORDER BY h.id
$$;

-- Every policy with the times for which it was in force, the latest first.
CREATE FUNCTION grounds.public_policies(OUT version text, OUT title text, OUT in_force_from timestamptz,
    OUT in_force_until timestamptz)
RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT a.version, coalesce(p.document ->> 'title', ''),
        greatest(a.activated_at, (p.document ->> 'effective_from')::timestamptz),
        least(lead(a.activated_at) OVER (ORDER BY a.id), (p.document ->> 'effective_until')::timestamptz)
    FROM grounds.policy_activation a JOIN grounds.policy p ON p.version = a.version ORDER BY a.id DESC
$$;

-- Whether an item was ever delivered although an objection to it had been received. How many were is not shown: a count of
-- few people tells of each of them.
CREATE FUNCTION grounds.had_incidents() RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found_any boolean;
BEGIN
    PERFORM set_config('grounds.job', 'incidents for everyone', TRUE);
    found_any := EXISTS (SELECT FROM grounds.retraction_batch b WHERE b.is_incident);
    PERFORM set_config('grounds.job', '', TRUE);
    RETURN found_any;
END $$;

-- The checkpoints from a number on, at most so many: who kept one follows the chain from there.
CREATE FUNCTION grounds.checkpoints_from(first_number bigint, at_most int) RETURNS SETOF grounds.checkpoint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT * FROM grounds.checkpoint c WHERE c.number >= first_number ORDER BY c.number LIMIT at_most
$$;

-- The releases of which a client received a file, the newest first, and at most so many. Their versions and sizes are not
-- shown: a version changes when a single item is removed.
CREATE FUNCTION grounds.public_releases(at_most int)
RETURNS TABLE (name text, purpose text, started_month date)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('grounds.job', 'releases for everyone', TRUE);
    RETURN QUERY
        SELECT r.name, r.purpose, date_trunc('month', r.started_at AT TIME ZONE 'UTC')::date FROM grounds.release r
        WHERE EXISTS (SELECT FROM grounds.release_delivery d WHERE d.release = r.id)
        ORDER BY r.id DESC LIMIT at_most;
    PERFORM set_config('grounds.job', '', TRUE);
END $$;

-- The models that clients stated, the newest statement first, and at most so many; `releases` are the names of those used.
CREATE FUNCTION grounds.public_models(at_most int)
RETURNS TABLE (model text, purpose text, started_month date, releases text[])
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('grounds.job', 'models for everyone', TRUE);
    RETURN QUERY
        SELECT t.model, t.purpose, date_trunc('month', t.started_at AT TIME ZONE 'UTC')::date, ARRAY(
            SELECT DISTINCT r.name FROM grounds.training_run_input i JOIN grounds.release r ON r.id = i.release
            WHERE i.run = t.id ORDER BY 1)
        FROM grounds.training_run t ORDER BY t.id DESC LIMIT at_most;
    PERFORM set_config('grounds.job', '', TRUE);
END $$;
