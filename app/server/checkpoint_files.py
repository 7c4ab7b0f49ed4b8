"""Exported checkpoints: files outside the database that show whether the database was restored."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.rows import tuple_row
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.settings import SettingsError
from db.access.role_names import BECOME_OWNER
from db.connection import Connection
from db.delivery.ledger import COLUMNS, Checkpoint, TrustedCheckpoint, signing_key
from db.setup import load_secrets

UNNOTICED: Final = "without GROUNDS_CHECKPOINTS, the gateway does not notice that the database was restored (set it)"
_ACCEPT: Final = "read the section Restore of app/README.md, then run grounds restored"


_BINARY: Final = ("staff_read_digest", "public_key", "root", "previous", "signature")


class CheckpointError(Exception):
    """An exported checkpoint that is missing from the database, or differs from it."""


class _CheckpointFile(BaseModel):
    """A checkpoint as a file states it; binary values are hexadecimal."""

    model_config = ConfigDict(extra="forbid", strict=True)

    number: int
    first_receipt: int
    last_receipt: int
    receipts: int
    staff_reads: int
    staff_read_digest: str = Field(pattern="^([0-9a-f]{64})?$")
    incarnation: int
    public_key: str = Field(pattern="^[0-9a-f]{64}$")
    root: str = Field(pattern="^[0-9a-f]{64}$")
    previous: str = Field(pattern="^[0-9a-f]{64}$")
    sealed_at: str
    signature: str = Field(pattern="^[0-9a-f]{128}$")

    def kept(self, name: str) -> TrustedCheckpoint:
        """Return the checkpoint in a file."""
        binary = {part: bytes.fromhex(getattr(self, part)) for part in _BINARY}
        return TrustedCheckpoint(name, Checkpoint(**self.model_dump() | binary))


def read_checkpoint(file: Path) -> TrustedCheckpoint:
    """Read a checkpoint that the server or `grounds verify` exported; raise SettingsError if the file contains none."""
    try:
        return _CheckpointFile.model_validate_json(file.read_bytes()).kept(str(file))
    except ValidationError:
        raise SettingsError(f"{file}: is not a checkpoint (pass a file that --export wrote)") from None


def checkpoint_as_json(checkpoint: Checkpoint) -> str:
    """Write the checkpoint that is exported, with the key that verifies its signature."""
    said: dict[str, Any] = {name: getattr(checkpoint, name) for name in Checkpoint.__dataclass_fields__}
    said = {name: part.hex() if isinstance(part, bytes) else part for name, part in said.items()}
    return json.dumps(said, indent=2) + "\n"


async def export_newest_checkpoint(connection: Connection, folder: Path) -> None:
    """Export the newest checkpoint of the server's database to the folder, unless it is there.

    Raises CheckpointError where the folder has a newer one, or another one of that number: the database was replaced.
    """
    row = await connection.fetchrow(f"SELECT {COLUMNS} FROM grounds.newest_checkpoint()")
    checkpoint = Checkpoint(*row) if row else None
    newest = _exported_files(folder)[-1:]
    if newest and (checkpoint is None or newest[0].name > _file_name(checkpoint)):
        raise CheckpointError(
            "the folder has a newer checkpoint than the database: the database was replaced while the server "
            "ran (restart the gateway)"
        )
    if checkpoint is None:
        return
    file = folder / _file_name(checkpoint)
    if not file.exists():
        _write_durably(file, checkpoint_as_json(checkpoint))
    elif read_checkpoint(file).checkpoint != checkpoint:
        raise CheckpointError(
            "the folder has a different checkpoint with this number: the database was replaced while the "
            "server ran (restart the gateway)"
        )


def raise_if_restored(url: str, secret: bytes, folder: Path) -> None:
    """Raise SettingsError if the server's database lacks the newest checkpoint that the folder has."""
    if not folder.is_dir():
        raise SettingsError(
            f"GROUNDS_CHECKPOINTS: the folder {folder} does not exist (create it, or check that its disk is mounted)"
        )
    files = _exported_files(folder)
    if not files:
        return
    exported = read_checkpoint(files[-1]).checkpoint
    keys = [signing_key(each).public_key() for each in load_secrets(url, secret).readable]
    if not any(exported.is_signed_by(key) for key in keys):
        raise SettingsError(
            f"GROUNDS_CHECKPOINTS: {files[-1]} was edited, or belongs to another gateway (use this gateway's folder)"
        )
    stored, newest = _stored_checkpoints(url, exported.number)
    if stored == exported:
        return
    if stored is not None:
        found = f"has a checkpoint {exported.number} that differs from the exported one"
    else:
        ends = f"checkpoint {newest.number} of {newest.sealed_at}Z" if newest else "no checkpoint"
        found = f"ends with {ends}, but checkpoint {exported.number} of {exported.sealed_at}Z was exported"
    raise SettingsError(
        f"the database {found}: the database was restored, or is a standby that had not received all"
        f" changes. Objections, withdrawals and deliveries after that time are missing ({_ACCEPT})"
    )


def set_aside_lost_checkpoints(url: str, folder: Path) -> list[Path]:
    """Move away the exported checkpoints that a restored database of the server lacks; return their new paths."""
    lost: list[Path] = []
    for file in reversed(_exported_files(folder)):
        exported = read_checkpoint(file).checkpoint
        if _stored_checkpoints(url, exported.number)[0] == exported:  # and with it all before: they are chained
            break
        lost.insert(0, file)
    if not lost:
        return []
    aside = folder / f"lost-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
    aside.mkdir(mode=0o700)
    for file in reversed(lost):  # the newest first: a move that is interrupted can be repeated
        file.rename(aside / file.name)
    _sync_folder(folder)
    return [aside / file.name for file in lost]


def _exported_files(folder: Path) -> list[Path]:
    """Return the files of the exported checkpoints, the oldest first."""
    return sorted(folder.glob("checkpoint-*.json"))


def _file_name(checkpoint: Checkpoint) -> str:
    """Name the file of an exported checkpoint; names are sorted as numbers are."""
    return f"checkpoint-{checkpoint.number:012}.json"


def _stored_checkpoints(url: str, number: int) -> tuple[Checkpoint | None, Checkpoint | None]:
    """Return the checkpoint of a number from the database, and the newest; None for one that is missing."""
    with psycopg.connect(url, row_factory=tuple_row) as connection:
        connection.execute(BECOME_OWNER)
        connection.execute("SET LOCAL grounds.job = 'verify'")
        select = f"SELECT {COLUMNS} FROM grounds.checkpoint"
        stored = connection.execute(f"{select} WHERE number = %s".encode(), [number]).fetchone()
        newest = connection.execute(f"{select} ORDER BY number DESC LIMIT 1".encode()).fetchone()
    return Checkpoint(*stored) if stored else None, Checkpoint(*newest) if newest else None


def _write_durably(file: Path, text: str) -> None:
    """Write the file of an exported checkpoint, whole or not at all, so that it outlives a power failure."""
    unfinished = file.with_name(f".{file.name}")
    unfinished.unlink(missing_ok=True)  # of a process that was killed; one process exports at a time
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as written:
        written.write(text)
        written.flush()
        os.fsync(written.fileno())
    unfinished.rename(file)
    _sync_folder(file.parent)


def _sync_folder(folder: Path) -> None:
    """Make the names of a folder's exported checkpoints durable."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
