"""Street addresses with a postcode, in the layouts of the Universal Postal Union for the countries of the EU.

A postcode with a town beside it is looked for first, and the street in at most 90 characters beside it: linear in the
length of the text. A street is known by a word such as "Straße", "rue" or "ulica"; without one, the postcode must be of
a form that is seldom another number (five digits, or with a letter, a space or a hyphen) and follow a comma.
"""

import re
from collections.abc import Iterator
from itertools import count

from db.deidentification.cues import words_of
from db.deidentification.spans import Span

ADDRESS = "[ADDRESS]"
_WITHIN = 90
_MAX_LOOKS, _MAX_READINGS = 2000, 300
_UPPER = (
    r"A-Z\u00c0-\u00de\u0100\u0102\u0104\u0106\u010c\u010e\u0110\u0112\u0116\u0118\u011a\u0122\u012a\u012e\u0136"
    r"\u0139\u013b\u013d\u0141\u0143\u0145\u0147\u0150\u0152\u0158\u015a\u015e\u0160\u0164\u016a\u016e\u0170\u0172"
    r"\u0179\u017b\u017d\u0218\u021a\u0386\u0388-\u03ab\u0410-\u042f"
)
_SUFFIX = rf"[^\W\d_]+-?{words_of('STREET_ENDINGS')}(?!\w)"
_LEADING = words_of("STREET_LEADING")
_TRAILING = rf"{words_of('STREET_TRAILING')}(?!\w)"
_PLAIN = rf"[„“\"«]?[{_UPPER}][\w.'\u2019-]*[“”\"»]?"
_TOWN_NAME = rf"[{_UPPER}][\w'\u2019-]*"
_PARTICLE = rf"{words_of('STREET_PARTICLES')}(?=[ '\u2019-])"
_UNIT = r"(?: ?(?:bis|ter|[A-Za-z])(?![\w]))?(?:[/-][0-9]{1,4})?"
_HOUSE = rf"(?:,? (?:nr?\.?|no\.?|n\.?[ºo]|č\.|№) ?|,? )[0-9]{{1,4}}{_UNIT}(?![0-9])"
_INSIDE = (
    r"(?:,? ?(?:[0-9]{1,3}\.? ?[A-Za-zº°.]{1,5}|(?:bl|ap|sc|et|m|lgh|apt|esc|piso|wohnung|top|dør)\.? ?[A-Z]?[0-9]{0,4}"
    r"|[A-Z] ?[0-9]{0,3}|[a-z]{2,3}\.|Esq\.?|Dto\.?)){0,4}"
)
_STREET = (
    rf"(?>(?:(?i:{_LEADING})(?: ?[^\W\d_][\w.'\u2019„“”-]*| ?[„“\"][^\n\"”“]{{2,30}}[“”\"]){{1,6}})"
    rf"|(?>{_SUFFIX}|(?i:{_TRAILING})|{_PLAIN})"
    rf"(?>(?:[ -](?>{_SUFFIX}|(?i:{_TRAILING})|{_PARTICLE}|{_PLAIN}|II(?!\w)|[0-9]{{1,2}}\.(?= ))){{0,6}}))"
)
_HAS_WORD = re.compile(rf"(?<![^\W\d_])(?:{_LEADING}|{_TRAILING}|{_SUFFIX})(?![^\W\d_])", re.IGNORECASE)
_BEGINS = re.compile(rf"(?<![^\W\d_]){_LEADING}(?![^\W\d_])", re.IGNORECASE)
_NUMBER_LAST = re.compile(rf"(?<![\w.])(?P<street>{_STREET}){_HOUSE}{_INSIDE}[,;]?\s*\Z")
_NUMBER_FIRST = re.compile(
    rf"(?<![\w.])[0-9]{{1,4}}{_UNIT},? (?P<street>{_STREET})"
    rf"(?:, ?{_TOWN_NAME}(?: {_TOWN_NAME}| {_PARTICLE}| na){{0,3}})?[,;]?\s*\Z"
)
_TOWN_BEFORE = re.compile(rf"(?P<street>{_STREET}){_HOUSE}{_INSIDE}, ?{_TOWN_NAME},?\s*\Z")
_TOWN = (
    rf"{_TOWN_NAME}(?:[ -](?:{_TOWN_NAME}|{_PARTICLE}(?= [{_UPPER}])|[0-9]{{1,2}}(?!\w))){{0,3}}(?: \([A-Z]{{2}}\))?"
)
_STRONG = (
    "(?:[A-Z]{1,2}[ -])?[0-9]{5}|(?:[A-Z]{1,2}[ -])?[0-9]{3} [0-9]{2}"
    "|[0-9]{2}-[0-9]{3}|[0-9]{4}-[0-9]{3}|[0-9]{4} ?[A-Z]{2}"
)
_POSTCODE = re.compile(
    rf"(?<![\w.,/-])(?P<code>(?P<strong>{_STRONG})|(?:[A-Z]{{1,2}}-)?[0-9]{{4}}|[0-9]{{6}})(?!\w),? (?P<town>{_TOWN})"
)
_POSTCODE_LAST = re.compile(
    r"(?<![\w.-])(?:[ACDEFHKNPRTVWXY][0-9][0-9W] ?[0-9ACDEFHKNPRTVWXY]{4}|[A-Z]{1,2}[0-9][0-9A-Z]? ?[0-9][A-Z]{2}"
    r"|[A-Z]{3} ?[0-9]{4}|LV-[0-9]{4})(?!\w)"
)
_TOWN_LAST, _TOWN_FIRST = (_NUMBER_LAST, _NUMBER_FIRST), (_NUMBER_FIRST, _TOWN_BEFORE)
_HOUSE_NUMBER = re.compile(r"(?<![0-9])[0-9]{1,4}(?![0-9])")
_STREET_AFTER = re.compile(rf",? (?P<street>{_STREET}){_HOUSE}\.?(?: ?[0-9]{{1,2}}/[0-9]{{1,2}}\.?)?")


