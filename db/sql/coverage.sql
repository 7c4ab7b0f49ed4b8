-- Coverage: once a day every item is counted, for each purpose of the policy, by what it is and by what keeps it out, in
-- short statements that any process may go on with. The counts are for officers. Once a month the same parts are measured for what is published to
-- dashboards, where each person counts for a limited number of items (db/coverage/README.md).

CREATE TABLE grounds.coverage_snapshot (
    day date PRIMARY KEY,          -- of UTC
    policy text NOT NULL,
    conditions text[] NOT NULL,    -- the codes that the counts stand for, in the catalogue's order
    purposes text[] NOT NULL,      -- of the policy, in its order: each has counts of its own
    receipts bigint NOT NULL,      -- the last receipt whose items are known in coverage_delivered
    last_item bigint NOT NULL,     -- the last item that was there at the beginning
    items bigint NOT NULL,         -- the last item that is counted
    shapes int NOT NULL DEFAULT 0, -- how many tables are made of the counted parts
    is_published boolean NOT NULL, -- dashboards are shown counts of this day
    accounts bigint NOT NULL DEFAULT 0, -- the last account whose items are counted by person
    taken_at timestamptz           -- NULL while it is being taken
);

-- Which items some client received, and for which purpose. Only ever added to: each receipt is read once.
CREATE TABLE grounds.coverage_delivered (item bigint, purpose text, PRIMARY KEY (item, purpose));

-- How many items each person has, while a snapshot that is published is taken. A person is a group of accounts (negative), or
-- an account of no group.
CREATE TABLE grounds.coverage_person (person bigint PRIMARY KEY, items bigint NOT NULL);

-- Of the persons who wrote the items above others, how many of those are excluded by nothing but such an item: in millionths
-- of an item, as they count in tables.
CREATE TABLE grounds.coverage_parent (
    purpose text, person bigint, kind text, PRIMARY KEY (purpose, person, kind),
    items bigint NOT NULL
);

-- The counted slices of the snapshot that is being taken. `failing` has a bit for each condition that keeps the item out;
-- `failing_of_author` only those that do so by the data about its author.
CREATE TABLE grounds.coverage_part (
    purpose text NOT NULL,
    kind text NOT NULL,
    product text NOT NULL,
    country text NOT NULL,
    language text NOT NULL, -- with its dialect, in lower case
    month text NOT NULL,
    ground text NOT NULL,
    failing bigint NOT NULL,
    failing_of_author bigint NOT NULL,
    delivered boolean NOT NULL,
    retracted boolean NOT NULL,
    stands_alone boolean NOT NULL, -- data about its author alone decide whether it is delivered
    items int NOT NULL,
    -- The same in millionths of an item, where the items of a person are at most so many: in the total, and in tables.
    capped_in_total bigint NOT NULL,
    capped_in_tables bigint NOT NULL
);

-- Tables of counts. `shape` has a bit for each dimension, from kind (1) to ground (32); one that it lacks is NULL. Languages
-- are without their dialects, but in the table of shape 64, which has the whole tags and nothing else. Counts
-- are items, permitted, delivered, retracted; then, of each condition, how many items fail it, this one only, this first.
CREATE TABLE grounds.coverage_cell (
    day date NOT NULL,
    purpose text NOT NULL,
    shape int NOT NULL,
    kind text,
    product text,
    country text,
    language text,
    month text,
    ground text,
    counts int[] NOT NULL
);

CREATE INDEX coverage_cell_shape ON grounds.coverage_cell (day, purpose, shape);

-- What dashboards are shown, and all that they can read: measured with noise, on a fixed calendar. `tables` are by purpose
-- and then by dimensions, `purposes` are in the order of the policy.
CREATE TABLE grounds.coverage_published (
    day date PRIMARY KEY,
    taken_at timestamptz NOT NULL,
    policy text NOT NULL,
    conditions text[] NOT NULL,
    purposes text[] NOT NULL,
    tables jsonb NOT NULL
);

