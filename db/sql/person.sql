-- Which accounts are one person's: those that any chain of links ever seen connects. Persons of two accounts and more are
-- kept as groups, while links arrive, under the lock of standings: the smaller of two groups that turn out to be one is
-- relabelled, so that n links cost n log n steps whatever their order. A group keeps what all its accounts' standings
-- have in common, and is asked for it by its key.

-- NULL: not derived yet.
CREATE TABLE grounds.person_group (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    accounts int NOT NULL,             -- how many
    minor_until timestamptz,           -- by any birth date; -infinity: none is known
    birth_date_reverted_at timestamptz,
    objected_public_until timestamptz, -- infinity: not withdrawn; -infinity: never objected
    objected_ai_until timestamptz,
    quarantined boolean                -- a bad line of any of the accounts
);

-- An account of a group, with what its own facts say of the person.
CREATE TABLE grounds.person_member (
    account bigint PRIMARY KEY,
    person_group bigint NOT NULL,
    adult_from timestamptz,
    birth_date_reverted_at timestamptz NOT NULL,
    objected_public_until timestamptz NOT NULL,
    objected_ai_until timestamptz NOT NULL,
    quarantined boolean NOT NULL
);

CREATE INDEX person_group_empty ON grounds.person_group (id) WHERE accounts = 0;

-- The latest birth date of a group is an index look-up; of the rest, few accounts say anything.
CREATE INDEX person_member_group ON grounds.person_member (person_group, adult_from);

CREATE INDEX person_member_says ON grounds.person_member (person_group)
    WHERE birth_date_reverted_at > '-infinity' OR objected_public_until > '-infinity' OR objected_ai_until > '-infinity'
        OR quarantined;

-- Person ids and contacts that name no real person, such as an export's "0". One officer declares, another approves; after
-- the dwell a job puts it in effect, and it links nothing from then on.
CREATE TABLE grounds.placeholder (
    kind text NOT NULL CHECK (kind IN ('PERSON', 'CONTACT')),
    value text NOT NULL,
    PRIMARY KEY (kind, value),
    reason text NOT NULL,
    declared_by text NOT NULL,
    declared_at timestamptz NOT NULL,
    approved_by text CHECK (approved_by <> declared_by),
    approved_at timestamptz,
    in_effect_from timestamptz, -- NULL: it still links
    unlinked_to bigint,         -- the last account that no longer is in a group by it; NULL: none is to be looked at
    recorded_at timestamptz NOT NULL DEFAULT grounds.decision_time()
);

-- Here and below, OFFSET 0 keeps a look-up a look-up: one index probe an account, however large the tables are and
-- whatever their statistics say.
CREATE FUNCTION grounds.links_nothing(its_kind text, its_value text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM grounds.placeholders_in_effect() h WHERE h.kind = its_kind AND h.value = its_value OFFSET 0)
$$;

-- The same to look up from a statement that asks for every account: PostgreSQL makes it part of the statement, while a
-- function of a value is called for each, which takes ten times as long.
CREATE FUNCTION grounds.placeholders_in_effect() RETURNS TABLE (kind text, value text) LANGUAGE sql STABLE AS $$
    SELECT h.kind, h.value FROM grounds.placeholder h WHERE h.in_effect_from <= grounds.decision_time()
$$;

-- Every account that links connect with any of these, and these: the definition of one person. It walks each link once,
-- and is for the past and for what is rebuilt; groups answer everything else.
CREATE FUNCTION grounds.linked_accounts(accounts bigint[]) RETURNS SETOF bigint LANGUAGE sql STABLE AS $$
    WITH RECURSIVE linked (account, person) AS (
        SELECT a, NULL::text FROM unnest(accounts) a
        UNION
        SELECT other.account, other.person
        FROM linked l CROSS JOIN LATERAL (
            SELECT NULL::bigint AS account, p.person
            FROM (SELECT person FROM grounds.account_person WHERE account = l.account OFFSET 0) p
            WHERE NOT grounds.links_nothing('PERSON', p.person)
            UNION ALL
            SELECT p.account, NULL FROM (SELECT account FROM grounds.account_person WHERE person = l.person OFFSET 0) p
        ) other
    )
    SELECT l.account FROM linked l WHERE l.account IS NOT NULL
