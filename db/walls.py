"""The database's wall, read back from its catalogue: a server does not start over one that has a gap."""

from dataclasses import dataclass

import psycopg

from db.admin import DatabaseError


@dataclass(frozen=True, slots=True)
class Wall:
    """Name a wall and the query that finds its gaps, one a row, in words for the reader."""

    name: str
    gaps: str


_LOGINS = "('grounds_training', 'grounds_staff', 'grounds_ingest')"

WALLS = (
    Wall(
        "the owner cannot log in and is no superuser",
        "SELECT 'role ' || rolname FROM pg_roles WHERE rolname = 'grounds_owner' AND (rolcanlogin OR rolsuper"
        " OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)",
    ),
    Wall(
        "a login role can do nothing beside what it is granted",
        f"SELECT 'role ' || rolname FROM pg_roles WHERE rolname IN {_LOGINS} AND (rolsuper OR rolbypassrls"
        " OR rolcreaterole OR rolcreatedb OR rolreplication)"
        " UNION ALL SELECT 'role ' || m.rolname || ' is a member of ' || r.rolname FROM pg_auth_members a"
        f" JOIN pg_roles m ON m.oid = a.member JOIN pg_roles r ON r.oid = a.roleid WHERE m.rolname IN {_LOGINS}",
    ),
    Wall(
        "everything belongs to the owner",
        "SELECT c.oid::regclass::text FROM pg_class c WHERE c.relnamespace = 'grounds'::regnamespace"
        " AND c.relkind IN ('r', 'v', 'm', 'S', 'p', 'f') AND c.relowner <> 'grounds_owner'::regrole"
        " UNION ALL SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.pronamespace = 'grounds'::regnamespace"
        " AND p.proowner <> 'grounds_owner'::regrole",
    ),
    Wall(
        "the training role reads the compiled view and its receipts, and nothing else",
        "SELECT c.oid::regclass || ': ' || privilege FROM pg_class c"
        " CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER'])"
        " privilege"
        " WHERE c.relnamespace = 'grounds'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'p', 'f')"
        " AND (has_table_privilege('grounds_training', c.oid, privilege)"
        "      OR (privilege IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')"
        "          AND has_any_column_privilege('grounds_training', c.oid, privilege)))"
        " AND NOT (privilege = 'SELECT' AND c.relname IN ('trainable_content', 'delivery'))",
    ),
    Wall(
        "the training role calls only what a page needs",
        "SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.pronamespace = 'grounds'::regnamespace"
        " AND has_function_privilege('grounds_training', p.oid, 'EXECUTE')"
        " AND p.proname NOT IN ('decision_time', 'write_receipt', 'register_client')",
    ),
    Wall(
        "staff and ingest cannot change receipts, policies, holds or the ledger",
        "SELECT r || ' may ' || privilege || ' ' || t FROM unnest(ARRAY['grounds_staff', 'grounds_ingest']) r"
        " CROSS JOIN unnest(ARRAY['grounds.delivery', 'grounds.policy', 'grounds.hold', 'grounds.consent_event',"
        "   'grounds.account_standing']) t CROSS JOIN unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) privilege"
        " WHERE has_table_privilege(r, t, privilege)",
    ),
    Wall(
        "nothing is open to everybody",
        "SELECT 'schema grounds' WHERE has_schema_privilege('public', 'grounds', 'USAGE')"
        " UNION ALL SELECT c.oid::regclass::text FROM pg_class c WHERE c.relnamespace = 'grounds'::regnamespace"
        " AND c.relkind IN ('r', 'v', 'm', 'p', 'f')"
        " AND has_table_privilege('public', c.oid, 'SELECT, INSERT, UPDATE, DELETE')"
        " UNION ALL SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.pronamespace = 'grounds'::regnamespace"
        " AND has_function_privilege('public', p.oid, 'EXECUTE')",
    ),
    Wall(
        "a compiled view is a barrier and reads as its owner",
        "SELECT 'grounds.' || wanted FROM unnest(ARRAY['trainable_content', 'decision']) wanted"
        " WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = 'grounds'::regnamespace"
        "   AND c.relname = wanted AND c.relkind = 'v' AND 'security_barrier=true' = ANY (c.reloptions)"
        "   AND NOT EXISTS (SELECT FROM unnest(c.reloptions) o WHERE o LIKE 'security_invoker=%'))",
    ),
    Wall(
        "receipts are shown to their client only",
        "SELECT 'grounds.delivery' FROM pg_class c WHERE c.oid = 'grounds.delivery'::regclass"
        " AND NOT (c.relrowsecurity AND c.relforcerowsecurity)"
        " UNION ALL SELECT 'policy ' || p.polname FROM pg_policy p WHERE p.polrelid = 'grounds.delivery'::regclass"
        " AND 'grounds_training'::regrole = ANY (p.polroles) AND NOT (p.polcmd = 'r'"
        "   AND pg_get_expr(p.polqual, p.polrelid) LIKE '(client = %grounds.client%')"
        " UNION ALL SELECT 'policy ' || p.polname FROM pg_policy p WHERE p.polrelid = 'grounds.delivery'::regclass"
        " AND 0 = ANY (p.polroles)",
    ),
    Wall(
        "the rules in force are those of this release",
        "SELECT 'no policy is in force' WHERE NOT EXISTS (SELECT FROM grounds.policy WHERE active)",
    ),
)


def check_walls(url: str) -> None:
    """Read the catalogue; raise DatabaseError naming every wall that has a gap, and the gap."""
    with psycopg.connect(url, autocommit=True) as connection:
        faults = [
            f"{wall.name}: {', '.join(str(gap) for (gap,) in gaps)}"
            for wall in WALLS
            if (gaps := connection.execute(wall.gaps.encode()).fetchall())
        ]
    if faults:
        listed = "\n".join(f"  - {fault}" for fault in faults)
        raise DatabaseError(f"the database's wall has a gap (mend it, or restore the database):\n{listed}")
