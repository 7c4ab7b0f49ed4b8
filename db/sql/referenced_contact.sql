-- A contact that an item references stands for itself, by the objections that name it, and for every account that has it.
-- What these say together is kept beside the standings, under the same lock, so that a page looks one row up, however many
-- accounts share the contact.

CREATE TABLE grounds.referenced_contact (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    contact text NOT NULL UNIQUE,
    -- As of an account's standing; NULL until the commit that names the contact.
    is_known boolean,
    objected_public_until timestamptz,
    minor_until timestamptz,
    adult_from timestamptz,
    quarantined boolean,
    person_quarantined boolean,
    birth_date_reverted_at timestamptz
);

-- The one derivation. A contact of very many accounts is no person's address (an export's "0"), so it is unknown
-- which account it stands for: that counts as a quarantine. Two officers can declare it a placeholder, which links nothing.
CREATE FUNCTION grounds.contact_standing_of(contacts text[]) RETURNS TABLE (
    contact text, is_known boolean, objected_public_until timestamptz, minor_until timestamptz, adult_from timestamptz,
    quarantined boolean, person_quarantined boolean, birth_date_reverted_at timestamptz
) LANGUAGE sql STABLE AS $$
    SELECT named, CASE WHEN a.accounts = 0 THEN TRUE ELSE a.is_known END,
        greatest(coalesce(a.objected_until, '-infinity'), coalesce(own.objected_until, '-infinity')),
        coalesce(a.minor_until, '-infinity'),
        CASE WHEN a.accounts = 0 THEN '-infinity' WHEN a.aged = a.accounts THEN a.adult_from END,
        coalesce(a.quarantined, FALSE) OR a.accounts > 1000, coalesce(a.person_quarantined, FALSE),
        coalesce(a.birth_date_reverted_at, '-infinity')
    FROM unnest(contacts) named
    CROSS JOIN LATERAL (
        SELECT count(*) AS accounts, count(s.adult_from) AS aged, bool_and(s.is_known IS TRUE) OR NULL AS is_known,
            max(s.objected_public_until) AS objected_until, max(s.minor_until) AS minor_until,
            max(s.adult_from) AS adult_from, bool_or(s.quarantined) AS quarantined,
            bool_or(s.person_quarantined) AS person_quarantined,
            max(s.birth_date_reverted_at) AS birth_date_reverted_at
        FROM (SELECT k.account FROM (
                  SELECT account FROM grounds.account_contact WHERE contact = named
                  UNION SELECT id FROM grounds.account WHERE own_contact = named) k
              WHERE NOT grounds.links_nothing('CONTACT', named) ORDER BY k.account LIMIT 1001) k
        CROSS JOIN LATERAL (SELECT * FROM grounds.account_standing WHERE account = k.account OFFSET 0) s
    ) a
    CROSS JOIN LATERAL (
        SELECT max(coalesce(o.withdrawn_at, 'infinity')) AS objected_until
        FROM (SELECT objection FROM grounds.objection_target WHERE kind = 'CONTACT' AND value = named OFFSET 0) t
        CROSS JOIN LATERAL (
            SELECT withdrawn_at FROM grounds.objection_in_force
            WHERE id = t.objection AND scope <> 'AI_INTERACTIONS' OFFSET 0) o
    ) own
$$;

CREATE FUNCTION grounds.refresh_contacts(contacts text[]) RETURNS void LANGUAGE sql AS $$
    UPDATE grounds.referenced_contact k
    SET (is_known, objected_public_until, minor_until, adult_from, quarantined, person_quarantined,
        birth_date_reverted_at) = (
        s.is_known, s.objected_public_until, s.minor_until, s.adult_from, s.quarantined, s.person_quarantined,
        s.birth_date_reverted_at)
    FROM (
        SELECT s.* FROM unnest(contacts) named
        CROSS JOIN LATERAL (SELECT contact FROM grounds.referenced_contact WHERE contact = named OFFSET 0) r
        CROSS JOIN LATERAL grounds.contact_standing_of(ARRAY[r.contact]) s
    ) s
    WHERE k.contact = s.contact
$$;

-- Whatever an account's standing becomes, its contacts that are referenced become as well; but not those that a new
-- objection names, for which it counts without their accounts.
CREATE FUNCTION grounds.refresh_contacts_of(accounts bigint[], new_objection bigint DEFAULT NULL) RETURNS void
LANGUAGE sql AS $$
    SELECT grounds.refresh_contacts(ARRAY(
        SELECT k.contact FROM unnest(accounts) named
        CROSS JOIN LATERAL (
            SELECT contact FROM grounds.account_contact WHERE account = named
            UNION ALL SELECT own_contact FROM grounds.account WHERE id = named OFFSET 0) k
        EXCEPT SELECT t.value FROM grounds.objection_target t WHERE t.objection = new_objection AND t.kind = 'CONTACT'))
    WHERE EXISTS (SELECT FROM grounds.referenced_contact)
$$;

CREATE FUNCTION grounds.contact_referenced() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO grounds.standing_queue (change, names)
    SELECT 'CONTACT', array_agg(n.contact) FROM new_rows n HAVING count(*) > 0;
    RETURN NULL;
END $$;

CREATE TRIGGER arrived AFTER INSERT ON grounds.referenced_contact REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.contact_referenced();

CREATE FUNCTION grounds.contact_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO grounds.retraction_queue (scope, numbers)
    SELECT 'CONTACT', array_agg(n.id)
    FROM new_rows n JOIN old_rows o ON o.id = n.id AND o.* IS DISTINCT FROM n.*
    HAVING count(*) > 0;
    RETURN NULL;
END $$;

CREATE TRIGGER retractable AFTER UPDATE ON grounds.referenced_contact
    REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.contact_changed();
