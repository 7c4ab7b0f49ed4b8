-- Campaigns tell people that their data are to be used: a task for each account and channel, which is the outbox.
-- No address lies here. Tasks are reached through the functions below alone.

CREATE TABLE grounds.campaign (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    epoch text NOT NULL,
    channel text NOT NULL CHECK (channel IN ('EMAIL', 'IN_APP')),
    started_at timestamptz NOT NULL DEFAULT grounds.decision_time(),
    UNIQUE (epoch, channel)
);

-- A task is claimed (SENDING) and that is committed before the message leaves; one that is found so by a later run was
-- broken off, and nobody knows whether it arrived: UNKNOWN.
CREATE TABLE grounds.notice_task (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    campaign bigint NOT NULL,
    account bigint NOT NULL,
    notice text NOT NULL UNIQUE DEFAULT 'told-' || gen_random_uuid(), -- the platform_id of the notice record
    state text NOT NULL DEFAULT 'PENDING'
        CHECK (state IN ('PENDING', 'SENDING', 'SENT', 'UNKNOWN', 'DELIVERED', 'BOUNCED', 'FAILED')),
    contact text,   -- by e-mail: the hash of the address that was tried last
    language text,  -- in the app: of the text, which waits here until it was shown
    subject text,
    body text,
    made_at timestamptz NOT NULL DEFAULT grounds.decision_time(),
    changed_at timestamptz NOT NULL DEFAULT grounds.decision_time(),
    UNIQUE (campaign, account)
);
CREATE INDEX notice_task_open ON grounds.notice_task (campaign, state, id) WHERE state IN ('PENDING', 'SENDING');

