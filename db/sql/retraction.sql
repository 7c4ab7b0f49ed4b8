-- The feed: written under one lock, so that the numbers are in the order of commits and no reader passes one over. What one
-- client is told alike of items of one receipt is one row, with a number for each item: two million retractions, of 100,000
-- items that 20 clients hold, are 4,000 rows.
CREATE TABLE grounds.retraction_batch (
    client int NOT NULL,
    first_id bigint NOT NULL,
    last_id bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('RETRACT', 'SUPERSEDE', 'HOLD', 'RELEASE')),
    is_incident boolean NOT NULL,  -- they were delivered after an objection to them had been received somewhere
    retracted_at timestamptz NOT NULL,
    due_by timestamptz NOT NULL,   -- of a client never earlier than before; of a RELEASE infinity
    delivery bigint NOT NULL,      -- the last receipt of the items before
    items bigint[] NOT NULL,       -- in ascending order
    segment bigint GENERATED ALWAYS AS (items[1] >> 10) STORED, -- the same of all items, so that one of them is found
    lowest bigint GENERATED ALWAYS AS (items[1]) STORED,
    highest bigint GENERATED ALWAYS AS (items[cardinality(items)]) STORED,
    PRIMARY KEY (client, last_id),
    CHECK (last_id - first_id + 1 = cardinality(items)),
    CHECK (items[1] >> 10 = items[cardinality(items)] >> 10)
);

ALTER TABLE grounds.retraction_batch ALTER items SET STORAGE EXTERNAL;

CREATE SEQUENCE grounds.retraction_id OWNED BY grounds.retraction_batch.last_id;

CREATE INDEX retraction_item ON grounds.retraction_batch (segment, lowest, highest);

CREATE INDEX retraction_due ON grounds.retraction_batch (client, last_id) WHERE kind <> 'RELEASE';

CREATE INDEX retraction_incident ON grounds.retraction_batch (last_id) WHERE is_incident;

-- Each item of the feed. What reads a client's feed from some number on, or what was told of one item, asks the functions
-- below.
CREATE VIEW grounds.retraction WITH (security_invoker = TRUE, security_barrier = TRUE) AS
SELECT b.client, b.first_id + i.place - 1 AS id, i.item, b.kind, b.is_incident, b.retracted_at, b.due_by, b.delivery
FROM grounds.retraction_batch b CROSS JOIN LATERAL unnest(b.items) WITH ORDINALITY i (item, place);

-- What a client is told after a number, at most so much. No more rows are unnested than have that many items.
CREATE FUNCTION grounds.retractions_after(of_client int, after bigint, at_most int) RETURNS TABLE (
    id bigint, item bigint, kind text, retracted_at timestamptz, due_by timestamptz
) LANGUAGE sql STABLE AS $$
    SELECT b.first_id + i.place - 1, i.item, b.kind, b.retracted_at, nullif(b.due_by, 'infinity')
    FROM (
        SELECT n.*, sum(n.items_after) OVER (ORDER BY n.last_id) - n.items_after AS items_before
        FROM (
            SELECT r.*, r.last_id - greatest(r.first_id - 1, after) AS items_after FROM grounds.retraction_batch r
            WHERE r.client = of_client AND r.last_id > after ORDER BY r.last_id LIMIT at_most) n
    ) b
    CROSS JOIN LATERAL unnest(b.items) WITH ORDINALITY i (item, place)
    WHERE b.items_before < at_most AND b.first_id + i.place - 1 > after
    ORDER BY 1 LIMIT at_most
$$;

-- How many retractions a client has after a number.
CREATE FUNCTION grounds.count_retractions_after(of_client int, after bigint) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(r.last_id - greatest(r.first_id - 1, after)), 0)::bigint FROM grounds.retraction_batch r
    WHERE r.client = of_client AND r.last_id > after
$$;

