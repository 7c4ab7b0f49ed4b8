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
_WITHIN, _WITHIN_TOWN = 90, 45
_MAX_LOOKS, _MAX_READINGS = 2000, 300
UPPER = (
    r"A-Z\u00c0-\u00de\u0100\u0102\u0104\u0106\u010a\u010c\u010e\u0110\u0112\u0116\u0118\u011a\u0120\u0122\u0126\u012a"
    r"\u012e\u0136"
    r"\u0139\u013b\u013d\u0141\u0143\u0145\u0147\u0150\u0152\u0158\u015a\u015e\u0160\u0164\u016a\u016e\u0170\u0172"
    r"\u0179\u017b\u017d\u0218\u021a\u0386\u0388-\u03ab\u0410-\u042f"
)
_SUFFIX = rf"[^\W\d_]+-?{words_of('STREET_ENDINGS')}(?!\w)"
_LEADING = words_of("STREET_LEADING")
_TRAILING = rf"{words_of('STREET_TRAILING')}(?!\w)"
_PLAIN = rf"[„“\"«]?[{UPPER}][\w.'\u2019-]*[“”\"»]?"
_TOWN_NAME = rf"(?:'[st][- ])?[{UPPER}][\w'\u2019-]*"
_PARTICLE = rf"{words_of('STREET_PARTICLES')}(?=[ '\u2019-])"
_UNIT = r"(?: ?(?:bis|ter|[A-Za-z])(?![\w]))?(?:[/-](?:[0-9]{1,4}|[IVX]{1,4}))?"
_HOUSE = rf"(?:,? (?:nr?\.?|no\.?|n\.?[ºo]|č\.|№) ?|,? )[0-9]{{1,4}}{_UNIT}(?![0-9])"
_INSIDE = (
    r"(?:(?:,| -)? ?(?:[0-9]{1,3}\.? ?[A-Za-zº°.]{1,5}(?: [a-z]{2,3}\.)?|[IVX]{1,4}\. [a-z]{1,3}\."
    rf"|{words_of('UNITS')}\.? ?[A-Z]?[0-9]{{0,4}}|[A-Z] ?[0-9]{{0,3}}|[a-z]{{2,3}}\.|Esq\.?|Dto\.?)){{0,4}}"
)
_STREET = (
    rf"(?>(?:(?i:{_LEADING})(?: ?[^\W\d_][\w.'\u2019„“”-]*| ?[„“\"][^\n\"”“]{{2,30}}[“”\"]){{1,6}})"
    rf"|(?>{_SUFFIX}|(?i:{_TRAILING})|{_PLAIN})"
    rf"(?>(?:[ -](?>{_SUFFIX}|(?i:{_TRAILING})|{_PARTICLE}|{_PLAIN}|II(?!\w)|[0-9]{{1,2}}\.(?= ))){{0,6}}))"
)
_HAS_WORD = re.compile(rf"(?<![^\W\d_])(?:{_LEADING}|{_TRAILING}|{_SUFFIX})(?![^\W\d_])", re.IGNORECASE)
_BEGINS = re.compile(rf"(?<![^\W\d_]){_LEADING}(?![^\W\d_])(?! ?[0-9])", re.IGNORECASE)
_END = r"(?:[,;]| -)?\s*\Z"
_NUMBER_LAST = re.compile(rf"(?<![\w.])(?P<street>{_STREET}){_HOUSE}{_INSIDE}\.?{_END}")
_TOWN = (
    rf"{_TOWN_NAME}(?:[ -](?:{_TOWN_NAME}|{_PARTICLE}(?= [{UPPER}])|{words_of('TOWN_WORDS')}(?!\w)"
    rf"|[0-9]{{1,2}}(?!\w))){{0,3}}(?: \([A-Z][\w. ]{{1,15}}\))?"
)
_FLAT = rf"(?:(?<!\w)(?i:{words_of('UNITS')})\.? [0-9]{{1,4}}[A-Z]?,? )?"
_NUMBER_FIRST = re.compile(
    rf"(?<![\w.]){_FLAT}[0-9]{{1,4}}{_UNIT},? (?P<street>{_STREET}(?: [0-9]{{1,2}}(?=[,\n]))?)"
    rf"(?:[,\n] ?{_TOWN}(?: {_TOWN_NAME}| na){{0,2}}(?:, ?Co\. (?:na )?{_TOWN_NAME})?)?{_END}"
)
_TOWN_BEFORE = re.compile(rf"(?P<street>{_STREET}){_HOUSE}{_INSIDE}[,\n] ?{_TOWN},?\s*\Z")
_SHAPED = (
    "(?:[A-Z]{1,2}[ -])?[0-9]{3} [0-9]{2}|[0-9]{2}-[0-9]{3}|[0-9]{4}-[0-9]{3}|[0-9]{4} ?[A-Z]{2}|[A-Z]{1,2}-[0-9]{5}"
)
_STRONG = rf"{_SHAPED}|(?:[A-Z]{{1,2}} )?[0-9]{{5}}"
_LABEL = r"(?:(?:\u03a4\. ?\u039a\.|\u03a4\u039a|PS\u010c|C\. ?P\.|CP|CAP):? ?)?"
_POSTCODE = re.compile(
    rf"(?<![\w.,/-]){_LABEL}(?P<code>(?P<shaped>{_SHAPED})|(?P<strong>{_STRONG})|(?:[A-Z]{{1,2}}-)?[0-9]{{4}}|[0-9]{{6}})"
    rf"(?!\w),? (?P<town>{_TOWN})"
)
_POSTCODE_LAST = re.compile(
    r"(?<![\w.-])(?:[ACDEFHKNPRTVWXY][0-9][0-9W] ?[0-9ACDEFHKNPRTVWXY]{4}|[A-Z]{1,2}[0-9][0-9A-Z]? ?[0-9][A-Z]{2}"
    r"|[A-Z]{3} ?[0-9]{4}|LV-[0-9]{4})(?!\w)"
)
_BEHIND_TOWN = re.compile(
    rf"(?:(?<=[^\W_][ \n])|(?<=[^\W_], ))(?P<code>(?P<shaped>{_SHAPED})|[0-9]{{5,6}}|[A-Z]{{1,2}}-[0-9]{{4}}"
    r"|(?<=, )[0-9]{4})(?![\w-]|[.,][0-9])"
)
_MAY_BE_ADDRESS = re.compile(
    r"(?:[0-9]{4}|[0-9]{3} [0-9]{2}|[0-9]{2}-[0-9]{3}|(?<=[A-Z])[0-9][0-9A-Z]{0,2} ?[0-9A-Z]{3})"
)
_TWO_NUMBERS = re.compile(r"[0-9][^0-9]+[0-9]")
_TOWN_AT_END = re.compile(rf"[,\n] ?{_TOWN}(?:,? |\n)\Z")
_TOWN_LAST, _TOWN_FIRST = (_NUMBER_LAST, _NUMBER_FIRST), (_NUMBER_FIRST, _TOWN_BEFORE)
_HOUSE_NUMBER = re.compile(r"(?<![0-9])[0-9]{1,4}(?![0-9])")
_STREET_AFTER = re.compile(
    rf",? (?P<street>{_STREET}){_HOUSE}\.?(?: ?[0-9]{{1,2}}/[0-9]{{1,2}}\.?)?(?:{_INSIDE}(?<=[0-9.]))?"
)


