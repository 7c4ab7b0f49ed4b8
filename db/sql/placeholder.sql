-- Placeholders: to declare one takes two officers, and the dwell of a withdrawal. Its table is in person.sql.

-- The first officer says why, another one approves.
CREATE FUNCTION grounds.declare_placeholder(its_kind text, its_value text, its_reason text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    officer constant text := grounds.acting_officer();
    known grounds.placeholder;
BEGIN
    INSERT INTO grounds.placeholder (kind, value, reason, declared_by, declared_at)
    SELECT its_kind, its_value, its_reason, officer, grounds.decision_time() WHERE its_reason IS NOT NULL
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        RETURN 'ASKED';
    END IF;
    SELECT * INTO known FROM grounds.placeholder h WHERE h.kind = its_kind AND h.value = its_value FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'NO_REASON';
    ELSIF known.approved_by IS NOT NULL THEN
        RETURN 'APPROVED_BEFORE';
    ELSIF known.declared_by = officer THEN
        RETURN 'SAME_OFFICER';
    END IF;
    UPDATE grounds.placeholder h SET approved_by = officer, approved_at = grounds.decision_time()
    WHERE h.kind = its_kind AND h.value = its_value;
    RETURN 'APPROVED';
END $$;

-- Any officer may revoke one that is not in effect. NULL: there is none.
CREATE FUNCTION grounds.revoke_placeholder(its_kind text, its_value text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM grounds.acting_officer();
    DELETE FROM grounds.placeholder h WHERE h.kind = its_kind AND h.value = its_value AND h.in_effect_from IS NULL;
    IF FOUND THEN
        RETURN 'REVOKED';
    END IF;
    PERFORM FROM grounds.placeholder h WHERE h.kind = its_kind AND h.value = its_value;
    RETURN CASE WHEN FOUND THEN 'IN_EFFECT' END;
END $$;

-- Put those in effect whose dwell is over, and unlink so many accounts by one of them; give how many. From the instant at
-- which one is in effect no new link counts; the accounts that it had linked stay one person's until they are unlinked.
CREATE FUNCTION grounds.apply_placeholders(at_most int) RETURNS int
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_hashjoin = on SET enable_seqscan = off AS $$
DECLARE
    found_placeholder grounds.placeholder;
    linked bigint[];
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('grounds.standing', 0));
    UPDATE grounds.placeholder h
    SET in_effect_from = grounds.decision_time(), recorded_at = grounds.decision_time(), unlinked_to = 0
    FROM grounds.policy p
    WHERE p.active AND h.in_effect_from IS NULL AND h.approved_at <= grounds.decision_time()
        - make_interval(hours => 24 * (p.document #>> '{dwell,withdrawal_days}')::int);
    SELECT * INTO found_placeholder FROM grounds.placeholder h
    WHERE h.unlinked_to IS NOT NULL ORDER BY h.kind, h.value LIMIT 1;
    IF NOT FOUND THEN
        RETURN 0;
    ELSIF found_placeholder.kind = 'PERSON' THEN
        linked := ARRAY(
            SELECT p.account FROM grounds.account_person p
            WHERE p.person = found_placeholder.value AND p.account > found_placeholder.unlinked_to
            ORDER BY p.account LIMIT at_most);
        PERFORM grounds.derive_standings(grounds.regroup_accounts(linked), '{}', 1000);
    ELSE
        linked := ARRAY(
            SELECT c.account FROM (
                SELECT account FROM grounds.account_contact WHERE contact = found_placeholder.value
                UNION SELECT id FROM grounds.account WHERE own_contact = found_placeholder.value) c
            WHERE c.account > found_placeholder.unlinked_to ORDER BY c.account LIMIT at_most);
        PERFORM grounds.derive_standings(linked, '{}', 1000);
    END IF;
    UPDATE grounds.placeholder h
    SET unlinked_to = CASE WHEN cardinality(linked) = at_most THEN linked[at_most] END
    WHERE h.kind = found_placeholder.kind AND h.value = found_placeholder.value;
    DELETE FROM grounds.objection_matched m USING grounds.objection_target t -- what it matched might match no account now
    WHERE m.objection = t.objection AND t.kind = found_placeholder.kind AND t.value = found_placeholder.value;
    RETURN 1;
END $$;

-- Persons and contacts that very many accounts share, as a job counted them: what officers look at for placeholders.
CREATE TABLE grounds.shared_link (
    kind text NOT NULL CHECK (kind IN ('PERSON', 'CONTACT')),
    value text NOT NULL,
    PRIMARY KEY (kind, value),
    accounts int NOT NULL,
    counted_at timestamptz NOT NULL
);

CREATE FUNCTION grounds.count_shared_links(from_accounts int, most int) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DELETE FROM grounds.shared_link;
    INSERT INTO grounds.shared_link (kind, value, accounts, counted_at)
    SELECT kind, value, accounts, grounds.decision_time() FROM (
        SELECT 'PERSON' AS kind, person AS value, count(*)::int AS accounts FROM grounds.account_person
        GROUP BY person HAVING count(*) >= from_accounts
        UNION ALL
        SELECT 'CONTACT', contact, count(*)::int FROM grounds.account_contact
        GROUP BY contact HAVING count(*) >= from_accounts) counted
    ORDER BY accounts DESC LIMIT most
$$;
