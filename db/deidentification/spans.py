"""The parts of a text that are replaced: how they are ordered, joined and masked."""

from collections.abc import Iterable
from typing import NamedTuple


class Span(NamedTuple):
    """An identifier, text[start:end], and the placeholder that replaces it."""

    start: int
    end: int
    placeholder: str


def without_overlaps(spans: Iterable[Span]) -> list[Span]:
    """Sort the spans of a text to be replaced; if two overlap, keep the first."""
    disjoint: list[Span] = []
    for span in sorted(spans):
        if not disjoint or span.start >= disjoint[-1].end:
            disjoint.append(span)
    return disjoint


def mask_spans(text: str, spans: list[Span]) -> str:
    """Mask the identifiers that were found in a text by brackets of the same length."""
    last, pieces = 0, list[str]()
    for start, end, _ in spans:
        pieces += text[last:start], "[", "\0" * (end - start - 2), "]"
        last = end
    return "".join(pieces) + text[last:]


def replace_spans(text: str, spans: Iterable[Span]) -> str:
    """Replace spans of a text, which are in order and do not overlap, by their placeholders."""
    last, pieces = 0, list[str]()
    for start, end, placeholder in spans:
        pieces += text[last:start], placeholder
        last = end
    return "".join(pieces) + text[last:]
