-- Coverage: once a day every item is counted, by what it is and by what keeps it out, in short statements that any
-- process may go on with. The counts are for officers; what is published of them for dashboards is made of them once.

CREATE TABLE grounds.coverage_snapshot (
    day date PRIMARY KEY,          -- of UTC
    policy text NOT NULL,
    conditions text[] NOT NULL,    -- the codes that the counts stand for, in the catalogue's order
    receipts bigint NOT NULL,      -- the last receipt whose items are known in coverage_delivered
    last_item bigint NOT NULL,     -- the last item that was there at the beginning
    items bigint NOT NULL,         -- the last item that is counted
    shapes int NOT NULL DEFAULT 0, -- how many tables are made of the counted parts
    taken_at timestamptz           -- NULL while it is being taken
);

-- Which items some client received. Only ever added to: each receipt is read once.
CREATE TABLE grounds.coverage_delivered (item bigint PRIMARY KEY);

-- The counted slices of the snapshot that is being taken. `failing` has a bit for each condition that keeps the item out.
CREATE TABLE grounds.coverage_part (
    kind text NOT NULL,
    product text NOT NULL,
    country text NOT NULL,
    language text NOT NULL,
    month text NOT NULL,
    ground text NOT NULL,
    failing bigint NOT NULL,
    delivered boolean NOT NULL,
    retracted boolean NOT NULL,
    items int NOT NULL
);

-- Tables of counts. `shape` has a bit for each dimension, from kind (1) to ground (32); one that it lacks is NULL. Counts
-- are items, permitted, delivered, retracted; then, of each condition, how many items fail it, this one only, this first.
CREATE TABLE grounds.coverage_cell (
    day date NOT NULL,
    shape int NOT NULL,
    kind text,
    product text,
    country text,
    language text,
    month text,
    ground text,
    counts int[] NOT NULL
);
CREATE INDEX coverage_cell_shape ON grounds.coverage_cell (day, shape);

-- What dashboards are shown: rounded, and without what would single somebody out.
CREATE TABLE grounds.coverage_published (
    day date PRIMARY KEY,
    taken_at timestamptz NOT NULL,
    policy text NOT NULL,
    conditions text[] NOT NULL,
    tables json NOT NULL
);

-- Every item by everything, every two dimensions, every one, all items.
CREATE FUNCTION grounds.coverage_shapes() RETURNS int[] LANGUAGE sql IMMUTABLE AS $$
    SELECT array_agg(s ORDER BY n DESC, s) FROM (
        SELECT s, bit_count(s::bit(6)) AS n FROM generate_series(0, 63) s WHERE bit_count(s::bit(6)) IN (0, 1, 2, 6)
    ) shapes
$$;

-- Read the receipts after the last one that was read: at most so many; FALSE when there is none left.
CREATE FUNCTION grounds.count_delivered(counted date, at_most int) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    before CONSTANT bigint := (SELECT s.receipts FROM grounds.coverage_snapshot s WHERE s.day = counted);
    up_to CONSTANT bigint := least(before + at_most, grounds.settled_receipt());
BEGIN
    IF up_to <= before THEN
        RETURN FALSE;
    END IF;
    INSERT INTO grounds.coverage_delivered (item)
    SELECT DISTINCT i.item FROM grounds.delivery d CROSS JOIN LATERAL unnest(d.items) i (item)
    WHERE d.id > before AND d.id <= up_to
    ON CONFLICT DO NOTHING;
    UPDATE grounds.coverage_snapshot SET receipts = up_to WHERE day = counted;
    RETURN TRUE;
END $$;

SET LOCAL check_function_bodies = off; -- the decision is compiled later, of the policy in force

-- Count the items after the last one that was counted: at most so many; FALSE when there is none left.
CREATE FUNCTION grounds.count_items(counted date, at_most int) RETURNS boolean
LANGUAGE plpgsql VOLATILE
-- By the keys of a slice's items: other ways would read all accounts for each slice.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE
    snapshot CONSTANT grounds.coverage_snapshot := (SELECT s FROM grounds.coverage_snapshot s WHERE s.day = counted);
    up_to bigint;
