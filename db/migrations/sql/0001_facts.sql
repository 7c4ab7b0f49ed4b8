-- The facts as the platform states them: the current state of each id, and what once seen counts for ever.
-- Every row is addressed by a number of ours; the platform's own id stands beside it.

-- The instant of every decision. A function, so that a test can put a world's clock where it wants it.
CREATE FUNCTION grounds.decision_time() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
RETURN now();

-- The 18th birthday by the noon rule: a day has begun everywhere on earth at 12:00 UTC.
-- 29 February becomes 1 March; of a partial date the latest day counts.
CREATE FUNCTION grounds.adult_from(born_on text) RETURNS timestamptz LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE length(born_on)
    WHEN 4 THEN make_timestamp(born_on::int + 18, 12, 31, 12, 0, 0) AT TIME ZONE 'UTC'
    WHEN 7 THEN (make_timestamp(left(born_on, 4)::int + 18, right(born_on, 2)::int, 1, 12, 0, 0)
        + (make_date(left(born_on, 4)::int, right(born_on, 2)::int, 1) + interval '1 month'
           - make_date(left(born_on, 4)::int, right(born_on, 2)::int, 1)) - interval '1 day') AT TIME ZONE 'UTC'
    WHEN 10 THEN (make_timestamp(left(born_on, 4)::int + 18, substr(born_on, 6, 2)::int, 1, 12, 0, 0)
        + make_interval(days => right(born_on, 2)::int - 1)) AT TIME ZONE 'UTC'
END;

-- The end of the notice period: the day of delivery, at UTC+14, is not counted; a last day on a Saturday or Sunday
-- moves to Monday; a day has ended everywhere on earth at 12:00 UTC of the next.
CREATE FUNCTION grounds.notice_period_end(delivered_at timestamptz, period_days int) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT ((day + CASE extract(isodow FROM day)::int WHEN 6 THEN 2 WHEN 7 THEN 1 ELSE 0 END + 1)::timestamp
            + interval '12 hours') AT TIME ZONE 'UTC'
    FROM (SELECT ((delivered_at AT TIME ZONE 'UTC') + interval '14 hours')::date + period_days AS day) last_day
$$;

CREATE TABLE grounds.account (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    platform_id text NOT NULL UNIQUE,
    known boolean CHECK (known), -- NULL while other records name it and its own has not come
    person text,
    product text,
    kind text,
    born_on text,
    adult_from timestamptz GENERATED ALWAYS AS (grounds.adult_from(born_on)) STORED,
    country text,
    status text,
    status_since timestamptz,
    compromised tstzmultirange,
    observed_at timestamptz,
    digest bytea,
    taken_back_at timestamptz NOT NULL DEFAULT '-infinity',
    birth_date_taken_back_at timestamptz NOT NULL DEFAULT '-infinity'
);

-- Links once seen count for ever: unlinking keeps them.
CREATE TABLE grounds.account_person (
    account bigint NOT NULL,
    person text NOT NULL,
    PRIMARY KEY (account, person)
);
CREATE INDEX account_person_person ON grounds.account_person (person, account);

CREATE TABLE grounds.account_contact (
    account bigint NOT NULL,
    contact text NOT NULL,
    PRIMARY KEY (account, contact)
);
CREATE INDEX account_contact_contact ON grounds.account_contact (contact, account);

CREATE TABLE grounds.notice (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    platform_id text NOT NULL UNIQUE,
    account bigint NOT NULL,
    channel text NOT NULL,
    epoch text NOT NULL,
    sent_at timestamptz,
    delivered_at timestamptz,
    bounced_at timestamptz,
    observed_at timestamptz NOT NULL,
    digest bytea NOT NULL
);
CREATE INDEX notice_account ON grounds.notice (account);

CREATE TABLE grounds.objection (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    platform_id text NOT NULL UNIQUE,
    scope text NOT NULL CHECK (scope IN ('ALL', 'PUBLIC_CONTENT', 'AI_INTERACTIONS')),
    received_at timestamptz NOT NULL,
    channel text,
    withdrawn_at timestamptz,
    observed_at timestamptz NOT NULL,
    digest bytea,
    quarantined_at timestamptz NOT NULL DEFAULT '-infinity' -- a bad line of that instant: scope ALL, not withdrawn
);

CREATE TABLE grounds.objection_target (
    objection bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('ACCOUNT', 'PERSON', 'CONTACT')),
    value text NOT NULL,
    PRIMARY KEY (kind, value, objection)
);
CREATE INDEX objection_target_objection ON grounds.objection_target (objection);

CREATE TABLE grounds.consent (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    platform_id text NOT NULL UNIQUE,
    account bigint NOT NULL,
    given_at timestamptz,
    withdrawn_at timestamptz,
    observed_at timestamptz NOT NULL,
    digest bytea NOT NULL
);
CREATE INDEX consent_account ON grounds.consent (account);

