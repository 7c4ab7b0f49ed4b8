CREATE TABLE grounds.hold (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope text NOT NULL CHECK (scope IN ('GLOBAL', 'COUNTRY', 'PRODUCT', 'ACCOUNT')),
    value text CHECK ((scope = 'GLOBAL') = (value IS NULL)), -- of an ACCOUNT the platform's id
    authority text NOT NULL,
    reason text NOT NULL,
    opened_at timestamptz NOT NULL,
    lifted_at timestamptz,
    recorded_at timestamptz NOT NULL DEFAULT grounds.decision_time(),
    opened_by text,
    lift_asked_by text,
    lift_asked_at timestamptz,
    lifted_by text
);

CREATE INDEX hold_scope ON grounds.hold (scope, value);

-- NULL: the account to be held is not known, so that the hold would stop nothing.
CREATE FUNCTION grounds.open_hold(hold_scope text, hold_value text, hold_authority text, hold_reason text)
RETURNS bigint LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    officer constant text := grounds.acting_officer();
    opened bigint;
BEGIN
    IF hold_scope = 'ACCOUNT' AND NOT EXISTS (
        SELECT FROM grounds.account a WHERE a.platform_id = hold_value AND a.is_known) THEN
        RETURN NULL;
    END IF;
    INSERT INTO grounds.hold (scope, value, authority, reason, opened_at, opened_by)
    VALUES (hold_scope, hold_value, hold_authority, hold_reason, grounds.decision_time(), officer)
    RETURNING id INTO opened;
    RETURN opened;
END $$;

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
