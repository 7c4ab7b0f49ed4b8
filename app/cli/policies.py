"""The commands `grounds policy show`, `check` and `activate`."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import psycopg
import typer

from app.cli.command import Data, exit_on_errors, open_database_of, print_json, read_file

policy_commands = typer.Typer(no_args_is_help=True, help="Show, check and activate policies.")

PolicyFile = Annotated[Path, typer.Argument(help="The JSON file with the policy document.")]


@policy_commands.command("show")
def policy_show_command(data: Data = None) -> None:
    """Print the policy in force."""
    from db.policies.activation import active_policy

    with open_database_of(data) as (_, url), psycopg.connect(url) as connection:
        policy = active_policy(connection)
        assert policy is not None, "preparing the database puts one in force"
        print_json(json.loads(policy.document()))


@policy_commands.command("check")
def policy_check_command(file: PolicyFile, data: Data = None) -> None:
    """Check a policy document, and compare it with the uses that campaigns announced; print each error and warning."""
    from db.policies.told import TOLD, raise_if_untold
    from db.policy.document import parse_policy

    with exit_on_errors():
        policy = parse_policy(read_file(file), file.name)
    with open_database_of(data) as (_, url), psycopg.connect(url) as connection:
        raise_if_untold(policy, connection.execute(TOLD).fetchall())
    for warning in policy.warnings(datetime.now(UTC)):
        print(f"policy {policy.version}: warning: {warning}", file=sys.stderr)
    print(f"policy {policy.version}: is valid; its grounds are {', '.join(policy.grounds)}")


@policy_commands.command("activate")
def policy_activate_command(file: PolicyFile, data: Data = None) -> None:
    """Put a policy in force. The policy applies from the next page on."""
    from db.policies.activation import activate_policy
    from db.policies.told import TOLD, raise_if_untold
    from db.policy.document import parse_policy

    with exit_on_errors():
        policy = parse_policy(read_file(file), file.name)
    with open_database_of(data) as (_, url):
        with psycopg.connect(url) as connection:
            raise_if_untold(policy, connection.execute(TOLD).fetchall())
        activate_policy(url, policy)
    print(f"policy {policy.version}: is in force")
