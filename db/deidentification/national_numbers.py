"""IBANs and national identifiers of the EEA: their formats and check digits (python-stdnum names the sources).

Every finder takes a text with ASCII digits, and is linear in its length.

Choices
- Danish numbers issued since 2007 and Bulgarian ones for foreigners prove little on their own: written without a
  separator, they come after the phones.
- Of the tax numbers only those stand here that every person has (AT, CY, DE, ES, FR, GR, HU, PT). Portuguese ones of
  companies, and VAT numbers, are left alone.
- An Italian codice fiscale may have letters for digits (omocodia), but not for the first one.
- Malta's number has no check digit: seven digits and one of its eight capital letters, written together, are enough.
- A number without a date whose one check digit a tenth of all numbers has is weak (`NumberFormat.is_weak`).
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property, partial

from stdnum import iban, imei, luhn, numdb, verhoeff
from stdnum.at import tin, vnr
from stdnum.be import eid, ssn
from stdnum.bg import egn, pnf
from stdnum.cy import vat as cy_tic
from stdnum.cz import rc
from stdnum.de import idnr
from stdnum.dk import cpr
from stdnum.es import nif as es_nif
from stdnum.fi import hetu
from stdnum.fr import nif as fr_nif
from stdnum.fr import nir
from stdnum.gr import amka
from stdnum.gr import vat as gr_afm
from stdnum.hr import oib
from stdnum.ie import pps
from stdnum.is_ import kennitala
from stdnum.it import codicefiscale
from stdnum.lt import asmens
from stdnum.lv import pvn
from stdnum.nl import bsn
from stdnum.no import fodselsnummer
from stdnum.pl import nip, pesel
from stdnum.pt import cc
from stdnum.pt import nif as pt_nif
from stdnum.ro import cnp
from stdnum.si import emso

from db.deidentification.spans import Span

CARD, DEVICE, IBAN, NATIONAL_ID, PHONE = "[CARD]", "[DEVICE]", "[IBAN]", "[NATIONAL_ID]", "[PHONE]"


@dataclass(frozen=True)
class NumberFormat:
    """A kind of number: the ways to group its digits, the pattern of its bare digits, and their check."""

    placeholder: str
    name: str
    groupings: str
    pattern: str
    is_valid: Callable[[str], bool] = bool
    is_weak: bool = False

    @cached_property
    def countries(self) -> frozenset[str]:
        """Return whose national identity number it is, from its name: "hr.oib de.idnr" are HR and DE."""
        return frozenset(part.partition(".")[0].upper() for part in self.name.split() if "." in part)


@dataclass(frozen=True)
class LetteredFormat:
    """A national number that has letters: its pattern, separators included, and its check."""

    name: str
    pattern: str
    is_valid: Callable[[str], bool] = bool


def _weighted_sum(digits: str, weights: Iterable[int]) -> int:
    """Sum the weighted digits of a national identity number, for its check digit."""
    return sum(weight * int(digit) for weight, digit in zip(weights, digits, strict=False))


def _is_hungarian_person(digits: str) -> bool:
    """Verify a Hungarian személyi azonosító: weights rise for births until 1996 and fall for others."""
    return int(digits[10]) in (_weighted_sum(digits, range(1, 11)) % 11, _weighted_sum(digits, range(10, 0, -1)) % 11)


def _is_hungarian_taxpayer(digits: str) -> bool:
    """Verify the check digit of a Hungarian tax number."""
    return int(digits[9]) == _weighted_sum(digits, range(1, 10)) % 11


def _is_hungarian_insured(digits: str) -> bool:
    """Verify the check digit of a TAJ, the Hungarian number of social insurance."""
    return int(digits[8]) == _weighted_sum(digits, (3, 7, 3, 7, 3, 7, 3, 7)) % 10


def _is_spanish_insured(digits: str) -> bool:
    """Verify a Spanish NASS: the remainder by 97 of province and serial, without the serial's leading zero."""
    serial = digits[2:10].removeprefix("0") if digits[2] == "0" else digits[2:10]
    return int(digits[:2] + serial) % 97 == int(digits[10:])


def _is_luxembourgish_person(digits: str) -> bool:
    """Verify a Luxembourgish matricule: a Luhn digit, then a Verhoeff digit, over the first eleven."""
    return luhn.is_valid(digits[:12]) and verhoeff.is_valid(digits[:11] + digits[12])


def _without_separators(check: Callable[[str], bool]) -> Callable[[str], bool]:
    """Make the check of a national identity number ignore its separators."""
    return lambda number: check(number.translate(_SEPARATORS))


