ALTER DEFAULT PRIVILEGES REVOKE ALL ON FUNCTIONS FROM PUBLIC; -- for the whole database: a schema's default cannot revoke

-- Claims: what a statement says of who asks, set for its transaction only. A setting that was set once reads '' later.
CREATE FUNCTION grounds.claim(name text) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('grounds.' || name, TRUE), '');

CREATE FUNCTION grounds.claimed_client() RETURNS int LANGUAGE sql STABLE PARALLEL SAFE
RETURN grounds.claim('client')::int;

CREATE FUNCTION grounds.claimed_account() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
RETURN (SELECT a.id FROM grounds.account a WHERE a.platform_id = grounds.claim('subject'));

CREATE FUNCTION grounds.examining() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
RETURN grounds.claim('examiner') IS NOT NULL;

CREATE FUNCTION grounds.ingesting() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
RETURN grounds.claim('ingest') IS NOT NULL;

-- What the owner's views show: rows only to a statement with a claim. The owner's own functions (there the
-- current user is the owner, and in a view it is not) see everything: a claim that they missed would permit more, a
-- standing without its objections, not less.
CREATE FUNCTION grounds.claimed() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
RETURN CURRENT_USER = 'grounds_owner'
    OR (grounds.claim('client') IS NOT NULL AND grounds.claim('purpose') IS NOT NULL)
    OR grounds.claim('examiner') IS NOT NULL
    OR grounds.claim('subject') IS NOT NULL;

-- Background work claims that it is that. Its login reaches no table: it calls the owner's functions, one for each job.
CREATE FUNCTION grounds.working() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
RETURN grounds.claim('job') IS NOT NULL;

-- The instants of a decision about the past: what was known then, and of when.
CREATE FUNCTION grounds.known_at() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
RETURN grounds.claim('known_at')::timestamptz;

CREATE FUNCTION grounds.valid_at() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
RETURN grounds.claim('valid_at')::timestamptz;

-- The name of the officer who acts, or an error: these functions run as the owner, and ask themselves who calls.
CREATE FUNCTION grounds.acting_officer() RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF grounds.claim('examiner') IS DISTINCT FROM 'PRIVACY_OFFICER' OR grounds.claim('officer') IS NULL THEN
        RAISE EXCEPTION 'only a privacy officer does this' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN grounds.claim('officer');
END $$;
