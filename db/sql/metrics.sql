-- The gauges of /metrics: how much waits, and since when. Of clients their names, of people nothing.
CREATE FUNCTION grounds.operating_gauges() RETURNS TABLE (name text, client text, value double precision)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    sealed CONSTANT bigint := coalesce((SELECT c.last_receipt FROM grounds.newest_checkpoint() c), 0);
BEGIN
    PERFORM set_config('grounds.job', 'metrics', TRUE);
    RETURN QUERY
        SELECT g.name, NULL::text, coalesce(g.value, 0)::double precision FROM (
            SELECT 'retraction_queue_length' AS name, count(*) AS value FROM grounds.changes_to_retract()
            UNION ALL SELECT 'retraction_oldest_seconds', extract(epoch FROM clock_timestamp() - min(q.marked_at))
                FROM grounds.changes_to_retract() q
            UNION ALL SELECT 'objections_unmatched', count(*)
                FROM grounds.unmatched_objections() u JOIN grounds.objection_in_force o ON o.id = u.objection
                WHERE o.withdrawn_at IS NULL AND NOT EXISTS (
                    SELECT FROM grounds.objection_rejection r
                    WHERE r.objection = o.id AND r.rejected_at IS NOT NULL OFFSET 0)
            UNION ALL SELECT 'ledger_unsealed_receipts', count(*)
                FROM (SELECT FROM grounds.delivery d WHERE d.id > sealed LIMIT 100000) unsealed
            UNION ALL SELECT 'holds_open', count(*) FROM grounds.hold h
                WHERE coalesce(h.lifted_at, 'infinity') > grounds.decision_time()
            UNION ALL SELECT 'canary_incidents', count(*) FROM grounds.canary_incident
            UNION ALL SELECT 'altered_media', count(*) FROM grounds.altered_medium
        ) g;
    RETURN QUERY
        SELECT v.name, NULL::text, v.value::double precision
        FROM (SELECT w.findings, w.verified_at FROM grounds.verification w ORDER BY w.id DESC LIMIT 1) newest
        CROSS JOIN LATERAL (VALUES
            ('ledger_verify_ok', (newest.findings = 0)::int::numeric),
            ('ledger_verified_timestamp_seconds', extract(epoch FROM newest.verified_at))) v (name, value);
    RETURN QUERY
        SELECT 'retractions_unacknowledged', k.name, u.number::double precision
        FROM grounds.client k CROSS JOIN LATERAL (
            SELECT grounds.count_retractions_after(k.id, k.acknowledged) AS number OFFSET 0) u;
END $$;
