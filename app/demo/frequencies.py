"""How often each word of the facts is drawn for the made-up platform."""

from collections.abc import Mapping


def weighted(weights: Mapping[str, int]) -> tuple[str, ...]:
    """Repeat each name of the demo's facts as often as its weight, so that a drawn one has that frequency."""
    return tuple(name for name, weight in weights.items() for _ in range(weight))


PRODUCTS = weighted({"FACEBOOK": 55, "INSTAGRAM": 37, "MESSENGER": 5, "WHATSAPP": 3})
KINDS = {
    "FACEBOOK": weighted(
        {"POST": 40, "COMMENT": 25, "PHOTO": 12, "AI_INTERACTION": 13, "VIDEO": 4, "AUDIO": 1}
        | {"PRIVATE_MESSAGE": 3, "BUSINESS_MESSAGE": 2}
    ),
    "INSTAGRAM": weighted(
        {"CAPTION": 26, "PHOTO": 22, "COMMENT": 24, "AI_INTERACTION": 12, "VIDEO": 6, "POST": 6}
        | {"PRIVATE_MESSAGE": 3, "BUSINESS_MESSAGE": 1}
    ),
    "MESSENGER": weighted({"AI_INTERACTION": 45, "PRIVATE_MESSAGE": 45, "BUSINESS_MESSAGE": 10}),
    "WHATSAPP": weighted({"PRIVATE_MESSAGE": 70, "AI_INTERACTION": 15, "BUSINESS_MESSAGE": 15}),
}

# About one for each 1.5 million inhabitants; the smallest countries count double so that their languages are seen.
COUNTRIES = weighted(
    {"DE": 56, "FR": 45, "IT": 39, "ES": 33, "PL": 24, "RO": 13, "NL": 12, "BE": 8, "CZ": 7, "SE": 7, "PT": 7, "GR": 7}
    | {"HU": 6, "AT": 6, "BG": 4, "DK": 4, "FI": 4, "NO": 4, "SK": 4, "IE": 4, "HR": 3, "LT": 2, "SI": 2, "LV": 2}
    | {"EE": 2, "CY": 1, "LU": 1, "MT": 2, "IS": 2, "LI": 1}
    | {"US": 4, "GB": 4, "CH": 2}
)

ACCOUNT_KINDS = weighted({"PERSONAL": 94, "PAGE": 4, "BUSINESS": 2})
STATUSES = weighted(
    {"ACTIVE": 95, "DEACTIVATED": 1, "DELETION_PENDING": 1, "DELETED": 1, "MEMORIALISED": 1, "SUSPENDED": 1}
)
AUDIENCES = weighted({"PUBLIC": 74, "UNLISTED": 2, "FRIENDS": 14, "GROUP": 6, "ONLY_ME": 4})
MESSAGE_AUDIENCES = weighted({"ONLY_ME": 85, "GROUP": 14, "PUBLIC": 1})
SCOPES = weighted({"ALL": 6, "PUBLIC_CONTENT": 3, "AI_INTERACTIONS": 1})
TARGETS = weighted({"account": 6, "person": 2, "contact": 2})
CHANNELS = weighted({"FORM": 70, "EMAIL": 14, "LETTER": 6, "API": 6, "THIRD_PARTY": 4})
RELATIONS = ("TAG", "MENTION", "COAUTHOR", "DEPICTED", "QUOTE")
SOURCES = ("AIPREF", "TDMREP", "C2PA", "PLATFORM", "NATURAL_LANGUAGE")
MEDIA = {"VIDEO": ("image/apng", "apng"), "AUDIO": ("audio/wav", "wav")}
WITH_MEDIA = {"PHOTO": 1.0, "VIDEO": 1.0, "AUDIO": 1.0, "CAPTION": 0.5, "POST": 0.15}
DEIDENTIFIED = (*(True,) * 27, False, False, None)
WORDLESS = {"PHOTO": 0.4, "VIDEO": 0.4, "AUDIO": 0.6}
SCANNERS = ("special_category", "safety", "minors")
