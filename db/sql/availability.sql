-- The order in which items became available, for clients that ask what is new. An item has one position per purpose while it
-- is offered, and a new one at the end each time that it becomes permitted again. Only jobs give positions, one at a time
-- under the lock of offers, and never the transaction of a fact: a reader that sees a position sees all lower ones. What a page
-- passes over at this moment, such as a marked offer, it names in its cursor, so that the next page looks at it again.
CREATE TABLE grounds.availability (
    purpose text NOT NULL,
    position bigint NOT NULL,
    item bigint NOT NULL,
    PRIMARY KEY (purpose, position)
) WITH (autovacuum_vacuum_scale_factor = 0.05);

-- One position per item: sets of offers come and go with the rules, and positions stay.
CREATE UNIQUE INDEX availability_item ON grounds.availability (purpose, item);

-- Positions are never given twice, whatever is deleted. Items that a hold covers have none; as soon as the holds are others,
-- every offer is looked at again, some at a time.
CREATE TABLE grounds.availability_purpose (
    purpose text PRIMARY KEY,
    last_position bigint NOT NULL DEFAULT 0,
    held_countries text[] NOT NULL DEFAULT '{}',
    held_products text[] NOT NULL DEFAULT '{}',
    swept_up_to bigint -- the last item looked at since the holds are others; NULL: all were
);

-- Offers from an instant on that has not come.
CREATE TABLE grounds.availability_wait (
    purpose text NOT NULL,
    item bigint NOT NULL,
    due_at timestamptz NOT NULL,
    PRIMARY KEY (purpose, item)
);

CREATE INDEX availability_due ON grounds.availability_wait (purpose, due_at);

-- Items that a client was told to delete. Where one is permitted again so soon that its offer never went, it gets a new
-- position all the same.
CREATE TABLE grounds.availability_ended (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    purpose text NOT NULL,
    items bigint[] NOT NULL,
    segment bigint GENERATED ALWAYS AS (items[1] >> 10) STORED -- the same of all items, as in grounds.retraction_batch
);

CREATE INDEX availability_ended_segment ON grounds.availability_ended (purpose, segment);

CREATE FUNCTION grounds.end_availability() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM grounds.availability) THEN
        INSERT INTO grounds.availability_ended (purpose, items)
        SELECT DISTINCT d.purpose, n.items FROM new_rows n JOIN grounds.delivery d ON d.id = n.delivery
        WHERE n.kind IN ('RETRACT', 'SUPERSEDE');
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER availability_ended AFTER INSERT ON grounds.retraction_batch REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.end_availability();

-- Up to which position the claimed purpose's items can be read at this moment; NULL without offers.
CREATE FUNCTION grounds.available_up_to() RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    SELECT p.last_position FROM grounds.availability_purpose p
    WHERE p.purpose = grounds.claim('purpose') AND grounds.offers_serve()
$$;

