"""Compare the database's catalogue with the declared access. A server does not start if they differ."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg

from db.access.declaration import (
    COMPILED_VIEWS,
    FUNCTIONS,
    LOGIN_ROLES,
    OFFER_TRIGGERS,
    OWNER,
    TABLES,
    VIEWS,
)
from db.access.grants import normalize_rule
from db.access.role_names import RoleNames, role_names
from db.administrator import DatabaseError

# The releases of each major version that fixed row security and barriers (fixes of 2024 to 2026).
MIN_VERSIONS = {15: 18, 16: 14, 17: 10, 18: 4}


class AccessCatalogue:
    """The catalogue of a database. Queries and results name the roles as the declaration does."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection, self._names = connection, role_names(connection) or RoleNames()

    def __call__(self, query: str) -> list[tuple[Any, ...]]:
        """Run a query on the database's catalogue."""
        rows = self._connection.execute(self._names.of(query).encode()).fetchall()
        return [tuple(map(self._names.declared, row)) for row in rows]


@dataclass(frozen=True, slots=True)
class AccessCheck:
    """A check of one kind of access: its name, and the function that describes what differs."""

    name: str
    find_gaps: Callable[[AccessCatalogue], Iterable[str]]


def _version_gaps(catalogue: AccessCatalogue) -> Iterator[str]:
    """Yield the PostgreSQL version if the declared access cannot be trusted to it."""
    ((found,),) = catalogue("SELECT current_setting('server_version_num')")
    major, minor = divmod(int(found), 10000)
    if major < min(MIN_VERSIONS) or minor < MIN_VERSIONS.get(major, 0):
        wanted = ", ".join(f"{major}.{minor}" for major, minor in MIN_VERSIONS.items())
        yield f"the version is {major}.{minor}, and must be {wanted} or later"


def _owner_gaps(catalogue: AccessCatalogue) -> Iterator[str]:
    """Yield the owner role if it can log in or bypass the declared access."""
    powers = "rolcanlogin OR rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication"
    for (role,) in catalogue(f"SELECT rolname FROM pg_roles WHERE rolname = '{OWNER}' AND ({powers})"):
        yield f"role {role}"


def _login_gaps(catalogue: AccessCatalogue) -> Iterator[str]:
    """Yield each login role that has more privileges than the declared access."""
    names = ", ".join(f"'{role}'" for role in LOGIN_ROLES)
    powers = "rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication"
    found: dict[str, str] = dict(
        catalogue(f"SELECT rolname, ({powers})::text FROM pg_roles WHERE rolname IN ({names})")
    )
    for role in LOGIN_ROLES:
        if found.get(role) != "false":
            yield f"role {role}"
    for member, role in catalogue(
        "SELECT m.rolname, r.rolname FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member"
        f" JOIN pg_roles r ON r.oid = a.roleid WHERE m.rolname IN ({names})"
    ):
        yield f"role {member} is a member of {role}"


def _ownership_gaps(catalogue: AccessCatalogue) -> Iterator[str]:
    """Yield each table, view and function that another role than the declared one owns."""
    for (name,) in catalogue(
        "SELECT c.oid::regclass::text FROM pg_class c WHERE c.relnamespace = 'grounds'::regnamespace"
        f" AND c.relkind IN ('r', 'v', 'm', 'S', 'p', 'f') AND c.relowner <> '{OWNER}'::regrole"
        " UNION ALL SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.pronamespace = 'grounds'::regnamespace"
        f" AND p.proowner <> '{OWNER}'::regrole"
    ):
        yield name


