"""Homes of an embedded PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from db.embedded_postgres import remove_embedded_postgres


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home below a private folder (as pytest makes them), whose cluster the tests of this module share."""
    path = tmp_path_factory.mktemp("private") / "an ordinary person's höme"
    yield path
    remove_embedded_postgres(path)


@pytest.fixture
def new_home(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "home"
    yield path
    remove_embedded_postgres(path)
