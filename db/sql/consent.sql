-- The events of each account's position, in the order in which they became known. Append-only.
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

-- The ledger of positions: a row when a notice, an objection or a consent says something that it did not say before.

-- Rows of before and after are joined by a hash: see grounds.standing_changed.
CREATE FUNCTION grounds.record_notice_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_hashjoin = on SET enable_nestloop = off AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO grounds.consent_event (kind, occurred_at, account)
        SELECT said.kind, said.occurred_at, n.account
        FROM new_rows n CROSS JOIN LATERAL (
            VALUES ('NOTICE_SENT', n.sent_at), ('NOTICE_DELIVERED', n.delivered_at), ('NOTICE_BOUNCED', n.bounced_at)
        ) said (kind, occurred_at)
        WHERE said.occurred_at IS NOT NULL;
    ELSE
        INSERT INTO grounds.consent_event (kind, occurred_at, account)
        SELECT said.kind, said.occurred_at, n.account
        FROM new_rows n JOIN old_rows o ON o.id = n.id CROSS JOIN LATERAL (
            VALUES ('NOTICE_SENT', n.sent_at, o.sent_at), ('NOTICE_DELIVERED', n.delivered_at, o.delivered_at),
                   ('NOTICE_BOUNCED', n.bounced_at, o.bounced_at)
        ) said (kind, occurred_at, earlier)
        WHERE said.occurred_at IS NOT NULL AND said.occurred_at IS DISTINCT FROM said.earlier;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER recorded AFTER INSERT ON grounds.notice REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.record_notice_events();

CREATE TRIGGER corrected AFTER UPDATE ON grounds.notice REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION grounds.record_notice_events();

-- Objections and consents are few: a row at a time reads better.
CREATE FUNCTION grounds.record_objection_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO grounds.consent_event (kind, occurred_at, objection)
    SELECT said.kind, said.occurred_at, NEW.id
    FROM (VALUES ('OBJECTION_RECEIVED', NEW.received_at, OLD.received_at),
                 ('OBJECTION_WITHDRAWN', NEW.withdrawn_at, OLD.withdrawn_at)) said (kind, occurred_at, earlier)
    WHERE said.occurred_at IS NOT NULL AND said.occurred_at IS DISTINCT FROM said.earlier;
    RETURN NULL;
END $$;

CREATE TRIGGER recorded AFTER INSERT OR UPDATE ON grounds.objection
    FOR EACH ROW EXECUTE FUNCTION grounds.record_objection_events();

CREATE FUNCTION grounds.record_consent_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO grounds.consent_event (kind, occurred_at, account)
    SELECT said.kind, said.occurred_at, NEW.account
    FROM (VALUES ('CONSENT_GIVEN', NEW.given_at, OLD.given_at),
                 ('CONSENT_WITHDRAWN', NEW.withdrawn_at, OLD.withdrawn_at)) said (kind, occurred_at, earlier)
    WHERE said.occurred_at IS NOT NULL AND said.occurred_at IS DISTINCT FROM said.earlier;
    RETURN NULL;
END $$;

CREATE TRIGGER recorded AFTER INSERT OR UPDATE ON grounds.consent
    FOR EACH ROW EXECUTE FUNCTION grounds.record_consent_events();

-- Whether the policy in force rests on consent for an account.
CREATE FUNCTION grounds.asks_for_consent(asked bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM grounds.policy p CROSS JOIN grounds.account a
        WHERE p.active AND a.id = asked AND a.is_known
            AND (p.document #> '{grounds,OPTED_IN,products}')::jsonb ? a.product)
$$;

-- The earliest consent of an account that is not withdrawn, as its standing has it.
CREATE FUNCTION grounds.consent_in_force(asked bigint, OUT reference text, OUT given_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT c.platform_id, c.given_at FROM grounds.consent c
    WHERE c.account = asked AND c.given_at <= grounds.decision_time() AND c.withdrawn_at IS NULL AND NOT EXISTS (
        SELECT FROM grounds.consent w WHERE w.account = asked AND w.withdrawn_at >= c.given_at)
    ORDER BY c.given_at, c.id LIMIT 1
$$;

-- The claimed account consents; to say it twice changes nothing. It gives NULL where the policy asks for no consent of
-- this account. Two statements of one person are in order: the second waits, and reads what the first committed.
CREATE FUNCTION grounds.give_consent(OUT reference text, OUT given_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    consenting constant bigint := grounds.claimed_account();
BEGIN
    IF grounds.asks_for_consent(consenting) THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('consent:' || consenting, 0));
        SELECT k.reference, k.given_at INTO reference, given_at FROM grounds.consent_in_force(consenting) k;
        IF reference IS NULL THEN
            given_at := grounds.decision_time();
            reference := 'given-' || regexp_replace(gen_random_uuid()::text, '^(....)(....)-(....).*$', '\1-\2-\3');
            INSERT INTO grounds.consent (platform_id, account, given_at, observed_at, digest)
            VALUES (reference, consenting, given_at, given_at, '');
        END IF;
    END IF;
END $$;

-- The claimed account withdraws every consent that it ever gave, whatever record of the platform still states one: it is
-- a record of its own, which no other replaces. NULL: there is none to withdraw.
CREATE FUNCTION grounds.withdraw_consent(OUT reference text, OUT withdrawn_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    consenting constant bigint := grounds.claimed_account();
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('consent:' || consenting, 0));
    IF EXISTS (SELECT FROM grounds.consent c WHERE c.account = consenting AND c.given_at IS NOT NULL AND NOT EXISTS (
        SELECT FROM grounds.consent w WHERE w.account = consenting AND w.withdrawn_at >= c.given_at))
    THEN
        -- A consent that is dated ahead of the clock is withdrawn with the others.
        SELECT greatest(grounds.decision_time(), max(c.given_at)) INTO withdrawn_at
        FROM grounds.consent c WHERE c.account = consenting;
        reference := 'withdrawn-' || regexp_replace(gen_random_uuid()::text, '^(....)(....)-(....).*$', '\1-\2-\3');
        INSERT INTO grounds.consent (platform_id, account, withdrawn_at, observed_at, digest)
        VALUES (reference, consenting, withdrawn_at, grounds.decision_time(), '');
    ELSE
        SELECT w.platform_id, w.withdrawn_at INTO reference, withdrawn_at FROM grounds.consent w
        WHERE w.account = consenting AND w.withdrawn_at IS NOT NULL ORDER BY w.withdrawn_at DESC, w.id DESC LIMIT 1;
    END IF;
END $$;
