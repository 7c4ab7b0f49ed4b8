"""De-identify a text: replace each identifier that is found by a placeholder such as [EMAIL].

Detectors run in a fixed order, each on what the earlier ones left: URLs, e-mail addresses, handles, device and network
addresses, IBANs, national numbers with letters, birth dates, plates and documents by the words that announce them, the
numbers of digits, addresses, coordinates. Their modules say which, and how doubt is settled. A cheap gate stands before
each group of detectors, and one before all, because most texts hold no identifier.

They read a folded copy: invisible characters and combining marks left out, digits, letters, spaces and signs that look
alike (NFKC) in ASCII. So a zero-width joiner or a full-width @ hides nothing, while the text itself keeps every
character that is not replaced. What is found is over-written in the copy by brackets, as its placeholder will be.

Names of people are not looked for: a platform sends them as personal spans. A text that is built so that identifiers
keep appearing as others go is withheld, and so is one of more than 10,000 numbers: all of it becomes [WITHHELD].
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator

from db.deidentification.addresses import find_addresses
from db.deidentification.languages import countries_of
from db.deidentification.national_numbers import find_ibans, find_lettered
from db.deidentification.numbers import find_numbers
from db.deidentification.online import (
    DOT,
    find_bare_handles,
    find_emails,
    find_handles,
    find_ip_addresses,
    find_mac_addresses,
    find_urls,
)
from db.deidentification.personal_data import find_announced, find_coordinates
from db.deidentification.spans import Span, mask_spans, replace_spans, without_overlaps

PIPELINE_VERSION: int = 2
WITHHELD, PERSONAL = "[WITHHELD]", "[PERSONAL]"
_PERSONAL_KINDS = frozenset({"PERSON", "ADDRESS", "LOCATION", "ORGANISATION", "DATE", "PHONE", "EMAIL", "HANDLE"})
_ROUNDS = 8
_MAX_GROUPS = 10_000  # of digits in a text: each is looked at closely
_DIGITS = re.compile("[0-9]+")

Detector = Callable[[str, tuple[str, ...]], Iterator[Span]]
"""A function that finds the identifiers in a folded text, given the countries of the text's language."""


def _folding_table() -> dict[int, str | None]:
    """Map each character that imitates an ASCII one in a text to that one, and each invisible one to None."""
    folding: dict[int, str | None] = {}
    for code in (*range(0x80, 0x20000), *range(0xE0000, 0xE01F0)):
        character = chr(code)
        category = unicodedata.category(character)
        plain = unicodedata.normalize("NFKC", character)
        if category in {"Cf", "Mn", "Mc", "Me"} or character in "\u115f\u1160\u3164\uffa0":
            folding[code] = None
        elif category == "Nd":
            folding[code] = str(unicodedata.decimal(character))
        elif category == "Zs":
            folding[code] = " "
        elif category == "Pd" or character == "\u2212":
            folding[code] = "-"
        elif len(plain) == 1 and plain.isascii():
            folding[code] = plain
    return folding


def _character_class(codes: Iterable[int]) -> str:
    """Write characters of a text to de-identify as a class of a regular expression."""
    return "".join(re.escape(chr(code)) for code in codes if code < 0x10000)


_FOLDING = _folding_table()
_FOLDABLE = re.compile(f"[{_character_class(_FOLDING)}\U00010000-\U0001efff\U0001fb00-\U000fffff]")
_LOOKALIKES = _character_class(code for code, plain in _FOLDING.items() if plain and plain in "0123456789@/=([{<#.")
_MAY_IDENTIFY = re.compile(rf"[\d@/=(\[{{<#:{_LOOKALIKES}](?:(?<!:)|(?<=\w:)\S)")


_ASCII_DIGITS = "0123456789"


class DetectorStage:
    """Detectors that run only on texts with certain characters in certain surroundings; others match none."""

    def __init__(self, characters: str, surroundings: str, *detectors: Detector) -> None:
        self.characters, self.surroundings, self.detectors = characters, surroundings, detectors
        self.finds_hosts = "/" in characters
        self.needs_digits = characters == _ASCII_DIGITS
        self.gate = re.compile(f"[{re.escape(characters)}](?:{surroundings})")


_SEVEN_DIGITS = "(?<=[0-9])(?:[^0-9]{0,4}[0-9]){6}"
_CODICE_FISCALE = "(?:(?<=[A-Za-z]{3}[0-9])|(?<=[A-Za-z]{3}[ -][0-9]))[0-9L-Vl-v][A-Ta-t][0-9L-Vl-v]{2}"
_IBAN = "(?<=[A-Za-z]{2}[0-9])[0-9][ ]?[A-Za-z]{4}[ ]?[0-9A-Za-z]{4}"
DETECTOR_STAGES = (
    DetectorStage(":/=", r"(?<=[A-Za-z]:)\S|(?<=\w/)\S|(?<=//)\S|(?<==)", find_urls),
    DetectorStage(
        "@([{<",
        rf"(?<=@)[ \t]?[\w-]++(?i:{DOT})|(?<=[(\[{{<])(?![A-Z_]+\])[ \t]?[^\W\d_]|(?<=[(\[{{<])[ \t]?[@&]",
        find_emails,
    ),
    DetectorStage("@", "(?<=@)", find_handles),
    DetectorStage("/#:=", r"(?<=\bu/)|(?<=#)[0-9]{4}|(?<=did:)|(?<=[A-Za-z][:=])[ ]?[A-Za-z]", find_bare_handles),
    DetectorStage(
        ".:-",
        "(?<=:)[0-9A-Fa-f]{0,4}:|(?<=-)[0-9A-Fa-f]{2}-[0-9A-Fa-f]{2}-"
        r"|(?<=\.)(?:[0-9]{1,3}\.[0-9]{1,3}\.[0-9]|[0-9A-Fa-f]{4}\.)",
        find_mac_addresses,
        find_ip_addresses,
    ),
    DetectorStage(_ASCII_DIGITS, f"{_SEVEN_DIGITS}|{_CODICE_FISCALE}|{_IBAN}", find_ibans, find_lettered),
    DetectorStage(_ASCII_DIGITS, "(?<=[0-9])[^0-9]{0,14}[0-9]", find_coordinates, find_addresses, find_announced),
    DetectorStage(_ASCII_DIGITS, _SEVEN_DIGITS, find_numbers),
)
_ANY_GATE = DetectorStage(
    "".join(stage.characters for stage in DETECTOR_STAGES),
    "|".join(f"(?<=[{re.escape(stage.characters)}])(?:{stage.surroundings})" for stage in DETECTOR_STAGES),
).gate


