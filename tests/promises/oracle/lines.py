"""Read a line: the records in it, or what can be made out of a broken one."""

import json
import re
from typing import Any

from tests.promises.oracle.records import MAX_ID_BYTES, MAX_LINE_BYTES, Parser, Record


def _not_json(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_json = json.JSONDecoder(parse_constant=_not_json)
_space = re.compile(r"[ \t\r\n]*")
_token = re.compile(r'"(?:[^"\\]|\\.)*"?|[][{}]|[^"\[\]{}]+', re.DOTALL)
_made_out = {
    name: re.compile(rf'"{name}"\s*:\s*"([^"\\\x00-\x1f]{{1,{MAX_ID_BYTES}}})"', re.ASCII)
    for name in ("record", "id", "observed_at", "account", "person", "contact")
}


def read_line(line: bytes) -> tuple[Record, bool]:
    """Return the object in a line and True, or else what can be made out of its first LONGEST_LINE bytes and False."""
    if len(line) <= MAX_LINE_BYTES:
        try:
            value = _json.decode(line.decode())
            return (value, True) if isinstance(value, dict) else ({}, False)
        except (ValueError, RecursionError):
            pass
    text = line[:MAX_LINE_BYTES].decode(errors="replace")
    outermost = _outermost(text)
    found = {name: shape.search(outermost) for name, shape in _made_out.items()}
    return {name: match[1] for name, match in found.items() if match}, False


def _outermost(text: str) -> str:
    """Leave out what stands inside the values of a record: a signal has an `id` of its own."""
    depth, kept = 0, []
    for match in _token.finditer(text):
        token = match[0]
        depth += (token in "[{") - (token in "]}")
        if depth <= 1:
            kept.append(token)
    return "".join(kept)


def readable(parse: Parser, value: Any) -> Any:
    """Return what a field of a bad line says, or None if that cannot be read."""
    try:
        return parse(value)
    except ValueError:
        return None
