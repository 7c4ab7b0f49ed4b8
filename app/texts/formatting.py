"""Write dates, numbers, plural forms, countries and languages as readers of a language expect them (CLDR, by Babel)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from typing import Final

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_skeleton, format_time
from babel.numbers import format_decimal, format_percent

_COUNTED: Final = 1001
"""In every language, the numbers that are smaller than this number use all plural forms that counts need. CLDR's other
plural forms are for fractions and millions."""


_EUROPEAN: Final = {"en": "en_GB", "pt": "pt_PT"}
"""The European locale of each language for which CLDR would otherwise use an American format."""


@cache
def _locale(language: str) -> Locale:
    """Return the locale of a language for people's texts; of an unknown one, that of English."""
    try:
        return Locale.parse(_EUROPEAN.get(language, language))
    except (UnknownLocaleError, ValueError):
        return Locale.parse("en")


@cache
def plural_categories(language: str) -> set[str]:
    """Return the plural categories that counts have in a language, such as `one` and `other`."""
    return {_locale(language).plural_form(count) for count in range(_COUNTED)}


def own_name(language: str) -> str:
    """Return the name of a language in that language, such as `Deutsch`, for people to choose from."""
    name = _locale(language).get_language_name() or language
    return name[:1].upper() + name[1:]


@dataclass(frozen=True, slots=True)
class LocalFormat:
    """The way in which a language writes dates, numbers and names for people; every instant is in UTC."""

    language: str

    def day(self, stated: str | date) -> str:
        """Write a date for people, such as 22 November 2026."""
        return format_date(_parse_stated_time(stated), format="long", locale=_locale(self.language))

    def month(self, stated: str) -> str:
        """Write a month for people, such as November 2026, that is stated as YYYY-MM."""
        return format_skeleton("yMMMM", datetime.fromisoformat(f"{stated}-01"), locale=_locale(self.language))

    def instant(self, stated: str | datetime) -> str:
        """Write an instant for people with its date and its minute, such as 22 November 2026, 16:34 UTC."""
        at = _parse_stated_time(stated)
        time = format_time(at.time(), format="short", locale=_locale(self.language)) if isinstance(at, datetime) else ""
        return f"{self.day(at)}, {time} UTC"

    def number(self, number: int) -> str:
        """Write a number for people with the separators of the language."""
        return format_decimal(number, locale=_locale(self.language))

    def percent(self, share: float) -> str:
        """Write a share for people as a percentage."""
        return format_percent(share, locale=_locale(self.language))

    def counted(self, forms: Mapping[str, str], count: int) -> str:
        """Write a count for people with the plural form that the language has for it."""
        return forms[_locale(self.language).plural_form(count)].format(count=self.number(count))

    def country(self, code: str) -> str:
        """Write the name of a country in the language; a code that has none stays as it is."""
        return str(_locale(self.language).territories.get(code, code))

    def language_name(self, tag: str) -> str:
        """Write the name of a language in the language; a tag that has none stays as it is."""
        return str(_locale(self.language).languages.get(tag.partition("-")[0], tag))


def _parse_stated_time(stated: str | date) -> date | datetime:
    """Read a date or an instant that the API states, for people in UTC."""
    if isinstance(stated, str):
        stated = datetime.fromisoformat(stated) if "T" in stated else date.fromisoformat(stated[:10])
    return stated.astimezone(UTC) if isinstance(stated, datetime) else stated
