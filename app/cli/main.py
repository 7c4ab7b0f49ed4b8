"""Grounds: serve, load and audit permitted training data.

Exit codes: 0 success, 1 failed check, 2 error, 3 work remains, 4 the ledger was changed, 130 interrupted.
"""

from importlib import metadata
from typing import Annotated

import typer

from app.cli.backup import backup_command, restore_command, restored_command
from app.cli.campaigns import campaign_commands
from app.cli.canaries import canary_commands
from app.cli.contracts import contract_commands, document_commands
from app.cli.convert import convert_commands
from app.cli.database import migrate_command, status_command
from app.cli.ingest import ingest_command
from app.cli.lakes import lake_commands
from app.cli.links import link_command
from app.cli.notices import notice_commands
from app.cli.objections import objection_commands
from app.cli.policies import policy_commands
from app.cli.report import report_command
from app.cli.schemas import schema_commands
from app.cli.secret import secret_commands
from app.cli.serving import demo_command, serve_command
from app.cli.tokens import token_command
from app.cli.verify import verify_command
from app.telemetry import configure_logging

app = typer.Typer(
    help=__doc__, context_settings={"help_option_names": ["-h", "--help"]}, pretty_exceptions_enable=False
)
for name, command in (
    ("demo", demo_command),
    ("serve", serve_command),
    ("ingest", ingest_command),
    ("token", token_command),
    ("link", link_command),
    ("status", status_command),
    ("migrate", migrate_command),
    ("verify", verify_command),
    ("report", report_command),
    ("backup", backup_command),
    ("restore", restore_command),
    ("restored", restored_command),
):
    app.command(name)(command)
for name, group in (
    ("convert", convert_commands),
    ("policy", policy_commands),
    ("campaign", campaign_commands),
    ("notice", notice_commands),
    ("objection", objection_commands),
    ("canary", canary_commands),
    ("lake", lake_commands),
    ("secret", secret_commands),
    ("schema", schema_commands),
    ("contract", contract_commands),
    ("documents", document_commands),
):
    app.add_typer(group, name=name)


def _print_version(wanted: bool) -> None:
    """Print the version for `grounds --version`, and exit."""
    if wanted:
        print(f"grounds {metadata.version('grounds')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Print the help of `grounds` if the command line contains no command."""
    if context.invoked_subcommand is None:
        print(context.get_help())


_root.__doc__ = __doc__


def main() -> None:
    """Run the command `grounds` from the command line."""
    configure_logging()
    app()
