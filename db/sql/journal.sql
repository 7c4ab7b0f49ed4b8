-- What a restored backup must not lack: objections, holds, deletions, birth dates of minors and withdrawn consents, and what
-- takes them back. The statement that changes one of them leaves it here, whatever called it, and a process writes it to
-- the journal outside the database before the change is answered.
CREATE TABLE grounds.journal_entry (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entries jsonb NOT NULL -- of one statement: what each changed row says now
);

CREATE FUNCTION grounds.keeps_journal() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce((SELECT i.journal FROM grounds.installation i), FALSE)
$$;

CREATE FUNCTION grounds.leave_for_journal() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    left_here jsonb;
BEGIN
    IF NOT grounds.keeps_journal() OR grounds.claim('job') = 'replay' THEN
        RETURN NULL;
    END IF;
    CASE TG_TABLE_NAME
    WHEN 'objection_target' THEN
        SELECT jsonb_agg(jsonb_build_object('objection', o.platform_id, 'kind', n.kind, 'value', n.value,
            'named_by', n.named_by)) INTO left_here
        FROM new_rows n JOIN grounds.objection o ON o.id = n.objection;
    WHEN 'consent' THEN
        SELECT jsonb_agg(to_jsonb(n) - 'id' || jsonb_build_object('account', a.platform_id)) INTO left_here
        FROM new_rows n JOIN grounds.account a ON a.id = n.account WHERE n.withdrawn_at IS NOT NULL;
    ELSE
        SELECT jsonb_agg(to_jsonb(n) - 'id') INTO left_here FROM new_rows n;
    END CASE;
    INSERT INTO grounds.journal_entry (entries)
    SELECT jsonb_build_array(TG_TABLE_NAME, left_here) WHERE left_here IS NOT NULL;
    RETURN NULL;
END $$;

-- Of items and accounts only what protects: that an item was deleted, and that a birth date is a minor's.
CREATE FUNCTION grounds.leave_deletions_for_journal() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF grounds.keeps_journal() AND grounds.claim('job') IS DISTINCT FROM 'replay' THEN
        INSERT INTO grounds.journal_entry (entries)
        SELECT jsonb_build_array('content', jsonb_agg(jsonb_build_object(
            'platform_id', n.platform_id, 'observed_at', n.observed_at, 'deleted_at', n.deleted_at)))
        FROM new_rows n WHERE n.deleted_at IS NOT NULL HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION grounds.leave_minors_for_journal() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF grounds.keeps_journal() AND grounds.claim('job') IS DISTINCT FROM 'replay' THEN
        INSERT INTO grounds.journal_entry (entries)
        SELECT jsonb_build_array('account', jsonb_agg(jsonb_build_object(
            'platform_id', n.platform_id, 'observed_at', n.observed_at, 'born_on', n.born_on)))
        FROM new_rows n WHERE n.adult_from > grounds.decision_time() HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END $$;

DO $$
DECLARE
    relation text;
    event text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['objection', 'objection_target', 'hold', 'consent', 'content', 'account'] LOOP
        FOREACH event IN ARRAY ARRAY['INSERT', 'UPDATE'] LOOP
            CONTINUE WHEN relation = 'objection_target' AND event = 'UPDATE';
            EXECUTE format('CREATE TRIGGER journal_%s AFTER %s ON grounds.%I REFERENCING NEW TABLE AS new_rows'
                ' FOR EACH STATEMENT EXECUTE FUNCTION grounds.leave_%sfor_journal()', lower(event), event, relation,
                CASE relation WHEN 'content' THEN 'deletions_' WHEN 'account' THEN 'minors_' ELSE '' END);
        END LOOP;
    END LOOP;
END $$;

-- One process at a time writes the journal, until its transaction ends: a process that finds nothing left here knows that
-- all which was left before is written.
CREATE FUNCTION grounds.claim_journal_entries(at_most int) RETURNS TABLE (id bigint, entries text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('grounds.journal', 0));
    RETURN QUERY SELECT e.id, e.entries::text FROM grounds.journal_entry e ORDER BY e.id LIMIT at_most;
END $$;

CREATE FUNCTION grounds.has_journal_entries() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM grounds.journal_entry)
$$;

CREATE FUNCTION grounds.remove_journal_entries(written bigint[]) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DELETE FROM grounds.journal_entry e WHERE e.id = ANY (written)
$$;

-- Replay: each takes what the journal said last of a row, and changes nothing where the database says as much or later.

CREATE FUNCTION grounds.replay_objection(entry jsonb) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    said constant grounds.objection := jsonb_populate_record(NULL::grounds.objection, entry);
BEGIN
    INSERT INTO grounds.objection AS o (platform_id, scope, received_at, last_received_at, channel, withdrawn_at,
        observed_at, digest, quarantined_at, quarantined_received_at, filed_by, withdrawn_by, named_account)
    VALUES (said.platform_id, said.scope, said.received_at, said.last_received_at, said.channel, said.withdrawn_at,
        said.observed_at, said.digest, said.quarantined_at, said.quarantined_received_at, said.filed_by,
        said.withdrawn_by, said.named_account)
    ON CONFLICT (platform_id) DO UPDATE SET (scope, received_at, last_received_at, channel, withdrawn_at, observed_at,
        digest, quarantined_at, quarantined_received_at, filed_by, withdrawn_by, named_account) = (
        excluded.scope, excluded.received_at, excluded.last_received_at, excluded.channel, excluded.withdrawn_at,
        excluded.observed_at, excluded.digest, excluded.quarantined_at, excluded.quarantined_received_at,
        excluded.filed_by, excluded.withdrawn_by, excluded.named_account)
    WHERE o.recorded_at < said.recorded_at;
    RETURN FOUND;
