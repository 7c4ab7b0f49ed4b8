-- The ledger of positions: a row when a notice, an objection or a consent says something that it did not say before.

CREATE FUNCTION grounds.record_notice_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO grounds.consent_event (kind, occurred_at, account)
    SELECT said.kind, said.occurred_at, NEW.account
    FROM (VALUES ('NOTICE_SENT', NEW.sent_at, OLD.sent_at), ('NOTICE_DELIVERED', NEW.delivered_at, OLD.delivered_at),
                 ('NOTICE_BOUNCED', NEW.bounced_at, OLD.bounced_at)) said (kind, occurred_at, earlier)
    WHERE said.occurred_at IS NOT NULL AND said.occurred_at IS DISTINCT FROM said.earlier;
    RETURN NULL;
END $$;
CREATE TRIGGER recorded AFTER INSERT OR UPDATE ON grounds.notice
    FOR EACH ROW EXECUTE FUNCTION grounds.record_notice_events();

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
