-- Who received what: one receipt a page, written by the statement that reads the page.

CREATE TABLE grounds.client (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    suspended boolean NOT NULL DEFAULT FALSE,
    registered_at timestamptz NOT NULL DEFAULT now(),
    acknowledged bigint NOT NULL DEFAULT 0 -- the last retraction acknowledged
);

-- A client is known from its first verified token on.
CREATE FUNCTION grounds.register_client(client_name text) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO grounds.client (name) VALUES (client_name) ON CONFLICT (name) DO NOTHING;
    RETURN (SELECT id FROM grounds.client WHERE name = client_name);
END $$;

-- Webhooks: where a client wants its retractions posted, and how far that came. Not in grounds.client: the job that posts
-- holds the row until the answer is there, and a client acknowledges meanwhile.
CREATE TABLE grounds.webhook (
    client int PRIMARY KEY,
    url text NOT NULL,
    sent bigint NOT NULL,               -- the last retraction that was posted and answered with a 2xx
    failures int NOT NULL DEFAULT 0,    -- in a row
    next_at timestamptz NOT NULL DEFAULT '-infinity',
    attempted_at timestamptz -- NULL: nothing was posted to this URL yet
);

CREATE FUNCTION grounds.register_webhook(client_name text, stated boolean, stated_url text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '4s' AS $$
DECLARE
    holder int;
BEGIN
    PERFORM grounds.acting_officer();
    holder := grounds.register_client(client_name);
    IF stated AND stated_url IS NULL THEN
        DELETE FROM grounds.webhook WHERE client = holder;
    ELSIF stated THEN
        INSERT INTO grounds.webhook AS w (client, url, sent)
        SELECT k.id, stated_url, k.acknowledged FROM grounds.client k WHERE k.id = holder
        ON CONFLICT (client) DO UPDATE SET failures = 0, next_at = '-infinity', url = excluded.url,
            sent = CASE WHEN w.url = excluded.url THEN w.sent ELSE excluded.sent END,
            attempted_at = CASE WHEN w.url = excluded.url THEN w.attempted_at END;
    END IF;
    RETURN (SELECT url FROM grounds.webhook WHERE client = holder);
END $$;

-- What is to be posted now: of each webhook that is due, and has no request under way, the next retractions in order.
CREATE FUNCTION grounds.due_webhooks(under_way int[], most_webhooks int, most_retractions int)
RETURNS TABLE (client int, name text, url text, retraction bigint, item bigint, kind text,
    retracted_at timestamptz, due_by timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('grounds.job', 'webhook', TRUE);
    RETURN QUERY
        SELECT w.client, k.name, w.url, r.id, r.item, r.kind, r.retracted_at, r.due_by
        FROM (
            SELECT w.* FROM grounds.webhook w
            WHERE w.next_at <= clock_timestamp() AND w.client <> ALL (under_way)
                AND EXISTS (SELECT FROM grounds.retraction_batch r WHERE r.client = w.client AND r.last_id > w.sent)
            ORDER BY w.next_at, w.client LIMIT most_webhooks
        ) w
        JOIN grounds.client k ON k.id = w.client
        CROSS JOIN LATERAL grounds.retractions_after(w.client, w.sent, most_retractions) r
        ORDER BY w.next_at, w.client, r.id;
END $$;

CREATE FUNCTION grounds.record_webhook(holder int, posted_to text, up_to bigint) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE grounds.webhook SET
        attempted_at = grounds.decision_time(),
        sent = coalesce(up_to, sent),
        failures = CASE WHEN up_to IS NULL THEN failures + 1 ELSE 0 END,
        next_at = CASE WHEN up_to IS NULL
            THEN clock_timestamp()
                + least(2 ^ least(failures + 1, 12), 3600) * (0.8 + 0.4 * random()) * interval '1 second'
            ELSE '-infinity' END
    WHERE client = holder AND url = posted_to
$$;

-- Clients: one officer suspends a client at once, it receives nothing from the next page on; to resume takes two.
CREATE TABLE grounds.client_suspension (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client int NOT NULL,
    reason text NOT NULL,
    suspended_by text NOT NULL,
    suspended_at timestamptz NOT NULL,
    resume_asked_by text,
    resume_asked_at timestamptz,
    resumed_by text CHECK (resumed_by <> resume_asked_by),
    resumed_at timestamptz
);

CREATE UNIQUE INDEX client_suspension_open ON grounds.client_suspension (client) WHERE resumed_at IS NULL;

-- NULL: there is no such client.
CREATE FUNCTION grounds.suspend_client(client_name text, its_reason text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    officer constant text := grounds.acting_officer();
    holder int;
BEGIN
    UPDATE grounds.client SET suspended = TRUE WHERE name = client_name RETURNING id INTO holder;
    IF holder IS NULL THEN
        RETURN NULL;
    END IF;
    INSERT INTO grounds.client_suspension (client, reason, suspended_by, suspended_at)
    VALUES (holder, its_reason, officer, grounds.decision_time()) ON CONFLICT DO NOTHING;
    RETURN CASE WHEN FOUND THEN 'SUSPENDED' ELSE 'SUSPENDED_BEFORE' END;
END $$;

-- The first officer asks, another one lets the client receive items again. NULL: no officer suspended such a client.
CREATE FUNCTION grounds.resume_client(client_name text) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    officer constant text := grounds.acting_officer();
    found_suspension grounds.client_suspension;
BEGIN
    SELECT s.* INTO found_suspension FROM grounds.client_suspension s JOIN grounds.client k ON k.id = s.client
    WHERE k.name = client_name AND s.resumed_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    ELSIF found_suspension.resume_asked_by IS NULL THEN
        UPDATE grounds.client_suspension SET resume_asked_by = officer, resume_asked_at = grounds.decision_time()
        WHERE id = found_suspension.id;
        RETURN 'ASKED';
    ELSIF found_suspension.resume_asked_by = officer THEN
        RETURN 'SAME_OFFICER';
    END IF;
    UPDATE grounds.client_suspension SET resumed_by = officer, resumed_at = grounds.decision_time()
    WHERE id = found_suspension.id;
    UPDATE grounds.client SET suspended = FALSE WHERE id = found_suspension.client;
    RETURN 'RESUMED';
END $$;

-- Why the claimed client receives nothing. When its first retraction that it has not acknowledged falls due is looked up, and
-- not kept with the client, where an acknowledgement would wait for the job that writes retractions.
CREATE FUNCTION grounds.delivery_suspension() RETURNS text LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asking constant grounds.client := (SELECT k FROM grounds.client k WHERE k.id = grounds.claimed_client());
BEGIN
    RETURN CASE WHEN asking.suspended THEN 'SUSPENDED' WHEN (
        SELECT r.due_by FROM grounds.retraction_batch r
        WHERE r.client = asking.id AND r.last_id > asking.acknowledged AND r.kind <> 'RELEASE' ORDER BY r.last_id LIMIT 1
    ) <= grounds.decision_time() THEN 'OVERDUE' END;
END $$;

CREATE FUNCTION grounds.client_webhooks() RETURNS TABLE (client int, host text, attempted_at timestamptz, failures int)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT w.client, substring(w.url FROM '^[^:]+://(\[[^]]*\]|[^/:?]*)'), w.attempted_at, w.failures
    FROM grounds.webhook w WHERE grounds.examining()
$$;
