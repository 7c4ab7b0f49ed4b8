"""A typed consumer in Python: `./run python -m tests.conformance.ariadne` (needs PyPI).

ariadne-codegen makes a client in an environment of its own; mypy checks the program that uses it, which pulls all items
with its dates as dates. Once the schema breaks, ariadne-codegen and our own check fail, and so does mypy where the
operation follows the schema and the program does not.
"""

import asyncio

from tests.conformance.consumer import FIELD, break_schema, check_must_fail, make_project, must_fail, must_pass, pull
from tests.conformance.served import install_from_pypi, temporary_folder

PACKAGES = ("ariadne-codegen>=0.19,<1", "mypy>=2,<3")


def main() -> None:
    """Make the project, run its client against a gateway of our own, and break the schema."""
    with temporary_folder() as folder:
        project = make_project("ariadne", folder)
        commands = install_from_pypi(project, *PACKAGES)
        generate = (f"{commands}/ariadne-codegen",)
        types = (
            f"{commands}/mypy",
            "--strict",
            "--follow-imports=silent",
            "pull.py",
        )  # the client is not strict
        must_pass(generate, project)
        must_pass(types, project)
        asyncio.run(pull([f"{commands}/python", "pull.py"], project))
        break_schema(project)
        must_fail(generate, project)
        check_must_fail(project, "operations")
        operation = project / "operations" / "pull.graphql"
        operation.write_text(operation.read_text().replace(f" {FIELD} ", " words "))
        must_pass(generate, project)
        must_fail(types, project)


if __name__ == "__main__":
    main()
