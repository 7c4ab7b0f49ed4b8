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

CREATE FUNCTION grounds.reaches_nobody(asked bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT NOT EXISTS (
        SELECT FROM grounds.objection_target t
        WHERE t.objection = asked AND CASE t.kind
            WHEN 'ACCOUNT' THEN EXISTS (SELECT FROM grounds.account a WHERE a.platform_id = t.value AND a.known)
            WHEN 'PERSON' THEN EXISTS (SELECT FROM grounds.account_person p WHERE p.person = t.value)
            ELSE EXISTS (SELECT FROM grounds.account_contact k WHERE k.contact = t.value) END)
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
    PERFORM FROM grounds.objection_in_force o
    WHERE o.id = rejected AND o.withdrawn_at IS NULL AND grounds.reaches_nobody(o.id);
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
            r.rejected_at IS NOT NULL AS rejected
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
        count(*) FILTER (WHERE withdrawn_at IS NULL AND NOT rejected AND grounds.reaches_nobody(id)),
        count(*) FILTER (WHERE rejected),
        (SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY seconds) FROM took),
        (SELECT percentile_disc(0.95) WITHIN GROUP (ORDER BY seconds) FROM took), (SELECT max(seconds) FROM took)
    FROM kept
$$;
