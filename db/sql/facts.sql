CREATE TABLE grounds.account (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    platform_id text NOT NULL UNIQUE,
    own_contact text, -- the hash of its id, as the user name that people can type
    is_known boolean CHECK (is_known), -- NULL while other records name it and its own has not come
    person text,
    product text,
    kind text,
    born_on text,
    adult_from timestamptz GENERATED ALWAYS AS (grounds.adult_from(born_on)) STORED,
    country text,
    status text,
    status_since timestamptz,
    compromised tstzmultirange,
    reserved boolean, -- a signal about the whole account reserves every item of it
    signals jsonb, -- what its signals say, where and when they were seen
    contacts text[], -- that its record states now, so that a notice can be sent there; account_contact has all of them
    observed_at timestamptz,
    digest bytea,
    reverted_at timestamptz NOT NULL DEFAULT '-infinity',
    birth_date_reverted_at timestamptz NOT NULL DEFAULT '-infinity',
    last_country text,           -- when it was last known; NULL: there was one version only
    last_adult_from timestamptz,
    recorded_at timestamptz NOT NULL DEFAULT grounds.decision_time()
);

CREATE INDEX account_own_contact ON grounds.account (own_contact) WHERE own_contact IS NOT NULL;

-- Links once seen count for ever: unlinking keeps them.
CREATE TABLE grounds.account_person (
    account bigint NOT NULL,
    person text NOT NULL,
    PRIMARY KEY (account, person),
    recorded_at timestamptz NOT NULL DEFAULT grounds.decision_time()
);

CREATE INDEX account_person_person ON grounds.account_person (person, account);

CREATE TABLE grounds.account_contact (
    account bigint NOT NULL,
    contact text NOT NULL,
    PRIMARY KEY (account, contact),
    recorded_at timestamptz NOT NULL DEFAULT grounds.decision_time()
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
    language text, -- of the campaign's text that was sent; NULL where the platform sent it
    observed_at timestamptz NOT NULL,
    digest bytea NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT grounds.decision_time()
);

CREATE INDEX notice_account ON grounds.notice (account);

CREATE TABLE grounds.objection (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    platform_id text NOT NULL UNIQUE,
    -- Of all versions together: an objection only widens, in whatever order its versions arrive.
    scope text NOT NULL CHECK (scope IN ('ALL', 'PUBLIC_CONTENT', 'AI_INTERACTIONS')),
    received_at timestamptz NOT NULL, -- the earliest that any version states
    last_received_at timestamptz NOT NULL DEFAULT '-infinity', -- the latest: a withdrawal must follow it
    channel text,
    withdrawn_at timestamptz, -- of the latest version, where it follows every received_at
    observed_at timestamptz NOT NULL,
    digest bytea,
    quarantined_at timestamptz NOT NULL DEFAULT '-infinity', -- a bad line of that instant: scope ALL, not withdrawn
    quarantined_received_at timestamptz NOT NULL DEFAULT 'infinity', -- the earliest receipt that bad lines tell of
    filed_by text, -- NULL: the platform; FORM; SUBJECT; or an officer's name
    withdrawn_by text, -- NULL: the platform; SUBJECT; or an officer's name
    named_account text, -- the platform's id of the account that filed it or that it names: who may read and withdraw it
    recorded_at timestamptz NOT NULL DEFAULT grounds.decision_time()
);

CREATE INDEX objection_named_account ON grounds.objection (named_account) WHERE named_account IS NOT NULL;

CREATE TABLE grounds.objection_target (
    objection bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('ACCOUNT', 'PERSON', 'CONTACT')),
    value text NOT NULL,
    PRIMARY KEY (kind, value, objection),
    recorded_at timestamptz NOT NULL DEFAULT grounds.decision_time(),
    named_by text -- the officer who matched it; NULL: the objection itself
);

CREATE INDEX objection_target_objection ON grounds.objection_target (objection);

CREATE TABLE grounds.consent (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    platform_id text NOT NULL UNIQUE,
    account bigint NOT NULL,
    given_at timestamptz,
    withdrawn_at timestamptz,
    observed_at timestamptz NOT NULL,
    digest bytea NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT grounds.decision_time()
);

CREATE INDEX consent_account ON grounds.consent (account);

