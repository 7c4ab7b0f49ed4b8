"""`grounds verify`: re-derive the ledger of deliveries, and say whether it is as it was sealed."""

import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import uvloop
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.settings import SettingsError
from db.ledger import Audit, Checkpoint, Kept, record_verification, signing_key, verify
from db.walls import check_walls

_CONNECTIONS = 2  # PostgreSQL hashes, on two processors


class _Exported(BaseModel):
    """Hold a checkpoint as a file has it; what is binary is hexadecimal."""

    model_config = ConfigDict(extra="forbid", strict=True)

    number: int
    first_receipt: int
    last_receipt: int
    receipts: int
    root: str = Field(pattern="^[0-9a-f]{64}$")
    previous: str = Field(pattern="^[0-9a-f]{64}$")
    sealed_at: str
    signature: str = Field(pattern="^[0-9a-f]{128}$")
    public_key: str = Field(pattern="^[0-9a-f]{64}$")

    def kept(self, name: str) -> Kept:
        """Give the checkpoint; the key is not taken from the file, it is there for whoever has only that."""
        binary = {part: bytes.fromhex(getattr(self, part)) for part in ("root", "previous", "signature")}
        said = self.model_dump(exclude={"public_key"}) | binary
        return Kept(name, Checkpoint(**said))


def read_checkpoint(file: Path) -> Kept:
    """Read a checkpoint that was exported; raise SettingsError when the file holds none."""
    try:
        return _Exported.model_validate_json(file.read_bytes()).kept(str(file))
    except ValidationError:
        raise SettingsError(f"{file}: is no checkpoint (name a file that --export wrote)") from None


def exported(checkpoint: Checkpoint, public_key: str) -> str:
    """Write a checkpoint as JSON that can be stored elsewhere, with the key that its signature is verified by."""
    said: dict[str, Any] = {name: getattr(checkpoint, name) for name in Checkpoint.__dataclass_fields__}
    said = {name: part.hex() if isinstance(part, bytes) else part for name, part in said.items()}
    return json.dumps(said | {"public_key": public_key}, indent=2) + "\n"


def run(url: str, secret: bytes, checkpoints: Sequence[Path], export: Path | None) -> bool:
    """Verify the ledger, print and record what was found, and export the newest checkpoint; say whether all is sound.

    Raises DatabaseError when the database's walls have a gap, SettingsError for a file that holds no checkpoint or when
    there is none to export.
    """
    audit = Audit(signing_key(secret).public_key(), [read_checkpoint(file) for file in checkpoints])
    check_walls(url)
    uvloop.run(_follow(url, audit))
    public_key = audit.key.public_bytes_raw().hex()
    for finding in audit.findings:
        print(finding)
    verdict = f"NOT sound: {len(audit.findings)} findings" if audit.findings else "sound"
    print(
        f"The ledger is {verdict}. {audit.checkpoints:,} checkpoints, {audit.receipts:,} receipts verified,"
        f" {audit.unsealed:,} not sealed yet.\nPublic key (Ed25519): {public_key}"
    )
    uvloop.run(_record(url, audit))
    if export and not audit.findings:
        if audit.newest is None:
            raise SettingsError("--export: nothing is sealed yet (serve, and try again 10 s after the first page)")
        export.write_text(exported(audit.newest, public_key), encoding="utf-8")
    return not audit.findings


async def _follow(url: str, audit: Audit) -> None:
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
        await verify(connections, audit, lambda done, total: progress.update(task, completed=done, total=total))


async def _record(url: str, audit: Audit) -> None:
    connection = await asyncpg.connect(url)
    try:
        await record_verification(connection, audit)
    finally:
        await connection.close()