-- A query reads one or two tables of very many: without compression, only their parts of the document are read.
ALTER TABLE grounds.coverage_published ALTER tables SET STORAGE EXTERNAL;

-- Every item by everything, a quarter of the months at a time; by language with its dialects (64), by every two dimensions,
-- every one, all items.
CREATE FUNCTION grounds.coverage_shapes() RETURNS int[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY[63, 63, 63, 63, 64] || array_agg(s ORDER BY n DESC, s) FROM (
        SELECT s, bit_count(s::bit(6)) AS n FROM generate_series(0, 63) s WHERE bit_count(s::bit(6)) IN (0, 1, 2)
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
    INSERT INTO grounds.coverage_delivered (item, purpose)
    SELECT DISTINCT i, d.purpose FROM grounds.delivery d CROSS JOIN LATERAL grounds.items_of(d) i
    WHERE d.id > before AND d.id <= up_to
    ON CONFLICT DO NOTHING;
    UPDATE grounds.coverage_snapshot SET receipts = up_to WHERE day = counted;
    RETURN TRUE;
END $$;

-- Whether counts of a day are published: the first ones, and then those of the first day of a month, 15 days after the
-- publication before or later, so that in any 30 days there are at most two.
CREATE FUNCTION grounds.publication_is_due(on_day date) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT on_day >= coalesce(date_trunc('month', max(p.day) + 14 + interval '1 month'), '-infinity')
    FROM grounds.coverage_published p
$$;

-- The person of an account: its group of accounts (negative), or the account itself.
CREATE FUNCTION grounds.person_of(its_account bigint) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT -m.person_group FROM grounds.person_member m WHERE m.account = its_account), its_account)
$$;

-- Count the items of the persons of the accounts after the last one that was counted: FALSE when there is none left.
CREATE FUNCTION grounds.count_persons(counted date, at_most int) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE
    snapshot CONSTANT grounds.coverage_snapshot := (SELECT s FROM grounds.coverage_snapshot s WHERE s.day = counted);
    up_to bigint;
BEGIN
    SELECT max(i.id) INTO up_to FROM (
        SELECT a.id FROM grounds.account a WHERE a.id > snapshot.accounts ORDER BY a.id LIMIT at_most) i;
    IF up_to IS NULL OR NOT snapshot.is_published THEN
        RETURN FALSE;
    END IF;
    INSERT INTO grounds.coverage_person AS p (person, items)
    SELECT coalesce(-m.person_group, a.id), sum(held.items) FROM grounds.account a
    LEFT JOIN grounds.person_member m ON m.account = a.id
    CROSS JOIN LATERAL (SELECT count(*) AS items FROM grounds.content c
                        WHERE c.account = a.id AND c.id <= snapshot.last_item) held
    WHERE a.id > snapshot.accounts AND a.id <= up_to AND held.items > 0
    GROUP BY 1
    ON CONFLICT (person) DO UPDATE SET items = p.items + excluded.items;
    UPDATE grounds.coverage_snapshot SET accounts = up_to WHERE day = counted;
    RETURN TRUE;
END $$;

-- The bits of some conditions in `failing`.
CREATE FUNCTION grounds.condition_bits(conditions text[], named text[]) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(bit_or(1::bigint << array_position(conditions, n) - 1), 0) FROM unnest(named) n
$$;

