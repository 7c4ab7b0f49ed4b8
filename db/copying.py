"""Rows as PostgreSQL's COPY reads them, in its text format: made where the rows are made, sent as they are."""

from __future__ import annotations  # Range is generic in its stubs only

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from asyncpg import Range

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def copy_text(rows: Iterable[tuple[Any, ...]]) -> bytes:
    """Encode rows for `COPY … FROM STDIN`."""
    encoder = _ENCODERS.get
    # What has no encoder are words of our enumerations.
    lines = ["\t".join([encoder(type(value), str)(value) for value in row]) for row in rows]
    return "\n".join([*lines, ""]).encode()


def _string(value: str) -> str:
    return value.translate(_ESCAPES) if "\\" in value or not value.isprintable() else value


def _array(values: list[Any]) -> str:
    """Encode a list: of ranges as a multirange, of strings as an array."""
    if values and isinstance(values[0], Range):
        return "{" + ",".join(_range(window) for window in values) + "}"
    quoted = ('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values)
    return _string("{" + ",".join(quoted) + "}")


def _range(window: Range[datetime]) -> str:
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
