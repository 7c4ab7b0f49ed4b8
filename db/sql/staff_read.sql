-- Reads of people's data by officers and auditors: who read which data, written before the answer leaves. A read waits for
-- no other read: they are chained when they are sealed.
CREATE TABLE grounds.staff_read (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reader text NOT NULL,
    role text NOT NULL CHECK (role IN ('PRIVACY_OFFICER', 'AUDITOR')),
    read_at timestamptz NOT NULL,
    fields text[] NOT NULL, -- at the root of the operation
    objections bigint[] NOT NULL,
    reason text,
    place bigint UNIQUE, -- in the chain: 1, 2, 3 …, without a gap; NULL: not sealed yet
    digest bytea,        -- SHA-256 of the digest before and of this read, so that the last one vouches for all
    CHECK ((place IS NULL) = (digest IS NULL))
);

CREATE INDEX staff_read_unsealed ON grounds.staff_read (id) WHERE place IS NULL;

CREATE TABLE grounds.staff_read_account (
    account bigint NOT NULL REFERENCES grounds.account,
    staff_read bigint NOT NULL REFERENCES grounds.staff_read,
    PRIMARY KEY (account, staff_read)
);

CREATE INDEX staff_read_account_read ON grounds.staff_read_account (staff_read, account);

-- What a read's digest covers: every column that the read wrote, each part of fixed length or with its length before it.
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
    made bigint;
BEGIN
    IF NOT grounds.examining() OR grounds.claim('officer') IS NULL THEN
        RAISE EXCEPTION 'only officers and auditors are recorded' USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO grounds.staff_read AS r (reader, role, read_at, fields, objections, reason)
    VALUES (grounds.claim('officer'), grounds.claim('examiner'), grounds.decision_time(), $1, $5, $2)
    RETURNING r.id INTO made;
    INSERT INTO grounds.staff_read_account (account, staff_read)
    SELECT found.account, made FROM (
        SELECT a.id AS account FROM grounds.account a WHERE a.id = ANY ($3)
        UNION SELECT c.account FROM grounds.content c WHERE c.id = ANY ($4)) found;
    RETURN made;
END $$;

-- When the claimed account's data was read, and by which role; no name.
CREATE FUNCTION grounds.reads_of_subject(at_most int) RETURNS TABLE (read_at timestamptz, role text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT r.read_at, r.role FROM grounds.staff_read_account a JOIN grounds.staff_read r ON r.id = a.staff_read
    WHERE a.account = grounds.claimed_account() ORDER BY r.id DESC LIMIT at_most
$$;

-- Continue the chain with the reads that are not in it, at most so many; give how many are in it then, and the digest that
-- vouches for them: a checkpoint seals both, in this transaction. A read whose commit comes late is chained late, whatever
-- its number is.
CREATE FUNCTION grounds.chain_staff_reads(at_most int, OUT staff_reads bigint, OUT digest bytea)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    due grounds.staff_read;
BEGIN
    PERFORM set_config('grounds.job', 'seal', TRUE);
    PERFORM pg_advisory_xact_lock(hashtextextended('grounds.staff_read', 0));
    SELECT r.place, r.digest INTO staff_reads, digest
    FROM grounds.staff_read r WHERE r.place IS NOT NULL ORDER BY r.place DESC LIMIT 1;
    staff_reads := coalesce(staff_reads, 0);
    digest := coalesce(digest, '');
    FOR due IN SELECT r.* FROM grounds.staff_read r WHERE r.place IS NULL ORDER BY r.id LIMIT at_most LOOP
        staff_reads := staff_reads + 1;
        digest := sha256(digest || grounds.staff_read_leaf(due));
        UPDATE grounds.staff_read r SET place = staff_reads, digest = chain_staff_reads.digest WHERE r.id = due.id;
    END LOOP;
END $$;
