"""A second collection of labelled texts, written from published formats before its author read any pattern.

The formats are those of ICAO 9303 and the states' own pages (documents), CLDR (dates), the Universal Postal Union
(addresses), E.123 and the numbering plans in `phonenumbers` (phones), and python-stdnum's checks. What depends on the
language is in `sentences.json`. Each kind of sentence has two versions for tuning and two that stay unseen; the values
differ too. In templates # is a digit, @ a capital letter, ^ a Cyrillic and % a Greek one that looks like a Latin one,
~ one of an Eircode.
"""

import json
import string
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final

import phonenumbers
from phonenumbers import PhoneNumberFormat, PhoneNumberType
from stdnum import ean, iban, isbn, issn, luhn

from tests.support.labelled_texts import COUNTRIES, WITH_CUE, LabelledText
from tests.support.repository import ROOT
from tests.support.second_national_numbers import national_numbers

TUNING, UNSEEN = "tuning", "unseen"
SENTENCES: dict[str, dict[str, Any]] = json.loads(
    (ROOT / "tests" / "db" / "deidentification" / "sentences.json").read_text(encoding="utf-8")
)
PHONE_LANGUAGES: Final = {country: language for language, country in COUNTRIES.items() if language != "ga"} | {
    "AT": "de-AT", "BE": "fr-BE", "CY": "el-CY", "LU": "de-LU", "LI": "de-LI", "CH": "de-CH", "GB": "en-GB", "NO": "nb",
    "IS": "is",
}  # fmt: skip
CALLS: Final = {
    "nb": ["Ring tlf. {} etter jobb.", "Mobil: {}", "Telefonnummeret mitt er {}.", "Ring {} når som helst."],
    "is": ["Hringdu í síma {}.", "Sími: {}", "Símanúmerið mitt er {}.", "Farsími: {}"],
}
_SIGNS: Final = {
    "#": string.digits, "@": "ABCDEFGHJKLMNPRSTVXYZ",
    "^": "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425",
    "%": "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7",
    "~": "ACDEFHKNPRTVWXY",
}  # fmt: skip
_LOCALS: Final = (
    "mara.lind", "tobi_w", "h-kovacs", "peter77", "info.verein", "o'leary", "jo+news", "A.Berg", "x", "anna.maria.k",
)  # fmt: skip
_DOMAINS: Final = (
    "example.org", "example.com", "mail.example.net", "uni.example", "a-b.example.org", "b\u00fccher.example",
)  # fmt: skip
_NAMES: Final = ("maralind", "tobi_w", "hkovacs", "peter77", "luna_b", "jan-m")
_THOUSANDS: Final = {"en": ",", "mt": ",", "ga": ",", "de": ".", "nl": ".", "it": ".", "es": ".", "el": ".", "da": "."}


def second_texts(half: str) -> list[LabelledText]:
    """Make the texts of one half, the same each time."""
    made = []
    for language in SENTENCES:
        random = Random(f"{half} {language}")
        for kind, sentence, value in _identifiers(language, half, random):
            made.append(_place(language, kind, sentence, value, is_found=True))
        for kind, sentence, value in _ordinary(language, half, random):
            made.append(_place(language, kind, sentence, value, is_found=False))
    for country, language in PHONE_LANGUAGES.items():
        random = Random(f"{half} {country}")
        for value in _national_phones(country, random):
            calls = CALLS.get(language) or SENTENCES[language[:2]]["phone"]
            plain = calls if country in WITH_CUE else SENTENCES[language[:2]]["plain"]
            sentence = _choose(random.choice([calls, plain]), half, random)
            made.append(_place(language, "phone, national", sentence, value, is_found=True))
    return made


def _choose(sentences: list[str], half: str, random: Random) -> str:
    """Choose a sentence of a half: the first ones are for tuning."""
    middle = len(sentences) // 2
    return random.choice(sentences[:middle] if half == TUNING else sentences[middle:])


