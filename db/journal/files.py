"""The files of the journal: encrypted, authenticated, and written durably by several processes.

A file has the records of a day (UTC) and a host. A record is a line of base64: a nonce, and JSON encrypted with
AES-256-GCM. The name of the file and the place of the line are authenticated too, so that no line can be moved,
repeated or left out between others. A last line without its end is that of a process that was killed: what it says was
never
answered.
"""

import base64
import binascii
import fcntl
import json
import os
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from db.secrets import KeyUse, derive_key

_NONCE_BYTES: Final = 12
_NAME: Final = re.compile(r"journal-(\d{4}-\d\d-\d\d)-[\w.-]+\.log")

Entry = tuple[str, dict[str, Any]]
"""The name of a table, and the values of one of its rows."""


class JournalError(Exception):
    """A journal that cannot be read: the file and the line, and why."""


class JournalFiles:
    """The journal in a folder, written with a secret."""

    def __init__(self, folder: Path, secret: bytes) -> None:
        self.folder = folder
        self._cipher = _journal_cipher(secret)

    def append(self, entries: Sequence[str]) -> None:
        """Write entries, each as JSON, to the journal as one record that outlives a power failure. Raises OSError."""
        host = re.sub(r"[^\w.-]", "_", socket.gethostname())
        file = self.folder / f"journal-{datetime.now(UTC):%Y-%m-%d}-{host}.log"
        with _locked_file(file) as opened:
            place = _end_of_last_line(opened)
            nonce = os.urandom(_NONCE_BYTES)
            sealed = self._cipher.encrypt(nonce, f"[{','.join(entries)}]".encode(), _bound_to(file, place))
            os.ftruncate(opened, place)
            os.lseek(opened, place, os.SEEK_SET)
            _write_all(opened, base64.b64encode(nonce + sealed) + b"\n")
            os.fsync(opened)
        if place == 0:
            self._sync_folder()

    def read(self, secrets: Sequence[bytes]) -> Iterator[Entry]:
        """Read the entries of the journal, the oldest first, that were written with one of these secrets.

        Raises JournalError for a line that was edited.
        """
        ciphers = [_journal_cipher(secret) for secret in secrets]
        for _, file in self._files():
            place = 0
            for number, line in enumerate(file.read_bytes().splitlines(keepends=True), start=1):
                if line.endswith(b"\n"):
                    for table, rows in _decrypt(ciphers, file, number, place, line):
                        yield from ((table, row) for row in rows)
                place += len(line)

    def remove_before(self, days: int) -> None:
        """Remove the journal's files that are older than so many days."""
        oldest = datetime.now(UTC).date() - timedelta(days=days)
        for day, file in self._files():
            if day < oldest:
                file.unlink(missing_ok=True)

    def _files(self) -> list[tuple[date, Path]]:
        """List the journal's files by day."""
        found = [(_NAME.fullmatch(path.name), path) for path in self.folder.iterdir()]
        return sorted((date.fromisoformat(named[1]), path) for named, path in found if named)

    def _sync_folder(self) -> None:
        """Make the name of a new file of the journal durable."""
        opened = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _journal_cipher(secret: bytes) -> AESGCM:
    """Make the cipher of the journal from a secret of the gateway."""
    return AESGCM(derive_key(secret, KeyUse.JOURNAL))


def _decrypt(
    ciphers: Sequence[AESGCM], file: Path, number: int, place: int, line: bytes
) -> list[tuple[str, list[dict[str, Any]]]]:
    """Decrypt a line of the journal."""
    for cipher in ciphers:
        try:
            sealed = base64.b64decode(line.rstrip(b"\n"), validate=True)
            text = cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _bound_to(file, place))
        except (InvalidTag, ValueError, binascii.Error):
            continue
        found: list[tuple[str, list[dict[str, Any]]]] = json.loads(text)
        return found
    raise JournalError(
        f"{file}: line {number} was edited, or written with another secret (restore the file from its copy; if the"
        " secret was rotated since, set GROUNDS_PREVIOUS_SECRETS)"
    )


@contextmanager
def _locked_file(file: Path) -> Iterator[int]:
    """Open a file of the journal for its owner alone, while no other process writes it."""
    opened = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield opened
    finally:
        os.close(opened)


def _end_of_last_line(opened: int) -> int:
    """Return where the last whole line of a journal's file ends. What follows was never answered for."""
    end = os.lseek(opened, 0, os.SEEK_END)
    while end > 0:
        start = max(0, end - 65_536)
        found = os.pread(opened, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _write_all(opened: int, text: bytes) -> None:
    """Write all of a record of the journal. Raises OSError."""
    while text:
        text = text[os.write(opened, text) :]


def _bound_to(file: Path, place: int) -> bytes:
    """Return what binds a record of the journal to its file and place."""
    return f"grounds journal 1 {file.name} {place}".encode()
