-- The outbox of campaigns: a task for each account, message and channel that a campaign uses.
-- No address lies here. Tasks are reached through the functions below alone.

CREATE TABLE grounds.campaign_channel (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    epoch text NOT NULL,
    message text NOT NULL CHECK (message IN ('NOTICE', 'REMINDER', 'EDUCATION')),
    channel text NOT NULL CHECK (channel IN ('EMAIL', 'IN_APP')),
    started_at timestamptz NOT NULL DEFAULT grounds.decision_time(),
    UNIQUE (epoch, message, channel)
);

-- A task is claimed (SENDING) and that is committed before the message leaves; one that is found so by a later run was
-- interrupted, and it is not known whether it arrived: UNKNOWN.
CREATE TABLE grounds.notice_task (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    campaign bigint NOT NULL,
    account bigint NOT NULL,
    notice text NOT NULL UNIQUE DEFAULT 'told-' || gen_random_uuid(), -- the platform_id of the notice record
    state text NOT NULL DEFAULT 'PENDING'
        CHECK (state IN ('PENDING', 'SENDING', 'SENT', 'UNKNOWN', 'DELIVERED', 'BOUNCED', 'FAILED')),
    contact text,   -- by e-mail: the hash of the address that was tried last
    language text,  -- of the campaign's text that was chosen
    subject text,   -- in the app: the text with the person's links, which waits here until it was shown
    body text,
    made_at timestamptz NOT NULL DEFAULT grounds.decision_time(),
    changed_at timestamptz NOT NULL DEFAULT grounds.decision_time(),
    UNIQUE (campaign, account)
);

CREATE INDEX notice_task_open ON grounds.notice_task (campaign, state, id) WHERE state IN ('PENDING', 'SENDING');

-- The accounts that require the notice of a campaign: those that some use of their items, of which it tells, concerns and
-- that no notice of it or a later campaign reached that told of this use.
CREATE FUNCTION grounds.accounts_requiring_notice(told_epoch text) RETURNS TABLE (account bigint) LANGUAGE sql STABLE AS $$
    SELECT c.account FROM grounds.concerned_by_notices() c
    WHERE EXISTS (
        SELECT FROM grounds.uses_to_tell(told_epoch) u
        WHERE u.product = c.product AND NOT EXISTS (
            SELECT FROM grounds.notice n
            WHERE n.account = c.account AND n.epoch = ANY (u.told_by) AND n.bounced_at IS NULL
                AND n.delivered_at <= grounds.decision_time()))
$$;

