"""The commands `grounds lake export`, `compile`, `decide`, `commit` and `verify`."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
import uvloop

from app.cli.command import EXIT_INCOMPLETE, Data, exit_on_errors, exit_with_error, open_database_of
from app.server.journal import open_journal
from app.settings import Settings
from db.connection import Database, PeopleRead, open_database
from db.lake.dialects import DialectName, LakeCompileError
from db.oversight.staff_reads import record_staff_read

if TYPE_CHECKING:
    from app.lakes.verify import SearchedFolder

lake_commands = typer.Typer(
    no_args_is_help=True,
    help=(
        "Export facts to a folder (a lake), and decide with another engine (DuckDB or Spark) which items are permitted."
    ),
)

EXIT_RETRACTED = 4
_EXTRA = ("duckdb", "pyarrow", "sqlglot")
Result = TypeVar("Result")
Lake = Annotated[Path, typer.Argument(metavar="LAKE", help="The folder that grounds lake export wrote.")]
Client = Annotated[str, typer.Option(help="The name of the training client.")]
Purpose = Annotated[str, typer.Option(help="The purpose of the client.")]
Name = Annotated[str, typer.Option(help="The operator's name, which the gateway records.")]
PublicKey = Annotated[
    str | None,
    typer.Option(
        help="The gateway's public key in hexadecimal digits. If another key signed the lake, the command fails."
    ),
]


@lake_commands.command("export")
def lake_export_command(
    folder: Annotated[
        Path, typer.Argument(metavar="LAKE", help="The folder to write. The folder must be new or empty.")
    ],
    client: Client,
    purpose: Purpose,
    texts: Annotated[bool, typer.Option("--texts", help="Also export the texts of the permitted items.")] = False,
    name: Name = "command line",
    data: Data = None,
) -> None:
    """Export all facts that are needed to decide about items, from one snapshot of the database.

    Keep the folder confidential: the folder contains facts about people whose items may not be delivered. The
    gateway records the export as a read of personal data.
    """

    async def export(database: Database, settings: Settings, url: str) -> dict[str, int]:
        """Record and make the export of `grounds lake export`."""
        import app.lakes.parquet  # noqa: F401 - a missing package is told before anything is recorded
        from app.lakes.export import export_lake

        reason = f"facts of all items, for the client {client}"
        await record_staff_read(database.staff, name, "PRIVACY_OFFICER", PeopleRead(), ["lakeExport"], reason)
        secret = settings.secret_bytes()
        _, rows = await export_lake(database, url, secret, folder, client, purpose, with_texts=texts)
        return rows

    rows = _with_database(data, export)
    print(f"{folder}: " + ", ".join(f"{count} rows of {table}" for table, count in rows.items()))


@lake_commands.command("compile")
def lake_compile_command(
    lake: Lake,
    dialect: Annotated[DialectName, typer.Option(case_sensitive=False, help="The engine.")] = DialectName.DUCKDB,
    public_key: PublicKey = None,
) -> None:
    """Print the SQL with which an engine decides about the items of a lake. In the SQL, the tables have the names of
    the files."""
    with _clear_errors():
        from app.lakes.folder import open_lake
        from db.lake.compile import LakeCompiler

        snapshot, _ = open_lake(lake, public_key)
        print(LakeCompiler(snapshot, dialect).statement(), end="")


@lake_commands.command("decide")
def lake_decide_command(
    lake: Lake,
    output: Annotated[Path, typer.Option(help="The folder to write. The folder must be new or empty.")],
    public_key: PublicKey = None,
) -> None:
    """Decide about all items of a lake with DuckDB, in this process; no database is needed."""
    with _clear_errors():
        from app.lakes.decide import decide_lake

        decided = decide_lake(lake, output, public_key)
        print(f"{output}: {decided.items} items decided, {decided.permitted} permitted")
        if not decided.has_texts:
            print("The lake has no texts, so only the decisions are written (export with --texts).")


@lake_commands.command("commit")
def lake_commit_command(
    lake: Lake,
    staging: Annotated[Path, typer.Option(help="The folder into which the engine wrote Parquet files.")],
    target: Annotated[Path, typer.Option(help="The folder that the client reads.")],
    data: Data = None,
) -> None:
    """Deliver files that an engine wrote: remove items that are no longer permitted, write receipts, and move the
    files.

    Each file needs a column `id` with the client's ids. If a file contains a planted item, nothing is delivered, and
    the gateway opens a hold that stops all deliveries.
    """

    async def commit(database: Database, settings: Settings, url: str) -> None:
        """Hand over the files of `grounds lake commit`."""
        from app.lakes.commit import commit_lake

        done = await commit_lake(database, url, settings.secret_bytes(), lake, staging, target)
        print(
            f"{target}: {len(done.files)} files with {done.items} items; {len(done.removed)} items were left out,"
            " because they are no longer permitted or their texts have changed"
        )

    _with_database(data, commit)


@lake_commands.command("verify")
def lake_verify_command(
    folder: Annotated[Path, typer.Argument(help="The folder with the client's files.")],
    client: Client,
    purpose: Purpose,
    data: Data = None,
) -> None:
    """Look for retracted items in every file of a folder. If there are any, the exit code is 4.

    If a file cannot be searched, the exit code is 3.
    """

    async def search(database: Database, _: Settings, __: str) -> "SearchedFolder":
        """Search the files of `grounds lake verify`."""
        from app.lakes.verify import search_folder

        return await search_folder(database, folder, client, purpose)

    found = _with_database(data, search)
    for path, items in found.retracted.items():
        print(f"{path}: {len(items)} items must be deleted, the first is {items[0]}")
    for path in found.unreadable:
        print(f"{path}: cannot be searched (unpack it, and search again)")
    print(f"{found.files} files with {found.items} items were searched.")
    if found.retracted:
        raise typer.Exit(EXIT_RETRACTED)
    if found.unreadable:
        raise typer.Exit(EXIT_INCOMPLETE)


def _with_database(data: Data, use: Callable[[Database, Settings, str], Awaitable[Result]]) -> Result:
    """Open the database for a command of `grounds lake`, call `use` with it, and return the result."""
    with open_database_of(data) as (settings, url), _clear_errors():

        async def opened() -> Result:
            """Call `use` for a command of `grounds lake` while the database is open."""
            async with open_database(url, settings.secret_bytes(), journal=open_journal(settings)) as database:
                return await use(database, settings, url)

        return uvloop.run(opened())


@contextmanager
def _clear_errors() -> Iterator[None]:
    """Turn an error of a command of `grounds lake` into one clear message."""
    with exit_on_errors():
        try:
            from app.lakes.folder import LakeError

            try:
                yield
            except (LakeError, LakeCompileError) as error:
                exit_with_error(str(error))
        except ModuleNotFoundError as error:
            if error.name not in _EXTRA:
                raise
            exit_with_error(f"the package {error.name} is missing (install grounds[lake], or use ./run --with lake)")
