-- Standings follow facts: what changed is queued by triggers, and applied at commit.

-- What changed, left here by the statement that changed it. The accounts that it touches are looked up at commit, after the lock and in a
-- fresh snapshot: an account, a link or a contact that another transaction brings in at this moment would be missed
-- before it. So a change of an unknown account is left here too, and takes the lock.
CREATE TABLE grounds.standing_queue (
    change text NOT NULL CHECK (change IN ('ACCOUNT', 'PERSON', 'LINK', 'OBJECTION', 'TARGET', 'ACCOUNT_NAME', 'NOTICE', 'CONSENT', 'CONTACT')),
    ids bigint[], -- of accounts (PERSON: what they say of their person may be other) or of objections (TARGET: they got targets)
    names text[]  -- the platform's ids of accounts, notices or consents; of LINK the persons, one for each account;
                  -- or contacts
);

-- Accounts whose standings are to be derived by a job: a change that touches very many would hold the lock, inside its
-- commit, for as long as they are many. While there are any, no decision is valid (grounds.decisions_pending).
CREATE TABLE grounds.standing_backlog (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    accounts bigint[] NOT NULL,
    of_person boolean NOT NULL, -- what they say of their person may be other
    own_facts boolean NOT NULL, -- their own facts may be other; FALSE: only what is known of their persons
    objection bigint            -- nothing but this objection is new, which names them; NULL: something else is
);

-- Whether standings or rules are behind what was acknowledged: then nothing is delivered, retracted or told apart.
CREATE FUNCTION grounds.decisions_pending() RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    SELECT grounds.policy_superseded() OR EXISTS (SELECT FROM grounds.standing_backlog)
$$;

-- For statements whose result cannot be taken back. While decisions are pending, no item is permitted, so that a statement
-- which reads decisions must ask this itself: what an earlier statement asked can have changed, for each has its own snapshot.
CREATE FUNCTION grounds.require_decisions() RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF grounds.decisions_pending() THEN
        RAISE EXCEPTION 'decisions are pending' USING ERRCODE = 'GD001';
    END IF;
    RETURN TRUE;
END $$;

-- The targets of changed objections. One at which another objection to everything stands, that did not change, is left
-- out: whatever the changed one says, each of its accounts is objected for already. So an objection by a contact of very
-- many accounts that is sent again and again pauses no deliveries.
CREATE FUNCTION grounds.targets_touched(objections bigint[]) RETURNS TABLE (kind text, value text)
LANGUAGE sql STABLE AS $$
    SELECT t.kind, t.value FROM grounds.objection_target t
    WHERE t.objection = ANY (objections) AND (t.kind = 'ACCOUNT' OR NOT grounds.links_nothing(t.kind, t.value))
        AND NOT EXISTS (
            SELECT FROM grounds.objection_target e
            CROSS JOIN LATERAL (SELECT * FROM grounds.objection_in_force WHERE id = e.objection OFFSET 0) o
            WHERE e.kind = t.kind AND e.value = t.value AND e.objection <> ALL (objections)
                AND o.scope = 'ALL' AND o.withdrawn_at IS NULL OFFSET 0)
$$;

-- Objections belong to accounts by their targets.
CREATE FUNCTION grounds.accounts_targeted(objections bigint[]) RETURNS SETOF bigint LANGUAGE sql STABLE AS $$
    WITH target AS MATERIALIZED (SELECT DISTINCT t.kind, t.value FROM grounds.targets_touched(objections) t)
    SELECT a.id FROM target t JOIN grounds.account a ON a.platform_id = t.value WHERE t.kind = 'ACCOUNT'
    UNION
    SELECT p.account FROM target t JOIN grounds.account_person p ON p.person = t.value WHERE t.kind = 'PERSON'
    UNION
    SELECT c.account FROM target t JOIN grounds.account_contact c ON c.contact = t.value WHERE t.kind = 'CONTACT'
    UNION
    SELECT a.id FROM target t JOIN grounds.account a ON a.own_contact = t.value WHERE t.kind = 'CONTACT'
$$;