-- Whose items a notice can make qualify: active adults of the policy's kinds, regions and products (unknown is out) whom
-- no notice of the epoch or later reached, and who have not objected to everything.
CREATE FUNCTION grounds.must_be_told(told_epoch text) RETURNS TABLE (account bigint) LANGUAGE sql STABLE AS $$
    SELECT s.account
    FROM grounds.account_standing s
    CROSS JOIN (
        SELECT document::jsonb AS document, grounds.decision_time() AS now, grounds.decision_time()
            - make_interval(hours => 24 * (document #>> '{dwell,withdrawal_days}')::int) AS withdrawal_cutoff
        FROM grounds.policy WHERE active) p
    WHERE s.known AND s.status = 'ACTIVE' AND s.adult_from <= p.now AND s.minor_until <= p.now
        AND p.document -> 'account_kinds' ? s.kind AND p.document -> 'regions' ? s.country
        AND EXISTS (SELECT FROM jsonb_each(p.document -> 'grounds') g
            WHERE g.key <> 'OPTED_IN' AND g.value -> 'products' ? s.product)
        AND NOT (s.objected_public_until > p.withdrawal_cutoff AND s.objected_ai_until > p.withdrawal_cutoff)
        AND NOT EXISTS (
            SELECT FROM grounds.notice n
            WHERE n.account = s.account AND n.epoch >= told_epoch AND n.bounced_at IS NULL AND n.delivered_at <= p.now)
$$;

-- The language that an account writes in most, of its latest items; no private message is looked at.
CREATE FUNCTION grounds.language_of(writer bigint) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT language FROM (
        SELECT language FROM grounds.content
        WHERE account = writer AND language IS NOT NULL AND kind NOT IN ('PRIVATE_MESSAGE', 'BUSINESS_MESSAGE')
        ORDER BY id DESC LIMIT 1000) latest
    GROUP BY language ORDER BY count(*) DESC, language LIMIT 1
$$;

-- Begin a campaign or go on with it: whoever must be told and has no task is given one.
CREATE FUNCTION grounds.open_campaign(told_epoch text, told_channel text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    opened bigint;
BEGIN
    INSERT INTO grounds.campaign (epoch, channel) VALUES (told_epoch, told_channel) ON CONFLICT DO NOTHING;
    SELECT id INTO opened FROM grounds.campaign WHERE epoch = told_epoch AND channel = told_channel;
    INSERT INTO grounds.notice_task (campaign, account)
    SELECT opened, m.account FROM grounds.must_be_told(told_epoch) m ORDER BY m.account
    ON CONFLICT (campaign, account) DO NOTHING;
    RETURN opened;
END $$;

-- What a run that is over left behind in the middle: nobody knows whether it arrived.
CREATE FUNCTION grounds.settle_broken_off(of_campaign bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE grounds.notice_task SET state = 'UNKNOWN', changed_at = grounds.decision_time()
    WHERE campaign = of_campaign AND state = 'SENDING'
$$;

-- Take the task of an account for sending to the address of a hash. Only what is CLAIMED may be sent; a notice that
-- bounced is sent anew to another address only, and then is another notice.
CREATE FUNCTION grounds.claim_notice(
    of_campaign bigint, account_name text, hash text, retry_unknown boolean,
    OUT outcome text, OUT task bigint, OUT notice text, OUT product text, OUT language text, OUT claimed_at timestamptz
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found_account grounds.account;
    found grounds.notice_task;
BEGIN
    SELECT a.* INTO found_account FROM grounds.account a
    JOIN grounds.account_contact c ON c.account = a.id AND c.contact = hash
    WHERE a.platform_id = account_name;
    IF found_account.id IS NULL THEN
        outcome := 'NOT_THEIRS';
        RETURN;
    END IF;
    SELECT t.* INTO found FROM grounds.notice_task t
    WHERE t.campaign = of_campaign AND t.account = found_account.id FOR UPDATE;
    IF found.id IS NULL OR NOT EXISTS (
        SELECT FROM grounds.campaign c CROSS JOIN LATERAL grounds.must_be_told(c.epoch) m
        WHERE c.id = of_campaign AND m.account = found_account.id) THEN
        outcome := 'NOT_NEEDED';
    ELSIF found.state IN ('PENDING', 'FAILED') OR (found.state = 'UNKNOWN' AND retry_unknown)
        OR (found.state = 'BOUNCED' AND found.contact <> hash) THEN
        outcome := 'CLAIMED';
        task := found.id;
        notice := CASE WHEN found.state = 'BOUNCED' THEN 'told-' || gen_random_uuid() ELSE found.notice END;
        product := found_account.product;
        language := grounds.language_of(found_account.id);
        claimed_at := grounds.decision_time();
        UPDATE grounds.notice_task t SET state = 'SENDING', contact = hash, notice = claim_notice.notice,
            changed_at = claim_notice.claimed_at
        WHERE t.id = found.id;
    ELSE
        outcome := 'DONE';
    END IF;
END $$;

-- Store a notice of a task: sent is not delivered, and what was said before stands. A bounce, however late, is known from
-- now on, so that no older record of the platform's takes it back; a delivery changes nothing about when we knew it.
-- A digest like this no record of the platform's has: one of the same instant is never taken for the same statement.
CREATE FUNCTION grounds.store_notice(
    of_task bigint, was_sent_at timestamptz, was_delivered_at timestamptz, has_bounced_at timestamptz
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO grounds.notice AS n (
        platform_id, account, channel, epoch, sent_at, delivered_at, bounced_at, observed_at, digest)
    SELECT t.notice, t.account, c.channel, c.epoch, was_sent_at, was_delivered_at, has_bounced_at,
        grounds.decision_time(), decode(md5('campaign:' || t.notice), 'hex')
    FROM grounds.notice_task t JOIN grounds.campaign c ON c.id = t.campaign WHERE t.id = of_task
    ON CONFLICT (platform_id) DO UPDATE SET sent_at = coalesce(n.sent_at, excluded.sent_at),
        delivered_at = coalesce(n.delivered_at, excluded.delivered_at),
        bounced_at = least(n.bounced_at, excluded.bounced_at),
        observed_at = CASE WHEN excluded.bounced_at IS NULL THEN n.observed_at
            ELSE greatest(n.observed_at, excluded.observed_at) END
$$;

-- Say what became of a claimed task; who claimed it knows. A report of its delivery may have come first, and stands.
CREATE FUNCTION grounds.settle_notice(of_task bigint, became text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE grounds.notice_task SET state = became, changed_at = grounds.decision_time()
    WHERE id = of_task AND state IN ('SENDING', 'UNKNOWN');
    IF became = 'SENT' THEN
        PERFORM grounds.store_notice(of_task, grounds.decision_time(), NULL, NULL);
    END IF;
END $$;

-- Some accounts that wait for a text in the app, and keeping it for them.
CREATE FUNCTION grounds.unwritten_notices(
    of_campaign bigint, after_task bigint, most int, OUT task bigint, OUT name text, OUT product text,
    OUT language text, OUT asked_at timestamptz
) RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.id, a.platform_id, a.product, grounds.language_of(a.id), grounds.decision_time()
    FROM grounds.notice_task t JOIN grounds.account a ON a.id = t.account
    WHERE t.campaign = of_campaign AND t.state = 'PENDING' AND t.id > after_task AND t.body IS NULL
    ORDER BY t.id LIMIT most
$$;
CREATE FUNCTION grounds.write_notices(tasks bigint[], languages text[], subjects text[], bodies text[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE grounds.notice_task t SET language = w.language, subject = w.subject, body = w.body
    FROM unnest(tasks, languages, subjects, bodies) w (task, language, subject, body)
    WHERE t.id = w.task AND t.state = 'PENDING'
$$;

-- The outbox that the platform reads: what is to be shown to whom, as long as they must be told.
CREATE FUNCTION grounds.pending_notices(
    after_task bigint, most int, OUT task bigint, OUT notice text, OUT name text, OUT epoch text, OUT language text,
    OUT subject text, OUT body text
) RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.id, t.notice, a.platform_id, c.epoch, t.language, t.subject, t.body
    FROM grounds.notice_task t
    JOIN grounds.campaign c ON c.id = t.campaign AND c.channel = 'IN_APP'
    JOIN grounds.account a ON a.id = t.account
    WHERE t.state = 'PENDING' AND t.body IS NOT NULL AND t.id > after_task
        AND EXISTS (SELECT FROM grounds.must_be_told(c.epoch) m WHERE m.account = t.account)
    ORDER BY t.id LIMIT most
$$;

-- Take down what became of notices: each task's state afterwards, NULL where there is no such notice. A delivery is not
-- earlier than the task, a bounce is not later than now; a bounce stands whatever else is said.
CREATE FUNCTION grounds.record_notice_delivery(
    notices text[], delivered timestamptz[], bounced timestamptz[], OUT notice text, OUT state text
) RETURNS SETOF record LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    said record;
    known_at constant timestamptz := grounds.decision_time();
    found grounds.notice_task;
BEGIN
    -- A merge of facts judges a notice before it writes it: no bounce may slip in between.
    PERFORM pg_advisory_xact_lock(hashtextextended('grounds.ingest', 0));
    FOR said IN SELECT * FROM unnest(notices, delivered, bounced) s (notice, delivered_at, bounced_at) LOOP
        notice := said.notice;
        state := NULL;
        SELECT t.* INTO found FROM grounds.notice_task t WHERE t.notice = said.notice FOR UPDATE;
        IF found.id IS NOT NULL THEN
            state := CASE WHEN said.bounced_at IS NOT NULL OR found.state = 'BOUNCED' THEN 'BOUNCED'
                ELSE 'DELIVERED' END;
            PERFORM grounds.store_notice(
                found.id, NULL,
                CASE WHEN said.delivered_at IS NOT NULL THEN greatest(said.delivered_at, found.made_at) END,
                CASE WHEN said.bounced_at IS NOT NULL THEN least(said.bounced_at, known_at) END);
            UPDATE grounds.notice_task t SET state = record_notice_delivery.state, changed_at = known_at,
                subject = NULL, body = NULL
            WHERE t.id = found.id;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;

-- How many are in which state; who waits and need not be told any more is left out.
CREATE FUNCTION grounds.campaign_counts(of_campaign bigint, OUT state text, OUT tasks bigint) RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.state, count(*)
    FROM grounds.campaign c JOIN grounds.notice_task t ON t.campaign = c.id
    WHERE c.id = of_campaign AND (t.state <> 'PENDING' OR EXISTS (
        SELECT FROM grounds.must_be_told(c.epoch) m WHERE m.account = t.account))
    GROUP BY t.state
$$;
