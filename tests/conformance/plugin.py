"""A consumer in Python: `./run python -m tests.conformance.plugin` (needs PyPI).

Grounds and pytest are installed in an environment of their own, and the consumer's suite has a test an operation, which
fails once the schema breaks.
"""

from pathlib import Path

from tests.conformance.consumer import break_schema, make_project, must_fail, must_pass
from tests.conformance.served import install_from_pypi, temporary_folder

ROOT = Path(__file__).parents[2]


def main() -> None:
    """Make the project, run its suite, and break the schema."""
    with temporary_folder() as folder:
        project = make_project("python", folder)
        commands = install_from_pypi(folder, str(ROOT), "pytest>=9,<10")
        suite = (f"{commands}/pytest", "-q")
        check = (f"{commands}/grounds", "contract", "check", "operations", "--schema", "schema.graphql")
        must_pass(suite, project)
        must_pass(check, project)
        break_schema(project)
        must_fail(suite, project)
        must_fail(check, project)


if __name__ == "__main__":
    main()