-- The accounts that changes touch, as the caller's snapshot has them; a change of one bad notice or consent touches the
-- account that its bad line named as well.
CREATE FUNCTION grounds.accounts_touched(changes grounds.standing_queue[]) RETURNS TABLE (account bigint, of_person boolean)
LANGUAGE sql STABLE AS $$
    SELECT id, c.change <> 'ACCOUNT' FROM unnest(changes) c CROSS JOIN LATERAL unnest(c.ids) id
    WHERE c.change IN ('ACCOUNT', 'PERSON', 'LINK')
    UNION
    SELECT targeted, TRUE FROM grounds.accounts_targeted(ARRAY(
        SELECT id FROM unnest(changes) c CROSS JOIN LATERAL unnest(c.ids) id WHERE c.change IN ('OBJECTION', 'TARGET'))) targeted
    UNION
    SELECT a.id, TRUE FROM unnest(changes) c CROSS JOIN LATERAL unnest(c.names) name
    JOIN grounds.account a ON a.platform_id = name WHERE c.change = 'ACCOUNT_NAME'
    UNION
    SELECT a.id, FALSE FROM unnest(changes) c CROSS JOIN LATERAL unnest(c.names) name
    JOIN grounds.quarantine q ON q.record = lower(c.change) AND q.platform_id = name
    JOIN grounds.account a ON a.platform_id = q.account WHERE c.change IN ('NOTICE', 'CONSENT')
$$;

