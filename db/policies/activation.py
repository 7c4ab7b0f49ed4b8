"""Put a policy in force: compile it and swap the views that enforce it."""

import hashlib
from functools import partial

import psycopg
from psycopg import sql

from db.access.grants import view_grants
from db.access.role_names import BECOME_OWNER, RoleNames, role_names
from db.administrator import LIMIT_LOCKS, administrator_connection, change_when_unlocked
from db.policy.compile import compiled_views
from db.policy.document import Policy, PolicyError, parse_policy
from db.versions import raise_if_newer


def active_policy(connection: psycopg.Connection) -> Policy | None:
    """Read the policy in force from the database, or None before the first."""
    row = connection.execute("SELECT document::text FROM grounds.policy WHERE active").fetchone()
    return parse_policy(row[0]) if row else None


def activate_policy(url: str, policy: Policy) -> None:
    """Put a policy in force for the next statement anywhere.

    Raises PolicyError when another document was in force under the same version: a version is immutable.
    """
    with administrator_connection(url) as connection:
        change_when_unlocked(connection, partial(put_in_force, connection, policy))


def activate_due_policy(url: str) -> bool:
    """Put the latest approved policy whose time has come in force; return whether there was one.

    It is chosen once no other activation is under way: one that was approved meanwhile is neither passed over nor late.
    """
    with administrator_connection(url) as connection:
        row = connection.execute("SELECT grounds.due_policy()::text").fetchone()
        if row is None or row[0] is None:
            return False
        change_when_unlocked(connection, partial(put_in_force, connection, parse_policy(row[0])))
        return True


def put_in_force(connection: psycopg.Connection, policy: Policy) -> None:
    """Compile a policy and replace the views that enforce it, in one transaction; standings follow if needed.

    What is broken off leaves the policy before in force, and a proposal due: the next attempt begins anew. Raises
    DatabaseError if the rules of a later version of Grounds are in force.
    """
    with connection.transaction():
        raise_if_newer(connection)
        connection.execute(BECOME_OWNER)
        before = active_policy(connection)
        due = connection.execute(_DUE, [policy.version]).fetchall()
        known = connection.execute(
            "SELECT document::text FROM grounds.policy WHERE version = %s", [policy.version]
        ).fetchone()
        if known and parse_policy(known[0]).document() != policy.document():
            raise PolicyError(
                ["another document was in force under this version (change the field `version` in the document)"],
                f"policy {policy.version}",
            )
        derives = before is None or before.notice != policy.notice
        if derives:  # before the views are locked, and however long it takes: a merge has this lock for seconds
            connection.execute("SET LOCAL lock_timeout = 0")
            connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('grounds.standing', 0))")
            connection.execute(LIMIT_LOCKS)
        _replace_views(connection, policy)
        connection.execute("UPDATE grounds.policy SET active = FALSE WHERE active")
        connection.execute(
            "INSERT INTO grounds.policy (version, document, active, compiled, stops_after)"
            " VALUES (%s, %s, TRUE, %s, coalesce(%s, 'infinity'::timestamptz))"
            " ON CONFLICT (version) DO UPDATE SET active = TRUE, compiled = excluded.compiled, activated_at = now()",
            [policy.version, policy.document(), compiled_digest(policy), policy.stops_after],
        )
        connection.execute(
            "UPDATE grounds.policy_proposal SET put_in_force_at = grounds.decision_time() WHERE version = ANY (%s)",
            [[version for (version,) in due]],
        )
        if derives:
            connection.execute(
                "SELECT grounds.derive_standings('{}', ARRAY(SELECT id FROM grounds.account ORDER BY id), 20000)"
            )


def _replace_views(connection: psycopg.Connection, policy: Policy) -> None:
    """Replace the views that enforce the policy in force, and grant access to them."""
    views, names = compiled_views(policy), role_names(connection) or RoleNames()
    connection.execute(sql.SQL("DROP VIEW IF EXISTS {}").format(sql.SQL(", ").join(map(_in_schema, views))))
    for name, body in views.items():
        view = _in_schema(name)
        connection.execute(sql.SQL("CREATE VIEW {} WITH (security_barrier) AS ").format(view) + sql.SQL(body))
        for grant in view_grants(name):
            connection.execute(names.of(grant).encode())


def _in_schema(name: str) -> sql.Identifier:
    """Return the quoted name of a view that enforces the policy in force."""
    return sql.Identifier("grounds", name)


def compiled_digest(policy: Policy) -> str:
    """Hash the views that a policy compiles to: a release with other rules puts it in force again.

    The order of lists in the policy does not matter: the document that is stored has one order of its own.
    """
    canonical = parse_policy(policy.document())
    return hashlib.sha256("\n".join(compiled_views(canonical).values()).encode()).hexdigest()


# The proposal itself and those that it passes over, of what is due. Read before anything is waited for: what is
# approved from then on stays due, and is put in force next; so does everything where no proposal is put in force.
_DUE = """
SELECT p.version FROM grounds.policy_proposal p JOIN grounds.policy_proposal chosen ON chosen.version = %s
WHERE p.approved_at IS NOT NULL AND p.put_in_force_at IS NULL AND p.effective_from <= grounds.decision_time()
    AND chosen.put_in_force_at IS NULL
    AND (p.effective_from, p.approved_at) <= (chosen.effective_from, chosen.approved_at)
"""
