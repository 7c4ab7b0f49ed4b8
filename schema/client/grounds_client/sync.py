"""Update a folder to a release, without retracted items. An interrupted update can be continued.

The order of the steps is what makes this safe. Retractions are read first. Then each file is requested: the gateway
removes from it what is no longer permitted, and the file replaces the one in the folder. Only when all files are
those of the manifest are the retractions acknowledged, and their cursor is kept last.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx

from grounds_client.connection import GatewayError
from grounds_client.reader import GatewayReader, ReceivedRetraction

STATE: Final = "grounds.json"
MANIFEST: Final = "manifest.json"
DOCUMENTS: Final = ("croissant.json", "README.md", "conditions.json", "policy.json", "training-summary.json")
PART: Final = ".part"
WRITING_PATIENCE: Final = 24 * 3600.0
_BLOCK: Final = 1 << 20
_ROUNDS: Final = 20
_WRONG_TRANSFERS: Final = 3
Progress = Callable[[int, int], None]


class SyncError(Exception):
    """A folder that cannot be brought up to date: what is wrong, and what to do."""


@dataclass(slots=True)
class FolderState:
    """The state of a folder: its release, the gateway's key at the first sync, and the cursor of retractions."""

    release: str
    name: str
    public_key: str
    cursor: str | None = None

    @classmethod
    def load(cls, folder: Path) -> "FolderState | None":
        """Read the state of a folder of the client; None for a new one. Raises SyncError."""
        path = folder / STATE
        if not path.exists():
            if folder.exists() and any(folder.iterdir()):
                raise SyncError(f"{folder}: has files but no {STATE} (choose an empty folder)")
            return None
        try:
            return cls(**json.loads(path.read_bytes()))
        except (ValueError, TypeError):
            raise SyncError(f"{path}: cannot be read (restore the file, or choose an empty folder)") from None

    def save(self, folder: Path) -> None:
        """Store the state of a folder of the client."""
        replace_file(folder / STATE, json.dumps(asdict(self), indent=2).encode())


@dataclass(frozen=True, slots=True)
class SyncedRelease:
    """The result of a sync: the files in the folder, and the number of applied retractions."""

    folder: Path
    version: str
    items: int
    files: list[Path]
    retractions: int


def sync_release(
    client: GatewayReader, folder: Path, name: str, filter: dict[str, Any], progress: Progress | None = None
) -> SyncedRelease:
    """Bring a folder up to date with a client's release; see `Client.sync`."""
    state = FolderState.load(folder)
    if state is None:
        folder.mkdir(parents=True, exist_ok=True)
        state = FolderState(client.start_release(name, **filter), name, client.public_key())
        state.save(folder)
    elif state.name != name:
        raise SyncError(f"{folder}: contains the release {state.name} (pass this name, or another folder)")
    retractions, cursor = _pending_retractions(client, state)
    try:
        manifest = _get_files(client, folder, state, progress)
    except GatewayError as error:
        if error.code != "403" or not _is_overdue(retractions):
            raise
        # The gateway delivers nothing until overdue retractions are applied: without files, they are.
        _delete_files(folder, keep=set())
        client.acknowledge(retractions[-1])
        manifest = _get_files(client, folder, state, progress)
    if retractions:
        client.acknowledge(retractions[-1])
        state.cursor = cursor
        state.save(folder)
    files = [folder / shard["path"] for shard in manifest["shards"]]
    return SyncedRelease(folder, manifest["version"], manifest["items"], files, len(retractions))


def _pending_retractions(client: GatewayReader, state: FolderState) -> tuple[list[ReceivedRetraction], str | None]:
    """Read the retractions that a folder of the client has not applied, with the cursor after them."""
    found: list[ReceivedRetraction] = []
    cursor = state.cursor
    try:
        for page, after in client.retractions(state.cursor):
            found += page
            cursor = after
    except GatewayError as error:
        if error.code != "CURSOR_LOST" or state.cursor is None:
            raise
        state.cursor = None  # the gateway was restored: it decides again on every file, and all it tells is new
        return _pending_retractions(client, state)
    return found, cursor


