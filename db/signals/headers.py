"""Headers: those of a response, each read by its standard, and `Sec-GPC`, which says nothing of training."""

from collections.abc import Callable
from typing import Any

from db.signals.aipref import read_content_usage
from db.signals.statement import NOTHING, Found, Reading, Standard, Statement, combine_statements, reserved
from db.signals.tdmrep import read_tdm_header
from db.vocabulary import RightsSource, TrainAI


def read_x_robots_tag(found: Found) -> Reading:
    """Read the signal of a header `X-Robots-Tag`: `noai`, and `noimageai` with media, reserve."""
    return robots_directives(found.value, has_media=found.has_media, source=RightsSource.PLATFORM)


def robots_directives(value: object, *, has_media: bool, source: RightsSource) -> Reading:
    """Read the signal of directives like `noai, noindex`, for any agent; those of search state nothing."""
    lines: list[Any] = value if isinstance(value, list) else [value]
    if not all(isinstance(line, str) for line in lines):
        return combine_statements(reserved(source, "the value of the header is not a string"))
    directives = {part.rpartition(":")[2].strip().lower() for line in lines for part in line.split(",")} - {""}
    if not directives:
        return NOTHING
    reserving = {"noai", "noimageai"} if has_media else {"noai"}
    train_ai: TrainAI = "n" if directives & reserving else "unknown"
    return combine_statements(Statement(source, train_ai))


def read_headers(found: Found) -> Reading:
    """Read the signals in one response's headers, by their names in any case; others state nothing."""
    if not isinstance(found.value, dict):
        return combine_statements(reserved(RightsSource.PLATFORM, "the headers are not an object"))
    statements: list[Statement] = []
    for name, value in found.value.items():
        reader = _READERS.get(name.strip().lower())
        if reader is not None:
            read = reader(Found(Standard.HTTP_HEADERS, value, found.path, found.has_media))
            statements += read.statements
    return combine_statements(*statements)


def read_sec_gpc(_: Found) -> Reading:
    """Read the signal of a header `Sec-GPC`: it is about sale to third parties, not about training."""
    return NOTHING


_READERS: dict[str, Callable[[Found], Reading]] = {
    "content-usage": read_content_usage,
    "x-robots-tag": read_x_robots_tag,
    "tdm-reservation": read_tdm_header,
}
