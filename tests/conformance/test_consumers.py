"""The consumers' projects without a network: a contract holds, breaks when the schema does, and is in the README."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.main import app
from tests.conformance.consumer import PROJECTS, break_schema, check_must_fail, make_project
from tests.support.repository import ROOT


@pytest.mark.parametrize("name", ["python", "javascript", "ariadne"])
def test_a_consumers_contract_holds_until_the_schema_breaks(name: str, tmp_path: Path) -> None:
    project = make_project(name, tmp_path)
    asked = ["contract", "check", project / "operations", "--schema", project / "schema.graphql"]
    done = CliRunner().invoke(app, [*map(str, asked), "--role", "TRAINING_CLIENT"])
    assert done.exit_code == 0, done.output
    with pytest.raises(SystemExit, match="ended with 0"):
        check_must_fail(project, "operations")
    break_schema(project)
    check_must_fail(project, "operations")


def test_a_dashboards_contract_holds_for_its_role_until_the_schema_breaks(tmp_path: Path) -> None:
    project = make_project("dashboard", tmp_path)
    asked = ["contract", "check", project / "operations", "--schema", project / "schema.graphql"]
    for role, code in (("DASHBOARD", 0), ("DATA_SUBJECT", 1)):
        done = CliRunner().invoke(app, [*map(str, asked), "--role", role])
        assert done.exit_code == code, done.output
    break_schema(project, "CoverageDay", "permitted")
    check_must_fail(project, "operations", "permitted")


@pytest.mark.parametrize(
    ("language", "file"),
    [
        ("python", "python/test_contract.py"),
        ("typescript", "javascript/codegen.ts"),
        ("graphql", "dashboard/operations/dashboard.graphql"),
        ("typescript", "dashboard/src/dashboard.ts"),
        ("toml", "ariadne/pyproject.toml"),
    ],
)
def test_the_clients_readme_shows_what_is_tried(language: str, file: str) -> None:
    readme = (ROOT / "schema" / "client" / "README.md").read_text(encoding="utf-8")
    assert f"```{language}\n{(PROJECTS / file).read_text(encoding='utf-8')}```" in readme
