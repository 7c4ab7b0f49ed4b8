"""NDJSON as it arrives: lines out of a stream of any size, in little memory."""

from collections.abc import Iterator
from typing import NamedTuple

LINE_LIMIT = 1024 * 1024


class Line(NamedTuple):
    """Hold one line: its number from 1, its bytes, and whether it went on after LINE_LIMIT."""

    number: int
    data: bytes
    too_long: bool = False


class LineSplitter:
    """Cut blocks of bytes into lines of at most LINE_LIMIT bytes; blank lines are counted and left out."""

    def __init__(self, first: int = 1) -> None:
        self._number = first - 1
        self._rest = bytearray()
        self._too_long = False

    def feed(self, block: bytes) -> Iterator[Line]:
        """Take a block in and give the lines that it completes."""
        start = 0
        while (end := block.find(b"\n", start)) >= 0:
            if self._rest or self._too_long or end - start > LINE_LIMIT:
                self._keep(block[start:end])
                yield from self._complete()
            else:  # most lines are whole, and need not be gathered
                self._number += 1
                line = block[start:end]
                if line.strip():
                    yield Line(self._number, line)
            start = end + 1
        self._keep(block[start:])

    def close(self) -> Iterator[Line]:
        """Give the last line, which may lack its newline."""
        if self._rest:
            yield from self._complete()

    def _keep(self, part: bytes) -> None:
        room = LINE_LIMIT - len(self._rest)
        self._too_long = self._too_long or len(part) > room
        self._rest += part[:room]

    def _complete(self) -> Iterator[Line]:
        self._number += 1
        data = bytes(self._rest)
        if self._too_long or data.strip():
            yield Line(self._number, data, self._too_long)
        self._rest.clear()
        self._too_long = False
