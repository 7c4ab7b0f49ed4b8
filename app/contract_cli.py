"""The commands of other teams' CI: `grounds contract`, `grounds documents`. 0 is fine, 1 would break, 2 unreadable."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from app.settings import SettingsError
from schema.actor import Role

contracts = typer.Typer(no_args_is_help=True, help="Check operations against a schema, and schemas for operations.")
documents = typer.Typer(no_args_is_help=True, help="The trusted documents.")

WOULD_BREAK = 1
UNREADABLE = 2

Client = Annotated[str | None, typer.Option(help="Whose they are; else the name of the folder of each file.")]
Operations = Annotated[list[Path] | None, typer.Option("--operations", help="Operations; may be repeated.")]
Schema = Annotated[
    str | None, typer.Option(metavar="FILE|URL", help="SDL, or a gateway's address; else the one of this version.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Let what is dangerous, deprecated or over a limit break too.")]


class Format(StrEnum):
    """Name a form in which something is told."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"


class UsageFormat(StrEnum):
    """Name a form in which usage is told, which neither passes nor fails."""

    TEXT = "text"
    JSON = "json"


Told = Annotated[Format, typer.Option(help="How it is told.")]


@contracts.command("check")
def contract_check(
    operations: Annotated[
        list[Path],
        typer.Argument(
            metavar="OPERATIONS...", help=".graphql files, folders, or graphql-codegen's persisted-documents.json."
        ),
    ],
    schema: Schema = None,
    client: Client = None,
    role: Annotated[Role | None, typer.Option(help="Also find what this role may not read.")] = None,
    format: Told = Format.TEXT,
    strict: Strict = False,
) -> None:
    """Say which operations would fail, and which use something deprecated, by consumer."""
    from app import contract, contract_report
    from schema.contracts import check

    with _told():
        if role is not None and schema is not None and contract.is_url(schema):
            raise contract.ContractError("--role: introspection does not tell who reads what (name an SDL file)")
        against = contract.read_schema(schema)
        found = [(each, check(against, each, role)) for each in contract.read_operations(operations, client)]
    if format is Format.JSON:
        print(contract_report.as_json(found))
    else:
        print((contract_report.as_text if format is Format.TEXT else contract_report.as_junit)(found, strict=strict))
    if any(contract_report.fails(findings, strict=strict) for _, findings in found):
        raise typer.Exit(WOULD_BREAK)


@contracts.command("diff")
def contract_diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="SDL, as it was.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="SDL, as it will be.")],
    operations: Operations = None,
    client: Client = None,
    format: Told = Format.TEXT,
    strict: Strict = False,
) -> None:
    """Say what changed from one schema to another, and whose operations it touches."""
    from app import contract, contract_report
    from schema.contracts import broken, changes, touched
    from schema.usage import used_by

    with _told():
        for name in (old, new):
            if contract.is_url(name):
                raise contract.ContractError(
                    f"{'OLD' if name is old else 'NEW'}: introspection does not tell who reads what (name an SDL file)"
                )
        before, after = contract.read_schema(old), contract.read_schema(new)
        registered = contract.read_operations(operations or [], client)
        used = [(each, used_by(each.own, before)) for each in registered]
        found = [(change, touched(change, before, used)) for change in changes(before, after)]
        would_break = broken(before, after, registered)
    if format is Format.JUNIT:
        print(contract_report.changes_as_junit(found, would_break, strict=strict))
    else:
        tell = contract_report.changes_as_text if format is Format.TEXT else contract_report.changes_as_json
        print(tell(found, would_break))
    if would_break or any(contract_report.breaks(change, strict=strict) for change, _ in found):
        raise typer.Exit(WOULD_BREAK)


@contracts.command("usage")
def contract_usage(
    field: Annotated[str, typer.Argument(metavar="FIELD", help="Such as TrainableContent.text.")],
    operations: Operations = None,
    schema: Schema = None,
    client: Client = None,
    format: Annotated[UsageFormat, typer.Option(help="How it is told.")] = UsageFormat.TEXT,
) -> None:
    """Say which operations of which consumer read a field, of those in this folder or in --operations."""
    from app import contract, contract_report
    from schema.usage import used_by

    with _told():
        against = contract.read_schema(schema)
        coordinate = contract.known_coordinate(against, field)
        registered = contract.read_operations(operations or [Path()], client)
        readers = [each for each in registered if coordinate in used_by(each.own, against)]
    if format is UsageFormat.JSON:
        print(contract_report.usage_as_json(coordinate, readers))
    else:
        told = "\n".join(contract_report.consumers(readers))
        print(told or f"{coordinate}: no operation of {len(registered)} uses it")


@documents.command("register")
def documents_register(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="A folder of .graphql files, or graphql-codegen's persisted-documents.json."
        ),
    ],
    client: Annotated[str, typer.Option(help="Whose they are.")],
    manifest: Annotated[
        Path, typer.Option(envvar="GROUNDS_DOCUMENTS", help="The file that GROUNDS_DOCUMENTS names; it is merged into.")
    ] = Path("documents.json"),
) -> None:
    """Put documents into the manifest of those that the gateway trusts, and print their ids."""
    from app.registration import register

    with _told():
        names = register(folder, client, manifest)
    for identifier, name in names.items():
        print(f"{identifier}  {name}")


@contextmanager
def _told() -> Iterator[None]:
    """Turn faults into one clear message."""
    from app.contract import ContractError
    from app.observe import observe

    try:
        yield
    except (ContractError, SettingsError) as error:
        message = str(error)
    except Exception as error:
        message = f"something failed here (tell the developers of the failure {observe.failure(error)} above)"
    else:
        return
    print(f"grounds: {message}", file=sys.stderr)
    raise typer.Exit(UNREADABLE)