def _place(language: str, kind: str, sentence: str, value: str, *, is_found: bool) -> LabelledText:
    before, after = sentence.split("{}")
    return LabelledText(language, kind, before + value + after, len(before), len(before) + len(value), is_found)


def _identifiers(language: str, half: str, random: Random) -> Iterator[tuple[str, str, str]]:
    words = SENTENCES[language]

    def sentence(name: str) -> str:
        return _choose(words[name], half, random)

    for _ in range(6):
        yield "e-mail", sentence("plain"), f"{random.choice(_LOCALS)}@{random.choice(_DOMAINS)}"
        yield "IBAN", sentence("plain"), _iban(random)
        yield "card", sentence("plain"), _card(random)
        yield "phone, international", random.choice([sentence("plain"), sentence("phone")]), _international(random)
        yield "address", sentence("live"), _address(words, random)
        yield "birth date", sentence("born"), _date(words, random.randrange(1935, 2012), random)
        yield "plate", sentence("plate"), fill(random.choice(words["plates"]), random)
        yield "document", sentence("document"), fill(random.choice(words["documents"]), random)
    for _ in range(3):
        yield "e-mail, disguised", sentence("plain"), _disguised(words, random)
        yield "handle", sentence("plain"), _handle(random)
        yield "profile", sentence("plain"), _profile(random)
        yield "network address", sentence("plain"), _network_address(random)
        yield "coordinates", sentence("plain"), _coordinates(random)
    for cue, value in national_numbers(language, random):
        before, after = sentence("plain").split("{}")
        yield "national number", f"{before}{cue} {{}}{after}" if cue else f"{before}{{}}{after}", value


def _ordinary(language: str, half: str, random: Random) -> Iterator[tuple[str, str, str]]:
    words = SENTENCES[language]

    def sentence(name: str) -> str:
        return _choose(words[name], half, random)

    for _ in range(6):
        yield "range", sentence("range"), _range(language, random)
        yield "act", sentence("act"), _act(random)
        yield "date", sentence("dated"), _date(words, random.randrange(1990, 2030), random) + _time(random)
        yield "ISBN", sentence("book"), _isbn(random)
        yield "count", sentence("count"), _count(language, random)
        yield "other number", sentence("plain"), _other_number(random)


def fill(template: str, random: Random) -> str:
    """Fill a template with digits and letters."""
    return "".join(random.choice(_SIGNS[sign]) if sign in _SIGNS else sign for sign in template)


def _iban(random: Random) -> str:
    shapes = {
        "DE": "##################", "FR": "#######################", "NL": "@@@@##########", "IE": "@@@@##############",
        "PL": "########################", "MT": "@@@@#####@@@@@@@@@@@@@#####", "NO": "###########", "ES": "#" * 20,
    }  # fmt: skip
    while True:
        country = random.choice(list(shapes))
        body = fill(shapes[country], random)
        number = f"{country}{iban.calc_check_digits(f'{country}00{body}')}{body}"
        if iban.is_valid(number):
            return random.choice([number, str(iban.format(number)), str(iban.format(number)).replace(" ", "\u00a0")])


def _card(random: Random) -> str:
    start, length, groups = random.choice(
        [("4", 16, (4, 4, 4, 4)), ("52", 16, (4, 4, 4, 4)), ("2221", 16, (4, 4, 4, 4)), ("37", 15, (4, 6, 5))]
    )
    bare = start + fill("#" * (length - 1 - len(start)), random)
    bare += luhn.calc_check_digit(bare)
    places = [sum(groups[:at]) for at in range(len(groups))]
    parts = [bare[place : place + size] for place, size in zip(places, groups, strict=True)]
    return random.choice(["", " ", "-", "\u00a0"]).join(parts)


def _phone(country: str, random: Random) -> phonenumbers.PhoneNumber:
    kind = random.choice([PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE])
    example = phonenumbers.example_number_for_type(country, kind)
    assert example is not None
    digits = phonenumbers.format_number(example, PhoneNumberFormat.E164)
    while True:
        kept = len(digits) - random.choice([4, 5, 6])
        made = phonenumbers.parse(digits[:kept] + fill("#" * (len(digits) - kept), random))
        if phonenumbers.is_valid_number(made):
            return made


