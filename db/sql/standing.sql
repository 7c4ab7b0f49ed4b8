-- The standing of an account: everything that the conditions ask of an author, one row, one join.
-- Derived from the facts in the transaction that changes them; nothing has to be refreshed when time passes.

CREATE TABLE grounds.account_standing (
    account bigint PRIMARY KEY,
    is_known boolean,
    product text,
    kind text,
    country text,
    status text,
    status_since timestamptz,
    compromised tstzmultirange,
    adult_from timestamptz,                              -- by its own birth date
    minor_until timestamptz NOT NULL,                    -- by any birth date of the same person
    notice_epoch text,                                   -- of the earliest delivery of any campaign; NULL: none
    notice_delivered_at timestamptz,
    notice_effective_from timestamptz,                   -- the end of the period after it
    later_epochs text[],                                 -- of the other campaigns; NULL: the account is not known
    later_deliveries timestamptz[],                      -- when each was delivered: ascending
    later_ends timestamptz[],                            -- when the period after each ends: ascending
    objected_public_until timestamptz NOT NULL,          -- infinity: not withdrawn; -infinity: never objected
    objected_ai_until timestamptz NOT NULL,
    opted_in_since timestamptz,                          -- infinity: never
    held_until timestamptz NOT NULL,
    reverted_at timestamptz NOT NULL,
    quarantined boolean NOT NULL,
    reserved boolean NOT NULL,                           -- every item, by a signal of the account
    person_quarantined boolean NOT NULL,                 -- a bad line of any account of the same person
    birth_date_reverted_at timestamptz NOT NULL,         -- of any account of the same person
    status_month date GENERATED ALWAYS AS (date_trunc('month', status_since AT TIME ZONE 'UTC')::date) STORED,
    notice_week date GENERATED ALWAYS AS (
        date_trunc('week', notice_delivered_at AT TIME ZONE 'UTC')::date) STORED,
    notice_end_week date GENERATED ALWAYS AS (
        date_trunc('week', notice_effective_from AT TIME ZONE 'UTC')::date) STORED,
    opted_in_month date GENERATED ALWAYS AS (
        CASE WHEN isfinite(opted_in_since)
             THEN date_trunc('month', opted_in_since AT TIME ZONE 'UTC')::date END) STORED
) WITH (fillfactor = 80);

-- Which objections the claimed data subject may read and withdraw: those that its account filed, and those that name it
-- now. Links, contacts and earlier names make an objection count for an account, and never permit an item.
CREATE FUNCTION grounds.own_objections() RETURNS SETOF bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT o.id FROM grounds.objection o WHERE o.named_account = grounds.claim('subject')
$$;

-- Which objections count for an account; a data subject learns only of its own.
CREATE FUNCTION grounds.objections_affecting(reached bigint) RETURNS TABLE (objection bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT DISTINCT n.objection
    FROM grounds.accounts_of_person(reached) account CROSS JOIN LATERAL grounds.objections_naming(account) n
    WHERE session_user <> 'grounds_subject'
    UNION ALL
    SELECT own FROM grounds.own_objections() own
    WHERE session_user = 'grounds_subject' AND reached = grounds.claimed_account()
$$;

-- An objection as it counts: after a bad line for everything and not withdrawn. (The alias has the table's own name:
-- PostgreSQL 15 writes it before each column when db/past_views.py reads this.)
CREATE VIEW grounds.objection_in_force WITH (security_invoker = TRUE, security_barrier = TRUE) AS
SELECT id, platform_id, channel,
    CASE WHEN quarantined_at >= observed_at THEN least(received_at, quarantined_received_at) ELSE received_at END
        AS received_at,
    CASE WHEN quarantined_at >= observed_at THEN 'ALL' ELSE scope END AS scope,
    CASE WHEN quarantined_at < observed_at THEN withdrawn_at END AS withdrawn_at
FROM grounds.objection AS objection;

-- Whether a bad line of a record stands that no good, later one has replaced.
CREATE FUNCTION grounds.is_set_aside(its_record text, its_id text, as_of timestamptz) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM grounds.quarantine q
                   WHERE q.record = its_record AND q.platform_id = its_id AND q.observed_at >= as_of OFFSET 0)
$$;

