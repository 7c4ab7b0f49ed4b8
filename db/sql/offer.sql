-- Offers: one row for each permitted item, ready to be sent, in the order of pages. An offer says from when the item is
-- permitted; a mark says that something it depends on has changed since the offer was derived. Marks are written in the
-- transaction of the change, and a page passes over what is marked in the statement that reads it. So a missing offer is
-- late by a moment, and none is served that the rules would not permit. The view `trainable_content` remains the reference.

-- The offers for a purpose of the policy in force. A set is read once it is whole, and dropped when the rules change. A
-- FAULTY one is neither read nor built anew until offers were switched off once: a change left no mark, and would again.
CREATE TABLE grounds.offer_set (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    purpose text NOT NULL,
    state text NOT NULL CHECK (state IN ('BUILDING', 'SERVING', 'DROPPED', 'FAULTY')),
    not_permitted int NOT NULL DEFAULT 0, -- how many of its offers the audit found that the rules do not permit
    built_up_to bigint NOT NULL DEFAULT 0, -- the last item that the build has looked at
    audited_up_to bigint NOT NULL DEFAULT 0 -- the last item that the audit has, of this round
);

CREATE UNIQUE INDEX offer_set_purpose ON grounds.offer_set (purpose) WHERE state <> 'DROPPED';

-- After the set's number, the columns of the view grounds.offer_derivation in its order.
CREATE TABLE grounds.offer (
    offer_set int NOT NULL,
    id bigint NOT NULL,
    account bigint NOT NULL,
    kind text NOT NULL,
    product text,
    language text,
    created_month date NOT NULL,
    text text,
    media json,
    country text,
    ground text NOT NULL,
    status_month date,
    account_kind text,
    notice_week date,
    notice_end_week date,
    audience text,
    conversation text,
    audience_month date,
    settled_month date,
    minors text,
    special_category text,
    safety text,
    pipeline text,
    opted_in_month date,
    language_base text,
    language_key text COLLATE "C",
    author_country text,
    author_product text,
    permitted_from timestamptz NOT NULL,
    depends_on bigint[] NOT NULL, -- places of marks
    PRIMARY KEY (offer_set, id)
) WITH (autovacuum_vacuum_scale_factor = 0.05);

-- The ways in of a page, as those of grounds.content.
CREATE INDEX offer_kind ON grounds.offer (offer_set, kind, id, product, language_key, created_month);

CREATE INDEX offer_product ON grounds.offer (offer_set, product, id, kind, language_key, created_month);

CREATE INDEX offer_language ON grounds.offer (offer_set, language_base, id, language_key, kind, product, created_month);

CREATE INDEX offer_month ON grounds.offer (offer_set, created_month, id, kind, product, language_key);

CREATE INDEX offer_country ON grounds.offer (offer_set, country, id, kind, product, language_key, created_month);

CREATE INDEX offer_media ON grounds.offer (offer_set, id, kind, product, language_key, created_month)
    WHERE media IS NOT NULL;

