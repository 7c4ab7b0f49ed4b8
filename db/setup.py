"""Bring a database up to date, or check that it is, when a server or a command starts."""

import time
from collections import Counter
from collections.abc import Sequence
from functools import partial

import psycopg
from psycopg import sql

from db.access.declaration import LOGIN_ROLES, OWNER, WORKER
from db.access.role_names import BECOME_OWNER, DEFAULT_PREFIX, RoleNames, role_names
from db.administrator import DatabaseError, administrator_connection, change_when_unlocked
from db.incarnations import begin_incarnation
from db.index_builds import build_missing_indexes
from db.journal.files import JournalFiles
from db.journal.replay import replay_journal
from db.migrate import DESCRIPTION, MIGRATIONS, MigrationError, apply_migrations, is_current, newest_version
from db.policies.activation import active_policy, compiled_digest, put_in_force
from db.policy.document import default_policy
from db.secrets import KeyUse, Secrets, derive_key, role_password, unwrap_secrets, wrap_secrets
from db.versions import raise_if_newer, record_version


def prepare_database(url: str, secret: bytes, role_prefix: str | None = None) -> None:
    """Bring a database up to date: roles with their passwords, migrations, and a policy in force.

    The roles of a new database have the prefix `role_prefix`. Raises DatabaseError when the server cannot be used, or
    was set up with another secret or prefix: then nothing is changed.
    """
    with administrator_connection(url) as connection:
        check_server_version(connection)
        names = check_role_prefix(connection, role_prefix)
        is_new = check_secret(connection, secret)
        raise_if_newer(connection)
        has_passwords = _can_log_in(url, secret, names)
        if is_new and not has_passwords:
            _raise_if_roles_are_taken(connection, names)
        try:
            if is_new or not has_passwords or not (is_current(connection) and _has_own_rules(connection)):
                connection.execute(names.of_file((DESCRIPTION / "roles.sql").read_bytes()))
                if is_new or not has_passwords:
                    set_passwords(connection, secret, names)
                change_when_unlocked(connection, partial(_bring_up_to_date, connection, secret, names, is_new))
        except MigrationError as error:
            raise DatabaseError(f"cannot bring the database up to date, because {error}") from None
    build_missing_indexes(url, MIGRATIONS)


def _bring_up_to_date(connection: psycopg.Connection, secret: bytes, names: RoleNames, is_new: bool) -> None:
    """Bring tables, grants and rules of a database up to date, together: a start that is killed leaves none half done.

    The connection is in a transaction.
    """
    outdated = apply_migrations(connection, names=names)
    if is_new:
        _record_secret(connection, secret)
    if outdated or not _has_own_rules(connection):
        put_in_force(connection, active_policy(connection) or default_policy())
    record_version(connection)


def _has_own_rules(connection: psycopg.Connection) -> bool:
    """Return whether the rules in a database's views are those that this version of Grounds compiles."""
    policy = active_policy(connection)
    row = connection.execute("SELECT compiled FROM grounds.policy WHERE active").fetchone()
    return policy is not None and row is not None and row[0] == compiled_digest(policy)


def check_database(url: str, secret: bytes, role_prefix: str | None = None) -> None:
    """Raise DatabaseError unless the database is set up, with this secret, and up to date. Nothing is changed."""
    with administrator_connection(url) as connection:
        check_server_version(connection)
        check_role_prefix(connection, role_prefix)
        raise_if_newer(connection)
        try:
            if not is_current(connection) or check_secret(connection, secret):
                found = newest_version()
                raise DatabaseError(f"the database is older than version {found} (run grounds migrate)")
        except MigrationError as error:
            raise DatabaseError(f"cannot use the database, because {error}") from None
        if not _has_own_rules(connection):
            raise DatabaseError("the rules in the database were compiled by another release (run grounds migrate)")


def check_server_version(connection: psycopg.Connection) -> None:
    """Raise DatabaseError if the PostgreSQL server is too old."""
    if connection.info.server_version < 150000:
        raise DatabaseError(
            f"PostgreSQL {connection.info.server_version // 10000} is too old (use PostgreSQL 15 or later)"
        )


def check_secret(connection: psycopg.Connection, secret: bytes) -> bool:
    """Return whether the database has no recorded secret yet. Raises DatabaseError where it has another one."""
    if connection.execute("SELECT to_regclass('grounds.installation')").fetchone() == (None,):
        return True
    row = _read_installation(connection)
    if row is not None and row[0] != _fingerprint(secret):
        raise DatabaseError(
            "this database was set up with another secret (set GROUNDS_SECRET to the database's secret, or pass the"
            " data folder that contains the secret with --data; after a rotation, set GROUNDS_SECRET to the new secret)"
        )
    return row is None


def _record_secret(connection: psycopg.Connection, secret: bytes) -> None:
    """Record the fingerprint of the gateway's secret in the database."""
    connection.execute(BECOME_OWNER)
    connection.execute("INSERT INTO grounds.installation (secret_fingerprint) VALUES (%s)", [_fingerprint(secret)])


def _fingerprint(secret: bytes) -> str:
    """Return the fingerprint of the gateway's secret that the database records."""
    return derive_key(secret, KeyUse.FINGERPRINT).hex()[:32]