def _international(random: Random) -> str:
    made = _phone(random.choice(list(PHONE_LANGUAGES)), random)
    written = phonenumbers.format_number(made, PhoneNumberFormat.INTERNATIONAL)
    code, _, rest = written.partition(" ")
    return random.choice(
        [written, written.replace(" ", ""), f"00{written[1:]}", f"{code}.{rest.replace(' ', '')}", f"({code}) {rest}",
         written.replace(" ", "\u00a0"), f"{code}-{rest.replace(' ', '-')}"]
    )  # fmt: skip


def _national_phones(country: str, random: Random) -> Iterator[str]:
    """Write three numbers in eight ways each: as the plan does, and as people do."""
    for _ in range(3):
        written = phonenumbers.format_number(_phone(country, random), PhoneNumberFormat.NATIONAL)
        bare = "".join(sign for sign in written if sign.isdigit())
        groups = "".join(sign if sign.isdigit() else " " for sign in written).split()
        if len(groups) == 1:
            groups = [bare[:2], bare[2:5], bare[5:]]
        first, rest = groups[0], "".join(groups[1:])
        pairs = " ".join(rest[at : at + 2] for at in range(0, len(rest), 2))
        yield from (written, bare, "-".join(groups), ".".join(groups), f"({first}) {rest}", f"{first}/{pairs}")
        yield f"{first} {pairs}"
        yield f"{first}-{rest}"


def _address(words: dict[str, Any], random: Random) -> str:
    return str(
        random.choice(words["addresses"]).format(
            s=random.choice(words["streets"]), n=random.randrange(1, 199), c=random.choice(words["cities"]),
            p=fill(words["post"].replace("#", str(random.randrange(1, 10)), 1), random),
        )
    )  # fmt: skip


def _date(words: dict[str, Any], year: int, random: Random) -> str:
    month, day = random.randrange(1, 13), random.randrange(4, 21)
    form = random.choice([*words["dates"], "{y}-{m:02}-{d:02}"])
    return str(form.format(y=year, m=month, d=day, M=words["months"][month - 1]))


def _time(random: Random) -> str:
    return random.choice(["", "", f" {random.randrange(24):02}:{random.randrange(60):02}"])


def _disguised(words: dict[str, Any], random: Random) -> str:
    name, host = random.choice(["mara.lind", "tobi", "h-kovacs"]), random.choice(["example", "mail-service"])
    at, dot = random.choice(words["at"]), random.choice(words["dot"])
    return random.choice(
        [f"{name}({at}){host}.org", f"{name} [at] {host} [dot] org", f"{name} ({at}) {host} ({dot}) org",
         f"{name}@{host}[.]org", f"{name} {at} {host} {dot} org", f"{name} @ {host}.org",
         f"{name}[{at}]{host}[{dot}]com"]
    )  # fmt: skip


def _handle(random: Random) -> str:
    name = random.choice(_NAMES)
    plain = name.replace("-", "").replace("_", "")
    return random.choice(
        [f"@{plain}", f"u/{name}", f"/u/{name}", f"{plain}.bsky.social", f"{plain}#{random.randrange(1000, 10000)}",
         f"@{plain}@mastodon.example", f"@{plain}:matrix.example"]
    )  # fmt: skip


def _profile(random: Random) -> str:
    name = random.choice(_NAMES[:3])
    return random.choice(
        [f"https://www.instagram.com/{name}/", f"https://x.com/{name}", f"https://github.com/{name}", f"t.me/{name}",
         f"https://www.tiktok.com/@{name}", f"www.{name.replace('_', '-')}.example", f"https://{name.strip('_w')}.example/",
         f"https://mastodon.example/users/{name}", f"fb.com/{name}"]
    )  # fmt: skip


