-- Campaigns: what people were told, by the epoch of the notices that told them. Kept for ever.

CREATE TABLE grounds.campaign (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    platform_id text NOT NULL UNIQUE, -- the epoch
    told text[] NOT NULL,             -- 'PURPOSE KIND PRODUCT': what every version of it says
    disputed text[] NOT NULL DEFAULT '{}', -- what some versions say, and others do not: it counts for nothing
    texts jsonb NOT NULL,             -- language -> SHA-256 of the text that was sent
    observed_at timestamptz NOT NULL,
    digest bytea NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT grounds.decision_time()
);

-- What the campaigns told of, as conditions look it up: purpose -> {"KIND PRODUCT": [epoch, …]}. Derived.
CREATE TABLE grounds.campaign_told (purpose text PRIMARY KEY, told jsonb NOT NULL);

-- The one derivation of it. A campaign that was set aside counts for nothing until a good, later record replaces it.
CREATE FUNCTION grounds.told_by_campaigns() RETURNS TABLE (purpose text, told jsonb) LANGUAGE sql STABLE AS $$
    SELECT u.purpose, jsonb_object_agg(u.use, u.epochs)
    FROM (
        SELECT split_part(t.use, ' ', 1) AS purpose, substr(t.use, strpos(t.use, ' ') + 1) AS use,
            jsonb_agg(c.platform_id ORDER BY c.platform_id) AS epochs
        FROM grounds.campaign c CROSS JOIN LATERAL unnest(c.told) t (use)
        WHERE NOT EXISTS (
            SELECT FROM grounds.quarantine q
            WHERE q.record = 'campaign' AND q.platform_id = c.platform_id AND q.observed_at >= c.observed_at)
        GROUP BY 1, 2) u
    GROUP BY u.purpose
$$;

CREATE FUNCTION grounds.refresh_campaign_told() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM grounds.campaign_told k
    WHERE NOT EXISTS (SELECT FROM grounds.told_by_campaigns() t WHERE t.purpose = k.purpose);
    INSERT INTO grounds.campaign_told AS k (purpose, told) SELECT t.purpose, t.told FROM grounds.told_by_campaigns() t
    ON CONFLICT (purpose) DO UPDATE SET told = excluded.told WHERE k.told <> excluded.told;
    RETURN NULL;
END $$;

CREATE TRIGGER told AFTER INSERT OR UPDATE ON grounds.campaign
    FOR EACH ROW EXECUTE FUNCTION grounds.refresh_campaign_told();

CREATE TRIGGER untold AFTER INSERT ON grounds.quarantine
    FOR EACH ROW WHEN (NEW.record = 'campaign') EXECUTE FUNCTION grounds.refresh_campaign_told();

-- What is stored of a campaign, whether or not it counts; no row where nothing is.
CREATE FUNCTION grounds.stored_campaign(its_epoch text, OUT told text[], OUT texts jsonb, OUT counts boolean)
RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT c.told, c.texts, EXISTS (
        SELECT FROM grounds.campaign_told t CROSS JOIN LATERAL jsonb_each(t.told) u WHERE u.value ? its_epoch)
    FROM grounds.campaign c WHERE c.platform_id = its_epoch
$$;

-- The very texts of a campaign's messages, kept for ever. Where a person's own links stand, each has their names. A
-- reminder and an education message are no notices: no condition reads them.
CREATE TABLE grounds.campaign_text (
    epoch text NOT NULL,
    message text NOT NULL CHECK (message IN ('NOTICE', 'REMINDER', 'EDUCATION')),
    language text NOT NULL,
    text text NOT NULL,
    sha256 text NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT grounds.decision_time(),
    PRIMARY KEY (epoch, message, language)
);

-- Keep texts; a notice's must have the hash that its campaign's record states, and no text replaces another. The languages
-- of those that were not kept.
CREATE FUNCTION grounds.register_texts(its_epoch text, its_message text, languages text[], its_texts text[])
RETURNS text[] LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    refused text[];
BEGIN
    SELECT array_agg(t.language ORDER BY t.language) INTO refused
    FROM unnest(languages, its_texts) t (language, text)
    LEFT JOIN grounds.campaign_text k ON k.epoch = its_epoch AND k.message = its_message AND k.language = t.language
    WHERE k.text <> t.text OR (its_message = 'NOTICE' AND NOT EXISTS (
        SELECT FROM grounds.campaign c WHERE c.platform_id = its_epoch
            AND c.texts ->> t.language = encode(sha256(convert_to(t.text, 'UTF8')), 'hex')));
    IF refused IS NULL THEN
        INSERT INTO grounds.campaign_text (epoch, message, language, text, sha256)
        SELECT its_epoch, its_message, t.language, t.text, encode(sha256(convert_to(t.text, 'UTF8')), 'hex')
        FROM unnest(languages, its_texts) t (language, text)
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN coalesce(refused, '{}');
END $$;

CREATE FUNCTION grounds.registered_texts(its_epoch text, its_message text, OUT language text, OUT text text)
RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.language, t.text FROM grounds.campaign_text t WHERE t.epoch = its_epoch AND t.message = its_message
    ORDER BY t.language
$$;

-- The language in which an account is written to: the one that it prefers, else its base language, else English. Texts in
-- Norwegian are in Bokmål.
CREATE FUNCTION grounds.language_of_text(its_epoch text, its_message text, wanted text) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT t.language
    FROM unnest(ARRAY[lower(wanted), split_part(lower(wanted), '-', 1),
        CASE WHEN split_part(lower(wanted), '-', 1) IN ('no', 'nn') THEN 'nb' END, 'en'])
        WITH ORDINALITY w (language, place)
    JOIN grounds.campaign_text t ON t.epoch = its_epoch AND t.message = its_message AND t.language = w.language
    ORDER BY w.place LIMIT 1
$$;

-- The campaign before the programme began. It has no text of its own until one is registered.
INSERT INTO grounds.campaign (platform_id, told, texts, observed_at, digest, recorded_at)
SELECT '2025-04', array_agg('GENAI_TRAINING ' || kind || ' ' || product ORDER BY kind, product), '{}',
    '2025-04-01T00:00:00Z', '', '-infinity'
FROM (
    SELECT unnest(ARRAY['CAPTION', 'COMMENT', 'PHOTO', 'POST']) AS kind, unnest AS product
    FROM unnest(ARRAY['FACEBOOK', 'INSTAGRAM'])
    UNION ALL SELECT 'AI_INTERACTION', unnest(ARRAY['FACEBOOK', 'INSTAGRAM', 'MESSENGER'])) uses;
