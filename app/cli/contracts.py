"""The commands `grounds contract` and `grounds documents`. Exit codes: 0 no break, 1 a break, 2 unreadable input."""

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
    no_args_is_help=True, help="Check that operations fit a schema, and that a schema change breaks no operation."
)
document_commands = typer.Typer(no_args_is_help=True, help="Register trusted documents.")

Client = Annotated[
    str | None,
    typer.Option(
        help=(
            "The name of the consumer in reports. Default: for each file, the name of the folder that contains "
            "the file."
        )
    ),
]
Operations = Annotated[
    list[Path] | None,
    typer.Option("--operations", help="A file or folder with operations. Repeat the option for each file or folder."),
]
Schema = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|URL",
        help="The SDL file, or the URL of a gateway. Default: the schema of this version of Grounds.",
    ),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Also fail for deprecated elements, dangerous changes and exceeded limits.")
]
Format = Annotated[ReportFormat, typer.Option(case_sensitive=False, help="The format of the report.")]


@contract_commands.command("check")
def contract_check_command(
    operations: Annotated[
        list[Path],
        typer.Argument(
            metavar="OPERATIONS...",
            help=(
                "The operations to check: .graphql files, folders, or the persisted-documents.json of graphql-codegen."
            ),
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
    """For each consumer, report the operations that would fail, exceed a limit or use a deprecated element."""
    from grounds_client.contract.commands import check_report

    with _exit_on_contract_errors():
        source = schema or _served_schema()
        outcome = check_report(operations, source, client=client, role=role, format=format, strict=strict)
    print(outcome.text)
    if outcome.failed:
        raise typer.Exit(EXIT_WOULD_BREAK)


@contract_commands.command("diff")
def contract_diff_command(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The SDL file of the old schema.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The SDL file of the new schema.")],
    operations: Operations = None,
    client: Client = None,
    format: Format = ReportFormat.TEXT,
    strict: Strict = False,
) -> None:
    """Report the changes from one schema to another, and the operations that the changes affect."""
    from grounds_client.contract.commands import diff_report

    with _exit_on_contract_errors():
        outcome = diff_report(old, new, operations or [], client=client, format=format, strict=strict)
    print(outcome.text)
    if outcome.failed:
        raise typer.Exit(EXIT_WOULD_BREAK)


@contract_commands.command("usage")
def contract_usage_command(
    field: Annotated[
        str, typer.Argument(metavar="FIELD", help="The schema coordinate of the field, such as TrainableContent.text.")
    ],
    operations: Operations = None,
    schema: Schema = None,
    client: Client = None,
    format: Annotated[
        UsageFormat, typer.Option(case_sensitive=False, help="The format of the report.")
    ] = UsageFormat.TEXT,
) -> None:
    """Report the operations that use a field; by default, the operations in this folder are searched."""
    from grounds_client.contract.commands import usage_report

    with _exit_on_contract_errors():
        source = schema or _served_schema()
        print(usage_report(field, operations or [Path()], source, client=client, format=format))


@document_commands.command("register")
def documents_register_command(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="The folder of .graphql files, or the persisted-documents.json of graphql-codegen."
        ),
    ],
    client: Annotated[str, typer.Option(help="The name of the client that sends the documents.")],
    manifest: Annotated[
        Path, typer.Option(envvar="GROUNDS_DOCUMENTS", help="The manifest file to which the documents are added.")
    ] = Path("documents.json"),
) -> None:
    """Add documents to the manifest of trusted documents, and print their ids."""
    from app.cli.document_registration import register_documents

    with _exit_on_contract_errors():
        names = register_documents(folder, client, manifest)
    for identifier, name in names.items():
        print(f"{identifier}  {name}")


def _served_schema() -> "GraphQLSchema":
    """Build the schema for `grounds contract` from the served SDL; introspection would omit @governed."""
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
        message = f"an internal error occurred (report failure {observe.failure(error)} above to the developers)"
    else:
        return
    print(f"grounds: {message}", file=sys.stderr)
    raise typer.Exit(EXIT_UNREADABLE)
