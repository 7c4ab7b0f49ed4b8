"""The command `grounds-client`. Exit codes: 0 no check failed, 1 a check failed, 2 an input cannot be read."""

import argparse
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from grounds_client.connection import GatewayError
from grounds_client.contract.commands import ContractOutcome, check_report, diff_report, usage_report
from grounds_client.contract.formats import EXIT_UNREADABLE, EXIT_WOULD_BREAK, ReportFormat, UsageFormat
from grounds_client.contract.loader import ContractError
from grounds_client.data_commands import add_data_commands
from grounds_client.folder import SyncError

SCHEMA_HELP = "The SDL file, or the URL of a gateway; for a URL, set GROUNDS_TOKEN to a token."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `grounds-client` with the given arguments, or with those of the process; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        outcome: ContractOutcome = options.run(options)
    except (ContractError, GatewayError, SyncError) as error:
        print(f"grounds-client: {error}", file=sys.stderr)
        return EXIT_UNREADABLE
    except Exception:  # a defect of ours must not have the exit code of a broken contract, which Python's own is
        traceback.print_exc()
        return EXIT_UNREADABLE
    if outcome.text:
        print(outcome.text)
    return EXIT_WOULD_BREAK if outcome.failed else 0


def _parser() -> argparse.ArgumentParser:
    """Make the parser for the command line of `grounds-client`."""
    parser = argparse.ArgumentParser(prog="grounds-client", description="Tools for programs that query a gateway.")
    parser.add_argument("--version", action="version", version=version("grounds-client"))
    groups = parser.add_subparsers(required=True, metavar="COMMAND")
    add_data_commands(groups)
    contract = groups.add_parser(
        "contract", help="Check that operations fit a schema, and that a schema change breaks no operation."
    )
    commands = contract.add_subparsers(required=True, metavar="COMMAND")
    _add_check(commands.add_parser("check", help="Report the operations that would fail."))
    _add_diff(
        commands.add_parser(
            "diff", help="Report the changes from one schema to another, and the operations that the changes affect."
        )
    )
    _add_usage(commands.add_parser("usage", help="Report the operations that use a field."))
    return parser


def _add_check(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `grounds-client contract check` to its parser."""
    places = "The operations to check: .graphql files, folders, or the persisted-documents.json of graphql-codegen."
    parser.add_argument("operations", type=Path, nargs="+", metavar="OPERATIONS", help=places)
    parser.add_argument("--schema", required=True, metavar="FILE|URL", help=SCHEMA_HELP)
    parser.add_argument("--role", help="Also report the fields that this role may not read. Requires an SDL file.")
    _add_client(parser)
    _add_format(parser, ReportFormat)
    parser.add_argument("--strict", action="store_true", help="Also fail for deprecated elements and exceeded limits.")
    parser.set_defaults(run=_run_check)


def _add_diff(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `grounds-client contract diff` to its parser."""
    parser.add_argument("old", metavar="OLD", help="The SDL file of the old schema.")
    parser.add_argument("new", metavar="NEW", help="The SDL file of the new schema.")
    _add_operations_option(parser, default=[])
    _add_client(parser)
    _add_format(parser, ReportFormat)
    parser.add_argument("--strict", action="store_true", help="Also fail for dangerous changes.")
    parser.set_defaults(run=_run_diff)


def _add_usage(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `grounds-client contract usage` to its parser."""
    parser.add_argument(
        "field", metavar="FIELD", help="The schema coordinate of the field, such as TrainableContent.text."
    )
    _add_operations_option(parser, default=[Path()])
    parser.add_argument("--schema", required=True, metavar="FILE|URL", help=SCHEMA_HELP)
    _add_client(parser)
    _add_format(parser, UsageFormat)
    parser.set_defaults(run=_run_usage)


def _add_operations_option(parser: argparse.ArgumentParser, default: list[Path]) -> None:
    """Add the option --operations to a parser of `grounds-client`."""
    words = "A file or folder with operations; repeat the option for each file or folder."
    words += f" Default: {'this folder' if default else 'none'}."
    parser.add_argument("--operations", type=Path, action="append", metavar="PATH", help=words)
    parser.set_defaults(default_operations=default)


def _add_client(parser: argparse.ArgumentParser) -> None:
    """Add the option --client to a parser of `grounds-client`."""
    parser.add_argument(
        "--client",
        help=(
            "The name of the consumer in reports. Default: for each file, the name of the folder that contains "
            "the file."
        ),
    )


def _add_format(parser: argparse.ArgumentParser, formats: type[ReportFormat] | type[UsageFormat]) -> None:
    """Add the option --format to a parser of `grounds-client`."""
    parser.add_argument(
        "--format",
        type=str.lower,
        choices=list(formats),
        default="text",
        help="The format of the report. Default: text.",
    )


def _run_check(options: argparse.Namespace) -> ContractOutcome:
    """Run `grounds-client contract check`."""
    return check_report(
        options.operations,
        options.schema,
        client=options.client,
        role=options.role,
        format=ReportFormat(options.format),
        strict=options.strict,
    )


def _run_diff(options: argparse.Namespace) -> ContractOutcome:
    """Run `grounds-client contract diff`."""
    return diff_report(
        options.old,
        options.new,
        options.operations or options.default_operations,
        client=options.client,
        format=ReportFormat(options.format),
        strict=options.strict,
    )


def _run_usage(options: argparse.Namespace) -> ContractOutcome:
    """Run `grounds-client contract usage`."""
    text = usage_report(
        options.field,
        options.operations or options.default_operations,
        options.schema,
        client=options.client,
        format=UsageFormat(options.format),
    )
    return ContractOutcome(text, failed=False)
