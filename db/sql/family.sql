-- A medium and the captions that name it are one family: references, reservations and scans of each count for all of it.
-- What they say together is kept in one row of the medium, in the transaction that changes a member, so that a page of
-- captions costs the same whether their medium has ten or ten thousand.

-- The one derivation; TRUE = ALL (array_agg(…)) is unknown where one member is and none fails. Only members with
-- something that counts for the others are read (concerns_family), and a medium that is not there makes no family.
CREATE FUNCTION grounds.family_of(medium text) RETURNS SETOF grounds.family LANGUAGE sql STABLE AS $$
    SELECT medium, count(*) FILTER (WHERE m.quarantined_at >= m.observed_at)::int, max(m.reverted_at),
        sum(m.reference_count), NOT bool_or(m.reserved OR m.account_reserved), TRUE = ALL (array_agg(m.special_category = 'CLEAR')),
        TRUE = ALL (array_agg(m.safety = 'CLEAR')),
        TRUE = ALL (array_agg(m.minors = 'CLEAR' OR m.minors IS NULL AND NOT m.needs_minors_scan))
    FROM grounds.content m WHERE m.family = medium AND m.concerns_family
    HAVING count(*) > 0 AND EXISTS (
        SELECT FROM grounds.content p WHERE p.platform_id = min(m.family) AND p.kind IN ('PHOTO', 'VIDEO', 'AUDIO'))
$$;

-- Two writers would each miss what the other is about to say: the second waits for the first, and reads what it committed.
CREATE FUNCTION grounds.refresh_families(media text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF media IS NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('grounds.family', 0));
    WITH said AS MATERIALIZED (
        SELECT f.* FROM unnest(media) medium CROSS JOIN LATERAL grounds.family_of(medium) f
    ), silent AS (
        DELETE FROM grounds.family f WHERE f.id = ANY (media) AND NOT EXISTS (SELECT FROM said s WHERE s.id = f.id)
    )
    INSERT INTO grounds.family AS f SELECT * FROM said
    ON CONFLICT (id) DO UPDATE SET (
        quarantined, reverted_at, reference_count, unreserved, no_special_category, safe, no_minor) = (
        excluded.quarantined, excluded.reverted_at, excluded.reference_count, excluded.unreserved,
        excluded.no_special_category, excluded.safe, excluded.no_minor);
END $$;

CREATE FUNCTION grounds.member_arrived() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
    PERFORM grounds.refresh_families((
        SELECT array_agg(DISTINCT n.family) FROM new_rows n WHERE n.family IS NOT NULL));
    RETURN NULL;
END $$;

-- Most changes, of an audience or a text, concern no family. A caption that names itself and becomes a medium, or a medium that
-- becomes one, stays in its family, which begins or ends with it.
CREATE FUNCTION grounds.member_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = on SET enable_nestloop = off AS $$
BEGIN
    PERFORM grounds.refresh_families((
        SELECT array_agg(DISTINCT medium) FROM new_rows n JOIN old_rows o ON o.id = n.id
        CROSS JOIN LATERAL unnest(ARRAY[o.family, n.family]) medium
        WHERE medium IS NOT NULL AND (n.concerns_family OR o.concerns_family OR o.family IS DISTINCT FROM n.family
            OR o.kind <> n.kind)));
    RETURN NULL;
END $$;

CREATE TRIGGER family_arrived AFTER INSERT ON grounds.content REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.member_arrived();

CREATE TRIGGER family_changed AFTER UPDATE ON grounds.content REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.member_changed();
