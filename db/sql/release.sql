-- Releases: what a client may train on, under a name, as files (shards) that are handed out one by one. The range of a shard
-- is announced, and committed, before it is read: a change that the reading did not see is committed after that, and strikes
-- the shard. A client gets a shard without what was struck and is no longer permitted, and the receipt is written first.
CREATE TABLE grounds.release (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client int NOT NULL,
    name text NOT NULL,
    purpose text NOT NULL,
    filter json NOT NULL,
    started_at timestamptz NOT NULL,
    cancelled_at timestamptz,
    cancelled_by text,
    failure text,                              -- why shards are not written at this moment
    tried_at timestamptz,                      -- when a shard was last announced
    major int NOT NULL DEFAULT 1,              -- one more when something was removed since a manifest was handed out
    minor int NOT NULL DEFAULT 0,              -- one more when files changed otherwise
    is_published boolean NOT NULL DEFAULT FALSE, -- a manifest names the version
    UNIQUE (client, name)
);

-- The items from one number to another. Bit n, as get_bit counts, stands for the item first + n; a bitset has the whole range.
CREATE TABLE grounds.release_shard (
    release bigint NOT NULL,
    number int NOT NULL,
    client int NOT NULL,
    first bigint NOT NULL,
    last bigint NOT NULL,
    -- STALE: holds or rules have changed since it was written, and it is written again when the client asks for it.
    state text NOT NULL DEFAULT 'PLANNED' CHECK (state IN ('PLANNED', 'READING', 'WRITTEN', 'STALE')),
    attempt uuid,        -- of who reads it
    item_count int,
    item_bits bytea,     -- what the file has
    handed_bits bytea,   -- what the client received of it, without what was removed since
    file text,           -- NULL: there is none
    sha256 bytea,
    byte_count bigint,
    counts json,         -- items and characters by kind, language, product, ground and medium: of the file as it was written
    policy text,
    decided_at timestamptz,
    delivery bigint,     -- the receipt of the file as it is; NULL: not handed out yet
    PRIMARY KEY (release, number)
);

ALTER TABLE grounds.release_shard ALTER item_bits SET STORAGE EXTERNAL, ALTER handed_bits SET STORAGE EXTERNAL;

CREATE INDEX release_shard_planned ON grounds.release_shard (release, number) WHERE state IN ('PLANNED', 'READING');

