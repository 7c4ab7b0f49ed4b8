-- What officers count, at the size of a platform: 0014 looked at every objection, and joined accounts by epoch alone.

-- Which reach somebody, as a duty saw: who does so once does for good, since accounts, persons and contacts only ever come.
-- What is not here is looked at anew each time, so that nothing depends on how far the duty is.
CREATE TABLE grounds.objection_reaching (objection bigint PRIMARY KEY);

-- Of which no target is known. A function with rows: PostgreSQL makes it part of the statement that asks. OFFSET 0 keeps
-- each look-up a look-up, and no hash of a whole table.
CREATE OR REPLACE FUNCTION grounds.reaching_nobody() RETURNS TABLE (objection bigint) LANGUAGE sql STABLE AS $$
    SELECT o.id FROM grounds.objection o WHERE CASE
        WHEN EXISTS (SELECT FROM grounds.objection_reaching r WHERE r.objection = o.id OFFSET 0) THEN FALSE
        ELSE NOT EXISTS (
            SELECT FROM grounds.objection_target t
            WHERE t.objection = o.id AND CASE t.kind
                WHEN 'ACCOUNT' THEN EXISTS (
                    SELECT FROM grounds.account a WHERE a.platform_id = t.value AND a.known OFFSET 0)
                WHEN 'PERSON' THEN EXISTS (SELECT FROM grounds.account_person p WHERE p.person = t.value OFFSET 0)
                ELSE EXISTS (SELECT FROM grounds.account_contact k WHERE k.contact = t.value OFFSET 0) END OFFSET 0) END
$$;

CREATE FUNCTION grounds.remember_reaching() RETURNS void LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO grounds.objection_reaching (objection)
    SELECT o.id FROM grounds.objection o
    WHERE NOT EXISTS (SELECT FROM grounds.objection_reaching r WHERE r.objection = o.id OFFSET 0)
        AND NOT EXISTS (SELECT FROM grounds.reaching_nobody() n WHERE n.objection = o.id OFFSET 0)
    ON CONFLICT DO NOTHING
$$;

-- How objections stand, and how long those of the last 90 days took from being received to being in force here.
-- When each was first recorded is in the ledger: the row itself says when it was last.
CREATE OR REPLACE FUNCTION grounds.count_objections(
    OUT received bigint, OUT in_force bigint, OUT withdrawn bigint, OUT unmatched bigint, OUT rejected bigint,
    OUT median double precision, OUT p95 double precision, OUT longest double precision
) LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = on SET enable_hashjoin = on AS $$
    WITH policy AS MATERIALIZED ( -- read once: to parse it for every objection took 4 µs each
        SELECT grounds.decision_time()
            - make_interval(hours => 24 * (document #>> '{dwell,withdrawal_days}')::int) AS withdrawal_cutoff
        FROM grounds.policy WHERE active
    ), kept AS MATERIALIZED (
        SELECT o.withdrawn_at, o.withdrawn_at <= p.withdrawal_cutoff AS over, r.rejected_at IS NOT NULL AS rejected,
            o.withdrawn_at IS NULL AND r.rejected_at IS NULL
                AND o.id IN (SELECT n.objection FROM grounds.reaching_nobody() n OFFSET 0) AS unmatched
        FROM policy p CROSS JOIN grounds.objection_in_force o
        LEFT JOIN grounds.objection_rejection r ON r.objection = o.id
        WHERE grounds.examining()
    ), took AS (
        SELECT extract(epoch FROM greatest(e.recorded_at - o.received_at, interval '0'))::float AS seconds
        FROM grounds.objection o
        CROSS JOIN LATERAL (SELECT min(recorded_at) AS recorded_at FROM grounds.consent_event
                            WHERE objection = o.id AND kind = 'OBJECTION_RECEIVED' OFFSET 0) e
        WHERE o.received_at >= grounds.decision_time() - interval '90 days' AND grounds.examining()
    )
    SELECT count(*), count(*) FILTER (WHERE over IS NOT TRUE), count(withdrawn_at),
        count(*) FILTER (WHERE unmatched),
        count(*) FILTER (WHERE rejected),
        (SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY seconds) FROM took),
        (SELECT percentile_disc(0.95) WITHIN GROUP (ORDER BY seconds) FROM took), (SELECT max(seconds) FROM took)
    FROM kept
$$;

-- Each account once a row: by a channel or by any of them, in the best state that one of its notices is in. A task says
-- what its notice does not: that it waits, is on its way, or that nobody knows. Estimates of whom notices
-- concern are far off (1 against 400,000): a nested loop over them, or a merge by epoch alone, would take hours.
CREATE OR REPLACE FUNCTION grounds.count_notices() RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_nestloop = off SET enable_mergejoin = off SET work_mem = '64MB' AS $$
    SELECT pg_advisory_xact_lock(hashtextextended('grounds.notice_count', 0));
    DELETE FROM grounds.notice_count;
    WITH epochs AS MATERIALIZED (
        SELECT document #>> '{notice,epoch}' AS epoch FROM grounds.policy WHERE active
        UNION SELECT epoch FROM grounds.campaign
    ), said AS MATERIALIZED (
        SELECT e.epoch, n.account, n.channel,
            CASE WHEN n.bounced_at IS NOT NULL THEN 4 WHEN n.delivered_at <= grounds.decision_time() THEN 1 ELSE 2 END AS state
        FROM epochs e JOIN grounds.notice n ON n.epoch >= e.epoch
        UNION ALL
        SELECT e.epoch, t.account, c.channel, CASE t.state WHEN 'UNKNOWN' THEN 3 ELSE 2 END
        FROM epochs e JOIN grounds.campaign c ON c.epoch >= e.epoch JOIN grounds.notice_task t ON t.campaign = c.id
        WHERE t.state IN ('PENDING', 'SENDING', 'UNKNOWN')
    ), best AS (
        SELECT epoch, account, coalesce(min(state) FILTER (WHERE channel = 'EMAIL'), 5) AS email,
            coalesce(min(state) FILTER (WHERE channel = 'IN_APP'), 5) AS in_app
        FROM said GROUP BY epoch, account
    ), alike AS ( -- summed up before accounts are counted once for each channel and country
        SELECT e.epoch, c.country, coalesce(b.email, 5) AS email, coalesce(b.in_app, 5) AS in_app, count(*) AS accounts
        FROM epochs e CROSS JOIN (SELECT * FROM grounds.concerned_by_notices() OFFSET 0) c
        LEFT JOIN best b ON b.epoch = e.epoch AND b.account = c.account
        GROUP BY e.epoch, c.country, b.email, b.in_app
    )
    INSERT INTO grounds.notice_count (epoch, country, channel, reached, waiting, unknown, bounced, never, counted_at)
    SELECT a.epoch, a.country, v.channel, coalesce(sum(a.accounts) FILTER (WHERE v.state = 1), 0),
        coalesce(sum(a.accounts) FILTER (WHERE v.state = 2), 0), coalesce(sum(a.accounts) FILTER (WHERE v.state = 3), 0),
        coalesce(sum(a.accounts) FILTER (WHERE v.state = 4), 0), coalesce(sum(a.accounts) FILTER (WHERE v.state = 5), 0),
        grounds.decision_time()
    FROM alike a CROSS JOIN LATERAL (
        VALUES (NULL, least(a.email, a.in_app)), ('EMAIL', a.email), ('IN_APP', a.in_app)) v (channel, state)
    GROUP BY GROUPING SETS ((a.epoch, v.channel), (a.epoch, v.channel, a.country));
$$;