-- What changed since offers were derived, by its place: four times the number of an item, of an account (one more) or of a
-- referenced contact (two more). Only the fold deletes marks.
CREATE TABLE grounds.offer_mark (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    place bigint NOT NULL,
    alone boolean NOT NULL DEFAULT FALSE -- the item itself is to be derived, and not what depends on it
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

CREATE INDEX offer_mark_place ON grounds.offer_mark (place);

-- Items that arrived. They have no offers yet, so that no page asks for them.
CREATE TABLE grounds.offer_arrival (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, items bigint[] NOT NULL);

CREATE FUNCTION grounds.mark_arrivals() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO grounds.offer_arrival (items) SELECT array_agg(n.id) FROM new_rows n HAVING count(*) > 0;
    RETURN NULL;
END $$;

CREATE TRIGGER offers_arrived AFTER INSERT ON grounds.content REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.mark_arrivals();

-- A changed item, and the medium of its family where it says something that counts for all of it: the accounts that it
-- references can be others, and as many as before.
CREATE FUNCTION grounds.mark_items() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
    INSERT INTO grounds.offer_mark (place)
    SELECT o.id * 4 FROM old_rows o
    UNION SELECT p.id * 4
    FROM (SELECT o.family FROM old_rows o WHERE o.concerns_family
          UNION SELECT n.family FROM new_rows n WHERE n.concerns_family) m
    CROSS JOIN LATERAL (SELECT c.id FROM grounds.content c WHERE c.platform_id = m.family OFFSET 0) p;
    RETURN NULL;
END $$;

CREATE TRIGGER offers_marked AFTER UPDATE ON grounds.content REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.mark_items();

CREATE FUNCTION grounds.mark_family() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
    INSERT INTO grounds.offer_mark (place)
    SELECT c.id * 4 FROM grounds.content c WHERE c.platform_id = coalesce(NEW.id, OLD.id);
    RETURN NULL;
END $$;

CREATE TRIGGER offers_marked AFTER INSERT OR DELETE ON grounds.family
    FOR EACH ROW EXECUTE FUNCTION grounds.mark_family();

CREATE TRIGGER offers_marked_anew AFTER UPDATE ON grounds.family
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION grounds.mark_family();

-- A standing that comes after its account, from the backlog, can be of an account that an offered item references.
CREATE FUNCTION grounds.mark_new_standings() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO grounds.offer_mark (place) SELECT n.account * 4 + 1 FROM new_rows n;
    RETURN NULL;
END $$;

CREATE TRIGGER offers_arrived AFTER INSERT ON grounds.account_standing REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.mark_new_standings();

CREATE FUNCTION grounds.mark_standings() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_hashjoin = on SET enable_nestloop = off AS $$
BEGIN
    INSERT INTO grounds.offer_mark (place)
    SELECT n.account * 4 + 1 FROM new_rows n JOIN old_rows o ON o.account = n.account AND o.* IS DISTINCT FROM n.*;
    RETURN NULL;
END $$;

CREATE TRIGGER offers_marked AFTER UPDATE ON grounds.account_standing
    REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.mark_standings();

CREATE FUNCTION grounds.mark_contact() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO grounds.offer_mark (place) VALUES (NEW.id * 4 + 2);
    RETURN NULL;
END $$;

CREATE TRIGGER offers_marked AFTER UPDATE ON grounds.referenced_contact
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION grounds.mark_contact();

-- Whether there are offers for the claimed purpose.
CREATE FUNCTION grounds.offers_serve() RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM grounds.offer_set WHERE purpose = grounds.claim('purpose') AND state = 'SERVING')
$$;

-- Compare the items of a page with the rules. Where these do not permit an item that is offered, a mark is missing, and no set
-- is read any more, as after an audit. One statement compares, so that both views are of one snapshot.
CREATE FUNCTION grounds.offers_agree(page_items bigint[]) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    wrong int;
BEGIN
    SELECT count(*) INTO wrong
    FROM unnest(page_items) i CROSS JOIN LATERAL (SELECT FROM grounds.offered_content o WHERE o.id = i OFFSET 0) o
    WHERE NOT EXISTS (SELECT FROM grounds.trainable_content t WHERE t.id = i OFFSET 0);
    IF wrong > 0 THEN
        UPDATE grounds.offer_set SET state = 'FAULTY', not_permitted = wrong WHERE state IN ('BUILDING', 'SERVING');
    END IF;
    RETURN wrong = 0;
END $$;

-- Other rules: every set is dropped, and pages are read from the full view until new ones are whole. A set that is made at
-- this moment waits for the lock, and is derived by the new rules.
CREATE FUNCTION grounds.drop_offer_sets() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'rules change in READ COMMITTED only' USING ERRCODE = 'invalid_transaction_state';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('grounds.offer_set', 0));
    UPDATE grounds.offer_set SET state = 'DROPPED' WHERE state IN ('BUILDING', 'SERVING');
    RETURN NULL;
END $$;

CREATE TRIGGER offers_dropped AFTER INSERT OR UPDATE OR DELETE ON grounds.campaign_told
    FOR EACH ROW EXECUTE FUNCTION grounds.drop_offer_sets();

CREATE TRIGGER offers_dropped AFTER INSERT OR UPDATE OF active ON grounds.policy
    FOR EACH ROW WHEN (NEW.active) EXECUTE FUNCTION grounds.drop_offer_sets();