def deidentify(text: str, personal: Iterable[Span] = (), language: str | None = None) -> str:
    """Replace every identifier in a text by its placeholder; return the very same object when there is none.

    `personal` are spans that the platform found in the text. They are replaced too; what overlaps is replaced as one.
    `language` is the BCP 47 tag of the text: national phone numbers are those of its countries.

    Pure, never raises, idempotent, and linear in the length of the text. A replacement may lay bare what stood against
    it, so this repeats until nothing is found: twice, as a rule. A text made to need many rounds is withheld whole.
    """
    countries = countries_of(language)
    found = find_identifiers(text, countries)
    if personal:
        found = _joined([*personal, *found])
    if not found:
        return text
    for _ in range(_ROUNDS - 1):
        text = replace_spans(text, found)
        found = find_identifiers(text, countries)
        if not found:
            return text
    return WITHHELD


def personal_placeholder(kind: str) -> str:
    """Return the placeholder of a span of personal data that a recogniser of the platform names."""
    return f"[{kind}]" if kind in _PERSONAL_KINDS else PERSONAL


def _joined(spans: list[Span]) -> list[Span]:
    """Join a text's spans to replace that overlap, under the identifier's placeholder or that of the first."""
    joined: list[Span] = []
    for span in sorted(span for span in spans if span.start < span.end):
        if not joined or span.start >= joined[-1].end:
            joined.append(span)
            continue
        start, end, placeholder = joined[-1]
        is_personal = placeholder == PERSONAL or placeholder[1:-1] in _PERSONAL_KINDS
        joined[-1] = Span(start, max(end, span.end), span.placeholder if is_personal else placeholder)
    return joined


def find_identifiers(text: str, countries: tuple[str, ...] = ()) -> list[Span]:
    """Find a text's identifiers to replace, in order, with national phone numbers of some countries."""
    folded = text
    places: list[int] = []
    if not text.isascii():
        if not _MAY_IDENTIFY.search(text) and not _has_host(text):
            return []
        folded, places = _fold_text(text)
    if not _ANY_GATE.search(folded) and not _has_host(folded):
        return []
    if len(folded) > _MAX_GROUPS and len(_DIGITS.findall(folded)) > _MAX_GROUPS:
        return [Span(0, len(text), WITHHELD)]
    spans = _run_detectors(folded, countries)
    return [Span(places[start], places[end], placeholder) for start, end, placeholder in spans] if places else spans


def _has_host(text: str) -> bool:
    """Return whether a text has a host without a scheme, which the quick checks for identifiers miss."""
    return "www." in text or "WWW." in text or ".bsky." in text


def _run_detectors(folded: str, countries: tuple[str, ...]) -> list[Span]:
    """Run the detectors of identifiers over a text, and sort the results. Earlier results are masked for later
    detectors."""
    found: list[Span] = []
    has_digits = _DIGITS.search(folded) is not None
    for stage in DETECTOR_STAGES:
        if stage.needs_digits and not has_digits:
            continue
        if stage.gate.search(folded) or (stage.finds_hosts and _has_host(folded)):
            for detector in stage.detectors:
                if spans := without_overlaps(detector(folded, countries)):
                    folded = mask_spans(folded, spans)
                    found += spans
    return sorted(found)


def _fold_text(text: str) -> tuple[str, list[int]]:
    """Replace characters of a text that imitate ASCII before the search; return the original place of each
    character."""
    if not _FOLDABLE.search(text):
        return text, []
    folded = text.translate(_FOLDING)
    if len(folded) == len(text):
        return folded, []
    places = [place for place, character in enumerate(text) if _FOLDING.get(ord(character), "") is not None]
    return folded, [*places, len(text)]


def _unseen_characters() -> str:
    """Return the characters of a text that Unicode shows nothing for, as a class of a regular expression.

    White_Space is within these categories. Default_Ignorable_Code_Point (DerivedCoreProperties of Unicode 16) is mostly
    within Cf; Python does not have it, so the others stand here. U+2800 is the blank of Braille.
    """
    categories = {"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"}
    codes = [code for code in range(0x20000) if unicodedata.category(chr(code)) in categories]
    ignorable = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    return "".join(re.escape(chr(code)) for code in codes) + ignorable + "\U000e0000-\U000e0fff\u2800"


_SEEN = re.compile(f"[^{_unseen_characters()}]")


def is_blank(text: str) -> bool:
    """Return whether nothing of a text can be seen: white space and invisible characters only."""
    return _SEEN.search(text) is None
