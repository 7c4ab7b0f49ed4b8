"""The commands `grounds contract` and `grounds documents`. Exit codes: 0 well, 1 would break, 2 unreadable."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.settings import SettingsError
from grounds_client.contract.formats import EXIT_UNREADABLE, EXIT_WOULD_BREAK, ReportFormat, UsageFormat
from schema.actor import Role

if TYPE_CHECKING:
    from graphql import GraphQLSchema

contract_commands = typer.Typer(
    no_args_is_help=True, help="Check operations against a schema, and schemas for operations."
)
document_commands = typer.Typer(no_args_is_help=True, help="The trusted documents.")

Client = Annotated[str | None, typer.Option(help="The consumer's name. Default: the name of each file's folder.")]
Operations = Annotated[
    list[Path] | None, typer.Option("--operations", help="A file or folder of operations; repeatable.")
]
Schema = Annotated[
    str | None,
    typer.Option(metavar="FILE|URL", help="An SDL file, or the URL of a gateway. Default: the schema of this version."),
]
Strict = Annotated[bool, typer.Option("--strict", help="Also fail for what is deprecated, dangerous or over a limit.")]
Format = Annotated[ReportFormat, typer.Option(case_sensitive=False, help="The format of the report.")]


@contract_commands.command("check")
def contract_check_command(
    operations: Annotated[
        list[Path],
        typer.Argument(
            metavar="OPERATIONS...", help=".graphql files, folders, or the persisted-documents.json of graphql-codegen."
        ),
    ],
    schema: Schema = None,
    client: Client = None,
    role: Annotated[
        Role | None, typer.Option(case_sensitive=False, help="Also report the fields that this role may not read.")
    ] = None,
    format: Format = ReportFormat.TEXT,
    strict: Strict = False,
) -> None:
    """Report the operations that would fail, are over a limit, or use something deprecated, by consumer."""
    from grounds_client.contract.commands import check_report

    with _exit_on_contract_errors():
        source = schema or _served_schema()
        outcome = check_report(operations, source, client=client, role=role, format=format, strict=strict)
    print(outcome.text)
    if outcome.failed:
        raise typer.Exit(EXIT_WOULD_BREAK)


@contract_commands.command("diff")
def contract_diff_command(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The SDL file before the change.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The SDL file after the change.")],
    operations: Operations = None,
    client: Client = None,
    format: Format = ReportFormat.TEXT,
    strict: Strict = False,
) -> None:
    """Report the changes from one schema to another, and the operations that they affect."""
    from grounds_client.contract.commands import diff_report

    with _exit_on_contract_errors():
        outcome = diff_report(old, new, operations or [], client=client, format=format, strict=strict)
    print(outcome.text)
    if outcome.failed:
        raise typer.Exit(EXIT_WOULD_BREAK)


@contract_commands.command("usage")
def contract_usage_command(
    field: Annotated[str, typer.Argument(metavar="FIELD", help="A schema coordinate, such as TrainableContent.text.")],
    operations: Operations = None,
    schema: Schema = None,
    client: Client = None,
    format: Annotated[
        UsageFormat, typer.Option(case_sensitive=False, help="The format of the report.")
    ] = UsageFormat.TEXT,
) -> None:
    """Report the operations that use a field, of those in this folder or in --operations."""
    from grounds_client.contract.commands import usage_report

    with _exit_on_contract_errors():
        source = schema or _served_schema()
        print(usage_report(field, operations or [Path()], source, client=client, format=format))


@document_commands.command("register")
def documents_register_command(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="A folder of .graphql files, or the persisted-documents.json of graphql-codegen."
        ),
    ],
    client: Annotated[str, typer.Option(help="The client that sends them.")],
    manifest: Annotated[
        Path, typer.Option(envvar="GROUNDS_DOCUMENTS", help="The manifest, which the documents are merged into.")
    ] = Path("documents.json"),
) -> None:
    """Put documents into the manifest of those that the gateway trusts, and print their ids."""
    from app.cli.document_registration import register_documents

    with _exit_on_contract_errors():
        names = register_documents(folder, client, manifest)
    for identifier, name in names.items():
        print(f"{identifier}  {name}")


def _served_schema() -> "GraphQLSchema":
    """Build the schema for `grounds contract` from the served SDL, which alone shows @governed."""
    from graphql import build_schema

    from schema.build import build_schema as build_served_schema

    return build_schema(build_served_schema().as_str())


@contextmanager
def _exit_on_contract_errors() -> Iterator[None]:
    """Turn an error of `grounds contract` into one message and exit code 2."""
    from app.telemetry import observe
    from grounds_client.contract.loader import ContractError

    try:
        yield
    except (ContractError, SettingsError) as error:
        message = str(error)
    except Exception as error:
        message = f"something failed here (report to the developers the failure {observe.failure(error)} above)"
    else:
        return
    print(f"grounds: {message}", file=sys.stderr)
    raise typer.Exit(EXIT_UNREADABLE)
