-- Canaries: items that the operator planted because they can never qualify. One that is about to leave proves that the
-- rules are broken, and stops everything.
CREATE TABLE grounds.canary (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    item bigint NOT NULL,
    reason text NOT NULL,
    planted_by text NOT NULL,
    planted_at timestamptz NOT NULL,
    removed_by text,
    removed_at timestamptz
);

CREATE UNIQUE INDEX canary_item ON grounds.canary (item) WHERE removed_at IS NULL;

-- A canary that was found among the items of a page, and the hold that it opened or found open.
CREATE TABLE grounds.canary_incident (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    item bigint NOT NULL,
    hold bigint NOT NULL,
    client int, -- NULL: what was about to leave was for no client
    purpose text,
    policy text,
    found_at timestamptz NOT NULL,
    UNIQUE NULLS NOT DISTINCT (hold, item, client, purpose)
);

-- Whatever leaves is checked by this before anything is recorded as delivered. TRUE: nothing may leave. Then the caller
-- returns no item and no error, for an error would take back the hold.
CREATE FUNCTION grounds.stopped_by_canary(leaving bigint[]) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    found_canaries constant bigint[] := ARRAY(
        SELECT c.item FROM grounds.canary c WHERE c.removed_at IS NULL AND c.item = ANY (leaving));
    stopped_by bigint;
BEGIN
    IF found_canaries = '{}' THEN
        RETURN FALSE;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('grounds.canary', 0)); -- pages that find one together open one hold
    SELECT min(h.id) INTO stopped_by FROM grounds.hold h
    WHERE h.lifted_at IS NULL AND h.id IN (SELECT i.hold FROM grounds.canary_incident i);
    IF stopped_by IS NULL THEN
        INSERT INTO grounds.hold (scope, authority, reason, opened_at)
        VALUES ('GLOBAL', 'Grounds', 'A planted item was about to be delivered: the rules are broken.',
            grounds.decision_time())
        RETURNING id INTO stopped_by;
    END IF;
    INSERT INTO grounds.canary_incident (item, hold, client, purpose, policy, found_at)
    SELECT f, stopped_by, grounds.claimed_client(), grounds.claim('purpose'),
        (SELECT p.version FROM grounds.policy p WHERE p.active), grounds.decision_time()
    FROM unnest(found_canaries) f ON CONFLICT DO NOTHING;
    RETURN TRUE;
END $$;

-- NULL: no such item. What qualifies for any purpose, or was delivered, would stop everything for no reason; so would what
-- time, a campaign, or an officer who lifts a hold could make qualify. PENDING: it is not known at this moment whether the
-- item qualifies.
CREATE FUNCTION grounds.plant_canary(planted_id text, planted_reason text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    officer constant text := grounds.acting_officer();
    planted constant bigint := (SELECT c.id FROM grounds.content c WHERE c.platform_id = planted_id);
    can_pass_later constant text[] := '{PROGRAMME_ACTIVE,PURPOSE_MATCH,NO_REGULATORY_HOLD,ACCOUNT_IN_GOOD_STANDING,NOTICE_DELIVERED,'
        'NOTICE_PERIOD_ELAPSED,AUDIENCE_STABLE,CONTENT_SETTLED}';
    judged_for text;
BEGIN
    IF planted IS NULL THEN
        RETURN NULL;
    END IF;
    FOREACH judged_for IN ARRAY grounds.policy_purposes() LOOP
        PERFORM set_config('grounds.purpose', judged_for, TRUE);
        IF EXISTS (SELECT FROM grounds.decision d
                   WHERE d.id = planted AND (SELECT grounds.require_decisions())
                       AND (d.permitted OR d.shortfall <@ can_pass_later IS NOT FALSE)) THEN
            RETURN 'QUALIFIES';
        END IF;
    END LOOP;
    PERFORM set_config('grounds.job', 'plant a canary', TRUE);
    IF EXISTS (SELECT FROM grounds.recipients_of(ARRAY[planted])) THEN
        RETURN 'DELIVERED_BEFORE';
    END IF;
    INSERT INTO grounds.canary (item, reason, planted_by, planted_at)
    VALUES (planted, planted_reason, officer, grounds.decision_time()) ON CONFLICT DO NOTHING;
    RETURN CASE WHEN FOUND THEN 'PLANTED' ELSE 'PLANTED_BEFORE' END;
EXCEPTION WHEN SQLSTATE 'GD001' THEN
    RETURN 'PENDING';
END $$;

-- FALSE: no such item is planted.
CREATE FUNCTION grounds.remove_canary(planted_id text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    officer constant text := grounds.acting_officer();
BEGIN
    UPDATE grounds.canary k SET removed_by = officer, removed_at = grounds.decision_time()
    WHERE k.removed_at IS NULL
        AND k.item = (SELECT c.id FROM grounds.content c WHERE c.platform_id = planted_id);
    RETURN FOUND;
END $$;

-- Left out of every count: the planted items, the accounts that have no other items, and these accounts' objections.
CREATE FUNCTION grounds.planted_items() RETURNS SETOF bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT k.item FROM grounds.canary k WHERE k.removed_at IS NULL
$$;

CREATE FUNCTION grounds.planted_accounts() RETURNS SETOF bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT DISTINCT c.account
    FROM grounds.planted_items() k (item)
    CROSS JOIN LATERAL (SELECT p.account FROM grounds.content p WHERE p.id = k.item OFFSET 0) c
    WHERE NOT EXISTS (
        SELECT FROM grounds.content o
        WHERE o.account = c.account AND o.id <> ALL (ARRAY(SELECT grounds.planted_items())))
$$;

CREATE FUNCTION grounds.planted_objections() RETURNS SETOF bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT DISTINCT t.objection
    FROM grounds.planted_accounts() p (id)
    CROSS JOIN LATERAL (SELECT a.platform_id FROM grounds.account a WHERE a.id = p.id OFFSET 0) a
    CROSS JOIN LATERAL (
        SELECT o.objection FROM grounds.objection_target o
        WHERE o.kind = 'ACCOUNT' AND o.value = a.platform_id OFFSET 0) t
$$;
