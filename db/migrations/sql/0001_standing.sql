-- The standing of an account: everything that the conditions ask of an author, one row, one join.
-- Derived from the facts in the transaction that changes them; nothing has to be refreshed when time passes.

CREATE TABLE grounds.account_standing (
    account bigint PRIMARY KEY,
    known boolean,
    product text,
    kind text,
    country text,
    status text,
    status_since timestamptz,
    compromised tstzmultirange,
    adult_from timestamptz,                              -- by its own birth date
    minor_until timestamptz NOT NULL,                    -- by any birth date of the same person
    notice_delivered_at timestamptz,                     -- infinity: never; NULL: the account is not known
    notice_effective_from timestamptz,
    objected_public_until timestamptz NOT NULL,          -- infinity: not withdrawn; -infinity: never objected
    objected_ai_until timestamptz NOT NULL,
    opted_in_since timestamptz,                          -- infinity: never
    held_until timestamptz NOT NULL,
    taken_back_at timestamptz NOT NULL,
    quarantined boolean NOT NULL,
    status_month date GENERATED ALWAYS AS (date_trunc('month', status_since AT TIME ZONE 'UTC')::date) STORED,
    notice_week date GENERATED ALWAYS AS (
        CASE WHEN isfinite(notice_delivered_at)
             THEN date_trunc('week', notice_delivered_at AT TIME ZONE 'UTC')::date END) STORED,
    notice_end_week date GENERATED ALWAYS AS (
        date_trunc('week', notice_effective_from AT TIME ZONE 'UTC')::date) STORED,
    opted_in_month date GENERATED ALWAYS AS (
        CASE WHEN isfinite(opted_in_since)
             THEN date_trunc('month', opted_in_since AT TIME ZONE 'UTC')::date END) STORED
) WITH (fillfactor = 80);

-- Every account of the same person, by any chain of links ever seen; each account is its own first.
-- Here and below, OFFSET 0 keeps a look-up a look-up: one index probe an account, however large the tables are and
-- whatever their statistics say.
CREATE FUNCTION grounds.same_person(accounts bigint[]) RETURNS TABLE (account bigint, member bigint)
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE reach (account, member) AS (
        SELECT a, a FROM unnest(accounts) a
        UNION
        SELECT r.account, other.account
        FROM reach r CROSS JOIN LATERAL (
            SELECT o.account
            FROM (SELECT person FROM grounds.account_person WHERE account = r.member OFFSET 0) l
            CROSS JOIN LATERAL (SELECT account FROM grounds.account_person WHERE person = l.person OFFSET 0) o) other
    )
    SELECT r.account, r.member FROM reach r
$$;

-- Which objections name an account: itself, a person of its, or a contact of its.
CREATE FUNCTION grounds.objections_naming(named bigint) RETURNS TABLE (objection bigint) LANGUAGE sql STABLE AS $$
    SELECT t.objection
    FROM (SELECT 'ACCOUNT' AS kind, platform_id AS value FROM grounds.account WHERE id = named
          UNION ALL SELECT 'PERSON', person FROM grounds.account_person WHERE account = named
          UNION ALL SELECT 'CONTACT', contact FROM grounds.account_contact WHERE account = named
          OFFSET 0) name
    CROSS JOIN LATERAL (
        SELECT objection FROM grounds.objection_target WHERE kind = name.kind AND value = name.value OFFSET 0) t
$$;

-- Which objections reach an account: those that name any account of the same person.
CREATE FUNCTION grounds.objections_reaching(reached bigint) RETURNS TABLE (objection bigint) LANGUAGE sql STABLE AS $$
    SELECT DISTINCT n.objection
    FROM grounds.same_person(ARRAY[reached]) m CROSS JOIN LATERAL grounds.objections_naming(m.member) n
$$;

-- An objection as it counts: after a bad line for everything and not withdrawn; a withdrawal before it withdraws nothing.
CREATE VIEW grounds.objection_in_force AS
SELECT id, platform_id, received_at, channel,
    CASE WHEN quarantined_at >= observed_at THEN 'ALL' ELSE scope END AS scope,
    CASE WHEN quarantined_at >= observed_at OR withdrawn_at < received_at THEN NULL ELSE withdrawn_at END AS withdrawn_at
FROM grounds.objection;

