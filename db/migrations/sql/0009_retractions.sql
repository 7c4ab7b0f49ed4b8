-- Retractions: what was delivered and is no longer permitted reaches every client that received it.

ALTER TABLE grounds.client ADD COLUMN acknowledged bigint NOT NULL DEFAULT 0;             -- the last one acknowledged
ALTER TABLE grounds.client ADD COLUMN overdue_at timestamptz NOT NULL DEFAULT 'infinity'; -- when the next one falls due

-- The feed: written under one lock, so that the numbers are in the order of commits and no reader passes one over.
CREATE TABLE grounds.retraction (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client int NOT NULL,
    item bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('RETRACT', 'SUPERSEDE', 'HOLD', 'RELEASE')),
    urgent boolean NOT NULL,       -- it was delivered after an objection to it had been received somewhere
    retracted_at timestamptz NOT NULL,
    due_by timestamptz NOT NULL,
    delivery bigint NOT NULL       -- the last receipt of the item before
);
CREATE INDEX retraction_client ON grounds.retraction (client, id);
CREATE INDEX retraction_item ON grounds.retraction (client, item, id);
CREATE INDEX retraction_incident ON grounds.retraction (id) WHERE urgent;

-- What changed and may have been delivered. It is looked at twice: at once, and when every page that was being read
-- at that moment has its receipt (a page takes 5 s at most, by the login's statement_timeout).
CREATE TABLE grounds.retraction_due (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope text NOT NULL CHECK (scope IN ('ITEM', 'ACCOUNT', 'EVERYTHING')),
    numbers bigint[],
    marked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    looked_at boolean NOT NULL DEFAULT FALSE
);

ALTER TABLE grounds.policy ADD COLUMN lapsed boolean NOT NULL DEFAULT FALSE; -- its end was seen
ALTER TABLE grounds.content ADD COLUMN revised_at timestamptz NOT NULL DEFAULT '-infinity'; -- other text or media came

-- A comment is touched by its parent.
CREATE INDEX content_parent ON grounds.content (parent) WHERE parent IS NOT NULL;
CREATE INDEX content_reference_account ON grounds.content_reference (account);

CREATE FUNCTION grounds.item_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO grounds.retraction_due (scope, numbers)
    SELECT 'ITEM', array_agg(n.id) FROM new_rows n HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER retractable AFTER UPDATE ON grounds.content REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.item_changed();

CREATE FUNCTION grounds.standing_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO grounds.retraction_due (scope, numbers)
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
    INSERT INTO grounds.retraction_due (scope) VALUES ('EVERYTHING');
    RETURN NULL;
END $$;
CREATE TRIGGER retractable AFTER INSERT OR UPDATE ON grounds.hold
    FOR EACH ROW WHEN (NEW.scope <> 'ACCOUNT') EXECUTE FUNCTION grounds.everything_changed();
CREATE TRIGGER retractable AFTER INSERT OR UPDATE OF active ON grounds.policy
    FOR EACH ROW WHEN (NEW.active) EXECUTE FUNCTION grounds.everything_changed();

-- What a client holds, of some items or of everything: each with its last receipt.
CREATE FUNCTION grounds.held_items(holder int, items bigint[]) RETURNS TABLE (item bigint, delivery bigint)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF items IS NULL THEN
        RETURN QUERY SELECT i.item, max(d.id) FROM grounds.delivery d CROSS JOIN LATERAL unnest(d.items) i (item)
            WHERE d.client = holder GROUP BY i.item;
    ELSIF cardinality(items) <= 100 THEN -- by the index: which pages span an item
        RETURN QUERY SELECT i.item, max(d.id) FROM unnest(items) i (item) JOIN grounds.delivery d
            ON d.client = holder AND d.lowest <= i.item AND d.highest >= i.item AND i.item = ANY (d.items) GROUP BY i.item;
    ELSE
        RETURN QUERY SELECT i.item, max(d.id) FROM grounds.delivery d CROSS JOIN LATERAL unnest(d.items) i (item)
            JOIN (SELECT DISTINCT w.item FROM unnest(items) w (item)) wanted ON wanted.item = i.item
            WHERE d.client = holder AND d.highest >= items[1] AND d.lowest <= items[cardinality(items)] GROUP BY i.item;
    END IF;
END $$;

SET LOCAL check_function_bodies = off; -- the decision is compiled later, of the policy in force

-- Tell a client what became of what it holds. It is told a change once for each last receipt: what was delivered again
-- since is new. The policy's own purpose is claimed, as for an officer: a client's suspension retracts nothing.
-- A page and a revision that cross (within 10 s) count as an older page: to fetch an item again does no harm.
CREATE FUNCTION grounds.retract(holder int, items bigint[]) RETURNS int LANGUAGE sql VOLATILE AS $$
    WITH policy AS MATERIALIZED (
        SELECT ARRAY(SELECT json_array_elements_text(document -> 'purposes')) AS purposes,
            make_interval(days => coalesce((document #>> '{retraction,due_days}')::int, 7)) AS due,
            make_interval(hours => coalesce((document #>> '{retraction,urgent_hours}')::int, 24)) AS due_urgent
        FROM grounds.policy WHERE active
    ), judged AS MATERIALIZED (
        SELECT h.item, h.delivery, d.decided_at, c.account, c.kind AS item_kind, CASE
            WHEN NOT d.purpose = ANY (p.purposes) THEN 'RETRACT'
            WHEN v.shortfall <@ '{CONTENT_SETTLED}' AND c.revised_at >= d.decided_at - interval '10 s' THEN 'SUPERSEDE'
            WHEN v.shortfall = '{}' THEN 'PERMITTED'
            WHEN v.shortfall = '{NO_REGULATORY_HOLD}' THEN 'HOLD'
            ELSE 'RETRACT' END AS kind, (
                SELECT r.kind FROM grounds.retraction r
                WHERE r.client = holder AND r.item = h.item AND r.delivery = h.delivery ORDER BY r.id DESC LIMIT 1
            ) AS told
        FROM grounds.held_items(holder, items) h
        JOIN grounds.delivery d ON d.id = h.delivery
        CROSS JOIN LATERAL (SELECT * FROM grounds.content WHERE id = h.item OFFSET 0) c
        CROSS JOIN LATERAL (SELECT shortfall FROM grounds.decision WHERE id = h.item OFFSET 0) v
        CROSS JOIN policy p
    ), changed AS (
        SELECT j.item, j.delivery, CASE j.kind WHEN 'PERMITTED' THEN 'RELEASE' ELSE j.kind END AS kind,
            j.kind = 'RETRACT' AND EXISTS (
                SELECT FROM grounds.objections_reaching(j.account) r JOIN grounds.objection_in_force o ON o.id = r.objection
                WHERE o.received_at <= j.decided_at AND o.withdrawn_at IS NULL
                    AND o.scope <> CASE j.item_kind WHEN 'AI_INTERACTION' THEN 'PUBLIC_CONTENT' ELSE 'AI_INTERACTIONS' END
            ) AS urgent
        FROM judged j
        WHERE CASE j.kind
            WHEN 'RETRACT' THEN j.told IS DISTINCT FROM 'RETRACT'
            WHEN 'SUPERSEDE' THEN coalesce(j.told, 'HOLD') IN ('HOLD', 'RELEASE')
            WHEN 'HOLD' THEN coalesce(j.told, 'RELEASE') = 'RELEASE'
            ELSE j.told = 'HOLD' END
    ), written AS (
        INSERT INTO grounds.retraction (client, item, kind, urgent, retracted_at, due_by, delivery)
        SELECT holder, c.item, c.kind, c.urgent, grounds.decision_time(), CASE WHEN c.kind = 'RELEASE' THEN 'infinity'
            ELSE grounds.decision_time() + CASE WHEN c.urgent THEN p.due_urgent ELSE p.due END END, c.delivery
        FROM changed c CROSS JOIN policy p ORDER BY c.urgent DESC, c.item
        RETURNING due_by
    ), told AS (
        UPDATE grounds.client k SET overdue_at = least(k.overdue_at, w.due_by)
        FROM (SELECT min(due_by) AS due_by FROM written) w WHERE k.id = holder AND w.due_by < k.overdue_at
    )
    SELECT count(*)::int FROM written
$$;

-- Look at what changed; give how much of it was looked at. An objection to one item of an account and to 100,000 takes
-- as long to file: all that follows from it is done here.
CREATE FUNCTION grounds.retract_due() RETURNS int
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    changed_items bigint[];
    accounts bigint[];
    everything boolean;
    taken int;
    holder int;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('grounds.retraction', 0));
    PERFORM set_config('grounds.duty', 'retract', TRUE);
    UPDATE grounds.policy SET lapsed = TRUE
    WHERE active AND NOT lapsed AND (document ->> 'effective_until')::timestamptz <= grounds.decision_time();
    IF FOUND THEN
        INSERT INTO grounds.retraction_due (scope) VALUES ('EVERYTHING');
    END IF;
    WITH due AS (
        SELECT id, looked_at FROM grounds.retraction_due
        WHERE NOT looked_at OR marked_at < clock_timestamp() - interval '10 s' ORDER BY id LIMIT 1000
    ), first_look AS (
        UPDATE grounds.retraction_due d SET looked_at = TRUE, marked_at = clock_timestamp()
        FROM due WHERE due.id = d.id AND NOT due.looked_at RETURNING d.scope, d.numbers
    ), last_look AS (
        DELETE FROM grounds.retraction_due d USING due WHERE due.id = d.id AND due.looked_at RETURNING d.scope, d.numbers
    ), looked AS (
        SELECT * FROM first_look UNION ALL SELECT * FROM last_look
    )
    SELECT count(*), bool_or(scope = 'EVERYTHING'),
        (SELECT array_agg(DISTINCT n) FROM looked l, unnest(l.numbers) n WHERE l.scope = 'ITEM'),
        (SELECT array_agg(DISTINCT n) FROM looked l, unnest(l.numbers) n WHERE l.scope = 'ACCOUNT')
    INTO taken, everything, changed_items, accounts FROM looked;
    IF taken = 0 THEN
        RETURN 0;
    END IF;
    IF everything THEN
        changed_items := NULL;
    ELSE
        changed_items := ARRAY(
            SELECT i FROM unnest(changed_items) i
            UNION SELECT k.id FROM grounds.content p JOIN grounds.content k ON k.parent = p.platform_id
                WHERE p.id = ANY (changed_items)
            UNION SELECT c.id FROM grounds.content c WHERE c.account = ANY (accounts)
            UNION SELECT r.content FROM grounds.content_reference r WHERE r.account = ANY (accounts)
            ORDER BY 1);
    END IF;
    PERFORM set_config('grounds.purpose', p.document #>> '{purposes,0}', TRUE) FROM grounds.policy p WHERE p.active;
    FOR holder IN SELECT k.id FROM grounds.client k ORDER BY k.id LOOP
        PERFORM grounds.retract(holder, changed_items);
    END LOOP;
    RETURN taken;
END $$;

-- A client says up to which retraction it has done what it was told; nobody acknowledges what was not written yet.
CREATE FUNCTION grounds.acknowledge_retractions(up_to bigint) RETURNS int
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    holder constant int := grounds.claimed_client();
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('grounds.retraction', 0)); -- none is being written at this moment
    UPDATE grounds.client k SET
        acknowledged = greatest(k.acknowledged, least(up_to, (SELECT max(id) FROM grounds.retraction WHERE client = holder)))
    WHERE k.id = holder;
    UPDATE grounds.client k SET overdue_at = coalesce(
        (SELECT min(due_by) FROM grounds.retraction r WHERE r.client = holder AND r.id > k.acknowledged), 'infinity')
    WHERE k.id = holder;
    RETURN (SELECT count(*) FROM grounds.retraction r JOIN grounds.client k ON k.id = r.client
            WHERE k.id = holder AND r.id > k.acknowledged);
END $$;

-- Why a client receives nothing: it has not acknowledged in time.
CREATE FUNCTION grounds.overdue() RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce((SELECT overdue_at <= grounds.decision_time() FROM grounds.client WHERE id = grounds.claimed_client()), FALSE)
$$;