_SEPARATORS = str.maketrans("", "", " .-/")
_DD, _MM, _YY = "(?:0[1-9]|[12][0-9]|3[01])", "(?:0[1-9]|1[0-2])", "[0-9]{2}"
_national = partial(NumberFormat, NATIONAL_ID)
_weak = partial(_national, is_weak=True)
_MASTERCARD_2 = "2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)[0-9]{12}"
_AMEX_DINERS_JCB = "3[47][0-9]{13}|3(?:0[0-59]|[689][0-9])[0-9]{11}|35(?:2[89]|[3-8][0-9])[0-9]{12}"
_MAESTRO_DISCOVER_UNIONPAY = "(?:50|5[6-9]|6[0-9])[0-9]{14,17}"

NUMBERS = (
    _national("fr.nir", "15 13-2 1-2-2-2-3-3-2", "[1-478][0-9]{14}", nir.is_valid),
    NumberFormat(
        CARD,
        "card",
        "14 4-6-4 15 4-6-5 16 4-4-4-4 17 4-4-4-4-1 18 4-4-4-4-2 19 4-4-4-4-3",
        f"4[0-9]{{15}}(?:[0-9]{{3}})?|5[1-5][0-9]{{14}}|{_MASTERCARD_2}|{_AMEX_DINERS_JCB}|{_MAESTRO_DISCOVER_UNIONPAY}",
        luhn.is_valid,
    ),
    _weak("at.tin", "2-3-4", "[0-9]{9}", tin.is_valid),
    _national("at.vnr", "10 4-6 4-2-2-2", rf"[1-9][0-9]{{3}}{_DD}(?:0[1-9]|1[0-5]){_YY}", vnr.is_valid),
    _national("be.eid", "12 3-7-2", "[0-9]{12}", eid.is_valid),
    _national("be.ssn", "11 2-2-2-3-2 6-3-2 6-5", f"{_YY}(?:[024][0-9]|[135][0-2])[0-9]{{7}}", ssn.is_valid),
    _national("bg.egn", "10 6-4", f"{_YY}(?:[024][1-9]|[135][0-2]){_DD}[0-9]{{4}}", egn.is_valid),
    _national("cz.rc sk.rc", "10 6-4 6-3", f"{_YY}(?:[0257][1-9]|[1368][0-2]){_DD}[0-9]{{3,4}}", rc.is_valid),
    _weak("de.idnr", "2-3-3-3", "[1-9][0-9]{10}", idnr.is_valid),
    _national("dk.cpr", "6-4", f"{_DD}{_MM}[0-9]{{6}}", cpr.is_valid),
    _national("ee.ik lt.asmens", "11", f"[1-8]{_YY}{_MM}{_DD}[0-9]{{4}}|9[0-9]{{10}}", asmens.is_valid),
    _national("es.nass", "2-8-2 2-10", "(?:0[1-9]|[1-4][0-9]|5[0-3]|66)[0-9]{10}", _is_spanish_insured),
    _national("fr.nif", "13 2-2-3-3-3", "[0-3][0-9]{12}", fr_nif.is_valid),
    _weak("gr.afm", "9 3-3-3", "[0-9]{9}", gr_afm.is_valid),
    _national("gr.amka", "11 6-5", f"{_DD}{_MM}[0-9]{{7}}", amka.is_valid),
    _weak("hr.oib de.idnr", "11", "[0-9]{11}", oib.is_valid),  # the German check is the same and asks for more
    _national("hu.person", "11 1-6-4", f"[1-8]{_YY}{_MM}{_DD}[0-9]{{4}}", _is_hungarian_person),
    _weak("hu.taj", "9 3-3-3", "[0-9]{9}", _is_hungarian_insured),
    _weak("hu.tax", "10", "8[0-9]{9}", _is_hungarian_taxpayer),
    _national("is.kennitala", "10 6-4", f"{_DD}{_MM}{_YY}[0-9]{{3}}[09]", kennitala.is_valid),
    _national("lu.matricule", "13 8-5 4-2-2-5", f"(?:18|19|20){_YY}{_MM}{_DD}[0-9]{{5}}", _is_luxembourgish_person),
    _national("lv.pk", "11 6-5", f"32[0-9]{{9}}|{_DD}{_MM}{_YY}[0-2][0-9]{{4}}", pvn.is_valid),
    _weak("nl.bsn", "9 4-2-3 3-3-3", "[0-9]{9}", bsn.is_valid),
    _national("no.fodselsnummer", "11 6-5", "[0-7][0-9][0145][0-9]{8}", fodselsnummer.is_valid),
    _weak("nip", "10 3-3-2-2 3-2-2-3", "[1-9][0-9]{9}", nip.is_valid),  # after its name only
    _national("pl.pesel", "11 6-5", f"{_YY}[0-9]{{2}}{_DD}[0-9]{{5}}", pesel.is_valid),
    _weak("pt.nif", "9 3-3-3", "(?:[1-3]|45)[0-9]+", pt_nif.is_valid),
    _national("ro.cnp", "13 1-6-6", f"[1-9]{_YY}{_MM}{_DD}[0-9]{{6}}", cnp.is_valid),
    _national(
        "se.personnummer",
        "10 6-4 12 8-4",
        f"(?:18|19|20)?{_YY}{_MM}(?:[06][1-9]|[1278][0-9]|[39][01])[0-9]{{4}}",
        lambda digits: luhn.is_valid(digits[-10:]),
    ),
    _national("si.emso", "13", f"{_DD}{_MM}[09][0-9]{{8}}", emso.is_valid),
    NumberFormat(DEVICE, "imei", "15 2-6-6-1 8-6-1", "[0-9]{15}", imei.is_valid),
)

