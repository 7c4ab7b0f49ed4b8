"""The header Range, in which a client requests a part of a file."""

import re
from collections.abc import Mapping
from typing import Final

from app.http.boundary import HTTPError

_RANGE: Final = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))", re.ASCII)


def parse_range(
    stated: str | None, total: int | None, headers: Mapping[str, str] | None = None
) -> tuple[int, int] | None:
    """Read the header Range (RFC 9110, 14.2) as the first byte and the byte after the last; None for the whole file.

    `total` is the file's length in bytes, None if it is not known. Several ranges, other units, and files of unknown
    length are answered as a whole, as the RFC allows. `headers` are sent with the error. Raises HTTPError (416) if the
    part begins behind the end of the file.
    """
    match = _RANGE.fullmatch(stated.strip()) if stated and total is not None else None
    if match is None or total is None:
        return None
    first, last, suffix = match.groups()
    if suffix:
        start, end = max(0, total - int(suffix)), total
    else:
        start, end = int(first), min(total, int(last) + 1) if last else total
        if last and int(last) < start:
            return None
    if start >= end:
        message = f"Range: must begin before the end of the file, which has {total} bytes (request another part)"
        raise HTTPError(416, message, {**(headers or {}), "Content-Range": f"bytes */{total}"})
    return start, end
