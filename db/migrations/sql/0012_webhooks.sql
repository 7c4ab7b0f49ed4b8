-- Webhooks: where a client wants its retractions posted, and how far that came. Not in grounds.client: whoever posts
-- holds the row until the answer is there, and a client acknowledges meanwhile.
CREATE TABLE grounds.webhook (
    client int PRIMARY KEY,
    url text NOT NULL,
    sent bigint NOT NULL,               -- the last retraction that was posted and answered with a 2xx
    failures int NOT NULL DEFAULT 0,    -- in a row
    next_at timestamptz NOT NULL DEFAULT '-infinity'
);

-- An officer makes a client known, and states its webhook, or that it has none. Another URL is told what the client has
-- not acknowledged; the same one is tried again at once. Whoever posts there may hold the row for a while.
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
            sent = CASE WHEN w.url = excluded.url THEN w.sent ELSE excluded.sent END;
    END IF;
    RETURN (SELECT url FROM grounds.webhook WHERE client = holder);
END $$;

-- What is to be posted now: of each webhook that is due, and has no request under way, the next retractions in order.
CREATE FUNCTION grounds.due_webhooks(under_way int[], most_webhooks int, most_retractions int)
RETURNS TABLE (client int, name text, url text, retraction bigint, item bigint, kind text, urgent boolean,
    retracted_at timestamptz, due_by timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('grounds.duty', 'webhook', TRUE);
    RETURN QUERY
        SELECT w.client, k.name, w.url, r.id, r.item, r.kind, r.urgent, r.retracted_at, nullif(r.due_by, 'infinity')
        FROM (
            SELECT w.* FROM grounds.webhook w
            WHERE w.next_at <= clock_timestamp() AND w.client <> ALL (under_way)
                AND EXISTS (SELECT FROM grounds.retraction r WHERE r.client = w.client AND r.id > w.sent)
            ORDER BY w.next_at, w.client LIMIT most_webhooks
        ) w
        JOIN grounds.client k ON k.id = w.client
        CROSS JOIN LATERAL (
            SELECT * FROM grounds.retraction r WHERE r.client = w.client AND r.id > w.sent
            ORDER BY r.id LIMIT most_retractions
        ) r
        ORDER BY w.next_at, w.client, r.id;
END $$;

-- What became of a request: it was answered with a 2xx up to a retraction, or (NULL) it was not, and is tried again
-- after 2, 4, 8 ... seconds, an hour at most, a fifth more or less, so that many do not come back at once.
-- An officer may have stated another URL meanwhile.
CREATE FUNCTION grounds.record_webhook(holder int, posted_to text, up_to bigint) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE grounds.webhook SET
        sent = coalesce(up_to, sent),
        failures = CASE WHEN up_to IS NULL THEN failures + 1 ELSE 0 END,
        next_at = CASE WHEN up_to IS NULL
            THEN clock_timestamp()
                + least(2 ^ least(failures + 1, 12), 3600) * (0.8 + 0.4 * random()) * interval '1 second'
            ELSE '-infinity' END
    WHERE client = holder AND url = posted_to
$$;