-- Derive the offers of items anew, in every set: the fold and the build share it, and one of them at a time does it.
CREATE FUNCTION grounds.derive_offers(wanted bigint[]) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    kept grounds.offer_set;
BEGIN
    FOR kept IN SELECT * FROM grounds.offer_set WHERE state IN ('BUILDING', 'SERVING') LOOP
        DELETE FROM grounds.offer o WHERE o.offer_set = kept.id AND o.id = ANY (wanted);
        PERFORM set_config('grounds.purpose', kept.purpose, TRUE);
        INSERT INTO grounds.offer SELECT kept.id, d.* FROM grounds.offer_derivation d WHERE d.id = ANY (wanted);
        PERFORM grounds.number_available(kept, wanted);
    END LOOP;
END $$;

-- Fold the oldest marks into the offers; give how many there were. Marks are read before the facts are: what changes from
-- then on leaves marks of its own, which stay. What more items depend on than are derived at once is marked item by item
-- first.
CREATE FUNCTION grounds.fold_offers(at_most int) RETURNS int
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    marks record;
    arrivals record;
    changed bigint[];
    due bigint[];
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'offers are folded in READ COMMITTED only: an older snapshot would miss changes';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('grounds.offer', 0));
    IF NOT EXISTS (SELECT FROM grounds.offer_set WHERE state IN ('BUILDING', 'SERVING')) THEN
        DELETE FROM grounds.offer_mark; -- what is built later reads the facts later
        DELETE FROM grounds.offer_arrival;
        RETURN 0;
    END IF;
    SELECT coalesce(array_agg(m.id), '{}') AS ids,
        coalesce(array_agg(m.place / 4) FILTER (WHERE m.place % 4 = 0 AND NOT m.alone), '{}') AS items,
        coalesce(array_agg(m.place / 4) FILTER (WHERE m.alone), '{}') AS alone,
        coalesce(array_agg(m.place / 4) FILTER (WHERE m.place % 4 = 1), '{}') AS accounts,
        coalesce(array_agg(m.place / 4) FILTER (WHERE m.place % 4 = 2), '{}') AS contacts
    INTO marks FROM (SELECT * FROM grounds.offer_mark ORDER BY id LIMIT at_most) m;
    SELECT coalesce(array_agg(a.id), '{}') AS ids INTO arrivals
    FROM (SELECT o.id FROM grounds.offer_arrival o ORDER BY o.id LIMIT 2) a;
    IF marks.ids = '{}' AND arrivals.ids = '{}' THEN
        RETURN 0;
    END IF;
    changed := marks.items || ARRAY(
        SELECT i FROM grounds.offer_arrival a CROSS JOIN LATERAL unnest(a.items) i WHERE a.id = ANY (arrivals.ids));
    due := ARRAY(
        SELECT i FROM grounds.items_concerned(changed, marks.accounts, marks.contacts) i UNION SELECT unnest(marks.alone));
    IF cardinality(due) > 2 * at_most THEN
        INSERT INTO grounds.offer_mark (place, alone) SELECT i * 4, TRUE FROM unnest(due) i;
    ELSE
        PERFORM grounds.derive_offers(due);
    END IF;
    DELETE FROM grounds.offer_mark WHERE id = ANY (marks.ids);
    DELETE FROM grounds.offer_arrival WHERE id = ANY (arrivals.ids);
    RETURN cardinality(marks.ids) + cardinality(arrivals.ids);
END $$;

-- Fold at the end of an ingest, unless a job is at it.
CREATE FUNCTION grounds.fold_ingested(at_most int) RETURNS int LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM grounds.offer_set WHERE state = 'SERVING') THEN
        RETURN 0;
    END IF;
    RETURN grounds.fold_offers(at_most);
END $$;

