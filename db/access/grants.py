"""The statements that bring the rights in a database in line with the declared access."""

import re
from collections.abc import Container, Iterator

import psycopg

from db.access.declaration import COMPILED_VIEWS, FUNCTIONS, LOGIN_ROLES, TABLES, VIEWS
from db.access.role_names import RoleNames


def access_statements(forced: Container[str] = (), rules: Container[tuple[str, str, str]] = ()) -> Iterator[str]:
    """Write the grants that bring tables, views and functions in line with the declared access.

    Tables that force row security, and rules that are in force (table, role, rule), are left as they are.
    """
    yield "REVOKE ALL ON ALL TABLES IN SCHEMA grounds FROM PUBLIC, " + ", ".join(LOGIN_ROLES)
    yield "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA grounds FROM PUBLIC, " + ", ".join(LOGIN_ROLES)
    yield "GRANT USAGE ON SCHEMA grounds TO " + ", ".join(LOGIN_ROLES)
    for table, roles in TABLES.items():
        if table not in forced:
            yield f"ALTER TABLE grounds.{table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
        for role, access in roles.items():
            if (table, role, normalize_rule(access.rows)) not in rules:
                yield f"DROP POLICY IF EXISTS {role} ON grounds.{table}"
                yield f"CREATE POLICY {role} ON grounds.{table} TO {role} USING ({access.rows})"
            if access.privileges:
                yield f"GRANT {', '.join(sorted(access.privileges))} ON grounds.{table} TO {role}"
    for view in VIEWS:
        if view not in COMPILED_VIEWS:
            yield from view_grants(view)
    for function, callers in FUNCTIONS.items():
        yield f"GRANT EXECUTE ON FUNCTION grounds.{function} TO {', '.join(callers)}"


def view_grants(view: str) -> list[str]:
    """Write the grants that open a view to the roles that may read it, if there are any."""
    return [f"GRANT SELECT ON grounds.{view} TO {role}" for role in VIEWS[view]]


def normalize_rule(expression: str) -> str:
    """Normalise a row security rule as declared or as PostgreSQL writes it, with its parentheses and casts."""
    return re.sub(r"::\w+| AS \w+|[\s()]", "", expression)


def row_security(connection: psycopg.Connection, names: RoleNames) -> tuple[set[str], set[tuple[str, str, str]]]:
    """Read which tables force row security, and which rules are in force: those need no lock of a migration."""
    forced = connection.execute(
        "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'grounds'::regnamespace AND c.relforcerowsecurity"
        " AND c.relrowsecurity"
    ).fetchall()
    rules = connection.execute(
        "SELECT c.relname, p.polname, pg_get_expr(p.polqual, p.polrelid) FROM pg_policy p"
        " JOIN pg_class c ON c.oid = p.polrelid WHERE c.relnamespace = 'grounds'::regnamespace AND p.polcmd = '*'"
        " AND p.polpermissive AND p.polroles = ARRAY[to_regrole(p.polname)::oid] AND p.polwithcheck IS NULL"
    ).fetchall()
    return {table for (table,) in forced}, {
        (table, names.declared(role), normalize_rule(rule)) for table, role, rule in rules
    }
