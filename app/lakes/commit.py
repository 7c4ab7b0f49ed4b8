"""Hand over what another engine wrote from a lake: each file is cut to what is permitted now, and receipted first."""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
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
from app.lakes.folder import LakeError, digest_of, open_lake, private_file, sync_folder
from db.access.declaration import TRAINING
from db.access.role_names import read_role_names
from db.connection import Connection, Database
from db.delivery.ledger import signing_key
from db.lake.delivered import OpenedFile, newest_receipt, open_lake_file, write_lake_receipts
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


@dataclass(frozen=True, slots=True)
class _CutFile:
    """A file that is ready for the target: its digest, and what is known of an earlier attempt.

    `since` is the newest receipt before an attempt that was interrupted after it had made the same file; None if there
    was no such attempt.
    """

    path: Path
    sha256: str
    since: int | None


async def commit_lake(
    database: Database, url: str, secret: bytes, lake: Path, staging: Path, target: Path
) -> HandedOver:
    """Hand over the Parquet files of another engine, from a staging folder to a target. Raises LakeError.

    Each has a column `id` with the client's pseudonyms. Before anything is receipted, all files are looked through for
    planted items. Then a file is cut, its receipt committed, and only then does it appear in the target. This can be
    interrupted and repeated: a file whose receipt was written before the interruption gets no second one.
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
            opened = _OpenLake(training, client, snapshot, ids, engine)
            for path in paths:
                await opened.check(path)
            with _lock_target(target):
                for path in paths:
                    await opened.hand_over(path, target / path.relative_to(staging), done)
                _remove_drafts(target)
    finally:
        await training.close()
    return done


@dataclass(frozen=True, slots=True)
class _OpenLake:
    """A lake whose files are handed over: the client's connection, number and ids, and the lake's facts."""

    training: Connection
    client: int
    snapshot: Snapshot
    ids: Ids
    engine: Any

    async def check(self, path: Path) -> None:
        """Raise LakeError if a file of another engine must not be handed over."""
        file = await asyncio.to_thread(_read_staged_ids, path, self.ids)
        async with self.training.transaction():  # commits a hold too, before that is an error
            state, _ = await self._open(file)
        _raise_if_stopped(file, state)

    async def hand_over(self, path: Path, place: Path, done: HandedOver) -> None:
        """Cut a file of another engine, commit its receipts, and move it to its place. Raises LakeError."""
        file, new = await asyncio.to_thread(_read_staged_ids, path, self.ids), None
        async with self.training.transaction():
            state, removed = await self._open(file)
            if state == "OPEN":
                new, state = await _cut_and_receipt(self.training, self.client, file, removed, place)
        _raise_if_stopped(file, state)
        assert new is not None, "an open file was cut"
        _publish(file, removed, new, place, done)

    async def _open(self, file: _StagedFile) -> OpenedFile:
        """Decide about a file of another engine, for the transaction."""
        revisions = await asyncio.to_thread(_revisions, self.engine, file)
        await _claim_for_commit(self.training, self.client, self.snapshot)
        return await open_lake_file(self.training, sorted(file.items), revisions, self.snapshot.policy.version)


def _raise_if_stopped(file: _StagedFile, state: str) -> None:
    """Raise LakeError if a file of another engine is not handed over."""
    if state != "OPEN":
        raise LakeError(f"{file.path}: is not handed over: {_WHY_STOPPED[state]}")


def _remove_drafts(target: Path) -> None:
    """Remove from a lake's target folder the drafts that interrupted commits left."""
    for left in target.rglob(".*.part"):
        left.unlink()


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
        raise LakeError(
            f"{path}: cannot be read, or has no column `id` (write the lake's item ids into this column)"
        ) from None
    numbers = [ids.decode_as(IdKind.TRAINABLE_CONTENT, str(text)) for text in listed]
    items = {number: str(text) for number, text in zip(numbers, listed, strict=True) if number is not None}
    if unknown := numbers.count(None):
        raise LakeError(
            f"{path}: {unknown} of {len(listed)} ids do not belong to this client (use the client's ids, as in"
            " permitted.parquet)"
        )
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


@contextmanager
def _lock_target(target: Path) -> Iterator[None]:
    """Keep other commits from a target folder. Raises LakeError."""
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LakeError(f"{target}: is used by another grounds lake commit (wait until it has ended)") from None
        yield
    finally:
        os.close(descriptor)


async def _cut_and_receipt(
    training: Connection, client: int, file: _StagedFile, removed: set[int], place: Path
) -> tuple[_CutFile | None, str]:
    """Write a file anew without what is no longer permitted, and write its receipts; return it, and the state."""
    kept = sorted(file.items.keys() - removed)
    new = await asyncio.to_thread(_cut, file, removed, place, await newest_receipt(training, client))
    try:
        receipts = await write_lake_receipts(training, kept, bytes.fromhex(new.sha256), new.since)
    except BaseException:
        new.path.unlink()
        raise
    if receipts is None:
        new.path.unlink()
        return None, "PLANTED"
    return new, "OPEN"


def _cut(file: _StagedFile, removed: set[int], place: Path, newest: int) -> _CutFile:
    """Write a file of another engine anew, without some items, under a temporary name. Raises LakeError.

    The name contains the digest, and the `newest` receipt. If this attempt is interrupted, the next one finds both.
    """
    target = place.parent
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = target / f".{uuid4().hex}.part"
    names = pa.array([file.items[item] for item in removed], pa.string())
    try:
        with (
            private_file(draft) as stream,
            pq.ParquetFile(file.path) as source,
            pq.ParquetWriter(stream, source.schema_arrow, compression="zstd") as writer,
        ):
            for group in range(source.num_row_groups):
                table = source.read_row_group(group)
                writer.write_table(table.filter(pc.invert(pc.is_in(table["id"].cast(pa.string()), value_set=names))))
    except (OSError, pa.ArrowException) as error:
        draft.unlink(missing_ok=True)
        raise LakeError(f"{target}: cannot be written: {error} (make space on the disk, and repeat)") from None
    sha256 = digest_of(draft)
    since = _interrupted_since(place, sha256)
    new = target / f".{sha256}-{newest if since is None else since}.part"
    draft.replace(new)
    sync_folder(target)
    return _CutFile(new, sha256, since)


def _interrupted_since(place: Path, sha256: str) -> int | None:
    """Return the newest receipt before an earlier attempt to hand over the same file; None if there was none."""
    if place.is_file() and digest_of(place) == sha256:
        return 0  # it ended before it removed the staged file
    return min((int(left.stem.rpartition("-")[2]) for left in place.parent.glob(f".{sha256}-*.part")), default=None)


def _publish(file: _StagedFile, removed: set[int], new: _CutFile, place: Path, done: HandedOver) -> None:
    """Move a receipted file to its name in the target, and remove the staged one."""
    new.path.replace(place)
    sync_folder(place.parent)
    _remove_staged(file)
    done.files.append(place)
    done.items += len(file.items) - len(removed)
    done.removed += [file.items[item] for item in sorted(removed)]


def _remove_staged(file: _StagedFile) -> None:
    """Remove a file of another engine that was handed over."""
    file.path.unlink()
