"""A consumer's project."""

from pathlib import Path

import pytest

from tests.schema.client.projects import SDL


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A consumer's folder: an SDL file, and the operations of two teams."""
    (tmp_path / "schema.graphql").write_text(SDL)
    for team, name, text in (("red", "good", "query Good { a }"), ("blue", "late", "query Late { old }")):
        (tmp_path / team).mkdir()
        (tmp_path / team / f"{name}.graphql").write_text(text)
    return tmp_path
