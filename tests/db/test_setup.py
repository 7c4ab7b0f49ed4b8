"""Setting a database up: another secret is refused and changes nothing, and no password is sent in clear."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from db import administrator
from db.access.declaration import LOGIN_ROLES, WORKER
from db.access.verification import verify_access
from db.administrator import DatabaseError
from db.index_builds import build_missing_indexes
from db.policies import activation
from db.policies.activation import activate_policy
from db.policy.document import default_policy
from db.secrets import role_password
from db.setup import check_database, prepare_database, set_passwords
from tests.support.gateway import SECRET
from tests.support.mutants import Killed

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


def rules_in_force(url: str) -> object:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT compiled FROM grounds.policy WHERE active").fetchone()


def test_an_older_version_never_replaces_the_rules_of_a_newer_one(
    with_passwords: str, monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    with psycopg.connect(with_passwords, autocommit=True) as connection:
        connection.execute("UPDATE grounds.installation SET version = '9.0.0'")
        connection.execute("UPDATE grounds.policy SET compiled = 'of version 9' WHERE active")
    acts: list[Callable[[], None]] = [
        partial(prepare_database, with_passwords, SECRET),
        partial(check_database, with_passwords, SECRET),
        partial(activate_policy, with_passwords, default_policy()),
    ]
    for act in acts:
        with pytest.raises(DatabaseError, match=r"this is Grounds .* \(use Grounds 9\.0\.0 or later"):
            act()
        assert rules_in_force(with_passwords) == ("of version 9",)
    monkeypatch.setattr(activation, "raise_if_newer", lambda _: None)
    activate_policy(with_passwords, default_policy())
    changed = rules_in_force(with_passwords) != ("of version 9",)
    killed("any version activates policies", "put_in_force()", "the rules are older" if changed else None)
    with psycopg.connect(with_passwords, autocommit=True) as connection:
        connection.execute("UPDATE grounds.installation SET version = '0'")


def test_a_change_waits_beside_long_reads_and_is_made_when_they_end(
    with_passwords: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(administrator, "PAUSE_SECONDS", 0.05)
    with psycopg.connect(with_passwords) as reader:
        reader.execute("SELECT FROM grounds.trainable_content")
        threading.Timer(0.8, reader.rollback).start()
        activate_policy(with_passwords, default_policy())
    monkeypatch.setattr(administrator, "PATIENCE_SECONDS", 0.1)
    with psycopg.connect(with_passwords) as reader:
        reader.execute("SELECT FROM grounds.trainable_content")
        with pytest.raises(DatabaseError, match="end the long transactions"):
            activate_policy(with_passwords, default_policy())


def test_an_index_whose_build_was_interrupted_is_built_again(with_passwords: str, tmp_path: Path) -> None:
    (tmp_path / "0002_two.concurrently.sql").write_text(
        "-- Two indexes.\nCREATE INDEX CONCURRENTLY one ON grounds.hold (reason);\n"
        "CREATE UNIQUE INDEX CONCURRENTLY two\nON grounds.hold (id, reason);\n"
    )
    with psycopg.connect(with_passwords, autocommit=True) as connection:
        for _ in range(2):
            build_missing_indexes(with_passwords, tmp_path)
            found = connection.execute(
                "SELECT c.relname, i.indisvalid, c.relowner::regrole::text FROM pg_index i JOIN pg_class c"
                " ON c.oid = i.indexrelid WHERE c.relname IN ('one', 'two') ORDER BY 1"
            ).fetchall()
            assert found == [("one", True, "grounds_owner"), ("two", True, "grounds_owner")]
            connection.execute("UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = 'grounds.two'::regclass")
            connection.execute("DROP INDEX grounds.one")


def test_a_user_who_may_only_use_the_database_can_start_a_gateway(with_passwords: str) -> None:
    with psycopg.connect(with_passwords, autocommit=True) as connection:
        connection.execute("CREATE ROLE lesser LOGIN PASSWORD 'lesser'; GRANT grounds_owner TO lesser")
        try:
            lesser = make_conninfo(with_passwords, user="lesser", password="lesser")
            prepare_database(lesser, SECRET)
            verify_access(lesser)
            activate_policy(lesser, default_policy())
        finally:
            connection.execute("DROP ROLE lesser")
