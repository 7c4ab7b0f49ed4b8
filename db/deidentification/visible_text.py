"""Reduce HTML to its visible text.

The reader follows the tokenizer of the HTML standard (section 13.2.5), but for what no text depends on. Tags,
attributes, comments, scripts and styles are not text; character references are decoded once; white space collapses as
in a browser, outside of `pre`; blocks and `br` begin a line. What is not closed (a tag, a comment, a script) goes on to
the end, as in a browser, so the reader never looks back: it is linear in the length. The standard library's is not.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import lru_cache
from html import unescape
from html.entities import html5
from typing import NamedTuple

from db.deidentification.spans import Span

_SIGN = r"[^<&\ \t\n\r\f]++ | &(?![A-Za-z]|\#[0-9xX]) | <(?![A-Za-z/!?])"
# Atomic groups: before Python 3.11.5, a possessive group such as (?:ab?)*+ does not match what it should.
_TOKEN = re.compile(
    rf"""
    (?P<text> (?:{_SIGN}) (?>(?: {_SIGN} | [ ](?![<\ \t\n\r\f]|\Z) )*) )
  | (?P<space> [ \t\n\r\f]++ )
  | (?P<reference> & (?: \#[xX]?[0-9A-Fa-f]++ | [A-Za-z][0-9A-Za-z]*+ ) ;? )
  | (?P<comment> <!-- (?: -?> | .*? (?:--!?>|\Z) ) | <(?:[!?]|/(?![A-Za-z])) [^>]*+ >? )
  | <(?P<closing>/?) (?P<tag>[A-Za-z][^\ \t\n\r\f/>]*+)
        (?>(?: [^>=]++ | =[ \t\n\r\f]*+ (?>(?: "[^"]*+(?:"|\Z) | '[^']*+(?:'|\Z) )?) )*) >?
  | (?P<sign> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_NOT_TEXT = {name: re.compile(rf"</{name}(?=[ \t\n\r\f/>])|\Z", re.IGNORECASE) for name in ("script", "style")}
_BLOCKS = frozenset({
    *("address", "article", "aside", "blockquote", "body", "center", "dd", "details", "dialog", "dir", "div", "dl"),
    *("dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "head", "header"),
    *("hr", "html", "li", "main", "menu", "nav", "ol", "option", "p", "pre", "search", "section", "summary", "table"),
    *("title", "tr", "ul"),
})  # fmt: skip
_CELLS = frozenset({"td", "th"})
_NUMBER = re.compile("&#(?:([xX])(?=[0-9A-Fa-f])|(?=[0-9]))((?(1)[0-9A-Fa-f]+|[0-9]+));?")
_MAX_DIGITS = 7  # of a code point in decimal; of very many digits Python makes no number
_MAX_BARE_NAME = max(len(name) for name in html5 if not name.endswith(";"))


class _Piece(NamedTuple):
    """A piece of the visible text: where it stands, its length, and html[start:end], which it was made from."""

    place: int
    length: int
    start: int
    end: int


def read_visible_text(html: str, spans: Sequence[Span] = ()) -> tuple[str, list[Span]]:
    """Return the visible text of HTML, with the spans of personal data moved to their places in it."""
    visible, pieces = list[str](), list[_Piece]()
    gap, at, length, preformatted = "", 0, 0, 0
    while token := _TOKEN.match(html, at):
        start, at = at, token.end()
        kind = token.lastgroup
        if kind == "tag":
            tag, is_closing = token["tag"].lower(), bool(token["closing"])
            if tag in _NOT_TEXT and not is_closing:
                at = _NOT_TEXT[tag].search(html, at).start()  # type: ignore[union-attr]  # the end is found at the least
            elif tag == "pre":
                preformatted = max(0, preformatted + (-1 if is_closing else 1))
            gap = _gap_at(tag, gap)
        elif kind == "space" and not preformatted:
            gap = gap or " "
        elif kind != "comment":
            text = _decode_reference(token[0]) if kind == "reference" else token[0]
            if visible and gap:
                visible.append(gap)
                length += len(gap)
            gap = ""
            visible.append(text)
            if spans:
                pieces.append(_Piece(length, len(text), start, at))
            length += len(text)
    return "".join(visible), _carry(spans, pieces)


def _gap_at(tag: str, gap: str) -> str:
    """Return the space or line break that HTML puts between two pieces of visible text."""
    if tag == "br":
        return f"{gap.strip(' ')}\n"[:2]
    if tag in _BLOCKS:
        return gap.strip(" ") or "\n"
    return gap or " " if tag in _CELLS else gap


@lru_cache(maxsize=4096)
def _decode_reference(reference: str) -> str:
    """Decode an HTML character reference in a text; without its semicolon it can begin a word."""
    if reference[1] == "#":
        number = _NUMBER.match(reference)
        if number is None:
            return reference
        short = number[2].lstrip("0") or "0"
        rest = reference[number.end() :]
        return (unescape(f"&#{number[1] or ''}{short};") if len(short) <= _MAX_DIGITS else "\ufffd") + rest
    name = reference[1:]
    if name in html5:
        return html5[name]
    for end in range(min(len(name), _MAX_BARE_NAME), 1, -1):
        if name[:end] in html5:
            return html5[name[:end]] + name[end:]
    return reference


def _carry(spans: Sequence[Span], pieces: list[_Piece]) -> list[Span]:
    """Move the spans of personal data from the HTML to their places in its visible text."""
    carried = []
    starts, ends = [piece.start for piece in pieces], [piece.end for piece in pieces]
    for start, end, placeholder in spans:
        first, last = bisect_right(ends, start), bisect_left(starts, end) - 1
        if start < end and first <= last:
            carried.append(
                Span(_place_of(pieces[first], start), _place_of(pieces[last], end, is_end=True), placeholder)
            )
    return carried


def _place_of(piece: _Piece, position: int, *, is_end: bool = False) -> int:
    """Return the place in the visible text of a position of the HTML; a decoded character is taken as a whole."""
    if piece.start < position < piece.end and piece.length == piece.end - piece.start:
        return piece.place + position - piece.start
    return piece.place + piece.length if is_end else piece.place
