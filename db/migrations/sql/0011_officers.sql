-- Holds: one officer opens a hold, which is in force for the next statement anywhere; to lift it takes two.
ALTER TABLE grounds.hold ADD COLUMN opened_by text;
ALTER TABLE grounds.hold ADD COLUMN lift_asked_by text;
ALTER TABLE grounds.hold ADD COLUMN lift_asked_at timestamptz;
ALTER TABLE grounds.hold ADD COLUMN lifted_by text;

-- The name of the officer who acts, or an error: these functions run as the owner, and ask themselves who calls.
CREATE FUNCTION grounds.acting_officer() RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF grounds.claim('examiner') IS DISTINCT FROM 'PRIVACY_OFFICER' OR grounds.claim('officer') IS NULL THEN
        RAISE EXCEPTION 'only a privacy officer does this' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN grounds.claim('officer');
END $$;

CREATE FUNCTION grounds.open_hold(hold_scope text, hold_value text, hold_authority text, hold_reason text)
RETURNS bigint LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO grounds.hold (scope, value, authority, reason, opened_at, opened_by)
    VALUES (hold_scope, hold_value, hold_authority, hold_reason, grounds.decision_time(), grounds.acting_officer())
    RETURNING id
$$;

-- The first officer asks, another one lifts. NULL: there is no such hold.
CREATE FUNCTION grounds.lift_hold(lifted bigint) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    officer constant text := grounds.acting_officer();
    asked_by text;
    lifted_before timestamptz;
BEGIN
    SELECT h.lift_asked_by, h.lifted_at INTO asked_by, lifted_before FROM grounds.hold h WHERE h.id = lifted FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    ELSIF lifted_before IS NOT NULL THEN
        RETURN 'LIFTED_BEFORE';
    ELSIF asked_by IS NULL THEN
        UPDATE grounds.hold SET lift_asked_by = officer, lift_asked_at = grounds.decision_time() WHERE id = lifted;
        RETURN 'ASKED';
    ELSIF asked_by = officer THEN
        RETURN 'SAME_OFFICER';
    END IF;
    UPDATE grounds.hold SET lifted_by = officer, lifted_at = grounds.decision_time() WHERE id = lifted;
    RETURN 'LIFTED';
END $$;

-- Policies: one officer proposes a version, another approves it, and it is put in force when its time has come.
CREATE TABLE grounds.policy_proposal (
    version text PRIMARY KEY,
    document json NOT NULL,
    effective_from timestamptz NOT NULL,
    proposed_by text NOT NULL,
    proposed_at timestamptz NOT NULL,
    approved_by text CHECK (approved_by <> proposed_by),
    approved_at timestamptz,
    put_in_force_at timestamptz
);

CREATE FUNCTION grounds.propose_policy(proposed text, its_document json, its_effective_from timestamptz) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    officer constant text := grounds.acting_officer();
BEGIN
    IF EXISTS (SELECT FROM grounds.policy WHERE version = proposed) THEN
        RETURN 'KNOWN';
    END IF;
    INSERT INTO grounds.policy_proposal (version, document, effective_from, proposed_by, proposed_at)
    VALUES (proposed, its_document, its_effective_from, officer, grounds.decision_time()) ON CONFLICT DO NOTHING;
    RETURN CASE WHEN FOUND THEN 'PROPOSED' ELSE 'KNOWN' END;
END $$;

CREATE FUNCTION grounds.approve_policy(approved text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    officer constant text := grounds.acting_officer();
    proposal grounds.policy_proposal;
BEGIN
    SELECT * INTO proposal FROM grounds.policy_proposal WHERE version = approved FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    ELSIF proposal.approved_by IS NOT NULL THEN
        RETURN 'APPROVED_BEFORE';
    ELSIF proposal.proposed_by = officer THEN
        RETURN 'SAME_OFFICER';
    END IF;
    UPDATE grounds.policy_proposal SET approved_by = officer, approved_at = grounds.decision_time()
    WHERE version = approved;
    RETURN 'APPROVED';
END $$;

-- The approved policy whose time has come, the latest of several. From that instant on the one before is over: until
-- its successor is in force, nothing is permitted.
CREATE FUNCTION grounds.due_policy() RETURNS json LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    SELECT document FROM grounds.policy_proposal
    WHERE approved_at IS NOT NULL AND put_in_force_at IS NULL AND effective_from <= grounds.decision_time()
    ORDER BY effective_from DESC, approved_at DESC LIMIT 1
$$;

CREATE FUNCTION grounds.superseded() RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM grounds.policy_proposal WHERE approved_at IS NOT NULL AND put_in_force_at IS NULL
                   AND effective_from <= grounds.decision_time())
$$;

-- Where the policy is superseded, no policy is told.
CREATE OR REPLACE FUNCTION grounds.write_receipt(
    items bigint[], OUT receipt bigint, OUT decided_at timestamptz, OUT policy text
) LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH written AS (
        INSERT INTO grounds.delivery (client, purpose, policy, decided_at, items, lowest, highest)
        SELECT nullif(current_setting('grounds.client', true), '')::int,
            nullif(current_setting('grounds.purpose', true), ''),
            (SELECT p.version FROM grounds.policy p WHERE p.active), grounds.decision_time(), items,
            items[1], items[cardinality(items)]
        WHERE cardinality(items) > 0
        RETURNING id
    )
    SELECT (SELECT id FROM written), grounds.decision_time(),
        (SELECT p.version FROM grounds.policy p WHERE p.active AND NOT grounds.superseded())
$$;