def _is_overdue(retractions: list[ReceivedRetraction]) -> bool:
    """Return whether the gateway may have stopped deliveries to a client because of its retractions."""
    return any(each.due_by is not None and each.due_by < datetime.now(UTC) for each in retractions)


def _get_files(client: GatewayReader, folder: Path, state: FolderState, progress: Progress | None) -> dict[str, Any]:
    """Make a folder's files those that the release has now; return its manifest. Raises SyncError."""
    for _ in range(_ROUNDS):
        before = _get_manifest(client, state)
        digests = {}
        for number, shard in enumerate(before["shards"]):
            digests[shard["path"]] = _get_file(client, folder, state, shard["path"])
            if progress is not None:
                progress(number + 1, len(before["shards"]))
        after = _get_manifest(client, state)
        if digests == {shard["path"]: shard["sha256"] for shard in after["shards"]}:
            _delete_files(folder, keep=set(digests))
            for name in DOCUMENTS:
                replace_file(folder / name, client.release_document(state.release, name))
            replace_file(folder / MANIFEST, json.dumps(after, indent=2, ensure_ascii=False).encode())
            return after
    raise SyncError(f"{folder}: the release changes faster than its files arrive (repeat the sync later)")


def _get_manifest(client: GatewayReader, state: FolderState) -> dict[str, Any]:
    """Read the manifest of a client's release as soon as every file is written."""
    manifest: dict[str, Any] = json.loads(client.release_document(state.release, MANIFEST, WRITING_PATIENCE))
    return manifest


def _get_file(client: GatewayReader, folder: Path, state: FolderState, name: str) -> str:
    """Make a file in a folder what the gateway hands out now; return its SHA-256.

    A part of a download has the digest of the whole file in its name, and is continued only for the same digest.
    Raises SyncError.
    """
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    wrong = 0
    while True:
        part = next(iter(sorted(path.parent.glob(f"{path.name}.*{PART}"))), None)
        if part is not None and file_digest(part) == _stated_digest(path, part):
            part.replace(path)
            continue
        headers = _conditional_headers(path, part)
        try:
            with client.release_file(state.release, name, headers) as response:
                if response.status_code == 304:
                    return file_digest(path)
                if response.status_code in (412, 416):
                    assert part is not None, "only a part is continued"
                    part.unlink()
                    continue
                digest = response.headers["etag"].strip('"')
                target = path.with_name(f"{path.name}.{digest}{PART}")
                with target.open("ab" if response.status_code == 206 else "wb") as file:
                    for block in response.iter_bytes(_BLOCK):
                        file.write(block)
                    file.flush()
                    os.fsync(file.fileno())
        except OSError as error:
            raise SyncError(f"{path}: cannot be stored: {error.strerror} (free space, and repeat the sync)") from None
        except httpx.TransportError:
            time.sleep(0.5)  # the part is continued
            continue
        if file_digest(target) != digest:
            target.unlink()  # the transfer was wrong: the whole file is requested again
            wrong += 1
            if wrong == _WRONG_TRANSFERS:
                raise SyncError(f"{path}: does not have the digest that the gateway states (ask the operator)")


def _stated_digest(path: Path, part: Path) -> str:
    """Return the digest of the whole file of a release, which the name of a part of its download contains."""
    return part.name.removeprefix(f"{path.name}.").removesuffix(PART)


def _conditional_headers(path: Path, part: Path | None) -> dict[str, str]:
    """Return the headers that request only what a folder lacks of a file of a release."""
    if part is not None:
        return {"Range": f"bytes={part.stat().st_size}-", "If-Match": f'"{_stated_digest(path, part)}"'}
    return {"If-None-Match": f'"{file_digest(path)}"'} if path.exists() else {}


def _delete_files(folder: Path, keep: set[str]) -> None:
    """Delete what a folder's release does not have, parts of downloads included."""
    for path in data_files(folder):
        if path.relative_to(folder).as_posix() not in keep:
            path.unlink()


def data_files(folder: Path) -> Iterator[Path]:
    """List the files with items that a folder of the client contains."""
    return (path for path in sorted((folder / "data").rglob("*")) if path.is_file())


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
