-- The ledger: receipts are chained in batches. A checkpoint says of a range of receipts how many there are and what
-- they hold, and of the reads by staff how many there are and their digest; it names the checkpoint before, and is
-- signed. Numbers between receipts are free where a page failed.

CREATE TABLE grounds.checkpoint (
    number bigint PRIMARY KEY,
    first_receipt bigint NOT NULL,
    last_receipt bigint NOT NULL,
    receipts int NOT NULL,
    staff_reads bigint NOT NULL, -- how many there were in all
    staff_read_digest bytea NOT NULL, -- of the last of them
    incarnation bigint NOT NULL, -- the value of the one in which it was sealed
    public_key bytea NOT NULL, -- of the key that signed it; each rotation of the secret brings another
    root bytea NOT NULL,
    previous bytea NOT NULL,
    sealed_at timestamptz NOT NULL,
    signature bytea NOT NULL
);

-- The leaf of a receipt, as in RFC 6962: SHA-256 of 0x00 and what is kept of it, each part of fixed length or with its
-- length before it, so that no two receipts are written alike. It has every column: a new one must be added here.
CREATE FUNCTION grounds.receipt_leaf(d grounds.delivery) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT sha256('\x00'::bytea || int8send(d.id) || int4send(d.client)
        || int4send(octet_length(convert_to(d.purpose, 'UTF8'))) || convert_to(d.purpose, 'UTF8')
        || int4send(octet_length(convert_to(d.policy, 'UTF8'))) || convert_to(d.policy, 'UTF8')
        || timestamptz_send(d.decided_at) || int8send(d.lowest) || int8send(d.highest) || int4send(d.item_count)
        || coalesce(int4send(octet_length(d.item_bits)) || d.item_bits, '\xffffffff') || coalesce(array_send(d.items), '')
        || coalesce(d.file_sha256, ''))
$$;

-- Who writes receipts at this moment: an insertion locks the table so before its receipt is numbered, and until whatever
-- it wrote is visible to all.
CREATE FUNCTION grounds.receipt_writers() RETURNS text[]
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(array_agg(l.virtualtransaction), '{}') FROM pg_locks l
    WHERE l.relation = 'grounds.delivery'::regclass AND l.mode = 'RowExclusiveLock'
        AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
$$;

-- Up to which number every receipt is there for good, or 0 when that cannot be known at this moment. Numbers are given
-- before the commit, so that a lower one can appear after a higher one; to wait a while would be right until a disk
-- hangs for longer. Instead: no number given so far is open once all who write at this moment have gone. No clock is
-- asked, and none of them has to wait.
CREATE FUNCTION grounds.settled_receipt() RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    given CONSTANT bigint := (SELECT s.last_value FROM grounds.delivery_id_seq s);
    writers CONSTANT text[] := grounds.receipt_writers();
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'receipts are sealed in READ COMMITTED only: an older snapshot would miss some';
    END IF;
    FOR attempt IN 1..100 LOOP
        IF NOT writers && grounds.receipt_writers() THEN
            RETURN given;
        END IF;
        PERFORM pg_sleep(0.01);
    END LOOP;
    RETURN 0;
END $$;

CREATE FUNCTION grounds.newest_checkpoint() RETURNS SETOF grounds.checkpoint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT * FROM grounds.checkpoint ORDER BY number DESC LIMIT 1
$$;

-- The receipts after the newest checkpoint, settled ones, at most so many: the last one's number, and the leaves of all.
CREATE FUNCTION grounds.unsealed_receipts(at_most int, OUT last_receipt bigint, OUT leaves bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    settled CONSTANT bigint := grounds.settled_receipt();
    -- In a variable: as a sub-select, row security would keep it out of the index, and all that is sealed would be read.
    after CONSTANT bigint := coalesce((SELECT c.last_receipt FROM grounds.newest_checkpoint() c), 0);
BEGIN
    PERFORM set_config('grounds.job', 'seal', TRUE);
    SELECT max(r.id), string_agg(r.leaf, '' ORDER BY r.id) INTO last_receipt, leaves
    FROM (
        SELECT d.id, grounds.receipt_leaf(d) AS leaf FROM grounds.delivery d
        WHERE d.id > after AND d.id <= settled
        ORDER BY d.id LIMIT at_most
    ) r;
END $$;

CREATE FUNCTION grounds.add_checkpoint(number bigint, first_receipt bigint, last_receipt bigint, receipts int,
    staff_reads bigint, staff_read_digest bytea, incarnation bigint, public_key bytea, root bytea, previous bytea, sealed_at timestamptz, signature bytea)
RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO grounds.checkpoint VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
$$;

-- What `grounds verify` found, written by the administrator who ran it. It vouches for nothing: who can write the ledger
-- can write this too; a checkpoint that is kept elsewhere does.
CREATE TABLE grounds.verification (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    verified_at timestamptz NOT NULL DEFAULT grounds.decision_time(),
    verified_by text NOT NULL DEFAULT session_user,
    checkpoints int NOT NULL,
    receipts bigint NOT NULL,
    unsealed bigint NOT NULL,
    findings int NOT NULL,
    up_to timestamptz -- when the newest checkpoint was sealed; NULL: there is none
);
