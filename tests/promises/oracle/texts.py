"""What of a text can be seen."""

import unicodedata
from html.parser import HTMLParser

_UNSEEN_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"}
# Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties, which Python does not have, and the blank of Braille.
_UNSEEN_RANGES = [
    (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
    (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
    (0x2800, 0x2800),
]  # fmt: skip
_NOT_TEXT = {"script", "style"}


def is_blank(text: str, is_html: bool) -> bool:
    """Return whether nothing of a text can be seen."""
    return all(_is_unseen(character) for character in (_text_of(text) if is_html else text))


def _is_unseen(character: str) -> bool:
    # White_Space is within the categories Cc, Zl, Zp and Zs.
    return unicodedata.category(character) in _UNSEEN_CATEGORIES or any(
        first <= ord(character) <= last for first, last in _UNSEEN_RANGES
    )


def _text_of(html: str) -> str:
    reader = _Reader(convert_charrefs=True)
    reader.feed(html)
    reader.close()
    return "".join(reader.pieces)


class _Reader(HTMLParser):
    """The text of HTML: entities decoded, without tags, attributes, comments, scripts and styles."""

    def __init__(self, *, convert_charrefs: bool) -> None:
        super().__init__(convert_charrefs=convert_charrefs)
        self.pieces: list[str] = []
        self._within: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _NOT_TEXT:
            self._within = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._within:
            self._within = None

    def handle_data(self, data: str) -> None:
        if self._within is None:
            self.pieces.append(data)
