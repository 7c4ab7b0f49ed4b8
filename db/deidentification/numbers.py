"""Find identifying numbers in a text: card, national, device and phone numbers. Other numbers stay in the text.

A number is found by how its digits are grouped ("6-4": six digits, a separator, four digits), then by the pattern of
its digits, and last by its check digits, so that the costly test is rarely reached. Linear in the length of the text.

Choices
- The check digit decides: card and national number come before phone, whatever the grouping.
- Numbers that prove little on their own (nine digits with one check digit) are taken where the language of the text is
  one of their country, or where their name stands before them.
- A number beside a currency, with decimals, behind a decimal point, or in thousands is an amount and stays; so do
  dates, opening hours, ranges (800-1000), acts (2580/2001), versions and ISBN. A word for a phone before a number
  overrules all of these but the ISBN; a card, or a phone that begins with + or 00, is taken all the same.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

from stdnum import ean, isbn

from db.deidentification.cues import Cue, cue_before
from db.deidentification.national_numbers import CARD, LATE_NUMBERS, NUMBERS, PHONE, NumberFormat
from db.deidentification.phones import (
    MAX_DIGITS,
    MIN_DIGITS,
    begins_with_calling_code,
    is_national_number,
    national_lengths,
)
from db.deidentification.spans import Span

_Grouping = tuple[int, ...]
_Index = dict[_Grouping, list[tuple[_Grouping, re.Pattern[str], NumberFormat]]]


def index_by_lengths(numbers: Iterable[NumberFormat]) -> _Index:
    """Index the ways to group an identifying number's digits by the first two lengths, with compiled patterns."""
    entries: _Index = defaultdict(list)
    for number in numbers:
        pattern = re.compile(number.pattern)
        for written in number.groupings.split():
            grouping = tuple(map(int, written.split("-")))
            entries[grouping[:2]].append((grouping, pattern, number))
    return dict(entries)


_EARLY, _LATE = index_by_lengths(NUMBERS), index_by_lengths(LATE_NUMBERS)
_BLOCK = re.compile(r"[0-9](?:(?:[ ()/\-]{1,4}|\.)?[0-9]){6,}")
_DIGITS = re.compile("[0-9]+")
_DATE = re.compile(
    r"[0-3]?[0-9]([./-])[0-3]?[0-9]\1(?:(?:19|20)[0-9]{2}|[0-9]{2})(?![0-9]|\1[0-9])"
    r"|[0-3]?[0-9] [01]?[0-9] (?:19|20)[0-9]{2}(?![0-9])"
    r"|(?:19|20)[0-9]{2}([./-])[01]?[0-9]\2[0-3]?[0-9](?![0-9])"
    r"|(?:0?[1-9]|1[0-2])[./-](?:19|20)[0-9]{2}(?! ?[0-9])"
)
_ISO_DATE = re.compile(r"(?:19|20)[0-9]{2}([./-])(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12][0-9]|3[01])(?![0-9])")
_CURRENCY = "(?:[€$£¥%]|(?:EUR|USD|GBP|CHF|PLN|CZK|HUF|SEK|NOK|DKK|RON|BGN|[Ee]uros?|Kč|zł|Ft|kr|lei)(?![A-Za-z]))"
_AMOUNT_BEFORE = re.compile(rf"(?<!\S){_CURRENCY} ?$|(?:^|[^0-9 ./-])[0-9]{{1,3}}\.$")
_AMOUNT_AFTER = re.compile(rf" ?{_CURRENCY}|[.,][0-9]{{1,2}}(?![0-9A-Za-z:]|(?:[ ()/-]{{1,4}}|\.)[0-9])")
_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}([ .])[0-9]{3}(?:\1[0-9]{3})*|(?:0|[1-9][0-9]?)\.[0-9]{5,}")
_DOTTED_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}(?:\.[0-9]{3})+(?![0-9])")
_LETTER = re.compile(r"[^\W\d_]")
_HEX_BEFORE = re.compile(r"(?<![0-9A-Za-z])(?:[A-Fa-f][0-9A-Fa-f]|[0-9][A-Fa-f]) \Z")
_THREE_THREES = re.compile(r"[0-9]{3}([ .])[0-9]{3}\1[0-9]{3}")
_SEPARATED = re.compile("[^0-9]+")
_PLUS = re.compile(r"\+[ (]{0,2}$")
_YEAR = re.compile("(?:19|20)[0-9]{2}")
_CUE_WITHIN = 30
_MAX_GROUPS = 10  # of a number, however it is cut


