"""The countries in which a language is spoken. Their national phone numbers are searched in texts of this language."""

from functools import lru_cache

COUNTRIES_OF_LANGUAGES: dict[str, tuple[str, ...]] = {
    "bg": ("BG",), "ca": ("ES",), "cs": ("CZ",), "da": ("DK",), "de": ("DE", "AT", "CH", "LU", "BE"),
    "el": ("GR", "CY"), "en": ("IE", "GB", "MT"), "es": ("ES",), "et": ("EE",), "eu": ("ES",), "fi": ("FI",),
    "fr": ("FR", "BE", "LU", "CH"), "ga": ("IE",), "gl": ("ES",), "hr": ("HR",), "hu": ("HU",), "is": ("IS",),
    "it": ("IT", "CH"), "lb": ("LU",), "lt": ("LT",), "lv": ("LV",), "mt": ("MT",), "nb": ("NO",), "nl": ("NL", "BE"),
    "nn": ("NO",), "no": ("NO",), "pl": ("PL",), "pt": ("PT",), "rm": ("CH",), "ro": ("RO",), "sk": ("SK",),
    "sl": ("SI",), "sv": ("SE", "FI"),
}  # fmt: skip


@lru_cache(maxsize=1024)
def countries_of(language: str | None) -> tuple[str, ...]:
    """Return in which countries a text's language is spoken, so that their phone numbers are found in it."""
    subtags = (language or "").split("-")
    for subtag in subtags[1:]:
        if len(subtag) == 2 and subtag.isalpha():
            return (subtag.upper(),)
        if len(subtag) == 1:
            break
    return COUNTRIES_OF_LANGUAGES.get(subtags[0].lower(), ())