END $$;

CREATE FUNCTION grounds.replay_objection_target(entry jsonb) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO grounds.objection_target (objection, kind, value, named_by)
    SELECT o.id, entry ->> 'kind', entry ->> 'value', entry ->> 'named_by' FROM grounds.objection o
    WHERE o.platform_id = entry ->> 'objection' ON CONFLICT DO NOTHING;
    RETURN FOUND;
END $$;

-- A hold has no name of its own: it is known by all that was said when it was opened.
CREATE FUNCTION grounds.replay_hold(entry jsonb) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    said constant grounds.hold := jsonb_populate_record(NULL::grounds.hold, entry);
    stored timestamptz;
BEGIN
    SELECT h.recorded_at INTO stored FROM grounds.hold h
    WHERE (h.scope, h.authority, h.reason, h.opened_at) = (said.scope, said.authority, said.reason, said.opened_at)
        AND (h.value, h.opened_by) IS NOT DISTINCT FROM (said.value, said.opened_by);
    IF NOT FOUND THEN
        INSERT INTO grounds.hold (scope, value, authority, reason, opened_at, opened_by, lift_asked_by, lift_asked_at,
            lifted_by, lifted_at)
        VALUES (said.scope, said.value, said.authority, said.reason, said.opened_at, said.opened_by,
            said.lift_asked_by, said.lift_asked_at, said.lifted_by, said.lifted_at);
        RETURN TRUE;
    END IF;
    UPDATE grounds.hold h SET (lift_asked_by, lift_asked_at, lifted_by, lifted_at)
        = (said.lift_asked_by, said.lift_asked_at, said.lifted_by, said.lifted_at)
    WHERE stored < said.recorded_at
        AND (h.scope, h.authority, h.reason, h.opened_at) = (said.scope, said.authority, said.reason, said.opened_at)
        AND (h.value, h.opened_by) IS NOT DISTINCT FROM (said.value, said.opened_by);
    RETURN FOUND;
END $$;

CREATE FUNCTION grounds.replay_consent(entry jsonb) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    said constant grounds.consent := jsonb_populate_record(NULL::grounds.consent, entry - 'account');
BEGIN
    INSERT INTO grounds.account (platform_id) VALUES (entry ->> 'account') ON CONFLICT DO NOTHING;
    INSERT INTO grounds.consent AS c (platform_id, account, given_at, withdrawn_at, observed_at, digest)
    SELECT said.platform_id, a.id, said.given_at, said.withdrawn_at, said.observed_at, said.digest
    FROM grounds.account a WHERE a.platform_id = entry ->> 'account'
    ON CONFLICT (platform_id) DO UPDATE SET (account, given_at, withdrawn_at, observed_at, digest) = (
        excluded.account, excluded.given_at, excluded.withdrawn_at, excluded.observed_at, excluded.digest)
    WHERE c.recorded_at < said.recorded_at;
    RETURN FOUND;
END $$;

-- What is known of an item or account that the database lacks, or has in an older version, is only that it is to be
-- protected. It is quarantined until the platform sends the line again: the quarantine is a microsecond older than that.
CREATE FUNCTION grounds.quarantine_until_sent(of_record text, name text, sent timestamptz) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO grounds.quarantine (record, platform_id, line, observed_at)
    VALUES (of_record, name, sha256(convert_to('journal ' || sent, 'UTF8')), sent - interval '1 microsecond')
    ON CONFLICT DO NOTHING;
    RETURN FOUND;
END $$;

CREATE FUNCTION grounds.replay_content(entry jsonb) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    sent constant timestamptz := entry ->> 'observed_at';
    name constant text := entry ->> 'platform_id';
BEGIN
    IF EXISTS (SELECT FROM grounds.content c WHERE c.platform_id = name AND c.observed_at >= sent)
        OR NOT grounds.quarantine_until_sent('content', name, sent) THEN
        RETURN FALSE;
    END IF;
    UPDATE grounds.content c SET deleted_at = coalesce(c.deleted_at, (entry ->> 'deleted_at')::timestamptz),
        failing_facts = c.failing_facts | 1::smallint, -- so that a later line without the deletion takes something back
        quarantined_at = greatest(c.quarantined_at, sent - interval '1 microsecond')
    WHERE c.platform_id = name;
    RETURN TRUE;
END $$;

CREATE FUNCTION grounds.replay_account(entry jsonb) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    sent constant timestamptz := entry ->> 'observed_at';
    name constant text := entry ->> 'platform_id';
BEGIN
    IF EXISTS (SELECT FROM grounds.account a WHERE a.platform_id = name AND a.observed_at >= sent)
        OR NOT grounds.quarantine_until_sent('account', name, sent) THEN
        RETURN FALSE;
    END IF;
    UPDATE grounds.account a SET born_on = entry ->> 'born_on'
    WHERE a.platform_id = name
        AND coalesce(a.adult_from, '-infinity') < grounds.adult_from(entry ->> 'born_on');
    RETURN TRUE;
END $$;

CREATE FUNCTION grounds.replay_entry(of_table text, entry jsonb) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN CASE of_table
        WHEN 'objection' THEN grounds.replay_objection(entry)
        WHEN 'objection_target' THEN grounds.replay_objection_target(entry)
        WHEN 'hold' THEN grounds.replay_hold(entry)
        WHEN 'consent' THEN grounds.replay_consent(entry)
        WHEN 'content' THEN grounds.replay_content(entry)
        WHEN 'account' THEN grounds.replay_account(entry)
    END;
END $$;
