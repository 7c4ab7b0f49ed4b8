"""Hand over what another engine wrote from a lake: each file is cut to what is permitted now, and receipted first."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import asyncpg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from app.lakes.decide import open_duckdb
from app.lakes.folder import LakeError, digest_of, open_lake, private_file
from db.access.declaration import TRAINING
from db.access.role_names import read_role_names
from db.connection import Connection, Database
from db.delivery.ledger import signing_key
from db.lake.delivered import open_lake_file, write_lake_receipts
from db.lake.snapshot import Snapshot
from db.secrets import role_password
from schema.relay.ids import IdKind, Ids, ids_of

_MILLISECONDS: Final = "600000"
_WHY_STOPPED: Final = {
    "PLANTED": "a planted item is among the files, so that the rules of the engine are broken. A hold stops all"
    " deliveries, and the incident is recorded (see grounds canary list). Hand over none of these files",
    "SUSPENDED": "the client is suspended",
    "OVERDUE": "the client has not acknowledged retractions in time (apply and acknowledge them first)",
    "PAUSED": "nothing may be delivered at this moment, because of a hold or of the policy (commit later)",
    "OTHER_POLICY": "the lake was exported with a policy that is not in force any more (export and decide again)",
}


@dataclass(slots=True)
class HandedOver:
    """What was handed over: the files, their items, and the pseudonyms of the items that were cut."""

    files: list[Path] = field(default_factory=list)
    items: int = 0
    removed: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _StagedFile:
    """A file that another engine wrote: its items by number, each with its pseudonym."""

    path: Path
    items: dict[int, str]


async def commit_lake(
    database: Database, url: str, secret: bytes, lake: Path, staging: Path, target: Path
) -> HandedOver:
    """Hand over the Parquet files of another engine, from a staging folder to a target. Raises LakeError.

    Each has a column `id` with the client's pseudonyms. Before anything is receipted, all files are looked through for
    planted items. Then a file is cut, its receipt committed, and only then does it appear in the target. This can be
    interrupted and repeated.
    """
    key = signing_key(secret).public_key().public_bytes_raw().hex()
    snapshot, manifest = await asyncio.to_thread(open_lake, lake, key)
    ids = ids_of(database.first_secret, f"client:{snapshot.client}", database.incarnations)
    paths = _staged_paths(staging, target)
    done = HandedOver()
    login = (await read_role_names(url)).of(TRAINING)
    training = await asyncpg.connect(url, user=login, password=role_password(secret, login))
    try:
        client = await training.fetchval("SELECT grounds.register_client($1)", snapshot.client)
        with open_duckdb(lake, manifest, staging) as engine:
            for hand_over in (False, True):
                for path in paths:
                    file = await asyncio.to_thread(_read_staged_ids, path, ids)
                    revisions = await asyncio.to_thread(_revisions, engine, file)
                    new, removed = None, set[int]()
                    async with training.transaction():  # commits a hold too, before that is an error
                        await _claim_for_commit(training, client, snapshot)
                        state, removed = await open_lake_file(
                            training, sorted(file.items), revisions, snapshot.policy.version
                        )
                        if state == "OPEN" and hand_over:
                            new, state = await _cut_and_receipt(training, file, removed, target)
                    if state != "OPEN":
                        raise LakeError(f"{path}: is not handed over: {_WHY_STOPPED[state]}")
                    if new is not None:
                        _publish(file, removed, new, target / path.relative_to(staging), done)
    finally:
        await training.close()
    return done


async def _claim_for_commit(training: Connection, client: int, snapshot: Snapshot) -> None:
    """Claim the client and purpose of a lake, for a transaction that reads a whole file."""
    settings = {"grounds.client": str(client), "grounds.purpose": snapshot.purpose}
    settings |= dict.fromkeys(("statement_timeout", "idle_in_transaction_session_timeout"), _MILLISECONDS)
    for name, value in settings.items():
        await training.execute("SELECT set_config($1, $2, TRUE)", name, value)


def _staged_paths(staging: Path, target: Path) -> list[Path]:
    """List the Parquet files of a staging folder; engines' own marks are passed over. Raises LakeError."""
    if not staging.is_dir():
        raise LakeError(f"{staging}: is not a folder (name the folder into which the engine wrote)")
    if target.resolve().is_relative_to(staging.resolve()):
        raise LakeError(f"--target: {target} is inside the staging folder (choose another folder)")
    found = []
    for path in sorted(staging.rglob("*")):
        if path.is_symlink() or (path.is_file() and path.suffix != ".parquet" and path.name[0] not in "._"):
            raise LakeError(f"{path}: is not a Parquet file, so its items cannot be checked (remove it)")
        if path.is_file() and path.suffix == ".parquet":
            found.append(path)
    if not found:
        raise LakeError(f"{staging}: has no Parquet files (name the folder into which the engine wrote)")
    return found


