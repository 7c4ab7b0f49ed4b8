"""What a file or stream is that is no newline-delimited JSON, told by its first bytes, once for the whole of it."""

import re
from typing import Final

HEAD_BYTES: Final = 4096
_PACKED: Final = {
    b"PK\x03\x04": "a ZIP archive (unpack it)",
    b"BZh": "compressed by bzip2 (unpack it, or compress it by gzip or zstd)",
    b"\xfd7zXZ": "compressed by xz (unpack it, or compress it by gzip or zstd)",
    b"PAR1": "a Parquet file (write one JSON object a line)",
    b"Obj\x01": "an Avro file (write one JSON object a line)",
    b"SQLite format 3": "a database of SQLite (write one JSON object a line)",
}
GZIP: Final = b"\x1f\x8b"
ZSTD: Final = b"\x28\xb5\x2f\xfd"
_ARRAY: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*\[\s*(?:\{|\]\s*\Z|\Z)")
_PRETTY: Final = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*\n\s*"[^"\n]*"\s*:[^\n]*\n')
_CSV: Final = re.compile(rb'(?:\xef\xbb\xbf)?"?\w+"?(?:([,;\t|])"?[\w. ]+"?)(?:\1"?[\w. ]*"?)*\r?(?:\n|\Z)')
_ONE_A_LINE: Final = "write one JSON object a line"


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
        return f"is CSV ({_ONE_A_LINE}, with the fields of db/ingest/records.schema.json)"
    return None


def _encoding(head: bytes) -> str | None:
    """Name the encoding of a text that is not UTF-8: by its byte order mark, or by a first sign of several bytes."""
    for mark, name in ((b"\xff\xfe\0\0", "UTF-32"), (b"\0\0\xfe\xff", "UTF-32"), (b"\xff\xfe", "UTF-16")):
        if head.startswith(mark):
            return name
    if head.startswith(b"\xfe\xff") or re.match(rb"(?:\0[\t\n\r -~]){2}|(?:[\t\n\r -~]\0){2}", head):
        return "UTF-16"
    return "UTF-32" if re.match(rb"\0\0\0[ -~]|[ -~]\0\0\0", head) else None
