"""Find birth dates, number plates and document numbers after a word such as "born", and find coordinates.

Every finder goes from one group of digits to the next and looks at a bounded stretch around it: linear in the length.

Choices
- A birth date is a whole date within 40 characters behind a word such as "born", or 40 before one; a year alone stays.
- Number plates and documents are looked for behind their words only: most words in capitals with a number would be one.
- An address is a street with a house number beside a postcode and a town. A word for a street must stand in it, or the
  postcode be of a form that is seldom another number. A street without a postcode stays.
- Coordinates are two numbers with at least four decimals, or degrees with minutes.
"""

import re
from collections.abc import Iterator

from db.deidentification.addresses import UPPER
from db.deidentification.cues import Cue, cue_after, cue_before
from db.deidentification.spans import Span

ADDRESS, BIRTH_DATE, DOCUMENT, LOCATION, PLATE = "[ADDRESS]", "[BIRTH_DATE]", "[DOCUMENT]", "[LOCATION]", "[PLATE]"
_GROUP = re.compile(r"(?<![0-9])[0-9]+")
_WITHIN = 60
_YEAR = "(?:19|20)[0-9]{2}"
_NAME = r"[^\W\d_]{3,14}"
_DAY, _MONTH = "(?:0?[1-9]|[12][0-9]|3[01])", "(?:0?[1-9]|1[0-2])"
_BIRTH_DATE = re.compile(
    rf"""(?: {_DAY} (?P<sign>\.\ ?|[/-]) {_MONTH} (?P=sign) (?:{_YEAR}|[0-9]{{2}})
    | {_YEAR} (?P<iso>\.\ ?|[/-]) {_MONTH} (?P=iso) {_DAY}
    | {_DAY} (?:\.|st|nd|rd|th|er|º|ú)? \ (?:de\ |of\ |ta['\u2019]\ )? {_NAME} (?:\ F[óo]mhair)?
        \.?,? \ (?:de\ |del\ )? {_YEAR}
    | {_YEAR} \.? \ (?:m\.\ |gada\ )? (?:{_NAME}\ {_DAY}|{_DAY}\.\ {_NAME}) (?:\ d\.)?
    | (?<=[^\W\d_]\ ) {_DAY} (?:st|nd|rd|th)? ,? \ {_YEAR} ) (?![0-9])""",
    re.VERBOSE,
)
_MONTH_BEFORE = re.compile(r"[^\W\d_]{3,12} \Z")
_PLATE = re.compile(rf"(?<!\w)[0-9{UPPER}]{{1,8}}(?:(?: ?[·-] ?| )[0-9{UPPER}]{{1,6}}){{0,3}}(?!\w)")
_LETTERS_AND_DIGITS = re.compile(rf"(?<![^\W\d])[{UPPER}]{{1,8}} ?[·-]? ?[0-9]|[0-9] ?[·-]? ?[{UPPER}]{{1,6}}(?!\w)")
_MAY_BE_ANNOUNCED = re.compile(rf"(?:[0-9][^0-9]{{0,18}}){{3}}[0-9]|[{UPPER}] ?[·-]? ?[0-9]|[0-9] ?[·-]? ?[{UPPER}]")
_SIX_SIGNS = re.compile(rf"(?:[0-9{UPPER}][ ./-]?){{6}}")
_DOCUMENT = re.compile(
    rf"(?<!\w)(?=(?:[^\W\d_]*[ ./-]?[0-9]){{4}})[0-9{UPPER}]{{1,14}}(?:[ ./-]?[0-9{UPPER}]{{1,10}}){{0,4}}(?!\w)"
)


def find_announced(text: str, _: tuple[str, ...]) -> Iterator[Span]:
    """Find birth dates, number plates and documents in a text by the words that announce them."""
    if not _MAY_BE_ANNOUNCED.search(text):
        return
    done = 0
    for group in _GROUP.finditer(text):
        if group.start() < done:
            continue
        if (
            span := _find_birth_date(text, group.start())
            or _find_plate(text, group.start())
            or _find_document(text, group.start())
        ):
            yield span
            done = span.end