def _grant_gaps(catalogue: AccessCatalogue) -> Iterator[str]:
    """Compare each role's privileges on each relation and column with the declared access, both ways."""
    wanted = {(table, role, privilege) for table, roles in TABLES.items() for role, access in roles.items()
              for privilege in access.privileges}  # fmt: skip
    wanted |= {(view, role, "SELECT") for view, roles in VIEWS.items() for role in roles}
    acl = "coalesce(r.rolname, 'PUBLIC'), a.privilege_type FROM pg_class c"
    granted = " CROSS JOIN aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee"
    of_columns = (
        " JOIN pg_attribute t ON t.attrelid = c.oid CROSS JOIN aclexplode(t.attacl) a"
        " LEFT JOIN pg_roles r ON r.oid = a.grantee"
    )
    mine = f" WHERE c.relnamespace = 'grounds'::regnamespace AND a.grantee <> '{OWNER}'::regrole"
    found = set(catalogue(f"SELECT c.relname, {acl}{granted}{mine}"))
    found |= set(catalogue(f"SELECT c.relname || '.' || t.attname, {acl}{of_columns}{mine}"))
    for name, role, privilege in sorted(found - wanted):
        yield f"{role} may {privilege} {name}"
    for name, role, privilege in sorted(wanted - found):
        yield f"{role} may not {privilege} {name}"


def _function_grant_gaps(catalogue: AccessCatalogue) -> Iterator[str]:
    """Compare each role's right to call functions with the declared access, both ways."""
    wanted = {(function.replace(" ", ""), role) for function, roles in FUNCTIONS.items() for role in roles}
    found = {
        (name.removeprefix("grounds.").replace(" ", ""), role)
        for name, role in catalogue(
            "SELECT p.oid::regprocedure::text, coalesce(r.rolname, 'PUBLIC') FROM pg_proc p"
            " CROSS JOIN aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a"
            " LEFT JOIN pg_roles r ON r.oid = a.grantee"
            f" WHERE p.pronamespace = 'grounds'::regnamespace AND a.grantee <> '{OWNER}'::regrole"
        )
    }
    for function, role in sorted(found - wanted):
        yield f"{role} may call {function}"
    for function, role in sorted(wanted - found):
        yield f"{role} may not call {function}"


def _schema_grant_gaps(catalogue: AccessCatalogue) -> Iterator[str]:
    """Yield each privilege on the schema that the declared access does not have."""
    wanted = set(LOGIN_ROLES)
    for role, privilege in catalogue(
        "SELECT coalesce(r.rolname, 'PUBLIC'), a.privilege_type FROM pg_namespace n CROSS JOIN aclexplode(n.nspacl) a"
        f" LEFT JOIN pg_roles r ON r.oid = a.grantee WHERE n.nspname = 'grounds' AND a.grantee <> '{OWNER}'::regrole"
    ):
        if privilege != "USAGE" or role not in wanted:
            yield f"{role} has {privilege} on schema grounds"


def _barrier_gaps(catalogue: AccessCatalogue) -> Iterator[str]:
    """Yield each view without the option that keeps row security in force for the tables behind it."""
    options = {name: (kind, said or "") for name, kind, said in catalogue(
        "SELECT c.relname, c.relkind::text, array_to_string(c.reloptions, ',') FROM pg_class c"
        " WHERE c.relnamespace = 'grounds'::regnamespace AND c.relkind IN ('v', 'm')"
    )}  # fmt: skip
    for name in COMPILED_VIEWS:
        if options.get(name) != ("v", "security_barrier=true"):
            yield f"grounds.{name}"
    for name in options.keys() - set(COMPILED_VIEWS):
        if "security_invoker=true" not in options[name][1]:
            yield f"grounds.{name}"


