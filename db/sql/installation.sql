-- Which secret this database was set up with: a command that has another one is refused before it changes anything.
CREATE TABLE grounds.installation (
    only_row boolean PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    secret_fingerprint text NOT NULL,
    previous_secrets bytea, -- encrypted with a key from the secret; NULL: it was never rotated
    version text NOT NULL DEFAULT '0', -- the newest version of Grounds that brought the database up to date
    versions_from timestamptz NOT NULL DEFAULT '-infinity', -- versions that were replaced before are removed
    journal boolean NOT NULL DEFAULT FALSE, -- whether changes are left for the journal
    set_up_at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION grounds.previous_secrets() RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT i.previous_secrets FROM grounds.installation i
$$;