BEGIN
    SELECT max(i.id) INTO up_to FROM (
        SELECT c.id FROM grounds.content c WHERE c.id > snapshot.items AND c.id <= snapshot.last_item
        ORDER BY c.id LIMIT at_most) i;
    IF up_to IS NULL THEN
        RETURN FALSE;
    END IF;
    PERFORM set_config('grounds.purpose', p.document #>> '{purposes,0}', TRUE) FROM grounds.policy p WHERE p.active;
    INSERT INTO grounds.coverage_part
    SELECT c.kind, coalesce(c.product, 'unknown'), coalesce(d.country, 'unknown'), coalesce(c.language, 'unknown'),
        to_char(c.created_month, 'YYYY-MM'), d.ground,
        (SELECT coalesce(bit_or(1::bigint << array_position(snapshot.conditions, f) - 1), 0) FROM unnest(d.shortfall) f),
        EXISTS (SELECT FROM grounds.coverage_delivered v WHERE v.item = d.id),
        EXISTS (SELECT FROM grounds.client k JOIN grounds.retraction r ON r.client = k.id
                WHERE r.item = d.id AND r.kind IN ('RETRACT', 'SUPERSEDE')),
        count(*)
    FROM grounds.decision d JOIN grounds.content c ON c.id = d.id
    WHERE d.id > snapshot.items AND d.id <= up_to
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9;
    UPDATE grounds.coverage_snapshot SET items = up_to WHERE day = counted;
    RETURN TRUE;
END $$;

-- Make one table: the finest of the parts, the others of the finest; FALSE when every one is made.
CREATE FUNCTION grounds.count_table(counted date) RETURNS boolean LANGUAGE plpgsql VOLATILE SET jit = off AS $$
DECLARE
    snapshot CONSTANT grounds.coverage_snapshot := (SELECT s FROM grounds.coverage_snapshot s WHERE s.day = counted);
    wanted CONSTANT int := (grounds.coverage_shapes())[snapshot.shapes + 1];
    conditions CONSTANT int := cardinality(snapshot.conditions);
    names CONSTANT text[] := '{kind,product,country,language,month,ground}';
    shown text;
    grouped text;
    counts text;
    finer int;
BEGIN
    IF wanted IS NULL THEN
        RETURN FALSE;
    ELSIF wanted = 63 THEN
        SELECT string_agg('coalesce(sum(items) FILTER (WHERE ' || c.which || '), 0)::int', ', ' ORDER BY c.place, c.bit)
        INTO counts FROM (
            VALUES (1, 0, 'TRUE'), (2, 0, 'failing = 0'), (3, 0, 'delivered'), (4, 0, 'retracted')
            UNION ALL SELECT k.place, bit, k.test || (1::bigint << bit) FROM generate_series(0, conditions - 1) bit,
                (VALUES (5, '0 <> failing & '), (6, 'failing = '), (7, 'failing & -failing = ')) k (place, test)
        ) c (place, bit, which);
        EXECUTE 'INSERT INTO grounds.coverage_cell SELECT $1, $2, kind, product, country, language, month, ground, ARRAY['
            || counts || '] FROM grounds.coverage_part GROUP BY kind, product, country, language, month, ground'
        USING counted, wanted;
    ELSE
        SELECT string_agg(CASE WHEN wanted & (1 << n - 1) > 0 THEN names[n] ELSE 'NULL' END, ', ' ORDER BY n),
            coalesce(string_agg(names[n], ', ') FILTER (WHERE wanted & (1 << n - 1) > 0), '()')
        INTO shown, grouped FROM generate_series(1, 6) n;
        SELECT string_agg('coalesce(sum(counts[' || n || ']), 0)::int', ', ' ORDER BY n) INTO counts
        FROM generate_series(1, 4 + 3 * conditions) n;
        SELECT min(s) INTO finer FROM unnest((grounds.coverage_shapes())[:snapshot.shapes]) s WHERE s & wanted = wanted;
        EXECUTE 'INSERT INTO grounds.coverage_cell SELECT $1, $2, ' || shown || ', ARRAY[' || counts
            || '] FROM grounds.coverage_cell WHERE day = $1 AND shape = $3 GROUP BY ' || grouped
        USING counted, wanted, finer;
    END IF;
    UPDATE grounds.coverage_snapshot SET shapes = shapes + 1 WHERE day = counted;
    RETURN TRUE;
END $$;

-- Do the next piece of today's snapshot. What it says: NOTHING is left to do today, there is MORE, or all is COUNTED and
-- waits to be published. One that was broken off by midnight, by another policy or by another release begins anew.
CREATE FUNCTION grounds.count_coverage(codes text[], at_most int) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    today CONSTANT date := (grounds.decision_time() AT TIME ZONE 'UTC')::date;
    in_force CONSTANT text := (SELECT p.version FROM grounds.policy p WHERE p.active);
BEGIN
    PERFORM set_config('grounds.duty', 'coverage', TRUE);
    IF EXISTS (SELECT FROM grounds.coverage_snapshot s WHERE s.day = today AND s.taken_at IS NOT NULL) THEN
        RETURN 'NOTHING';
    END IF;
    WITH broken_off AS (
        DELETE FROM grounds.coverage_snapshot s
        WHERE s.taken_at IS NULL AND (s.day, s.policy, s.conditions) IS DISTINCT FROM (today, in_force, codes)
        RETURNING s.day
    )
    DELETE FROM grounds.coverage_cell c WHERE c.day IN (SELECT b.day FROM broken_off b);
    IF NOT EXISTS (SELECT FROM grounds.coverage_snapshot s WHERE s.day = today) THEN
        TRUNCATE grounds.coverage_part;
        INSERT INTO grounds.coverage_snapshot (day, policy, conditions, receipts, last_item, items)
        SELECT today, in_force, codes, (SELECT coalesce(max(s.receipts), 0) FROM grounds.coverage_snapshot s), c.last, 0
        FROM (SELECT max(id) AS last FROM grounds.content) c WHERE c.last IS NOT NULL AND in_force IS NOT NULL;
        RETURN CASE WHEN FOUND THEN 'MORE' ELSE 'NOTHING' END;
    END IF;
    IF grounds.count_delivered(today, 500) THEN
        RETURN 'MORE';
    ELSIF grounds.count_items(today, at_most) THEN
        RETURN 'MORE';
    END IF;
    RETURN CASE WHEN grounds.count_table(today) THEN 'MORE' ELSE 'COUNTED' END;
END $$;

-- The tables of the snapshot that waits to be published, without the finest.
CREATE FUNCTION grounds.counted_coverage() RETURNS SETOF grounds.coverage_cell
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT c.* FROM grounds.coverage_cell c JOIN grounds.coverage_snapshot s ON s.day = c.day
    WHERE s.taken_at IS NULL AND c.shape < 63
$$;

-- The snapshot is taken, and is not taken again. Items by everything are kept for 35 days, the other tables for 400.
CREATE FUNCTION grounds.publish_coverage(its_tables json) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    today CONSTANT date := (grounds.decision_time() AT TIME ZONE 'UTC')::date;
BEGIN
    WITH taken AS (
        UPDATE grounds.coverage_snapshot SET taken_at = grounds.decision_time() WHERE taken_at IS NULL RETURNING *
    )
    INSERT INTO grounds.coverage_published SELECT day, taken_at, policy, conditions, its_tables FROM taken;
    DELETE FROM grounds.coverage_published p WHERE p.day < today - 400;
    DELETE FROM grounds.coverage_snapshot s WHERE s.day < today - 400;
    DELETE FROM grounds.coverage_cell c WHERE c.day < today - 400;
    DELETE FROM grounds.coverage_cell c WHERE c.day < today - 35 AND c.shape = 63;
    TRUNCATE grounds.coverage_part;
END $$;