class _Block:
    """A run of digits and separators, as its groups of digits, in a text of some countries."""

    def __init__(self, text: str, start: int, end: int, countries: tuple[str, ...]) -> None:
        self.text, self.countries = text, countries
        self.groups = _DIGITS.findall(text, start, end)
        self.spans = [group.span() for group in _DIGITS.finditer(text, start, end)]
        self.lengths = tuple(map(len, self.groups))
        self.has_plus = _PLUS.search(text, max(0, start - 4), start) is not None
        self.is_called = cue_before(Cue.PHONE, text, start, _CUE_WITHIN) is not None

    def begins_with_plus(self, at: int) -> bool:
        """Return whether digits in a text begin with the plus sign of a phone number."""
        return at == 0 and self.has_plus

    def is_within_word(self, at: int) -> bool:
        """Return whether digits in a text directly follow a letter, or are part of a hexadecimal dump."""
        start, end = self.spans[at]
        is_behind = start > 0 and _LETTER.match(self.text, start - 1) is not None
        is_dump = len(self.groups[at]) == 2 and _HEX_BEFORE.search(self.text, max(0, start - 4), start) is not None
        return is_behind or is_dump or _LETTER.match(self.text, end) is not None

    def digits(self, at: int, count: int) -> str:
        """Return the digits of some groups in a text, without what separates them."""
        return "".join(self.groups[at : at + count])

    def ends(self, at: int, count: int) -> tuple[int, int]:
        """Return where some groups of digits begin and end in a text."""
        return self.spans[at][0], self.spans[at + count - 1][1]

    def written(self, at: int, count: int) -> str:
        """Return some groups of digits as the text writes them."""
        start, end = self.ends(at, count)
        return self.text[start:end]

    def span(self, at: int, count: int, placeholder: str) -> Span:
        """Return the part of a text to replace for a number, including its plus sign and an area code's bracket."""
        start, end = self.ends(at, count)
        if self.begins_with_plus(at):
            start = self.text.rindex("+", 0, start)
        if self.text[start - 1 : start] == "(" and ")" in self.text[start:end]:
            start -= 1
        return Span(start, end, placeholder)


def find_numbers(text: str, countries: tuple[str, ...]) -> Iterator[Span]:
    """Find cards, national numbers, IMEIs and phones among a text's digits, the longest way to write one first."""
    for run in _BLOCK.finditer(text):
        block, at = _Block(text, *run.span(), countries), 0
        while at < len(block.groups):
            count, placeholder = _match_number(block, at)
            if placeholder:
                yield block.span(at, count, placeholder)
            at += count


def _match_number(block: _Block, at: int) -> tuple[int, str]:
    """Return how many groups of digits an identifying number has, and its placeholder: empty when it stays."""
    if count := _count_international_groups(block, at):
        return count, PHONE
    if sum(block.lengths[at : at + _MAX_GROUPS]) < MIN_DIGITS or block.is_within_word(at):
        return 1, ""
    if count := _count_isbn_groups(block, at):
        return count, ""
    if date := _ISO_DATE.match(block.text, block.spans[at][0]):
        return sum(start < date.end() for start, _ in block.spans[at : at + 3]), ""
    if fitting := _matching_groups(_EARLY, block, at):
        return fitting
    if date := _DATE.match(block.text, block.spans[at][0]):
        return sum(start < date.end() for start, _ in block.spans[at : at + 3]), ""
    if count := _count_national_groups(block, at):
        return count, PHONE
    return _matching_groups(_LATE, block, at) or (_count_thousands(block, at), "")


def _count_thousands(block: _Block, at: int) -> int:
    """Count the groups of an amount in a text, so that no identifying number begins within it; 1 for none."""
    found = _DOTTED_THOUSANDS.match(block.text, block.spans[at][0])
    return sum(start < found.end() for start, _ in block.spans[at : at + 6]) if found else 1


def _matching_groups(numbers: _Index, block: _Block, at: int) -> tuple[int, str] | None:
    """Match digits in a text with the formats of identifying numbers; return how many groups, and the placeholder."""
    lengths = block.lengths
    for grouping, pattern, number in (*numbers.get(lengths[at : at + 2], ()), *numbers.get(lengths[at : at + 1], ())):
        count = len(grouping)
        if lengths[at : at + count] != grouping:
            continue
        digits = block.digits(at, count)
        if not pattern.fullmatch(digits) or not number.is_valid(digits) or not _is_named(block, at, number, grouping):
            continue
        if number.placeholder == CARD or not (_is_amount(block, at, count) or _is_list(block, at, grouping)):
            return count, number.placeholder
    return None


def _is_named(block: _Block, at: int, number: NumberFormat, grouping: _Grouping) -> bool:
    """Return whether an identifying number is expected in a text, by its language or by the number's name before it.

    Numbers that prove little have to be, and ten digits in one group: those are epoch seconds and ids, too.
    """
    is_doubtful = number.is_weak or grouping == (10,)
    if not is_doubtful or not number.countries.isdisjoint(block.countries):
        return True
    return at == 0 and cue_before(Cue.NATIONAL_NUMBER, block.text, block.spans[at][0], _CUE_WITHIN) is not None


