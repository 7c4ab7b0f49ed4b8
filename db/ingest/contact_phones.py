"""Phone numbers as people type them: with their country code, or for a country."""

import re
import unicodedata
from typing import Final, NamedTuple

from phonenumbers import (
    NumberParseException,
    PhoneNumber,
    PhoneNumberFormat,
    country_code_for_region,
    format_number,
    is_possible_number,
    is_valid_number,
    parse,
)

from db.deidentification.languages import COUNTRIES_OF_LANGUAGES, countries_of

COUNTRIES: Final = tuple(sorted({each for countries in COUNTRIES_OF_LANGUAGES.values() for each in countries} | {"LI"}))
"""The countries whose phone numbers are recognised without a country code."""
MIN_DIGITS: Final = 6
_SEPARATORS: Final = re.compile(r"\(0\)|[\s().\-/\u2010-\u2015\u2212\u00b7\u2022]")
_PHONE: Final = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)


class PhoneReading(NamedTuple):
    """A phone number: the ways in which it can be hashed, and its calling code."""

    writings: tuple[str, ...]
    calling_code: int | None


def read_phone(text: str, country: str | None, language: str | None) -> PhoneReading | tuple[str, ...]:
    """Read a phone number that ingest hashes, or return the countries in which it can be one: none if it is none.

    With a country code the country does not matter. Without, and without a stated country, a number is read only if
    there is one country of the languages of the EU, EEA, Switzerland and the United Kingdom in which it is one, and
    this is the language's.
    """
    written = _in_ascii(text).replace("[", "(").replace("]", ")").strip()
    international = normalised_phone(written)
    if international is not None:
        return _international(written, international)
    if country is not None:
        return _national(written, country.upper(), is_stated=True) or ()
    own = countries_of(language)
    readings = {each: _national(written, each) for each in dict.fromkeys((*own, *COUNTRIES))}
    possible = {each: found for each, found in readings.items() if found is not None}
    if len(possible) == 1 and set(possible) <= set(own):
        (found,) = possible.values()
        return found
    return tuple(possible)


def normalised_phone(text: str) -> str | None:
    """Normalise a phone number before ingest hashes it; None where it is none, or lacks its country."""
    digits = _SEPARATORS.sub("", text)
    number = f"+{digits[2:]}" if digits.startswith("00") else digits
    return number if _PHONE.fullmatch(number) else None


def _international(written: str, normalised: str) -> PhoneReading:
    """Read a contact's phone number that has its country code; people write their country's 0 behind it, too."""
    digits = re.sub(r"[^0-9]", "", written)
    number = _parse_number(f"+{digits.removeprefix('00')}", None)
    if number is None:
        return PhoneReading((normalised,), None)
    writings = (normalised, _e164(number)) if is_possible_number(number) else (normalised,)
    return PhoneReading(tuple(dict.fromkeys(writings)), number.country_code)


def _national(written: str, country: str, *, is_stated: bool = False) -> PhoneReading | None:
    """Read a contact's phone number for a country; one that begins with the country's code can be meant either way."""
    digits = re.sub(r"[^0-9]", "", written)
    code = country_code_for_region(country)
    readings = [_parse_number(written, country)]
    if digits.startswith(str(code)):
        readings.insert(0, _parse_number(f"+{digits}", None))
    numbers = [each for each in readings if each is not None and is_valid_number(each)]
    if not numbers and is_stated:
        numbers = [each for each in readings if each is not None and is_possible_number(each)]
    if not numbers or len(digits) < MIN_DIGITS:
        return None
    return PhoneReading(tuple(dict.fromkeys(map(_e164, numbers))), code)


def _parse_number(written: str, country: str | None) -> PhoneNumber | None:
    """Parse a contact's phone number for a country; None if it is none."""
    try:
        return parse(written, country)
    except NumberParseException:
        return None


def _e164(number: PhoneNumber) -> str:
    """Write a contact's phone number in E.164, as ingest hashes it."""
    return str(format_number(number, PhoneNumberFormat.E164))


def _in_ascii(text: str) -> str:
    """Write digits and signs of a contact's phone number in ASCII."""
    wide = unicodedata.normalize("NFKC", text)
    return "".join(str(unicodedata.digit(c)) if c.isdigit() and not c.isascii() else c for c in wide)
