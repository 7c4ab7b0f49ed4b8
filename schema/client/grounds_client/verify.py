"""Verify a folder with a release: its files are those in the signed manifest, and each file has a receipt."""

import base64
import binascii
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from grounds_client.ed25519 import is_signed
from grounds_client.folder import SyncError, data_files, file_digest, shards_of
from grounds_client.reader import GatewayReader
from grounds_client.sync import MANIFEST, FolderState

_CHECK: Final = "query Check($ids: [ID!]!) { checkEligibility(ids: $ids) { items { state } } }"
_IDS_PER_REQUEST: Final = 10_000


def verify_folder(folder: Path, client: GatewayReader | None = None) -> list[str]:
    """Describe each fault of a folder with a release in one sentence; return an empty list if there is no fault.

    With a client, the gateway is asked for each item whether it may still be used; this needs the extra `parquet`.
    Raises SyncError if the folder is none of `Client.sync`, and GatewayError.
    """
    state = FolderState.load(folder)
    if state is None:
        raise SyncError(f"{folder}: contains no release (run the sync first)")
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
    except FileNotFoundError:
        return [f"{MANIFEST}: is missing (repeat the sync)"]
    except ValueError:
        return [f"{MANIFEST}: is not JSON (repeat the sync)"]
    if not _has_valid_signature(manifest, state.public_key):
        return [f"{MANIFEST}: does not match the gateway's signature, so the file was changed (repeat the sync)"]
    shards_of(manifest)  # the gateway signed it: a name outside the folder is an error, not a fault of the folder
    faults = [*_shard_faults(folder, manifest)]
    if client is not None and not faults:
        faults += _item_faults(folder, manifest, client)
    return faults


def _has_valid_signature(manifest: dict[str, Any], public_key: str) -> bool:
    """Return whether a manifest has the signature of the key that a folder got at its first sync."""
    unsigned = {name: value for name, value in manifest.items() if name != "signature"}
    text = json.dumps(unsigned, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    try:
        signature = base64.b64decode(str(manifest.get("signature")), validate=True)
        return is_signed(bytes.fromhex(public_key), signature, text.encode())
    except (binascii.Error, ValueError):
        return False


def _shard_faults(folder: Path, manifest: dict[str, Any]) -> Iterator[str]:
    """Compare the files of a folder with its manifest."""
    named = set()
    for shard in manifest["shards"]:
        named.add(shard["path"])
        path = folder / shard["path"]
        if not path.is_file():
            yield f"{shard['path']}: is missing (repeat the sync)"
        elif file_digest(path) != shard["sha256"]:
            yield f"{shard['path']}: is not the file that was delivered, because its digest differs (repeat the sync)"
        if shard["items"] and not shard["receipt"]:
            yield f"{shard['path']}: has no receipt (repeat the sync)"
    for path in data_files(folder):
        name = path.relative_to(folder).as_posix()
        if name not in named:
            yield f"{name}: is not a file of the gateway, because the manifest does not name the file (delete the file)"


def _item_faults(folder: Path, manifest: dict[str, Any], client: GatewayReader) -> Iterator[str]:
    """Ask the gateway about each item of a folder."""
    import pyarrow.parquet

    for shard in manifest["shards"]:
        ids: list[str] = pyarrow.parquet.read_table(folder / shard["path"], columns=["id"])["id"].to_pylist()
        gone = 0
        for start in range(0, len(ids), _IDS_PER_REQUEST):
            answer = client.execute(_CHECK, ids=ids[start : start + _IDS_PER_REQUEST])
            gone += sum(each["state"] == "RETRACTED" for each in answer["checkEligibility"]["items"])
        if gone:
            yield f"{shard['path']}: {gone} of {len(ids)} items may no longer be used (repeat the sync)"
