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

-- What the owner's views show: something to somebody who claims who they are. The owner's own functions (there the
-- current user is the owner, and in a view it is not) see everything: a claim that they missed would open a door, a
-- standing without its objections, not shut one.
CREATE FUNCTION grounds.claimed() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
RETURN CURRENT_USER = 'grounds_owner'
    OR (grounds.claim('client') IS NOT NULL AND grounds.claim('purpose') IS NOT NULL)
    OR grounds.claim('examiner') IS NOT NULL
    OR grounds.claim('subject') IS NOT NULL;

-- It walks over other people's links to find what reaches an account; the objections themselves have rules of their own.
ALTER FUNCTION grounds.objections_reaching(bigint) SECURITY DEFINER;
ALTER FUNCTION grounds.objections_reaching(bigint) SET search_path = pg_catalog, pg_temp;

ALTER VIEW grounds.objection_in_force SET (security_invoker = TRUE, security_barrier = TRUE);

DROP POLICY own ON grounds.delivery;
DROP POLICY read ON grounds.delivery;
DROP POLICY written_for_the_claimed_client ON grounds.delivery;
DROP POLICY read_back ON grounds.delivery;