-- The campaigns from an epoch on that reached an account, each by its earliest delivery that did not bounce, in the order
-- of these, and the ends of the periods after them.
CREATE FUNCTION grounds.notices_of(of_account bigint, first_epoch text, period_days int)
RETURNS TABLE (epochs text[], deliveries timestamptz[], ends timestamptz[]) LANGUAGE sql STABLE AS $$
    SELECT array_agg(d.epoch ORDER BY d.delivered_at, d.epoch), array_agg(d.delivered_at ORDER BY d.delivered_at, d.epoch),
        array_agg(grounds.notice_period_end(d.delivered_at, period_days) ORDER BY d.delivered_at, d.epoch)
    FROM (
        SELECT n.epoch, min(n.delivered_at) AS delivered_at FROM grounds.notice n
        WHERE n.account = of_account AND n.bounced_at IS NULL AND n.delivered_at IS NOT NULL AND n.epoch >= first_epoch
            AND NOT grounds.is_set_aside('notice', n.platform_id, n.observed_at)
        GROUP BY n.epoch) d
$$;

-- The one derivation of a standing, for every writer.
CREATE FUNCTION grounds.standing_of(accounts bigint[]) RETURNS TABLE (
    account bigint, is_known boolean, product text, kind text, country text, status text, status_since timestamptz,
    compromised tstzmultirange, adult_from timestamptz, minor_until timestamptz, notice_epoch text,
    notice_delivered_at timestamptz, notice_effective_from timestamptz, later_epochs text[],
    later_deliveries timestamptz[], later_ends timestamptz[], objected_public_until timestamptz, objected_ai_until timestamptz,
    opted_in_since timestamptz, held_until timestamptz, reverted_at timestamptz, quarantined boolean,
    reserved boolean, person_quarantined boolean, birth_date_reverted_at timestamptz
) LANGUAGE sql STABLE AS $$
    WITH parameters AS MATERIALIZED (
        SELECT document #>> '{notice,epoch}' AS epoch, (document #>> '{notice,period_days}')::int AS period_days
        FROM grounds.policy WHERE active
    )
    SELECT a.id, a.is_known, a.product, a.kind, a.country, a.status, a.status_since, a.compromised, a.adult_from,
        k.minor_until,
        CASE WHEN a.is_known THEN noticed.epochs[1] END,
        CASE WHEN a.is_known THEN noticed.deliveries[1] END,
        CASE WHEN a.is_known THEN noticed.ends[1] END,
        CASE WHEN a.is_known THEN coalesce(noticed.epochs[2:], '{}') END,
        CASE WHEN a.is_known THEN coalesce(noticed.deliveries[2:], '{}') END,
        CASE WHEN a.is_known THEN coalesce(noticed.ends[2:], '{}') END,
        k.objected_public_until,
        k.objected_ai_until,
        CASE WHEN a.is_known THEN coalesce((
            SELECT min(c.given_at) FROM grounds.consent c
            WHERE c.account = a.id AND c.withdrawn_at IS NULL
                AND NOT grounds.is_set_aside('consent', c.platform_id, c.observed_at) AND NOT EXISTS (
                SELECT FROM grounds.consent w WHERE w.account = a.id AND w.withdrawn_at >= c.given_at)), 'infinity') END,
        coalesce((SELECT max(coalesce(h.lifted_at, 'infinity')) FROM grounds.hold h
                  WHERE h.scope = 'ACCOUNT' AND h.value = a.platform_id), '-infinity'),
        CASE WHEN a.is_known THEN greatest(a.reverted_at, k.birth_date_reverted_at) ELSE '-infinity' END,
        grounds.is_set_aside('account', a.platform_id, a.observed_at),
        coalesce(a.reserved, FALSE),
        k.quarantined,
        k.birth_date_reverted_at
    FROM grounds.known_of_person(accounts) k LEFT JOIN parameters p ON TRUE
    CROSS JOIN LATERAL (SELECT * FROM grounds.account WHERE id = k.account OFFSET 0) a
    CROSS JOIN LATERAL (
        SELECT * FROM grounds.notices_of(k.account, p.epoch, p.period_days)) noticed
$$;

