"""Made-up texts in the 24 languages of the EU with what is to be found in them, written from published formats.

The formats are those of the numbering plans (libphonenumber's example numbers), of the Universal Postal Union
(addresses), of the states' own numbers (python-stdnum's checks), of ISO 13616, ISO 7812 and ISO 2108, and of vehicle
registration in each country. `phrases.json` and `formats.json` hold what depends on the language: in addresses and
plates # is a digit, @ a capital letter, % one of Greek plates and № the number of a house. Nothing here knows how the
gateway looks for them. The same seed makes the same texts.
"""

import json
import re
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

import phonenumbers
from stdnum import iban, isbn, luhn, numdb
from stdnum.bg import egn
from stdnum.cz import rc
from stdnum.de import idnr
from stdnum.dk import cpr
from stdnum.es import dni
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.gr import amka
from stdnum.hr import oib
from stdnum.ie import pps
from stdnum.it import codicefiscale
from stdnum.lt import asmens
from stdnum.nl import bsn
from stdnum.pl import pesel
from stdnum.pt import nif
from stdnum.ro import cnp
from stdnum.se import personnummer
from stdnum.si import emso

from tests.support.repository import ROOT

_FOLDER = ROOT / "tests" / "db" / "deidentification"
UNSEEN = "unseen"
"""The seed whose texts have words of their own, which no pattern was tuned on."""
PHRASES: dict[str, dict[str, str]] = json.loads((_FOLDER / "phrases.json").read_text(encoding="utf-8"))
_OTHER_PHRASES = json.loads((_FOLDER / "phrases_unseen.json").read_text(encoding="utf-8"))
FORMATS: dict[str, dict[str, Any]] = json.loads((_FOLDER / "formats.json").read_text(encoding="utf-8"))
LANGUAGES = sorted(PHRASES)
COUNTRIES = {
    "bg": "BG", "hr": "HR", "cs": "CZ", "da": "DK", "nl": "NL", "en": "IE", "et": "EE", "fi": "FI", "fr": "FR",
    "de": "DE", "el": "GR", "hu": "HU", "ga": "IE", "it": "IT", "lv": "LV", "lt": "LT", "mt": "MT", "pl": "PL",
    "pt": "PT", "ro": "RO", "sk": "SK", "sl": "SI", "es": "ES", "sv": "SE",
}  # fmt: skip
PHONE_LANGUAGES = {country: language for language, country in COUNTRIES.items() if language != "ga"} | {
    "AT": "de", "BE": "nl", "CY": "el", "LU": "fr", "LI": "de-LI", "CH": "fr", "GB": "en", "NO": "nb", "IS": "is",
}  # fmt: skip
WITH_CUE = {"LU", "DK", "NO", "LV", "EE", "IS", "MT"}
CALLS = {"nb": "Ring meg på tlf. {} etter fem.", "is": "Hringdu í síma {} eftir fimm."}
NAMES = ["jane.doe", "j_smith", "anna-b", "tomasz.k", "o.nagy", "lea99", "marco.r", "ines.silva", "per+post", "kalle"]
DOMAINS = ["example.org", "mail.example.com", "example.net", "post.example.eu", "beispiel.example"]
NATIONAL_IDS: dict[str, tuple[list[str], Callable[[str], bool]]] = {
    "bg": (["yymmdd####"], egn.is_valid), "hr": (["###########"], oib.is_valid),
    "cs": (["yymmdd/####"], rc.is_valid), "sk": (["yymmdd####", "yymmdd/####"], rc.is_valid),
    "da": (["ddmmyy-####"], cpr.is_valid), "nl": (["#########"], bsn.is_valid), "fi": (["ddmmyy-###@"], hetu.is_valid),
    "fr": (["1yymm##########", "2 yy mm ## ### ### ##"], nir.is_valid), "de": (["## ### ### ###"], idnr.is_valid),
    "el": (["ddmmyy#####"], amka.is_valid), "en": (["#######@"], pps.is_valid), "ga": (["#######@@"], pps.is_valid),
    "it": (["@@@@@@yyA##@###@"], codicefiscale.is_valid), "lt": (["3yymmdd####"], asmens.is_valid),
    "et": (["4yymmdd####"], asmens.is_valid),
    "pl": (["yymmdd#####"], pesel.is_valid), "pt": (["2########"], nif.is_valid),
    "ro": (["1yymmdd######"], cnp.is_valid),
    "sl": (["ddmm9########"], emso.is_valid), "es": (["########@"], dni.is_valid),
    "sv": (["yymmdd-####", "19yymmdd-####"], personnummer.is_valid),
}  # fmt: skip


@dataclass(frozen=True)
class LabelledText:
    """A text, whose part text[start:end] is of a kind that is to be found, or stays where `is_found` is false."""

    language: str
    kind: str
    text: str
    start: int
    end: int
    is_found: bool