-- The accounts whose notice of a campaign was delivered and whose period has not ended.
CREATE FUNCTION grounds.accounts_to_remind(told_epoch text) RETURNS TABLE (account bigint) LANGUAGE sql STABLE AS $$
    SELECT c.account FROM grounds.concerned_by_notices() c
    WHERE EXISTS (
        SELECT FROM grounds.notice n
        CROSS JOIN (SELECT (document #>> '{notice,period_days}')::int AS days FROM grounds.policy WHERE active) p
        WHERE n.account = c.account AND n.epoch = told_epoch AND n.bounced_at IS NULL
        GROUP BY p.days
        HAVING min(n.delivered_at) <= grounds.decision_time()
            AND grounds.notice_period_end(min(n.delivered_at), p.days) > grounds.decision_time())
$$;

-- The accounts to which a message of a campaign goes. An education message goes to all that the campaign concerns.
CREATE FUNCTION grounds.recipients_of_message(told_epoch text, its_message text) RETURNS TABLE (account bigint)
LANGUAGE sql STABLE AS $$
    SELECT account FROM grounds.accounts_requiring_notice(told_epoch) WHERE its_message = 'NOTICE'
    UNION ALL SELECT account FROM grounds.accounts_to_remind(told_epoch) WHERE its_message = 'REMINDER'
    UNION ALL SELECT c.account FROM grounds.concerned_by_notices() c
    WHERE its_message = 'EDUCATION' AND EXISTS (
        SELECT FROM grounds.uses_to_tell(told_epoch) u WHERE u.product = c.product)
$$;

-- The language that an account writes in most, of its latest items; no private message is looked at.
CREATE FUNCTION grounds.language_of(writer bigint) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT language FROM (
        SELECT language FROM grounds.content
        WHERE account = writer AND language IS NOT NULL AND kind NOT IN ('PRIVATE_MESSAGE', 'BUSINESS_MESSAGE')
        ORDER BY id DESC LIMIT 1000) latest
    GROUP BY language ORDER BY count(*) DESC, language LIMIT 1
$$;

-- Open or resume the messages of a campaign by a channel: each account that they go to and has no task gets one.
CREATE FUNCTION grounds.open_campaign(told_epoch text, its_message text, told_channel text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    opened bigint;
BEGIN
    INSERT INTO grounds.campaign_channel (epoch, message, channel) VALUES (told_epoch, its_message, told_channel)
    ON CONFLICT DO NOTHING;
    SELECT c.id INTO opened FROM grounds.campaign_channel c
    WHERE c.epoch = told_epoch AND c.message = its_message AND c.channel = told_channel;
    INSERT INTO grounds.notice_task (campaign, account)
    SELECT opened, m.account FROM grounds.recipients_of_message(told_epoch, its_message) m ORDER BY m.account
    ON CONFLICT (campaign, account) DO NOTHING;
    RETURN opened;
END $$;

-- Tasks that an earlier run left in the middle of sending: it is not known whether they arrived.
CREATE FUNCTION grounds.settle_broken_off(of_campaign bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE grounds.notice_task SET state = 'UNKNOWN', changed_at = grounds.decision_time()
    WHERE campaign = of_campaign AND state = 'SENDING'
$$;

-- Take the task of an account for sending to the address of a hash. The address must be a contact of the account now: a
-- former contact can belong to another person, and a notice to it must not count for the account. Only a CLAIMED task may
-- be sent. After a bounce, a notice is sent to another address only, as a new notice. The text's language is stored first.
CREATE FUNCTION grounds.claim_notice(
    of_campaign bigint, account_name text, hash text, wanted_language text, retry_unknown boolean,
    OUT outcome text, OUT task bigint, OUT notice text, OUT language text, OUT claimed_at timestamptz
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found_account bigint;
    found grounds.notice_task;
    sent grounds.campaign_channel;
BEGIN
    SELECT a.id INTO found_account FROM grounds.account a
    WHERE a.platform_id = account_name AND hash = ANY (a.contacts) AND NOT grounds.links_nothing('CONTACT', hash);
    IF found_account IS NULL THEN
        outcome := 'NOT_THEIRS';
        RETURN;
    END IF;
    SELECT c.* INTO sent FROM grounds.campaign_channel c WHERE c.id = of_campaign;
    SELECT t.* INTO found FROM grounds.notice_task t
    WHERE t.campaign = of_campaign AND t.account = found_account FOR UPDATE;
    IF found.id IS NULL OR NOT EXISTS (
        SELECT FROM grounds.recipients_of_message(sent.epoch, sent.message) m WHERE m.account = found_account) THEN
        outcome := 'NOT_NEEDED';
    ELSIF found.state IN ('PENDING', 'FAILED') OR (found.state = 'UNKNOWN' AND retry_unknown)
        OR (found.state = 'BOUNCED' AND found.contact <> hash) THEN
        outcome := 'CLAIMED';
        task := found.id;
        notice := CASE WHEN found.state = 'BOUNCED' THEN 'told-' || gen_random_uuid() ELSE found.notice END;
        language := grounds.language_of_text(
            sent.epoch, sent.message, coalesce(wanted_language, grounds.language_of(found_account)));
        claimed_at := grounds.decision_time();
        UPDATE grounds.notice_task t SET state = 'SENDING', contact = hash, notice = claim_notice.notice,
            language = claim_notice.language, changed_at = claim_notice.claimed_at
        WHERE t.id = found.id;
    ELSE
        outcome := 'DONE';
    END IF;
END $$;

-- Store a notice of a task: sent is not delivered, and what was said before stands. A bounce, however late, is known from
-- now on, so that no older record of the platform's takes it back; a delivery changes nothing about when we knew it.
-- A message that is no notice leaves none. A digest like this no record of the platform's has: one of the same instant is never taken for the same statement.
CREATE FUNCTION grounds.store_notice(
    of_task bigint, was_sent_at timestamptz, was_delivered_at timestamptz, has_bounced_at timestamptz
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO grounds.notice AS n (
        platform_id, account, channel, epoch, language, sent_at, delivered_at, bounced_at, observed_at, digest)
    SELECT t.notice, t.account, c.channel, c.epoch, t.language, was_sent_at, was_delivered_at, has_bounced_at,
        grounds.decision_time(), decode(md5('campaign:' || t.notice), 'hex')
    FROM grounds.notice_task t JOIN grounds.campaign_channel c ON c.id = t.campaign AND c.message = 'NOTICE'
    WHERE t.id = of_task
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
    of_campaign bigint, after_task bigint, most int, OUT task bigint, OUT name text, OUT language text,
    OUT asked_at timestamptz
) RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.id, a.platform_id, grounds.language_of_text(c.epoch, c.message, grounds.language_of(a.id)),
        grounds.decision_time()
    FROM grounds.notice_task t JOIN grounds.account a ON a.id = t.account
    JOIN grounds.campaign_channel c ON c.id = t.campaign
    WHERE t.campaign = of_campaign AND t.state = 'PENDING' AND t.id > after_task AND t.body IS NULL
    ORDER BY t.id LIMIT most
$$;

CREATE FUNCTION grounds.write_notices(tasks bigint[], languages text[], subjects text[], bodies text[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE grounds.notice_task t SET language = w.language, subject = w.subject, body = w.body
    FROM unnest(tasks, languages, subjects, bodies) w (task, language, subject, body)
    WHERE t.id = w.task AND t.state = 'PENDING'
$$;

-- The outbox that the platform reads: the messages to show, as long as their accounts are among those they go to.
CREATE FUNCTION grounds.pending_notices(
    after_task bigint, most int, OUT task bigint, OUT notice text, OUT name text, OUT epoch text, OUT message text,
    OUT language text, OUT subject text, OUT body text
) RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.id, t.notice, a.platform_id, c.epoch, c.message, t.language, t.subject, t.body
    FROM grounds.notice_task t
    JOIN grounds.campaign_channel c ON c.id = t.campaign AND c.channel = 'IN_APP'
    JOIN grounds.account a ON a.id = t.account
    WHERE t.state = 'PENDING' AND t.body IS NOT NULL AND t.id > after_task
        AND EXISTS (SELECT FROM grounds.recipients_of_message(c.epoch, c.message) m WHERE m.account = t.account)
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
    FROM grounds.campaign_channel c JOIN grounds.notice_task t ON t.campaign = c.id
    WHERE c.id = of_campaign AND (t.state <> 'PENDING' OR EXISTS (
        SELECT FROM grounds.recipients_of_message(c.epoch, c.message) m WHERE m.account = t.account))
    GROUP BY t.state
$$;

-- The uses of items on a product of which a campaign tells, and for the policy's epoch those of the policy, by the
-- campaigns from that epoch on that told of them: an account is told of all once a campaign of each row reached it.
CREATE FUNCTION grounds.uses_to_tell(told_epoch text) RETURNS TABLE (product text, told_by text[]) LANGUAGE sql STABLE AS $$
    SELECT DISTINCT split_part(u.use, ' ', 2), ARRAY(
        SELECT e.epoch FROM jsonb_array_elements_text(u.epochs) e (epoch) WHERE e.epoch >= told_epoch ORDER BY 1)
    FROM (SELECT e.key AS use, e.value AS epochs
          FROM grounds.campaign_told t CROSS JOIN LATERAL jsonb_each(t.told) e WHERE e.value ? told_epoch) u
$$;

-- The accounts whose items a notice can make qualify: active adults of the policy's kinds and regions (unknown is out), who
-- have not objected to everything. Their product is the campaign's matter.
CREATE FUNCTION grounds.concerned_by_notices() RETURNS TABLE (account bigint, country text, product text)
LANGUAGE sql STABLE AS $$
    WITH policy AS MATERIALIZED ( -- read once: to parse it for every account took 70 µs each
        SELECT ARRAY(SELECT json_array_elements_text(document -> 'account_kinds')) AS kinds,
            ARRAY(SELECT json_array_elements_text(document -> 'regions')) AS regions,
            grounds.decision_time() AS now, grounds.decision_time()
                - make_interval(hours => 24 * (document #>> '{dwell,withdrawal_days}')::int) AS withdrawal_cutoff
        FROM grounds.policy WHERE active
    )
    SELECT s.account, s.country, s.product
    FROM policy p CROSS JOIN grounds.account_standing s
    WHERE s.is_known AND s.status = 'ACTIVE' AND s.adult_from <= p.now AND s.minor_until <= p.now
        AND s.kind = ANY (p.kinds) AND s.country = ANY (p.regions)
        AND NOT (s.objected_public_until > p.withdrawal_cutoff AND s.objected_ai_until > p.withdrawal_cutoff)
$$;

-- How far the notices of an epoch came, counted by a job: to count takes seconds where there are many accounts.
CREATE TABLE grounds.notice_count (
    epoch text NOT NULL,
    country text, -- NULL: all of them
    channel text, -- NULL: by any of them
    reached bigint NOT NULL,
    waiting bigint NOT NULL,
    unknown bigint NOT NULL,
    bounced bigint NOT NULL,
    never bigint NOT NULL,
    counted_at timestamptz NOT NULL,
    UNIQUE NULLS NOT DISTINCT (epoch, country, channel)
);

-- Each account once a row, for every campaign that the policy counts: by a channel or by any of them, in the best state that
-- one of its notices is in, and of several uses in the state of the one that it was told of least. A task says
-- what its notice does not: that it waits, is being sent, or is unknown. Estimates of the accounts that notices
-- concern are far off (1 against 400,000): a nested loop over them, or a merge by epoch alone, would take hours.
CREATE FUNCTION grounds.count_notices() RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_nestloop = off SET enable_mergejoin = off SET work_mem = '64MB' AS $$
    SELECT pg_advisory_xact_lock(hashtextextended('grounds.notice_count', 0));
    DELETE FROM grounds.notice_count;
    WITH epochs AS MATERIALIZED (
        SELECT DISTINCT e.epoch
        FROM (SELECT document #>> '{notice,epoch}' AS first FROM grounds.policy WHERE active) p,
            grounds.campaign_told t CROSS JOIN LATERAL jsonb_each(t.told) u
            CROSS JOIN LATERAL jsonb_array_elements_text(u.value) e (epoch)
        WHERE e.epoch >= p.first
    ), uses AS MATERIALIZED ( -- those of which the same campaigns told count as one
        SELECT e.epoch, u.product, u.told_by, dense_rank() OVER (ORDER BY e.epoch, u.told_by) AS use
        FROM epochs e CROSS JOIN LATERAL grounds.uses_to_tell(e.epoch) u
    ), told_by AS MATERIALIZED (
        SELECT DISTINCT u.use, e.epoch FROM uses u CROSS JOIN LATERAL unnest(u.told_by) e (epoch)
    ), said AS MATERIALIZED (
        SELECT e.use, n.account, n.channel,
            CASE WHEN n.bounced_at IS NOT NULL THEN 4 WHEN n.delivered_at <= grounds.decision_time() THEN 1 ELSE 2 END AS state
        FROM told_by e JOIN grounds.notice n ON n.epoch = e.epoch
        UNION ALL
        SELECT e.use, t.account, c.channel, CASE t.state WHEN 'UNKNOWN' THEN 3 ELSE 2 END
        FROM told_by e JOIN grounds.campaign_channel c ON c.epoch = e.epoch AND c.message = 'NOTICE'
        JOIN grounds.notice_task t ON t.campaign = c.id
        WHERE t.state IN ('PENDING', 'SENDING', 'UNKNOWN')
    ), best AS (
        SELECT use, account, coalesce(min(state) FILTER (WHERE channel = 'EMAIL'), 5) AS email,
            coalesce(min(state) FILTER (WHERE channel = 'IN_APP'), 5) AS in_app
        FROM said GROUP BY use, account
    ), states AS (
        SELECT u.epoch, c.country, max(coalesce(b.email, 5)) AS email, max(coalesce(b.in_app, 5)) AS in_app,
            max(least(coalesce(b.email, 5), coalesce(b.in_app, 5))) AS either
        FROM (SELECT * FROM grounds.concerned_by_notices() OFFSET 0) c JOIN uses u ON u.product = c.product
        LEFT JOIN best b ON b.use = u.use AND b.account = c.account
        WHERE c.account <> ALL (ARRAY(SELECT grounds.planted_accounts()))
        GROUP BY u.epoch, c.account, c.country
    ), alike AS ( -- summed up before accounts are counted once for each channel and country
        SELECT epoch, country, email, in_app, either, count(*) AS accounts
        FROM states GROUP BY epoch, country, email, in_app, either
    )
    INSERT INTO grounds.notice_count (epoch, country, channel, reached, waiting, unknown, bounced, never, counted_at)
    SELECT a.epoch, a.country, v.channel, coalesce(sum(a.accounts) FILTER (WHERE v.state = 1), 0),
        coalesce(sum(a.accounts) FILTER (WHERE v.state = 2), 0), coalesce(sum(a.accounts) FILTER (WHERE v.state = 3), 0),
        coalesce(sum(a.accounts) FILTER (WHERE v.state = 4), 0), coalesce(sum(a.accounts) FILTER (WHERE v.state = 5), 0),
        grounds.decision_time()
    FROM alike a CROSS JOIN LATERAL (
        VALUES (NULL, a.either), ('EMAIL', a.email), ('IN_APP', a.in_app)) v (channel, state)
    GROUP BY GROUPING SETS ((a.epoch, v.channel), (a.epoch, v.channel, a.country));
$$;