CREATE FUNCTION grounds.refresh_standing(accounts bigint[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO grounds.account_standing AS s (
        account, is_known, product, kind, country, status, status_since, compromised, adult_from, minor_until,
        notice_epoch, notice_delivered_at, notice_effective_from, later_epochs, later_deliveries, later_ends, objected_public_until, objected_ai_until, opted_in_since,
        held_until, reverted_at, quarantined, reserved, person_quarantined, birth_date_reverted_at)
    SELECT * FROM grounds.standing_of(accounts)
    ON CONFLICT (account) DO UPDATE SET (
        is_known, product, kind, country, status, status_since, compromised, adult_from, minor_until,
        notice_epoch, notice_delivered_at, notice_effective_from, later_epochs, later_deliveries, later_ends, objected_public_until, objected_ai_until, opted_in_since,
        held_until, reverted_at, quarantined, reserved, person_quarantined, birth_date_reverted_at) = (
        excluded.is_known, excluded.product, excluded.kind, excluded.country, excluded.status, excluded.status_since,
        excluded.compromised, excluded.adult_from, excluded.minor_until, excluded.notice_epoch,
        excluded.notice_delivered_at, excluded.notice_effective_from, excluded.later_epochs,
        excluded.later_deliveries, excluded.later_ends, excluded.objected_public_until, excluded.objected_ai_until,
        excluded.opted_in_since, excluded.held_until, excluded.reverted_at, excluded.quarantined, excluded.reserved,
        excluded.person_quarantined, excluded.birth_date_reverted_at)
$$;

-- The same for accounts whose own facts are as they were: only what is known of their persons may be other, and most of a
-- derivation is spared. An account without a standing gets it from the change that brought it. Each standing is looked up:
-- hashed, all of them would be read for one. One column that a generated column reads is set to what it is: where an update
-- sets none, PostgreSQL 18 parses the expressions of all of them again for each row, which took two thirds of its time.
CREATE FUNCTION grounds.refresh_standing_by_person(accounts bigint[]) RETURNS void LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    UPDATE grounds.account_standing s
    SET minor_until = k.minor_until, objected_public_until = k.objected_public_until,
        objected_ai_until = k.objected_ai_until, person_quarantined = k.quarantined, opted_in_since = s.opted_in_since,
        birth_date_reverted_at = k.birth_date_reverted_at, reverted_at = CASE WHEN s.is_known
            THEN greatest((SELECT a.reverted_at FROM grounds.account a WHERE a.id = k.account), k.birth_date_reverted_at)
            ELSE '-infinity' END
    FROM grounds.known_of_person(accounts) k
    WHERE s.account = k.account
        AND (s.minor_until, s.objected_public_until, s.objected_ai_until, s.person_quarantined, s.birth_date_reverted_at)
        IS DISTINCT FROM
            (k.minor_until, k.objected_public_until, k.objected_ai_until, k.quarantined, k.birth_date_reverted_at);
END $$;

-- Let accounts have objected that a new objection names, and the persons of those in groups; give all accounts of the persons
-- that had not. While the objection stands, it says more than all that is known besides, so nothing is looked up.
-- NULL: it does not stand, or names them by what links nothing now, and they are to be derived.
CREATE FUNCTION grounds.raise_objected(accounts bigint[], new_objection bigint) RETURNS bigint[] LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    public_until timestamptz;
    ai_until timestamptz;
    by_person bigint[];
BEGIN
    SELECT CASE o.scope WHEN 'AI_INTERACTIONS' THEN '-infinity' ELSE 'infinity' END,
        CASE o.scope WHEN 'PUBLIC_CONTENT' THEN '-infinity' ELSE 'infinity' END INTO public_until, ai_until
    FROM grounds.objection_in_force o
    WHERE o.id = new_objection AND o.withdrawn_at IS NULL AND NOT EXISTS (
        SELECT FROM grounds.objection_target t WHERE t.objection = o.id AND grounds.links_nothing(t.kind, t.value));
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    WITH said AS (
        UPDATE grounds.person_member m SET objected_public_until = greatest(m.objected_public_until, public_until),
            objected_ai_until = greatest(m.objected_ai_until, ai_until)
        FROM unnest(accounts) named
        WHERE m.account = named AND (m.objected_public_until < public_until OR m.objected_ai_until < ai_until)
        RETURNING m.person_group
    ), raised AS (
        UPDATE grounds.person_group g SET objected_public_until = greatest(g.objected_public_until, public_until),
            objected_ai_until = greatest(g.objected_ai_until, ai_until)
        FROM (SELECT DISTINCT person_group FROM said) s
        WHERE g.id = s.person_group AND (g.objected_public_until < public_until OR g.objected_ai_until < ai_until)
        RETURNING g.id
    )
    SELECT array_agg(m.account) INTO by_person FROM raised r
    CROSS JOIN LATERAL (SELECT account FROM grounds.person_member WHERE person_group = r.id OFFSET 0) m;
    UPDATE grounds.account_standing s SET opted_in_since = s.opted_in_since, -- as above
        objected_public_until = greatest(s.objected_public_until, public_until),
        objected_ai_until = greatest(s.objected_ai_until, ai_until)
    FROM unnest(accounts) named
    WHERE s.account = named AND (s.objected_public_until < public_until OR s.objected_ai_until < ai_until);
    PERFORM grounds.refresh_contacts_of(accounts, new_objection);
    RETURN coalesce(by_person, '{}');
END $$;