def _row_security_gaps(catalogue: AccessCatalogue) -> Iterator[str]:
    """Compare row security and every row security policy with the declared access, word for word."""
    for name, secured in catalogue(
        "SELECT c.relname, (c.relrowsecurity AND c.relforcerowsecurity)::text FROM pg_class c"
        " WHERE c.relnamespace = 'grounds'::regnamespace AND c.relkind IN ('r', 'p')"
    ):
        if name not in TABLES and name != "migration":
            yield f"grounds.{name} is in no declaration"
        elif name in TABLES and secured != "true":
            yield f"grounds.{name} does not force row security"
    wanted = {
        (table, role, "*", "true", role, normalize_rule(access.rows), "")
        for table, roles in TABLES.items()
        for role, access in roles.items()
    }
    found = {
        (table, name, command, permissive, roles, normalize_rule(using), normalize_rule(check))
        for table, name, command, permissive, roles, using, check in catalogue(
            "SELECT c.relname, p.polname, p.polcmd::text, p.polpermissive::text, array_to_string(ARRAY("
            "  SELECT coalesce(r.rolname, 'PUBLIC') FROM unnest(p.polroles) o LEFT JOIN pg_roles r ON r.oid = o), ','),"
            " coalesce(pg_get_expr(p.polqual, p.polrelid), ''), coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '')"
            " FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE c.relnamespace = 'grounds'::regnamespace"
        )
    }
    for table, name, *_ in sorted(found ^ wanted):
        yield f"policy {name} on grounds.{table}"


def _search_path_gaps(catalogue: AccessCatalogue) -> Iterator[str]:
    """Yield each function that runs with its owner's rights and an open search path."""
    for (name,) in catalogue(
        "SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.pronamespace = 'grounds'::regnamespace"
        " AND p.prosecdef AND NOT 'search_path=pg_catalog, pg_temp' = ANY (coalesce(p.proconfig, '{}'))"
    ):
        yield name


def _policy_gaps(catalogue: AccessCatalogue) -> Iterator[str]:
    """Report if no policy is in force. Without a policy, no role can be granted its views."""
    if not catalogue("SELECT version FROM grounds.policy WHERE active"):
        yield "no policy is in force"


def _mark_gaps(catalogue: AccessCatalogue) -> Iterator[str]:
    """Yield each missing trigger that must mark the offers that a change affects."""
    enabled = {
        f"{trigger} on {table}"
        for table, trigger in catalogue(
            "SELECT c.relname, t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
            " WHERE c.relnamespace = 'grounds'::regnamespace AND t.tgenabled IN ('O', 'A')"
        )
    }
    for table, triggers in OFFER_TRIGGERS.items():
        yield from (f"trigger {name} on {table}" for name in triggers if f"{name} on {table}" not in enabled)


ACCESS_CHECKS = (
    AccessCheck("PostgreSQL has the fixes that row security needs", _version_gaps),
    AccessCheck("the owner cannot log in and is not a superuser", _owner_gaps),
    AccessCheck("a login role has no privileges beyond its grants", _login_gaps),
    AccessCheck("everything belongs to the owner", _ownership_gaps),
    AccessCheck("each role has access only to the declared tables and columns", _grant_gaps),
    AccessCheck("each role can call only the declared functions, and PUBLIC can call none", _function_grant_gaps),
    AccessCheck("only the login roles can use the schema", _schema_grant_gaps),
    AccessCheck("a compiled view is a security barrier and reads with the rights of its owner", _barrier_gaps),
    AccessCheck("row security is forced on every table, with the declared policies", _row_security_gaps),
    AccessCheck("a function that runs as the owner has a fixed search_path", _search_path_gaps),
    AccessCheck("every change that can alter a decision marks the affected offers", _mark_gaps),
    AccessCheck("the rules in force are those of a policy", _policy_gaps),
)


def find_access_gaps(connection: psycopg.Connection) -> list[str]:
    """Read the database's catalogue; describe every difference from the declared access."""
    catalogue = AccessCatalogue(connection)
    return [
        f"{check.name}: {', '.join(found)}" for check in ACCESS_CHECKS if (found := list(check.find_gaps(catalogue)))
    ]


def verify_access(url: str) -> None:
    """Raise DatabaseError if the database's access differs from the declaration."""
    with psycopg.connect(url, autocommit=True) as connection:
        found = find_access_gaps(connection)
    if found:
        listed = "\n".join(f"  - {gap}" for gap in found)
        raise DatabaseError(
            "the privileges in the database differ from the privileges that db/access/declaration.py declares (correct"
            f" the privileges, or restore the database):\n{listed}"
        )