-- What changed since the range of a shard was announced. REVISED: other text or media came, so that the file has old ones.
CREATE TABLE grounds.release_strike (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    release bigint NOT NULL,
    number int NOT NULL,
    items bigint[] NOT NULL,
    is_revised boolean NOT NULL,
    struck_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX release_strike_shard ON grounds.release_strike (release, number);

-- What a client received by a release and is in it no longer, by the version from which on it is not.
CREATE TABLE grounds.release_removed (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    release bigint NOT NULL,
    major int NOT NULL,
    items bigint[] NOT NULL
);

CREATE INDEX release_removed_version ON grounds.release_removed (release, major);

-- The receipts of each shard, and the version of its release at each hand-out.
CREATE TABLE grounds.release_delivery (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    release bigint NOT NULL,
    number int NOT NULL,
    major int NOT NULL,
    minor int NOT NULL,
    delivery bigint -- NULL: everything that the client had received of the shard was removed
);

CREATE INDEX release_delivery_shard ON grounds.release_delivery (release, number, id);

CREATE FUNCTION grounds.items_of_bits(first bigint, bits bytea) RETURNS SETOF bigint
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    read_once constant bytea := bits || ''::bytea;
BEGIN
    RETURN QUERY SELECT first + place FROM generate_series(0, 8 * octet_length(read_once) - 1) place
        WHERE get_bit(read_once, place) = 1;
END $$;

-- CASE, because PostgreSQL may ask the parts of an AND in any order, and a bit outside the range is an error.
CREATE FUNCTION grounds.has_bit(bits bytea, first bigint, item bigint) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN CASE WHEN item BETWEEN first AND first + 8 * octet_length(bits) - 1 THEN get_bit(bits, item - first) = 1
    ELSE FALSE END;

-- A bitset without some items that are in its range.
CREATE FUNCTION grounds.without_bits(bits bytea, first bigint, items bigint[]) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    item bigint;
BEGIN
    FOREACH item IN ARRAY items LOOP
        bits := set_bit(bits, item - first, 0);
    END LOOP;
    RETURN bits;
END $$;

-- NULL: the client has a release of this name. 0: it has so many that it did not cancel, whose files share a disk with others.
CREATE FUNCTION grounds.start_release(
    release_name text, stated_filter json, items_per_shard int, at_most int
) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    holder constant int := grounds.claimed_client();
    started bigint;
BEGIN
    IF (SELECT count(*) FROM grounds.release r WHERE r.client = holder AND r.cancelled_at IS NULL) >= at_most THEN
        RETURN 0;
    END IF;
    INSERT INTO grounds.release (client, name, purpose, filter, started_at)
    VALUES (holder, release_name, grounds.claim('purpose'), stated_filter, grounds.decision_time())
    ON CONFLICT DO NOTHING RETURNING id INTO started;
    INSERT INTO grounds.release_shard (release, number, client, first, last)
    SELECT started, row_number() OVER (ORDER BY n) - 1, holder, n, least(n + items_per_shard - 1, h.last)
    FROM (SELECT (SELECT c.id FROM grounds.content c ORDER BY c.id LIMIT 1) AS first,
            (SELECT c.id FROM grounds.content c ORDER BY c.id DESC LIMIT 1) AS last) h
    CROSS JOIN LATERAL generate_series(h.first, h.last, items_per_shard) n
    WHERE started IS NOT NULL;
    RETURN started;
END $$;

-- By the client itself, or by an officer. FALSE: there is no such release. A job deletes the files.
CREATE FUNCTION grounds.cancel_release(wanted bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    officer constant text := CASE WHEN grounds.claimed_client() IS NULL THEN grounds.acting_officer() END;
BEGIN
    UPDATE grounds.release r
    SET cancelled_at = coalesce(r.cancelled_at, grounds.decision_time()), cancelled_by = coalesce(r.cancelled_by, officer)
    WHERE r.id = wanted AND (officer IS NOT NULL OR r.client = grounds.claimed_client());
    IF NOT FOUND THEN
        RETURN FALSE;
    END IF;
    DELETE FROM grounds.release_shard s WHERE s.release = wanted;
    DELETE FROM grounds.release_strike s WHERE s.release = wanted;
    RETURN TRUE;
END $$;

-- Whether no shard may be written or handed out for the claimed purpose, whatever it holds. In a hold of everything nothing
-- is permitted: a file would be written without items.
CREATE FUNCTION grounds.releases_pause() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT grounds.decisions_pending() OR NOT EXISTS (
        SELECT FROM grounds.policy p WHERE p.active
            AND (p.document ->> 'effective_from')::timestamptz <= grounds.decision_time()
            AND coalesce((p.document ->> 'effective_until')::timestamptz, 'infinity') > grounds.decision_time()
            AND coalesce(p.stops_after, 'infinity') >= grounds.decision_time()
            AND grounds.claim('purpose') = ANY (grounds.policy_purposes())
            AND NOT EXISTS (
                SELECT FROM grounds.hold h WHERE h.scope = 'GLOBAL' AND h.opened_at <= grounds.decision_time()
                    AND coalesce(h.lifted_at, 'infinity') > grounds.decision_time()
                        - make_interval(hours => (p.document #>> '{dwell,hold_hours}')::int)))
$$;

-- As above, for the claimed client, in the transaction that reads a shard: a client that is suspended is permitted nothing.
CREATE FUNCTION grounds.release_may_be_read(OUT policy text, OUT decided_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    decided_at := grounds.decision_time();
    IF NOT grounds.releases_pause() AND grounds.delivery_suspension() IS NULL THEN
        policy := (SELECT p.version FROM grounds.policy p WHERE p.active);
    END IF;
END $$;

-- Announce the next shard that is to be read. One process at a time does this, so that a shard that is being read was left
-- behind by one that was killed. What was struck before is seen by the reading. Clients take turns, and so do the releases of
-- a client: a large release, or a shard that cannot be written, keeps no other waiting.
CREATE FUNCTION grounds.announce_shard() RETURNS TABLE (
    release bigint, number int, client int, client_name text, purpose text, filter json, first bigint, last bigint,
    attempt uuid
) LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    waiting record;
    due grounds.release_shard;
BEGIN
    PERFORM set_config('grounds.job', 'releases', TRUE);
    FOR waiting IN
        SELECT r.id, r.client, k.name AS client_name, r.purpose, r.filter
        FROM grounds.release r JOIN grounds.client k ON k.id = r.client
        WHERE r.cancelled_at IS NULL AND EXISTS (
            SELECT FROM grounds.release_shard s WHERE s.release = r.id AND s.state IN ('PLANNED', 'READING'))
        ORDER BY max(r.tried_at) OVER (PARTITION BY r.client) NULLS FIRST, r.tried_at NULLS FIRST, r.id
    LOOP
        PERFORM set_config('grounds.client', waiting.client::text, TRUE),
            set_config('grounds.purpose', waiting.purpose, TRUE);
        CONTINUE WHEN (grounds.release_may_be_read()).policy IS NULL;
        UPDATE grounds.release_shard s SET state = 'READING', attempt = gen_random_uuid()
        WHERE s.release = waiting.id AND s.number = (
            SELECT o.number FROM grounds.release_shard o
            WHERE o.release = waiting.id AND o.state IN ('PLANNED', 'READING') ORDER BY o.number LIMIT 1)
        RETURNING s.* INTO due;
        CONTINUE WHEN NOT FOUND;
        UPDATE grounds.release r SET tried_at = clock_timestamp() WHERE r.id = due.release;
        DELETE FROM grounds.release_strike s WHERE s.release = due.release AND s.number = due.number;
        RETURN QUERY SELECT due.release, due.number, waiting.client, waiting.client_name, waiting.purpose, waiting.filter,
            due.first, due.last, due.attempt;
        RETURN;
    END LOOP;
END $$;

-- Another file for a shard: it is the next version once a manifest names the one before, a major one if what the client
-- received is missing.
CREATE FUNCTION grounds.change_version(of_release bigint, removed bigint[]) RETURNS void LANGUAGE sql VOLATILE AS $$
    UPDATE grounds.release r SET is_published = FALSE,
        major = r.major + CASE WHEN removed <> '{}' THEN 1 ELSE 0 END,
        minor = CASE WHEN removed <> '{}' THEN 0 ELSE r.minor + 1 END
    WHERE r.id = of_release AND r.is_published;
    INSERT INTO grounds.release_removed (release, major, items)
    SELECT r.id, r.major, removed FROM grounds.release r WHERE r.id = of_release AND removed <> '{}'
$$;

-- Record the file of a shard that was read. FALSE: it is not wanted any more, because the rules have changed meanwhile, the
-- release was cancelled, or it holds a canary.
CREATE FUNCTION grounds.store_shard(
    of_release bigint, of_number int, of_attempt uuid, read_under text, read_at timestamptz,
    new_count int, new_bits bytea, new_file text, new_sha256 bytea, new_bytes bigint, new_counts json
) RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    old grounds.release_shard;
    removed bigint[];
BEGIN
    PERFORM set_config('grounds.job', 'releases', TRUE);
    SELECT s.* INTO old FROM grounds.release_shard s
    WHERE s.release = of_release AND s.number = of_number AND s.state = 'READING' AND s.attempt = of_attempt FOR UPDATE;
    IF NOT FOUND THEN
        RETURN FALSE;
    END IF;
    PERFORM set_config('grounds.client', r.client::text, TRUE), set_config('grounds.purpose', r.purpose, TRUE)
    FROM grounds.release r WHERE r.id = of_release;
    IF grounds.shard_stopped_by_canary(old.first, new_bits)
        OR read_under IS DISTINCT FROM (SELECT p.version FROM grounds.policy p WHERE p.active) THEN
        UPDATE grounds.release_shard s SET state = 'PLANNED', attempt = NULL
        WHERE s.release = of_release AND s.number = of_number;
        RETURN FALSE;
    END IF;
    removed := ARRAY(
        SELECT i FROM grounds.items_of_bits(old.first, old.handed_bits) i
        EXCEPT SELECT i FROM grounds.items_of_bits(old.first, new_bits) i);
    UPDATE grounds.release_shard s SET state = 'WRITTEN', attempt = NULL, item_count = new_count, item_bits = new_bits,
        handed_bits = grounds.without_bits(s.handed_bits, s.first, removed),
        file = new_file, sha256 = new_sha256, byte_count = new_bytes, counts = new_counts, policy = read_under,
        decided_at = read_at, delivery = NULL
    WHERE s.release = of_release AND s.number = of_number;
    UPDATE grounds.release r SET failure = NULL WHERE r.id = of_release AND r.failure IS NOT NULL;
    PERFORM grounds.change_version(of_release, removed);
    RETURN TRUE;
END $$;

-- Say why shards of a release cannot be written.
CREATE FUNCTION grounds.fail_release(of_release bigint, its_failure text) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE grounds.release r SET failure = its_failure WHERE r.id = of_release
$$;

CREATE FUNCTION grounds.shard_stopped_by_canary(first bigint, bits bytea) RETURNS boolean LANGUAGE sql VOLATILE AS $$
    SELECT grounds.stopped_by_canary(ARRAY(
        SELECT c.item FROM grounds.canary c
        WHERE c.removed_at IS NULL AND grounds.has_bit(bits, first, c.item)))
$$;

-- Strike items that changed from every shard whose range was announced and has them. What is not in the file is passed over
-- when the shard is handed out.
CREATE FUNCTION grounds.strike(changed bigint[], is_revised boolean) RETURNS void LANGUAGE sql VOLATILE AS $$
    INSERT INTO grounds.release_strike (release, number, items, is_revised)
    SELECT s.release, s.number, array_agg(i), strike.is_revised
    FROM grounds.release_shard s CROSS JOIN unnest(changed) i
    WHERE s.state IN ('READING', 'WRITTEN') AND i BETWEEN s.first AND s.last GROUP BY s.release, s.number
$$;

-- Holds or rules have changed: nothing that was written before is handed out. What no client has is written again at once.
CREATE FUNCTION grounds.strike_everything() RETURNS void LANGUAGE sql VOLATILE AS $$
    UPDATE grounds.release_shard s
    SET state = CASE WHEN s.handed_bits IS NULL THEN 'PLANNED' ELSE 'STALE' END, attempt = NULL
    WHERE s.state IN ('READING', 'WRITTEN')
$$;

-- Open a shard for the claimed client, and lock it for the transaction: what is no longer permitted of it, or was revised, is
-- to be cut. The table of items is locked so that the job which finds recipients sees that a delivery is in progress. What
-- changed is either struck, or in the queue of that job: both are read in one snapshot.
CREATE FUNCTION grounds.open_shard(of_release bigint, of_number int, OUT state text, OUT file text, OUT gone bigint[])
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    found_shard grounds.release_shard;
    changes record;
    struck bigint[];
BEGIN
    LOCK TABLE grounds.content IN ACCESS SHARE MODE;
    SELECT s.* INTO found_shard FROM grounds.release_shard s
    WHERE s.release = of_release AND s.number = of_number AND s.client = grounds.claimed_client() FOR UPDATE;
    IF NOT FOUND THEN
        state := 'UNKNOWN';
        RETURN;
    END IF;
    state := coalesce(grounds.delivery_suspension(), CASE WHEN grounds.releases_pause() THEN 'PAUSED' END);
    IF state IS NOT NULL THEN
        RETURN;
    END IF;
    WITH taken AS (
        DELETE FROM grounds.release_strike s WHERE s.release = of_release AND s.number = of_number
        RETURNING s.items, s.is_revised
    ), due AS (
        SELECT q.scope, q.numbers FROM grounds.retraction_queue q
        UNION ALL SELECT CASE WHEN t.is_revised THEN 'REVISED' ELSE 'STRUCK' END, t.items FROM taken t
    )
    SELECT coalesce(bool_or(scope = 'EVERYTHING'), FALSE) AS everything,
        ARRAY(SELECT n FROM due d, unnest(d.numbers) n WHERE d.scope IN ('ITEM', 'REVISED')) AS items,
        ARRAY(SELECT n FROM due d, unnest(d.numbers) n WHERE d.scope = 'REVISED') AS revised,
        ARRAY(SELECT n FROM due d, unnest(d.numbers) n WHERE d.scope = 'STRUCK') AS struck,
        ARRAY(SELECT n FROM due d, unnest(d.numbers) n WHERE d.scope = 'ACCOUNT') AS accounts,
        ARRAY(SELECT n FROM due d, unnest(d.numbers) n WHERE d.scope = 'CONTACT') AS contacts
    INTO changes FROM due;
    IF changes.everything OR found_shard.state <> 'WRITTEN' THEN
        UPDATE grounds.release_shard s SET state = 'PLANNED', attempt = NULL
        WHERE s.release = of_release AND s.number = of_number AND (changes.everything OR s.state = 'STALE');
        state := 'WRITING';
        RETURN;
    END IF;
    struck := ARRAY(
        SELECT i FROM (
            SELECT grounds.items_concerned(changes.items, changes.accounts, changes.contacts) AS i
            UNION SELECT unnest(changes.struck)) w
        WHERE grounds.has_bit(found_shard.item_bits, found_shard.first, i));
    gone := ARRAY(
        SELECT i FROM unnest(struck) i
        WHERE (SELECT grounds.require_decisions()) AND (
            i = ANY (changes.revised) OR NOT EXISTS (SELECT FROM grounds.trainable_content c WHERE c.id = i OFFSET 0))
        ORDER BY 1);
    IF struck <> '{}' THEN
        UPDATE grounds.release_shard s SET delivery = NULL WHERE s.release = of_release AND s.number = of_number;
    END IF;
    state := 'WRITTEN';
    file := found_shard.file;
EXCEPTION WHEN SQLSTATE 'GD001' THEN
    state := 'PAUSED';
    gone := NULL;
END $$;

-- Record that the opened shard leaves, without what is gone, in a new file if anything is. No policy: nothing may leave.
CREATE FUNCTION grounds.hand_out_shard(
    of_release bigint, of_number int, gone bigint[], new_file text, new_sha256 bytea, new_bytes bigint, new_counts json,
    OUT sha256 bytea, OUT byte_count bigint, OUT receipt bigint, OUT is_new boolean, OUT counts json, OUT policy text
) LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    shard grounds.release_shard;
    removed bigint[];
BEGIN
    SELECT s.* INTO shard FROM grounds.release_shard s WHERE s.release = of_release AND s.number = of_number
        AND s.client = grounds.claimed_client() FOR UPDATE;
    shard.item_bits := shard.item_bits || ''::bytea;
    IF gone <> '{}' THEN
        removed := ARRAY(
            SELECT i FROM unnest(gone) i
            WHERE grounds.has_bit(shard.handed_bits, shard.first, i));
        shard.item_bits := grounds.without_bits(shard.item_bits, shard.first, gone);
        shard.file := new_file;
        shard.sha256 := new_sha256;
        shard.byte_count := new_bytes;
        shard.counts := new_counts;
        shard.item_count := shard.item_count - cardinality(gone);
        PERFORM grounds.change_version(of_release, removed);
    END IF;
    sha256 := shard.sha256;
    byte_count := shard.byte_count;
    counts := shard.counts;
    receipt := shard.delivery;
    is_new := receipt IS NULL;
    IF grounds.shard_stopped_by_canary(shard.first, shard.item_bits) THEN
        UPDATE grounds.release_shard s SET state = 'PLANNED' WHERE s.release = of_release AND s.number = of_number;
        RETURN;
    END IF;
    IF receipt IS NULL AND shard.item_count > 0 THEN
        receipt := grounds.write_shard_receipt(shard);
    END IF;
    UPDATE grounds.release_shard s SET item_bits = shard.item_bits, handed_bits = shard.item_bits, file = shard.file,
        sha256 = shard.sha256, byte_count = shard.byte_count, counts = shard.counts, item_count = shard.item_count,
        delivery = receipt
    WHERE s.release = of_release AND s.number = of_number AND (s.delivery IS NULL OR gone <> '{}');
    INSERT INTO grounds.release_delivery (release, number, major, minor, delivery)
    SELECT r.id, of_number, r.major, r.minor, receipt FROM grounds.release r
    WHERE r.id = of_release AND receipt IS DISTINCT FROM (
        SELECT d.delivery FROM grounds.release_delivery d WHERE d.release = of_release AND d.number = of_number
        ORDER BY d.id DESC LIMIT 1);
    policy := (SELECT p.version FROM grounds.policy p WHERE p.active AND NOT grounds.decisions_pending());
END $$;

-- The receipt of a shard is an ordinary one: bits where they are smaller than numbers.
CREATE FUNCTION grounds.write_shard_receipt(shard grounds.release_shard) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    numbers constant bigint[] := CASE WHEN 8 * octet_length(shard.item_bits) / 64 >= shard.item_count
        THEN ARRAY(SELECT i FROM grounds.items_of_bits(shard.first, shard.item_bits) i ORDER BY i) END;
    written bigint;
BEGIN
    INSERT INTO grounds.delivery (
        client, purpose, policy, decided_at, lowest, highest, item_count, items, item_bits, file_sha256)
    VALUES (shard.client, grounds.claim('purpose'), (SELECT p.version FROM grounds.policy p WHERE p.active),
        grounds.decision_time(), coalesce(numbers[1], shard.first),
        coalesce(numbers[shard.item_count], shard.first + 8 * octet_length(shard.item_bits) - 1),
        shard.item_count, numbers, CASE WHEN numbers IS NULL THEN shard.item_bits END, shard.sha256)
    RETURNING id INTO written;
    RETURN written;
END $$;

-- The file of a shard is not there, as after a restore: it is written again.
CREATE FUNCTION grounds.lose_shard(of_release bigint, of_number int) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE grounds.release_shard s SET state = 'PLANNED', file = NULL
    WHERE s.release = of_release AND s.number = of_number AND s.client = grounds.claimed_client()
$$;

-- The files that shards have. What else lies in the folder was left behind.
CREATE FUNCTION grounds.release_files() RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT s.file FROM grounds.release_shard s WHERE s.file IS NOT NULL
$$;

-- A file that has what is no longer permitted, and that the client does not ask for, is deleted after a day: it is written
-- again when the client does.
CREATE FUNCTION grounds.retire_shards() RETURNS int
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    retired int;
BEGIN
    UPDATE grounds.release_shard s SET file = NULL, state = 'STALE'
    WHERE s.file IS NOT NULL AND s.state IN ('WRITTEN', 'STALE') AND (s.state = 'STALE' OR EXISTS (
        SELECT FROM grounds.release_strike t WHERE t.release = s.release AND t.number = s.number
            AND t.struck_at < clock_timestamp() - interval '1 day'));
    GET DIAGNOSTICS retired = ROW_COUNT;
    RETURN retired;
END $$;

-- Let a manifest name the release's version as it is. FALSE: not every shard is written; what is stale is written again.
CREATE FUNCTION grounds.publish_release(wanted bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM grounds.release r WHERE r.id = wanted AND r.client = grounds.claimed_client() FOR UPDATE;
    UPDATE grounds.release_shard s SET state = 'PLANNED', attempt = NULL
    WHERE s.release = wanted AND s.client = grounds.claimed_client() AND s.state = 'STALE';
    IF EXISTS (SELECT FROM grounds.release_shard s WHERE s.release = wanted AND s.state <> 'WRITTEN') THEN
        RETURN FALSE;
    END IF;
    UPDATE grounds.release r SET is_published = TRUE
    WHERE r.id = wanted AND r.client = grounds.claimed_client() AND NOT r.is_published;
    RETURN TRUE;
END $$;

-- What the claimed client received by a release and is in it no longer from a version on.
CREATE FUNCTION grounds.removed_from_release(wanted bigint, from_major int) RETURNS bigint[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT ARRAY(
        SELECT DISTINCT i FROM grounds.release_removed d CROSS JOIN LATERAL unnest(d.items) i
        WHERE d.release = wanted AND d.major = from_major AND EXISTS (
            SELECT FROM grounds.release r WHERE r.id = wanted AND r.client = grounds.claimed_client())
        ORDER BY i)
$$;