def labelled_texts(seed: str) -> list[LabelledText]:
    """Make more than 3,000 texts, the same for the same seed."""
    made = []
    phrases_of = {name: PHRASES[name] | (_OTHER_PHRASES[name] if seed == UNSEEN else {}) for name in LANGUAGES}
    for language in LANGUAGES:
        random = Random(f"{seed} {language}")
        for kind, phrase, value in _identifiers(language, phrases_of[language], random):
            made.append(_place(language, kind, phrase, value, random, is_found=True))
        for kind, phrase, value in _ordinary(language, phrases_of[language], random):
            made.append(_place(language, kind, phrase, value, random, is_found=False))
    for country, language in PHONE_LANGUAGES.items():
        random = Random(f"{seed} {country}")
        phrases = phrases_of.get(language[:2], {"call": CALLS.get(language, "")})
        for value in _national_phones(country, random):
            phrase = phrases["call"] if country in WITH_CUE or random.random() < 0.5 else phrases["plain"]
            made.append(_place(language, "phone, national", phrase, value, random, is_found=True))
    return made


def _place(language: str, kind: str, phrase: str, value: str, random: Random, *, is_found: bool) -> LabelledText:
    filler = PHRASES.get(language[:2], {}).get("filler", "")
    before, after = phrase.split("{}")
    if filler and random.random() < 0.5:
        before = f"{filler} {before}"
    if filler and random.random() < 0.5:
        after = f"{after} {filler}"
    return LabelledText(language, kind, before + value + after, len(before), len(before) + len(value), is_found)


def _identifiers(language: str, phrases: dict[str, str], random: Random) -> Iterator[tuple[str, str, str]]:
    plain = phrases["plain"]
    for _ in range(8):
        yield "e-mail", phrases["mail"], f"{random.choice(NAMES)}@{random.choice(DOMAINS)}"
        yield "IBAN", plain, _iban(COUNTRIES[language], random)
        yield "card", plain, _card(random)
        yield "phone, international", random.choice([plain, phrases["call"]]), _international(language, random)
        yield "address", phrases["live"], _fill(random.choice(FORMATS["addresses"][language]), random)
        yield "birth date", random.choice([phrases["born"], phrases["birth_field"]]), birth_date(language, random)
        yield "plate", phrases["plate"], _fill(random.choice(FORMATS["plates"][COUNTRIES[language]]), random)
        yield "document", phrases["document"], _fill(random.choice(["@@#######", "@#######", "#########"]), random)
        if language in NATIONAL_IDS:
            yield "national number", plain, _national_id(language, random)
    for _ in range(4):
        name, domain = random.choice(NAMES[:2]), random.choice(DOMAINS)
        yield "e-mail, disguised", phrases["mail"], FORMATS["disguises"][language].format(name, domain)
        yield "handle", plain, _handle(random)
        yield "profile", plain, _profile(random)
        yield "network address", plain, _network_address(random)
        yield "coordinates", plain, _coordinates(random)


def _ordinary(language: str, phrases: dict[str, str], random: Random) -> Iterator[tuple[str, str, str]]:
    for _ in range(6):
        low = random.randrange(100, 3000)
        yield "range", phrases["range"], f"{low}{random.choice(DASHES)}{low + random.randrange(50, 6000)}"
        year = random.randrange(1960, 2026)
        number = random.randrange(10, 3000)
        yield (
            "act",
            phrases["act"],
            random.choice([f"{number}/{year}", f"{year}/{number}", f"{number}/{year % 100:02}"]),
        )
        yield "date", phrases["dated"], _date(language, random, random.randrange(1990, 2027), with_time=True)
        yield "ISBN", random.choice([phrases["book"], phrases["plain"]]), _isbn(random)
        yield "count", phrases["count"], random.choice(". ,").join(_thousands(random))
        yield (
            "version",
            phrases["version"],
            ".".join(str(random.randrange(1, 30)) for _ in range(random.choice([3, 4]))),
        )
        yield "epoch", phrases["plain"], str(random.randrange(1_000_000_000, 1_900_000_000))


def _thousands(random: Random) -> list[str]:
    return [str(random.randrange(1, 99)), *(f"{random.randrange(1000):03}" for _ in range(2))]


def _digits(random: Random, count: int) -> str:
    return "".join(random.choices(string.digits, k=count))


DASHES = "-\u2013"
_SIGNS = {"#": string.digits, "@": "ABCDEFGHJKLMNPRSTVXYZ", "%": "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c"}


def _fill(template: str, random: Random) -> str:
    """Fill the signs of a template with digits, letters and the number of a house."""
    return "".join(
        random.choice(_SIGNS[sign]) if sign in _SIGNS else str(random.randrange(1, 180)) if sign == "№" else sign
        for sign in template
    )


def _iban(country: str, random: Random) -> str:
    structure = numdb.get("iban").info(country)[0][1]["bban"]
    letters = {"n": string.digits, "a": string.ascii_uppercase, "c": string.digits + string.ascii_uppercase}
    parts = re.findall("([0-9]+)!([nac])", structure)
    while True:
        body = "".join("".join(random.choices(letters[kind], k=int(count))) for count, kind in parts)
        number = f"{country}{iban.calc_check_digits(f'{country}00{body}')}{body}"
        if iban.is_valid(number):
            return number if random.random() < 0.5 else str(iban.format(number))


