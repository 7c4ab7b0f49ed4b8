-- Objections are filed by: an officer for any target, a data subject for the own account, the public form for a contact.
-- The form never learns whether there is such an account: it is told the same either way.
CREATE FUNCTION grounds.filer(kind text, value text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF session_user <> 'grounds_subject' THEN
        RETURN grounds.acting_officer();
    ELSIF kind = 'ACCOUNT' AND value = grounds.claim('subject') THEN
        RETURN 'SUBJECT';
    ELSIF kind = 'CONTACT' AND grounds.claim('form') IS NOT NULL THEN
        RETURN 'FORM';
    END IF;
    RAISE EXCEPTION 'an objection is filed for the own account' USING ERRCODE = 'insufficient_privilege';
END $$;

-- Twelve digits of a random UUID (48 bits, all of them random): what a person can read out over the telephone.
-- A contact can have several writings, each by its hash: what was typed is never stored. An officer states when a letter,
-- an e-mail or a telephone call came; whatever else is filed is received now.
CREATE FUNCTION grounds.file_objection(
    target_kind text, target_values text[], covered text, came_by text, came_at timestamptz,
    OUT reference text, OUT received_at timestamptz
) LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    filed bigint;
    now constant timestamptz := grounds.decision_time();
BEGIN
    IF came_at IS NOT NULL AND session_user = 'grounds_subject' THEN
        RAISE EXCEPTION 'only officers state when an objection came' USING ERRCODE = 'insufficient_privilege';
    ELSIF came_at > now THEN
        RAISE EXCEPTION 'an objection came in the future' USING ERRCODE = 'datetime_field_overflow';
    END IF;
    IF cardinality(target_values) = 0 OR (target_kind <> 'CONTACT' AND cardinality(target_values) > 1)
        OR (target_kind = 'CONTACT' AND EXISTS (SELECT FROM unnest(target_values) v WHERE v !~ '^[0-9a-f]{64}$')) THEN
        RAISE EXCEPTION 'an objection names one account or person, or the hashes of a contact'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    received_at := coalesce(came_at, now);
    reference := 'filed-' || regexp_replace(gen_random_uuid()::text, '^(....)(....)-(....).*$', '\1-\2-\3');
    INSERT INTO grounds.objection (platform_id, scope, received_at, channel, observed_at, filed_by, named_account)
    VALUES (reference, covered, received_at, came_by, now, grounds.filer(target_kind, target_values[1]),
        CASE target_kind WHEN 'ACCOUNT' THEN target_values[1] END)
    RETURNING id INTO filed;
    INSERT INTO grounds.objection_target (objection, kind, value) SELECT filed, target_kind, value FROM unnest(target_values) value;
END $$;

-- A signal that speaks for a whole account is an objection by automated means (GDPR Article 21(5)). To state it again, or
-- no longer, withdraws nothing and changes nothing; once the person has withdrawn it, only a later declaration counts
-- again, and of one without a date nothing says that it is later.
CREATE FUNCTION grounds.object_by_signal(account_name text, standard text, declared_at timestamptz, dated boolean)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    since constant timestamptz := least(declared_at, grounds.decision_time());
    named constant text := 'signal:' || standard || ':' || account_name;
BEGIN
    INSERT INTO grounds.objection AS o (
        platform_id, scope, received_at, last_received_at, channel, observed_at, named_account)
    VALUES (named, 'PUBLIC_CONTENT', since, since, 'API', since, account_name)
    ON CONFLICT (platform_id) DO UPDATE SET received_at = least(o.received_at, since),
        last_received_at = greatest(o.last_received_at, CASE WHEN dated THEN since END),
        withdrawn_at = CASE WHEN dated AND since > o.withdrawn_at THEN NULL ELSE o.withdrawn_at END
    WHERE since < o.received_at OR (dated AND since > o.withdrawn_at);
    INSERT INTO grounds.objection_target (objection, kind, value)
    SELECT o.id, 'ACCOUNT', account_name FROM grounds.objection o WHERE o.platform_id = named
    ON CONFLICT DO NOTHING;
END $$;

-- Taking back is permissive: for an officer, or the account that filed it or that it names. It gives when that was, NULL
-- where there is nothing that this caller may take back. An objection that a bad line spoke of last stays: only a good record
-- of the platform can say what it is. The newer observed_at keeps an older record from undoing this.
CREATE FUNCTION grounds.withdraw_objection(named text) RETURNS timestamptz
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    of_subject constant boolean := session_user = 'grounds_subject';
    withdrawer constant text := CASE WHEN of_subject THEN 'SUBJECT' ELSE grounds.acting_officer() END;
    taken_back timestamptz;
BEGIN
    UPDATE grounds.objection o
    SET withdrawn_at = greatest(o.received_at, o.last_received_at, grounds.decision_time()),
        withdrawn_by = withdrawer,
        observed_at = greatest(o.observed_at, grounds.decision_time()), digest = NULL
    WHERE o.platform_id = named AND o.quarantined_at < o.observed_at
        AND o.withdrawn_at IS NULL
        AND (NOT of_subject OR o.id IN (SELECT grounds.own_objections()));
    SELECT o.withdrawn_at INTO taken_back FROM grounds.objection_in_force o
    WHERE o.platform_id = named
        AND (NOT of_subject OR o.id IN (SELECT grounds.own_objections()));
    RETURN taken_back;
END $$;

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
CREATE FUNCTION grounds.unmatched_objections() RETURNS TABLE (objection bigint) LANGUAGE sql STABLE AS $$
    SELECT o.id FROM grounds.objection o WHERE CASE
        WHEN EXISTS (SELECT FROM grounds.objection_matched r WHERE r.objection = o.id OFFSET 0) THEN FALSE
        ELSE NOT EXISTS (
            SELECT FROM grounds.objection_target t
            WHERE t.objection = o.id AND NOT grounds.links_nothing(t.kind, t.value) AND CASE t.kind
                WHEN 'ACCOUNT' THEN EXISTS (
                    SELECT FROM grounds.account a WHERE a.platform_id = t.value AND a.is_known OFFSET 0)
                WHEN 'PERSON' THEN EXISTS (SELECT FROM grounds.account_person p WHERE p.person = t.value OFFSET 0)
                ELSE EXISTS (SELECT FROM grounds.account_contact k WHERE k.contact = t.value OFFSET 0)
                    OR EXISTS (SELECT FROM grounds.account a WHERE a.own_contact = t.value OFFSET 0) END OFFSET 0) END
$$;

-- Only ever adds a target: who is named once, is named for good. NULL: there is no such objection.
CREATE FUNCTION grounds.match_objection(matched bigint, account_name text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    officer constant text := grounds.acting_officer();
BEGIN
    IF NOT EXISTS (SELECT FROM grounds.objection_in_force o WHERE o.id = matched AND o.withdrawn_at IS NULL) THEN
        RETURN NULL;
    ELSIF NOT EXISTS (SELECT FROM grounds.account a WHERE a.platform_id = account_name AND a.is_known) THEN
        RETURN 'NO_ACCOUNT';
    END IF;
    INSERT INTO grounds.objection_target (objection, kind, value, named_by)
    VALUES (matched, 'ACCOUNT', account_name, officer) ON CONFLICT DO NOTHING;
    RETURN 'MATCHED';
END $$;

-- The first officer states a reason, another one agrees. NULL: there is no such objection, or it matches an account.
CREATE FUNCTION grounds.reject_objection(rejected bigint, its_reason text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    officer constant text := grounds.acting_officer();
    known grounds.objection_rejection;
BEGIN
    PERFORM FROM grounds.objection_in_force o JOIN grounds.unmatched_objections() n ON n.objection = o.id
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
    WITH policy AS MATERIALIZED ( -- read once: to parse it for every objection took 4 µs each
        SELECT grounds.decision_time()
            - make_interval(hours => 24 * (document #>> '{dwell,withdrawal_days}')::int) AS withdrawal_cutoff
        FROM grounds.policy WHERE active
    ), kept AS MATERIALIZED (
        SELECT o.withdrawn_at, o.withdrawn_at <= p.withdrawal_cutoff AS over, r.rejected_at IS NOT NULL AS rejected,
            o.withdrawn_at IS NULL AND r.rejected_at IS NULL
                AND o.id IN (SELECT n.objection FROM grounds.unmatched_objections() n OFFSET 0) AS unmatched
        FROM policy p CROSS JOIN grounds.objection_in_force o
        LEFT JOIN grounds.objection_rejection r ON r.objection = o.id
        WHERE grounds.examining() AND o.id <> ALL (ARRAY(SELECT grounds.planted_objections()))
    ), took AS (
        SELECT extract(epoch FROM greatest(e.recorded_at - o.received_at, interval '0'))::float AS seconds
        FROM grounds.objection o
        CROSS JOIN LATERAL (SELECT min(recorded_at) AS recorded_at FROM grounds.consent_event
                            WHERE objection = o.id AND kind = 'OBJECTION_RECEIVED' OFFSET 0) e
        WHERE o.received_at >= grounds.decision_time() - interval '90 days' AND grounds.examining()
            AND o.id <> ALL (ARRAY(SELECT grounds.planted_objections()))
    )
    SELECT count(*), count(*) FILTER (WHERE over IS NOT TRUE), count(withdrawn_at),
        count(*) FILTER (WHERE unmatched),
        count(*) FILTER (WHERE rejected),
        (SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY seconds) FROM took),
        (SELECT percentile_disc(0.95) WITHIN GROUP (ORDER BY seconds) FROM took), (SELECT max(seconds) FROM took)
    FROM kept
$$;

-- What officers count, at the size of a platform: 0014 looked at every objection, and joined accounts by epoch alone.

-- The objections that match an account, as a job found. A match is final: accounts, persons and contacts are never removed.
-- What is not here is looked at anew each time, so that nothing depends on how far the job is.
CREATE TABLE grounds.objection_matched (objection bigint PRIMARY KEY);

CREATE FUNCTION grounds.record_matched_objections() RETURNS void LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO grounds.objection_matched (objection)
    SELECT o.id FROM grounds.objection o
    WHERE NOT EXISTS (SELECT FROM grounds.objection_matched r WHERE r.objection = o.id OFFSET 0)
        AND NOT EXISTS (SELECT FROM grounds.unmatched_objections() n WHERE n.objection = o.id OFFSET 0)
    ON CONFLICT DO NOTHING
$$;
