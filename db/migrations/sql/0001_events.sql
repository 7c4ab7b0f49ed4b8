-- The ledger of positions: a row when a notice, an objection or a consent says something that it did not say before.

CREATE FUNCTION grounds.record_notice_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
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