-- Build what is missing: a set for each purpose, some items at a time, and remove what was dropped. Give whether anything
-- was done. A set is made in a transaction of its own, so that a later change of the rules sees it.
CREATE FUNCTION grounds.build_offers(slice int) RETURNS int
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    due grounds.offer_set;
    dropped grounds.offer_set;
    up_to bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('grounds.offer', 0));
    SELECT * INTO due FROM grounds.offer_set WHERE state = 'BUILDING' ORDER BY id LIMIT 1;
    IF FOUND THEN
        up_to := due.built_up_to + slice;
        PERFORM set_config('grounds.purpose', due.purpose, TRUE);
        DELETE FROM grounds.offer o WHERE o.offer_set = due.id AND o.id > due.built_up_to AND o.id <= up_to;
        INSERT INTO grounds.offer
        SELECT due.id, d.* FROM grounds.offer_derivation d WHERE d.id > due.built_up_to AND d.id <= up_to;
        PERFORM grounds.number_available(due, ARRAY(
            SELECT o.id FROM grounds.offer o WHERE o.offer_set = due.id AND o.id > due.built_up_to AND o.id <= up_to
            UNION SELECT a.item FROM grounds.availability a
            WHERE a.purpose = due.purpose AND a.item > due.built_up_to AND a.item <= up_to));
        UPDATE grounds.offer_set SET built_up_to = up_to, state = CASE
            WHEN EXISTS (SELECT FROM grounds.content c WHERE c.id > up_to) THEN 'BUILDING' ELSE 'SERVING' END
        WHERE id = due.id AND state = 'BUILDING';
        RETURN 1;
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtextextended('grounds.offer_set', 0)) THEN
        RETURN 0; -- the rules are being changed
    END IF;
    INSERT INTO grounds.offer_set (purpose, state)
    SELECT p, 'BUILDING' FROM unnest(grounds.policy_purposes()) p
    WHERE NOT EXISTS (SELECT FROM grounds.offer_set s WHERE s.purpose = p AND s.state <> 'DROPPED');
    IF FOUND THEN
        RETURN 1;
    END IF;
    SELECT * INTO dropped FROM grounds.offer_set WHERE state = 'DROPPED' ORDER BY id LIMIT 1;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    DELETE FROM grounds.offer o WHERE o.offer_set = dropped.id AND o.id IN (
        SELECT g.id FROM grounds.offer g WHERE g.offer_set = dropped.id ORDER BY g.id LIMIT slice);
    IF NOT FOUND THEN
        DELETE FROM grounds.offer_set WHERE id = dropped.id;
    END IF;
    RETURN 1;
END $$;

-- Hold some offers that pages would show to the full decision, the next ones of each set. Where the rules do not permit one,
-- a mark is missing, and no set is read any more. Give how many were found, now and before.
CREATE FUNCTION grounds.audit_offers(slice int) RETURNS int
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    kept grounds.offer_set;
    last bigint;
    wrong int;
    found int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('grounds.offer', 0));
    FOR kept IN SELECT * FROM grounds.offer_set WHERE state = 'SERVING' LOOP
        PERFORM set_config('grounds.purpose', kept.purpose, TRUE);
        SELECT count(*) FILTER (WHERE (d.shortfall <@ '{PROGRAMME_ACTIVE,NO_REGULATORY_HOLD}') IS NOT TRUE), max(o.id)
        INTO wrong, last
        FROM (SELECT * FROM grounds.offer w WHERE w.offer_set = kept.id AND w.id > kept.audited_up_to
              ORDER BY w.id LIMIT slice) o
        LEFT JOIN LATERAL (SELECT v.shortfall FROM grounds.decision v WHERE v.id = o.id OFFSET 0) d ON TRUE
        WHERE o.permitted_from <= grounds.decision_time()
            AND NOT EXISTS (SELECT FROM grounds.offer_mark m WHERE m.place = ANY (o.depends_on) OFFSET 0);
        found := found + wrong;
        UPDATE grounds.offer_set SET audited_up_to = coalesce(last, 0), not_permitted = wrong WHERE id = kept.id;
    END LOOP;
    IF found > 0 THEN
        UPDATE grounds.offer_set SET state = 'FAULTY' WHERE state IN ('BUILDING', 'SERVING');
    END IF;
    RETURN (SELECT coalesce(sum(s.not_permitted), 0) FROM grounds.offer_set s WHERE s.state = 'FAULTY');
END $$;

-- Where offers are turned off, delete them and the marks that triggers still write. Give 0: there is no more to do. What was
-- available keeps its position for the day on which they are turned on again, unless a client was told to delete it.
CREATE FUNCTION grounds.discard_offers() RETURNS int
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('grounds.offer', 0));
    PERFORM pg_advisory_xact_lock(hashtextextended('grounds.offer_set', 0));
    DELETE FROM grounds.offer_set;
    DELETE FROM grounds.offer;
    DELETE FROM grounds.offer_mark;
    DELETE FROM grounds.offer_arrival;
    DELETE FROM grounds.availability_wait;
    PERFORM grounds.number_ended(NULL);
    RETURN 0;
END $$;
