"""The rules of the code that a machine can check: imports, names, sizes, and READMEs that list their folder."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import dedent

from tests.support.repository import ROOT

PACKAGES = ("app", "schema", "db", "tests")
MODULES = {
    path: ast.parse(path.read_text(encoding="utf-8")) for package in PACKAGES for path in (ROOT / package).rglob("*.py")
}
PRODUCT = {path: tree for path, tree in MODULES.items() if not path.is_relative_to(ROOT / "tests")}
ALLOWED = {
    "app": {"app", "schema", "db", "grounds_client"},
    "schema": {"schema", "db", "grounds_client"},
    "db": {"db"},
    "grounds_client": {"grounds_client"},
}
CYCLES = [["schema.records.account", "schema.records.content"]]  # an account has contents, and each has its author
PAGES_WITH_DATABASE = ["app/web/privacy/objection_form.py"]
"""It files an objection without an account, which no role of the API can, and waits for the lock that this needs."""
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 40
EXCEPTIONS: dict[str, int] = {}
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "misc", "common"}
MAX_SHARED_NAMES = 15

Imports = Mapping[str, set[str]]


def test_imports_only_go_from_app_to_schema_to_db_and_the_client_imports_none_of_them() -> None:
    def package(path: Path) -> str:
        is_client = path.is_relative_to(ROOT / "schema" / "client")
        return "grounds_client" if is_client else path.relative_to(ROOT).parts[0]

    assert [
        f"{relative_path(path)} imports {name}"
        for path, tree in PRODUCT.items()
        for name in imported(tree)
        if name.partition(".")[0] in set(ALLOWED) - ALLOWED[package(path)]
    ] == []


def test_pages_read_data_by_graphql_operations_and_know_no_database() -> None:
    pages = {path: tree for path, tree in PRODUCT.items() if path.is_relative_to(ROOT / "app" / "web")}
    assert len(pages) > 20
    drivers = {"db", "asyncpg", "psycopg"}
    found = [
        relative_path(path)
        for path, tree in pages.items()
        if any(name.partition(".")[0] in drivers and not name.startswith("db.secrets") for name in imported(tree))
    ]
    assert found == PAGES_WITH_DATABASE


def test_no_modules_import_each_other_but_account_and_content() -> None:
    assert cycles(imports_of_modules()) == CYCLES


def test_a_cycle_is_noticed_whatever_its_length() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}) == [["a", "b", "c"]]


def test_the_name_of_a_module_says_something() -> None:
    assert [relative_path(path) for path in MODULES if path.stem in EMPTY_NAMES] == []


def test_a_module_has_at_most_400_lines() -> None:
    lengths = {relative_path(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {name: length for name, length in lengths.items() if length > MAX_MODULE_LINES} == {}


def test_a_function_has_at_most_40_lines() -> None:
    found = {
        relative_path(path): length
        for path, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION_LINES
    }
    assert found == EXCEPTIONS


def test_every_function_says_what_it_does() -> None:
    assert [
        f"{relative_path(path)}: {name}" for path, tree in PRODUCT.items() for name in functions_without_docstring(tree)
    ] == []


def test_a_function_without_a_docstring_is_found_wherever_it_stands() -> None:
    code = """
        class Page:
            def __init__(self): pass
            def rows(self): return []
            def ids(self):
                '''Return the ids.'''
                async def load():
                    await self.rows()
                    return []
                def closed(): return load
                return closed
        if True:
            def _check(): pass
        """
    assert set(functions_without_docstring(ast.parse(dedent(code)))) == {"_check", "rows", "load"}


def test_few_functions_and_classes_of_one_name_stand_in_two_modules() -> None:
    places = defaultdict(list)
    for path, tree in PRODUCT.items():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                places[node.name].append(relative_path(path))
    shared = [f"{name}: {', '.join(found)}" for name, found in sorted(places.items()) if len(found) > 1]
    assert len(shared) <= MAX_SHARED_NAMES, "\n".join(shared)


def test_a_readme_that_lists_its_folder_lists_all_of_it() -> None:
    wrong = {}
    for readme in (path for package in PACKAGES for path in (ROOT / package).rglob("README.md")):
        listed = listed_files(readme.read_text(encoding="utf-8"))
        found = {name for folder in {Path(name).parent for name in listed} for name in files_of(readme.parent, folder)}
        above = {f"{folder}/" for name in listed for folder in Path(name).parents}
        if difference := sorted(listed ^ (found - above)):
            wrong[relative_path(readme)] = difference
    assert wrong == {}


def test_a_list_of_files_is_the_table_whose_first_column_is_called_so() -> None:
    table = (
        "| file | question |\n|---|---|\n| `a.py` | What? |\n| `b/`, `c.sql` | Where? |\n\n| role |\n|---|\n| `x` |\n"
    )
    assert listed_files(table) == {"a.py", "b/", "c.sql"}
    assert listed_files("| role | reaches |\n|---|---|\n| `grounds_owner` | everything |\n") == set()


def imported(tree: ast.Module) -> Iterator[str]:
    """Name what a module imports: modules, and names in modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "an import is absolute"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def functions_without_docstring(tree: ast.Module) -> Iterator[str]:
    """Name the functions and methods without a docstring, but for `__special__` ones and closures of one statement."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    closures = {id(inner) for outer in functions for inner in ast.walk(outer) if inner is not outer}
    for function in functions:
        is_short_closure = id(function) in closures and len(function.body) == 1
        is_special = function.name.startswith("__") and function.name.endswith("__")
        if not (is_short_closure or is_special or ast.get_docstring(function)):
            yield function.name


def imports_of_modules() -> Imports:
    names = {module_name(path): path for path in PRODUCT}
    return {
        name: {each if each in names else each.rpartition(".")[0] for each in imported(PRODUCT[path])} & set(names)
        for name, path in names.items()
    }


def cycles(imports: Imports) -> list[list[str]]:
    """List the groups of modules that reach each other by their imports."""

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        waiting = [start]
        while waiting:
            for name in imports[waiting.pop()] - found:
                found.add(name)
                waiting.append(name)
        return found

    reach = {name: reached(name) for name in imports}
    groups = {tuple(sorted(other for other in reach[name] if name in reach[other])) for name in imports}
    return [list(group) for group in sorted(groups - {()})]


def listed_files(text: str) -> set[str]:
    """Name the files of a table in a README whose first column is called `file` or `place`."""
    table = re.search(r"^\| (?:file|place) \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    rows = table[1].splitlines() if table else []
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])}


def files_of(root: Path, folder: Path) -> set[str]:
    """Name the files and folders of a folder, from its root, without what every package has."""
    return {
        f"{path.relative_to(root)}{'/' if path.is_dir() else ''}"
        for path in (root / folder).iterdir()
        if path.name not in ("README.md", "__init__.py", "py.typed", "__pycache__") and not path.name.startswith(".")
    }


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT / "schema/client" if "grounds_client" in path.parts else ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if path.stem == "__init__" else parts)


def relative_path(path: Path) -> str:
    return str(path.relative_to(ROOT))