def _read_staged_ids(path: Path, ids: Ids) -> _StagedFile:
    """Read the pseudonyms of a file of another engine, and decode them. Raises LakeError."""
    try:
        listed = pq.read_table(path, columns=["id"])["id"].to_pylist()
    except (pa.ArrowException, KeyError, OSError):
        raise LakeError(f"{path}: cannot be read, or has no column id (write the client's ids into it)") from None
    numbers = [ids.decode_as(IdKind.TRAINABLE_CONTENT, str(text)) for text in listed]
    items = {number: str(text) for number, text in zip(numbers, listed, strict=True) if number is not None}
    if unknown := numbers.count(None):
        raise LakeError(f"{path}: {unknown} of {len(listed)} ids are not this client's (write the ids of the lake)")
    return _StagedFile(path, items)


def _revisions(engine: Any, file: _StagedFile) -> list[datetime]:
    """Return when the text of each item of a file changed last, as the lake has it. Raises LakeError."""
    engine.register("listed", pa.table({"id": pa.array(sorted(file.items), pa.int64())}))
    try:
        rows = engine.execute(
            "SELECT c.id, c.revised_at FROM content c SEMI JOIN listed USING (id) ORDER BY c.id"
        ).fetchall()
    finally:
        engine.unregister("listed")
    if len(rows) != len(file.items):
        raise LakeError(
            f"{file.path}: has {len(file.items) - len(rows)} items that the lake does not have (decide again)"
        )
    return [revised for _, revised in rows]


async def _cut_and_receipt(
    training: Connection, file: _StagedFile, removed: set[int], target: Path
) -> tuple[Path | None, str]:
    """Write a file anew without what is no longer permitted, and write its receipts; return it, and the state."""
    kept = sorted(file.items.keys() - removed)
    new = await asyncio.to_thread(_cut, file, removed, target)
    try:
        receipts = await write_lake_receipts(training, kept, bytes.fromhex(digest_of(new)))
    except BaseException:
        new.unlink()
        raise
    if receipts is None:
        new.unlink()
        return None, "PLANTED"
    return new, "OPEN"


def _cut(file: _StagedFile, removed: set[int], target: Path) -> Path:
    """Write a file of another engine anew, without some items, under a temporary name. Raises LakeError."""
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = target / f".{uuid4().hex}.part"
    names = pa.array([file.items[item] for item in removed], pa.string())
    try:
        with (
            private_file(new) as stream,
            pq.ParquetFile(file.path) as source,
            pq.ParquetWriter(stream, source.schema_arrow, compression="zstd") as writer,
        ):
            for group in range(source.num_row_groups):
                table = source.read_row_group(group)
                writer.write_table(table.filter(pc.invert(pc.is_in(table["id"].cast(pa.string()), value_set=names))))
    except (OSError, pa.ArrowException) as error:
        new.unlink(missing_ok=True)
        raise LakeError(f"{target}: cannot be written: {error} (free space, and repeat)") from None
    return new


def _publish(file: _StagedFile, removed: set[int], new: Path, path: Path, done: HandedOver) -> None:
    """Move a receipted file to its name in the target, and remove the staged one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new.replace(path)
    file.path.unlink()
    done.files.append(path)
    done.items += len(file.items) - len(removed)
    done.removed += [file.items[item] for item in sorted(removed)]
