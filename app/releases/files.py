"""The folder of releases. A file in this folder is always complete, and unused files are removed.

A file is written under a temporary name, and locked until its row is committed: whatever is neither locked nor named by
a row was left behind by a process that was killed.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final
from uuid import uuid4

UNFINISHED: Final = ".part"


class NewFile:
    """A file of a release that is being written. It is removed again unless it is `kept`."""

    def __init__(self, folder: Path, stem: str) -> None:
        self._folder, self._stem = folder, stem
        self._path = folder / f"{stem}-{uuid4().hex}{UNFINISHED}"
        self.stream: BinaryIO = self._path.open("xb")
        fcntl.flock(self.stream, fcntl.LOCK_EX)
        self.kept = False
        self.byte_count = 0
        self.sha256 = b""

    @property
    def name(self) -> str:
        """Return the name of a release's file in its folder."""
        return self._path.name

    def finish(self) -> None:
        """Store a release's file for good, under a name of its own."""
        self.stream.flush()
        os.fsync(self.stream.fileno())
        self.byte_count = self.stream.tell()
        with self._path.open("rb") as written:
            self.sha256 = hashlib.file_digest(written, "sha256").digest()
        self._path = self._path.rename(self._folder / f"{self._stem}-{uuid4().hex}.parquet")
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def close(self) -> None:
        """Close a release's file, and remove it unless a shard names it."""
        if not self.kept:
            self._path.unlink(missing_ok=True)
        with suppress(OSError):  # what a full disk could not take is not wanted
            self.stream.close()


@contextmanager
def new_file(folder: Path, stem: str) -> Iterator[NewFile]:
    """Write a new file of a release; at the end of the block, remove the file unless the block finished it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = NewFile(folder, stem)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def locked_leftovers(folder: Path, names: set[str]) -> Iterator[list[Path]]:
    """Lock the files of releases that no shard names and no process writes, and yield them."""
    with ExitStack() as opened:
        found = []
        for path in [*folder.iterdir()] if folder.is_dir() else []:
            if path.name not in names:
                with suppress(FileNotFoundError, BlockingIOError):
                    fcntl.flock(opened.enter_context(path.open("rb")), fcntl.LOCK_EX | fcntl.LOCK_NB)
                    found.append(path)
        yield found
