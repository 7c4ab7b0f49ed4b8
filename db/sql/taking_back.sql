-- Taking back waits: a version of a record that turns a fact from a value that fails to one that passes restarts a dwell,
-- in whatever order the versions come. The newest version is the record's own row; the others lie here, each with what of
-- it can fail.
--
-- Whether a country or a kind fails is judged by the policy that is in force when the later of the two lines is loaded; an
-- item's account, its parent, its family and the accounts that it references are taken for failing whatever they are, since
-- what they say changes with other records.
CREATE TABLE grounds.stated_version (
    record text NOT NULL, -- account, content or notice
    id bigint NOT NULL,
    observed_at timestamptz NOT NULL,
    PRIMARY KEY (record, id, observed_at),
    failing_facts int NOT NULL,      -- a bit for each fact that fails, whatever the policy (db/ingest/stages.py)
    unknown_facts int NOT NULL,
    last_failing_facts int NOT NULL, -- those that failed when they were last known, by this version or one before it
    kind text,
    country text,
    last_country text,               -- when it was last known
    adult_from timestamptz,
    last_adult_from timestamptz,
    compromised tstzmultirange,
    names text[] NOT NULL,           -- of an item: its account, parent and family, and the accounts that it references
    belongs_to text                  -- an item's family; a notice's account
);

-- Families that lost a member, by the platform's id of their medium, and from when they wait: the medium and captions can
-- come later.
CREATE TABLE grounds.family_wait (family text PRIMARY KEY, since timestamptz NOT NULL);

-- Whether a fact of the version before is no longer what it was, by a policy's countries and kinds. A value that is not
-- known, between one that fails and one that passes, waits when it comes and once more when it goes.
CREATE FUNCTION grounds.takes_back(
    before grounds.stated_version, after grounds.stated_version, countries text[], kinds text[]
) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT (before.failing_facts & ~after.failing_facts) <> 0
        OR (before.last_failing_facts & ~(after.failing_facts | after.unknown_facts)) <> 0
        OR NOT before.names <@ after.names
        OR coalesce(NOT before.compromised <@ after.compromised, FALSE)
        OR coalesce(NOT before.kind = ANY (kinds) AND after.kind = ANY (kinds), FALSE)
        OR (coalesce(NOT before.country = ANY (countries), FALSE) AND (after.country = ANY (countries)) IS NOT FALSE)
        OR coalesce(NOT before.last_country = ANY (countries) AND after.country = ANY (countries), FALSE)
$$;

-- The same of a birth date: a minor's, that is. Time that passes takes nothing back.
CREATE FUNCTION grounds.takes_back_birth_date(before grounds.stated_version, after grounds.stated_version)
RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(before.adult_from > grounds.decision_time(), FALSE)
            AND (after.adult_from > grounds.decision_time()) IS NOT TRUE
        OR coalesce(before.last_adult_from > grounds.decision_time()
            AND after.adult_from <= grounds.decision_time(), FALSE)
$$;

-- Which family a kind of item belongs to: the one of its medium.
CREATE FUNCTION grounds.stated_family(kind text, parent text, platform_id text) RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE WHEN kind = 'CAPTION' THEN parent WHEN kind IN ('PHOTO', 'VIDEO', 'AUDIO') THEN platform_id END;

-- What the policy in force covers: countries, kinds of accounts, and kinds of items.
CREATE FUNCTION grounds.policy_coverage(OUT countries text[], OUT account_kinds text[], OUT item_kinds text[])
LANGUAGE sql STABLE AS $$
    SELECT ARRAY(SELECT json_array_elements_text(p.document -> 'regions')),
        ARRAY(SELECT json_array_elements_text(p.document -> 'account_kinds')),
        ARRAY(SELECT json_array_elements_text(g.value -> 'kinds') FROM json_each(p.document -> 'grounds') g)
    FROM grounds.policy p WHERE p.active
$$;

-- The versions beside one that came late, by their instants. The one after it can be the record's own row.
CREATE FUNCTION grounds.version_before(of grounds.stated_version) RETURNS grounds.stated_version LANGUAGE sql STABLE AS $$
    SELECT v FROM grounds.stated_version v
    WHERE v.record = of.record AND v.id = of.id AND v.observed_at < of.observed_at ORDER BY v.observed_at DESC LIMIT 1
$$;

CREATE FUNCTION grounds.version_after(of grounds.stated_version, current grounds.stated_version)
RETURNS grounds.stated_version LANGUAGE sql STABLE AS $$
    SELECT coalesce((
        SELECT v FROM grounds.stated_version v
        WHERE v.record = of.record AND v.id = of.id AND v.observed_at > of.observed_at ORDER BY v.observed_at LIMIT 1
    ), current)
$$;

-- A version with what was last known when it came after another, or after none.
CREATE FUNCTION grounds.carry_last_known(before grounds.stated_version, after grounds.stated_version)
RETURNS grounds.stated_version LANGUAGE sql IMMUTABLE AS $$
    SELECT ROW(after.record, after.id, after.observed_at, after.failing_facts, after.unknown_facts,
        after.failing_facts | (after.unknown_facts & coalesce(before.last_failing_facts, 0)), after.kind, after.country,
        coalesce(after.country, before.last_country), after.adult_from, coalesce(after.adult_from, before.last_adult_from),
        after.compromised, after.names, after.belongs_to)::grounds.stated_version
$$;

-- The newest version but for the record's own row.
CREATE FUNCTION grounds.last_stated_version(its_record text, its_id bigint) RETURNS grounds.stated_version
LANGUAGE sql STABLE AS $$
    SELECT v FROM grounds.stated_version v
    WHERE v.record = its_record AND v.id = its_id ORDER BY v.observed_at DESC LIMIT 1
$$;

-- The accounts for which a line of a notice takes back that it bounced. An account waits for a version that did not bounce, if
-- the notice bounced in the version before it. Between the two, what the notice says of other accounts does not count: an
-- account waits whichever account had the notice meanwhile.
CREATE FUNCTION grounds.bounces_taken_back(current grounds.stated_version, stated grounds.stated_version)
RETURNS text[] LANGUAGE sql STABLE AS $$
    WITH version AS MATERIALIZED (
        SELECT v.observed_at, v.failing_facts <> 0 AS bounced, v.belongs_to AS account
        FROM grounds.stated_version v WHERE v.record = 'notice' AND v.id = current.id
        UNION SELECT current.observed_at, current.failing_facts <> 0, current.belongs_to
        UNION SELECT stated.observed_at, stated.failing_facts <> 0, stated.belongs_to
    )
    SELECT array_agg(after.account) FROM version after CROSS JOIN LATERAL (
        SELECT v.* FROM version v
        WHERE v.observed_at < after.observed_at AND (v.bounced OR v.account = after.account)
        ORDER BY v.observed_at DESC LIMIT 1
    ) before
    WHERE before.bounced AND NOT after.bounced AND stated.observed_at IN (before.observed_at, after.observed_at)
$$;
