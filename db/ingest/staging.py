"""Convert a stream to rows: split it into lines of JSON, check each line, and encode it for COPY or reject it.

Blocks are staged beside the merge, in a process of its own after the first.
"""

from __future__ import annotations  # Range is generic in its stubs only

import asyncio
import ctypes
import gc
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from multiprocessing import get_context
from typing import Any, Final

from asyncpg import Range
from pydantic import ValidationError

from db.deidentification.names import NameModels
from db.ingest.records import LINE_LIMIT, MODELS, TARGETS, UNTARGETED, AccountRecord, Line
from db.ingest.rejection import (
    CLOCK_TOLERANCE,
    Fault,
    Rejected,
    is_ahead,
    named_once,
    record_faults,
    reject,
    unreadable,
)
from db.ingest.stages import STAGES, Row, configure_names

Staged = tuple[str, str, Row]
"""The name of a record type, the id of the record, and its row."""

CHUNK_BYTES = 2 * LINE_LIMIT
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BETWEEN = re.compile("[ \\t\\r\\ufeff]*")
_AROUND_A_VALUE = BYTE_ORDER_MARK + b" \t\r"  # no byte of a mark can begin or end a JSON value
_BLANK = _AROUND_A_VALUE + b"\n\v\f"
_JOINED = re.compile(rb"\}[\s\xef\xbb\xbf]*[^\s,\]}]")
_RECORD = re.compile(rb'"record"\s*:\s*"([a-z]{1,20})"')
_NAMES = re.compile(rb'"(\w+)"\s*:')
_ESCAPED_LETTER = re.compile(rb"\\u00[4-7]")
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class StagedBlock:
    """A block as COPY reads it: for each round, the rows by the stage's name."""

    rounds: list[dict[str, bytes]]
    rejected: list[Rejected]


class Stager:
    """A process that converts blocks of lines to staged rows, so that the event loop is not blocked."""

    def __init__(self, names: NameModels | None = None) -> None:
        self._names = names or {}
        if self._names:
            configure_names(self._names)
        self._pool: ProcessPoolExecutor | None = None
        self._started: Future[int] | None = None

    async def stage(
        self, block: bytes, line: int, products: frozenset[str], now: datetime, *, first: bool
    ) -> StagedBlock:
        """Stage a block of lines of ingest in a process; until that has started, or for a short stream, in a thread."""
        loop = asyncio.get_running_loop()
        pool = None if first else self._ready()
        return await loop.run_in_executor(pool, stage_block, block, line, products, now)

    def _ready(self) -> ProcessPoolExecutor | None:
        """Return the process that stages lines of ingest once it runs; begin to start it at the first call."""
        if self._pool is None or self._started is None:
            # Started afresh rather than forked: our threads and connections are no business of its.
            self._pool = ProcessPoolExecutor(
                1, mp_context=get_context("spawn"), initializer=_begin, initargs=(os.getpid(), self._names)
            )
            self._started = self._pool.submit(os.getpid)
        return self._pool if self._started.done() else None

    def close(self) -> None:
        """End the process that stages lines of ingest."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


async def whole_lines(blocks: AsyncIterable[bytes], chunk_bytes: int = CHUNK_BYTES) -> AsyncIterator[tuple[bytes, int]]:
    """Cut a stream of ingest into chunks of whole lines, each with the number of its first line.

    Of a line that is longer than two chunks the middle is left out: it is too long anyway, and memory stays flat.
    """
    held = bytearray()
    line = 1
    async for block in blocks:
        held += block
        if len(held) < chunk_bytes:
            continue
        end = held.rfind(b"\n") + 1
        if end:
            chunk = bytes(held[:end])
            yield chunk, line
            line += chunk.count(b"\n")
            del held[:end]
        elif len(held) > 2 * chunk_bytes:
            del held[2 * chunk_bytes :]
    if held:
        yield bytes(held), line


def stage_block(block: bytes, line: int, products: frozenset[str], now: datetime) -> StagedBlock:
    """Stage a block of whole lines of ingest."""
    chunk = stage_chunk(split_lines(block, line), products, now)
    return StagedBlock(
        [{name: copy_text(rows) for name, rows in stages.items()} for stages in chunk.rounds], chunk.rejected
    )


def split_lines(block: bytes, first: int = 1) -> Iterator[Line]:
    """Yield the lines of a block of ingest with their numbers; blank ones are counted and left out."""
    for number, data in enumerate(block.split(b"\n"), first):
        too_long = len(data) > LINE_LIMIT
        if too_long or data.strip(_BLANK):
            yield Line(number, data[:LINE_LIMIT], too_long)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Staged lines in rounds: within one round no id occurs twice, so each round merges as a set."""

    rounds: list[dict[str, list[Row]]]
    rejected: list[Rejected]


