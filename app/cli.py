"""The `grounds` command."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import asyncpg
import psycopg
import typer
import uvloop
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from app.contract_cli import contracts, documents
from app.observe import configure_logging, observe
from app.settings import Settings, SettingsError, read_settings
from db.records import ObjectionChannel, ObjectionScope
from db.session import Connection, connection, open_database
from db.stager import Stager
from schema.actor import Role

if TYPE_CHECKING:
    from app.intake import Source

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
policies = typer.Typer(no_args_is_help=True, help="Show, check and activate policies.")
schemas = typer.Typer(no_args_is_help=True, help="The API's schema.")
app.add_typer(policies, name="policy")
app.add_typer(schemas, name="schema")
app.add_typer(contracts, name="contract")
app.add_typer(documents, name="documents")

Data = Annotated[Path | None, typer.Option(help="The data folder (GROUNDS_DATA, else .grounds).", show_default=False)]
Host = Annotated[str, typer.Option(help="Where to listen.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 for a free one.")]
REJECTED = 3
TAMPERED = 4


@app.command()
def demo(
    data: Data = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    items: Annotated[int | None, typer.Option(min=1, help="How many items to make up; 20,000 at first.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Pull everything as a training client, compare, and end.")
    ] = False,
) -> None:
    """Try everything: a database, a made-up population, a server, and a token."""
    from app.demo import check as run_check
    from app.demo import demo as run_demo

    with _prepared(data) as (settings, url):
        if settings.jwks is not None:
            _fail("GROUNDS_JWKS is set, and the demo's tokens are its own (unset it, GROUNDS_ISSUER and _AUDIENCE too)")
        if settings.hosts or settings.documents_only:
            _fail(
                "GROUNDS_HOSTS or GROUNDS_DOCUMENTS_ONLY is set, and the demo asks by its own address with documents of"
                " its own (unset them for it)"
            )
        if check:
            if not uvloop.run(run_check(settings, url, host, port, items)):
                raise typer.Exit(1)
        else:
            uvloop.run(run_demo(settings, url, host, port, items))


@app.command()
def serve(
    data: Data = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="How many processes answer.")] = 1,
) -> None:
    """Serve, until SIGTERM or Ctrl-C."""
    from app.server import serve as run
    from app.workers import serve_by

    with _prepared(data) as (settings, url):
        if workers == 1:
            uvloop.run(run(settings, url, host, port))
        else:
            serve_by(workers, settings, url, host, port)


@app.command()
def ingest(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="NDJSON, .gz too; - is standard input.")],
    data: Data = None,
) -> None:
    """Take facts in. Bad lines go to FILE.rejects.ndjson, and the exit code is then 3; it is 2 for a damaged file."""
    for name in files:
        if name != "-" and (Path(name).is_dir() or not Path(name).exists()):
            _fail(f"{name}: there is no such file (name files, or - for standard input)")
    with _prepared(data) as (settings, url):
        rejected, faults = uvloop.run(_ingest_files(settings, url, files))
    if faults:
        _fail("\n".join(faults))
    if rejected:
        raise typer.Exit(REJECTED)


@app.command()
def token(
    role: Annotated[Role, typer.Option(help="What its bearer may be.")],
    client: Annotated[str, typer.Option(help="The client's name (TRAINING_CLIENT).")] = "demo",
    purpose: Annotated[str, typer.Option(help="What the client trains for (TRAINING_CLIENT).")] = "GENAI_TRAINING",
    subject: Annotated[str | None, typer.Option(help="The platform's id of the account (DATA_SUBJECT).")] = None,
    name: Annotated[str | None, typer.Option(help="Its bearer's name; a second officer has another one.")] = None,
    data: Data = None,
) -> None:
    """Print a bearer token of the development issuer, good for an hour."""
    from app.runtime import open_issuer

    with _told():
        settings = read_settings(data)
        if settings.jwks is not None:
            _fail("GROUNDS_JWKS is set: tokens come from your identity provider (unset it for the development issuer)")
        try:
            issuer = open_issuer(settings)
            print(issuer.token(role, client=client, purpose=purpose, subject=subject, name=name))
        except ValueError as error:
            _fail(f"{error} (see grounds token --help)")


@app.command()
def link(
    account: Annotated[str, typer.Argument(help="The platform's id of the account.")],
    me: Annotated[bool, typer.Option("--me", help="To what is known about the person, instead of the form.")] = False,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long it is good.")] = 30,
    data: Data = None,
) -> None:
    """Print a signed link that lets a person object, or read their data, without logging in."""
    from app.links import Purpose, link_path, sign_link

    with _told():
        settings = read_settings(data)
        purpose = Purpose.ME if me else Purpose.OBJECT
        token = sign_link(settings.secret_bytes(), account, purpose, datetime.now(UTC) + timedelta(days=days))
        print((settings.public_url or "") + link_path(token, purpose))


@app.command()
def verify(
    checkpoint: Annotated[
        list[Path] | None, typer.Option(help="A checkpoint that was exported, to compare; may be repeated.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option(help="Where to write the newest checkpoint, to store elsewhere.")
    ] = None,
    data: Data = None,
) -> None:
    """Verify the ledger of deliveries. The exit code is 4 when it is not as it was sealed."""
    from app.verification import run

    with _prepared(data) as (settings, url):
        sound = run(url, settings.secret_bytes(), checkpoint or [], export)
    if not sound:
        raise typer.Exit(TAMPERED)


@app.command()
def notify(
    epoch: Annotated[str, typer.Option(metavar="YYYY-MM", help="The campaign: the epoch that its notices count for.")],
    channel: Annotated[str, typer.Option(help="By what, commas between.")] = "EMAIL,IN_APP",
    addresses: Annotated[
        Path | None, typer.Option(help="CSV with a header, or NDJSON: account,email,language. Kept nowhere.")
    ] = None,
    template: Annotated[Path | None, typer.Option(help="A folder of templates; else the shipped ones.")] = None,
    rate: Annotated[int, typer.Option(min=1, help="Messages a second.")] = 50,
    connections: Annotated[int, typer.Option(min=1, max=16, help="Connections to the SMTP server.")] = 4,
    retry_unknown: Annotated[
        bool, typer.Option("--retry-unknown", help="Send again what may have arrived already.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send and keep nothing; say what would be done.")] = False,
    data: Data = None,
) -> None:
    """Tell everybody who must be told and was not. Run again, it goes on; 3 is the exit code where somebody is left."""
    from app.campaign import CampaignError, asked
    from app.campaign import notify as run

    with _told():
        plan = asked(epoch, channel, addresses, template, rate, connections, retry_unknown)
    with _prepared(data) as (settings, url):
        try:
            code = uvloop.run(run(settings, url, plan, dry_run=dry_run))
        except CampaignError as error:
            _fail(str(error))
    raise typer.Exit(code)


@app.command("notify-bounces")
def notify_bounces(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Messages or mboxes; - is standard input.")],
    data: Data = None,
) -> None:
    """Read delivery status notifications (RFC 3464): notices that arrived count, and those that bounced are void."""
    from app.campaign import read_bounces

    with _prepared(data) as (settings, url):
        mails = (sys.stdin.buffer.read() if name == "-" else _read(Path(name)) for name in files)
        counts = uvloop.run(read_bounces(settings, url, mails))
    print(", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())) or "nothing was read")


@app.command("object")
def object_(
    account: Annotated[str | None, typer.Option(help="An account, by the platform's id.")] = None,
    person: Annotated[str | None, typer.Option(help="A person, by the platform's id.")] = None,
    contact: Annotated[str | None, typer.Option(help="The SHA-256 of an e-mail address or phone number.")] = None,
    contact_file: Annotated[
        Path | None, typer.Option(help="A file that holds an e-mail address or phone number; it is kept nowhere.")
    ] = None,
    scope: Annotated[ObjectionScope, typer.Option(help="What it covers.")] = ObjectionScope.ALL,
    channel: Annotated[ObjectionChannel, typer.Option(help="How it came in.")] = ObjectionChannel.LETTER,
    data: Data = None,
) -> None:
    """File an objection; when its reference is printed, it is in force."""
    from app.objecting import ObjectionError, file_by_hand, target_named

    with _told():
        written = None if contact_file is None else _read(contact_file).decode(errors="replace")
        try:
            target = target_named(account, person, contact, written)
        except ObjectionError as error:
            _fail(str(error))
    with _prepared(data) as (settings, url):
        filed = uvloop.run(file_by_hand(settings, url, target, scope, channel))
    print(f"{filed.reference}: is in force since {filed.received_at.isoformat()}")


@policies.command("show")
def policy_show(data: Data = None) -> None:
    """Print the policy in force."""
    from db.admin import active_policy

    with _prepared(data) as (_, url), psycopg.connect(url) as connection:
        policy = active_policy(connection)
        assert policy is not None, "preparing the database puts one in force"
        print(json.dumps(json.loads(policy.document()), indent=2, ensure_ascii=False))


@policies.command("check")
def policy_check(file: Annotated[Path, typer.Argument(help="A policy document, JSON.")]) -> None:
    """Check a policy document; a wrong one is refused, line by line."""
    with _told():
        from db.policy.document import parse_policy

        policy = parse_policy(_read(file), file.name)
        print(f"policy {policy.version}: is sound; grounds {', '.join(policy.grounds)}")


@policies.command("activate")
def policy_activate(file: Annotated[Path, typer.Argument(help="A policy document, JSON.")], data: Data = None) -> None:
    """Put a policy in force, for the next statement anywhere."""
    from db.admin import activate_policy
    from db.policy.document import parse_policy

    with _told():
        policy = parse_policy(_read(file), file.name)
    with _prepared(data) as (_, url):
        activate_policy(url, policy)
    print(f"policy {policy.version}: is in force")


@schemas.command("export")
def schema_export() -> None:
    """Print the schema, in the schema definition language."""
    from schema.build import build_schema

    print(build_schema().as_str())


@schemas.command("visibility")
def schema_visibility() -> None:
    """Print who may read which field, as a table in Markdown."""
    from schema.build import build_schema
    from schema.visibility import visibility_table

    print(visibility_table(build_schema().core))


def main() -> None:
    """Run the command."""
    configure_logging()
    app()


@contextmanager
def _prepared(data: Path | None) -> Iterator[tuple[Settings, str]]:
    """Read the settings and bring the database up to date; faults end the command with their own words."""
    from app.runtime import open_server

    with _told():
        settings = read_settings(data)
        with open_server(settings) as url:
            yield settings, url


@contextmanager
def _told() -> Iterator[None]:
    """Turn faults into one clear message. What others wrote may quote data: of that only the kind is told."""
    from app.auth import KeysUnavailable
    from db.admin import DatabaseError
    from db.embedded import EmbeddedPostgresError
    from db.policy.document import PolicyError

    try:
        yield
    except typer.Exit:
        raise
    except (SettingsError, DatabaseError, EmbeddedPostgresError, PolicyError, KeysUnavailable) as error:
        _fail(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except (asyncpg.PostgresError, asyncpg.InterfaceError, psycopg.Error) as error:
        _fail(f"the database failed with {type(error).__name__} (see its log, and run the command again)")
    except OSError as error:
        _fail(f"{error.filename or 'input, output or the database'}: {error.strerror or type(error).__name__}")
    except Exception as error:
        _fail(f"something failed here (tell the developers of the failure {observe.failure(error)} above)")


def _fail(message: str) -> NoReturn:
    print(f"grounds: {message}", file=sys.stderr)
    raise typer.Exit(2)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        _fail(f"{file}: {error.strerror}")


async def _ingest_files(settings: Settings, url: str, files: list[str]) -> tuple[int, list[str]]:
    """Take files in, one after the other; give how many lines were rejected, and which files are damaged."""
    from app.intake import Source

    rejected = 0
    faults: list[str] = []
    stager = Stager()
    try:
        async with open_database(url, settings.secret_bytes()) as database, connection(database.ingest) as borrowed:
            for name in files:
                source = Source(name)
                rejected += await _ingest_file(borrowed, stager, source)
                if source.fault is not None:
                    faults.append(source.fault)
    finally:
        stager.close()
    return rejected, faults


async def _ingest_file(borrowed: Connection, stager: Stager, source: "Source") -> int:
    """Take one file in, show how far it is, and set its bad lines aside beside it."""
    from app.intake import RejectsFile
    from db.ingest import ingest

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with (
        RejectsFile(source) as rejects,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        task = progress.add_task(source.name, total=source.size)
        blocks = source.blocks(lambda at: progress.update(task, completed=at))
        summary = await ingest(borrowed, blocks, stager, on_rejected=rejects.add)
    _print_summary(source.name, summary.as_dict())
    rejected = summary.total("rejected")
    if rejected:
        print(f"{rejected} lines were set aside in {rejects.path}", file=sys.stderr)
    return rejected


def _print_summary(name: str, counts: dict[str, dict[str, int]]) -> None:
    table = Table("record", "accepted", "unchanged", "stale", "rejected", title=Text(name), title_justify="left")
    for record, outcomes in counts.items():
        table.add_row(record, *(str(count) for count in outcomes.values()))
    Console(highlight=False).print(table)