def find_addresses(text: str, _: tuple[str, ...]) -> Iterator[Span]:
    """Find postal addresses in a text: streets with a house number, a postcode and a town.

    The stretch before a postcode is read closely so often per text; where more look like addresses, it is taken whole.
    """
    if not (_MAY_BE_ADDRESS.search(text) and _TWO_NUMBERS.search(text)):
        return
    budget = _Budget()
    for found in _POSTCODE.finditer(text):
        start = _street_before(text, found, _TOWN_LAST, budget)
        if start is not None:
            yield Span(start, found.end(), ADDRESS)
        elif (after := _STREET_AFTER.match(text, found.end(), found.end() + _WITHIN)) and _HAS_WORD.search(
            after["street"]
        ):
            yield Span(found.start(), after.end(), ADDRESS)
    for found in _POSTCODE_LAST.finditer(text):
        start = _street_before(text, found, _TOWN_FIRST, budget)
        if start is not None:
            yield Span(start, found.end(), ADDRESS)
    for found in _BEHIND_TOWN.finditer(text):
        town = _TOWN_AT_END.search(text, max(0, found.start() - _WITHIN_TOWN), found.start())
        start = _street_before(text, found, _TOWN_LAST, budget, town.start()) if town else None
        if start is not None:
            yield Span(start, found.end(), ADDRESS)


class _Budget:
    """How often the stretches before a text's postcodes can still be looked at, and be read closely."""

    def __init__(self) -> None:
        self._looks, self._readings = count(1), count(1)

    def is_spent_by_look(self) -> bool:
        """Count a look at the stretch before a postcode; return whether there were too many in this text."""
        return next(self._looks) > _MAX_LOOKS

    def is_spent_by_reading(self) -> bool:
        """Count a close reading of a stretch before a postcode; return whether there were too many in this text."""
        return next(self._readings) > _MAX_READINGS


def _street_before(
    text: str, postcode: re.Match[str], layouts: tuple[re.Pattern[str], ...], budget: _Budget, town: int | None = None
) -> int | None:
    """Return where a postal address's street begins before its postcode or town, by the first layout that fits."""
    place = postcode.start() if town is None else town
    begin = max(0, place - _WITHIN)
    window = text[begin:place]
    if _HOUSE_NUMBER.search(window) is None:
        return None
    is_certain = _is_certain(window, postcode)
    if budget.is_spent_by_look():
        return begin
    if not is_certain and not _HAS_WORD.search(window):
        return None
    if budget.is_spent_by_reading():
        return begin
    for layout in layouts:
        street = layout.search(window)
        if street and (is_certain or _HAS_WORD.search(street["street"])):
            first = _BEGINS.search(window, street.start("street"))
            is_within = first is not None and first.start() < street.end("street")
            is_number_last = street.start() == street.start("street")
            return begin + (first.start() if first and is_within and is_number_last else street.start())
    return None


def _is_certain(window: str, postcode: re.Match[str]) -> bool:
    """Return whether a postcode is of a form, and in a place, that is seldom another number's than an address's."""
    groups = postcode.groupdict()
    if postcode.re is _BEHIND_TOWN:
        return groups["shaped"] is not None
    if groups.get("shaped") is None and groups.get("strong") is None:
        return False
    bare = window.rstrip()
    return bare.endswith(",") or (groups["shaped"] is not None and "\n" in window[len(bare) :])
