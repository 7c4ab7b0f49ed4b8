"""The parts that tests stand on, all of them real: each worker's PostgreSQL, database and server."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from db.embedded_postgres import embedded_postgres, remove_embedded_postgres
from db.setup import prepare_database
from tests.support.gateway import SECRET, TestGateway
from tests.support.installed_postgres import BINARIES, installed_postgres
from tests.support.mutants import killed, pytest_terminal_summary  # noqa: F401 - a fixture and a hook, found here by name
from tests.support.shared_database import SharedDatabase, database_of
from tests.support.shared_server import SharedServer

# Few tests that take long, mostly waiting: begun first, so that no worker is left alone with them at the end.
FIRST = (
    *("test_immediacy", "test_served_implies_logged", "test_in_a_browser", "test_no_leak_generated"),
    *("test_campaign", "test_feed_at_least_once", "test_sender", "test_identity", "test_mutants"),
)
TEMPLATE = "template_of_tests"
UNSAFE_BUT_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long", action="store_true", help="Run CI's tests, and those that take minutes or half an hour, too."
    )
    parser.addoption("--offers", action="store_true", help="Let the gateways of tests read their pages from offers.")


def pytest_configure(config: pytest.Config) -> None:
    os.environ["GROUNDS_OFFERS"] = str(config.getoption("offers"))  # of every gateway that states none
    if config.getoption("long"):
        config.option.markexpr = config.option.markexpr.removeprefix("not long and not exhaustive and not ci and ")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: FIRST.index(item.path.stem) if item.path.stem in FIRST else len(FIRST))


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL of this worker's own, the embedded one unless GROUNDS_TEST_POSTGRES names another; its URL."""
    if BINARIES:
        with installed_postgres(Path(BINARIES), settings=UNSAFE_BUT_FAST) as url:
            yield url
        return
    home: Path = tmp_path_factory.mktemp("cluster") / "postgres"
    with embedded_postgres(home, settings=UNSAFE_BUT_FAST) as url:
        yield url
    remove_embedded_postgres(home)


@pytest.fixture(scope="session")
def cluster(postgres: str) -> str:
    """That PostgreSQL with a template that is migrated once; the administrator's URL."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {TEMPLATE}".encode())
    prepare_database(database_of(postgres, TEMPLATE), SECRET)
    with psycopg.connect(database_of(postgres, TEMPLATE)) as connection:
        connection.execute("UPDATE grounds.incarnation SET value = 0")  # tests compute ids without reading it
    return postgres


@pytest.fixture(scope="session")
def shared_database(cluster: str) -> Iterator[SharedDatabase]:
    """The database of those tests that need no server, or a server of their own."""
    database = SharedDatabase(cluster, TEMPLATE)
    yield database
    database.drop()


@pytest.fixture
def database_url(shared_database: SharedDatabase) -> str:
    """A migrated database, as if it were this test's own; the administrator's URL."""
    shared_database.end_sessions()
    if not shared_database.restore():
        shared_database.replace()
    return shared_database.url


@pytest.fixture(scope="session")
async def shared_server(cluster: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SharedServer]:
    database = SharedDatabase(cluster, TEMPLATE)
    server = SharedServer(database, tmp_path_factory.mktemp("shared") / "data")
    yield server
    await server.close()
    database.drop()


@pytest.fixture
async def gateway(shared_server: SharedServer) -> AsyncIterator[TestGateway]:
    """A gateway that listens, over a database as if it were this test's own."""
    async with shared_server.gateway() as opened:
        yield opened
