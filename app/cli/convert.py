"""The commands `grounds convert activitystreams` and `csv`."""

import gzip
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from json import JSONDecodeError, dumps, loads
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.command import EXIT_INCOMPLETE, exit_with_error, read_file

if TYPE_CHECKING:  # what reads facts takes 0.3 s to import, and every other command would too
    from app.convert.left_out import LeftOut

convert_commands = typer.Typer(
    no_args_is_help=True, help="Convert a platform's export to facts, and report the parts that were left out."
)
Files = Annotated[list[str], typer.Argument(metavar="FILE...", help="The files to convert. Use - for standard input.")]
ObservedAt = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%dT%H:%M:%S%z"], help="The time of the export. Default: the current time."),
]


@convert_commands.command("activitystreams")
def convert_activitystreams_command(
    files: Files,
    product: Annotated[str, typer.Option(help="The name of the product, spelled as in the policy.")],
    observed_at: ObservedAt = None,
) -> None:
    """Convert ActivityStreams outboxes, actors and objects to facts, one per line.

    If a part of a file cannot be read, the exit code is 3.
    """
    from app.convert.activitystreams import ActivityStreams
    from app.convert.left_out import LeftOut

    left_out = LeftOut()
    converter = ActivityStreams(product, observed_at or datetime.now(UTC), left_out)
    values = (value for name in files for value in _json_values(name))
    _print_records((record for value in values for record in converter.records(value)), left_out)


@convert_commands.command("csv")
def convert_csv_command(
    files: Files,
    mapping: Annotated[Path, typer.Option(help="The mapping file, which names the column of each field.")],
) -> None:
    """Convert the rows of CSV files to facts, one per line.

    If a row cannot be read, the exit code is 3.
    """
    from app.convert.csv_rows import MappingError, csv_records, read_mapping
    from app.convert.left_out import LeftOut

    left_out = LeftOut()
    try:
        columns = read_mapping(read_file(mapping).decode("utf-8-sig", "replace"))
    except MappingError as error:
        exit_with_error(f"{mapping}: {error}")
    for name in files:
        try:
            _write_records(csv_records(_text_lines(name), columns, left_out))
        except MappingError as error:
            exit_with_error(f"{name}: {error}")
    _print_left_out(left_out)


def _print_records(records: Iterable[dict[str, Any]], left_out: "LeftOut") -> None:
    """Print converted facts, and the parts that were left out."""
    _write_records(records)
    _print_left_out(left_out)


def _write_records(records: Iterable[dict[str, Any]]) -> None:
    """Write converted facts to standard output, one per line."""
    for record in records:
        print(dumps(record, ensure_ascii=False))


def _print_left_out(left_out: "LeftOut") -> None:
    """Print to standard error the parts that a conversion left out; exit with 3 if a part could not be read."""
    for line in left_out.lines():
        print(line, file=sys.stderr)
    if left_out.faults:
        raise typer.Exit(EXIT_INCOMPLETE)


def _json_values(name: str) -> Iterator[object]:
    """Yield the JSON values of a file to convert, which contains one value, or one value per line."""
    text = _decode_file(name)
    try:
        yield loads(text)
    except (JSONDecodeError, RecursionError):
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                try:
                    yield loads(line)
                except (JSONDecodeError, RecursionError):
                    exit_with_error(f"{name}: line {number}: is not JSON (export a JSON file, or one object per line)")


def _decode_file(name: str) -> str:
    """Read the file to convert, or standard input; the input can be compressed with gzip."""
    content = sys.stdin.buffer.read() if name == "-" else read_file(Path(name))
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError):
            exit_with_error(f"{name}: is a damaged gzip file (export it again)")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        exit_with_error(f"{name}: is not in UTF-8 (export it in UTF-8)")


def _text_lines(name: str) -> Iterator[str]:
    """Yield the lines of a CSV file to convert."""
    yield from _decode_file(name).splitlines(keepends=True)
