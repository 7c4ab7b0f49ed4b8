-- A data subject learns of the objections that reach the own account, and of nobody else's not so much as that there
-- are any.
CREATE OR REPLACE FUNCTION grounds.objections_reaching(reached bigint) RETURNS TABLE (objection bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT DISTINCT n.objection
    FROM grounds.same_person(ARRAY[reached]) m CROSS JOIN LATERAL grounds.objections_naming(m.member) n
    WHERE session_user <> 'grounds_subject' OR reached = grounds.claimed_account()
$$;
