"""Setting a database up: another secret is refused and changes nothing, and no password is sent in clear."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from db.access.declaration import LOGIN_ROLES, WORKER
from db.administrator import DatabaseError
from db.secrets import role_password
from db.setup import check_database, prepare_database, set_passwords
from tests.support.gateway import SECRET

OTHER_SECRET = b"another secret of tests, just as long"


def can_log_in(url: str, secret: bytes) -> bool:
    try:
        psycopg.connect(url, user=WORKER, password=role_password(secret, WORKER)).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture
def with_passwords(database_url: str) -> Iterator[str]:
    """A database whose login roles have the passwords of the tests' secret, before and after."""
    prepare_database(database_url, SECRET)
    if can_log_in(database_url, OTHER_SECRET):
        pytest.fail("this PostgreSQL asks nobody for a password")
    yield database_url
    prepare_database(database_url, SECRET)
    assert can_log_in(database_url, SECRET)


def test_another_secret_is_refused_and_locks_nobody_out(with_passwords: str) -> None:
    with pytest.raises(DatabaseError, match="set up with another secret"):
        prepare_database(with_passwords, OTHER_SECRET)
    assert can_log_in(with_passwords, SECRET)
    assert not can_log_in(with_passwords, OTHER_SECRET)


def test_passwords_that_were_lost_are_set_again(with_passwords: str) -> None:
    with psycopg.connect(with_passwords, autocommit=True) as connection:
        connection.execute(f"ALTER ROLE {WORKER} PASSWORD NULL".encode())
    assert not can_log_in(with_passwords, SECRET)
    prepare_database(with_passwords, SECRET)
    assert can_log_in(with_passwords, SECRET)


def test_a_database_that_is_current_is_left_as_it_is_and_another_is_refused(with_passwords: str) -> None:
    check_database(with_passwords, SECRET)
    with pytest.raises(DatabaseError, match="set up with another secret"):
        check_database(with_passwords, OTHER_SECRET)
    for change, advice in (
        ("UPDATE grounds.policy SET compiled = 'other' WHERE active", "compiled by another release"),
        ("UPDATE grounds.migration SET derived = 'other'", "older than version"),
    ):
        with psycopg.connect(with_passwords, autocommit=True) as connection:
            connection.execute(change.encode())
        with pytest.raises(DatabaseError, match=advice):
            check_database(with_passwords, SECRET)


def test_no_password_reaches_the_server_in_clear(with_passwords: str, tmp_path: Path) -> None:
    protocol = tmp_path / "protocol"
    with psycopg.connect(with_passwords, autocommit=True) as connection, protocol.open("w") as file:
        connection.pgconn.trace(file.fileno())
        set_passwords(connection, SECRET)
        connection.pgconn.untrace()
    sent = protocol.read_text()
    assert sent.count("SCRAM-SHA-256$") == len(LOGIN_ROLES)
    assert not any(role_password(SECRET, role) in sent for role in LOGIN_ROLES)


def test_no_login_keeps_locks_while_its_process_stands_still(with_passwords: str) -> None:
    for role in LOGIN_ROLES:
        with psycopg.connect(with_passwords, user=role, password=role_password(SECRET, role)) as connection:
            shown = connection.execute("SHOW idle_in_transaction_session_timeout").fetchone()
        assert shown == ("30s",), role
