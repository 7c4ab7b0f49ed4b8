-- Receipts: one per page, written by the statement that reads it, and one per shard of a release, written before its first
-- byte is sent. The ids are an array, or a bitset between the first and
-- the last of them, whichever is smaller: 3.3 bits an id where 30 % of the items are permitted.
CREATE TABLE grounds.delivery (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client int NOT NULL,
    purpose text NOT NULL,
    policy text NOT NULL,
    decided_at timestamptz NOT NULL,
    lowest bigint NOT NULL,
    highest bigint NOT NULL,
    item_count int NOT NULL,
    items bigint[],
    item_bits bytea, -- bit n, as get_bit counts, stands for the item lowest + n
    file_sha256 bytea, -- of the file, where a shard of a release was delivered; NULL: a page
    CHECK (num_nonnulls(items, item_bits) = 1)
);

-- Compressing 8 kB of ids costs 0.3 ms a page.
ALTER TABLE grounds.delivery ALTER items SET STORAGE EXTERNAL, ALTER item_bits SET STORAGE EXTERNAL;

CREATE INDEX delivery_client ON grounds.delivery (client, id);

-- The items of a receipt, in the order of their ids. The bits are concatenated with nothing to read them from their
-- storage once, and not once a bit.
CREATE FUNCTION grounds.items_of(receipt grounds.delivery) RETURNS SETOF bigint
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    bits constant bytea := receipt.item_bits || ''::bytea;
BEGIN
    IF bits IS NULL THEN
        RETURN QUERY SELECT unnest(receipt.items);
    ELSE
        RETURN QUERY SELECT receipt.lowest + place FROM generate_series(0, receipt.highest - receipt.lowest) place
            WHERE get_bit(bits, place) = 1;
    END IF;
END $$;

CREATE FUNCTION grounds.has_item(receipt grounds.delivery, item bigint) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN CASE
    WHEN item < receipt.lowest OR item > receipt.highest THEN FALSE
    WHEN receipt.items IS NOT NULL THEN item = ANY (receipt.items)
    -- One byte is read, and not all bits: their storage is not compressed.
    ELSE get_bit(substring(receipt.item_bits FROM ((item - receipt.lowest) / 8)::int + 1 FOR 1), (item - receipt.lowest) % 8) = 1
    END;

-- The ids are in ascending order. No policy is told where nothing may leave: decisions are pending, or an item is planted.
CREATE FUNCTION grounds.write_receipt(
    page_items bigint[], OUT receipt bigint, OUT decided_at timestamptz, OUT policy text
) LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    total constant int := cardinality(page_items);
    first constant bigint := page_items[1];
    last constant bigint := page_items[total];
    bits bytea;
    item bigint;
BEGIN
    decided_at := grounds.decision_time();
    IF grounds.stopped_by_canary(page_items) THEN
        RETURN;
    END IF;
    IF (last - first) / 64 < total THEN
        bits := decode(repeat('00', ((last - first) / 8 + 1)::int), 'hex');
        FOREACH item IN ARRAY page_items LOOP -- a page has at most 8 kB of bits: set by set, 0.1 ms for 1,000 items
            bits := set_bit(bits, item - first, 1);
        END LOOP;
        page_items := NULL;
    END IF;
    IF total > 0 THEN
        INSERT INTO grounds.delivery AS d (
            client, purpose, policy, decided_at, lowest, highest, item_count, items, item_bits)
        VALUES (grounds.claimed_client(), grounds.claim('purpose'),
            (SELECT p.version FROM grounds.policy p WHERE p.active), decided_at,
            first, last, total, page_items, bits)
        RETURNING d.id INTO receipt;
    END IF;
    policy := (SELECT p.version FROM grounds.policy p WHERE p.active AND NOT grounds.decisions_pending());
END $$;

-- Which pages are being read at this moment: a statement locks what it reads before it takes its snapshot, and until
-- what it wrote is seen by everybody. So a page is announced without announcing, and no clock is asked. (The login is
-- the only one that may write receipts.)
CREATE FUNCTION grounds.pages_in_progress() RETURNS text[]
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(array_agg(l.virtualtransaction), '{}')
    FROM pg_locks l JOIN pg_stat_activity s ON s.pid = l.pid
    WHERE l.relation IN ('grounds.content'::regclass, 'grounds.offer'::regclass) AND s.usename = 'grounds_training'
        AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
$$;

-- Who received what: kept by a job from settled receipts in their order, up to the one that delivery_progress names.
-- The receipts after it, those of about a second, are looked through one by one.
CREATE TABLE grounds.held_item (
    item bigint NOT NULL,
    client int NOT NULL,
    purpose text NOT NULL,
    first_delivery bigint NOT NULL,
    last_delivery bigint NOT NULL,
    deliveries int NOT NULL,
    PRIMARY KEY (item, client, purpose)
) WITH (fillfactor = 80); -- an item that is delivered again is updated in place

CREATE TABLE grounds.delivery_progress (last_delivery bigint NOT NULL);

INSERT INTO grounds.delivery_progress VALUES (0);