LATE_NUMBERS = (
    _weak("dk.cpr without check digit", "10", f"{_DD}{_MM}[0-9]{{6}}", cpr.is_valid),
    _weak("bg.pnf", "10", "[0-9]{10}", pnf.is_valid),
)

_CORSICAN = "[1-478](?:[ ./-]?[0-9]{2}){2}[ ./-]?2[AB](?:[ ./-]?[0-9]{3}){2}[ ./-]?[0-9]{2}"
LETTERED_FORMATS = (
    LetteredFormat("cy.tic", "[0-9]{8}[ -]?[A-Z]", cy_tic.is_valid),
    LetteredFormat(
        "es.nif",
        r"(?:[0-9]{8}|[0-9]{1,2}[. ][0-9]{3}[. ][0-9]{3}|[KLMXYZ][ -]?[0-9]{7})[ -]?[A-Z]",
        _without_separators(lambda number: es_nif.is_valid(number.zfill(9))),
    ),
    LetteredFormat("fi.hetu", "[0-9]{6}[-+A-FU-Y][0-9]{3}[0-9A-Y]", partial(hetu.is_valid, allow_temporary=True)),
    LetteredFormat("fr.nir", _CORSICAN, _without_separators(nir.is_valid)),
    LetteredFormat("ie.pps", "[0-9]{7}[ -]?[A-W][ABHTWX]?", pps.is_valid),
    LetteredFormat(
        "it.codicefiscale",
        "[A-Z]{3}[ -]?[A-Z]{3}[ -]?[0-9L-V]{2}[A-EHLMPRST][0-9L-V]{2}[ -]?[A-Z][0-9L-V]{3}[ -]?[A-Z]",
        codicefiscale.is_valid,
    ),
    LetteredFormat("mt.id", "[0-9]{7}(?-i:[ABGHLMPZ])"),
    LetteredFormat("pt.cc", "[0-9]{8}[ -]?[0-9][ -]?[A-Z][0-9A-Z][0-9]", _without_separators(cc.is_valid)),
)


def _as_whole_token(pattern: str) -> re.Pattern[str]:
    """Compile the pattern of a national identity number, which stands in a text as a whole word."""
    return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", re.IGNORECASE)


_LETTERED = [(_as_whole_token(kind.pattern), kind.is_valid) for kind in LETTERED_FORMATS]
_ANY_LETTERED = _as_whole_token("|".join(kind.pattern for kind in LETTERED_FORMATS))


def find_lettered(text: str, _: tuple[str, ...]) -> Iterator[Span]:
    """Find national identity numbers with letters in a text; a small letter behind a space is the next word."""
    if not _ANY_LETTERED.search(text):
        return
    for pattern, is_valid in _LETTERED:
        for match in pattern.finditer(text):
            is_next_word = match[0][-2:-1] == " " and match[0][-1].islower()
            if not is_next_word and is_valid(match[0].upper()):
                yield Span(match.start(), match.end(), NATIONAL_ID)


_IBAN_HEAD = re.compile("[A-Za-z]{2}[0-9]{2}")
_IBAN_CHARACTERS = {"n": "[0-9]", "a": "[A-Za-z]", "c": "[0-9A-Za-z]"}


@cache
def _iban_body(country: str) -> re.Pattern[str] | None:
    """Compile what follows the check digits of a country's IBAN (ISO 13616); None where it has no IBAN."""
    structure = numdb.get("iban").info(country)[0][1].get("bban", "")
    parts = re.findall("([0-9]+)!([nac])", structure)
    body = "".join(f"(?:[ .-]?{_IBAN_CHARACTERS[kind]}){{{length}}}" for length, kind in parts)
    return re.compile(body) if body else None


def find_ibans(text: str, _: tuple[str, ...]) -> Iterator[Span]:
    """Find IBANs in a text, in either case, with or without separators (ISO 13616, ISO 7064 MOD 97-10)."""
    for head in _IBAN_HEAD.finditer(text):
        body = _iban_body(head[0][:2].upper())
        match = body.match(text, head.end()) if body else None
        if match and iban.is_valid(head[0] + match[0], check_country=False):
            yield Span(head.start(), match.end(), IBAN)
