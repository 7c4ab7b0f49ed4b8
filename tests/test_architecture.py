"""The house rules that a machine can check: arrows between packages, names, sizes."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(path for package in ("app", "schema", "db", "tests") for path in (ROOT / package).rglob("*.py"))
ALLOWED = {"app": {"app", "schema", "db"}, "schema": {"schema", "db"}, "db": {"db"}}
LONGEST_MODULE = 430
LONGEST_FUNCTION = 45
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "misc", "common"}


@pytest.mark.parametrize("path", [path for path in MODULES if path.parts[len(ROOT.parts)] != "tests"], ids=str)
def test_imports_only_go_from_app_to_schema_to_db(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    assert imported_packages(path) & set(ALLOWED) <= ALLOWED[package]


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_is_short_and_its_name_says_something(path: Path) -> None:
    assert path.stem not in EMPTY_NAMES
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_MODULE


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_function_fits_on_a_screen(path: Path) -> None:
    functions = (
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    for function in functions:
        assert function.end_lineno is not None
        assert function.end_lineno - function.lineno < LONGEST_FUNCTION, function.name


def imported_packages(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found