-- The one derivation of a standing, for every writer.
CREATE FUNCTION grounds.standing_of(accounts bigint[]) RETURNS TABLE (
    account bigint, known boolean, product text, kind text, country text, status text, status_since timestamptz,
    compromised tstzmultirange, adult_from timestamptz, minor_until timestamptz, notice_delivered_at timestamptz,
    notice_effective_from timestamptz, objected_public_until timestamptz, objected_ai_until timestamptz,
    opted_in_since timestamptz, held_until timestamptz, taken_back_at timestamptz, quarantined boolean
) LANGUAGE sql STABLE AS $$
    WITH parameters AS MATERIALIZED (
        SELECT document #>> '{notice,epoch}' AS epoch, (document #>> '{notice,period_days}')::int AS period_days
        FROM grounds.policy WHERE active
    ), same AS MATERIALIZED (
        SELECT m.account, m.member FROM grounds.same_person(accounts) m
    ), person AS (
        SELECT m.account, max(a.adult_from) AS minor_until, max(a.birth_date_taken_back_at) AS taken_back_at
        FROM same m CROSS JOIN LATERAL (
            SELECT adult_from, birth_date_taken_back_at FROM grounds.account WHERE id = m.member OFFSET 0) a
        GROUP BY m.account
    ), objected AS (
        SELECT m.account,
            max(coalesce(o.withdrawn_at, 'infinity')) FILTER (WHERE o.scope <> 'AI_INTERACTIONS') AS public_until,
            max(coalesce(o.withdrawn_at, 'infinity')) FILTER (WHERE o.scope <> 'PUBLIC_CONTENT') AS ai_until
        FROM same m
        CROSS JOIN LATERAL grounds.objections_naming(m.member) n
        CROSS JOIN LATERAL (
            SELECT scope, withdrawn_at FROM grounds.objection_in_force WHERE id = n.objection OFFSET 0) o
        GROUP BY m.account
    )
    SELECT a.id, a.known, a.product, a.kind, a.country, a.status, a.status_since, a.compromised, a.adult_from,
        coalesce(person.minor_until, '-infinity'),
        CASE WHEN a.known THEN coalesce(noticed.delivered_at, 'infinity') END,
        CASE WHEN a.known THEN grounds.notice_period_end(noticed.delivered_at, (SELECT period_days FROM parameters)) END,
        coalesce(objected.public_until, '-infinity'),
        coalesce(objected.ai_until, '-infinity'),
        CASE WHEN a.known THEN coalesce((
            SELECT min(c.given_at) FROM grounds.consent c
            WHERE c.account = a.id AND c.withdrawn_at IS NULL AND NOT EXISTS (
                SELECT FROM grounds.consent w WHERE w.account = a.id AND w.withdrawn_at >= c.given_at)), 'infinity') END,
        coalesce((SELECT max(coalesce(h.lifted_at, 'infinity')) FROM grounds.hold h
                  WHERE h.scope = 'ACCOUNT' AND h.value = a.platform_id), '-infinity'),
        CASE WHEN a.known THEN greatest(a.taken_back_at, person.taken_back_at) ELSE '-infinity' END,
        EXISTS (SELECT FROM grounds.quarantine q
                WHERE q.record = 'account' AND q.platform_id = a.platform_id AND q.observed_at >= a.observed_at)
        OR EXISTS (SELECT FROM grounds.quarantine q
                   WHERE q.account = a.platform_id AND q.observed_at >= coalesce(CASE q.record
                       WHEN 'notice' THEN (SELECT observed_at FROM grounds.notice WHERE platform_id = q.platform_id)
                       WHEN 'consent' THEN (SELECT observed_at FROM grounds.consent WHERE platform_id = q.platform_id)
                       END, '-infinity') OFFSET 0)
    FROM person
    CROSS JOIN LATERAL (SELECT * FROM grounds.account WHERE id = person.account OFFSET 0) a
    CROSS JOIN LATERAL (
        SELECT min(n.delivered_at) AS delivered_at FROM grounds.notice n
        WHERE n.account = person.account AND n.bounced_at IS NULL AND n.epoch >= (SELECT epoch FROM parameters)) noticed
    LEFT JOIN objected ON objected.account = person.account
$$;

