"""The command `grounds verify`: recompute the ledger of deliveries, and compare it with its checkpoints."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import asyncpg
import typer
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.cli.command import Data, open_database_of
from app.server.checkpoint_files import checkpoint_as_json, read_checkpoint
from app.settings import SettingsError
from db.access.verification import verify_access
from db.delivery.ledger import Audit, record_verification, signing_key
from db.delivery.ledger import verify_chain as verify_receipts
from db.setup import load_secrets

EXIT_CHANGED = 4
_CONNECTIONS = 2  # PostgreSQL hashes, on two processors


def verify_ledger(url: str, secret: bytes, checkpoints: Sequence[Path], export: Path | None) -> bool:
    """Verify the ledger for `grounds verify`, print and record the findings; return whether the ledger is unchanged.

    Raises DatabaseError if the access rights in the database differ from the declaration. Raises SettingsError if a
    file contains no checkpoint, or if there is no checkpoint to export.
    """
    keys = [signing_key(each).public_key() for each in load_secrets(url, secret).readable]
    audit = Audit(keys[0], [read_checkpoint(file) for file in checkpoints], previous_keys=keys[1:])
    verify_access(url)
    uvloop.run(_verify_with_progress(url, audit))
    public_key = audit.key.public_bytes_raw().hex()
    for finding in audit.findings:
        print(finding)
    verdict = f"NOT sound: {len(audit.findings)} findings" if audit.findings else "sound"
    print(
        f"The ledger is {verdict}. {audit.checkpoints:,} checkpoints, {audit.receipts:,} receipts and"
        f" {audit.staff_reads:,} reads by staff were verified,"
        f" {audit.unsealed:,} receipts and {audit.unsealed_reads:,} reads are not sealed yet."
        f"\nPublic key (Ed25519): {public_key}"
    )
    uvloop.run(_record_findings(url, audit))
    if export and not audit.findings:
        if audit.newest is None:
            raise SettingsError(
                "--export: there is no checkpoint yet (start the gateway with grounds serve, and try again 10 s"
                " after the first page was delivered)"
            )
        export.write_text(checkpoint_as_json(audit.newest), encoding="utf-8")
    return not audit.findings


async def _verify_with_progress(url: str, audit: Audit) -> None:
    """Verify the ledger for `grounds verify` over several connections, with a progress bar."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    async with AsyncExitStack() as opened:
        connections = []
        for _ in range(_CONNECTIONS):
            connection = await asyncpg.connect(url)
            opened.push_async_callback(connection.close)
            await opened.enter_async_context(connection.transaction(isolation="read_committed"))
            connections.append(connection)
        progress = opened.enter_context(
            Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        )
        task = progress.add_task("receipts", total=None)
        await verify_receipts(
            connections, audit, lambda done, total: progress.update(task, completed=done, total=total)
        )


async def _record_findings(url: str, audit: Audit) -> None:
    """Record what `grounds verify` found in the ledger."""
    connection = await asyncpg.connect(url)
    try:
        await record_verification(connection, audit)
    finally:
        await connection.close()


def verify_command(
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(
            help="An exported checkpoint with which to compare the ledger. Repeat the option for each checkpoint."
        ),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(help="Write the newest checkpoint to this file. Keep a copy of the file on another system."),
    ] = None,
    data: Data = None,
) -> None:
    """Verify the stored receipts (the ledger). If a receipt was changed, the exit code is 4."""
    with open_database_of(data) as (settings, url):
        sound = verify_ledger(url, settings.secret_bytes(), checkpoint or [], export)
    if not sound:
        raise typer.Exit(EXIT_CHANGED)