-- Lines set aside whose record and id could be read: what they name stays shut until a later good record.
CREATE TABLE grounds.quarantine (
    record text NOT NULL,
    platform_id text NOT NULL,
    line bytea NOT NULL, -- a digest: the same line again changes nothing
    account text,        -- the account of a bad notice or consent
    observed_at timestamptz NOT NULL,
    PRIMARY KEY (record, platform_id, line),
    recorded_at timestamptz NOT NULL DEFAULT grounds.decision_time()
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
    reverted_at timestamptz NOT NULL DEFAULT '-infinity',
    created_month date GENERATED ALWAYS AS (date_trunc('month', created_at AT TIME ZONE 'UTC')::date) STORED,
    settled_month date
        GENERATED ALWAYS AS (date_trunc('month', greatest(created_at, edited_at) AT TIME ZONE 'UTC')::date) STORED,
    audience_month date GENERATED ALWAYS AS (date_trunc('month', audience_since AT TIME ZONE 'UTC')::date) STORED,
    pipeline smallint,          -- that de-identified its texts; 0 where there are none; NULL where it never ran
    names_sought boolean,       -- whether a recogniser looked for names; NULL with `pipeline`
    media_deidentified boolean, -- NULL as well where there is neither text nor media
    concerns_family boolean -- it says something that counts for its whole family
        GENERATED ALWAYS AS (reserved OR account_reserved OR reference_count > 0
            OR special_category IS DISTINCT FROM 'CLEAR'
            OR safety IS DISTINCT FROM 'CLEAR' OR (minors = 'CLEAR' OR minors IS NULL AND NOT needs_minors_scan) IS NOT TRUE
            OR quarantined_at >= observed_at OR reverted_at > '-infinity') STORED,
    reserved boolean NOT NULL,
    account_reserved boolean NOT NULL DEFAULT FALSE, -- by a signal of the account, for the item's family
    signals jsonb, -- what its signals say, where and when they were seen, and the rights that reserve
    reference_count int NOT NULL,
    has_references boolean GENERATED ALWAYS AS (reference_count > 0) STORED,
    needs_minors_scan boolean NOT NULL, -- a medium, or an item with media
    kind text NOT NULL,
    audience text,
    conversation text,
    country text, -- of the account, as the product is
    language text,
    language_key text COLLATE "C" GENERATED ALWAYS AS (lower(language)) STORED, -- in byte order a range of tags is one
    language_base text GENERATED ALWAYS AS (lower(split_part(language, '-', 1))) STORED,
    special_category text,
    safety text,
    minors text,
    parent text, -- the platform's id: it may come later
    -- A medium and the captions that name it are one family, by the platform's id of the medium.
    family text GENERATED ALWAYS AS (CASE kind WHEN 'CAPTION' THEN parent
        WHEN 'PHOTO' THEN platform_id WHEN 'VIDEO' THEN platform_id WHEN 'AUDIO' THEN platform_id END) STORED,
    platform_id text NOT NULL UNIQUE,
    digest bytea NOT NULL,
    text text,  -- de-identified
    media json,
    -- A private message is a tripwire: its row is kept, its text never is.
    CONSTRAINT no_private_message_text CHECK (kind <> 'PRIVATE_MESSAGE' OR (text IS NULL AND media IS NULL)),
    product text,
    revised_at timestamptz NOT NULL DEFAULT '-infinity', -- other text or media came
    failing_facts smallint NOT NULL, -- of the line: see db/ingest/stages.py
    unknown_facts smallint NOT NULL,
    last_failing_facts smallint, -- when they were last known; NULL: there was one version only
    stated_kind text, -- of the line, where the item stays of a private kind that an earlier line or a later one stated
    recorded_at timestamptz NOT NULL DEFAULT grounds.decision_time(),
    purged_at timestamptz
) WITH (fillfactor = 90);

CREATE INDEX content_account ON grounds.content (account, id);

-- What the members of a family say that counts for all of it, kept by db/sql/family.sql; no row: nothing.
CREATE TABLE grounds.family (
    id text PRIMARY KEY, -- the platform's id of the medium
    quarantined int NOT NULL, -- how many members are
    reverted_at timestamptz NOT NULL,
    reference_count bigint NOT NULL,
    unreserved boolean NOT NULL,
    no_special_category boolean,
    safe boolean,
    no_minor boolean
);

CREATE TABLE grounds.content_reference (
    content bigint NOT NULL,
    account bigint, -- or else a contact
    contact bigint CHECK ((account IS NULL) <> (contact IS NULL)),
    relation text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT grounds.decision_time()
);