def _network_address(random: Random) -> str:
    four = ".".join(str(random.randrange(30, 255)) for _ in range(4))
    groups = [f"{random.randrange(1, 65536):x}" for _ in range(6)]
    pairs = [f"{random.randrange(256):02x}" for _ in range(6)]
    return random.choice(
        [four, f"2001:db8:{':'.join(groups)}", f"fe80::{groups[0]}:{groups[1]}", f"64:ff9b::{four}", f"::ffff:{four}",
         ":".join(pairs), "-".join(pairs).upper()]
    )  # fmt: skip


def _coordinates(random: Random) -> str:
    north, east = random.uniform(36, 69), random.uniform(5, 29)
    minutes = random.uniform(0, 59)
    return random.choice(
        [f"{north:.6f},{east:.6f}", f"{north:.4f}, {east:.4f}", f"{north:.4f}° N, {east:.4f}° E",
         f"geo:{north:.5f},{east:.5f}",
         f"{int(north)}°{int(minutes):02}'{minutes:04.1f}\"N {int(east)}°{int(minutes):02}'{minutes:04.1f}\"E",
         f"N {int(north)}° {minutes:06.3f}' E {int(east):03}° {minutes:06.3f}'"]
    )  # fmt: skip


def _grouped(number: int, language: str, random: Random) -> str:
    separator = _THOUSANDS.get(language, random.choice([" ", "\u00a0", "\u202f"]))
    return f"{number:,}".replace(",", separator)


def _range(language: str, random: Random) -> str:
    low = random.choice([random.randrange(2, 90), random.randrange(100, 900), random.randrange(1000, 40000)])
    high = low + random.randrange(1, low + 5)
    dash = random.choice(["-", "\u2013", " - ", " \u2013 "])
    if low > 1000 and random.random() < 0.5:
        return f"{_grouped(low, language, random)}{dash}{_grouped(high, language, random)}"
    return f"{low}{dash}{high}"


def _act(random: Random) -> str:
    year, number = random.randrange(1962, 2027), random.randrange(3, 3200)
    return random.choice(
        [f"{year}/{number}", f"{number}/{year}", f"{number}/{year % 100:02}", f"C-{number % 900}/{year % 100:02}",
         f"{number}-{year}", f"II {number % 900}/{year}"]
    )  # fmt: skip


def _isbn(random: Random) -> str:
    body = f"978{random.choice(['0', '1', '2', '3', '80', '83', '84', '88', '90', '91', '951', '953', '963', '972'])}"
    body = (body + fill("#" * 9, random))[:12]
    number = body + ean.calc_check_digit(body)
    short = str(isbn.to_isbn10(number))
    label = random.choice(["ISBN ", "ISBN: ", "ISBN-13: ", ""])
    return random.choice([f"{label}{isbn.format(number)}", f"{label}{number}", f"{label}{isbn.format(number, ' ')}",
                          f"ISBN-10: {isbn.format(short)}", f"ISBN {short}"])  # fmt: skip


def _count(language: str, random: Random) -> str:
    return _grouped(
        random.choice([random.randrange(10_000, 900_000), random.randrange(10**6, 10**8)]), language, random
    )


def _other_number(random: Random) -> str:
    whole, year = random.randrange(100, 9999), random.randrange(1950, 2027)
    serial = fill("#######", random)
    makers: list[Callable[[], str]] = [
        lambda: f"{whole}x{random.randrange(100, 9999)}",
        lambda: f"{whole},{random.randrange(10, 99)} \u20ac",
        lambda: f"{year}/{(year + 1) % 100:02}",
        lambda: f"{random.randrange(1, 12)}.{random.randrange(30)}.{random.randrange(30)}",
        lambda: f"{random.randrange(24):02}:{random.randrange(60):02}:{random.randrange(60):02}",
        lambda: f"ISSN {issn.format(serial + issn.calc_check_digit(serial))}",
        lambda: f"doi:10.{random.randrange(1000, 9999)}/{whole}.{random.randrange(100)}",
        lambda: f"{random.randrange(1, 99)}.{random.randrange(1, 999):03} km",
        lambda: f"#{whole}",
        lambda: f"{random.randrange(10)}:{random.randrange(10)}",
    ]
    return random.choice(makers)()