-- Which of some items the receipts after one of them have, but for those that were seen already; NULL: every item. Few
-- items are looked up in a large receipt, those of its range alone, and a small one is read for many.
CREATE FUNCTION grounds.received_after(after bigint, seen bigint[], wanted bigint[]) RETURNS TABLE (
    item bigint, client int, purpose text, delivery bigint
) LANGUAGE sql STABLE AS $$
    SELECT w, d.client, d.purpose, d.id
    FROM (SELECT array_agg(i ORDER BY i) AS items FROM unnest(wanted) i) sorted
    CROSS JOIN LATERAL (
        SELECT * FROM grounds.delivery r
        WHERE r.id > after AND r.id <> ALL (seen) AND r.item_count > 8 * cardinality(wanted) OFFSET 0) d
    CROSS JOIN LATERAL unnest(
        sorted.items[width_bucket(d.lowest - 1, sorted.items) + 1 : width_bucket(d.highest, sorted.items)]) w
    WHERE grounds.has_item(d, w)
    UNION ALL
    SELECT i, d.client, d.purpose, d.id
    FROM (SELECT * FROM grounds.delivery r
          WHERE r.id > after AND r.id <> ALL (seen) AND (wanted IS NULL OR r.item_count <= 8 * cardinality(wanted))
          OFFSET 0) d
    CROSS JOIN LATERAL grounds.items_of(d) i
    WHERE wanted IS NULL OR i IN (SELECT unnest(wanted))
$$;

-- Of some items, who received each: with the first and the last receipt, and how many there are.
CREATE FUNCTION grounds.recipients_of(wanted bigint[]) RETURNS TABLE (
    item bigint, client int, purpose text, first_delivery bigint, last_delivery bigint, deliveries int
) LANGUAGE sql STABLE AS $$
    SELECT r.item, r.client, r.purpose, min(r.first_delivery), max(r.last_delivery), sum(r.deliveries)::int
    FROM (
        SELECT h.item, h.client, h.purpose, h.first_delivery, h.last_delivery, h.deliveries
        FROM (SELECT DISTINCT i FROM unnest(wanted) i) w
        CROSS JOIN LATERAL (SELECT * FROM grounds.held_item WHERE held_item.item = w.i OFFSET 0) h
        UNION ALL
        SELECT a.item, a.client, a.purpose, a.delivery, a.delivery, 1
        FROM grounds.received_after((SELECT p.last_delivery FROM grounds.delivery_progress p), '{}', wanted) a
    ) r GROUP BY r.item, r.client, r.purpose
$$;

-- Take so many receipts in; give how many numbers they have.
CREATE FUNCTION grounds.record_deliveries(at_most int) RETURNS int
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    after bigint;
    up_to bigint;
BEGIN
    PERFORM set_config('grounds.job', 'record deliveries', TRUE);
    SELECT p.last_delivery INTO after FROM grounds.delivery_progress p FOR UPDATE;
    IF NOT EXISTS (SELECT FROM grounds.delivery d WHERE d.id > after) THEN
        RETURN 0;
    END IF;
    up_to := least(after + at_most, grounds.settled_receipt());
    IF up_to <= after THEN
        RETURN 0;
    END IF;
    up_to := least(up_to, ( -- few, where they are large
        SELECT max(n.id) FROM (
            SELECT d.id, sum(d.item_count) OVER (ORDER BY d.id) - d.item_count AS items_before
            FROM grounds.delivery d WHERE d.id > after AND d.id <= up_to) n
        WHERE n.items_before < 200000));
    INSERT INTO grounds.held_item AS h (item, client, purpose, first_delivery, last_delivery, deliveries)
    SELECT i, d.client, d.purpose, min(d.id), max(d.id), count(*)
    FROM grounds.delivery d CROSS JOIN LATERAL grounds.items_of(d) i
    WHERE d.id > after AND d.id <= up_to GROUP BY i, d.client, d.purpose ORDER BY i, d.client
    ON CONFLICT (item, client, purpose) DO UPDATE
    SET last_delivery = excluded.last_delivery, deliveries = h.deliveries + excluded.deliveries;
    UPDATE grounds.delivery_progress SET last_delivery = up_to;
    RETURN up_to - after;
END $$;

-- What was delivered of a data subject's own items: of each item, client and purpose the last page.
CREATE FUNCTION grounds.deliveries_of_subject(wanted bigint[]) RETURNS TABLE (
    delivery bigint, client text, purpose text, policy text, decided_at timestamptz, items bigint[],
    told_to_delete_at timestamptz, has_confirmed boolean
) LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('grounds.job', 'deliveries of a data subject', TRUE);
    RETURN QUERY
        SELECT d.id, k.name, d.purpose, d.policy, d.decided_at, array_agg(h.item ORDER BY h.item), t.retracted_at,
            t.id <= k.acknowledged
        FROM grounds.recipients_of(ARRAY(
            SELECT c.id FROM grounds.content c
            WHERE c.account = grounds.claimed_account() AND c.id = ANY (wanted))) h
        JOIN grounds.delivery d ON d.id = h.last_delivery
        JOIN grounds.client k ON k.id = h.client
        LEFT JOIN LATERAL (
            SELECT r.id, r.retracted_at FROM grounds.retractions_of(h.item) r
            WHERE r.client = h.client AND r.kind IN ('RETRACT', 'SUPERSEDE') AND r.retracted_at >= d.decided_at
            ORDER BY r.id DESC LIMIT 1) t ON TRUE
        GROUP BY d.id, k.name, d.purpose, d.policy, d.decided_at, t.retracted_at, t.id <= k.acknowledged
        ORDER BY d.decided_at DESC, d.id DESC, t.retracted_at DESC NULLS LAST;
    PERFORM set_config('grounds.job', '', TRUE);
END $$;