-- What was told of an item, to any client.
CREATE FUNCTION grounds.retractions_of(wanted bigint) RETURNS TABLE (
    client int, id bigint, kind text, is_incident boolean, retracted_at timestamptz, due_by timestamptz, delivery bigint
) LANGUAGE sql STABLE AS $$
    SELECT r.client, r.first_id + array_position(r.items, wanted) - 1, r.kind, r.is_incident, r.retracted_at, r.due_by,
        r.delivery
    FROM grounds.retraction_batch r
    WHERE r.segment = wanted >> 10 AND r.lowest <= wanted AND r.highest >= wanted AND wanted = ANY (r.items)
$$;

-- What changed and may have been delivered, left here by the statement that changed it. REVISED: other text or media came.
CREATE TABLE grounds.retraction_queue (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope text NOT NULL CHECK (scope IN ('ITEM', 'REVISED', 'ACCOUNT', 'CONTACT', 'EVERYTHING')),
    numbers bigint[], -- of items, accounts or contacts
    marked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The items whose recipients are to be told, some at a time. They are looked at twice if pages are being read at the first
-- look, which may have begun before the change: once more when these have ended, at the receipts that were not seen.
CREATE TABLE grounds.retraction_check (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    items bigint[],       -- NULL: every item from the lowest to the highest
    lowest bigint,
    highest bigint,
    revised boolean NOT NULL,
    marked_at timestamptz NOT NULL,
    pages text[],         -- the pages in progress at the first look; NULL: not looked at yet
    after bigint,         -- receipts up to this one were settled at the first look
    seen bigint[],        -- later receipts that it saw
    failing_since timestamptz, -- what cannot be told is set aside, tried again, and seen
    failed_at timestamptz,
    failure text          -- the SQLSTATE
);

CREATE FUNCTION grounds.item_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_hashjoin = on SET enable_nestloop = off AS $$
BEGIN
    INSERT INTO grounds.retraction_queue (scope, numbers)
    SELECT CASE WHEN n.revised_at > o.revised_at THEN 'REVISED' ELSE 'ITEM' END, array_agg(n.id)
    FROM new_rows n JOIN old_rows o ON o.id = n.id GROUP BY 1;
    RETURN NULL;
END $$;

CREATE TRIGGER retractable AFTER UPDATE ON grounds.content REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.item_changed();

-- A caption that arrives can concern the family that it arrives in.
CREATE FUNCTION grounds.caption_arrived() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO grounds.retraction_queue (scope, numbers)
    SELECT 'ITEM', array_agg(n.id) FROM new_rows n WHERE n.kind = 'CAPTION' AND n.concerns_family HAVING count(*) > 0;
    RETURN NULL;
END $$;

CREATE TRIGGER retractable_family AFTER INSERT ON grounds.content REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.caption_arrived();

-- The items that what changed can concern: those of the accounts, and those that reference them; the families of all
-- these; and whatever stands under any of them.
CREATE FUNCTION grounds.items_concerned(items bigint[], accounts bigint[], contacts bigint[]) RETURNS SETOF bigint
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE changed (id) AS (
        SELECT i FROM unnest(items) i
        UNION SELECT c.id FROM grounds.content c WHERE c.account = ANY (accounts)
        UNION SELECT r.content FROM grounds.content_reference r WHERE r.account = ANY (accounts)
        UNION SELECT r.content FROM grounds.content_reference r WHERE r.contact = ANY (contacts)
    ), media AS (
        SELECT DISTINCT family FROM changed h
        CROSS JOIN LATERAL (SELECT c.family FROM grounds.content c WHERE c.id = h.id OFFSET 0) c WHERE family IS NOT NULL
    ), concerned (id) AS (
        SELECT id FROM changed
        UNION
        SELECT p.id FROM media m CROSS JOIN LATERAL (
            SELECT c.id FROM grounds.content c WHERE c.platform_id = m.family OFFSET 0) p
        UNION
        SELECT k.id FROM concerned h
        CROSS JOIN LATERAL (SELECT c.platform_id FROM grounds.content c WHERE c.id = h.id OFFSET 0) p
        CROSS JOIN LATERAL (SELECT c.id FROM grounds.content c WHERE c.parent = p.platform_id OFFSET 0) k
    )
    SELECT id FROM concerned
$$;

-- Rows of before and after are joined by a hash, whatever a session's first change was like: its plan is kept, and by a
-- nested loop 8,000 standings take 100 s.
CREATE FUNCTION grounds.standing_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_hashjoin = on SET enable_nestloop = off AS $$
BEGIN
    INSERT INTO grounds.retraction_queue (scope, numbers)
    SELECT 'ACCOUNT', array_agg(n.account)
    FROM new_rows n JOIN old_rows o ON o.account = n.account AND o.* IS DISTINCT FROM n.*
    HAVING count(*) > 0;
    RETURN NULL;
END $$;

CREATE TRIGGER retractable AFTER UPDATE ON grounds.account_standing
    REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.standing_changed();

-- Holds of an account are in its standing.
CREATE FUNCTION grounds.everything_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO grounds.retraction_queue (scope) VALUES ('EVERYTHING');
    RETURN NULL;
END $$;

CREATE TRIGGER retractable AFTER INSERT OR UPDATE ON grounds.hold
    FOR EACH ROW WHEN (NEW.scope <> 'ACCOUNT') EXECUTE FUNCTION grounds.everything_changed();

CREATE TRIGGER retractable AFTER INSERT OR UPDATE OR DELETE ON grounds.campaign_told
    FOR EACH ROW EXECUTE FUNCTION grounds.everything_changed();

CREATE TRIGGER retractable AFTER INSERT OR UPDATE OF active ON grounds.policy
    FOR EACH ROW WHEN (NEW.active) EXECUTE FUNCTION grounds.everything_changed();

-- Turn what changed into items to look at, so many at a time; give how many changes there were.
CREATE FUNCTION grounds.queue_checks(at_most int) RETURNS int LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    -- Items at once: with their recipients, some 400,000 pairs, which take about two seconds.
    slice constant int := greatest(1000, least(20000, 400000 / (SELECT count(*) + 1 FROM grounds.client)));
    changes record;
    queued grounds.retraction_check;
BEGIN
    WITH gone AS (
        DELETE FROM grounds.retraction_queue q
        WHERE q.id IN (SELECT o.id FROM grounds.retraction_queue o ORDER BY o.id LIMIT at_most)
        RETURNING q.scope, q.numbers, q.marked_at
    )
    SELECT count(*)::int AS taken, bool_or(scope = 'EVERYTHING') AS everything, min(gone.marked_at) AS marked_at,
        ARRAY(SELECT DISTINCT n FROM gone g, unnest(g.numbers) n WHERE g.scope IN ('ITEM', 'REVISED')) AS items,
        ARRAY(SELECT DISTINCT n FROM gone g, unnest(g.numbers) n WHERE g.scope = 'REVISED') AS revised,
        ARRAY(SELECT DISTINCT n FROM gone g, unnest(g.numbers) n WHERE g.scope = 'ACCOUNT') AS accounts,
        ARRAY(SELECT DISTINCT n FROM gone g, unnest(g.numbers) n WHERE g.scope = 'CONTACT') AS contacts
    INTO changes FROM gone;
    IF changes.taken = 0 THEN
        RETURN 0;
    END IF;
    FOR queued IN
        INSERT INTO grounds.retraction_check (items, revised, marked_at)
        SELECT array_agg(p.item ORDER BY p.item), p.revised, changes.marked_at
        FROM (
            SELECT i AS item, r.item IS NOT NULL AS revised,
                row_number() OVER (PARTITION BY r.item IS NOT NULL ORDER BY i) - 1 AS place
            FROM grounds.items_concerned(changes.items, changes.accounts, changes.contacts) i
            LEFT JOIN (SELECT unnest(changes.revised) AS item) r ON r.item = i) p
        GROUP BY p.revised, p.place / slice ORDER BY min(p.item)
        RETURNING *
    LOOP
        PERFORM grounds.strike(queued.items, queued.revised);
    END LOOP;
    IF changes.everything THEN
        PERFORM grounds.strike_everything();
        -- The first range begins, and the last one ends, beyond what is held: a page in progress can have any item.
        INSERT INTO grounds.retraction_check (lowest, highest, revised, marked_at)
        SELECT CASE WHEN first = held.lowest THEN 0 ELSE first END,
            CASE WHEN first + slice > held.highest THEN 9223372036854775807 ELSE first + slice - 1 END,
            FALSE, changes.marked_at
        FROM (SELECT coalesce(least(min(h.lowest), min(d.lowest)), 0) AS lowest,
                coalesce(greatest(max(h.highest), max(d.highest)), 0) AS highest
              FROM (SELECT min(item) AS lowest, max(item) AS highest FROM grounds.held_item) h
              CROSS JOIN (SELECT min(r.lowest) AS lowest, max(r.highest) AS highest FROM grounds.delivery r
                          WHERE r.id > (SELECT p.last_delivery FROM grounds.delivery_progress p)) d) held
        CROSS JOIN LATERAL generate_series(held.lowest, held.highest, slice) first;
    END IF;
    RETURN changes.taken;
END $$;

CREATE FUNCTION grounds.policy_purposes() RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT ARRAY(SELECT json_array_elements_text(p.document -> 'purposes')) FROM grounds.policy p WHERE p.active
$$;

-- What keeps an item that a client is to keep: a hold, or an overdue assessment that stops the programme.
CREATE FUNCTION grounds.held_by() RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN p.stops_after < grounds.decision_time()
            AND coalesce((p.document ->> 'effective_until')::timestamptz, 'infinity') > grounds.decision_time()
        THEN '{NO_REGULATORY_HOLD,PROGRAMME_ACTIVE}'::text[] ELSE '{NO_REGULATORY_HOLD}' END
    FROM grounds.policy p WHERE p.active
$$;

-- Tell the clients that received items what became of them: of the receipts after one of them only, or of all. A client is
-- told a change once for each last receipt: what was delivered again since is new. Each item is judged for the purpose of
-- its last delivery, which the caller claims, one after the other; no client is claimed, as for an officer: a client's
-- suspension retracts nothing. Recipients are looked up by a thousand neighbouring items at a time, so that each page of the
-- table is visited once, and hashed, not sorted (retract_due has the settings): together that halves the CPU. Raises GD001
-- if decisions are pending.
CREATE FUNCTION grounds.retract(wanted bigint[], revised boolean, after bigint, seen bigint[]) RETURNS int
LANGUAGE sql VOLATILE AS $$
    WITH policy AS MATERIALIZED (
        SELECT grounds.policy_purposes() AS purposes, grounds.held_by() AS held_by, grounds.decision_time()
            + make_interval(hours => coalesce((document #>> '{retraction,due_hours}')::int, 24)) AS due_by
        FROM grounds.policy WHERE active AND (SELECT grounds.require_decisions())
    ), last AS MATERIALIZED (
        SELECT r.item, r.client, max(r.delivery) AS delivery FROM (
            SELECT h.item, h.client, h.last_delivery AS delivery
            FROM (SELECT array_agg(w) AS items FROM (SELECT DISTINCT unnest(wanted) AS w) i GROUP BY w >> 10) s
            CROSS JOIN LATERAL (SELECT * FROM grounds.held_item WHERE held_item.item = ANY (s.items) OFFSET 0) h
            WHERE after IS NULL
            UNION ALL
            SELECT s.item, s.client, s.delivery FROM grounds.received_after(
                coalesce(after, (SELECT p.last_delivery FROM grounds.delivery_progress p)), coalesce(seen, '{}'), wanted) s
        ) r GROUP BY r.item, r.client
    ), receipt AS MATERIALIZED (
        SELECT d.id, d.decided_at, d.purpose = ANY (p.purposes) AS for_purpose
        FROM policy p
        CROSS JOIN (SELECT DISTINCT l.delivery FROM last l) l
        CROSS JOIN LATERAL (SELECT * FROM grounds.delivery WHERE id = l.delivery OFFSET 0) d
        WHERE d.purpose = grounds.claim('purpose') OR NOT d.purpose = ANY (p.purposes)
    ), decided AS MATERIALIZED (
        SELECT i.item, c.account, c.kind, v.shortfall
        FROM (SELECT DISTINCT l.item FROM last l) i
        CROSS JOIN LATERAL (SELECT * FROM grounds.content WHERE id = i.item OFFSET 0) c
        CROSS JOIN LATERAL (SELECT d.shortfall FROM grounds.decision d WHERE d.id = i.item OFFSET 0) v
    ), objected AS MATERIALIZED ( -- of accounts whose items may have been delivered too late
        SELECT a.account, min(o.received_at) FILTER (WHERE o.scope <> 'AI_INTERACTIONS') AS public_at,
            min(o.received_at) FILTER (WHERE o.scope <> 'PUBLIC_CONTENT') AS ai_at
        FROM (SELECT DISTINCT j.account FROM decided j WHERE 'NO_ACTIVE_OBJECTION' = ANY (j.shortfall)) a
        CROSS JOIN LATERAL grounds.objections_affecting(a.account) r
        CROSS JOIN LATERAL (SELECT * FROM grounds.objection_in_force WHERE id = r.objection OFFSET 0) o
        WHERE o.withdrawn_at IS NULL GROUP BY a.account
    ), told AS MATERIALIZED (
        SELECT DISTINCT ON (i.item, b.client, b.delivery) i.item, b.client, b.delivery, b.kind
        FROM (SELECT w >> 10 AS segment, min(w) AS lowest, max(w) AS highest FROM unnest(wanted) w GROUP BY 1) s
        CROSS JOIN LATERAL (SELECT * FROM grounds.retraction_batch r WHERE r.segment = s.segment
            AND r.lowest <= s.highest AND r.highest >= s.lowest OFFSET 0) b
        CROSS JOIN LATERAL unnest(b.items) i (item)
        ORDER BY i.item, b.client, b.delivery, b.last_id DESC
    ), verdict AS MATERIALIZED ( -- of each item once: what follows is done for each of its recipients
        SELECT i.item, CASE WHEN i.shortfall = '{}' THEN 'RELEASE' WHEN i.shortfall <@ p.held_by THEN 'HOLD'
                ELSE 'RETRACT' END AS kind,
            i.shortfall <@ (p.held_by || 'CONTENT_SETTLED'::text) AS can_be_sent_again,
            CASE WHEN i.kind = 'AI_INTERACTION' THEN o.ai_at ELSE o.public_at END AS objected_at
        FROM policy p CROSS JOIN decided i LEFT JOIN objected o ON o.account = i.account
    ), judged AS (
        SELECT l.item, l.client, l.delivery, t.kind AS told, h.decided_at >= v.objected_at AS is_late, CASE
                WHEN NOT h.for_purpose THEN 'RETRACT'
                WHEN v.can_be_sent_again AND (revised OR t.kind = 'SUPERSEDE') THEN 'SUPERSEDE'
                ELSE v.kind END AS kind
        FROM last l
        JOIN receipt h ON h.id = l.delivery
        JOIN verdict v ON v.item = l.item
        LEFT JOIN told t ON t.item = l.item AND t.client = l.client AND t.delivery = l.delivery
    ), batch AS MATERIALIZED (
        SELECT j.client, j.delivery, j.kind, coalesce(j.kind = 'RETRACT' AND j.is_late, FALSE) AS is_incident,
            array_agg(j.item) AS items
        FROM judged j
        WHERE CASE j.kind
            WHEN 'RETRACT' THEN j.told IS DISTINCT FROM 'RETRACT'
            WHEN 'SUPERSEDE' THEN coalesce(j.told, 'HOLD') IN ('HOLD', 'RELEASE')
            WHEN 'HOLD' THEN coalesce(j.told, 'RELEASE') = 'RELEASE'
            ELSE j.told = 'HOLD' END
        GROUP BY j.client, j.delivery, j.kind, 4, j.item >> 10
    ), numbers AS MATERIALIZED ( -- the caller has the lock, so no other session takes numbers
        SELECT setval('grounds.retraction_id', nextval('grounds.retraction_id') + n.total - 1) - n.total AS before
        FROM (SELECT sum(cardinality(b.items)) AS total FROM batch b) n WHERE n.total > 0
    ), last_due AS MATERIALIZED (
        SELECT k.client, r.due_by FROM (SELECT DISTINCT b.client FROM batch b) k
        CROSS JOIN LATERAL (
            SELECT l.due_by FROM grounds.retraction_batch l WHERE l.client = k.client AND l.kind <> 'RELEASE'
            ORDER BY l.last_id DESC LIMIT 1) r
    ), written AS (
        INSERT INTO grounds.retraction_batch (
            client, first_id, last_id, kind, is_incident, retracted_at, due_by, delivery, items)
        SELECT b.client, n.before + b.up_to - cardinality(b.items) + 1, n.before + b.up_to, b.kind, b.is_incident,
            grounds.decision_time(),
            CASE WHEN b.kind = 'RELEASE' THEN 'infinity' ELSE greatest(p.due_by, l.due_by) END, b.delivery, b.items
        FROM (
            SELECT g.client, g.delivery, g.kind, g.is_incident, ARRAY(SELECT i FROM unnest(g.items) i ORDER BY i) AS items,
                sum(cardinality(g.items)) OVER (ORDER BY g.client, g.delivery, g.items[1]) AS up_to FROM batch g) b
        CROSS JOIN numbers n
        CROSS JOIN policy p
        LEFT JOIN last_due l ON l.client = b.client
        RETURNING cardinality(items)
    )
    SELECT coalesce(sum(w.cardinality), 0)::int FROM written w
$$;

-- Tell of items, and of those for which that fails set each aside: the rest goes on.
CREATE FUNCTION grounds.retract_apart(wanted bigint[], due grounds.retraction_check) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    half constant int := cardinality(wanted) / 2;
    judged_for text;
BEGIN
    IF NOT EXISTS (SELECT FROM grounds.delivery) THEN
        RETURN; -- there is no recipient yet, and to plan what follows takes longer than to do it
    END IF;
    FOREACH judged_for IN ARRAY grounds.policy_purposes() LOOP
        PERFORM set_config('grounds.purpose', judged_for, TRUE);
        PERFORM grounds.retract(wanted, due.revised, due.after, due.seen);
    END LOOP;
EXCEPTION WHEN SQLSTATE 'GD001' THEN
    RAISE;
WHEN OTHERS THEN
    IF half > 0 THEN
        PERFORM grounds.retract_apart(wanted[:half], due);
        PERFORM grounds.retract_apart(wanted[half + 1:], due);
    ELSE
        INSERT INTO grounds.retraction_check (items, revised, marked_at, failing_since, failed_at, failure)
        VALUES (wanted, due.revised, due.marked_at,
            coalesce(due.failing_since, clock_timestamp()), clock_timestamp(), SQLSTATE);
    END IF;
END $$;

-- Look at some of what changed; give whether there was any. An objection to one item of an account and to 100,000 takes as
-- long to file: all that follows from it is done here. README.md has the argument why no recipient is missed.
CREATE FUNCTION grounds.retract_due() RETURNS int
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_mergejoin = off SET enable_sort = off
SET jit = off SET work_mem = '64MB' AS $$
DECLARE
    in_progress text[];
    due grounds.retraction_check;
    settled bigint;
    receipts_seen bigint[];
    wanted bigint[];
    looked_at int := 0;
    taken int;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'retractions are written in READ COMMITTED only: an older snapshot would miss receipts';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('grounds.retraction', 0));
    PERFORM set_config('grounds.job', 'retract', TRUE);
    IF grounds.decisions_pending() THEN
        RETURN 0; -- what is not permitted at this moment may be permitted in the next
    END IF;
    UPDATE grounds.policy SET lapsed = TRUE
    WHERE active AND NOT lapsed AND (document ->> 'effective_until')::timestamptz <= grounds.decision_time();
    IF FOUND THEN
        INSERT INTO grounds.retraction_queue (scope) VALUES ('EVERYTHING');
    END IF;
    UPDATE grounds.policy SET stopped = TRUE WHERE active AND NOT stopped AND stops_after < grounds.decision_time();
    IF FOUND THEN
        INSERT INTO grounds.retraction_queue (scope) VALUES ('EVERYTHING');
    END IF;
    taken := grounds.queue_checks(1000);
    in_progress := grounds.pages_in_progress(); -- after the changes are visible, before their recipients are looked for
    LOOP -- what cannot be judged since a moment ago stays to be looked at
        DELETE FROM grounds.retraction_check c WHERE c.id = (
            SELECT o.id FROM grounds.retraction_check o
            WHERE NOT coalesce(o.pages, '{}') && in_progress
                AND coalesce(o.failed_at, '-infinity') < clock_timestamp() - interval '60 s'
            ORDER BY o.id LIMIT 1) RETURNING * INTO due;
        EXIT WHEN NOT FOUND;
        SELECT p.last_delivery, ARRAY(SELECT d.id FROM grounds.delivery d WHERE d.id > p.last_delivery)
        INTO settled, receipts_seen FROM grounds.delivery_progress p;
        wanted := coalesce(due.items, grounds.held_between(due.lowest, due.highest));
        PERFORM grounds.retract_apart(wanted, due);
        IF due.pages IS NULL AND in_progress <> '{}' THEN
            INSERT INTO grounds.retraction_check (items, lowest, highest, revised, marked_at, pages, after, seen)
            VALUES (due.items, due.lowest, due.highest, due.revised, due.marked_at, in_progress, settled, receipts_seen);
        END IF;
        taken := taken + 1;
        looked_at := looked_at + cardinality(wanted);
        EXIT WHEN looked_at >= 2000; -- a round is short, so that what was found is told
    END LOOP;
    RETURN taken;
EXCEPTION WHEN SQLSTATE 'GD001' THEN
    RETURN 0;
END $$;

-- What anybody received, from one item to another.
CREATE FUNCTION grounds.held_between(lowest bigint, highest bigint) RETURNS bigint[] LANGUAGE sql STABLE AS $$
    SELECT ARRAY(
        SELECT h.item FROM grounds.held_item h WHERE h.item BETWEEN lowest AND highest
        UNION
        SELECT r.item FROM grounds.received_after((SELECT p.last_delivery FROM grounds.delivery_progress p), '{}', NULL) r
        WHERE r.item BETWEEN lowest AND highest)
$$;

-- What waits to be looked at, for the first time or again.
CREATE FUNCTION grounds.changes_to_retract() RETURNS TABLE (marked_at timestamptz) LANGUAGE sql STABLE AS $$
    SELECT q.marked_at FROM grounds.retraction_queue q UNION ALL SELECT c.marked_at FROM grounds.retraction_check c
$$;

-- What could not be told, since when, and why.
CREATE FUNCTION grounds.retractions_set_aside(OUT items bigint, OUT since timestamptz, OUT failures text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT count(*), min(c.failing_since), array_agg(DISTINCT c.failure)
    FROM grounds.retraction_check c WHERE c.failed_at IS NOT NULL
$$;

-- A client states up to which retraction it has acted; a retraction that is not written yet cannot be acknowledged. It waits
-- for no job: retractions appear in the order of their numbers, and when the next one falls due is not kept but looked up.
CREATE FUNCTION grounds.acknowledge_retractions(up_to bigint) RETURNS int
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    holder constant int := grounds.claimed_client();
    last bigint;
BEGIN
    UPDATE grounds.client k SET acknowledged = greatest(
        k.acknowledged, least(up_to, (SELECT max(r.last_id) FROM grounds.retraction_batch r WHERE r.client = holder)))
    WHERE k.id = holder RETURNING k.acknowledged INTO last;
    RETURN grounds.count_retractions_after(holder, last);
END $$;

-- What the claimed client may do with items that it may hold, as the feed says or is about to: each is judged for the purpose
-- of its last delivery, and what the client was told of that stands until it receives the item again. An item that is not
-- there, or was delivered for a purpose that the policy does not have, has no row.
CREATE FUNCTION grounds.check_eligibility(wanted bigint[]) RETURNS TABLE (item bigint, state text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    holder constant int := grounds.claimed_client();
    own_purpose constant text := grounds.claim('purpose');
    judged_for text;
BEGIN
    PERFORM set_config('grounds.job', 'check eligibility', TRUE), set_config('grounds.client', '', TRUE);
    IF grounds.decisions_pending() THEN
        RETURN QUERY SELECT w, 'ASK_AGAIN' FROM unnest(wanted) w;
        RETURN;
    END IF;
    FOREACH judged_for IN ARRAY grounds.policy_purposes() LOOP
        PERFORM set_config('grounds.purpose', judged_for, TRUE);
        RETURN QUERY
            WITH held AS MATERIALIZED (
                SELECT DISTINCT ON (r.item) r.item, r.purpose, r.last_delivery
                FROM grounds.recipients_of(wanted) r WHERE r.client = holder ORDER BY r.item, r.last_delivery DESC
            )
            SELECT w, CASE
                WHEN (SELECT grounds.decisions_pending()) THEN 'ASK_AGAIN' -- since a moment ago
                WHEN t.kind IN ('RETRACT', 'SUPERSEDE') THEN 'RETRACTED'
                WHEN d.shortfall = '{}' THEN 'PERMITTED'
                WHEN d.shortfall <@ (SELECT grounds.held_by()) AND h.item IS NOT NULL THEN 'HELD'
                ELSE 'RETRACTED' END
            FROM unnest(wanted) w
            LEFT JOIN held h ON h.item = w
            LEFT JOIN LATERAL (
                SELECT r.kind FROM grounds.retractions_of(w) r
                WHERE r.client = holder AND r.delivery = h.last_delivery ORDER BY r.id DESC LIMIT 1) t ON TRUE
            LEFT JOIN LATERAL (SELECT v.shortfall FROM grounds.decision v WHERE v.id = w OFFSET 0) d ON TRUE
            WHERE coalesce(h.purpose, own_purpose) = judged_for;
    END LOOP;
END $$;

-- Whether an item is permitted at this moment, for any purpose of the policy. Each purpose is claimed in turn. Raises GD001
-- if decisions are pending.
CREATE FUNCTION grounds.is_permitted_for_any(wanted bigint) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    judged_for text;
BEGIN
    FOREACH judged_for IN ARRAY grounds.policy_purposes() LOOP
        PERFORM set_config('grounds.purpose', judged_for, TRUE);
        IF (SELECT d.shortfall = '{}' FROM grounds.decision d
            WHERE d.id = wanted AND (SELECT grounds.require_decisions())) THEN
            RETURN TRUE;
        END IF;
    END LOOP;
    RETURN FALSE;
END $$;

-- Remove the text of what was deleted, and of what was retracted and is still permitted for nothing, six days ago.
CREATE FUNCTION grounds.purge_texts(at_most int) RETURNS int LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    purged int;
BEGIN
    PERFORM set_config('grounds.job', 'purge', TRUE);
    IF grounds.decisions_pending() THEN
        RETURN 0; -- nothing is permitted at this moment
    END IF;
    WITH gone AS MATERIALIZED (
        (SELECT c.id FROM grounds.content c
         WHERE c.deleted_at IS NOT NULL AND c.purged_at IS NULL
            AND c.recorded_at <= grounds.decision_time() - interval '6 days' LIMIT at_most)
        UNION
        (SELECT r.item FROM (
            SELECT DISTINCT i.item FROM grounds.retraction i
            WHERE i.kind = 'RETRACT' AND i.retracted_at <= grounds.decision_time() - interval '6 days') r
         CROSS JOIN LATERAL (SELECT purged_at FROM grounds.content WHERE id = r.item OFFSET 0) c
         WHERE c.purged_at IS NULL AND NOT grounds.is_permitted_for_any(r.item) LIMIT at_most)
    )
    UPDATE grounds.content c
    SET text = NULL, media = NULL, pipeline = NULL, names_sought = NULL, media_deidentified = NULL,
        purged_at = grounds.decision_time()
    FROM gone WHERE c.id = gone.id;
    GET DIAGNOSTICS purged = ROW_COUNT;
    RETURN purged;
EXCEPTION WHEN SQLSTATE 'GD001' THEN
    RETURN 0;
END $$;
