-- The report for an authority about some days: one figure per statement, so that each can be repeated.

-- The report on the days from one to another, both included, in UTC. Planted items, accounts and objections are not counted.
-- What is counted by country and language is the newest snapshot of coverage within these days.
CREATE FUNCTION grounds.authority_report(first_day date, last_day date) RETURNS json
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    since CONSTANT timestamptz := first_day::timestamp AT TIME ZONE 'UTC';
    before CONSTANT timestamptz := (last_day + 1)::timestamp AT TIME ZONE 'UTC';
    made json;
BEGIN
    IF NOT grounds.examining() THEN
        RAISE EXCEPTION 'only officers and auditors make reports' USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM set_config('grounds.job', 'report', TRUE);
    made := json_build_object(
        'firstDay', first_day, 'lastDay', last_day,
        'madeAt', to_char(grounds.decision_time() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        'policies', grounds.report_of_policies(since, before),
        'notices', grounds.report_of_notices(since, before),
        'objections', grounds.report_of_objections(since, before),
        'incidents', (
            SELECT json_build_object('items', coalesce(sum(cardinality(b.items)), 0), 'clients', count(DISTINCT b.client))
            FROM grounds.retraction_batch b WHERE b.is_incident AND b.retracted_at >= since AND b.retracted_at < before),
        'holds', grounds.report_of_holds(since, before),
        'deliveries', (
            SELECT json_build_object('receipts', count(*), 'items', coalesce(sum(d.item_count), 0),
                'clients', count(DISTINCT d.client))
            FROM grounds.delivery d WHERE d.decided_at >= since AND d.decided_at < before),
        'retractions', (
            SELECT coalesce(sum(cardinality(b.items)), 0) FROM grounds.retraction_batch b
            WHERE b.kind IN ('RETRACT', 'SUPERSEDE') AND b.retracted_at >= since AND b.retracted_at < before),
        'releases', grounds.report_of_releases(since, before),
        'trainingRuns', grounds.report_of_runs(since, before),
        'coverage', grounds.report_of_coverage(first_day, last_day));
    PERFORM set_config('grounds.job', '', TRUE);
    RETURN made;
END $$;

-- The policies that were in force at any time between two instants.
CREATE FUNCTION grounds.report_of_policies(since timestamptz, before timestamptz) RETURNS json LANGUAGE sql STABLE AS $$
    SELECT coalesce(json_agg(json_build_object('version', p.version, 'inForceFrom', p.in_force_from,
        'inForceUntil', p.in_force_until) ORDER BY p.in_force_from), '[]')
    FROM grounds.public_policies() p
    WHERE p.in_force_from < before AND coalesce(p.in_force_until, 'infinity') > since
$$;

-- How many accounts and persons received a notice that did not bounce, and how many notices bounced.
CREATE FUNCTION grounds.report_of_notices(since timestamptz, before timestamptz) RETURNS json LANGUAGE sql STABLE AS $$
    WITH told AS MATERIALIZED (
        SELECT DISTINCT n.account, coalesce(a.country, 'unknown') AS country
        FROM grounds.notice n JOIN grounds.account a ON a.id = n.account
        WHERE n.delivered_at >= since AND n.delivered_at < before AND n.bounced_at IS NULL AND a.is_known
            AND a.id <> ALL (ARRAY(SELECT grounds.planted_accounts()))
    )
    SELECT json_build_object(
        'accounts', (SELECT count(*) FROM told),
        'persons', (SELECT count(DISTINCT grounds.person_of(t.account)) FROM told t),
        'byCountry', (SELECT coalesce(json_object_agg(c.country, c.accounts ORDER BY c.country), '{}')
                      FROM (SELECT country, count(*) AS accounts FROM told GROUP BY country) c),
        'bounced', (SELECT count(*) FROM grounds.notice n WHERE n.bounced_at >= since AND n.bounced_at < before))
$$;

-- The objections that were received, by channel, and the seconds until each was in force here.
CREATE FUNCTION grounds.report_of_objections(since timestamptz, before timestamptz) RETURNS json LANGUAGE sql STABLE AS $$
    WITH received AS MATERIALIZED (
        SELECT o.id, coalesce(o.channel, 'UNKNOWN') AS channel, o.withdrawn_at,
            extract(epoch FROM greatest(e.recorded_at - o.received_at, interval '0'))::float AS seconds,
            r.rejected_at IS NOT NULL AS rejected
        FROM grounds.objection o
        CROSS JOIN LATERAL (SELECT min(recorded_at) AS recorded_at FROM grounds.consent_event
                            WHERE objection = o.id AND kind = 'OBJECTION_RECEIVED' OFFSET 0) e
        LEFT JOIN grounds.objection_rejection r ON r.objection = o.id
        WHERE o.received_at >= since AND o.received_at < before
            AND o.id <> ALL (ARRAY(SELECT grounds.planted_objections()))
    )
    SELECT json_build_object(
        'received', (SELECT count(*) FROM received),
        'byChannel', (SELECT coalesce(json_object_agg(c.channel, c.objections ORDER BY c.channel), '{}')
                      FROM (SELECT channel, count(*) AS objections FROM received GROUP BY channel) c),
        'withdrawn', (SELECT count(*) FROM received WHERE withdrawn_at IS NOT NULL),
        'unmatched', (SELECT count(*) FROM received r WHERE NOT r.rejected AND r.withdrawn_at IS NULL
                        AND r.id IN (SELECT n.objection FROM grounds.unmatched_objections() n OFFSET 0)),
        'rejected', (SELECT count(*) FROM received WHERE rejected),
        'secondsToEffect', (SELECT json_build_object('median', percentile_disc(0.5) WITHIN GROUP (ORDER BY seconds),
            'p95', percentile_disc(0.95) WITHIN GROUP (ORDER BY seconds), 'max', max(seconds)) FROM received))
$$;

-- The holds that stopped deliveries at any time between two instants; of an account without its id.
CREATE FUNCTION grounds.report_of_holds(since timestamptz, before timestamptz) RETURNS json LANGUAGE sql STABLE AS $$
    SELECT coalesce(json_agg(json_build_object('scope', h.scope,
        'value', CASE WHEN h.scope <> 'ACCOUNT' THEN h.value END, 'authority', h.authority, 'openedAt', h.opened_at,
        'liftedAt', h.lifted_at) ORDER BY h.id), '[]')
    FROM grounds.hold h WHERE h.opened_at < before AND coalesce(h.lifted_at, 'infinity') >= since
$$;

CREATE FUNCTION grounds.report_of_releases(since timestamptz, before timestamptz) RETURNS json LANGUAGE sql STABLE AS $$
    SELECT coalesce(json_agg(json_build_object('client', k.name, 'name', r.name, 'purpose', r.purpose,
        'startedAt', r.started_at) ORDER BY r.id), '[]')
    FROM grounds.release r JOIN grounds.client k ON k.id = r.client
    WHERE r.started_at >= since AND r.started_at < before
$$;

CREATE FUNCTION grounds.report_of_runs(since timestamptz, before timestamptz) RETURNS json LANGUAGE sql STABLE AS $$
    SELECT coalesce(json_agg(json_build_object('client', k.name, 'model', t.model, 'purpose', t.purpose,
        'startedAt', t.started_at) ORDER BY t.id), '[]')
    FROM grounds.training_run t JOIN grounds.client k ON k.id = t.client
    WHERE t.recorded_at >= since AND t.recorded_at < before
$$;

-- Items, and permitted items for the first purpose of the policy, of the newest snapshot within some days; NULL without one.
CREATE FUNCTION grounds.report_of_coverage(first_day date, last_day date) RETURNS json LANGUAGE sql STABLE AS $$
    WITH taken AS (
        SELECT s.day, s.policy, s.purposes[1] AS purpose FROM grounds.coverage_snapshot s
        WHERE s.taken_at IS NOT NULL AND s.day BETWEEN first_day AND last_day ORDER BY s.day DESC LIMIT 1
    ), counted AS (
        SELECT c.shape, coalesce(c.country, c.language) AS value, c.counts[1] AS items, c.counts[2] AS permitted
        FROM taken t JOIN grounds.coverage_cell c ON c.day = t.day AND c.purpose = t.purpose AND c.shape IN (0, 4, 8)
    )
    SELECT json_build_object('day', t.day, 'policy', t.policy, 'purpose', t.purpose,
        'items', (SELECT items FROM counted WHERE shape = 0), 'permitted', (SELECT permitted FROM counted WHERE shape = 0),
        'byCountry', (SELECT coalesce(json_object_agg(value, json_build_object('items', items, 'permitted', permitted)
            ORDER BY value), '{}') FROM counted WHERE shape = 4),
        'byLanguage', (SELECT coalesce(json_object_agg(value, json_build_object('items', items, 'permitted', permitted)
            ORDER BY value), '{}') FROM counted WHERE shape = 8))
    FROM taken t
$$;
