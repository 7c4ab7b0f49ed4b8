-- Reads of people's data by officers and auditors: who read which data, written before the answer leaves.
CREATE TABLE grounds.staff_read (
    id bigint PRIMARY KEY, -- 1, 2, 3 …, without a gap, in the order of commits
    reader text NOT NULL,
    role text NOT NULL CHECK (role IN ('PRIVACY_OFFICER', 'AUDITOR')),
    read_at timestamptz NOT NULL,
    fields text[] NOT NULL, -- at the root of the operation
    objections bigint[] NOT NULL,
    reason text,
    digest bytea NOT NULL -- SHA-256 of the digest before and of this read, so that the last one vouches for all
);

CREATE TABLE grounds.staff_read_account (
    account bigint NOT NULL REFERENCES grounds.account,
    staff_read bigint NOT NULL REFERENCES grounds.staff_read,
    PRIMARY KEY (account, staff_read)
);

CREATE INDEX staff_read_account_read ON grounds.staff_read_account (staff_read, account);

-- What a read's digest covers: every column, each part of fixed length or with its length before it.
CREATE FUNCTION grounds.staff_read_leaf(r grounds.staff_read) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT sha256('\x00'::bytea || int8send(r.id)
        || int4send(octet_length(convert_to(r.reader, 'UTF8'))) || convert_to(r.reader, 'UTF8')
        || int4send(octet_length(convert_to(r.role, 'UTF8'))) || convert_to(r.role, 'UTF8')
        || timestamptz_send(r.read_at) || array_send(r.fields) || array_send(r.objections)
        || coalesce(int4send(octet_length(convert_to(r.reason, 'UTF8'))) || convert_to(r.reason, 'UTF8'), '\xffffffff')
        || array_send(ARRAY(SELECT a.account FROM grounds.staff_read_account a WHERE a.staff_read = r.id
                            ORDER BY a.account)))
$$;

-- Record a read, of accounts, of the authors of items, and of objections; give its number. Who reads, and as what, are
-- claims.
CREATE FUNCTION grounds.record_staff_read(fields text[], reason text, accounts bigint[], items bigint[],
    objections bigint[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    before grounds.staff_read;
    made grounds.staff_read;
BEGIN
    IF NOT grounds.examining() OR grounds.claim('officer') IS NULL THEN
        RAISE EXCEPTION 'only officers and auditors are recorded' USING ERRCODE = 'insufficient_privilege';
    END IF;
    -- One after the other until the commit: each continues the digest before it.
    LOCK TABLE grounds.staff_read IN SHARE ROW EXCLUSIVE MODE;
    SELECT r.* INTO before FROM grounds.staff_read r ORDER BY r.id DESC LIMIT 1;
    INSERT INTO grounds.staff_read AS r
    VALUES (coalesce(before.id, 0) + 1, grounds.claim('officer'), grounds.claim('examiner'), grounds.decision_time(),
        $1, $5, $2, '')
    RETURNING r.* INTO made;
    INSERT INTO grounds.staff_read_account (account, staff_read)
    SELECT found.account, made.id FROM (
        SELECT a.id AS account FROM grounds.account a WHERE a.id = ANY ($3)
        UNION SELECT c.account FROM grounds.content c WHERE c.id = ANY ($4)) found;
    UPDATE grounds.staff_read r SET digest = sha256(coalesce(before.digest, '') || grounds.staff_read_leaf(made))
    WHERE r.id = made.id;
    RETURN made.id;
END $$;

-- When the claimed account's data was read, and by which role; no name.
CREATE FUNCTION grounds.reads_of_subject(at_most int) RETURNS TABLE (read_at timestamptz, role text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT r.read_at, r.role FROM grounds.staff_read_account a JOIN grounds.staff_read r ON r.id = a.staff_read
    WHERE a.account = grounds.claimed_account() ORDER BY r.id DESC LIMIT at_most
$$;

-- How many reads there are, and the digest that vouches for them: a checkpoint seals both.
CREATE FUNCTION grounds.newest_staff_read(OUT staff_reads bigint, OUT digest bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(n.id, 0), coalesce(n.digest, '')
    FROM (VALUES (1)) always LEFT JOIN LATERAL (SELECT * FROM grounds.staff_read ORDER BY id DESC LIMIT 1) n ON TRUE
$$;