$$;

-- Every account of the same person; an account that is linked with no other is its own only one.
CREATE FUNCTION grounds.accounts_of_person(named bigint) RETURNS SETOF bigint LANGUAGE sql STABLE AS $$
    SELECT named
    UNION
    SELECT o.account
    FROM (SELECT person_group FROM grounds.person_member WHERE account = named OFFSET 0) m
    CROSS JOIN LATERAL (SELECT account FROM grounds.person_member WHERE person_group = m.person_group OFFSET 0) o
$$;

-- The same for officers and auditors, at most 100 of them.
CREATE FUNCTION grounds.same_person(named bigint) RETURNS SETOF bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT a FROM grounds.accounts_of_person(named) a WHERE (SELECT grounds.examining()) ORDER BY a LIMIT 100
$$;

-- Which objections name an account: itself, a person of its, a contact of its, or its id as a user name.
CREATE FUNCTION grounds.objections_naming(named bigint) RETURNS TABLE (objection bigint) LANGUAGE sql STABLE AS $$
    SELECT t.objection
    FROM (SELECT own.kind, own.value FROM (SELECT * FROM grounds.account WHERE id = named OFFSET 0) a
          CROSS JOIN LATERAL (VALUES ('ACCOUNT', a.platform_id), ('CONTACT', a.own_contact)) own (kind, value)
          WHERE own.value IS NOT NULL
          UNION ALL SELECT 'PERSON', person FROM grounds.account_person WHERE account = named
          UNION ALL SELECT 'CONTACT', contact FROM grounds.account_contact WHERE account = named
          OFFSET 0) name
    CROSS JOIN LATERAL (
        SELECT objection FROM grounds.objection_target WHERE kind = name.kind AND value = name.value OFFSET 0) t
    WHERE name.kind = 'ACCOUNT' OR NOT EXISTS (
        SELECT FROM grounds.placeholders_in_effect() h WHERE h.kind = name.kind AND h.value = name.value OFFSET 0)
$$;

-- What the facts of each account say of its person.
CREATE FUNCTION grounds.said_of_person(accounts bigint[]) RETURNS TABLE (
    account bigint, adult_from timestamptz, birth_date_reverted_at timestamptz, objected_public_until timestamptz,
    objected_ai_until timestamptz, quarantined boolean
) LANGUAGE sql STABLE AS $$
    SELECT named, a.adult_from, a.birth_date_reverted_at,
        coalesce(objected.public_until, '-infinity'), coalesce(objected.ai_until, '-infinity'),
        EXISTS (SELECT FROM grounds.quarantine q
                WHERE q.record = 'account' AND q.platform_id = a.platform_id
                    AND q.observed_at >= coalesce(a.observed_at, '-infinity') OFFSET 0)
    FROM unnest(accounts) named
    CROSS JOIN LATERAL (SELECT * FROM grounds.account WHERE id = named OFFSET 0) a
    CROSS JOIN LATERAL (
        SELECT max(coalesce(o.withdrawn_at, 'infinity')) FILTER (WHERE o.scope <> 'AI_INTERACTIONS') AS public_until,
            max(coalesce(o.withdrawn_at, 'infinity')) FILTER (WHERE o.scope <> 'PUBLIC_CONTENT') AS ai_until
        FROM grounds.objections_naming(named) n CROSS JOIN LATERAL (
            SELECT scope, withdrawn_at FROM grounds.objection_in_force WHERE id = n.objection OFFSET 0) o
    ) objected
$$;