-- Count the items after the last one that was counted, for each purpose: at most so many decisions, but one item in any
-- case; FALSE when there is none left. Each purpose is claimed in turn. `of_others` are the conditions that an item can fail
-- only because of other persons' data. Raises GD001 if decisions are pending.
CREATE FUNCTION grounds.count_items(counted date, at_most int, in_total int, in_tables int, of_others text[])
RETURNS boolean
LANGUAGE plpgsql VOLATILE
-- By the keys of a slice's items: other ways would read all accounts for each slice.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE
    snapshot CONSTANT grounds.coverage_snapshot := (SELECT s FROM grounds.coverage_snapshot s WHERE s.day = counted);
    codes CONSTANT text[] := snapshot.conditions;
    others_bits CONSTANT bigint := grounds.condition_bits(codes, of_others);
    audience_bit CONSTANT bigint := grounds.condition_bits(codes, '{AUDIENCE_PUBLIC}');
    rights_bit CONSTANT bigint := grounds.condition_bits(codes, '{NO_RIGHTS_RESERVATION}');
    special_bit CONSTANT bigint := grounds.condition_bits(codes, '{NO_SPECIAL_CATEGORY}');
    safety_bit CONSTANT bigint := grounds.condition_bits(codes, '{CONTENT_SAFE}');
    minor_bit CONSTANT bigint := grounds.condition_bits(codes, '{NO_MINOR_REFERENCED}');
    up_to bigint;
    judged_for text;