-- A page's ways in, each in the order of pages: all items, those of one kind, product, country, base language or month, and
-- those with media. The other columns that a filter may name stand behind the id: they are compared in the index, before
-- an item is fetched.
CREATE INDEX content_page ON grounds.content (id, kind, product, language_key, created_month)
    WHERE deleted_at IS NULL AND NOT reserved AND special_category = 'CLEAR' AND safety = 'CLEAR'
    AND (minors = 'CLEAR' OR minors IS NULL AND NOT needs_minors_scan) AND media_deidentified
    AND (kind = 'AI_INTERACTION' OR audience = 'PUBLIC') AND (kind <> 'AI_INTERACTION' OR conversation = 'ASSISTANT_ONLY');

CREATE INDEX content_page_kind ON grounds.content (kind, id, product, language_key, created_month)
    WHERE deleted_at IS NULL AND NOT reserved AND special_category = 'CLEAR' AND safety = 'CLEAR'
    AND (minors = 'CLEAR' OR minors IS NULL AND NOT needs_minors_scan) AND media_deidentified
    AND (kind = 'AI_INTERACTION' OR audience = 'PUBLIC') AND (kind <> 'AI_INTERACTION' OR conversation = 'ASSISTANT_ONLY');

CREATE INDEX content_page_product ON grounds.content (product, id, kind, language_key, created_month)
    WHERE deleted_at IS NULL AND NOT reserved AND special_category = 'CLEAR' AND safety = 'CLEAR'
    AND (minors = 'CLEAR' OR minors IS NULL AND NOT needs_minors_scan) AND media_deidentified
    AND (kind = 'AI_INTERACTION' OR audience = 'PUBLIC') AND (kind <> 'AI_INTERACTION' OR conversation = 'ASSISTANT_ONLY');

CREATE INDEX content_page_language ON grounds.content (language_base, id, language_key, kind, product, created_month)
    WHERE deleted_at IS NULL AND NOT reserved AND special_category = 'CLEAR' AND safety = 'CLEAR'
    AND (minors = 'CLEAR' OR minors IS NULL AND NOT needs_minors_scan) AND media_deidentified
    AND (kind = 'AI_INTERACTION' OR audience = 'PUBLIC') AND (kind <> 'AI_INTERACTION' OR conversation = 'ASSISTANT_ONLY');

CREATE INDEX content_page_month ON grounds.content (created_month, id, kind, product, language_key)
    WHERE deleted_at IS NULL AND NOT reserved AND special_category = 'CLEAR' AND safety = 'CLEAR'
    AND (minors = 'CLEAR' OR minors IS NULL AND NOT needs_minors_scan) AND media_deidentified
    AND (kind = 'AI_INTERACTION' OR audience = 'PUBLIC') AND (kind <> 'AI_INTERACTION' OR conversation = 'ASSISTANT_ONLY');

CREATE INDEX content_page_country ON grounds.content (country, id, kind, product, language_key, created_month)
    WHERE deleted_at IS NULL AND NOT reserved AND special_category = 'CLEAR' AND safety = 'CLEAR'
    AND (minors = 'CLEAR' OR minors IS NULL AND NOT needs_minors_scan) AND media_deidentified
    AND (kind = 'AI_INTERACTION' OR audience = 'PUBLIC') AND (kind <> 'AI_INTERACTION' OR conversation = 'ASSISTANT_ONLY');

CREATE INDEX content_page_media ON grounds.content (id, kind, product, language_key, created_month)
    WHERE media IS NOT NULL AND deleted_at IS NULL AND NOT reserved AND special_category = 'CLEAR' AND safety = 'CLEAR'
    AND (minors = 'CLEAR' OR minors IS NULL AND NOT needs_minors_scan) AND media_deidentified
    AND (kind = 'AI_INTERACTION' OR audience = 'PUBLIC') AND (kind <> 'AI_INTERACTION' OR conversation = 'ASSISTANT_ONLY');

-- An item is touched by its parent, and by every item that its parent stands under.
CREATE INDEX content_parent ON grounds.content (parent) WHERE parent IS NOT NULL;

CREATE INDEX content_family ON grounds.content (family) WHERE concerns_family;

CREATE UNIQUE INDEX content_reference_named ON grounds.content_reference (content, account, contact, relation)
    NULLS NOT DISTINCT;

CREATE INDEX content_reference_account ON grounds.content_reference (account) WHERE account IS NOT NULL;

CREATE INDEX content_reference_contact ON grounds.content_reference (contact) WHERE contact IS NOT NULL;

-- Not by when it was recorded, which every update changes: no update of an item would be HOT then.
CREATE INDEX content_deleted ON grounds.content (id) WHERE deleted_at IS NOT NULL AND purged_at IS NULL;