-- What is known of the person of each account: of one in a group by the group, of another by itself.
CREATE FUNCTION grounds.known_of_person(accounts bigint[]) RETURNS TABLE (
    account bigint, minor_until timestamptz, birth_date_reverted_at timestamptz, objected_public_until timestamptz,
    objected_ai_until timestamptz, quarantined boolean
) LANGUAGE sql STABLE AS $$
    SELECT m.account, g.minor_until, g.birth_date_reverted_at, g.objected_public_until, g.objected_ai_until,
        g.quarantined
    FROM unnest(accounts) named
    CROSS JOIN LATERAL (SELECT account, person_group FROM grounds.person_member WHERE account = named OFFSET 0) m
    CROSS JOIN LATERAL (SELECT * FROM grounds.person_group WHERE id = m.person_group OFFSET 0) g
    UNION ALL
    SELECT s.account, coalesce(s.adult_from, '-infinity'), s.birth_date_reverted_at, s.objected_public_until,
        s.objected_ai_until, s.quarantined
    FROM (SELECT ARRAY(
            SELECT named FROM unnest(accounts) named
            WHERE NOT EXISTS (SELECT FROM grounds.person_member WHERE account = named OFFSET 0)) AS accounts OFFSET 0) alone
    CROSS JOIN LATERAL grounds.said_of_person(alone.accounts) s -- of a column: else it would be planned at each call
$$;

-- The same, by the links alone: how it was at an earlier time, and how it must be now.
CREATE FUNCTION grounds.known_by_links(accounts bigint[]) RETURNS TABLE (
    account bigint, minor_until timestamptz, birth_date_reverted_at timestamptz, objected_public_until timestamptz,
    objected_ai_until timestamptz, quarantined boolean
) LANGUAGE sql STABLE AS $$
    SELECT named, coalesce(max(s.adult_from), '-infinity'), max(s.birth_date_reverted_at), max(s.objected_public_until),
        max(s.objected_ai_until), bool_or(s.quarantined)
    FROM unnest(accounts) named
    CROSS JOIN LATERAL grounds.said_of_person(ARRAY(SELECT grounds.linked_accounts(ARRAY[named]))) s
    GROUP BY named
$$;

-- Which pairs of accounts new links connect: each account with one that had the person before, or else with the first of
-- the new ones. The first accounts of a person, one more than are new, hold one that is not, if there is any.
CREATE FUNCTION grounds.connected_pairs(linked bigint[], persons text[]) RETURNS TABLE (one bigint, other bigint)
LANGUAGE sql STABLE AS $$
    SELECT newcomer, coalesce(old.account, p.first)
    FROM (
        SELECT l.person, min(l.account) AS first, array_agg(l.account) AS accounts
        FROM unnest(linked, persons) l (account, person) GROUP BY l.person OFFSET 0
    ) p
    LEFT JOIN LATERAL (
        (SELECT k.account FROM grounds.account_person k WHERE k.person = p.person
         ORDER BY k.account LIMIT cardinality(p.accounts) + 1)
        EXCEPT SELECT unnest(p.accounts) LIMIT 1
    ) old ON TRUE
    CROSS JOIN LATERAL unnest(p.accounts) newcomer
    WHERE newcomer <> coalesce(old.account, p.first) AND NOT grounds.links_nothing('PERSON', p.person)
$$;

-- Put accounts that are in no group into the groups of their partners.
CREATE FUNCTION grounds.join_groups(newcomers bigint[], partners bigint[]) RETURNS bigint[] LANGUAGE sql AS $$
    WITH joining AS (
        SELECT DISTINCT ON (p.newcomer) p.newcomer, m.person_group
        FROM unnest(newcomers, partners) p (newcomer, partner)
        JOIN grounds.person_member m ON m.account = p.partner
        WHERE NOT EXISTS (SELECT FROM grounds.person_member WHERE account = p.newcomer OFFSET 0)
        ORDER BY p.newcomer
    ), joined AS (
        INSERT INTO grounds.person_member (account, person_group, adult_from, birth_date_reverted_at,
            objected_public_until, objected_ai_until, quarantined)
        SELECT s.account, j.person_group, s.adult_from, s.birth_date_reverted_at, s.objected_public_until,
            s.objected_ai_until, s.quarantined
        FROM grounds.said_of_person(ARRAY(SELECT newcomer FROM joining)) s JOIN joining j ON j.newcomer = s.account
        RETURNING account, person_group
    ), counted AS (
        UPDATE grounds.person_group g SET accounts = g.accounts + j.accounts
        FROM (SELECT person_group, count(*) AS accounts FROM joined GROUP BY person_group) j WHERE g.id = j.person_group
    )
    SELECT array_agg(account) FROM joined
