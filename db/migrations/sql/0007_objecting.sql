-- Objections come in by a form, from data subjects and from officers. What is filed is in force when it is committed.
ALTER TABLE grounds.objection ADD COLUMN filed_by text;     -- NULL: the platform; FORM; SUBJECT; or an officer's name
ALTER TABLE grounds.objection ADD COLUMN withdrawn_by text; -- NULL: the platform; SUBJECT; or an officer's name

-- Who files: an officer for anybody, a data subject for the own account, the public form for a contact or an account.
-- The form never learns whether there is such an account: it is told the same either way.
CREATE FUNCTION grounds.filer(kind text, value text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF session_user <> 'grounds_subject' THEN
        RETURN grounds.acting_officer();
    ELSIF kind = 'ACCOUNT' AND value = grounds.claim('subject') THEN
        RETURN 'SUBJECT';
    ELSIF kind IN ('ACCOUNT', 'CONTACT') AND grounds.claim('form') IS NOT NULL THEN
        RETURN 'FORM';
    END IF;
    RAISE EXCEPTION 'an objection is filed for the own account' USING ERRCODE = 'insufficient_privilege';
END $$;

-- Twelve digits of a random UUID (48 bits, all of them random): what a person can read out over the telephone.
CREATE FUNCTION grounds.file_objection(
    target_kind text, target_value text, covered text, came_by text, OUT reference text, OUT received_at timestamptz
) LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    filed bigint;
BEGIN
    received_at := grounds.decision_time();
    reference := 'filed-' || regexp_replace(gen_random_uuid()::text, '^(....)(....)-(....).*$', '\1-\2-\3');
    INSERT INTO grounds.objection (platform_id, scope, received_at, channel, observed_at, filed_by)
    VALUES (reference, covered, received_at, came_by, received_at, grounds.filer(target_kind, target_value))
    RETURNING id INTO filed;
    INSERT INTO grounds.objection_target (objection, kind, value) VALUES (filed, target_kind, target_value);
END $$;

-- Taking back is permissive: for an officer, or the person whose account it reaches. It gives when that was, NULL where
-- there is nothing that this caller may take back. An objection that a bad line spoke of last stays: only a good record
-- of the platform can say what it is. The newer observed_at keeps an older record from undoing this.
CREATE FUNCTION grounds.withdraw_objection(named text) RETURNS timestamptz
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    of_subject constant boolean := session_user = 'grounds_subject';
    withdrawer constant text := CASE WHEN of_subject THEN 'SUBJECT' ELSE grounds.acting_officer() END;
    taken_back timestamptz;
BEGIN
    UPDATE grounds.objection o
    SET withdrawn_at = greatest(o.received_at, grounds.decision_time()), withdrawn_by = withdrawer,
        observed_at = greatest(o.observed_at, grounds.decision_time()), digest = NULL
    WHERE o.platform_id = named AND o.quarantined_at < o.observed_at
        AND (o.withdrawn_at IS NULL OR o.withdrawn_at < o.received_at)
        AND (NOT of_subject OR o.id IN (SELECT grounds.objections_reaching(grounds.claimed_account())));
    SELECT o.withdrawn_at INTO taken_back FROM grounds.objection_in_force o
    WHERE o.platform_id = named
        AND (NOT of_subject OR o.id IN (SELECT grounds.objections_reaching(grounds.claimed_account())));
    RETURN taken_back;
END $$;

-- What was delivered of a data subject's own items, to whom and when. Looked up an item at a time, by the receipts'
-- index: an account has few items, and a receipt has many.
CREATE FUNCTION grounds.deliveries_of_subject(wanted bigint[]) RETURNS TABLE (
    delivery bigint, client text, purpose text, policy text, decided_at timestamptz, items bigint[]
) LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('grounds.duty', 'deliveries of a data subject', TRUE);
    RETURN QUERY
        SELECT d.id, k.name, d.purpose, d.policy, d.decided_at, array_agg(own.id ORDER BY own.id)
        FROM (SELECT c.id FROM grounds.content c
              WHERE c.account = grounds.claimed_account() AND c.id = ANY (wanted) OFFSET 0) own
        CROSS JOIN grounds.client k
        CROSS JOIN LATERAL (
            SELECT r.id, r.purpose, r.policy, r.decided_at FROM grounds.delivery r
            WHERE r.client = k.id AND r.lowest <= own.id AND r.highest >= own.id AND own.id = ANY (r.items) OFFSET 0) d
        GROUP BY d.id, k.name, d.purpose, d.policy, d.decided_at
        ORDER BY d.decided_at DESC, d.id DESC;
    PERFORM set_config('grounds.duty', '', TRUE);
END $$;
