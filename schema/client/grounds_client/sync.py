"""Update a folder to a release, without retracted items. An interrupted update can be continued.

The order of the steps is what makes this safe. Retractions are read first. Then each file is requested: the gateway
removes from it what is no longer permitted, and the file replaces the one in the folder. Only when all files are
those of the manifest are the retractions acknowledged, and their cursor is kept last.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx

from grounds_client.connection import GatewayError
from grounds_client.folder import (
    SyncError,
    check_filter,
    data_files,
    data_folder,
    file_digest,
    load_state,
    locked_folder,
    replace_file,
    save_state,
    shards_of,
    unreadable_state,
)
from grounds_client.reader import GatewayReader, ReceivedRetraction, graphql_filter

MANIFEST: Final = "manifest.json"
DOCUMENTS: Final = ("croissant.json", "README.md", "conditions.json", "policy.json", "training-summary.json")
PART: Final = ".part"
WRITING_PATIENCE: Final = 24 * 3600.0
_BLOCK: Final = 1 << 20
_ROUNDS: Final = 20
_WRONG_TRANSFERS: Final = 3
_LISTED_IN_FILTERS: Final = ("products", "languages", "regions")
"""The fields of a filter that a manifest states as the client passed them."""
Progress = Callable[[int, int], None]


@dataclass(slots=True)
class FolderState:
    """The state of a folder: its release, the filter, the gateway's first key, and the cursor of retractions."""

    release: str
    name: str
    public_key: str
    cursor: str | None = None
    filter: dict[str, Any] | None = None

    @classmethod
    def load(cls, folder: Path) -> "FolderState | None":
        """Read the state of a folder of the client; None for a new one. Raises SyncError."""
        state = load_state(folder)
        if state is not None and "release" not in state and "next_page" in state:
            raise SyncError(
                f"{folder}: contains items that were read page by page (choose another folder for the release)"
            )
        try:
            return None if state is None else cls(**state)
        except TypeError:
            raise unreadable_state(folder) from None

    def save(self, folder: Path) -> None:
        """Store the state of a folder of the client."""
        save_state(folder, asdict(self))


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
    with locked_folder(folder):
        return _sync_locked(client, folder, name, filter, progress)


def _sync_locked(
    client: GatewayReader, folder: Path, name: str, filter: dict[str, Any], progress: Progress | None
) -> SyncedRelease:
    """Bring a folder of the client that no other sync uses up to date with a release."""
    state = FolderState.load(folder)
    if state is None:
        found = client.find_release(name)
        state = FolderState(
            found or client.start_release(name, **filter), name, client.public_key(), filter=graphql_filter(filter)
        )
        if found is not None and filter:
            _check_release(_get_manifest(client, state), name, filter)
        state.save(folder)
    elif state.name != name:
        raise SyncError(f"{folder}: contains the release {state.name} (pass this name, or another folder)")
    else:
        check_filter(folder, state.filter, graphql_filter(filter))
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


def _check_release(manifest: dict[str, Any], name: str, filter: dict[str, Any]) -> None:
    """Refuse a release that exists with another filter than the client passes. Raises SyncError."""
    stated = manifest.get("filter") or {}
    for field in _LISTED_IN_FILTERS:
        values = [{str(each).lower() for each in given.get(field) or ()} for given in (stated, filter)]
        if values[0] != values[1]:
            raise SyncError(
                f"the release {name} exists with the filter {json.dumps(stated)}"
                " (pass that filter, or no filter, or choose another name)"
            )


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
        before = shards_of(_get_manifest(client, state))
        digests = {}
        for number, shard in enumerate(before):
            digests[shard["path"]] = _get_file(client, folder, state, shard["path"])
            if progress is not None:
                progress(number + 1, len(before))
        after = _get_manifest(client, state)
        if digests == {shard["path"]: shard["sha256"] for shard in shards_of(after)}:
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
    path = data_folder(folder) / Path(name).name
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
            raise SyncError(f"{path}: cannot be stored: {error.strerror} (make space, and repeat)") from None
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
