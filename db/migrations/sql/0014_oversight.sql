-- Clients: one officer suspends a client at once, it receives nothing from the next page on; to resume takes two.
CREATE TABLE grounds.client_suspension (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client int NOT NULL,
    reason text NOT NULL,
    suspended_by text NOT NULL,
    suspended_at timestamptz NOT NULL,
    resume_asked_by text,
    resume_asked_at timestamptz,
    resumed_by text CHECK (resumed_by <> resume_asked_by),
    resumed_at timestamptz
);
CREATE UNIQUE INDEX client_suspension_open ON grounds.client_suspension (client) WHERE resumed_at IS NULL;

-- NULL: there is no such client.
CREATE FUNCTION grounds.suspend_client(client_name text, its_reason text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    officer constant text := grounds.acting_officer();
    holder int;
BEGIN
    UPDATE grounds.client SET suspended = TRUE WHERE name = client_name RETURNING id INTO holder;
    IF holder IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO grounds.client_suspension (client, reason, suspended_by, suspended_at)
    VALUES (holder, its_reason, officer, grounds.decision_time()) ON CONFLICT DO NOTHING;
    RETURN CASE WHEN FOUND THEN 'SUSPENDED' ELSE 'SUSPENDED_BEFORE' END;
END $$;

-- The first officer asks, another one lets the client receive items again. NULL: no officer suspended such a client.
CREATE FUNCTION grounds.resume_client(client_name text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    officer constant text := grounds.acting_officer();
    found_suspension grounds.client_suspension;
BEGIN
    SELECT s.* INTO found_suspension FROM grounds.client_suspension s JOIN grounds.client k ON k.id = s.client
    WHERE k.name = client_name AND s.resumed_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    ELSIF found_suspension.resume_asked_by IS NULL THEN
        UPDATE grounds.client_suspension SET resume_asked_by = officer, resume_asked_at = grounds.decision_time()
        WHERE id = found_suspension.id;
        RETURN 'ASKED';
    ELSIF found_suspension.resume_asked_by = officer THEN
        RETURN 'SAME_OFFICER';
    END IF;
    UPDATE grounds.client_suspension SET resumed_by = officer, resumed_at = grounds.decision_time()
    WHERE id = found_suspension.id;
    UPDATE grounds.client SET suspended = FALSE WHERE id = found_suspension.client;
    RETURN 'RESUMED';
END $$;

-- Why a client receives nothing.
DROP FUNCTION grounds.overdue();
CREATE FUNCTION grounds.withheld() RETURNS text LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN suspended THEN 'SUSPENDED' WHEN overdue_at <= grounds.decision_time() THEN 'OVERDUE' END
    FROM grounds.client WHERE id = grounds.claimed_client()
$$;

-- Webhooks as officers see them: a path may be a secret, so nothing but the host leaves.
ALTER TABLE grounds.webhook ADD COLUMN attempted_at timestamptz; -- NULL: nothing was posted to this URL yet
CREATE FUNCTION grounds.client_webhooks() RETURNS TABLE (client int, host text, attempted_at timestamptz, failures int)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT w.client, substring(w.url FROM '^[^:]+://(\[[^]]*\]|[^/:?]*)'), w.attempted_at, w.failures
    FROM grounds.webhook w WHERE grounds.examining()
$$;

CREATE OR REPLACE FUNCTION grounds.register_webhook(client_name text, stated boolean, stated_url text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '4s' AS $$
DECLARE
    holder int;
BEGIN
    PERFORM grounds.acting_officer();
    holder := grounds.register_client(client_name);
    IF stated AND stated_url IS NULL THEN
        DELETE FROM grounds.webhook WHERE client = holder;
    ELSIF stated THEN
        INSERT INTO grounds.webhook AS w (client, url, sent)
        SELECT k.id, stated_url, k.acknowledged FROM grounds.client k WHERE k.id = holder
        ON CONFLICT (client) DO UPDATE SET failures = 0, next_at = '-infinity', url = excluded.url,
            sent = CASE WHEN w.url = excluded.url THEN w.sent ELSE excluded.sent END,
            attempted_at = CASE WHEN w.url = excluded.url THEN w.attempted_at END;
    END IF;
    RETURN (SELECT url FROM grounds.webhook WHERE client = holder);
END $$;

CREATE OR REPLACE FUNCTION grounds.record_webhook(holder int, posted_to text, up_to bigint) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE grounds.webhook SET
        attempted_at = grounds.decision_time(),
        sent = coalesce(up_to, sent),
        failures = CASE WHEN up_to IS NULL THEN failures + 1 ELSE 0 END,
        next_at = CASE WHEN up_to IS NULL
            THEN clock_timestamp()
                + least(2 ^ least(failures + 1, 12), 3600) * (0.8 + 0.4 * random()) * interval '1 second'
            ELSE '-infinity' END
    WHERE client = holder AND url = posted_to
$$;

-- What `grounds verify` found, written by the administrator who ran it. It vouches for nothing: who can write the ledger
-- can write this too; a checkpoint that is kept elsewhere does.
CREATE TABLE grounds.verification (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    verified_at timestamptz NOT NULL DEFAULT grounds.decision_time(),
    verified_by text NOT NULL DEFAULT session_user,
    checkpoints int NOT NULL,
    receipts bigint NOT NULL,
    unsealed bigint NOT NULL,
    findings int NOT NULL,
    up_to timestamptz -- when the newest checkpoint was sealed; NULL: there is none
);

-- Objections that reach nobody: an officer says whom they mean, at once; to set one aside takes two. Set aside is not
-- gone: it stays in force for whomever its own targets reach later.
ALTER TABLE grounds.objection_target ADD COLUMN named_by text; -- the officer who matched it; NULL: whoever filed it
CREATE INDEX objection_received ON grounds.objection (received_at);

CREATE TABLE grounds.objection_rejection (
    objection bigint PRIMARY KEY,
    reason text NOT NULL,
    asked_by text NOT NULL,
    asked_at timestamptz NOT NULL,
    rejected_by text CHECK (rejected_by <> asked_by),
    rejected_at timestamptz
);

-- Of which no target is known. A function with rows: PostgreSQL makes it part of the statement that asks. OFFSET 0 keeps
-- each look-up a look-up, and no hash of a whole table.
CREATE FUNCTION grounds.reaching_nobody() RETURNS TABLE (objection bigint) LANGUAGE sql STABLE AS $$
    SELECT o.id FROM grounds.objection o WHERE NOT EXISTS (
        SELECT FROM grounds.objection_target t
        WHERE t.objection = o.id AND CASE t.kind
            WHEN 'ACCOUNT' THEN EXISTS (SELECT FROM grounds.account a WHERE a.platform_id = t.value AND a.known OFFSET 0)
            WHEN 'PERSON' THEN EXISTS (SELECT FROM grounds.account_person p WHERE p.person = t.value OFFSET 0)
            ELSE EXISTS (SELECT FROM grounds.account_contact k WHERE k.contact = t.value OFFSET 0) END OFFSET 0)
$$;

-- Only ever adds a target: who is named once, is named for good. NULL: there is no such objection.
CREATE FUNCTION grounds.match_objection(matched bigint, account_name text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    officer constant text := grounds.acting_officer();
BEGIN
    IF NOT EXISTS (SELECT FROM grounds.objection_in_force o WHERE o.id = matched AND o.withdrawn_at IS NULL) THEN
        RETURN NULL;
    ELSIF NOT EXISTS (SELECT FROM grounds.account a WHERE a.platform_id = account_name AND a.known) THEN
        RETURN 'NO_ACCOUNT';
    END IF;
    INSERT INTO grounds.objection_target (objection, kind, value, named_by)
    VALUES (matched, 'ACCOUNT', account_name, officer) ON CONFLICT DO NOTHING;
    RETURN 'MATCHED';
END $$;

-- The first officer says why, another one agrees. NULL: there is no such objection that reaches nobody.
CREATE FUNCTION grounds.reject_objection(rejected bigint, its_reason text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    officer constant text := grounds.acting_officer();
    known grounds.objection_rejection;
BEGIN
    PERFORM FROM grounds.objection_in_force o JOIN grounds.reaching_nobody() n ON n.objection = o.id
    WHERE o.id = rejected AND o.withdrawn_at IS NULL;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO grounds.objection_rejection (objection, reason, asked_by, asked_at)
    SELECT rejected, its_reason, officer, grounds.decision_time() WHERE its_reason IS NOT NULL ON CONFLICT DO NOTHING;
    IF FOUND THEN
        RETURN 'ASKED';
    END IF;
    SELECT * INTO known FROM grounds.objection_rejection r WHERE r.objection = rejected FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'NO_REASON';
    ELSIF known.rejected_by IS NOT NULL THEN
        RETURN 'REJECTED_BEFORE';
    ELSIF known.asked_by = officer THEN
        RETURN 'SAME_OFFICER';
    ELSIF its_reason <> known.reason THEN
        RETURN 'OTHER_REASON';
    END IF;
    UPDATE grounds.objection_rejection SET rejected_by = officer, rejected_at = grounds.decision_time()
    WHERE objection = rejected;
    RETURN 'REJECTED';
END $$;

-- How objections stand, and how long those of the last 90 days took from being received to being in force here.
-- When each was first recorded is in the ledger: the row itself says when it was last.
CREATE FUNCTION grounds.count_objections(
    OUT received bigint, OUT in_force bigint, OUT withdrawn bigint, OUT unmatched bigint, OUT rejected bigint,
    OUT median double precision, OUT p95 double precision, OUT longest double precision
) LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = on SET enable_hashjoin = on AS $$
    WITH kept AS MATERIALIZED (
        SELECT o.id, o.withdrawn_at, o.withdrawn_at <= grounds.decision_time()
            - make_interval(hours => 24 * (p.document #>> '{dwell,withdrawal_days}')::int) AS over,
            r.rejected_at IS NOT NULL AS rejected, o.withdrawn_at IS NULL AND r.rejected_at IS NULL
                AND EXISTS (SELECT FROM grounds.reaching_nobody() n WHERE n.objection = o.id OFFSET 0) AS unmatched
        FROM grounds.objection_in_force o
        CROSS JOIN (SELECT document FROM grounds.policy WHERE active) p
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

-- Whom the notices of an epoch concern: whose items a notice can make qualify. Active adults of the policy's kinds,
-- regions and products (unknown is out), who have not objected to everything.
CREATE FUNCTION grounds.concerned_by_notices() RETURNS TABLE (account bigint, country text) LANGUAGE sql STABLE AS $$
    WITH policy AS MATERIALIZED ( -- read once: to parse it for every account took 70 µs each
        SELECT ARRAY(SELECT json_array_elements_text(document -> 'account_kinds')) AS kinds,
            ARRAY(SELECT json_array_elements_text(document -> 'regions')) AS regions,
            ARRAY(SELECT json_array_elements_text(g.value -> 'products') FROM json_each(document -> 'grounds') g
                  WHERE g.key <> 'OPTED_IN') AS products,
            grounds.decision_time() AS now, grounds.decision_time()
                - make_interval(hours => 24 * (document #>> '{dwell,withdrawal_days}')::int) AS withdrawal_cutoff
        FROM grounds.policy WHERE active
    )
    SELECT s.account, s.country
    FROM policy p CROSS JOIN grounds.account_standing s
    WHERE s.known AND s.status = 'ACTIVE' AND s.adult_from <= p.now AND s.minor_until <= p.now
        AND s.kind = ANY (p.kinds) AND s.country = ANY (p.regions) AND s.product = ANY (p.products)
        AND NOT (s.objected_public_until > p.withdrawal_cutoff AND s.objected_ai_until > p.withdrawal_cutoff)
$$;

-- Of these, whom no notice of the epoch or later reached.
CREATE OR REPLACE FUNCTION grounds.must_be_told(told_epoch text) RETURNS TABLE (account bigint) LANGUAGE sql STABLE AS $$
    SELECT c.account FROM grounds.concerned_by_notices() c
    WHERE NOT EXISTS (
        SELECT FROM grounds.notice n
        WHERE n.account = c.account AND n.epoch >= told_epoch AND n.bounced_at IS NULL
            AND n.delivered_at <= grounds.decision_time())
$$;

-- How far the notices of an epoch came, counted by a duty: to count takes seconds where there are many accounts.
CREATE TABLE grounds.notice_count (
    epoch text NOT NULL,
    country text, -- NULL: all of them
    channel text, -- NULL: by any of them
    reached bigint NOT NULL,
    waiting bigint NOT NULL,
    unknown bigint NOT NULL,
    bounced bigint NOT NULL,
    never bigint NOT NULL,
    counted_at timestamptz NOT NULL,
    UNIQUE NULLS NOT DISTINCT (epoch, country, channel)
);

-- Each account once a row: by a channel or by any of them, in the best state that one of its notices is in. A task says
-- what its notice does not: that it waits, is on its way, or that nobody knows. Estimates of whom notices
-- concern are far off (1 against 400,000): a nested loop over them would take hours.
CREATE FUNCTION grounds.count_notices() RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_nestloop = off SET work_mem = '64MB' AS $$
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
    )
    INSERT INTO grounds.notice_count (epoch, country, channel, reached, waiting, unknown, bounced, never, counted_at)
    SELECT e.epoch, c.country, v.channel, count(*) FILTER (WHERE v.state = 1), count(*) FILTER (WHERE v.state = 2),
        count(*) FILTER (WHERE v.state = 3), count(*) FILTER (WHERE v.state = 4), count(*) FILTER (WHERE v.state = 5),
        grounds.decision_time()
    FROM epochs e CROSS JOIN (SELECT * FROM grounds.concerned_by_notices() OFFSET 0) c
    LEFT JOIN best b ON b.epoch = e.epoch AND b.account = c.account
    CROSS JOIN LATERAL (VALUES (NULL, least(coalesce(b.email, 5), coalesce(b.in_app, 5))),
        ('EMAIL', coalesce(b.email, 5)), ('IN_APP', coalesce(b.in_app, 5))) v (channel, state)
    GROUP BY GROUPING SETS ((e.epoch, v.channel), (e.epoch, v.channel, c.country));
$$;