CREATE FUNCTION grounds.refresh_standing(accounts bigint[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO grounds.account_standing AS s (
        account, known, product, kind, country, status, status_since, compromised, adult_from, minor_until,
        notice_delivered_at, notice_effective_from, objected_public_until, objected_ai_until, opted_in_since,
        held_until, taken_back_at, quarantined)
    SELECT * FROM grounds.standing_of(accounts)
    ON CONFLICT (account) DO UPDATE SET (
        known, product, kind, country, status, status_since, compromised, adult_from, minor_until,
        notice_delivered_at, notice_effective_from, objected_public_until, objected_ai_until, opted_in_since,
        held_until, taken_back_at, quarantined) = (
        excluded.known, excluded.product, excluded.kind, excluded.country, excluded.status, excluded.status_since,
        excluded.compromised, excluded.adult_from, excluded.minor_until, excluded.notice_delivered_at,
        excluded.notice_effective_from, excluded.objected_public_until, excluded.objected_ai_until,
        excluded.opted_in_since, excluded.held_until, excluded.taken_back_at, excluded.quarantined)
$$;

-- A statement that touches facts leaves the accounts it touched here; at commit one refresh does them all.
CREATE TABLE grounds.standing_due (
    accounts bigint[] NOT NULL,
    of_person boolean NOT NULL -- whether the person's other accounts are due with them
);

-- Refreshes are serialised: each reads what all earlier ones committed, so no two facts can miss each other (an
-- objection to a person and a new account of that person, say). READ COMMITTED is what makes the second read fresh.
CREATE FUNCTION grounds.standing_falls_due() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_hashjoin = on SET enable_seqscan = off AS $$
DECLARE
    due bigint[];
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'facts change in READ COMMITTED only' USING ERRCODE = 'invalid_transaction_state';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('grounds.standing', 0));
    WITH gone AS (
        DELETE FROM grounds.standing_due RETURNING accounts, of_person
    ), named AS (
        SELECT DISTINCT account, of_person FROM gone, unnest(gone.accounts) account
    ), persons AS (
        SELECT array_agg(account) AS accounts FROM named WHERE of_person
    )
    SELECT array_agg(account ORDER BY account) INTO due FROM (
        SELECT account FROM named
        UNION SELECT m.member FROM persons CROSS JOIN LATERAL grounds.same_person(persons.accounts) m) touched;
    IF due IS NOT NULL THEN
        PERFORM grounds.refresh_standing(due);
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER falls_due AFTER INSERT ON grounds.standing_due DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION grounds.standing_falls_due();

CREATE FUNCTION grounds.account_touched() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO grounds.standing_due SELECT array_agg(n.id), TRUE FROM new_rows n HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER arrived AFTER INSERT ON grounds.account REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.account_touched();
CREATE TRIGGER changed AFTER UPDATE ON grounds.account REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.account_touched();

-- Links belong to an account by its number, and to its person; notices and consents are the account's own.
CREATE FUNCTION grounds.belonging_touched() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    of_person constant boolean := TG_TABLE_NAME IN ('account_person', 'account_contact');
BEGIN
    INSERT INTO grounds.standing_due
    SELECT array_agg(DISTINCT n.account), of_person FROM new_rows n HAVING count(*) > 0;
    IF TG_OP = 'UPDATE' THEN
        INSERT INTO grounds.standing_due
        SELECT array_agg(DISTINCT o.account), of_person FROM old_rows o HAVING count(*) > 0;
    END IF;
    IF TG_TABLE_NAME IN ('notice', 'consent') THEN -- what a bad line shut may be another account than the good one's
        INSERT INTO grounds.standing_due
        SELECT array_agg(DISTINCT a.id), FALSE FROM new_rows n
        JOIN grounds.quarantine q ON q.record = TG_TABLE_NAME AND q.platform_id = n.platform_id
        JOIN grounds.account a ON a.platform_id = q.account HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER linked AFTER INSERT ON grounds.account_person REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.belonging_touched();
CREATE TRIGGER linked AFTER INSERT ON grounds.account_contact REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.belonging_touched();
CREATE TRIGGER arrived AFTER INSERT ON grounds.notice REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.belonging_touched();
CREATE TRIGGER changed AFTER UPDATE ON grounds.notice REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.belonging_touched();
CREATE TRIGGER arrived AFTER INSERT ON grounds.consent REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.belonging_touched();
CREATE TRIGGER changed AFTER UPDATE ON grounds.consent REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.belonging_touched();

-- Objections belong to accounts by their targets.
CREATE FUNCTION grounds.accounts_targeted(objections bigint[]) RETURNS SETOF bigint LANGUAGE sql STABLE AS $$
    SELECT a.id FROM grounds.objection_target t JOIN grounds.account a ON a.platform_id = t.value
    WHERE t.objection = ANY (objections) AND t.kind = 'ACCOUNT'
    UNION
    SELECT p.account FROM grounds.objection_target t JOIN grounds.account_person p ON p.person = t.value
    WHERE t.objection = ANY (objections) AND t.kind = 'PERSON'
    UNION
    SELECT c.account FROM grounds.objection_target t JOIN grounds.account_contact c ON c.contact = t.value
    WHERE t.objection = ANY (objections) AND t.kind = 'CONTACT'
$$;
CREATE FUNCTION grounds.objection_touched() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    objections bigint[];
BEGIN
    IF TG_TABLE_NAME = 'objection' THEN
        objections := ARRAY(SELECT n.id FROM new_rows n);
    ELSE
        objections := ARRAY(SELECT DISTINCT n.objection FROM new_rows n);
    END IF;
    INSERT INTO grounds.standing_due
    SELECT array_agg(account), TRUE FROM grounds.accounts_targeted(objections) account HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER targeted AFTER INSERT ON grounds.objection_target REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.objection_touched();
CREATE TRIGGER changed AFTER UPDATE ON grounds.objection REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.objection_touched();

-- Quarantine and holds name accounts by the platform's id.
CREATE FUNCTION grounds.named_account_touched() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_TABLE_NAME = 'quarantine' THEN
        INSERT INTO grounds.standing_due
        SELECT array_agg(DISTINCT a.id), FALSE FROM new_rows n JOIN grounds.account a
        ON a.platform_id = CASE WHEN n.record = 'account' THEN n.platform_id ELSE n.account END HAVING count(*) > 0;
    ELSE
        INSERT INTO grounds.standing_due
        SELECT array_agg(DISTINCT a.id), FALSE FROM new_rows n JOIN grounds.account a
        ON n.scope = 'ACCOUNT' AND a.platform_id = n.value HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER set_aside AFTER INSERT ON grounds.quarantine REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.named_account_touched();
CREATE TRIGGER opened AFTER INSERT ON grounds.hold REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.named_account_touched();
CREATE TRIGGER changed AFTER UPDATE ON grounds.hold REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.named_account_touched();