def _find_birth_date(text: str, place: int) -> Span | None:
    """Find a birth date at a place in a text, if a word announces it."""
    found = _BIRTH_DATE.match(text, place)
    if found is None:
        return None
    start, end = found.span()
    if not (cue_before(Cue.BIRTH, text, start, _WITHIN) is not None or cue_after(Cue.BIRTH, text, end, 40)):
        return None
    month = _MONTH_BEFORE.search(text, max(0, start - 14), start)
    is_month_first = month is not None and re.match(rf"{_DAY}(?:st|nd|rd|th)?,? {_YEAR}", found[0]) is not None
    return Span(month.start() if month and is_month_first else start, end, BIRTH_DATE)


def _find_plate(text: str, place: int) -> Span | None:
    """Find a number plate at a place in a text, if a word announces it or follows it directly."""
    if not _LETTERS_AND_DIGITS.search(text, max(0, place - 24), place + 12):
        return None
    cue = cue_before(Cue.PLATE, text, place, 40)
    begin = max(0, place - 12) if cue is None else _end_of_word(text, cue)
    for found in _PLATE.finditer(text, begin, place + 12):
        bare = [sign for sign in found[0] if sign.isalnum()]
        digits = sum(sign.isdigit() for sign in bare)
        if found.end() <= place or not 2 <= digits < len(bare) <= 10:
            continue
        if cue is not None or (len(bare) >= 5 and cue_after(Cue.PLATE, text, found.end() + 1, 12)):
            return Span(found.start(), found.end(), PLATE)
    return None


def _find_document(text: str, place: int) -> Span | None:
    """Find the number of an identity document at a place in a text, if a word announces it."""
    if not _SIX_SIGNS.search(text, max(0, place - 4), place + 30):
        return None
    cue = cue_before(Cue.DOCUMENT, text, place, 50)
    if cue is None:
        return None
    for found in _DOCUMENT.finditer(text, _end_of_word(text, cue), place + 30):
        if found.end() > place and 6 <= sum(map(str.isalnum, found[0])) <= 16:
            return Span(found.start(), found.end(), DOCUMENT)
    return None


_WORD_END = re.compile(r"\w*")


def _end_of_word(text: str, start: int) -> int:
    """Return where the word ends that announces personal data in a text."""
    found = _WORD_END.match(text, start)
    return found.end() if found else start


_DECIMALS = r"[+-]?[0-9]{1,3}\.[0-9]{4,12}°?(?:\ ?[NSEWO](?!\w))?(?![0-9])"
_DEGREES = (
    r"[0-9]{1,3}°\ ?[0-9]{1,2}['\u2032\u2019]\ ?(?:[0-9]{1,2}(?:[.,][0-9]+)?(?:[\"″”]|''|\u2019\u2019)\ ?)?[NSEWOØ]"
)
_MINUTES = r"[NSEWO]\ ?[0-9]{1,3}°\ ?[0-9]{1,2}(?:\.[0-9]{1,6})?['\u2032\u2019](?:\ ?[0-9]{1,2}(?:\.[0-9]+)?[\"″”])?"
_DECIMAL_OR_DEGREE = re.compile(r"\.[0-9]{4}|°")
_COORDINATES = re.compile(
    rf"(?:(?<!\w)geo:|(?<![\w.,+-])){_DECIMALS}(?:[,;/]\ ?|\ |[,;]?\ (?:[Ll]on|[Ll]ng)[a-z]*[:=]?\ ?){_DECIMALS}"
    rf"|(?<!\w){_DEGREES}[,;]?\ ?{_DEGREES}|(?<!\w){_MINUTES}[,;]?\ ?{_MINUTES}"
)


def find_coordinates(text: str, _: tuple[str, ...]) -> Iterator[Span]:
    """Find geographic coordinates in a text, in decimals or in degrees, minutes and seconds (ISO 6709, annex D)."""
    if not _DECIMAL_OR_DEGREE.search(text):
        return iter(())
    return (Span(found.start(), found.end(), LOCATION) for found in _COORDINATES.finditer(text))
