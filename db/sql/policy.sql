CREATE TABLE grounds.policy (
    version text PRIMARY KEY,
    document json NOT NULL,
    active boolean NOT NULL,
    compiled text NOT NULL, -- a digest of the views that it became: a release with other rules compiles anew
    activated_at timestamptz NOT NULL DEFAULT now(),
    lapsed boolean NOT NULL DEFAULT FALSE, -- its end was seen
    stops_after timestamptz NOT NULL DEFAULT 'infinity', -- when an assessment or the review that stops it is overdue
    stopped boolean NOT NULL DEFAULT FALSE -- that was seen
);

CREATE UNIQUE INDEX policy_active ON grounds.policy (active) WHERE active;

-- Which policy was in force when.
CREATE TABLE grounds.policy_activation (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version text NOT NULL,
    activated_at timestamptz NOT NULL DEFAULT grounds.decision_time()
);

CREATE FUNCTION grounds.keep_activation() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO grounds.policy_activation (version)
    SELECT NEW.version WHERE NEW.version IS DISTINCT FROM (
        SELECT a.version FROM grounds.policy_activation a ORDER BY a.id DESC LIMIT 1);
    RETURN NULL;
END $$;

CREATE TRIGGER kept AFTER INSERT OR UPDATE OF active ON grounds.policy
    FOR EACH ROW WHEN (NEW.active) EXECUTE FUNCTION grounds.keep_activation();

-- The policy of that time: the last one put in force until then, or else the first.
CREATE VIEW grounds.past_policy WITH (security_invoker) AS
SELECT p.version, p.document, TRUE AS active
FROM grounds.policy p
WHERE p.version = coalesce(
    (SELECT a.version FROM grounds.policy_activation a WHERE a.activated_at <= grounds.valid_at() ORDER BY a.id DESC LIMIT 1),
    (SELECT a.version FROM grounds.policy_activation a ORDER BY a.id LIMIT 1));

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

CREATE FUNCTION grounds.policy_superseded() RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM grounds.policy_proposal WHERE approved_at IS NOT NULL AND put_in_force_at IS NULL
                   AND effective_from <= grounds.decision_time())
$$;