$$;

-- Make a group for each account that is in none.
CREATE FUNCTION grounds.found_groups(founders bigint[]) RETURNS bigint[] LANGUAGE sql AS $$
    WITH alone AS (
        SELECT f.founder, row_number() OVER () AS place
        FROM (SELECT DISTINCT founder FROM unnest(founders) founder
              WHERE NOT EXISTS (SELECT FROM grounds.person_member WHERE account = founder OFFSET 0)) f
    ), made AS (
        INSERT INTO grounds.person_group (accounts) SELECT 1 FROM alone RETURNING id
    ), numbered AS (
        SELECT id, row_number() OVER () AS place FROM made
    ), joined AS (
        INSERT INTO grounds.person_member (account, person_group, adult_from, birth_date_reverted_at,
            objected_public_until, objected_ai_until, quarantined)
        SELECT s.account, n.id, s.adult_from, s.birth_date_reverted_at, s.objected_public_until, s.objected_ai_until,
            s.quarantined
        FROM grounds.said_of_person(ARRAY(SELECT founder FROM alone)) s
        JOIN alone a ON a.founder = s.account JOIN numbered n ON n.place = a.place
        RETURNING account
    )
    SELECT array_agg(account) FROM joined
$$;

-- Let the larger of the groups of two accounts have the accounts of the smaller, and give those.
CREATE FUNCTION grounds.unite_groups(one bigint, other bigint) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    groups bigint[];
    relabelled bigint[];
BEGIN
    SELECT array_agg(g.id ORDER BY g.accounts, g.id) INTO groups FROM grounds.person_group g
    WHERE g.id IN (SELECT m.person_group FROM grounds.person_member m WHERE m.account IN (one, other));
    IF cardinality(groups) < 2 THEN
        RETURN NULL;
    END IF;
    WITH moved AS (
        UPDATE grounds.person_member m SET person_group = groups[2] WHERE m.person_group = groups[1] RETURNING m.account
    )
    SELECT array_agg(account) INTO relabelled FROM moved;
    UPDATE grounds.person_group g SET accounts = g.accounts + cardinality(relabelled) WHERE g.id = groups[2];
    DELETE FROM grounds.person_group g WHERE g.id = groups[1];
    RETURN relabelled;
END $$;

-- Let groups follow new links; give the accounts that are in another group now, or in one at all. Most links connect
-- no accounts, or a new account with one account or one group. Only two existing groups are united one by one.
CREATE FUNCTION grounds.unite_persons(linked bigint[], persons text[]) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
DECLARE
    ones bigint[];
    others bigint[];
    pair record;
BEGIN
    SELECT array_agg(p.one), array_agg(p.other) INTO ones, others FROM grounds.connected_pairs(linked, persons) p;
    IF ones IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT unnest(grounds.join_groups(ones, others));
    RETURN QUERY SELECT unnest(grounds.found_groups(others));
    RETURN QUERY SELECT unnest(grounds.join_groups(ones, others));
    FOR pair IN
        SELECT p.one, p.other FROM unnest(ones, others) p (one, other)
        CROSS JOIN LATERAL (SELECT person_group FROM grounds.person_member WHERE account = p.one OFFSET 0) m
        CROSS JOIN LATERAL (SELECT person_group FROM grounds.person_member WHERE account = p.other OFFSET 0) o
        WHERE m.person_group <> o.person_group
    LOOP
        RETURN QUERY SELECT unnest(grounds.unite_groups(pair.one, pair.other));
    END LOOP;
END $$;

-- Group accounts anew by the links that count now, with all accounts that those connect; give all of them. What is left
-- of a group keeps what was known of the whole until it is grouped anew itself.
CREATE FUNCTION grounds.regroup_accounts(accounts bigint[]) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    leaving constant bigint[] := ARRAY(SELECT grounds.linked_accounts(accounts));
    links record;