def _card(random: Random) -> str:
    bare = random.choice(["4", "51", "54"])
    bare += _digits(random, 15 - len(bare))
    bare += luhn.calc_check_digit(bare)
    separator = random.choice(["", " ", "-"])
    return separator.join(bare[at : at + 4] for at in range(0, 16, 4))


def _isbn(random: Random) -> str:
    """Make an ISBN of either length, hyphenated as its agency does."""
    ten = f"{random.choice('0123')}{_digits(random, 8)}"
    check = next(sign for sign in string.digits + "X" if isbn.is_valid(ten + sign))
    return isbn.format(isbn.to_isbn13(ten + check) if random.random() < 0.7 else ten + check)


@cache
def _example(country: str, kind: int) -> phonenumbers.PhoneNumber:
    found = phonenumbers.example_number_for_type(country, kind)
    assert found is not None
    return found


def phone(country: str, random: Random) -> phonenumbers.PhoneNumber:
    """Make a number of a country, a mobile or a landline: an example of the plan with other last digits."""
    kind = random.choice([phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE])
    digits = phonenumbers.format_number(_example(country, kind), phonenumbers.PhoneNumberFormat.E164)
    while True:
        made = phonenumbers.parse(digits[:-4] + _digits(random, 4))
        if phonenumbers.is_valid_number(made):
            return made


def _international(language: str, random: Random) -> str:
    made = phone(COUNTRIES[language], random)
    written = phonenumbers.format_number(made, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    return random.choice([written, written.replace(" ", ""), written.replace(" ", "-"), f"00{written[1:]}"])


def _national_phones(country: str, random: Random) -> Iterator[str]:
    """Write numbers in eight ways: as the plan does, and as people do."""
    for _ in range(4):
        written = phonenumbers.format_number(phone(country, random), phonenumbers.PhoneNumberFormat.NATIONAL)
        bare = "".join(sign for sign in written if sign.isdigit())
        groups = written.replace("-", " ").replace("(", "").replace(")", "").replace("/", " ").split()
        if len(groups) == 1:
            groups = [bare[:3], bare[3:]]
        yield written
        yield bare
        yield "-".join(groups)
        yield ".".join(groups)
        yield f"({groups[0]}) {' '.join(groups[1:])}"
        yield f"{groups[0]}/{''.join(groups[1:])}"
        yield " ".join(
            [bare[: len(bare) % 2 + 2], *(bare[at : at + 2] for at in range(len(bare) % 2 + 2, len(bare), 2))]
        )
        yield "\u00a0".join(groups)


def birth_date(language: str, random: Random) -> str:
    return _date(language, random, random.randrange(1940, 2008))


def _date(language: str, random: Random, year: int, *, with_time: bool = False) -> str:
    day, month = random.randrange(1, 29), random.randrange(1, 13)
    style = random.choice(FORMATS["dates"][language] + (["{y}-{m:02}-{d:02} 20:17"] if with_time else []))
    name = random.choice(FORMATS["months"][language].split())
    return str(style.format(y=year, m=month, d=day, month=name, yy=f"{year % 100:02}"))


def _national_id(language: str, random: Random) -> str:
    templates, is_valid = NATIONAL_IDS[language]
    template = random.choice(templates)
    year, month, day = random.randrange(50, 99), random.randrange(1, 13), random.randrange(1, 29)
    for place, value in (("yy", year), ("mm", month), ("dd", day)):
        template = template.replace(place, f"{value:02}")
    while True:
        made = _fill(template, random)
        if is_valid(made):
            return made


def _handle(random: Random) -> str:
    name = random.choice(["janedoe", "tomek_k", "lea99", "marco.r", "ines_s"])
    return random.choice(
        [f"@{name}", f"u/{name.replace('.', '')}", f"{name.replace('_', '-')}.bsky.social",
         f"{name.replace('.', '')}#4711", f"@{name}@social.example", "did:plc:ewvi7nxzyoun6zhxrhs64oiz"]
    )  # fmt: skip


def _profile(random: Random) -> str:
    name = random.choice(["janedoe", "tomek_k", "lea99", "ines_s"])
    return random.choice(
        [f"https://www.facebook.com/{name}", f"keybase.io/{name}", f"https://social.example/@{name}",
         f"instagram.com/{name}", f"https://www.linkedin.com/in/{name}", f"https://t.me/{name}"]
    )  # fmt: skip


def _network_address(random: Random) -> str:
    four = ".".join(str(random.randrange(40, 250)) for _ in range(4))
    return random.choice(
        [four, f"2001:db8::{random.randrange(4096, 65535):x}:{random.randrange(4096, 65535):x}", f"::ffff:{four}"]
    )


def _coordinates(random: Random) -> str:
    north, east = random.uniform(36, 69), random.uniform(1, 29)
    return random.choice(
        [f"{north:.6f}, {east:.6f}", f"{north:.5f} {east:.5f}", f"{int(north)}°12'34\"N {int(east)}°45'06\"E"]
    )
