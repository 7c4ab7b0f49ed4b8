"""The folder of a lake: it appears whole or not at all, only its owner may read it, and its manifest is signed."""

import hashlib
import os
import shutil
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final
from uuid import uuid4

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import ValidationError

from db.lake.snapshot import Snapshot

MANIFEST: Final = "manifest.json"
SNAPSHOT: Final = "snapshot.json"
README: Final = "README.md"
_SORTED: Final = orjson.OPT_SORT_KEYS
README_TEXT: Final = """# A lake of Grounds

Confidential. This folder has facts about every account and item that the gateway knows, also about those that no client
may receive: scanner results, objections, holds, and whether an author is an adult. Only the people who operate the
gateway may read it. It is no training data. Do not give it to a training client, and delete it after use.

- `facts/`: the facts that decisions read, as numbers, codes and times. There are no names, no contacts, no texts and no
  birth dates.
- `texts/`: only with `--texts`. The de-identified texts of the items that the database permitted in the same snapshot.
- `snapshot.json`: the policy, the time, the client, the purpose, the holds and the campaigns.
- `manifest.json`: the SHA-256 of each file, and the gateway's signature.

`grounds lake decide` decides about the items. `grounds lake compile` prints the SQL for another engine.
"""


class LakeError(Exception):
    """A lake that cannot be used: what is wrong, and what to do."""


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Write a lake's folder, which gets its name when it is whole; otherwise nothing of it stays. Raises LakeError."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise LakeError(f"{folder}: is not an empty folder (choose a new one)")
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}-{uuid4().hex}.part")
    unfinished.mkdir(mode=0o700)
    try:
        yield unfinished
        if folder.exists():
            folder.rmdir()
        unfinished.rename(folder)
        sync_folder(folder.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextmanager
def private_file(path: Path) -> Iterator[BinaryIO]:
    """Write a file of a lake that only its owner may read, and store it for good."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())


def write_private(path: Path, content: bytes) -> None:
    """Write a document of a lake that only its owner may read."""
    with private_file(path) as stream:
        stream.write(content)


def sign_folder(folder: Path, key: Ed25519PrivateKey, rows: dict[str, int]) -> None:
    """Write the manifest of a lake's folder: every file with its digest, and the signature over all."""
    files = {name: digest_of(folder / name) for name in sorted(_names(folder))}
    manifest = {"files": files, "rows": rows, "publicKey": key.public_key().public_bytes_raw().hex()}
    signature = b64encode(key.sign(orjson.dumps(manifest, option=_SORTED))).decode()
    signed = orjson.dumps(manifest | {"signature": signature}, option=_SORTED | orjson.OPT_INDENT_2)
    write_private(folder / MANIFEST, signed)


def open_lake(folder: Path, public_key: str | None = None) -> tuple[Snapshot, dict[str, Any]]:
    """Check a lake's folder against its signed manifest; return its snapshot and manifest. Raises LakeError.

    `public_key` is that of the gateway, in hexadecimal digits; without it, the key in the manifest is used.
    """
    try:
        manifest = orjson.loads((folder / MANIFEST).read_bytes())
        unsigned = {name: value for name, value in manifest.items() if name != "signature"}
        key, files = str(manifest["publicKey"]), dict(manifest["files"])
        signature = b64decode(manifest["signature"], validate=True)
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(signature, orjson.dumps(unsigned, option=_SORTED))
    except FileNotFoundError:
        raise LakeError(
            f"{folder}: is not a lake, because it has no {MANIFEST} (name a folder of grounds lake export)"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, Base64Error, InvalidSignature):
        raise LakeError(f"{folder / MANIFEST}: was changed after the export (export again)") from None
    if public_key is not None and key != public_key:
        raise LakeError(f"{folder}: was exported by another gateway (its key is {key})")
    _check_digests(folder, files)
    try:
        return Snapshot.model_validate_json((folder / SNAPSHOT).read_bytes()), manifest
    except ValidationError:
        raise LakeError(f"{folder / SNAPSHOT}: is of another version of Grounds (export again)") from None


def _check_digests(folder: Path, files: dict[str, str]) -> None:
    """Compare the files of a lake with its manifest. Raises LakeError."""
    for name, digest in files.items():
        parts = PurePosixPath(name).parts
        if ".." in parts or PurePosixPath(name).is_absolute() or (folder / name).is_symlink():
            raise LakeError(f"{folder / MANIFEST}: names a file outside the folder (export again)")
        if not (folder / name).is_file():
            raise LakeError(f"{folder / name}: is missing (export again)")
        if digest_of(folder / name) != digest:
            raise LakeError(f"{folder / name}: was changed after the export (export again)")
    for name in sorted(_names(folder) - set(files) - {MANIFEST}):
        if name.endswith(".parquet") and name.partition("/")[0] in ("facts", "texts"):
            raise LakeError(f"{folder / name}: is not part of the export (delete it)")


def fact_files(folder: Path, manifest: dict[str, Any], name: str) -> list[Path]:
    """List the files of a table of a lake."""
    return [folder / file for file in sorted(manifest["files"]) if file.startswith(f"{name}-")]


def digest_of(path: Path) -> str:
    """Compute the SHA-256 of a file of a lake."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _names(folder: Path) -> set[str]:
    """List the files of a lake's folder by their paths in it."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def sync_folder(folder: Path) -> None:
    """Store for good which names a folder of a lake has."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