BEGIN
    SELECT max(i.id) INTO up_to FROM (
        SELECT c.id FROM grounds.content c WHERE c.id > snapshot.items AND c.id <= snapshot.last_item
        ORDER BY c.id LIMIT greatest(1, at_most / cardinality(snapshot.purposes))) i;
    IF up_to IS NULL THEN
        RETURN FALSE;
    END IF;
    FOREACH judged_for IN ARRAY snapshot.purposes LOOP
        PERFORM set_config('grounds.purpose', judged_for, TRUE);
        WITH judged AS MATERIALIZED (
            SELECT d.kind, coalesce(d.product, 'unknown') AS product, coalesce(d.country, 'unknown') AS country,
                coalesce(d.language_key, 'unknown') AS language, to_char(d.created_month, 'YYYY-MM') AS month, d.ground,
                d.failing, d.failing_of_author,
                EXISTS (SELECT FROM grounds.coverage_delivered v WHERE v.item = d.id AND v.purpose = judged_for)
                    AS delivered,
                EXISTS (SELECT FROM grounds.retractions_of(d.id) r JOIN grounds.delivery v ON v.id = r.delivery
                        WHERE r.kind IN ('RETRACT', 'SUPERSEDE') AND v.purpose = judged_for) AS retracted,
                d.parent IS NULL AND NOT d.has_references
                    AND d.kind NOT IN ('COMMENT', 'CAPTION', 'PHOTO', 'VIDEO', 'AUDIO') AS stands_alone,
                least(1000000, coalesce(1000000 * in_total / person.items, 0)) AS in_total,
                least(1000000, coalesce(1000000 * in_tables / person.items, 0)) AS in_tables,
                d.parent
            FROM grounds.counted_content d LEFT JOIN grounds.person_member m ON m.account = d.account
            CROSS JOIN LATERAL (
                SELECT coalesce(-m.person_group, d.account) AS id OFFSET 0 -- first: a policy lets no expression of a row into an index
            ) writer
            CROSS JOIN LATERAL (
                SELECT (SELECT p.items FROM grounds.coverage_person p WHERE p.person = writer.id) AS items OFFSET 0
            ) person
            WHERE (SELECT grounds.require_decisions())
                AND d.id > snapshot.items AND d.id <= up_to AND d.id <> ALL (ARRAY(SELECT grounds.planted_items()))
        ), counted AS (
            INSERT INTO grounds.coverage_part
            SELECT judged_for, j.kind, j.product, j.country, j.language, j.month, j.ground, j.failing,
                j.failing_of_author, j.delivered, j.retracted, j.stands_alone, count(*), sum(j.in_total),
                sum(j.in_tables)
            FROM judged j GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
        )
        INSERT INTO grounds.coverage_parent AS p (purpose, person, kind, items)
        SELECT judged_for, grounds.person_of(above.account), j.kind, sum(j.in_tables)
        FROM judged j CROSS JOIN LATERAL (
            SELECT a.account FROM grounds.content a
            WHERE a.platform_id = j.parent AND CASE
                WHEN j.failing & audience_bit > 0
                    AND (a.audience = 'PUBLIC' AND a.deleted_at IS NULL AND a.quarantined_at < a.observed_at) IS NOT TRUE
                THEN TRUE
                WHEN j.kind = 'CAPTION' AND a.kind IN ('PHOTO', 'VIDEO', 'AUDIO')
                THEN (a.reserved OR a.account_reserved) AND j.failing & rights_bit > 0
                    OR a.special_category IS DISTINCT FROM 'CLEAR' AND j.failing & special_bit > 0
                    OR a.safety IS DISTINCT FROM 'CLEAR' AND j.failing & safety_bit > 0
                    OR (a.minors = 'CLEAR' OR a.minors IS NULL AND NOT a.needs_minors_scan) IS NOT TRUE
                        AND j.failing & minor_bit > 0
                ELSE FALSE END
            OFFSET 0) above
        WHERE j.failing_of_author = 0 AND j.failing & others_bits > 0 AND snapshot.is_published GROUP BY 2, 3
        ON CONFLICT (purpose, person, kind) DO UPDATE SET items = p.items + excluded.items;
    END LOOP;
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
    ELSIF wanted >= 63 THEN
        SELECT string_agg('coalesce(sum(items) FILTER (WHERE ' || c.which || '), 0)::int', ', ' ORDER BY c.place, c.bit)
        INTO counts FROM (
            VALUES (1, 0, 'TRUE'), (2, 0, 'failing = 0'), (3, 0, 'delivered'), (4, 0, 'retracted')
            UNION ALL SELECT k.place, bit, k.test || (1::bigint << bit) FROM generate_series(0, conditions - 1) bit,
                (VALUES (5, '0 <> failing & '), (6, 'failing = '), (7, 'failing & -failing = ')) k (place, test)
        ) c (place, bit, which);
        shown := CASE wanted WHEN 64 THEN 'NULL, NULL, NULL, language, NULL, NULL'
            ELSE 'kind, product, country, split_part(language, ''-'', 1), month, ground' END;
        EXECUTE 'INSERT INTO grounds.coverage_cell SELECT $1, purpose, $2, ' || shown || ', ARRAY[' || counts
            || '] FROM grounds.coverage_part WHERE $2 = 64 OR hashtext(month) & 3 = $3 GROUP BY purpose, '
            || CASE wanted WHEN 64 THEN 'language' ELSE shown END
        USING counted, wanted, snapshot.shapes;
    ELSE
        SELECT string_agg(CASE WHEN wanted & (1 << n - 1) > 0 THEN names[n] ELSE 'NULL' END, ', ' ORDER BY n),
            coalesce(string_agg(names[n], ', ') FILTER (WHERE wanted & (1 << n - 1) > 0), '()')
        INTO shown, grouped FROM generate_series(1, 6) n;
        SELECT string_agg('coalesce(sum(counts[' || n || ']), 0)::int', ', ' ORDER BY n) INTO counts
        FROM generate_series(1, 4 + 3 * conditions) n;
        SELECT min(s) INTO finer FROM unnest((grounds.coverage_shapes())[:snapshot.shapes]) s WHERE s & wanted = wanted;
        EXECUTE 'INSERT INTO grounds.coverage_cell SELECT $1, purpose, $2, ' || shown || ', ARRAY[' || counts
            || '] FROM grounds.coverage_cell WHERE day = $1 AND shape = $3 GROUP BY purpose, ' || grouped
        USING counted, wanted, finer;
    END IF;
    UPDATE grounds.coverage_snapshot SET shapes = shapes + 1 WHERE day = counted;
    RETURN TRUE;
END $$;

-- Do the next piece of today's snapshot. What it says: NOTHING is left to do today, there is MORE, or all is COUNTED and
-- waits to be published. One that was broken off by midnight, by another policy or by another release begins anew. In what
-- is published, a person counts for so many items at most. While decisions are pending, nothing is counted.
CREATE FUNCTION grounds.count_coverage(codes text[], at_most int, in_total int, in_tables int, of_others text[])
RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    today CONSTANT date := (grounds.decision_time() AT TIME ZONE 'UTC')::date;
    in_force CONSTANT text := (SELECT p.version FROM grounds.policy p WHERE p.active);