CREATE TABLE grounds.hold (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope text NOT NULL CHECK (scope IN ('GLOBAL', 'COUNTRY', 'PRODUCT', 'ACCOUNT')),
    value text CHECK ((scope = 'GLOBAL') = (value IS NULL)), -- of an ACCOUNT the platform's id
    authority text NOT NULL,
    reason text NOT NULL,
    opened_at timestamptz NOT NULL,
    lifted_at timestamptz
);
CREATE INDEX hold_scope ON grounds.hold (scope, value);

-- Lines set aside whose record and id could be read: what they name stays shut until a later good record.
CREATE TABLE grounds.quarantine (
    record text NOT NULL,
    platform_id text NOT NULL,
    line bytea NOT NULL, -- a digest: the same line again changes nothing
    account text,        -- whom a bad notice or consent belongs to
    observed_at timestamptz NOT NULL,
    PRIMARY KEY (record, platform_id, line)
);
CREATE INDEX quarantine_account ON grounds.quarantine (account) WHERE account IS NOT NULL;

CREATE TABLE grounds.content (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account bigint NOT NULL,
    created_at timestamptz NOT NULL,
    settled_at timestamptz GENERATED ALWAYS AS (greatest(created_at, edited_at)) STORED,
    edited_at timestamptz,
    deleted_at timestamptz,
    audience_since timestamptz,
    observed_at timestamptz NOT NULL,
    quarantined_at timestamptz NOT NULL DEFAULT '-infinity',
    taken_back_at timestamptz NOT NULL DEFAULT '-infinity',
    created_month date GENERATED ALWAYS AS (date_trunc('month', created_at AT TIME ZONE 'UTC')::date) STORED,
    settled_month date
        GENERATED ALWAYS AS (date_trunc('month', greatest(created_at, edited_at) AT TIME ZONE 'UTC')::date) STORED,
    audience_month date GENERATED ALWAYS AS (date_trunc('month', audience_since AT TIME ZONE 'UTC')::date) STORED,
    pipeline smallint,          -- that de-identified the text; 0 where there is none; NULL where it never ran
    media_deidentified boolean, -- NULL as well where there is neither text nor media
    reserved boolean NOT NULL,
    has_references boolean NOT NULL,
    kind text NOT NULL,
    audience text,
    language text,
    special_category text,
    safety text,
    parent text, -- the platform's id: it may come later
    platform_id text NOT NULL UNIQUE,
    digest bytea NOT NULL,
    text text,  -- de-identified
    media json,
    -- A private message is a tripwire: its row is kept, its text never is.
    CONSTRAINT no_private_message_text CHECK (kind <> 'PRIVATE_MESSAGE' OR (text IS NULL AND media IS NULL))
) WITH (fillfactor = 90);
CREATE INDEX content_account ON grounds.content (account, id);

CREATE TABLE grounds.content_reference (
    content bigint NOT NULL,
    account bigint NOT NULL,
    relation text NOT NULL,
    PRIMARY KEY (content, account, relation)
);

-- A page's way in: the item's own clauses, word for word as in db/policy/conditions.py, so that the planner proves
-- them from the compiled view. What a policy or a pipeline version chooses stays out.
CREATE INDEX content_page ON grounds.content (id)
    WHERE deleted_at IS NULL AND NOT reserved AND special_category = 'CLEAR' AND safety = 'CLEAR'
    AND media_deidentified AND (kind = 'AI_INTERACTION' OR audience = 'PUBLIC');
CREATE INDEX content_page_language ON grounds.content (language, id)
    WHERE deleted_at IS NULL AND NOT reserved AND special_category = 'CLEAR' AND safety = 'CLEAR'
    AND media_deidentified AND (kind = 'AI_INTERACTION' OR audience = 'PUBLIC');
CREATE INDEX content_page_kind ON grounds.content (kind, id)
    WHERE deleted_at IS NULL AND NOT reserved AND special_category = 'CLEAR' AND safety = 'CLEAR'
    AND media_deidentified AND (kind = 'AI_INTERACTION' OR audience = 'PUBLIC');
CREATE INDEX content_page_month ON grounds.content (created_month, id)
    WHERE deleted_at IS NULL AND NOT reserved AND special_category = 'CLEAR' AND safety = 'CLEAR'
    AND media_deidentified AND (kind = 'AI_INTERACTION' OR audience = 'PUBLIC');

-- What happened to somebody's position, in the order in which it became known. Only ever added to.
CREATE TABLE grounds.consent_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT grounds.decision_time(),
    account bigint, -- of a notice or consent; an objection reaches accounts by its targets
    objection bigint
);
CREATE INDEX consent_event_account ON grounds.consent_event (account, id) WHERE account IS NOT NULL;
CREATE INDEX consent_event_objection ON grounds.consent_event (objection, id) WHERE objection IS NOT NULL;

CREATE TABLE grounds.policy (
    version text PRIMARY KEY,
    document json NOT NULL,
    active boolean NOT NULL,
    compiled text NOT NULL, -- a digest of the views that it became: a release with other rules compiles anew
    activated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX policy_active ON grounds.policy (active) WHERE active;
