"""The parts that tests stand on, all of them real: a PostgreSQL a worker, a database and a server a test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from db.admin import prepare
from db.embedded import embedded_postgres, remove_embedded_postgres
from tests.gateway import SECRET, TestGateway, open_gateway
from tests.mutants import killed, pytest_terminal_summary  # noqa: F401 - a fixture and a hook, found here by name

# Few tests that take long, mostly waiting: begun first, so that no worker is left alone with them at the end.
FIRST = (
    *("test_immediacy", "test_served_implies_logged", "test_pages_in_a_browser", "test_no_leak_generated"),
    *("test_campaign", "test_feed_at_least_once", "test_webhook", "test_identity", "test_mutants"),
)
UNSAFE_BUT_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="Run the tests that take minutes, or half an hour, too.")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("long") and config.option.markexpr == "not long and not exhaustive":
        config.option.markexpr = ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: FIRST.index(item.path.stem) if item.path.stem in FIRST else len(FIRST))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL of this worker's own, with a template that is migrated once; the administrator's URL."""
    home: Path = tmp_path_factory.mktemp("cluster") / "postgres"
    with embedded_postgres(home, settings=UNSAFE_BUT_FAST) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE template_of_tests")
        prepare(_database(url, "template_of_tests"), SECRET)
        yield url
    remove_embedded_postgres(home)


@pytest.fixture
def database_url(cluster: str) -> Iterator[str]:
    """A migrated database of this test's own; the administrator's URL."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(cluster, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template_of_tests STRATEGY file_copy".encode())
        yield _database(cluster, name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
async def gateway(database_url: str, tmp_path: Path) -> AsyncIterator[TestGateway]:
    """A gateway that listens, over a database of this test's own."""
    async with open_gateway(database_url, tmp_path / "data") as opened:
        yield opened


def _database(url: str, name: str) -> str:
    return f"{url.rpartition('/')[0]}/{name}"
