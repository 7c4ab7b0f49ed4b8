-- Training runs: what a client states of the models that it trained, and of the deliveries that it used. The gateway cannot
-- check a statement; it keeps what was stated, by which client, and when.
CREATE TABLE grounds.training_run (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client int NOT NULL,
    model text NOT NULL,
    purpose text NOT NULL,
    started_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL
);

CREATE INDEX training_run_client ON grounds.training_run (client, id);

-- What a run used: a version of a release, as far as it was handed out when the run was recorded, or the receipts from one to
-- another.
CREATE TABLE grounds.training_run_input (
    run bigint NOT NULL,
    release bigint,
    major int,
    minor int,
    last_hand_out bigint, -- of release_delivery
    first_receipt bigint,
    last_receipt bigint,
    CHECK (num_nonnulls(release, major, minor, last_hand_out) = 4 AND num_nonnulls(first_receipt, last_receipt) = 0
        OR num_nonnulls(release, major, minor, last_hand_out) = 0 AND num_nonnulls(first_receipt, last_receipt) = 2)
);

CREATE INDEX training_run_input_run ON grounds.training_run_input (run);

-- NULL: a release or a receipt is not the client's, is of another purpose, or the client received nothing of that version. A
-- version without numbers is the one that the release has now. The same statement again, or one without numbers for a version
-- that was stated, is the run that is stored.
CREATE FUNCTION grounds.record_run(
    its_model text, its_purpose text, its_start timestamptz, releases bigint[], majors int[], minors int[],
    first_receipts bigint[], last_receipts bigint[]
) RETURNS bigint LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    holder constant int := grounds.claimed_client();
    recorded bigint;
BEGIN
    IF EXISTS (SELECT FROM unnest(first_receipts || last_receipts) n
               WHERE NOT EXISTS (SELECT FROM grounds.delivery d
                                 WHERE d.id = n AND d.client = holder AND d.purpose = its_purpose)) THEN
        RETURN NULL;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('grounds.training_run ' || holder, 0));
    recorded := ( -- a client whose answer was lost states the same once more
        SELECT t.id FROM grounds.training_run t
        WHERE t.client = holder AND t.model = its_model AND t.purpose = its_purpose AND t.started_at = its_start
            AND (SELECT count(*) FROM grounds.training_run_input i WHERE i.run = t.id)
                = cardinality(releases) + cardinality(first_receipts)
            AND NOT EXISTS (
                SELECT FROM unnest(releases, majors, minors) u (id, major, minor)
                WHERE NOT EXISTS (
                    SELECT FROM grounds.training_run_input i WHERE i.run = t.id AND i.release = u.id
                        AND (u.major IS NULL OR (i.major, i.minor) = (u.major, u.minor))))
            AND NOT EXISTS (
                SELECT FROM unnest(first_receipts, last_receipts) u (first, last)
                WHERE NOT EXISTS (
                    SELECT FROM grounds.training_run_input i
                    WHERE i.run = t.id AND (i.first_receipt, i.last_receipt) = (u.first, u.last)))
        ORDER BY t.id LIMIT 1);
    IF recorded IS NOT NULL THEN
        RETURN recorded;
    END IF;
    INSERT INTO grounds.training_run (client, model, purpose, started_at, recorded_at)
    VALUES (holder, its_model, its_purpose, its_start, grounds.decision_time()) RETURNING id INTO recorded;
    INSERT INTO grounds.training_run_input (run, release, major, minor, last_hand_out)
    SELECT recorded, r.id, v.major, v.minor, h.last
    FROM unnest(releases, majors, minors) u (id, major, minor)
    JOIN grounds.release r ON r.id = u.id AND r.client = holder AND r.purpose = its_purpose
    CROSS JOIN LATERAL (SELECT coalesce(u.major, r.major) AS major, coalesce(u.minor, r.minor) AS minor) v
    CROSS JOIN LATERAL (
        SELECT max(d.id) AS last FROM grounds.release_delivery d
        WHERE d.release = r.id AND (d.major, d.minor) <= (v.major, v.minor)) h
    WHERE h.last IS NOT NULL AND (v.major, v.minor) <= (r.major, r.minor);
    IF (SELECT count(*) FROM grounds.training_run_input i WHERE i.run = recorded) < cardinality(releases) THEN
        DELETE FROM grounds.training_run_input i WHERE i.run = recorded;
        DELETE FROM grounds.training_run t WHERE t.id = recorded;
        RETURN NULL;
    END IF;
    INSERT INTO grounds.training_run_input (run, first_receipt, last_receipt)
    SELECT recorded, f, l FROM unnest(first_receipts, last_receipts) i (f, l);
    RETURN recorded;