BEGIN
    WITH gone AS (
        DELETE FROM grounds.person_member m WHERE m.account = ANY (leaving) RETURNING m.person_group
    )
    UPDATE grounds.person_group g SET accounts = g.accounts - c.accounts
    FROM (SELECT person_group, count(*) AS accounts FROM gone GROUP BY person_group) c WHERE g.id = c.person_group;
    DELETE FROM grounds.person_group g WHERE g.accounts = 0;
    SELECT array_agg(p.account) AS accounts, array_agg(p.person) AS persons INTO links
    FROM unnest(leaving) named
    CROSS JOIN LATERAL (SELECT account, person FROM grounds.account_person WHERE account = named OFFSET 0) p;
    PERFORM grounds.unite_persons(links.accounts, links.persons);
    RETURN leaving;
END $$;

-- Write what accounts say of their persons. It returns every account of the persons whose facts changed.
CREATE FUNCTION grounds.refresh_persons(accounts bigint[]) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    members constant bigint[] := ARRAY(
        SELECT m.account FROM unnest(accounts) named
        CROSS JOIN LATERAL (SELECT account FROM grounds.person_member WHERE account = named OFFSET 0) m);
    changed bigint[];
BEGIN
    IF cardinality(members) = 0 THEN
        RETURN '{}';
    END IF;
    UPDATE grounds.person_member m
    SET adult_from = s.adult_from, birth_date_reverted_at = s.birth_date_reverted_at,
        objected_public_until = s.objected_public_until, objected_ai_until = s.objected_ai_until,
        quarantined = s.quarantined
    FROM grounds.said_of_person(members) s
    WHERE m.account = s.account
        AND (m.adult_from, m.birth_date_reverted_at, m.objected_public_until, m.objected_ai_until, m.quarantined)
        IS DISTINCT FROM
            (s.adult_from, s.birth_date_reverted_at, s.objected_public_until, s.objected_ai_until, s.quarantined);
    WITH named AS (
        SELECT DISTINCT m.person_group FROM unnest(members) member
        CROSS JOIN LATERAL (SELECT person_group FROM grounds.person_member WHERE account = member OFFSET 0) m
    ), known AS (
        SELECT n.person_group,
            coalesce((SELECT max(m.adult_from) FROM grounds.person_member m WHERE m.person_group = n.person_group),
                '-infinity') AS minor_until,
            coalesce(said.reverted_at, '-infinity') AS reverted_at,
            coalesce(said.public_until, '-infinity') AS public_until, coalesce(said.ai_until, '-infinity') AS ai_until,
            coalesce(said.quarantined, FALSE) AS quarantined
        FROM named n CROSS JOIN LATERAL (
            SELECT max(m.birth_date_reverted_at) AS reverted_at, max(m.objected_public_until) AS public_until,
                max(m.objected_ai_until) AS ai_until, bool_or(m.quarantined) AS quarantined
            FROM grounds.person_member m
            WHERE m.person_group = n.person_group AND (m.birth_date_reverted_at > '-infinity'
                OR m.objected_public_until > '-infinity' OR m.objected_ai_until > '-infinity' OR m.quarantined)) said
    ), written AS (
        UPDATE grounds.person_group g
        SET minor_until = k.minor_until, birth_date_reverted_at = k.reverted_at,
            objected_public_until = k.public_until, objected_ai_until = k.ai_until, quarantined = k.quarantined
        FROM known k
        WHERE g.id = k.person_group
            AND (g.minor_until, g.birth_date_reverted_at, g.objected_public_until, g.objected_ai_until, g.quarantined)
            IS DISTINCT FROM (k.minor_until, k.reverted_at, k.public_until, k.ai_until, k.quarantined)
        RETURNING g.id
    )
    SELECT array_agg(m.account) INTO changed FROM written w
    CROSS JOIN LATERAL (SELECT account FROM grounds.person_member WHERE person_group = w.id OFFSET 0) m;
    RETURN coalesce(changed, '{}');
END $$;