-- Take the positions of items that are not available now, and give one to each that is and has none. The caller has the lock
-- of offers until the end of the transaction.
CREATE FUNCTION grounds.number_available(kept grounds.offer_set, wanted bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    state grounds.availability_purpose;
    instant constant timestamptz := grounds.decision_time();
    given int;
BEGIN
    INSERT INTO grounds.availability_purpose (purpose) VALUES (kept.purpose) ON CONFLICT (purpose) DO NOTHING;
    SELECT * INTO state FROM grounds.availability_purpose p WHERE p.purpose = kept.purpose;
    DELETE FROM grounds.availability_wait w WHERE w.purpose = kept.purpose AND w.item = ANY (wanted);
    INSERT INTO grounds.availability_wait
    SELECT kept.purpose, o.id, o.permitted_from
    FROM grounds.offer o WHERE o.offer_set = kept.id AND o.id = ANY (wanted) AND o.permitted_from > instant;
    DELETE FROM grounds.availability a
    WHERE a.purpose = kept.purpose AND a.item = ANY (wanted) AND NOT EXISTS (
        SELECT FROM grounds.offer o
        WHERE o.offer_set = kept.id AND o.id = a.item AND o.permitted_from <= instant
            AND (o.author_country = ANY (state.held_countries)) IS NOT TRUE
            AND (o.author_product = ANY (state.held_products)) IS NOT TRUE OFFSET 0);
    INSERT INTO grounds.availability
    SELECT kept.purpose, state.last_position + row_number() OVER (ORDER BY o.id), o.id
    FROM grounds.offer o
    WHERE o.offer_set = kept.id AND o.id = ANY (wanted) AND o.permitted_from <= instant
        AND (o.author_country = ANY (state.held_countries)) IS NOT TRUE
        AND (o.author_product = ANY (state.held_products)) IS NOT TRUE
        AND NOT EXISTS (
            SELECT FROM grounds.availability a WHERE a.purpose = kept.purpose AND a.item = o.id OFFSET 0);
    GET DIAGNOSTICS given = ROW_COUNT;
    UPDATE grounds.availability_purpose p SET last_position = p.last_position + given
    WHERE p.purpose = kept.purpose AND given > 0;
END $$;

-- Give new positions to some items that clients were told to delete and that are available again; give how many there were.
CREATE FUNCTION grounds.number_ended(at_most int) RETURNS int LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    ended grounds.availability_ended;
    kept grounds.offer_set;
    numbered bigint[];
    done int := 0;
BEGIN
    FOR ended IN SELECT * FROM grounds.availability_ended ORDER BY id LIMIT at_most LOOP
        WITH taken AS (
            DELETE FROM grounds.availability a WHERE a.purpose = ended.purpose AND a.item = ANY (ended.items)
            RETURNING a.item)
        SELECT array_agg(t.item) INTO numbered FROM taken t;
        FOR kept IN SELECT * FROM grounds.offer_set s
                    WHERE s.purpose = ended.purpose AND s.state IN ('BUILDING', 'SERVING') LOOP
            PERFORM grounds.number_available(kept, numbered);
        END LOOP;
        DELETE FROM grounds.availability_ended e WHERE e.id = ended.id;
        done := done + 1;
    END LOOP;
    RETURN done;
END $$;

-- Look at some of the offers of a set once more, because the holds are others; give how many there were.
CREATE FUNCTION grounds.sweep_available(kept grounds.offer_set, at_most int) RETURNS int
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    state grounds.availability_purpose;
    swept bigint[];
BEGIN
    UPDATE grounds.availability_purpose p
    SET held_countries = h.countries, held_products = h.products, swept_up_to = 0
    FROM grounds.offer_hold h
    WHERE p.purpose = kept.purpose AND (p.held_countries, p.held_products) <> (h.countries, h.products);
    SELECT * INTO state FROM grounds.availability_purpose p WHERE p.purpose = kept.purpose;
    IF state.swept_up_to IS NULL THEN
        RETURN 0;
    END IF;
    swept := ARRAY(SELECT o.id FROM grounds.offer o WHERE o.offer_set = kept.id AND o.id > state.swept_up_to
                   ORDER BY o.id LIMIT at_most);
    PERFORM grounds.number_available(kept, swept);
    UPDATE grounds.availability_purpose p SET swept_up_to = swept[cardinality(swept)] WHERE p.purpose = kept.purpose;
    RETURN cardinality(swept);
END $$;

-- Give positions to what became available without a mark: because time passed, because a hold ended, or because clients were
-- told to delete it. Give how many items were looked at.
CREATE FUNCTION grounds.number_offers(at_most int) RETURNS int
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    kept grounds.offer_set;
    due bigint[];
    done int;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('grounds.offer', 0));
    done := grounds.number_ended(at_most / 1024 + 1);
    FOR kept IN SELECT * FROM grounds.offer_set WHERE state = 'SERVING' LOOP
        due := ARRAY(
            SELECT w.item FROM grounds.availability_wait w
            WHERE w.purpose = kept.purpose AND w.due_at <= grounds.decision_time() ORDER BY w.due_at LIMIT at_most);
        IF due <> '{}' THEN
            PERFORM grounds.number_available(kept, due);
        END IF;
        done := done + cardinality(due) + grounds.sweep_available(kept, at_most);
    END LOOP;
    RETURN done;
END $$;
