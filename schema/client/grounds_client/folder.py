"""The folder of a client: its state, its lock, and the files in it."""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

STATE: Final = "grounds.json"
_LOCK: Final = "grounds.lock"
_SHARD_PATH: Final = re.compile(r"data/[A-Za-z0-9][A-Za-z0-9_-]{0,99}\.parquet")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class SyncError(Exception):
    """A folder that cannot be brought up to date: what is wrong, and what to do."""


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Lock a folder of the client against another sync; the system unlocks it when this process ends.

    Raises SyncError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = _open_locked(folder)
    except BlockingIOError:
        raise SyncError(f"{folder}: another sync uses this folder (wait until it ends)") from None
    try:
        yield
    finally:
        os.close(descriptor)


def _open_locked(folder: Path) -> int:
    """Open and lock a folder of the client without waiting. Raises BlockingIOError if another sync has locked it."""
    try:
        import fcntl
    except ImportError:  # on Windows, a folder cannot be opened; a file that is open cannot be deleted there
        try:
            (folder / _LOCK).unlink(missing_ok=True)
        except OSError:
            raise BlockingIOError from None
        return os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise BlockingIOError from None
    return descriptor


def load_state(folder: Path) -> dict[str, Any] | None:
    """Read the state of a folder of the client; None for a new one. Raises SyncError."""
    path = folder / STATE
    if not path.exists():
        if folder.exists() and any(each.name != _LOCK for each in folder.iterdir()):
            raise SyncError(
                f"{folder}: contains files, but not the file {STATE} of an earlier sync (choose an empty folder)"
            )
        return None
    try:
        state = json.loads(path.read_bytes())
    except ValueError:
        state = None
    if not isinstance(state, dict):
        raise unreadable_state(folder)
    return state


def save_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Store the state of a folder of the client."""
    replace_file(folder / STATE, json.dumps(state, indent=2).encode())


def unreadable_state(folder: Path) -> SyncError:
    """Return the error of a folder of the client whose state cannot be used."""
    return SyncError(f"{folder / STATE}: cannot be read (restore the file, or choose an empty folder)")


def check_filter(folder: Path, stored: dict[str, Any] | None, given: dict[str, Any] | None) -> None:
    """Refuse a filter that is not the one with which a folder of the client was begun. Raises SyncError."""
    if given is not None and given != stored:
        begun = json.dumps(stored) if stored else "no filter"
        raise SyncError(
            f"{folder}: was started with {begun}, but you passed {json.dumps(given)}"
            " (pass the first filter again, or no filter, or choose another folder and name)"
        )


def shards_of(manifest: Any) -> list[dict[str, Any]]:
    """Return the shards of a release's manifest. Raises SyncError unless each names a file in the folder `data`."""
    try:
        shards = list(manifest["shards"])
        for shard in shards:
            if not _SHARD_PATH.fullmatch(shard["path"]):
                named = repr(shard["path"])
                raise SyncError(
                    f"the manifest names {named}, but a release cannot contain such a file (ask the operator)"
                )
            if not _DIGEST.fullmatch(shard["sha256"]) or type(shard["items"]) is not int or "receipt" not in shard:
                raise ValueError
        if len({shard["path"] for shard in shards}) < len(shards) or type(manifest["items"]) is not int:
            raise ValueError
        if not isinstance(manifest["version"], str):
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise SyncError("the file is not the manifest of a release (ask the operator)") from None
    return shards


def data_folder(folder: Path) -> Path:
    """Return the folder of the files with items. Raises SyncError if it is a link to another place."""
    found = folder / "data"
    if found.is_symlink():
        raise SyncError(f"{found}: is a link to another folder (replace the link by a folder)")
    return found


def data_files(folder: Path) -> Iterator[Path]:
    """List the files with items that a folder of the client contains."""
    return (path for path in sorted(data_folder(folder).rglob("*")) if path.is_file())


def file_digest(path: Path) -> str:
    """Compute the SHA-256 of a file of a release."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file of a client's folder as a whole."""
    new = path.with_name(f".{path.name}.new")
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