-- Derive standings, of so many accounts at once: of those that may say something else of their person, of all accounts of
-- the persons whose facts changed, and of others. The rest goes to the backlog. Where no account's own facts changed, but an
-- objection that reaches it, that is enough to look at; for the other accounts of a person it always is. Where only one
-- objection is new, its accounts need no look at anything else.
CREATE FUNCTION grounds.derive_standings(
    of_persons bigint[], others bigint[], at_once int, own_facts boolean DEFAULT TRUE, objection bigint DEFAULT NULL
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    named constant bigint[] := of_persons;
    changed bigint[] := '{}';
    by_person bigint[];
BEGIN
    PERFORM grounds.leave_standings(named[at_once + 1 :], TRUE, own_facts, objection);
    of_persons := named[:at_once];
    by_person := grounds.raise_objected(of_persons, objection);
    IF by_person IS NOT NULL THEN
        by_person := ARRAY(SELECT unnest(by_person) EXCEPT SELECT unnest(named) ORDER BY 1);
    ELSE
        by_person := grounds.refresh_persons(of_persons);
        IF own_facts THEN
            changed := ARRAY(SELECT unnest(others) UNION SELECT unnest(of_persons) ORDER BY 1);
            by_person := ARRAY(SELECT unnest(by_person) EXCEPT SELECT unnest(changed) ORDER BY 1);
        ELSE
            by_person := ARRAY(
                SELECT unnest(others) UNION SELECT unnest(of_persons) UNION SELECT unnest(by_person) ORDER BY 1);
        END IF;
    END IF;
    PERFORM grounds.leave_standings(changed[at_once + 1 :], FALSE, TRUE);
    PERFORM grounds.leave_standings(by_person[at_once + 1 :], FALSE, FALSE);
    PERFORM grounds.refresh_standing(changed[:at_once]) WHERE changed <> '{}';
    PERFORM grounds.refresh_standing_by_person(by_person[:at_once]) WHERE by_person <> '{}';
    PERFORM grounds.refresh_contacts_of(changed[:at_once] || by_person[:at_once]);
END $$;

-- Leave accounts to the backlog, as many at a time as take some 6 ms: for so long others wait for the lock.
CREATE FUNCTION grounds.leave_standings(
    accounts bigint[], of_person boolean, own_facts boolean, objection bigint DEFAULT NULL
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO grounds.standing_backlog (accounts, of_person, own_facts, objection)
    SELECT array_agg(a.account ORDER BY a.place), of_person, own_facts, objection
    FROM unnest(accounts) WITH ORDINALITY a (account, place)
    GROUP BY (a.place - 1) / CASE WHEN own_facts THEN 100 ELSE 250 END ORDER BY min(a.place)
$$;

-- Refreshes are serialised: each reads what all earlier ones committed, so no two facts can miss each other (an
-- objection to a person and a new account of that person, say). READ COMMITTED is what makes each statement after the
-- lock see them. An ingest holds the lock for the time of a chunk's standings, and a person who objects waits for that; an
-- objection that reaches very many accounts leaves most of them to the backlog, so that no other transaction waits for it.
CREATE FUNCTION grounds.apply_standing_refresh() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_hashjoin = on SET enable_seqscan = off SET lock_timeout = '4s' AS $$
DECLARE
    changes grounds.standing_queue[];
    links record;
    moved bigint[];
    touched record;
    own_facts boolean;
    objection bigint; -- the one that got targets, if nothing else changed
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'facts change in READ COMMITTED only' USING ERRCODE = 'invalid_transaction_state';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('grounds.standing', 0));
    WITH gone AS (DELETE FROM grounds.standing_queue RETURNING change, ids, names)
    SELECT array_agg(ROW(change, ids, names)::grounds.standing_queue) INTO changes FROM gone;
    IF changes IS NULL THEN
        RETURN NULL; -- an earlier entry of this transaction was applied with all others
    END IF;
    SELECT array_agg(l.account) AS accounts, array_agg(l.person) AS persons INTO links
    FROM unnest(changes) c CROSS JOIN LATERAL unnest(c.ids, c.names) l (account, person) WHERE c.change = 'LINK';
    moved := ARRAY(SELECT grounds.unite_persons(links.accounts, links.persons));
    SELECT array_agg(account) FILTER (WHERE of_person) AS of_persons,
        array_agg(account) FILTER (WHERE NOT of_person) AS others INTO touched
    FROM (SELECT account, bool_or(of_person) AS of_person FROM (
            SELECT * FROM grounds.accounts_touched(changes) UNION ALL SELECT m, TRUE FROM unnest(moved) m) t
          GROUP BY account) t;
    own_facts := EXISTS (SELECT FROM unnest(changes) c WHERE c.change NOT IN ('OBJECTION', 'TARGET'));
    SELECT min(target) INTO objection FROM unnest(changes) c LEFT JOIN LATERAL unnest(c.ids) target ON TRUE
    HAVING bool_and(c.change = 'TARGET') AND count(DISTINCT target) = 1;
    PERFORM grounds.derive_standings(coalesce(touched.of_persons, '{}'), coalesce(touched.others, '{}'),
        CASE WHEN own_facts THEN 20000 ELSE 1000 END, own_facts, objection);
    PERFORM grounds.refresh_contacts(ARRAY( -- of which no account need be known
        SELECT unnest(c.names) FROM unnest(changes) c WHERE c.change = 'CONTACT'
        UNION SELECT t.value FROM unnest(changes) c CROSS JOIN LATERAL unnest(c.ids) objected
        JOIN grounds.objection_target t ON t.objection = objected AND t.kind = 'CONTACT' WHERE c.change IN ('OBJECTION', 'TARGET')));
    RETURN NULL;
END $$;

-- Derive the oldest part of the backlog; return 1, or 0 if there is none. The commit does not wait for the disk: after a crash,
-- a lost part is in the backlog again, and a later commit that waits for the disk writes this part first.
CREATE FUNCTION grounds.derive_backlog() RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_hashjoin = on SET enable_seqscan = off AS $$
DECLARE
    part grounds.standing_backlog;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', TRUE);
    PERFORM pg_advisory_xact_lock(hashtextextended('grounds.standing', 0));
    DELETE FROM grounds.standing_backlog b
    WHERE b.id = (SELECT o.id FROM grounds.standing_backlog o ORDER BY o.id LIMIT 1) RETURNING * INTO part;
    IF NOT FOUND THEN
        RETURN 0;
    ELSIF part.of_person THEN
        PERFORM grounds.derive_standings(part.accounts, '{}', 1000, part.own_facts, part.objection);
    ELSE
        PERFORM grounds.derive_standings('{}', part.accounts, 1000, part.own_facts);
    END IF;
    RETURN 1;
END $$;

CREATE CONSTRAINT TRIGGER queued AFTER INSERT ON grounds.standing_queue DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION grounds.apply_standing_refresh();

-- An account's birth date, its contacts and its links say something of its person; notices and consents are its own.
CREATE FUNCTION grounds.account_touched() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO grounds.standing_queue (change, ids)
    SELECT 'PERSON', array_agg(n.id) FROM new_rows n HAVING count(*) > 0;
    RETURN NULL;
END $$;

CREATE FUNCTION grounds.link_touched() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO grounds.standing_queue (change, ids, names)
    SELECT 'LINK', array_agg(n.account), array_agg(n.person) FROM new_rows n HAVING count(*) > 0;
    RETURN NULL;
END $$;

CREATE FUNCTION grounds.contact_touched() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO grounds.standing_queue (change, ids)
    SELECT 'PERSON', array_agg(DISTINCT n.account) FROM new_rows n HAVING count(*) > 0;
    RETURN NULL;
END $$;

CREATE FUNCTION grounds.belonging_touched() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO grounds.standing_queue (change, ids)
    SELECT 'ACCOUNT', array_agg(DISTINCT n.account) FROM new_rows n HAVING count(*) > 0;
    INSERT INTO grounds.standing_queue (change, names)
    SELECT upper(TG_TABLE_NAME), array_agg(n.platform_id) FROM new_rows n HAVING count(*) > 0;
    IF TG_OP = 'UPDATE' THEN
        INSERT INTO grounds.standing_queue (change, ids)
        SELECT 'ACCOUNT', array_agg(DISTINCT o.account) FROM old_rows o HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION grounds.objection_touched() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO grounds.standing_queue (change, ids)
    SELECT 'OBJECTION', array_agg(n.id) FROM new_rows n HAVING count(*) > 0;
    RETURN NULL;
END $$;

CREATE FUNCTION grounds.target_touched() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO grounds.standing_queue (change, ids)
    SELECT 'TARGET', array_agg(DISTINCT n.objection) FROM new_rows n HAVING count(*) > 0;
    RETURN NULL;
END $$;

CREATE FUNCTION grounds.quarantine_touched() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO grounds.standing_queue (change, names)
    SELECT 'ACCOUNT_NAME', array_agg(CASE WHEN n.record = 'account' THEN n.platform_id ELSE n.account END)
    FROM new_rows n WHERE n.record IN ('account', 'notice', 'consent') HAVING count(*) > 0;
    RETURN NULL;
END $$;

CREATE FUNCTION grounds.hold_touched() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO grounds.standing_queue (change, names)
    SELECT 'ACCOUNT_NAME', array_agg(n.value) FROM new_rows n WHERE n.scope = 'ACCOUNT' HAVING count(*) > 0;
    RETURN NULL;
END $$;

CREATE TRIGGER arrived AFTER INSERT ON grounds.account REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.account_touched();

CREATE TRIGGER changed AFTER UPDATE ON grounds.account REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.account_touched();

CREATE TRIGGER linked AFTER INSERT ON grounds.account_person REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.link_touched();

CREATE TRIGGER linked AFTER INSERT ON grounds.account_contact REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.contact_touched();

CREATE TRIGGER arrived AFTER INSERT ON grounds.notice REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.belonging_touched();

CREATE TRIGGER changed AFTER UPDATE ON grounds.notice REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.belonging_touched();

CREATE TRIGGER arrived AFTER INSERT ON grounds.consent REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.belonging_touched();

CREATE TRIGGER changed AFTER UPDATE ON grounds.consent REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.belonging_touched();

CREATE TRIGGER targeted AFTER INSERT ON grounds.objection_target REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.target_touched();

CREATE TRIGGER changed AFTER UPDATE ON grounds.objection REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.objection_touched();

CREATE TRIGGER set_aside AFTER INSERT ON grounds.quarantine REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.quarantine_touched();

CREATE TRIGGER opened AFTER INSERT ON grounds.hold REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.hold_touched();

CREATE TRIGGER changed AFTER UPDATE ON grounds.hold REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.hold_touched();
