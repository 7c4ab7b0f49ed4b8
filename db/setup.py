"""Bring a database up to date, or check that it is, when a server or a command starts."""

import psycopg
from psycopg import sql

from db.access.declaration import LOGIN_ROLES, WORKER
from db.administrator import DatabaseError, administrator_connection
from db.migrate import DESCRIPTION, MigrationError, apply_migrations, is_current, newest_version
from db.policies.activation import active_policy, compiled_digest, put_in_force
from db.policy.document import default_policy
from db.secrets import KeyUse, derive_key, role_password


def prepare_database(url: str, secret: bytes) -> None:
    """Bring a database up to date: roles with their passwords, migrations, and a policy in force.

    Raises DatabaseError when the server cannot be used, or was set up with another secret: then nothing is changed.
    """
    with administrator_connection(url) as connection:
        _check_server_version(connection)
        is_new = _is_new(connection, secret)
        connection.execute((DESCRIPTION / "roles.sql").read_bytes())
        if is_new or not _can_log_in(url, secret):
            set_passwords(connection, secret)
        try:
            # Tables, grants and rules together: a start that is killed leaves none half done.
            with connection.transaction():
                outdated = apply_migrations(connection)
                if is_new:
                    _record_secret(connection, secret)
                policy = active_policy(connection) or default_policy()
                row = connection.execute("SELECT compiled FROM grounds.policy WHERE active").fetchone()
                if outdated or row is None or row[0] != compiled_digest(policy):
                    put_in_force(connection, policy)
        except MigrationError as error:
            raise DatabaseError(f"cannot bring the database up to date, because {error}") from None


def check_database(url: str, secret: bytes) -> None:
    """Raise DatabaseError unless the database is set up, with this secret, and up to date. Nothing is changed."""
    with administrator_connection(url) as connection:
        _check_server_version(connection)
        try:
            if not is_current(connection) or _is_new(connection, secret):
                found = newest_version()
                raise DatabaseError(f"the database is older than version {found} (run grounds migrate)")
        except MigrationError as error:
            raise DatabaseError(f"cannot use the database, because {error}") from None
        row = connection.execute("SELECT compiled FROM grounds.policy WHERE active").fetchone()
        policy = active_policy(connection)
        if policy is None or row is None or row[0] != compiled_digest(policy):
            raise DatabaseError("the rules in the database were compiled by another release (run grounds migrate)")


def _check_server_version(connection: psycopg.Connection) -> None:
    """Raise DatabaseError if the PostgreSQL server is too old."""
    if connection.info.server_version < 150000:
        raise DatabaseError(
            f"PostgreSQL {connection.info.server_version // 10000} is too old (use PostgreSQL 15 or later)"
        )


def _is_new(connection: psycopg.Connection, secret: bytes) -> bool:
    """Return whether the database has no recorded secret yet. Raises DatabaseError where it has another one."""
    if connection.execute("SELECT to_regclass('grounds.installation')").fetchone() == (None,):
        return True
    with connection.transaction():
        connection.execute("SET LOCAL ROLE grounds_owner")
        row = connection.execute("SELECT secret_fingerprint FROM grounds.installation").fetchone()
    if row is not None and row[0] != _fingerprint(secret):
        raise DatabaseError(
            "this database was set up with another secret (set GROUNDS_SECRET to that secret, or pass its"
            " data folder with --data)"
        )
    return row is None


def _record_secret(connection: psycopg.Connection, secret: bytes) -> None:
    """Record the fingerprint of the gateway's secret in the database."""
    connection.execute("SET LOCAL ROLE grounds_owner")
    connection.execute("INSERT INTO grounds.installation (secret_fingerprint) VALUES (%s)", [_fingerprint(secret)])


def _fingerprint(secret: bytes) -> str:
    """Return the fingerprint of the gateway's secret that the database records."""
    return derive_key(secret, KeyUse.FINGERPRINT).hex()[:32]


def _can_log_in(url: str, secret: bytes) -> bool:
    """Return whether the database's login roles have the passwords that follow from the secret."""
    try:
        psycopg.connect(url, user=WORKER, password=role_password(secret, WORKER), connect_timeout=10).close()
    except psycopg.OperationalError:
        return False
    return True


def set_passwords(connection: psycopg.Connection, secret: bytes) -> None:
    """Set each login role's password at setup, as a SCRAM verifier: a clear one would stand in PostgreSQL's log."""
    with connection.transaction():
        for role in LOGIN_ROLES:
            password = role_password(secret, role).encode()
            verifier = connection.pgconn.encrypt_password(password, role.encode(), b"scram-sha-256").decode()
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier)))
