"""A consumer in Python: `./run python -m tests.conformance.python_consumer` (needs PyPI).

The project has packages `app`, `schema` and `db` of its own, and PyPI's `schema` beside them. It installs the client by
the lines of the client's README: its own tests and its contract's pass, and the contract's fail once the schema breaks.
"""

import re
import shutil
from pathlib import Path

from tests.conformance.consumer import break_schema, make_project, must_fail, must_pass
from tests.conformance.served import install_from_pypi, temporary_folder
from tests.support.repository import ROOT

MAX_MEGABYTES = 20
README = (ROOT / "schema" / "client" / "README.md").read_text(encoding="utf-8")
PYPI_SCHEMA_WORKS = "import schema; assert schema.Schema(int).validate(17) == 17"


def main() -> None:
    """Make the project, install the client, run the suite, and break the schema."""
    with temporary_folder() as folder:
        try_in(folder)


def commands_below(heading: str) -> list[str]:
    """Return each block of commands that the README has below a heading."""
    section = README.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


def try_in(folder: Path) -> None:
    """Do so in a folder; raise SystemExit where something is wrong."""
    checkout = folder / "checkout"
    shutil.copytree(ROOT / "schema" / "client", checkout / "schema" / "client")
    from_folder, from_wheel = commands_below("Install")
    (commands,) = commands_below("Check your operations")
    wheel = measure_installed_size(folder / "alone", checkout, from_wheel)
    print(f"{wheel:.1f} MB are installed without pip and pytest", flush=True)
    if wheel > MAX_MEGABYTES:
        raise SystemExit(f"the client's installation has {wheel:.1f} MB, more than {MAX_MEGABYTES}")

    project = make_project("python", folder)
    programs = install_from_pypi(folder, "schema>=0.7,<1")
    must_pass(shell(programs, from_folder), checkout)
    must_pass((f"{programs}/python", "-I", "-c", PYPI_SCHEMA_WORKS), checkout)
    shutil.copy(project / "schema.graphql", project / "old.graphql")
    suite = (f"{programs}/python", "-m", "pytest", "-q")
    must_pass(suite, project)
    must_pass(shell(programs, commands), project)
    break_schema(project)
    must_fail(suite, project)
    must_pass((*suite, "test_own_packages.py"), project)
    for line in commands.splitlines():
        must_fail(shell(programs, line), project)


def measure_installed_size(folder: Path, checkout: Path, from_wheel: str) -> float:
    """Build the wheel and install it, without its extra, in an environment of its own; return its size in megabytes."""
    folder.mkdir()
    programs = install_from_pypi(folder)
    must_pass(shell(programs, from_wheel.replace("[contract]", "")), checkout)
    packages = next((programs.parent / "lib").glob("python*/site-packages"))
    files = (path for path in packages.rglob("*") if path.is_file())
    ours = (path for path in files if not path.relative_to(packages).parts[0].startswith(("pip", "setuptools")))
    return sum(path.stat().st_size for path in ours) / 1e6


def shell(programs: Path, lines: str) -> tuple[str, ...]:
    """Return the command that runs lines of the README by the programs of an environment."""
    return ("sh", "-ec", f'export PATH="{programs}:$PATH" PIP_QUIET=1\n{lines}')


if __name__ == "__main__":
    main()