BEGIN
    PERFORM set_config('grounds.job', 'coverage', TRUE);
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
        TRUNCATE grounds.coverage_part, grounds.coverage_person, grounds.coverage_parent;
        INSERT INTO grounds.coverage_snapshot (
            day, policy, conditions, purposes, receipts, last_item, items, is_published)
        SELECT today, in_force, codes, grounds.policy_purposes(), (SELECT coalesce(max(s.receipts), 0) FROM grounds.coverage_snapshot s), c.last, 0,
            grounds.publication_is_due(today)
        FROM (SELECT max(id) AS last FROM grounds.content) c WHERE c.last IS NOT NULL AND in_force IS NOT NULL;
        RETURN CASE WHEN FOUND THEN 'MORE' ELSE 'NOTHING' END;
    END IF;
    IF grounds.count_delivered(today, 200) THEN
        RETURN 'MORE';
    ELSIF grounds.count_persons(today, at_most) THEN
        RETURN 'MORE';
    ELSIF grounds.count_items(today, at_most, in_total, in_tables, of_others) THEN
        RETURN 'MORE';
    END IF;
    RETURN CASE WHEN grounds.count_table(today) THEN 'MORE' ELSE 'COUNTED' END;
EXCEPTION WHEN SQLSTATE 'GD001' THEN
    RETURN 'NOTHING';
END $$;

-- What was counted for a purpose of the snapshot that waits to be published, in millionths of an item. Each item is judged
-- by the data about its author. Items that an item above excludes are counted by kind in `below`: of each person who wrote
-- items above, as many as `of_others` at most.
-- `total` counts all items, and by index of the condition those that fail it, that fail it only, that fail it first. Its
-- `deliveries` are of items that stand alone: delivered and not retracted, permitted only, retracted, and others;
-- `cells` counts by each dimension and each pair that is published: permitted items, and others. `grounds` are those of the
-- policy, `named` the tables by one dimension of the publication before.
CREATE FUNCTION grounds.counted_for(its_purpose text, of_others int) RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
    WITH snapshot AS (SELECT * FROM grounds.coverage_snapshot WHERE taken_at IS NULL AND is_published),
    by_failing AS MATERIALIZED (
        SELECT failing_of_author AS failing, sum(capped_in_total) AS items FROM grounds.coverage_part
        WHERE purpose = its_purpose GROUP BY failing_of_author
    ),
    by_delivery AS (
        SELECT CASE WHEN retracted AND failing_of_author <> 0 THEN 3 WHEN delivered THEN 1
            WHEN failing_of_author <> 0 THEN 4 ELSE 2 END AS place, sum(capped_in_total) AS items
        FROM grounds.coverage_part WHERE purpose = its_purpose AND stands_alone GROUP BY 1
    ),
    by_condition AS (
        SELECT bit, coalesce(sum(f.items) FILTER (WHERE f.failing & mask <> 0), 0) AS failing,
            coalesce(sum(f.items) FILTER (WHERE f.failing = mask), 0) AS alone,
            coalesce(sum(f.items) FILTER (WHERE f.failing & -f.failing = mask), 0) AS first
        FROM snapshot s CROSS JOIN LATERAL generate_series(0, cardinality(s.conditions) - 1) bit
        CROSS JOIN LATERAL (SELECT 1::bigint << bit AS mask) m LEFT JOIN by_failing f ON TRUE GROUP BY bit
    ),
    total AS (
        SELECT coalesce(sum(capped_in_total) FILTER (WHERE failing_of_author = 0), 0) AS permitted,
            coalesce(sum(capped_in_total) FILTER (WHERE failing_of_author <> 0), 0) AS others,
            coalesce(sum(capped_in_tables), 0) AS in_tables,
            (SELECT array_agg(coalesce(d.items, 0) ORDER BY place) FROM generate_series(1, 4) place
             LEFT JOIN by_delivery d USING (place)) AS deliveries,
            (SELECT array_agg(b.failing ORDER BY bit) FROM by_condition b) AS failing,
            (SELECT array_agg(b.alone ORDER BY bit) FROM by_condition b) AS alone,
            (SELECT array_agg(b.first ORDER BY bit) FROM by_condition b) AS first
        FROM grounds.coverage_part WHERE purpose = its_purpose
    ),
    cells AS (
        SELECT kind, product, country, split_part(language, '-', 1) AS language, month,
            sum(CASE failing_of_author WHEN 0 THEN capped_in_tables ELSE 0 END) AS permitted,
            sum(CASE failing_of_author WHEN 0 THEN 0 ELSE capped_in_tables END) AS others
        FROM grounds.coverage_part WHERE purpose = its_purpose
        GROUP BY GROUPING SETS ((kind), (product), (country), (split_part(language, '-', 1)), (month),
            (kind, country), (country, split_part(language, '-', 1)), (kind, product))
    ),
    below AS (
        SELECT kind, sum(items * least(1, 1000000.0 * of_others / of_person))::bigint AS items
        FROM (SELECT kind, items, sum(items) OVER (PARTITION BY person) AS of_person FROM grounds.coverage_parent
              WHERE purpose = its_purpose) each_person
        WHERE items > 0 GROUP BY kind
    )
    SELECT json_build_object(
        'total', (SELECT row_to_json(t) FROM total t),
        'cells', (SELECT coalesce(json_agg(json_build_array(
            json_strip_nulls(json_build_object('KIND', kind, 'PRODUCT', product, 'COUNTRY', country,
                'LANGUAGE', language, 'MONTH', month)), permitted, others)), '[]') FROM cells),
        'below', (SELECT coalesce(json_object_agg(kind, items), '{}') FROM below),
        'grounds', (SELECT p.document -> 'grounds' FROM grounds.policy p WHERE p.version = s.policy),
        'named', (SELECT p.tables -> its_purpose FROM grounds.coverage_published p ORDER BY p.day DESC LIMIT 1))
    FROM snapshot s