def check_role_prefix(connection: psycopg.Connection, role_prefix: str | None) -> RoleNames:
    """Return the names of the database's roles, or those that a new database gets. Raises DatabaseError.

    An empty `role_prefix` stands for the one that the database has, or the default one.
    """
    found = role_names(connection)
    if found and role_prefix and found.prefix != role_prefix:
        raise DatabaseError(
            f"this database was set up with the role prefix {found.prefix} (set GROUNDS_ROLE_PREFIX={found.prefix}, or"
            " remove the setting)"
        )
    return found or RoleNames(role_prefix or DEFAULT_PREFIX)


def _raise_if_roles_are_taken(connection: psycopg.Connection, names: RoleNames) -> None:
    """Raise DatabaseError if another database of the server uses the roles of a database that is to be set up.

    Its passwords, which follow from another secret, would be replaced, and its gateway locked out.
    """
    used = connection.execute(
        "SELECT d.datname FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid JOIN pg_database d ON d.oid = s.dbid"
        " WHERE s.refclassid = 'pg_authid'::regclass AND r.rolname = %s AND d.datname <> current_database() LIMIT 1",
        [names.of(OWNER)],
    ).fetchone()
    if used is not None:
        raise DatabaseError(
            f"the database {used[0]} on the same server uses the roles {names.prefix}_… with another secret (set"
            " GROUNDS_ROLE_PREFIX to another prefix, such as staging; if that database is no longer used, drop it)"
        )


def _can_log_in(url: str, secret: bytes, names: RoleNames) -> bool:
    """Return whether the database's login roles have the passwords that follow from the secret."""
    worker = names.of(WORKER)
    try:
        psycopg.connect(url, user=worker, password=role_password(secret, worker), connect_timeout=10).close()
    except psycopg.OperationalError:
        return False
    return True


def set_passwords(connection: psycopg.Connection, secret: bytes, names: RoleNames | None = None) -> None:
    """Set each login role's password at setup, as a SCRAM verifier: a clear one would stand in PostgreSQL's log."""
    with connection.transaction():
        for role in map((names or role_names(connection) or RoleNames()).of, LOGIN_ROLES):
            password = role_password(secret, role).encode()
            verifier = connection.pgconn.encrypt_password(password, role.encode(), b"scram-sha-256").decode()
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier)))


def secret_in_force(url: str, secrets: Sequence[bytes]) -> bytes:
    """Return which of the secrets the database was set up with, or rotated to; the first one if it has none of them."""
    with psycopg.connect(url) as connection:
        if connection.execute("SELECT to_regclass('grounds.installation')").fetchone() == (None,):
            return secrets[0]
        found = _read_installation(connection)
        return next((secret for secret in secrets if found and found[0] == _fingerprint(secret)), secrets[0])


def load_secrets(url: str, secret: bytes, coming: Sequence[bytes] = ()) -> Secrets:
    """Read the secrets before this one from the database, as its administrator."""
    with psycopg.connect(url) as connection:
        found = _read_installation(connection)
    return unwrap_secrets(secret, found[1] if found else None, coming)


def rotate_secret(url: str, secret: bytes, new: bytes) -> None:
    """Replace the database's secret by a new one, which can read what was written with the ones before.

    Gateways that know the new one go on: their next connections log in with its passwords.
    """
    with administrator_connection(url) as connection, connection.transaction():
        check_secret(connection, secret)
        found = _read_installation(connection)
        before = unwrap_secrets(secret, found[1] if found else None)
        set_passwords(connection, new)
        connection.execute(BECOME_OWNER)
        connection.execute(
            "UPDATE grounds.installation SET secret_fingerprint = %s, previous_secrets = %s",
            [_fingerprint(new), wrap_secrets(new, [*before.previous, secret])],
        )


def _read_installation(connection: psycopg.Connection) -> tuple[str, bytes | None] | None:
    """Read the fingerprint of the database's secret, and the secrets before it as they are encrypted."""
    with connection.transaction():
        connection.execute(BECOME_OWNER)
        row: tuple[str, bytes | None] | None = connection.execute(
            "SELECT secret_fingerprint, previous_secrets FROM grounds.installation"
        ).fetchone()
        connection.execute("RESET ROLE")
    return row


def accept_restored_database(url: str, secrets: Secrets, journal: JournalFiles | None) -> Counter[str]:
    """Begin a new incarnation of a database that was restored, and replay the journal; count what the database lacked.

    Raises DatabaseError while a gateway is connected: it would go on with the ids of the incarnation before. Raises
    JournalError, and changes nothing, if the journal cannot be read.
    """
    entries = list(journal.read(secrets.readable)) if journal is not None else []
    with administrator_connection(url) as connection:
        _raise_if_in_use(connection)
        if journal is None and connection.execute("SELECT grounds.keeps_journal()").fetchone() == (True,):
            raise DatabaseError("this database keeps a journal (set GROUNDS_JOURNAL to its folder)")
        # Together: a command that is interrupted leaves no database that lacks a part of the journal.
        with connection.transaction():
            begin_incarnation(connection)
            return replay_journal(connection, entries)


def _raise_if_in_use(connection: psycopg.Connection) -> None:
    """Raise DatabaseError if a login role of the database is connected for longer than it takes to end."""
    names = role_names(connection) or RoleNames()
    for _ in range(40):
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = ANY (%s)",
            [list(map(names.of, LOGIN_ROLES))],
        ).fetchone()
        if row == (0,):
            return
        time.sleep(0.05)
    raise DatabaseError("a gateway or another command uses the database (stop it, then run the command again)")