def _is_amount(block: _Block, at: int, count: int) -> bool:
    """Return whether digits in a text are an amount of money or in thousands, rather than an identifying number."""
    start, end = block.ends(at, count)
    if _AMOUNT_BEFORE.search(block.text, max(0, start - 8), start) or _AMOUNT_AFTER.match(block.text, end):
        return True
    return _is_thousands(block.written(at, count))


def _is_thousands(written: str) -> bool:
    """Return whether digits in a text are grouped in thousands; three groups of three can also be an identifying
    number."""
    if _THREE_THREES.fullmatch(written) or len(written) > 11:
        return written.endswith("000")
    return _THOUSANDS.fullmatch(written) is not None


def _is_list(block: _Block, at: int, grouping: _Grouping) -> bool:
    """Return whether digits in a text are a list of numbers, by their separators."""
    separators = _SEPARATED.findall(block.written(at, len(grouping)))
    return grouping == (3, 3, 3) and (len(set(separators)) > 1 or "/" in separators)


def _count_isbn_groups(block: _Block, at: int) -> int:
    """Count the groups of digits that an ISBN has in a text, which is no identifying number."""
    if at == 0 and cue_before(Cue.BOOK, block.text, block.spans[at][0], _CUE_WITHIN) is not None:
        return max(1, _count_groups(block, at, 1, 13))
    for count, length in ((1, 13), (5, 13), (4, 10), (3, 9)):
        digits = block.digits(at, count)
        if at + count > len(block.groups) or len(digits) != length:
            continue
        end = block.spans[at + count - 1][1]
        if set(_SEPARATED.findall(block.text[block.spans[at][0] : end])) - {"-"}:
            continue
        if digits.startswith("0") and block.groups[at] != "0":
            continue
        if length == 13 and digits.startswith(("978", "979")) and ean.is_valid(digits):
            return count
        ending = "X" if block.text[end : end + 2] in ("-X", "-x") else ""
        if len(digits + ending) == 10 and isbn.is_valid(digits + ending):
            return count
    return 0


def _count_international_groups(block: _Block, at: int) -> int:
    """Count the groups of a phone number in a text that begins with + or 00 (E.164)."""
    if block.begins_with_plus(at) and block.groups[0][0] != "0":
        return _count_groups(block, at, 8, 16)
    if block.groups[at].startswith("00") and begins_with_calling_code(block.digits(at, 3)[2:5]):
        return _count_groups(block, at, 10, 18)
    return 0


def _count_national_groups(block: _Block, at: int) -> int:
    """Count the groups of a national phone number in a text, for the countries of its language."""
    is_called = block.is_called and at == 0
    if at == 0 and not is_called and cue_before(Cue.VERSION, block.text, block.spans[at][0], 16) is not None:
        return 0
    longest = _count_groups(block, at, MIN_DIGITS, MAX_DIGITS)
    for count in range(longest, 0, -1):
        digits = block.digits(at, count)
        if len(digits) < MIN_DIGITS:
            break
        if not is_called and len(digits) not in national_lengths(block.countries):
            continue
        if is_national_number(digits, block.countries, has_cue=is_called) and (
            is_called or not (_is_ordinary(block, at, count) or _is_amount(block, at, count))
        ):
            return count
    return longest if is_called and not _is_year_or_range(block, at, longest) else 0


def _is_year_or_range(block: _Block, at: int, count: int) -> bool:
    """Return whether digits in a text are a year or two, rather than a phone number."""
    return count == 2 and _YEAR.fullmatch(block.groups[at]) is not None


def _is_ordinary(block: _Block, at: int, count: int) -> bool:
    """Return whether digits in a text without a cue word are a range, the number of a law, or a list of years."""
    groups = block.groups[at : at + count]
    if groups[0][0] == "0":
        return False
    if all(_YEAR.fullmatch(group) for group in groups):
        return True
    separators = _SEPARATED.findall(block.written(at, count))
    if count != 2 or separators[0].strip() not in ("-", "/"):
        return False
    difference = len(groups[1]) - len(groups[0])
    return (
        abs(difference) <= (2 if len(groups[0]) + len(groups[1]) <= 9 else 1) or _YEAR.fullmatch(groups[1]) is not None
    )


def _count_groups(block: _Block, at: int, shortest: int, longest: int) -> int:
    """Count the groups of a phone number's digits in a text, up to the next number or opening hours."""
    total = count = 0
    for group in block.groups[at : at + _MAX_GROUPS]:
        is_next = group[0] == "0" and total >= max(9, shortest) and sum(block.lengths[at + count : at + count + 6]) >= 9
        written = block.written(at, count + 1)
        if count and _ISO_DATE.match(block.text, block.spans[at + count][0]):
            break
        is_hours = "." in written and "-" in written and not block.begins_with_plus(at)
        if is_next or is_hours or total + len(group) > longest:
            break
        total += len(group)
        count += 1
    return count if total >= shortest else 0
