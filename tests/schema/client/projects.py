"""A consumer's project, and the two commands that check it, which must tell the same."""

import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from typer.testing import CliRunner

from app.cli.main import app
from grounds_client.cli import main

SDL = """directive @governed(readers: [Role!]!) on FIELD_DEFINITION
enum Role { AUDITOR TRAINING_CLIENT }
type Query {
  a: Int @governed(readers: [AUDITOR])
  old: Int @governed(readers: [AUDITOR]) @deprecated(reason: "read a")
}
"""


class Done(NamedTuple):
    """What a command printed, and its exit code."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        return self.stdout + self.stderr


def break_operation(project: Path) -> None:
    """Add an operation that reads a field which the schema does not have."""
    (project / "red" / "bad.graphql").write_text("query Bad {\n  missing\n}")


def run_contract(*arguments: object) -> Done:
    """Run `grounds-client contract` and the gateway's `grounds contract`, which must tell the same."""
    words = ["contract", *map(str, arguments)]
    client = run_client(*words)
    done = CliRunner().invoke(app, words)
    gateway = Done(done.exit_code, done.stdout, done.stderr.replace("grounds: ", "grounds-client: ", 1))
    assert gateway == client
    return client


def run_client(*words: str) -> Done:
    """Run `grounds-client`."""
    with redirect_stdout(StringIO()) as stdout, redirect_stderr(StringIO()) as stderr:
        try:
            exit_code = main(words)
        except SystemExit as ended:  # help, or a wrong argument
            exit_code = ended.code if isinstance(ended.code, int) else sys.maxsize
    return Done(exit_code, stdout.getvalue(), stderr.getvalue())
