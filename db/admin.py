"""What only the database's administrator does: roles, migrations, and putting a policy in force."""

import hashlib
import hmac
import time
from pathlib import Path

import psycopg
from psycopg import sql

from db.access import LOGIN_ROLES, grant_of, statements
from db.policy.compile import compiled_views
from db.policy.document import Policy, PolicyError, default_policy, parse_policy

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x67726F756E6473  # "grounds"


class DatabaseError(Exception):
    """Say what is wrong with the database, and what to do."""


def role_password(secret: bytes, role: str) -> str:
    """Derive the password of a login role, so that no process has to be told it."""
    return hmac.new(secret, b"role:" + role.encode(), hashlib.sha256).hexdigest()


def prepare(url: str, secret: bytes) -> None:
    """Bring a database up to date: roles with their passwords, migrations, and a policy in force.

    Raises DatabaseError when the server cannot be used.
    """
    with _connected(url) as connection:
        if connection.info.server_version < 150000:
            raise DatabaseError(
                f"PostgreSQL {connection.info.server_version // 10000} is too old: Grounds needs 15 or later"
            )
        _lock(connection)
        connection.execute((_MIGRATIONS / "sql" / "roles.sql").read_bytes())
        for role in LOGIN_ROLES:
            password = psycopg.sql.Literal(role_password(secret, role))
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), password))
        outdated = _version(connection) != _newest()
        if outdated:
            connection.execute("CREATE SCHEMA IF NOT EXISTS grounds AUTHORIZATION grounds_owner")
            _migrate(url)
        policy = active_policy(connection) or default_policy()
        row = connection.execute("SELECT compiled FROM grounds.policy WHERE active").fetchone()
        if outdated or row is None or row[0] != _digest(policy):
            put_in_force(connection, policy)


def active_policy(connection: psycopg.Connection) -> Policy | None:
    """Read the policy in force, or None before the first."""
    row = connection.execute("SELECT document::text FROM grounds.policy WHERE active").fetchone()
    return parse_policy(row[0]) if row else None


def activate_policy(url: str, policy: Policy) -> None:
    """Put a policy in force for the next statement anywhere.

    Raises PolicyError when another document was in force under the same version: a version is immutable.
    """
    with _connected(url) as connection:
        _lock(connection)
        put_in_force(connection, policy)


def put_in_force(connection: psycopg.Connection, policy: Policy) -> None:
    """Compile a policy and swap the views, in one transaction; standings follow where its parameters changed."""
    with connection.transaction():
        connection.execute("SET LOCAL ROLE grounds_owner")
        before = active_policy(connection)
        known = connection.execute(
            "SELECT document::text FROM grounds.policy WHERE version = %s", [policy.version]
        ).fetchone()
        if known and parse_policy(known[0]).document() != policy.document():
            raise PolicyError(
                f"policy {policy.version}: another document was in force under this version (give it a new version)"
            )
        views = compiled_views(policy)
        connection.execute(sql.SQL("DROP VIEW IF EXISTS {}").format(sql.SQL(", ").join(map(_in_schema, views))))
        for name, body in views.items():
            view = _in_schema(name)
            connection.execute(sql.SQL("CREATE VIEW {} WITH (security_barrier) AS ").format(view) + sql.SQL(body))
            connection.execute(grant_of(name).encode())
        connection.execute("UPDATE grounds.policy SET active = FALSE WHERE active")
        connection.execute(
            "INSERT INTO grounds.policy (version, document, active, compiled) VALUES (%s, %s, TRUE, %s)"
            " ON CONFLICT (version) DO UPDATE SET active = TRUE, compiled = excluded.compiled, activated_at = now()",
            [policy.version, policy.document(), _digest(policy)],
        )
        # Approved before it and due as well: passed over.
        connection.execute(
            "UPDATE grounds.policy_proposal SET put_in_force_at = grounds.decision_time()"
            " WHERE approved_at IS NOT NULL AND put_in_force_at IS NULL AND effective_from <= grounds.decision_time()"
        )
        if before is None or before.notice != policy.notice:
            connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('grounds.standing', 0))")
            connection.execute("SELECT grounds.refresh_standing(ARRAY(SELECT id FROM grounds.account ORDER BY id))")


def _in_schema(name: str) -> sql.Identifier:
    return sql.Identifier("grounds", name)


def _digest(policy: Policy) -> str:
    return hashlib.sha256("\n".join(compiled_views(policy).values()).encode()).hexdigest()


def _connected(url: str) -> psycopg.Connection:
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=10)
    except psycopg.OperationalError as error:
        raise DatabaseError(f"cannot reach PostgreSQL (check DATABASE_URL): {str(error).strip()}") from None


def _lock(connection: psycopg.Connection) -> None:
    """Let one administrator work at a time. Polled: a blocking lock can deadlock with concurrent index builds."""
    while connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK]).fetchone() != (True,):
        time.sleep(0.05)


def _version(connection: psycopg.Connection) -> str | None:
    if connection.execute("SELECT to_regclass('grounds.alembic_version')").fetchone() == (None,):
        return None
    row = connection.execute("SELECT version_num FROM grounds.alembic_version").fetchone()
    return row[0] if row else None


def _newest() -> str:
    return max(path.name.partition("_")[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*.py"))


def _migrate(url: str) -> None:
    """Bring tables and functions up to date, then who may reach them."""
    # Imported here: Alembic and SQLAlchemy take 0.4 s, and a start on an up-to-date database needs neither.
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine, text

    from db.past import derive

    engine = create_engine(
        url.replace("postgres://", "postgresql://", 1).replace("postgresql://", "postgresql+psycopg://", 1)
    )
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL ROLE grounds_owner"))
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        derive(connection)
        for statement in statements():
            connection.exec_driver_sql(statement)
    engine.dispose()
