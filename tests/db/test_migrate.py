"""A new database and one that was brought up to date are the same; what cannot be brought up to date is refused."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from db.access.declaration import COMPILED_VIEWS
from db.administrator import DatabaseError
from db.migrate import DESCRIPTION, MIGRATIONS, MigrationError, apply_migrations, newest_version
from db.setup import prepare_database
from tests.support.catalogue import differences
from tests.support.gateway import SECRET

pytestmark = pytest.mark.database

ADDED = "ALTER TABLE grounds.hold ADD COLUMN reviewed_at timestamptz"


@pytest.fixture
def empty(cluster: str) -> Iterator[psycopg.Connection]:
    """An empty database beside the template; its administrator's connection."""
    with psycopg.connect(cluster, autocommit=True) as administrator:
        administrator.execute("CREATE DATABASE test_of_migrations")
        with psycopg.connect(f"{cluster.rpartition('/')[0]}/test_of_migrations", autocommit=True) as connection:
            yield connection
        administrator.execute("DROP DATABASE test_of_migrations WITH (FORCE)")


@pytest.fixture
def next_release(tmp_path: Path) -> tuple[Path, Path]:
    """The description and the migrations of a release that adds a column."""
    described = shutil.copytree(DESCRIPTION, tmp_path / "sql")
    migrations = (
        shutil.copytree(MIGRATIONS, tmp_path / "migrations") if MIGRATIONS.exists() else tmp_path / "migrations"
    )
    migrations.mkdir(exist_ok=True)
    number = int(newest_version(migrations)) + 1
    (migrations / f"{number:04}_reviews.sql").write_text(f"{ADDED};")
    hold = described / "hold.sql"
    hold.write_text(
        hold.read_text().replace("    lifted_by text\n", "    lifted_by text,\n    reviewed_at timestamptz\n")
    )
    return described, migrations


def test_a_database_that_was_migrated_equals_a_new_one(
    database_url: str, empty: psycopg.Connection, next_release: tuple[Path, Path]
) -> None:
    with psycopg.connect(database_url, autocommit=True) as older:
        assert apply_migrations(older, *next_release)
        assert apply_migrations(empty, *next_release)
        found = [line for line in differences(older, empty) if not any(view in line for view in COMPILED_VIEWS)]
        assert found == []
        assert not apply_migrations(older, *next_release)


def test_a_migration_that_does_less_than_the_description_says_is_noticed(
    database_url: str, empty: psycopg.Connection, next_release: tuple[Path, Path]
) -> None:
    described, migrations = next_release
    (forgetful,) = migrations.glob("*_reviews.sql")
    forgetful.write_text("SELECT 1;")
    with psycopg.connect(database_url, autocommit=True) as older:
        apply_migrations(older, described, migrations)
        apply_migrations(empty, described, migrations)
        assert any("reviewed_at" in line for line in differences(older, empty))


def test_a_database_of_a_later_release_is_refused(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO grounds.migration (version, description, derived) VALUES ('9999', '', '')")
        with pytest.raises(MigrationError, match="has version 9999, and this release supports"):
            apply_migrations(connection)
    with pytest.raises(DatabaseError, match="use a later release"):
        prepare_database(database_url, SECRET)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ("UPDATE grounds.migration SET description = 'another'", "set up by another build of version"),
        ("DROP TABLE grounds.migration", "set up before the first release"),
    ],
)
def test_an_unreleased_database_is_refused(database_url: str, changed: str, told: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(changed.encode())
    with pytest.raises(DatabaseError, match=told):
        prepare_database(database_url, SECRET)


def test_a_migration_that_fails_leaves_the_database_as_it_was(
    database_url: str, next_release: tuple[Path, Path]
) -> None:
    described, migrations = next_release
    (wrong,) = migrations.glob("*_reviews.sql")
    wrong.write_text(f"{ADDED}; SELECT 1 / 0;")
    with psycopg.connect(database_url, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            apply_migrations(connection, described, migrations)
        assert connection.execute("SELECT version FROM grounds.migration").fetchall() == [("0001",)]
        assert (
            connection.execute(
                "SELECT FROM pg_attribute WHERE attname = 'reviewed_at' AND attrelid = 'grounds.hold'::regclass"
            ).fetchall()
            == []
        )
