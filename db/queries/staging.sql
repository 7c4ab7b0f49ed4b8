-- name: create_stages#
-- A chunk of lines lies here while it is merged; rows go with the transaction.
CREATE TEMP TABLE IF NOT EXISTS stage_account (
    line bigint, outcome text, platform_id text, person text, product text, kind text, born_on text, country text,
    status text, status_since timestamptz, compromised tstzmultirange, contacts text[], observed_at timestamptz,
    digest bytea
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS stage_content (
    line bigint, outcome text, platform_id text, account text, kind text, audience text, audience_since timestamptz,
    language text, text text, media json, created_at timestamptz, edited_at timestamptz, deleted_at timestamptz,
    parent text, referenced text[], relations text[], reserved boolean, special_category text, safety text,
    pipeline smallint, media_deidentified boolean, observed_at timestamptz, digest bytea
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS stage_notice (
    line bigint, outcome text, platform_id text, account text, channel text, epoch text, sent_at timestamptz,
    delivered_at timestamptz, bounced_at timestamptz, observed_at timestamptz, digest bytea
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS stage_objection (
    line bigint, outcome text, platform_id text, account text, person text, contact text, scope text,
    received_at timestamptz, channel text, withdrawn_at timestamptz, observed_at timestamptz, digest bytea
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS stage_consent (
    line bigint, outcome text, platform_id text, account text, given_at timestamptz, withdrawn_at timestamptz,
    observed_at timestamptz, digest bytea
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS stage_rejected (
    line bigint, record text, platform_id text, digest bytea, observed_at timestamptz, account text, person text,
    contact text
) ON COMMIT DELETE ROWS;

-- name: begin_merge!
-- Two merges at once would judge against what the other is about to change. Row security asks for the claim.
SELECT pg_advisory_xact_lock(hashtextextended('grounds.ingest', 0)), set_config('grounds.ingest', 'on', TRUE);