def stage_chunk(lines: Iterable[Line], products: frozenset[str], now: datetime) -> Chunk:
    """Stage lines of ingest in order. The n-th line about one id goes into the n-th round."""
    rounds: list[dict[str, list[Row]]] = []
    rejected: list[Rejected] = []
    seen: dict[tuple[str, str], int] = {}
    for staged in chain.from_iterable(_stage_values(line, products, now) for line in lines):
        if isinstance(staged, Rejected):
            rejected.append(staged)
            laid_out = [("rejected", row[1], row[2], row) for row in staged.rows]
        else:
            record, name, row = staged
            laid_out = [(record, record, name, row)]
        for stage_name, record, name, row in laid_out:
            at = seen.get((record, name), 0)
            seen[record, name] = at + 1
            if at == len(rounds):
                rounds.append({})
            rounds[at].setdefault(stage_name, []).append(row)
    return Chunk(rounds, rejected)


def _stage_values(line: Line, products: frozenset[str], now: datetime) -> list[Staged | Rejected]:
    """Stage every JSON value of a line of ingest; a line that is valid as a whole is not examined again."""
    whole = line._replace(data=line.data.strip(_AROUND_A_VALUE))
    staged = stage_line(whole, products, now)
    if isinstance(staged, Rejected) and not line.too_long and _JOINED.search(whole.data):
        values = values_of(whole)
        if len(values) > 1:
            return [stage_line(value, products, now) for value in values]
    return [staged]


def values_of(line: Line) -> list[Line]:
    """Split a line of ingest with several JSON values, as in joined files, into one line per value.

    What follows the last whole value is a value of its own, so that it is set aside and not lost.
    """
    try:
        text = line.data.decode()
    except UnicodeDecodeError:
        return [line]
    values = []
    start = 0
    decoder = json.JSONDecoder()
    while start < len(text):
        try:
            _, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = len(text)
        values.append(Line(line.number, text[start:end].encode(), line.too_long))
        start = _BETWEEN.match(text, end).end()  # type: ignore[union-attr]  # it matches nothing at the least
    return values


def stage_line(line: Line, products: frozenset[str], now: datetime) -> Staged | Rejected:
    """Turn a line of ingest into its record's name, its id and its row, or into a rejection."""
    if line.too_long:
        return reject(line, now, [Fault(None, f"must have at most {LINE_LIMIT} bytes (shorten the record)")])
    found = _RECORD.search(line.data)
    name = found[1].decode() if found else ""
    model = MODELS.get(name)
    if model is None:
        return reject(line, now, [unreadable(line.data)])
    faults: list[Fault] = []
    record = None
    try:
        record = model.model_validate_json(line.data)
    except ValidationError as error:
        faults = record_faults(name, error)
    if record is None or states_a_field_twice(line.data):
        faults += _faults_beside_fields(line.data, {each.field for each in faults}, products, now)
        return reject(line, now, faults)
    if record.observed_at > now + CLOCK_TOLERANCE:
        faults.append(_AHEAD)
    if isinstance(record, AccountRecord) and record.product not in products:
        faults.append(_unknown_product(products))
    if faults:
        return reject(line, now, faults)
    return record.record, record.id, STAGES[record.record].row(line.number, record)


_AHEAD = Fault("observed_at", "is more than 5 minutes in the future (correct the clock)", "2026-01-01T00:00:00Z")
_TWICE = Fault(None, "contains a field twice, and parsers can use different values (write the field once)")


def _unknown_product(products: frozenset[str]) -> Fault:
    """Return the fault of a line whose account is of a product that the policy does not name."""
    known = sorted(products)
    return Fault("product", f"must be one of {', '.join(known)} (correct it, or add it to the policy)", known[0])


