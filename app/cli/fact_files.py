"""The files of `grounds ingest`: facts that are read, and the lines that were rejected."""

import gzip
import json
import os
import sys
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import nullcontext
from importlib.util import find_spec
from io import BufferedReader
from pathlib import Path
from typing import IO, Protocol, Self, cast

from db.ingest.records import LINE_LIMIT
from db.ingest.rejection import Rejected
from db.ingest.staging import GZIP, ZSTD, format_fault

BLOCK_BYTES = 256 * 1024
PACKED_BYTES = 4096
"""The number of bytes to read at once from a Zstandard file. These bytes can unpack to as much as 128 MB."""


class FactFile:
    """A file of facts, or standard input; after reading, `fault` states whether the file was cut off."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.fault: str | None = None

    @property
    def size(self) -> int | None:
        """Return the size in bytes of a file of `grounds ingest`; None for standard input."""
        return None if self.name == "-" else Path(self.name).stat().st_size

    async def blocks(self, at: Callable[[int], object]) -> AsyncIterator[bytes]:
        """Yield a file of `grounds ingest` in blocks of whole lines, and report the position in the file to `at`.

        The last, incomplete line of a file that is cut off is not yielded, because it must not count as an invalid
        line.
        """
        held = bytearray()
        is_first = True
        try:
            for block in self._unpacked(at):
                if is_first and (fault := format_fault(block)):
                    self.fault = f"{self.name}: {fault}"
                    return
                is_first = False
                held += block
                end = held.rfind(b"\n") + 1 if len(held) <= LINE_LIMIT else len(held)
                yield bytes(held[:end])
                del held[:end]
        except (EOFError, zlib.error, OSError) as error:
            what = error.strerror if isinstance(error, OSError) and error.strerror else "is incomplete or damaged"
            self.fault = (
                f"{self.name}: {what} (only the lines before the damage were read; get the file again and "
                "repeat the command)"
            )
        else:
            yield bytes(held)

    def _unpacked(self, at: Callable[[int], object]) -> Iterator[bytes]:
        """Yield the unpacked bytes of a file of `grounds ingest` or of standard input."""
        with nullcontext(sys.stdin.buffer) if self.name == "-" else Path(self.name).open("rb") as file:
            buffered = cast(BufferedReader, file)
            unpacked = _decompressed(buffered, buffered.peek(len(ZSTD)))
            # One read at a time, as reading on would lose what was unpacked before a fault.
            while block := unpacked.read1(BLOCK_BYTES):
                yield block
                if file.seekable():
                    at(file.tell())


class Unpacked(Protocol):
    """A file of `grounds ingest` that is unpacked while it is read."""

    def read1(self, size: int = -1, /) -> bytes:
        """Read the next unpacked bytes of a file of `grounds ingest`."""


def _decompressed(file: BufferedReader, head: bytes) -> Unpacked:
    """Open a file of `grounds ingest` in the format that its first bytes show, whatever the name of the file."""
    if head.startswith(GZIP):
        return gzip.GzipFile(fileobj=file)
    if head.startswith(ZSTD):
        if find_spec("zstandard") is None:
            raise OSError(0, "is compressed by Zstandard, which is not installed here (unpack it by zstd -d)")
        return _Zstandard(file)
    return file


class _Zstandard:
    """A Zstandard file of `grounds ingest`, of one frame or several."""

    def __init__(self, file: BufferedReader) -> None:
        from zstandard import ZstdDecompressor  # only where there is such a file: it takes 20 ms to import

        self._file = file
        self._decompressor = ZstdDecompressor()
        self._frame = self._decompressor.decompressobj()
        self._left = b""

    def read1(self, _: int = -1, /) -> bytes:
        """Read a block of a Zstandard file. Raises EOFError if the file is cut off or damaged."""
        from zstandard import ZstdError

        while packed := self._left or self._file.read1(PACKED_BYTES):
            if self._frame.eof:
                self._frame = self._decompressor.decompressobj()
            try:
                block = self._frame.decompress(packed)
            except ZstdError:
                raise EOFError from None
            self._left = self._frame.unused_data if self._frame.eof else b""
            if block:
                return block
        if not self._frame.eof:
            raise EOFError
        return b""


class RejectsFile:
    """The file of rejected lines next to the loaded file. The first rejected line creates this file, for its owner
    only."""

    def __init__(self, source: FactFile) -> None:
        self.path = Path("stdin.rejects.ndjson" if source.name == "-" else f"{source.name}.rejects.ndjson")
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        self.path.unlink(missing_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add_rejected_line(self, rejected: Rejected) -> None:
        """Write a rejected line of `grounds ingest` with the reason; omit a line that might be a private message."""
        said = rejected.as_dict()
        if rejected.original is not None:
            said["original"] = rejected.original.decode()
        if self._file is None:
            self._file = open(self.path, "x", encoding="utf-8", opener=_open_private_file)  # noqa: SIM115 - closed at our exit
        self._file.write(json.dumps(said, ensure_ascii=False) + "\n")


def _open_private_file(path: str, flags: int) -> int:
    """Create the file of rejected lines of `grounds ingest`, which only its owner can read."""
    return os.open(path, flags, 0o600)
