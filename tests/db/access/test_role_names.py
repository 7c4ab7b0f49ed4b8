"""Two gateways share one PostgreSQL server, each with roles of its own: neither reads the other's data."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from db.access.declaration import LOGIN_ROLES, TABLES
from db.access.role_names import RoleNames, role_names
from db.access.verification import find_access_gaps
from db.administrator import DatabaseError
from db.backup import restore_backup, write_backup
from db.secrets import role_password
from db.setup import check_database, prepare_database
from tests.support.command import grounds
from tests.support.facts import NOW, fact
from tests.support.gateway import SECRET, open_gateway, set_clock
from tests.support.mutants import Killed
from tests.support.shared_database import database_of

pytestmark = pytest.mark.database
PREFIX, OTHER_SECRET = "staging", b"the secret of the second gateway"
NAMES = RoleNames(PREFIX)
DATABASES = ("test_of_prefix", "test_of_prefix_restored")


@pytest.fixture
def empty(cluster: str) -> Iterator[str]:
    """The URL of an empty database; beside it a second one for a restore."""
    with psycopg.connect(cluster, autocommit=True) as administrator:
        for name in DATABASES:
            administrator.execute(f"CREATE DATABASE {name}".encode())
        yield database_of(cluster, DATABASES[0])
        for name in DATABASES:
            administrator.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
        for role in map(NAMES.of, ("grounds_owner", *LOGIN_ROLES)):
            administrator.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))


@pytest.fixture
def second(empty: str) -> str:
    """The database of a second gateway with a prefix and a secret of its own."""
    prepare_database(empty, OTHER_SECRET, PREFIX)
    return empty


def open_tables(url: str, names: RoleNames, secret: bytes) -> list[str]:
    """List each role of a gateway with each table of a database that it may read there, whatever it claims."""
    found = []
    for role in map(names.of, LOGIN_ROLES):
        with psycopg.connect(url, user=role, password=role_password(secret, role), autocommit=True) as connection:
            for claim in ("examiner", "subject", "client", "purpose", "ingest", "job"):
                connection.execute("SELECT set_config(%s, '1', FALSE)", [f"grounds.{claim}"])
            for table in TABLES:
                try:
                    connection.execute(f"SELECT FROM grounds.{table} LIMIT 1".encode())
                except psycopg.errors.InsufficientPrivilege:
                    continue
                found.append(f"{role} {table}")
    return found


async def test_a_gateway_with_a_prefix_serves_and_neither_reads_the_others_data(
    database_url: str, second: str, tmp_path: Path, killed: Killed
) -> None:
    set_clock(second, NOW)
    async with open_gateway(second, tmp_path, secret=OTHER_SECRET.decode()) as gateway:
        await gateway.ingest([fact("account"), fact("notice"), fact("content")])
        assert len(await gateway.pull()) == 1
        await gateway.ingest([fact("objection", account="author")])
        assert await gateway.pull() == []
    assert open_tables(second, RoleNames(), SECRET) == []
    assert open_tables(database_url, NAMES, OTHER_SECRET) == []
    with psycopg.connect(second, autocommit=True) as connection:
        assert find_access_gaps(connection) == []
        connection.execute("GRANT USAGE ON SCHEMA grounds TO grounds_staff")
        connection.execute("GRANT SELECT ON grounds.policy TO grounds_staff")
        readable = open_tables(second, RoleNames(), SECRET)
        killed("another gateway's role may read", "GRANT", ", ".join(readable) or None)
        gaps = "\n".join(find_access_gaps(connection))
    assert "grounds_staff of another gateway has USAGE on schema grounds" in gaps
    assert "grounds_staff of another gateway may SELECT policy" in gaps


def test_a_database_with_another_prefix_or_with_roles_that_are_taken_is_refused(
    database_url: str, empty: str, tmp_path: Path
) -> None:
    with pytest.raises(DatabaseError, match=r"uses the roles grounds_… with another secret \(set GROUNDS_ROLE"):
        prepare_database(empty, OTHER_SECRET)
    check_database(database_url, SECRET)
    role = LOGIN_ROLES[0]
    psycopg.connect(database_url, user=role, password=role_password(SECRET, role)).close()
    prepare_database(empty, OTHER_SECRET, PREFIX)
    env = {"DATABASE_URL": empty, "GROUNDS_SECRET": OTHER_SECRET.decode()}
    for prefix, said in (("test", "role prefix staging"), ("pg_x", "GROUNDS_ROLE_PREFIX: "), (PREFIX, "")):
        run = grounds("status", data=tmp_path, env=env | {"GROUNDS_ROLE_PREFIX": prefix})
        assert (run.returncode, said in run.stderr) == (2 if said else 0, True), run.stderr


def test_a_backup_is_restored_with_the_names_of_its_roles(cluster: str, second: str, tmp_path: Path) -> None:
    write_backup(second, tmp_path / "backup")
    restored = database_of(cluster, DATABASES[1])
    restore_backup(restored, [OTHER_SECRET], tmp_path / "backup")
    with psycopg.connect(restored, autocommit=True) as connection:
        assert role_names(connection) == NAMES
        assert find_access_gaps(connection) == []
    (tmp_path / "other").write_bytes(b"no backup")
    with pytest.raises(DatabaseError, match="is not a backup"):
        restore_backup(database_of(cluster, "postgres"), [OTHER_SECRET], tmp_path / "other")
