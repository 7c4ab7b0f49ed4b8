"""The command `grounds ingest`."""

import sys
from datetime import UTC, datetime
from json import dumps as dump_json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import uvloop
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from app.cli.command import EXIT_INCOMPLETE, AsJson, Data, exit_with_error, open_database_of, print_json
from app.server.journal import open_journal
from app.settings import Settings, SettingsError
from db.connection import Connection, JournalOfPool, connection, open_database

if TYPE_CHECKING:  # what reads facts takes 0.3 s to import, and every other command would too
    from app.cli.fact_files import FactFile
    from db.ingest.merge import Summary
    from db.ingest.rejection import Rejected
    from db.ingest.staging import Stager


def ingest_command(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="The NDJSON or .gz files to load. Use - for standard input.")
    ],
    check: Annotated[bool, typer.Option("--check", help="Only report the faults of each line; store nothing.")] = False,
    product: Annotated[
        list[str] | None,
        typer.Option(
            help=(
                "With --check: also accept this product. Use this option for a product that your policy contains. "
                "Repeat the option for each "
                "product."
            )
        ),
    ] = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Load facts from files.

    The command writes rejected lines to FILE.rejects.ndjson. If a line was rejected or a record stays quarantined,
    the exit code is 3. If a file is damaged, the exit code is 2.
    """
    for name in files:
        if name != "-" and (Path(name).is_dir() or not Path(name).exists()):
            exit_with_error(f"{name}: does not exist or is a folder (pass files, or - for standard input)")
    if check:
        _check_files(files, frozenset(product or ()), as_json=json)
        return
    summaries: list[dict[str, Any]] | None = [] if json else None
    with open_database_of(data) as (settings, url):
        rejected, faults = uvloop.run(_ingest_files(settings, url, files, summaries))
    if summaries is not None:
        print_json(summaries)
    if faults:
        exit_with_error("\n".join(faults))
    if rejected:
        raise typer.Exit(EXIT_INCOMPLETE)


def _check_files(files: list[str], products: frozenset[str], *, as_json: bool) -> None:
    """Check the files of `grounds ingest --check`, and exit with the code that `grounds ingest` would have."""
    from app.cli.fact_files import FactFile

    faulty = False
    sources = [FactFile(name) for name in files]
    for source in sources:
        counts, rejects = _check_file(source, products)
        faulty = faulty or bool(rejects)
        if as_json:
            print_json({"file": source.name, "records": counts, "rejects": rejects})
        else:
            _print_line_faults(source.name, rejects)
            print(f"{source.name}: {sum(counts.values())} records are valid, {len(rejects)} are not")
    if damaged := [source.fault for source in sources if source.fault]:
        exit_with_error("\n".join(damaged))
    if faulty:
        raise typer.Exit(EXIT_INCOMPLETE)


def _check_file(source: "FactFile", products: frozenset[str]) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """Check a file of `grounds ingest --check`; return the number of valid records by type, and the rejected lines."""
    from db.ingest.dry_run import check_lines
    from db.vocabulary import PLATFORM_PRODUCTS

    rejects: list[dict[str, Any]] = []

    def note(rejected: "Rejected") -> None:
        """Add a rejected line to the list for `grounds ingest --check`."""
        rejects.append(rejected.as_dict())

    blocks = source.blocks(lambda _: None)
    counts = uvloop.run(check_lines(blocks, PLATFORM_PRODUCTS | products, datetime.now(UTC), note))
    return dict(sorted(counts.items())), rejects


def _print_line_faults(name: str, rejects: list[dict[str, Any]]) -> None:
    """Print each fault that `grounds ingest --check` found: its place, the reason, and an example of a right value."""
    for line in rejects:
        named = " ".join(filter(None, (line["record"], line["id"])))
        for fault in line["faults"]:
            said = ": ".join(filter(None, (f"{name}:{line['line']}", named, fault["field"], fault["reason"])))
            example = fault["example"]
            print(said if example is None else f"{said}, such as {dump_json(example, ensure_ascii=False)}")


async def _ingest_files(
    settings: Settings, url: str, files: list[str], summaries: list[dict[str, Any]] | None
) -> tuple[int, list[str]]:
    """Load the files of `grounds ingest` in order; return the number of rejected lines and the errors of damaged files.

    The summary of each file is appended to `summaries`, or printed if `summaries` is None.
    """
    from app.cli.fact_files import FactFile
    from db.ingest.staging import Stager

    rejected = 0
    faults: list[str] = []
    if fault := settings.name_models_fault():
        raise SettingsError(fault)
    stager = Stager(settings.names)
    try:
        opened = open_database(url, settings.secret_bytes(), journal=open_journal(settings))
        async with opened as database, connection(database.ingest) as borrowed:
            for name in files:
                source = FactFile(name)
                rejected += await _ingest_file(borrowed, database.ingest.journal, stager, source, summaries)
                if source.fault is not None:
                    faults.append(source.fault)
    finally:
        stager.close()
    return rejected, faults


async def _ingest_file(
    borrowed: Connection,
    journal: JournalOfPool | None,
    stager: "Stager",
    source: "FactFile",
    summaries: list[dict[str, Any]] | None,
) -> int:
    """Load one file of `grounds ingest` with a progress bar; return the number of lines that are not in effect.

    Rejected lines are written to a file next to the loaded file.
    """
    from app.cli.fact_files import RejectsFile
    from app.http.ingest import remarks
    from db.ingest.merge import ingest_lines

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with (
        RejectsFile(source) as rejects,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        task = progress.add_task(source.name, total=source.size)
        blocks = source.blocks(lambda at: progress.update(task, completed=at))
        summary = await ingest_lines(borrowed, blocks, stager, on_rejected=rejects.add_rejected_line, journal=journal)
        for remark in (*summary.unreadable_signals, *summary.changed_campaigns):
            rejects.add_rejected_line(remark)
    if summaries is None:
        _print_summary(source.name, summary.as_dict())
        _print_uncounted(summary)
    else:
        summaries.append({"file": source.name, "records": summary.as_dict(), **remarks(summary)})
    return _print_remarks(summary, rejects.path)


def _print_uncounted(summary: "Summary") -> None:
    """Print the records that `grounds ingest` stored but that do not count, such as consents that are not required."""
    for epoch, count in sorted(summary.notices.items()):
        print(
            f"{_phrase_with_count(count, 'notice', 'notices')} of the campaign {epoch}: not counted, because the"
            " campaign is unknown (load the record of the campaign)"
        )
    if summary.unasked_consents:
        print(
            f"{_phrase_with_count(summary.unasked_consents, 'consent', 'consents')}: not counted, because the policy in"
            " force does not ask these accounts for consent (first activate a policy with the ground OPTED_IN for the"
            " accounts' products)"
        )


def _phrase_with_count(count: int, one: str, many: str) -> str:
    """Write a number with the words for one or for many."""
    return f"{count} {one if count == 1 else many}"


def _print_remarks(summary: "Summary", rejects: Path) -> int:
    """Print the lines that `grounds ingest` rejected or set aside; return the number of these lines."""
    changed = len(summary.changed_campaigns)
    rejected, aside = summary.total("rejected"), summary.still_set_aside.total()
    there = f"(see {rejects})"
    of_earlier = f"earlier records of the same campaign {there}"
    staying = "quarantined (send the valid lines again with a later observed_at)"
    for count, one, many in (
        (len(summary.unreadable_signals), f"signal could not be read {there}", f"signals could not be read {there}"),
        (changed, f"campaign record differs from {of_earlier}", f"campaign records differ from {of_earlier}"),
        (rejected, f"line was rejected {there}", f"lines were rejected {there}"),
        (
            aside,
            f"valid line is not newer than an invalid line of the same record, so the record stays {staying}",
            f"valid lines are not newer than an invalid line of the same record, so the record stays {staying}",
        ),
    ):
        if count:
            print(_phrase_with_count(count, one, many), file=sys.stderr)
    return rejected + aside + changed


def _print_summary(name: str, counts: dict[str, dict[str, int]]) -> None:
    """Print the numbers of records in a file that `grounds ingest` accepted and rejected."""
    table = Table("record", "accepted", "unchanged", "stale", "rejected", title=Text(name), title_justify="left")
    for record, outcomes in counts.items():
        table.add_row(record, *(str(count) for count in outcomes.values()))
    Console(highlight=False).print(table)
