-- Sessions that were signed out before their token ended. A cookie cannot be taken back, so each is kept until it expires,
-- by the digest of its id: who reads this table can open no session.
CREATE TABLE grounds.ended_session (
    digest bytea PRIMARY KEY,
    expires_at timestamptz NOT NULL
);

CREATE INDEX ended_session_expires ON grounds.ended_session (expires_at);

-- End a session, and remove what has expired: its cookie is refused for that. A token ends by the clock, not by the time of
-- decisions.
CREATE FUNCTION grounds.end_session(its_digest bytea, its_expiry timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('grounds.job', 'end session', TRUE);
    DELETE FROM grounds.ended_session s WHERE s.digest IN ( -- what another sign-out removes at this moment is left to it
        SELECT e.digest FROM grounds.ended_session e WHERE e.expires_at < clock_timestamp() - interval '1 minute'
        LIMIT 1000 FOR UPDATE SKIP LOCKED);
    INSERT INTO grounds.ended_session (digest, expires_at) VALUES (its_digest, its_expiry) ON CONFLICT DO NOTHING;
END $$;

CREATE FUNCTION grounds.session_has_ended(its_digest bytea) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('grounds.job', 'read session', TRUE);
    RETURN EXISTS (SELECT FROM grounds.ended_session s WHERE s.digest = its_digest);
END $$;
