"""What a database's catalogue says of schema grounds, so that two databases can be compared."""

import psycopg

ASPECTS = {
    "columns": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
            coalesce(pg_get_expr(d.adbin, d.adrelid), ''), a.attidentity::text, a.attgenerated::text, a.attstorage::text
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'grounds'::regnamespace AND c.relkind IN ('r', 'p')
            AND attnum > 0 AND NOT attisdropped""",
    "constraints": """
        SELECT c.relname, conname, pg_get_constraintdef(k.oid)
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
        WHERE k.connamespace = 'grounds'::regnamespace""",
    "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'grounds'",
    "functions": """
        SELECT p.oid::regprocedure::text, pg_get_functiondef(p.oid),
            array_to_string(ARRAY(SELECT x::text FROM unnest(proacl) x ORDER BY 1), ',')
        FROM pg_proc p WHERE pronamespace = 'grounds'::regnamespace""",
    "triggers": """
        SELECT pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE NOT tgisinternal AND c.relnamespace = 'grounds'::regnamespace""",
    "policies": """
        SELECT tablename, policyname, permissive, roles::text, cmd, qual, with_check
        FROM pg_policies WHERE schemaname = 'grounds'""",
    "views": """
        SELECT relname, pg_get_viewdef(oid) FROM pg_class
        WHERE relnamespace = 'grounds'::regnamespace AND relkind = 'v'""",
    "grants": """
        SELECT relname, array_to_string(ARRAY(SELECT x::text FROM unnest(relacl) x ORDER BY 1), ','),
            relrowsecurity, relforcerowsecurity
        FROM pg_class WHERE relnamespace = 'grounds'::regnamespace AND relkind IN ('r', 'p', 'v', 'S')""",
    "options": """
        SELECT relname, array_to_string(reloptions, ',') FROM pg_class WHERE relnamespace = 'grounds'::regnamespace""",
    "default privileges": "SELECT defaclobjtype::text, defaclacl::text FROM pg_default_acl",
}


def differences(one: psycopg.Connection, other: psycopg.Connection) -> list[str]:
    """Name everything that stands in one catalogue only."""
    found = []
    for aspect, query in ASPECTS.items():
        rows = []
        for connection in (one, other):
            connection.execute("SET search_path = pg_catalog")
            rows.append(set(connection.execute(query.encode()).fetchall()))
        found += [f"{aspect}: {row}" for row in sorted(rows[0] ^ rows[1], key=str)]
    return found
