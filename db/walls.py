"""The database's wall, read back from its catalogue: a server does not start over one that has a gap."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg

from db.access import COMPILED, FUNCTIONS, LOGIN_ROLES, OWNER, TABLES, VIEWS, plain
from db.admin import DatabaseError

# The releases of each major version that mended row security and barriers for good (fixes of 2024 to 2026).
VERSIONS = {15: 18, 16: 14, 17: 10, 18: 4}

Catalogue = Callable[[str], list[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class Wall:
    """Name a wall and what finds its gaps, each in words for the reader."""

    name: str
    gaps: Callable[[Catalogue], Iterable[str]]


def _too_old(catalogue: Catalogue) -> Iterator[str]:
    ((found,),) = catalogue("SELECT current_setting('server_version_num')")
    major, minor = divmod(int(found), 10000)
    if major < min(VERSIONS) or minor < VERSIONS.get(major, 0):
        wanted = ", ".join(f"{major}.{minor}" for major, minor in VERSIONS.items())
        yield f"it is {major}.{minor}, and it must be {wanted} or later"


def _owner(catalogue: Catalogue) -> Iterator[str]:
    powers = "rolcanlogin OR rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication"
    for (role,) in catalogue(f"SELECT rolname FROM pg_roles WHERE rolname = '{OWNER}' AND ({powers})"):
        yield f"role {role}"


def _logins(catalogue: Catalogue) -> Iterator[str]:
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


def _owned(catalogue: Catalogue) -> Iterator[str]:
    for (name,) in catalogue(
        "SELECT c.oid::regclass::text FROM pg_class c WHERE c.relnamespace = 'grounds'::regnamespace"
        f" AND c.relkind IN ('r', 'v', 'm', 'S', 'p', 'f') AND c.relowner <> '{OWNER}'::regrole"
        " UNION ALL SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.pronamespace = 'grounds'::regnamespace"
        f" AND p.proowner <> '{OWNER}'::regrole"
    ):
        yield name


def _granted(catalogue: Catalogue) -> Iterator[str]:
    """Compare what each role may do to each relation, and to each column, with the declaration, both ways."""
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


def _callable(catalogue: Catalogue) -> Iterator[str]:
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


def _closed(catalogue: Catalogue) -> Iterator[str]:
    wanted = set(LOGIN_ROLES)
    for role, privilege in catalogue(
        "SELECT coalesce(r.rolname, 'PUBLIC'), a.privilege_type FROM pg_namespace n CROSS JOIN aclexplode(n.nspacl) a"
        f" LEFT JOIN pg_roles r ON r.oid = a.grantee WHERE n.nspname = 'grounds' AND a.grantee <> '{OWNER}'::regrole"
    ):
        if privilege != "USAGE" or role not in wanted:
            yield f"{role} has {privilege} on schema grounds"


def _barriers(catalogue: Catalogue) -> Iterator[str]:
    options = {name: (kind, said or "") for name, kind, said in catalogue(
        "SELECT c.relname, c.relkind::text, array_to_string(c.reloptions, ',') FROM pg_class c"
        " WHERE c.relnamespace = 'grounds'::regnamespace AND c.relkind IN ('v', 'm')"
    )}  # fmt: skip
    for name in COMPILED:
        if options.get(name) != ("v", "security_barrier=true"):
            yield f"grounds.{name}"
    for name in options.keys() - set(COMPILED):
        if "security_invoker=true" not in options[name][1]:
            yield f"grounds.{name}"


def _rows(catalogue: Catalogue) -> Iterator[str]:
    """Compare row security and every policy with the declaration, word for word."""
    for name, secured in catalogue(
        "SELECT c.relname, (c.relrowsecurity AND c.relforcerowsecurity)::text FROM pg_class c"
        " WHERE c.relnamespace = 'grounds'::regnamespace AND c.relkind IN ('r', 'p')"
    ):
        if name not in TABLES and name != "alembic_version":
            yield f"grounds.{name} is in no declaration"
        elif name in TABLES and secured != "true":
            yield f"grounds.{name} does not force row security"
    wanted = {
        (table, role, "*", "true", role, plain(access.rows), "")
        for table, roles in TABLES.items()
        for role, access in roles.items()
    }
    found = {
        (table, name, command, permissive, roles, plain(using), plain(check))
        for table, name, command, permissive, roles, using, check in catalogue(
            "SELECT c.relname, p.polname, p.polcmd::text, p.polpermissive::text, array_to_string(ARRAY("
            "  SELECT coalesce(r.rolname, 'PUBLIC') FROM unnest(p.polroles) o LEFT JOIN pg_roles r ON r.oid = o), ','),"
            " coalesce(pg_get_expr(p.polqual, p.polrelid), ''), coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '')"
            " FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE c.relnamespace = 'grounds'::regnamespace"
        )
    }
    for table, name, *_ in sorted(found ^ wanted):
        yield f"policy {name} on grounds.{table}"


def _own_functions(catalogue: Catalogue) -> Iterator[str]:
    for (name,) in catalogue(
        "SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.pronamespace = 'grounds'::regnamespace"
        " AND p.prosecdef AND NOT 'search_path=pg_catalog, pg_temp' = ANY (coalesce(p.proconfig, '{}'))"
    ):
        yield name


def _in_force(catalogue: Catalogue) -> Iterator[str]:
    if not catalogue("SELECT version FROM grounds.policy WHERE active"):
        yield "no policy is in force"


WALLS = (
    Wall("PostgreSQL has the fixes that the walls stand on", _too_old),
    Wall("the owner cannot log in and is no superuser", _owner),
    Wall("a login role can do nothing beside what it is granted", _logins),
    Wall("everything belongs to the owner", _owned),
    Wall("each role reaches what is declared, and nothing else", _granted),
    Wall("each role calls what is declared, and nothing is executable by everybody", _callable),
    Wall("the schema is open to the login roles only", _closed),
    Wall("a compiled view is a barrier and reads as its owner", _barriers),
    Wall("row security is forced on every table, by the declared rules", _rows),
    Wall("a function that runs as the owner pins where it looks", _own_functions),
    Wall("the rules in force are those of a policy", _in_force),
)


def gaps(connection: psycopg.Connection) -> list[str]:
    """Read the catalogue; name every wall that has a gap, and the gap."""

    def catalogue(query: str) -> list[tuple[Any, ...]]:
        return connection.execute(query.encode()).fetchall()

    return [f"{wall.name}: {', '.join(found)}" for wall in WALLS if (found := list(wall.gaps(catalogue)))]


def check_walls(url: str) -> None:
    """Raise DatabaseError when a wall has a gap."""
    with psycopg.connect(url, autocommit=True) as connection:
        found = gaps(connection)
    if found:
        listed = "\n".join(f"  - {gap}" for gap in found)
        raise DatabaseError(f"the database's wall has a gap (mend it, or restore the database):\n{listed}")
