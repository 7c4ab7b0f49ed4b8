"""The numbers that identify people in the EEA: how each is written, and what tells it from any other number.

A number is found by how its digits are grouped ("6-4": six digits, a separator, four digits), then by the pattern of
its digits, and last by its check digits (python-stdnum, which names the source of each), so that the costly test is
rarely reached. Every finder takes a text with ASCII digits, and is linear in its length.

Choices
- The check digit decides: card and national number come before phone, whatever the grouping.
- Danish numbers issued since 2007 and Bulgarian ones for foreigners prove little on their own: written without a
  separator, they come after the phones.
- Of the tax numbers only those stand here that every person has (AT, CY, DE, ES, FR, GR, HU, PT). Portuguese ones of
  companies, and VAT numbers, are left alone.
- An Italian codice fiscale may have letters for digits (omocodia), but not for the first one.
- Malta's number has no check digit: seven digits and one of its eight capital letters, written together, are enough.
- A number beside a currency, with decimals, behind a decimal point, or in thousands that end in 000 is an amount and
  stays; so do dates and opening hours. Only a card, or a phone that begins with + or 0, is taken all the same.
- Nine digits that pass one of the four weak checks are taken; what fits nothing (order numbers, years) stays.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import NamedTuple

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
from stdnum.pl import pesel
from stdnum.pt import cc
from stdnum.pt import nif as pt_nif
from stdnum.ro import cnp
from stdnum.si import emso

CARD, DEVICE, IBAN, NATIONAL_ID, PHONE = "[CARD]", "[DEVICE]", "[IBAN]", "[NATIONAL_ID]", "[PHONE]"


class Span(NamedTuple):
    """Say that text[start:end] identifies someone, and which placeholder stands for it."""

    start: int
    end: int
    placeholder: str


@dataclass(frozen=True)
class Number:
    """Describe a number of digits: the ways to group it, the pattern of its bare digits, the check of those."""

    placeholder: str
    name: str
    groupings: str
    pattern: str
    is_valid: Callable[[str], bool] = bool


@dataclass(frozen=True)
class Lettered:
    """Describe a national number that has letters: its pattern, separators included, and its check."""

    name: str
    pattern: str
    is_valid: Callable[[str], bool] = bool


def _weighted(digits: str, weights: Iterable[int]) -> int:
    return sum(weight * int(digit) for weight, digit in zip(weights, digits, strict=False))


def _is_hungarian_person(digits: str) -> bool:
    """Verify a személyi azonosító: the weights rise for those born until 1996 and fall for the others."""
    return int(digits[10]) in (_weighted(digits, range(1, 11)) % 11, _weighted(digits, range(10, 0, -1)) % 11)


def _is_hungarian_taxpayer(digits: str) -> bool:
    return int(digits[9]) == _weighted(digits, range(1, 10)) % 11


def _is_hungarian_insured(digits: str) -> bool:
    """Verify a TAJ."""
    return int(digits[8]) == _weighted(digits, (3, 7, 3, 7, 3, 7, 3, 7)) % 10


def _is_luxembourgish_person(digits: str) -> bool:
    """Verify a matricule: a Luhn digit, then a Verhoeff digit, both over the first eleven."""
    return luhn.is_valid(digits[:12]) and verhoeff.is_valid(digits[:11] + digits[12])


def _without_separators(check: Callable[[str], bool]) -> Callable[[str], bool]:
    return lambda number: check(number.translate(_SEPARATORS))


_SEPARATORS = str.maketrans("", "", " .-")
_DD, _MM, _YY = "(?:0[1-9]|[12][0-9]|3[01])", "(?:0[1-9]|1[0-2])", "[0-9]{2}"
_national, _phone = partial(Number, NATIONAL_ID), partial(Number, PHONE)
_MASTERCARD_2 = "2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)[0-9]{12}"
_AMEX_DINERS_JCB = "3[47][0-9]{13}|3(?:0[0-59]|[689][0-9])[0-9]{11}|35(?:2[89]|[3-8][0-9])[0-9]{12}"
_MAESTRO_DISCOVER_UNIONPAY = "(?:50|5[6-9]|6[0-9])[0-9]{14,17}"

NUMBERS = (
    _national("fr.nir", "15 13-2 1-2-2-2-3-3-2", "[1-478][0-9]{14}", nir.is_valid),
    Number(
        CARD,
        "card",
        "14 4-6-4 15 4-6-5 16 4-4-4-4 17 4-4-4-4-1 18 4-4-4-4-2 19 4-4-4-4-3",
        f"4[0-9]{{15}}(?:[0-9]{{3}})?|5[1-5][0-9]{{14}}|{_MASTERCARD_2}|{_AMEX_DINERS_JCB}|{_MAESTRO_DISCOVER_UNIONPAY}",
        luhn.is_valid,
    ),
    _national("at.tin", "2-3-4", "[0-9]{9}", tin.is_valid),
    _national("at.vnr", "10 4-6 4-2-2-2", rf"[1-9][0-9]{{3}}{_DD}(?:0[1-9]|1[0-5]){_YY}", vnr.is_valid),
    _national("be.eid", "12 3-7-2", "[0-9]{12}", eid.is_valid),
    _national("be.ssn", "11 2-2-2-3-2 6-3-2 6-5", f"{_YY}(?:[024][0-9]|[135][0-2])[0-9]{{7}}", ssn.is_valid),
    _national("bg.egn", "10 6-4", f"{_YY}(?:[024][1-9]|[135][0-2]){_DD}[0-9]{{4}}", egn.is_valid),
    _national("cz.rc sk.rc", "10 6-4 6-3", f"{_YY}(?:[0257][1-9]|[1368][0-2]){_DD}[0-9]{{3,4}}", rc.is_valid),
    _national("de.idnr", "2-3-3-3", "[1-9][0-9]{10}", idnr.is_valid),
    _national("dk.cpr", "6-4", f"{_DD}{_MM}[0-9]{{6}}", cpr.is_valid),
    _national("ee.ik lt.asmens", "11", f"[1-8]{_YY}{_MM}{_DD}[0-9]{{4}}|9[0-9]{{10}}", asmens.is_valid),
    _national("fr.nif", "13 2-2-3-3-3", "[0-3][0-9]{12}", fr_nif.is_valid),
    _national("gr.afm", "9 3-3-3", "[0-9]{9}", gr_afm.is_valid),
    _national("gr.amka", "11 6-5", f"{_DD}{_MM}[0-9]{{7}}", amka.is_valid),
    _national("hr.oib de.idnr", "11", "[0-9]{11}", oib.is_valid),  # the German check is the same and asks for more
    _national("hu.person", "11 1-6-4", f"[1-8]{_YY}{_MM}{_DD}[0-9]{{4}}", _is_hungarian_person),
    _national("hu.taj", "9 3-3-3", "[0-9]{9}", _is_hungarian_insured),
    _national("hu.tax", "10", "8[0-9]{9}", _is_hungarian_taxpayer),
    _national("is.kennitala", "10 6-4", f"{_DD}{_MM}{_YY}[0-9]{{3}}[09]", kennitala.is_valid),
    _national("lu.matricule", "13 8-5 4-2-2-5", f"(?:18|19|20){_YY}{_MM}{_DD}[0-9]{{5}}", _is_luxembourgish_person),
    _national("lv.pk", "11 6-5", f"32[0-9]{{9}}|{_DD}{_MM}{_YY}[0-2][0-9]{{4}}", pvn.is_valid),
    _national("nl.bsn", "9 4-2-3 3-3-3", "[0-9]{9}", bsn.is_valid),
    _national("no.fodselsnummer", "11 6-5", "[0-7][0-9][0145][0-9]{8}", fodselsnummer.is_valid),
    _national("pl.pesel", "11 6-5", f"{_YY}[0-9]{{2}}{_DD}[0-9]{{5}}", pesel.is_valid),
    _national("pt.nif", "9 3-3-3", "(?:[1-3]|45)[0-9]+", pt_nif.is_valid),
    _national("ro.cnp", "13 1-6-6", f"[1-9]{_YY}{_MM}{_DD}[0-9]{{6}}", cnp.is_valid),
    _national(
        "se.personnummer",
        "10 6-4 12 8-4",
        f"(?:18|19|20)?{_YY}{_MM}(?:[06][1-9]|[1278][0-9]|[39][01])[0-9]{{4}}",
        lambda digits: luhn.is_valid(digits[-10:]),
    ),
    _national("si.emso", "13", f"{_DD}{_MM}[09][0-9]{{8}}", emso.is_valid),
    Number(DEVICE, "imei", "15 2-6-6-1 8-6-1", "[0-9]{15}", imei.is_valid),
)

PHONES = (
    _phone("mobile of ES PT PL CZ", "9", "[67][0-9]{8}|9[1236][0-9]{7}|(?:5[0137]|88|45)[0-9]{7}"),
    _phone("mobile of IT GR", "10", "3[2-9][0-9]{8}|69[0-9]{8}"),
    _phone("nine digits", "3-3-3 2-3-2-2 3-2-2-2 2-3-4 2-7", "[1-9][0-9]{8}"),
    _phone("ten digits", "3-7 3-3-4 3-3-2-2", "[2-9][0-9]{9}"),
    _phone("eight digits", "2-2-2-2 3-2-3 2-6 4-4", "(?!(?:20[0-9]{2}){2})[2-9][0-9]{7}"),
    _phone("LV", "2-3-3", "2[0-9]{7}"),
    _phone("LT", "1-3-5 1-3-2-3", "8[3-7][0-9]{7}"),
    _phone("IS", "3-4", "[4-8][0-9]{2}(?!19|20)[0-9]{4}"),
    _national("dk.cpr without check digit", "10", f"{_DD}{_MM}[0-9]{{6}}", cpr.is_valid),
    _national("bg.pnf", "10", "[0-9]{10}", pnf.is_valid),
)

LETTERED = (
    Lettered("cy.tic", "[0-9]{8}[ -]?[A-Z]", cy_tic.is_valid),
    Lettered(
        "es.nif",
        r"(?:[0-9]{8}|[0-9]{1,2}[. ][0-9]{3}[. ][0-9]{3}|[KLMXYZ][ -]?[0-9]{7})[ -]?[A-Z]",
        _without_separators(lambda number: es_nif.is_valid(number.zfill(9))),
    ),
    Lettered("fi.hetu", "[0-9]{6}[-+A-FU-Y][0-9]{3}[0-9A-Y]", partial(hetu.is_valid, allow_temporary=True)),
    Lettered("fr.nir", "[1-478] ?[0-9]{2} ?[0-9]{2} ?2[AB] ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}", nir.is_valid),
    Lettered("ie.pps", "[0-9]{7}[ -]?[A-W][ABHTWX]?", pps.is_valid),
    Lettered(
        "it.codicefiscale",
        "[A-Z]{3}[ -]?[A-Z]{3}[ -]?[0-9L-V]{2}[A-EHLMPRST][0-9L-V]{2}[ -]?[A-Z][0-9L-V]{3}[ -]?[A-Z]",
        codicefiscale.is_valid,
    ),
    Lettered("mt.id", "[0-9]{7}(?-i:[ABGHLMPZ])"),
    Lettered("pt.cc", "[0-9]{8}[ -]?[0-9][ -]?[A-Z][0-9A-Z][0-9]", _without_separators(cc.is_valid)),
)

_Grouping = tuple[int, ...]
_Index = dict[_Grouping, list[tuple[_Grouping, re.Pattern[str], Number]]]


def index(numbers: Iterable[Number]) -> _Index:
    """Sort groupings under their first two lengths, in the order given, each with its compiled pattern."""
    entries: _Index = defaultdict(list)
    for number in numbers:
        pattern = re.compile(number.pattern)
        for written in number.groupings.split():
            grouping = tuple(map(int, written.split("-")))
            entries[grouping[:2]].append((grouping, pattern, number))
    return dict(entries)


_NUMBERS, _PHONES = index(NUMBERS), index(PHONES)
_BEGINNINGS = {*_NUMBERS, *_PHONES}
_BLOCK = re.compile(r"[0-9](?:(?:[ ()/\-]{1,4}|\.)?[0-9]){6,}")
_DIGITS = re.compile("[0-9]+")
_DATE = re.compile(
    r"[0-3]?[0-9]([./-])[0-3]?[0-9]\1(?:(?:19|20)[0-9]{2}|[0-9]{2})(?![0-9]|\1[0-9])"
    r"|[0-3]?[0-9] [01]?[0-9] (?:19|20)[0-9]{2}(?![0-9])"
    r"|(?:19|20)[0-9]{2}([./-])[01]?[0-9]\2[0-3]?[0-9](?![0-9])"
    r"|(?:0?[1-9]|1[0-2])[./-](?:19|20)[0-9]{2}(?! ?[0-9])"
)
_CURRENCY = "(?:[€$£¥%]|(?:EUR|USD|GBP|CHF|PLN|CZK|HUF|SEK|NOK|DKK|RON|BGN|[Ee]uros?|Kč|zł|Ft|kr|lei)(?![A-Za-z]))"
_AMOUNT_BEFORE = re.compile(rf"(?<!\S){_CURRENCY} ?$|(?:^|[^0-9 ./-])[0-9]{{1,3}}\.$")
_AMOUNT_AFTER = re.compile(rf" ?{_CURRENCY}|[.,][0-9]{{1,2}}(?![0-9A-Za-z:]|(?:[ ()/-]{{1,4}}|\.)[0-9])")
_AMOUNT = re.compile(r"[0-9]{1,3}([ .])(?:[0-9]{3}\1)*000|[0-9]{1,2}\.[0-9]{5,}")
_SEPARATED = re.compile("[^0-9]+")
_PLUS = re.compile(r"\+[ (]{0,2}$")


class _Block:
    """Hold a run of digits and separators as its groups of digits."""

    def __init__(self, text: str, start: int, end: int) -> None:
        self.text = text
        self.groups = _DIGITS.findall(text, start, end)
        self.spans = [group.span() for group in _DIGITS.finditer(text, start, end)]
        self.lengths = tuple(map(len, self.groups))
        self.has_plus = _PLUS.search(text, max(0, start - 4), start) is not None

    def is_dull(self, at: int) -> bool:
        """Tell quickly that nothing begins here."""
        lengths = self.lengths
        if at == 0 or self.groups[at][0] == "0":
            return False
        return lengths[at : at + 2] not in _BEGINNINGS and lengths[at : at + 1] not in _BEGINNINGS

    def begins_with_plus(self, at: int) -> bool:
        return at == 0 and self.has_plus

    def digits(self, at: int, count: int) -> str:
        return "".join(self.groups[at : at + count])

    def ends(self, at: int, count: int) -> tuple[int, int]:
        return self.spans[at][0], self.spans[at + count - 1][1]

    def written(self, at: int, count: int) -> str:
        start, end = self.ends(at, count)
        return self.text[start:end]

    def span(self, at: int, count: int, placeholder: str) -> Span:
        """Include the plus sign, and the bracket that opens an area code."""
        start, end = self.ends(at, count)
        if self.begins_with_plus(at):
            start = self.text.rindex("+", 0, start)
        if self.text[start - 1 : start] == "(" and ")" in self.text[start:end]:
            start -= 1
        return Span(start, end, placeholder)


def find_numbers(text: str) -> Iterator[Span]:
    """Find cards, national numbers, IMEIs and phones among the digits, the longest way to write one first."""
    for run in _BLOCK.finditer(text):
        block, at = _Block(text, *run.span()), 0
        while at < len(block.groups):
            count, placeholder = (1, "") if block.is_dull(at) else _read(block, at)
            if placeholder:
                yield block.span(at, count, placeholder)
            at += count


def _read(block: _Block, at: int) -> tuple[int, str]:
    """Tell how many groups the number that begins here has, and its placeholder: empty when it stays."""
    if count := _international(block, at):
        return count, PHONE
    if fitting := _fitting(_NUMBERS, block, at):
        return fitting
    if date := _DATE.match(block.text, block.spans[at][0]):
        return sum(start < date.end() for start, _ in block.spans[at : at + 3]), ""
    if count := _trunk(block, at):
        return count, PHONE
    return _fitting(_PHONES, block, at) or (1, "")


def _fitting(numbers: _Index, block: _Block, at: int) -> tuple[int, str] | None:
    lengths = block.lengths
    for grouping, pattern, number in (*numbers.get(lengths[at : at + 2], ()), *numbers.get(lengths[at : at + 1], ())):
        count = len(grouping)
        if lengths[at : at + count] != grouping:
            continue
        digits = block.digits(at, count)
        if not pattern.fullmatch(digits) or not number.is_valid(digits):
            continue
        if number.placeholder == CARD or not (_is_amount(block, at, count) or _is_list(block, at, number, grouping)):
            return count, number.placeholder
    return None


def _is_amount(block: _Block, at: int, count: int) -> bool:
    start, end = block.ends(at, count)
    if _AMOUNT_BEFORE.search(block.text, max(0, start - 8), start) or _AMOUNT_AFTER.match(block.text, end):
        return True
    return _AMOUNT.fullmatch(block.written(at, count)) is not None


def _is_list(block: _Block, at: int, number: Number, grouping: _Grouping) -> bool:
    """Tell from its separators a list of numbers, which can look like a phone (after the area code) or three threes."""
    separators = _SEPARATED.findall(block.written(at, len(grouping)))
    if number.placeholder == PHONE:
        separators = separators[1:]
    elif grouping != (3, 3, 3):
        return False
    return len(set(separators)) > 1 or "/" in separators


def _international(block: _Block, at: int) -> int:
    """Count the groups of a phone number that begins with + or 00 (E.164: 15 digits at most, and a "(0)")."""
    if block.begins_with_plus(at) and block.groups[0][0] != "0":
        return _reach(block, at, 8, 16)
    if block.groups[at].startswith("00") and block.digits(at, 2)[2:3] not in ("", "0"):
        return _reach(block, at, 10, 18)
    return 0


def _trunk(block: _Block, at: int) -> int:
    """Count the groups of a phone number that begins with the trunk prefix 0 or (0), however they are cut."""
    end = block.spans[at][1]
    first = block.digits(at, 2) if block.text[end : end + 1] == ")" else block.groups[at]
    if first[0] != "0" or first[1:2] in ("", "0"):
        return 0
    for count in range(_reach(block, at, 8, 12), 0, -1):
        lengths = block.lengths[at : at + count]
        if sum(lengths) < (8 if count > 1 else 9):
            break
        if max(lengths) > 2 or lengths == (2, 2, 2, 2, 2):
            return count
    return 0


def _reach(block: _Block, at: int, shortest: int, longest: int) -> int:
    """Count the groups that fit in that many digits, up to the next number with a 0 in front, or opening hours."""
    total = count = 0
    for group in block.groups[at : at + longest]:
        is_next = group[0] == "0" and total >= max(9, shortest) and sum(block.lengths[at + count : at + count + 6]) >= 9
        written = block.written(at, count + 1)
        is_hours = "." in written and "-" in written and not block.begins_with_plus(at)
        if is_next or is_hours or total + len(group) > longest:
            break
        total += len(group)
        count += 1
    return count if total >= shortest else 0


def _alone(pattern: str) -> re.Pattern[str]:
    return re.compile(f"(?<![0-9A-Za-z])(?:{pattern})(?![0-9A-Za-z])", re.IGNORECASE | re.ASCII)


_LETTERED = [(_alone(kind.pattern), kind.is_valid) for kind in LETTERED]
_ANY_LETTERED = _alone("|".join(kind.pattern for kind in LETTERED))


def find_lettered(text: str) -> Iterator[Span]:
    """Find the national numbers that have letters, in either case."""
    if not _ANY_LETTERED.search(text):
        return
    for pattern, is_valid in _LETTERED:
        for match in pattern.finditer(text):
            if is_valid(match[0].upper()):
                yield Span(match.start(), match.end(), NATIONAL_ID)


_IBAN_HEAD = re.compile("[A-Za-z]{2}[0-9]{2}")
_IBAN_CHARACTERS = {"n": "[0-9]", "a": "[A-Za-z]", "c": "[0-9A-Za-z]"}


@cache
def _iban_body(country: str) -> re.Pattern[str] | None:
    """Compile what follows a country's check digits, from the registry of ISO 13616; None where it has no IBAN."""
    structure = numdb.get("iban").info(country)[0][1].get("bban", "")
    parts = re.findall("([0-9]+)!([nac])", structure)
    body = "".join(f"(?:[ .-]?{_IBAN_CHARACTERS[kind]}){{{length}}}" for length, kind in parts)
    return re.compile(body) if body else None


def find_ibans(text: str) -> Iterator[Span]:
    """Find IBANs, in either case, with or without separators (ISO 13616; the check is ISO 7064 MOD 97-10)."""
    for head in _IBAN_HEAD.finditer(text):
        body = _iban_body(head[0][:2].upper())
        match = body.match(text, head.end()) if body else None
        if match and iban.is_valid(head[0] + match[0], check_country=False):
            yield Span(head.start(), match.end(), IBAN)
