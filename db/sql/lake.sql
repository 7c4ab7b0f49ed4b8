-- Lakes: facts that another engine decides about. What it delivers is decided about again here, and receipted, before its
-- files are handed over.

-- Open a file that another engine wrote for the claimed client, for the transaction: what of it is no longer permitted, or has
-- other texts or media than the lake, is to be cut. `revisions` is when each changed last, as the lake has it. The table of
-- items is locked so that the job which finds recipients sees that a delivery is in progress. A planted item among those listed
-- stops everything.
CREATE FUNCTION grounds.open_lake_file(
    listed bigint[], revisions timestamptz[], decided_under text, OUT state text, OUT gone bigint[]
) LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
    LOCK TABLE grounds.content IN ACCESS SHARE MODE;
    state := CASE WHEN grounds.stopped_by_canary(listed) THEN 'PLANTED'
        ELSE coalesce(grounds.delivery_suspension(), CASE WHEN grounds.releases_pause() THEN 'PAUSED'
            WHEN decided_under IS DISTINCT FROM (SELECT p.version FROM grounds.policy p WHERE p.active) THEN 'OTHER_POLICY'
            ELSE 'OPEN' END) END;
    IF state <> 'OPEN' THEN
        RETURN;
    END IF;
    gone := ARRAY(
        SELECT i FROM unnest(listed, revisions) l (i, revision)
        WHERE (SELECT grounds.require_decisions()) AND (
            NOT EXISTS (SELECT FROM grounds.trainable_content t WHERE t.id = i OFFSET 0)
            OR NOT EXISTS (
                SELECT FROM grounds.content c
                WHERE c.id = i AND greatest(c.revised_at, '1600-01-01 00:00:00+00') = revision OFFSET 0))
        ORDER BY 1);
EXCEPTION WHEN SQLSTATE 'GD001' THEN
    state := 'PAUSED';
    gone := NULL;
END $$;

-- The receipt of items of a file that another engine wrote: an ordinary one. Bit n stands for the item first + n. If an earlier
-- attempt to hand over the same file was interrupted, `since` is the newest receipt before it: a receipt that the attempt wrote
-- stays the only one, unless its items were recalled meanwhile.
CREATE FUNCTION grounds.write_lake_receipt(first bigint, bits bytea, count int, sha256 bytea, since bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    part grounds.release_shard;
    written bigint;
BEGIN
    part.first := first;
    part.item_bits := bits;
    part.item_count := count;
    part.sha256 := sha256;
    part.client := grounds.claimed_client();
    IF grounds.shard_stopped_by_canary(first, bits) THEN
        RETURN NULL;
    END IF;
    SELECT d.id INTO written FROM grounds.delivery d
    WHERE d.client = part.client AND d.id > since AND d.file_sha256 = part.sha256 AND d.purpose = grounds.claim('purpose')
        AND d.lowest = part.first AND d.item_count = part.item_count
        AND NOT EXISTS (SELECT FROM grounds.retraction_batch r WHERE r.client = d.client AND r.delivery = d.id)
    ORDER BY d.id DESC LIMIT 1;
    RETURN coalesce(written, grounds.write_shard_receipt(part));
END $$;
