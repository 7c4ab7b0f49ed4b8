"""The commands `grounds policy show`, `check` and `activate`."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import psycopg
import typer

from app.cli.command import Data, exit_on_errors, open_database_of, print_json, read_file

if TYPE_CHECKING:
    from db.policy.document import Policy

policy_commands = typer.Typer(no_args_is_help=True, help="Show, check and activate policies.")

PolicyFile = Annotated[Path, typer.Argument(help="The JSON file with the policy document.")]


@policy_commands.command("show")
def policy_show_command(data: Data = None) -> None:
    """Print the policy in force."""
    from db.policies.activation import active_policy

    with open_database_of(data) as (_, url), psycopg.connect(url) as connection:
        policy = active_policy(connection)
        assert policy is not None, "a policy is in force after the database was prepared"
        print_json(json.loads(policy.document()))


@policy_commands.command("check")
def policy_check_command(file: PolicyFile, data: Data = None) -> None:
    """Check a policy document against the uses that campaigns told people about; print each error and warning."""
    with exit_on_errors():
        text = read_file(file)
    with open_database_of(data) as (_, url):
        policy, warnings = _check_policy(text, file.name, url)
    _print_warnings(policy, warnings)
    print(f"policy {policy.version}: is valid; its grounds are {', '.join(policy.grounds)}")


@policy_commands.command("activate")
def policy_activate_command(file: PolicyFile, data: Data = None) -> None:
    """Put a policy in force. The policy applies to every page that is requested after the activation."""
    from db.policies.activation import activate_policy

    with exit_on_errors():
        text = read_file(file)
    with open_database_of(data) as (_, url):
        policy, _ = _check_policy(text, file.name, url)
        activate_policy(url, policy)
    _print_warnings(policy, policy.overdue(datetime.now(UTC)))
    print(f"policy {policy.version}: is in force")


def _print_warnings(policy: "Policy", warnings: list[str]) -> None:
    """Print the warnings of `grounds policy` on standard error."""
    for warning in warnings:
        print(f"policy {policy.version}: warning: {warning}", file=sys.stderr)


def _check_policy(text: bytes, name: str, url: str) -> "tuple[Policy, list[str]]":
    """Check the policy document of `grounds policy check` or `activate`, and return it with the warnings about it.

    Raises PolicyError with every fault.
    """
    from db.policies.told import TOLD, check_policy, warn_of_epoch

    with psycopg.connect(url) as connection:
        told = connection.execute(TOLD).fetchall()
    policy = check_policy(text, name, told)
    return policy, [*policy.warnings(datetime.now(UTC)), *_warn_of_languages(policy), *warn_of_epoch(policy, told)]


def _warn_of_languages(policy: "Policy") -> list[str]:
    """Name for `grounds policy check` the languages of the pages in which the controller's statements are missing."""
    from app.texts.catalogue import open_catalogue

    stated_by_name = policy.controller.statements() if policy.controller else {}
    missing = {name: set(open_catalogue(None).languages) - {*stated} for name, stated in stated_by_name.items()}
    return [
        f"controller.{name}: is missing in {', '.join(sorted(languages))} (add these languages; until then, pages and"
        " notices in these languages show the English text)"
        for name, languages in missing.items()
        if languages
    ]