$$;

-- The same for each purpose, in the order of the policy; NULL where the snapshot is not published.
CREATE FUNCTION grounds.counted_coverage(of_others int) RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT json_object_agg(p.purpose, grounds.counted_for(p.purpose, of_others) ORDER BY p.place)
    FROM grounds.coverage_snapshot s CROSS JOIN LATERAL unnest(s.purposes) WITH ORDINALITY p (purpose, place)
    WHERE s.taken_at IS NULL AND s.is_published
$$;

-- The snapshot is taken, and is not taken again; what is published of it is NULL where it is none of the calendar's. Items by
-- everything are kept for 35 days, the other tables for 400.
CREATE FUNCTION grounds.publish_coverage(its_tables jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    today CONSTANT date := (grounds.decision_time() AT TIME ZONE 'UTC')::date;
BEGIN
    WITH taken AS (
        UPDATE grounds.coverage_snapshot SET taken_at = grounds.decision_time() WHERE taken_at IS NULL RETURNING *
    )
    INSERT INTO grounds.coverage_published
    SELECT day, taken_at, policy, conditions, purposes, its_tables FROM taken WHERE is_published AND its_tables IS NOT NULL;
    DELETE FROM grounds.coverage_published p WHERE p.day < today - 400;
    DELETE FROM grounds.coverage_snapshot s WHERE s.day < today - 400;
    DELETE FROM grounds.coverage_cell c WHERE c.day < today - 400;
    DELETE FROM grounds.coverage_cell c WHERE c.day < today - 35 AND c.shape = 63;
    TRUNCATE grounds.coverage_part, grounds.coverage_person, grounds.coverage_parent;
END $$;
