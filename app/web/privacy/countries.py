"""The countries from which a person chooses for a phone number, each by its name in the page's language."""

from collections.abc import Iterable
from typing import Final

from phonenumbers import country_code_for_region

from app.texts.formatting import LocalFormat

COUNTRIES_OFFERED: Final = frozenset(
    {"AT", "BE", "BG", "CH", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GB", "GR", "HR", "HU", "IE", "IS", "IT"}
    | {"LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK"}
)


def country_choices(codes: Iterable[str], language: str) -> list[tuple[str, str]]:
    """List countries for the objection form by their names in a language, with their calling codes."""
    write = LocalFormat(language)
    return [(code, f"{write.country(code)} (+{country_code_for_region(code)})") for code in codes]