def _faults_beside_fields(data: bytes, known: set[str | None], products: frozenset[str], now: datetime) -> list[Fault]:
    """Return the further faults of a line that is rejected, so that the sender can correct all faults together."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        return []  # it is no JSON, which is said
    if not isinstance(said, dict):
        return []
    faults = [_TWICE] if states_a_field_twice(data) else []
    product, observed_at = said.get("product"), said.get("observed_at")
    if said.get("record") == "account" and isinstance(product, str) and not {"product"} & known:
        faults += [] if product in products else [_unknown_product(products)]
    if isinstance(observed_at, str) and "observed_at" not in known and is_ahead(observed_at, now):
        faults.append(_AHEAD)
    if said.get("record") == "objection" and None not in known and not any(map(said.get, TARGETS)):
        faults.append(Fault(None, UNTARGETED))
    return faults


def states_a_field_twice(data: bytes) -> bool:
    """Return whether an object in a line of ingest names a field twice."""
    names = _NAMES.findall(data)
    if len(set(names)) == len(names) and not _ESCAPED_LETTER.search(data):
        return False
    try:
        json.loads(data, object_pairs_hook=named_once)
    except ValueError:
        return True
    return False


def copy_text(rows: Iterable[tuple[Any, ...]]) -> bytes:
    """Encode staged rows of ingest for `COPY … FROM STDIN`."""
    encoder = _ENCODERS.get
    # What has no encoder are words of our enumerations.
    lines = ["\t".join([encoder(type(value), str)(value) for value in row]) for row in rows]
    return "\n".join([*lines, ""]).encode()


def _string(value: str) -> str:
    """Encode a text of a staged row of ingest for COPY."""
    return value.translate(_ESCAPES) if "\\" in value or not value.isprintable() else value


def _array(values: list[Any]) -> str:
    """Encode a list of a staged row of ingest for COPY: of ranges as a multirange, of strings as an array."""
    if values and isinstance(values[0], Range):
        return "{" + ",".join(_range(window) for window in values) + "}"
    quoted = ('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values)
    return _string("{" + ",".join(quoted) + "}")


def _range(window: Range[datetime]) -> str:
    """Encode a window of a staged row of ingest for COPY."""
    lower = "" if window.lower is None else window.lower.isoformat()
    upper = "" if window.upper is None else window.upper.isoformat()
    return f"[{lower},{upper}]"


_ENCODERS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "\\N",
    str: _string,
    int: str,
    bool: lambda value: "t" if value else "f",
    bytes: lambda value: "\\\\x" + value.hex(),
    datetime: datetime.isoformat,
    list: _array,
}


def _begin(parent: int, names: NameModels) -> None:
    """Prepare the process that stages lines of ingest: Ctrl-C is the parent's, and it ends with the parent."""
    configure_names(names)
    gc.set_threshold(200_000, 50, 50)  # rows make no circles, and looking for them took a sixth of the time
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


# Told by the first bytes, once for the whole file or stream.
HEAD_BYTES: Final = 4096
_PACKED: Final = {
    b"PK\x03\x04": "a ZIP archive (unpack it)",
    b"BZh": "compressed by bzip2 (unpack it, or compress it by gzip or zstd)",
    b"\xfd7zXZ": "compressed by xz (unpack it, or compress it by gzip or zstd)",
    b"PAR1": "a Parquet file (write one JSON object per line)",
    b"Obj\x01": "an Avro file (write one JSON object per line)",
    b"SQLite format 3": "a database of SQLite (write one JSON object per line)",
}
GZIP: Final = b"\x1f\x8b"
ZSTD: Final = b"\x28\xb5\x2f\xfd"
_ARRAY: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*\[\s*(?:\{|\]\s*\Z|\Z)")
_PRETTY: Final = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*\n\s*"[^"\n]*"\s*:[^\n]*\n')
_CSV: Final = re.compile(rb'(?:\xef\xbb\xbf)?"?\w+"?(?:([,;\t|])"?[\w. ]+"?)(?:\1"?[\w. ]*"?)*\r?(?:\n|\Z)')
_ONE_A_LINE: Final = "write one JSON object per line"


def format_fault(head: bytes) -> str | None:
    """Return what a file is by its first bytes, and what to do, or None where it can be lines of JSON."""
    for magic, what in _PACKED.items():
        if head.startswith(magic):
            return f"is {what}"
    if encoding := _encoding(head):
        return f"is in {encoding} (write it in UTF-8)"
    if _ARRAY.match(head):
        return f"is a JSON array ({_ONE_A_LINE}, such as by jq -c '.[]')"
    if _PRETTY.match(head):
        return f"has JSON objects over several lines ({_ONE_A_LINE}, such as by jq -c .)"
    if _CSV.match(head):
        return f"is a CSV file ({_ONE_A_LINE}, with the fields of db/ingest/records.schema.json)"
    return None


def _encoding(head: bytes) -> str | None:
    """Name the encoding of a text that is not UTF-8: by its byte order mark, or by a first sign of several bytes."""
    for mark, name in ((b"\xff\xfe\0\0", "UTF-32"), (b"\0\0\xfe\xff", "UTF-32"), (b"\xff\xfe", "UTF-16")):
        if head.startswith(mark):
            return name
    if head.startswith(b"\xfe\xff") or re.match(rb"(?:\0[\t\n\r -~]){2}|(?:[\t\n\r -~]\0){2}", head):
        return "UTF-16"
    return "UTF-32" if re.match(rb"\0\0\0[ -~]|[ -~]\0\0\0", head) else None