def find_addresses(text: str, _: tuple[str, ...]) -> Iterator[Span]:
    """Find postal addresses in a text: streets with a house number, a postcode and a town.

    The stretch before a postcode is read closely so often per text; where more look like addresses, it is taken whole.
    """
    looks, readings = count(1), count(1)
    for found in _POSTCODE.finditer(text):
        start = _street_before(text, found.start(), _TOWN_LAST, looks, readings, needs_word=found["strong"] is None)
        if start is not None:
            yield Span(start, found.end(), ADDRESS)
        elif (after := _STREET_AFTER.match(text, found.end(), found.end() + _WITHIN)) and _HAS_WORD.search(
            after["street"]
        ):
            yield Span(found.start(), after.end(), ADDRESS)
    for found in _POSTCODE_LAST.finditer(text):
        start = _street_before(text, found.start(), _TOWN_FIRST, looks, readings, needs_word=True)
        if start is not None:
            yield Span(start, found.end(), ADDRESS)


def _street_before(
    text: str,
    place: int,
    layouts: tuple[re.Pattern[str], ...],
    looks: Iterator[int],
    readings: Iterator[int],
    *,
    needs_word: bool,
) -> int | None:
    """Return where a postal address's street begins before its postcode, by the first layout that fits."""
    begin = max(0, place - _WITHIN)
    window = text[begin:place]
    if _HOUSE_NUMBER.search(window) is None:
        return None
    is_behind_comma = not needs_word and window.rstrip().endswith(",")
    if next(looks) > _MAX_LOOKS:
        return begin
    if not is_behind_comma and not _HAS_WORD.search(window):
        return None
    if next(readings) > _MAX_READINGS:
        return begin
    for layout in layouts:
        street = layout.search(window)
        if street and (is_behind_comma or _HAS_WORD.search(street["street"])):
            first = _BEGINS.search(window, street.start("street"), street.end("street"))
            is_number_last = street.start() == street.start("street")
            return begin + (first.start() if first and is_number_last else street.start())
    return None
