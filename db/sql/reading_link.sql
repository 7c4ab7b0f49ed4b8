-- The links with which people read their own data at /me. Each is kept by the digest of its token: who reads this table can
-- open none. The browser that opens a link first is the only one for which it opens, by the digest of its cookie.
CREATE TABLE grounds.reading_link (
    digest bytea PRIMARY KEY,
    account text NOT NULL, -- the platform's id
    issued_by text NOT NULL,
    issued_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    browser bytea,
    opened_at timestamptz,
    revoked_by text,
    revoked_at timestamptz
);

CREATE INDEX reading_link_account ON grounds.reading_link (account);

CREATE INDEX reading_link_expires ON grounds.reading_link (expires_at);

-- Who issues or revokes a link: an officer, the platform, or the person of the claimed account.
CREATE FUNCTION grounds.link_issuer() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE session_user WHEN 'grounds_worker' THEN 'PLATFORM' WHEN 'grounds_subject' THEN 'SUBJECT'
        ELSE grounds.acting_officer() END
$$;

-- Issue a link for 7 days, and remove what expired 7 days ago: what another one removes at this moment is left to it.
CREATE FUNCTION grounds.issue_reading_link(account_name text, its_digest bytea) RETURNS timestamptz
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    issuer constant text := grounds.link_issuer();
    now constant timestamptz := grounds.decision_time();
BEGIN
    PERFORM set_config('grounds.job', 'issue link', TRUE);
    DELETE FROM grounds.reading_link l WHERE l.digest IN (
        SELECT e.digest FROM grounds.reading_link e WHERE e.expires_at < now - interval '168 hours'
        LIMIT 1000 FOR UPDATE SKIP LOCKED);
    INSERT INTO grounds.reading_link (digest, account, issued_by, issued_at, expires_at)
    VALUES (its_digest, account_name, issuer, now, now + interval '168 hours');
    RETURN now + interval '168 hours';
END $$;

-- The account that a link opens for a browser; NULL where it opens nothing. Of two browsers that open it at once, the second
-- waits for the first one's row, and finds it bound.
CREATE FUNCTION grounds.open_reading_link(its_digest bytea, its_browser bytea) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    now constant timestamptz := grounds.decision_time();
    opened text;
BEGIN
    PERFORM set_config('grounds.job', 'open link', TRUE);
    UPDATE grounds.reading_link l SET browser = its_browser, opened_at = now
    WHERE l.digest = its_digest AND l.browser IS NULL AND l.revoked_at IS NULL AND l.expires_at > now;
    SELECT l.account INTO opened FROM grounds.reading_link l
    WHERE l.digest = its_digest AND l.browser = its_browser AND l.revoked_at IS NULL AND l.expires_at > now;
    RETURN opened;
END $$;

-- Revoke every link of an account; return how many there were. A person revokes those of the own account alone.
CREATE FUNCTION grounds.revoke_reading_links(account_name text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    revoker constant text := grounds.link_issuer();
    revoked bigint;
BEGIN
    IF revoker = 'SUBJECT' AND account_name IS DISTINCT FROM grounds.claim('subject') THEN
        RAISE EXCEPTION 'a person revokes the links of the own account' USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM set_config('grounds.job', 'revoke links', TRUE);
    UPDATE grounds.reading_link l SET revoked_by = revoker, revoked_at = grounds.decision_time()
    WHERE l.account = account_name AND l.revoked_at IS NULL AND l.expires_at > grounds.decision_time();
    GET DIAGNOSTICS revoked = ROW_COUNT;
    RETURN revoked;
END $$;
