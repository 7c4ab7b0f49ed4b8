"""National phone numbers: which digits are one in a country, by the numbering plans that libphonenumber knows.

A number is judged for the countries of the item's language only. Where a plan has no prefix and eight digits or fewer
are a number, most numbers of any kind would be one: there, and where the language is not known, a word or a sign must
stand before it (`Cue.PHONE`), and any seven digits behind one are taken.
"""

import re
from functools import cache, lru_cache

from phonenumbers import PhoneMetadata, phonenumberutil

_WITH_CUE_ONLY = frozenset({"LU", "DK", "NO", "LV", "EE", "IS", "MT"})
MIN_DIGITS, MAX_DIGITS = 7, 15
_CALLING_CODES = frozenset(str(code) for code in phonenumberutil.COUNTRY_CODE_TO_REGION_CODE)


def begins_with_calling_code(digits: str) -> bool:
    """Return whether digits in a text begin with a country's calling code (E.164)."""
    return any(digits[:length] in _CALLING_CODES for length in (1, 2, 3))


@cache
def _national_form(country: str, *, has_cue: bool) -> re.Pattern[str] | None:
    """Compile the forms of a country's phone numbers to find in a text: the prefix, then a personal line's number."""
    metadata = PhoneMetadata.metadata_for_region(country, None)
    if metadata is None or (country in _WITH_CUE_ONLY and not has_cue):
        return None
    lines = (metadata.fixed_line, metadata.mobile, metadata.voip, metadata.personal_number)
    numbers = "|".join(line.national_number_pattern for line in lines if line and line.national_number_pattern)
    prefix = metadata.national_prefix_for_parsing
    if not numbers:
        return None
    if not prefix:
        return re.compile(numbers)
    is_optional = has_cue or country not in _PREFIXED
    return re.compile(f"(?:{prefix}){'?' if is_optional else ''}(?:{numbers})")


_PREFIXED = frozenset(
    {"AT", "BE", "BG", "CH", "DE", "FI", "FR", "GB", "HR", "HU", "IE", "LT", "NL", "RO", "SE", "SI", "SK"}
)


@cache
def national_lengths(countries: tuple[str, ...]) -> frozenset[int]:
    """Return how many digits an unannounced phone number of some countries can have in a text."""
    lengths: set[int] = set()
    for country in countries:
        metadata = PhoneMetadata.metadata_for_region(country, None)
        if metadata is not None and metadata.general_desc is not None and country not in _WITH_CUE_ONLY:
            prefix = len(metadata.national_prefix or "") if country in _PREFIXED else 0
            lengths |= {length + prefix for length in metadata.general_desc.possible_length}
    return frozenset(lengths)


@lru_cache(maxsize=4096)
def is_national_number(digits: str, countries: tuple[str, ...], *, has_cue: bool) -> bool:
    """Return whether digits in a text are a phone number of some countries, as people there write it."""
    for country in countries:
        form = _national_form(country, has_cue=has_cue)
        if form is not None and form.fullmatch(digits):
            return True
    return False