END $$;

-- Whether a client received an item for a purpose by the receipts from one to another. The first and the last receipt of the
-- item are known; the others are read only if there are any.
CREATE FUNCTION grounds.is_in_receipts(
    item bigint, its_client int, its_purpose text, item_first bigint, item_last bigint, deliveries int,
    first_receipt bigint, last_receipt bigint
) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN item_first > last_receipt OR item_last < first_receipt THEN FALSE
        WHEN item_first >= first_receipt OR item_last <= last_receipt THEN TRUE
        ELSE deliveries > 2 AND EXISTS (
            SELECT FROM grounds.delivery d
            WHERE d.client = its_client AND d.purpose = its_purpose AND d.id BETWEEN first_receipt AND last_receipt
                AND grounds.has_item(d, item)) END
$$;

-- Whether a version of a release had an item, as far as it was handed out when a run was recorded: of each shard the last
-- hand-out counts, without what was removed after it.
CREATE FUNCTION grounds.is_in_release(item bigint, used grounds.training_run_input) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM (
            SELECT DISTINCT ON (h.number) h.major, h.delivery FROM grounds.release_delivery h
            WHERE h.release = used.release AND h.id <= used.last_hand_out
            ORDER BY h.number, h.id DESC) h
        CROSS JOIN LATERAL (SELECT * FROM grounds.delivery WHERE id = h.delivery OFFSET 0) d
        WHERE grounds.has_item(d, item) AND NOT EXISTS (
            SELECT FROM grounds.release_removed r
            WHERE r.release = used.release AND r.major > h.major AND r.major <= used.major AND item = ANY (r.items)))
$$;

-- The runs that used some items, as their clients state: for examiners of any item, for a data subject of its own.
CREATE FUNCTION grounds.runs_of_items(wanted bigint[]) RETURNS TABLE (
    item bigint, client text, purpose text, model text, started_at timestamptz, release text, version text
) LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('grounds.job', 'runs of items', TRUE);
    RETURN QUERY
        WITH held AS MATERIALIZED (
            SELECT h.* FROM grounds.recipients_of(ARRAY(
                SELECT c.id FROM grounds.content c WHERE c.id = ANY (wanted)
                    AND (grounds.examining() OR c.account = grounds.claimed_account()))) h
            WHERE EXISTS (SELECT FROM grounds.training_run t WHERE t.client = h.client AND t.purpose = h.purpose)
        )
        SELECT DISTINCT h.item, k.name, t.purpose, t.model, t.started_at, r.name, i.major || '.' || i.minor || '.0'
        FROM held h
        JOIN grounds.client k ON k.id = h.client
        JOIN grounds.training_run t ON t.client = h.client AND t.purpose = h.purpose
        JOIN grounds.training_run_input i ON i.run = t.id
        LEFT JOIN grounds.release r ON r.id = i.release
        WHERE CASE WHEN i.release IS NULL THEN grounds.is_in_receipts(h.item, h.client, h.purpose, h.first_delivery,
                h.last_delivery, h.deliveries, i.first_receipt, i.last_receipt)
            ELSE grounds.is_in_release(h.item, i) END
        ORDER BY 1, 2, 5, 4;
    PERFORM set_config('grounds.job', '', TRUE);
END $$;
