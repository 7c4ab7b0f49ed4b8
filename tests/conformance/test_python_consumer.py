"""The client beside a project's own packages of the gateway's names, in an environment of its own. Needs PyPI."""

from pathlib import Path

import pytest

from tests.conformance.python_consumer import try_in


@pytest.mark.long
def test_a_project_with_packages_of_the_gateways_names_installs_the_client_and_checks_its_contract(
    tmp_path: Path,
) -> None:
    try_in(tmp_path)
