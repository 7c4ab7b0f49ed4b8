"""De-identification: what is found, what stays, and that no text is too odd or too long for it.

Every number is made up while the test runs: drawn at random and kept when its check digits fit.
"""

import random
import re
import time
from functools import cache
from itertools import product
from string import ascii_uppercase, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import iban, numdb

import db.deidentification.text as pipeline
from db.deidentification import national_numbers, numbers
from db.deidentification.national_numbers import LATE_NUMBERS, LETTERED_FORMATS, NATIONAL_ID, NUMBERS, NumberFormat
from db.deidentification.text import DETECTOR_STAGES, PIPELINE_VERSION, Detector, DetectorStage, deidentify

EEA = [
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IS", "IT", "LI", "LT",
    "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
]  # fmt: skip


def rivals(number: NumberFormat, grouping: str) -> list[NumberFormat]:
    """Return the kinds that would be found instead of this one, or stand in for it if it were missing."""
    kinds = [*NUMBERS, *LATE_NUMBERS]
    place = kinds.index(number)
    return [
        kind
        for index, kind in enumerate(kinds)
        if kind is not number
        and grouping in kind.groupings.split()
        and (index < place or kind.placeholder == number.placeholder)
    ]


def fits(number: NumberFormat, bare: str) -> bool:
    return re.fullmatch(number.pattern, bare) is not None and number.is_valid(bare)


@cache
def made_up(number: NumberFormat, grouping: str, separator: str = " ") -> str:
    """Draw digits that fit this kind and no rival, and write them in groups."""
    lengths = [int(length) for length in grouping.split("-")]
    draw = random.Random(f"{number.name} {grouping}")
    while True:
        bare = "".join(draw.choices(digits, k=sum(lengths)))
        is_other = bare.endswith("000") or (number in LATE_NUMBERS and bare[0] == "0")
        if fits(number, bare) and not is_other and not any(fits(rival, bare) for rival in rivals(number, grouping)):
            break
    groups = iter(bare)
    return separator.join("".join(next(groups) for _ in range(length)) for length in lengths)


def completed(name: str, template: str) -> str:
    """Fill each ? of a template with the first characters that make the number valid."""
    [kind] = [kind for kind in LETTERED_FORMATS if kind.name == name]
    for filling in product(digits + ascii_uppercase, repeat=template.count("?")):
        filled = template.replace("?", "{}").format(*filling)
        if re.fullmatch(kind.pattern, filled) and kind.is_valid(filled):
            return filled
    raise AssertionError(f"nothing completes {template} as {name}")


def made_up_iban(country: str) -> str:
    structure = numdb.get("iban").info(country)[0][1]["bban"]
    parts = re.findall("([0-9]+)!([nac])", structure)
    account = "".join({"n": "1", "a": "Q", "c": "7"}[kind] * int(length) for length, kind in parts)
    return f"{country}{iban.calc_check_digits(f'{country}00{account}')}{account}"


def in_fours(number: str) -> str:
    return " ".join(number[at : at + 4] for at in range(0, len(number), 4))


def language_of(number: NumberFormat) -> str | None:
    """Return a tag of no language, and of the country whose number it is."""
    return f"und-{min(number.countries)}" if number.countries else None


def words_before(number: NumberFormat) -> str:
    """Return the words before a number: its name, where no language makes it likely enough."""
    return "my NIP" if number.is_weak and number.name == "nip" else "it is"


CARD = made_up(NUMBERS[1], "16")
WRITTEN = [
    pytest.param(number, grouping, id=f"{number.name} {grouping}")
    for number in (*NUMBERS, *LATE_NUMBERS)
    for grouping in number.groupings.split()
]
LETTERED_WRITTEN = [
    pytest.param(name, completed(name, template), id=f"{name} {template}")
    for name, templates in {
        "cy.tic": ["0001234??"],
        "es.nif": ["0001234??", "00.012.34?-?", "1.012.34?-?", "00 012 34? ?", "X000123??", "Y-000123?-?", "K000123??"],
        "fi.hetu": ["010190-90??", "010100A90??", "010190+90??"],
        "fr.nir": ["100012A00000???", "1 00 01 2B 000 00? ??"],
        "ie.pps": ["000123??", "000123?-?", "000123??A"],
        "it.codicefiscale": ["QQQQQQ00A01Q00??", "QQQ QQQ 00A01 Q00? ?", "QQQQQQ0LALMQLL??"],
        "mt.id": ["0001234M"],
        "pt.cc": ["0001234? 0 ZZ?", "0001234?0ZZ?"],
    }.items()
    for template in templates
]


@pytest.mark.parametrize(("number", "grouping"), WRITTEN)
def test_a_number_is_found_in_each_way_to_write_it(number: NumberFormat, grouping: str) -> None:
    text = f"{words_before(number)} {made_up(number, grouping)}, write it down"
    assert deidentify(text, (), language_of(number)) == f"{words_before(number)} {number.placeholder}, write it down"


@pytest.mark.parametrize("number", [*NUMBERS, *LATE_NUMBERS], ids=lambda number: number.name)
def test_a_number_is_found_by_no_other_entry_of_the_catalogue(
    number: NumberFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = made_up(number, number.groupings.split()[0])
    for name, kinds in (("_EARLY", NUMBERS), ("_LATE", LATE_NUMBERS)):
        monkeypatch.setattr(numbers, name, numbers.index_by_lengths(kind for kind in kinds if kind is not number))
    assert deidentify(written, (), language_of(number)) != number.placeholder


@pytest.mark.parametrize("number", [number for number in NUMBERS if number.is_weak], ids=lambda number: number.name)
def test_a_number_that_proves_little_needs_its_language_or_its_name(number: NumberFormat) -> None:
    written = made_up(number, number.groupings.split()[0])
    assert deidentify(f"it is {written}.", (), "en") == f"it is {written}."
    assert deidentify(f"NIF: {written}.", (), "en") == f"NIF: {number.placeholder}."


@pytest.mark.parametrize(("name", "written"), LETTERED_WRITTEN)
def test_a_number_with_letters_is_found_in_either_case(name: str, written: str) -> None:
    assert deidentify(f"it is {written}.") == f"it is {NATIONAL_ID}."
    if name != "mt.id" and written[-2] != " ":
        assert deidentify(f"it is {written.lower()}.") == f"it is {NATIONAL_ID}."


@pytest.mark.parametrize(("name", "written"), LETTERED_WRITTEN)
def test_a_number_with_letters_is_found_by_no_other_entry(
    name: str, written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [
        entry for kind, entry in zip(LETTERED_FORMATS, national_numbers._LETTERED, strict=True) if kind.name != name
    ]
    monkeypatch.setattr(national_numbers, "_LETTERED", others)
    assert deidentify(written) != NATIONAL_ID


@pytest.mark.parametrize("country", EEA)
def test_an_iban_is_found_with_and_without_spaces_and_in_lower_case(country: str) -> None:
    number = made_up_iban(country)
    for written in (number, number.lower(), in_fours(number), in_fours(number).lower(), f"IBAN{number}"):
        assert deidentify(f"{written}!").removeprefix("IBAN") == "[IBAN]!"


def test_an_iban_with_a_wrong_check_digit_is_none() -> None:
    number = made_up_iban("DE")
    wrong = f"DE{(int(number[2:4]) + 1) % 100:02}{number[4:]}"
    assert deidentify(wrong) is wrong


@pytest.mark.parametrize(
    "phone",
    [
        "+49 170 1234567", "+49 (0)170 / 123 45 67", "(+49) 170 1234567", "+4917012345678", "0049 170 1234567",
        "+33 6 12 34 56 78", "00 33 6 12 34 56 78", "+352 621 123 456", "+354 581 2345", "+356 2123 4567",
        "+45 12 34 56 78", "+358-40-1234567", "+ 39 347 1234567", "+420.601.123.456",
        "0170 1234567", "0170/1234567", "(0170) 1234567", "030-12 34 56 78", "(0)170 1234567", "0664 1234567",
        "06 12 34 56 78", "06.12.34.56.78", "06-12-34-56-78", "0612345678", "06-12345678", "020 123 4567",
        "0470 12 34 56", "070-123 45 67", "040 1234567", "085 123 4567", "0888 123 456", "041 123 456",
        "091 123 4567", "0905 123 456", "0722 123 456", "06 20 123 4567", "06 1234 5678", "347 1234567",
        "694 123 4567", "210 1234567", "91 123 45 67", "612 34 56 78", "912 345 678", "22 123 45 67", "777 123 456",
        "601-123-456", "412 34 567", "22 33 44 55", "26 12 34 56", "5123 4567", "21 234 567", "8 612 34567",
        "9912 3456", "99 123456", "581-2345", "(555) 123-4567",
    ],
)  # fmt: skip
def test_a_phone_number_is_found_as_it_is_written_at_home_or_abroad(phone: str) -> None:
    assert deidentify(f"Tel. {phone}, bitte") in {"Tel. [PHONE], bitte", "Tel. [NATIONAL_ID], bitte"}


def test_two_phone_numbers_in_a_row_are_both_found() -> None:
    assert deidentify("0170 1234567 0171 7654321", (), "de") == "[PHONE] [PHONE]"
    assert deidentify("512 345 678,512 345 678", (), "pl") == "[PHONE],[PHONE]"


DETECTED = [
    pytest.param("find_emails", "jane@example.org", "[EMAIL]", id="e-mail"),
    pytest.param("find_emails", "jane.o'doe+news@mail.example.co.uk", "[EMAIL]", id="e-mail, every sign"),
    pytest.param("find_emails", "žofie@příklad.example", "[EMAIL]", id="e-mail, letters beyond ASCII"),
    pytest.param("find_emails", "jane@xn--e1afmkfd.xn--p1ai", "[EMAIL]", id="e-mail, punycode"),
    pytest.param("find_emails", "jane (at) example (dot) org", "[EMAIL]", id="e-mail, words in brackets"),
    pytest.param("find_emails", "jane [at] example.org", "[EMAIL]", id="e-mail, at in brackets"),
    pytest.param("find_emails", "jane{AT}example{DOT}org", "[EMAIL]", id="e-mail, braces"),
    pytest.param("find_emails", "jane(arroba)example(punto)org", "[EMAIL]", id="e-mail, in Spanish"),
    pytest.param("find_emails", "jane @ example.org", "[EMAIL]", id="e-mail, spaces"),
    pytest.param("find_emails", "jane@example DOT org", "[EMAIL]", id="e-mail, dot in a word"),
    pytest.param("find_emails", "jane.doe @example.org", "[EMAIL]", id="e-mail, a space"),
    pytest.param("find_emails", "jane(małpa)example.pl", "[EMAIL]", id="e-mail, in Polish"),
    pytest.param("find_emails", "jane(zavináč)example(tečka)cz", "[EMAIL]", id="e-mail, in Czech"),
    pytest.param("find_bare_handles", "u/janedoe", "[HANDLE]", id="handle, Reddit"),
    pytest.param("find_bare_handles", "did:plc:ewvi7nxzyoun6zhxrhs64oiz", "[HANDLE]", id="DID"),
    pytest.param("find_bare_handles", "jane#1234", "[HANDLE]", id="handle, Discord"),
    pytest.param("find_coordinates", "52.520008, 13.404954", "[LOCATION]", id="coordinates"),
    pytest.param("find_handles", "@jane", "[HANDLE]", id="handle"),
    pytest.param("find_handles", "@jane.doe_99", "[HANDLE]", id="handle, dots and digits"),
    pytest.param("find_handles", "@žofie", "[HANDLE]", id="handle, letters beyond ASCII"),
    pytest.param("find_handles", "@हिन्दी", "[HANDLE]", id="handle, combining marks"),
    pytest.param("find_handles", "@jane:server.example", "[HANDLE]", id="handle, Matrix"),
    pytest.param("find_handles", "@101greetings", "[HANDLE]", id="handle, digits first"),
    pytest.param("find_handles", "@[100012:1:Jane Doe]", "[HANDLE]", id="handle, as a mention is stored"),
    pytest.param("find_ip_addresses", "192.168.1.10", "[IP]", id="IPv4"),
    pytest.param("find_ip_addresses", "2001:db8::8a2e:370:7334", "[IP]", id="IPv6"),
    pytest.param("find_ip_addresses", "2001:0DB8:0:0:0:0:0:1", "[IP]", id="IPv6, in full"),
    pytest.param("find_ip_addresses", "fe80::1%eth0", "[IP]", id="IPv6, with zone"),
    pytest.param("find_ip_addresses", "::ffff:192.0.2.1", "[IP]", id="IPv6, with an IPv4 tail"),
    pytest.param("find_mac_addresses", "00:1a:2B:3c:4d:5e", "[DEVICE]", id="MAC"),
    pytest.param("find_mac_addresses", "00-1A-2B-3C-4D-5E", "[DEVICE]", id="MAC, hyphens"),
    pytest.param("find_mac_addresses", "001a.2b3c.4d5e", "[DEVICE]", id="MAC, in fours"),
    pytest.param("find_ibans", in_fours(made_up_iban("NL")), "[IBAN]", id="IBAN"),
    pytest.param("find_lettered", completed("es.nif", "X000123??"), "[NATIONAL_ID]", id="NIE"),
    pytest.param("find_numbers", in_fours(CARD), "[CARD]", id="card"),
    pytest.param("find_numbers", "+49 170 1234567", "[PHONE]", id="phone"),
    pytest.param("find_urls", "https://jane:secret@example.org/", "[URL]", id="URL, userinfo"),
    pytest.param("find_urls", "https://example.org/unsubscribe/jane@example.org", "[URL]", id="URL, e-mail"),
    pytest.param("find_urls", "https://example.org/unsubscribe/jane%40example.org", "[URL]", id="URL, escaped e-mail"),
    pytest.param("find_urls", "https://example.org/call/0170-123-4567", "[URL]", id="URL, phone"),
    pytest.param("find_urls", "https://example.org/search?q=jane", "[URL]", id="URL, query"),
    pytest.param("find_urls", "https://example.org/app#token=abc", "[URL]", id="URL, fragment"),
    pytest.param("find_urls", "https://example.org/orders/20231234", "[URL]", id="URL, digits"),
    pytest.param("find_urls", "https://example.org/f/123e4567-e89b-12d3-a456-426614174000", "[URL]", id="URL, UUID"),
    pytest.param("find_urls", "https://example.org/r/aZ81kLq0", "[URL]", id="URL, short token"),
    pytest.param("find_urls", "https://example.org/r/0a1b2c3d4e5f6071", "[URL]", id="URL, long token"),
    pytest.param("find_urls", "http://192.168.1.10/admin", "[URL]", id="URL, IPv4 host"),
    pytest.param("find_urls", "http://[2001:db8::1]/admin", "[URL]", id="URL, IPv6 host"),
    pytest.param("find_urls", "https://facebook.com/jane.doe", "[URL]", id="URL, social network"),
    pytest.param("find_urls", "www.Facebook.com/jane.doe", "[URL]", id="URL, without scheme"),
    pytest.param("find_urls", "de-de.facebook.com/jane.doe", "[URL]", id="URL, bare"),
    pytest.param("find_urls", "https://www.linkedin.com/in/jane-doe/", "[URL]", id="URL, profile"),
    pytest.param("find_urls", "https://video.example/@jane", "[URL]", id="URL, handle"),
    pytest.param("find_urls", "https://forum.example/user/jane", "[URL]", id="URL, user"),
    pytest.param("find_urls", "https://jane.tumblr.com", "[URL]", id="URL, subdomain"),
    pytest.param("find_urls", "keybase.io/jane", "[URL]", id="URL, Keybase"),
    pytest.param("find_urls", "mailto:jane@example.org", "[URL]", id="mailto"),
    pytest.param("find_urls", "tel:+49-170-1234567", "[URL]", id="tel"),
]


@pytest.mark.parametrize(("detector", "text", "placeholder"), DETECTED)
def test_an_identifier_becomes_its_placeholder(detector: str, text: str, placeholder: str) -> None:
    assert deidentify(text) == placeholder
    assert deidentify(f"Look: {text}, yes. ") == f"Look: {placeholder}, yes. "
    assert deidentify(f"„{text}”\n({text})") == f"„{placeholder}”\n({placeholder})"


@pytest.mark.parametrize(("detector", "text", "placeholder"), DETECTED)
def test_a_missing_detector_is_noticed(
    detector: str, text: str, placeholder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kept(detectors: tuple[Detector, ...]) -> list[Detector]:
        return [kept for kept in detectors if kept.__name__ != detector]

    stages = [DetectorStage(stage.characters, stage.surroundings, *kept(stage.detectors)) for stage in DETECTOR_STAGES]
    assert sum(len(stage.detectors) for stage in DETECTOR_STAGES) == 1 + sum(len(stage.detectors) for stage in stages)
    monkeypatch.setattr(pipeline, "DETECTOR_STAGES", stages)
    assert deidentify(text) != placeholder


@pytest.mark.parametrize(("detector", "text", "placeholder"), DETECTED)
def test_an_identifier_is_found_in_disguise(detector: str, text: str, placeholder: str) -> None:
    full_width = text.translate({code: code + 0xFEE0 for code in range(0x21, 0x7F)})
    assert deidentify(full_width) == placeholder
    for invisible in "\u200b\u200d\u2060\ufeff\u00ad\ufe0f\u0332":
        assert deidentify(invisible.join(text)) == placeholder


def test_a_handle_with_its_instance_is_no_address_and_leaves_its_neighbours_alone() -> None:
    assert deidentify("hi @jane@instance.example!") == "hi [HANDLE]!"
    assert deidentify("thanks @jane.doe and jane.doe@example.org") == "thanks [HANDLE] and [EMAIL]"
    assert deidentify("RT@jane: so true") == "RT[HANDLE]: so true"
    assert deidentify("see you, insta: jane_doe.") == "see you, insta: [HANDLE]."


def test_a_label_before_a_phone_number_stays() -> None:
    assert deidentify("Tel:030 1234567") == "Tel:[PHONE]"
    assert deidentify("(030 1234567), ((030) 1234567)", (), "de") == "([PHONE]), ([PHONE])"


@pytest.mark.parametrize("zero", [0x0660, 0x0966, 0xFF10, 0x1D7CE], ids=["Arabic", "Devanagari", "full width", "bold"])
def test_digits_of_any_script_are_digits(zero: int) -> None:
    phone = "0170\u20091234567".translate({ord(digit): zero + int(digit) for digit in digits})
    assert deidentify(f"{phone} ja", (), "de") == "[PHONE] ja"


def test_the_text_around_an_identifier_keeps_every_character() -> None:
    before, after = "\uff44ear\u200b e\u0301 \u2461  mail ", "\u00a0½ \ufb01 \u20ac\ufe0f"
    assert deidentify(f"{before}jane\u200b@example.org{after}") == f"{before}[EMAIL]{after}"


@pytest.mark.parametrize(
    "text",
    [
        "", "plain words", "naïve café \u2013 „ja“ …", "12", "3 apples and 14 pears", "In 2024 it was 1.000 €",
        "10.000 €",
        "140.000.000 people", "140 000 000 people", "1.234.567,89", "€ 123456789", "123456789 EUR", "3.14159265358979",
        "on 06.12.2024 at 16:00", "06.12.24 16:00", "2024-05-06", "2024-05-06T12:30:45.123456789", "18 11 2011",
        "2014-2018", "2014 2018", "01/2024 - 05/2024", "08.30-17.00", "09.00-12.00 13.00-17.00", "11.307.39.1820",
        "version 1.2.3", "v1.2.3.4", "1.2.3.4.5", "256.1.1.1", "12:30:45", "::1", "std::vector", "1-2-3-4-5-6",
        "60/90/120/150/180/210", "order 45358133", "4111111111111112", "8761653729751528763",
        "@", "@ 5pm", "@5pm", "@10", "tod@s", "l@s chic@s", "Party @ Bar", "see you @ Bar.Kommt alle", "a@b", "9@12",
        "https://example.org/news", "http://example.org", "www.example.org", "example.org/about-us", "and/or",
        "https://example.org/2024/05/12/ten-best-places-2024", "https://example.org/a#chapter-2", "://// ", "km/h",
        "https://example.org/wiki/Foo_(bar)", "https://facebook.com/", "https://www.tumblr.com/", "mailto:", "tel:",
        "(a) first [b] second", "a (at) b", "look at example.org", "#520280570001", "it is 5:4 (at home)",
        "[EMAIL] [PHONE] [IBAN] [CARD] [NATIONAL_ID] [IP] [URL] [HANDLE] [DEVICE] [WITHHELD]",
    ],
)  # fmt: skip
def test_a_text_without_identifiers_comes_back_itself(text: str) -> None:
    assert deidentify(text) is text


def test_a_version_is_named() -> None:
    assert PIPELINE_VERSION == 2


FRAGMENTS = [
    *"@./:-_+?=&#%~,;()[]<>'\"\n\0 0123456789aZéß€", "\u200b", "\u0301", "\uff20", "\uff11", "\u0663", "½", "\ud800",
    "//", "://", "http", "www.", "mailto:", "tel:", "jane", "example", ".org", ".co", "(at)", " dot ", "+49", "(0)",
    "00", "0170 1234567", "512 345 678", "06.12.34", ".56.78", "2024-05-06", "10.000", " EUR", "1.2.3.4",
    "fe80::1", "111222333", "12:34:56:78:9a:bc", "@[1:", "/in/", "facebook.com/", "[EMAIL]", "[PHONE]", "IBAN",
    "850730-", made_up_iban("DE"), in_fours(made_up_iban("MT")), completed("es.nif", "X000123??"),
    completed("fi.hetu", "010190-90??"), CARD,
]  # fmt: skip


@given(st.text() | st.lists(st.sampled_from(FRAGMENTS), max_size=30).map("".join))
def test_a_second_run_changes_nothing(text: str) -> None:
    once = deidentify(text)
    assert deidentify(once) is once
    assert once != pipeline.WITHHELD


@given(st.text(), st.text())
def test_an_address_is_found_between_any_texts(before: str, after: str) -> None:
    assert "jane.roe@example" not in deidentify(f"{before} jane.roe@example.org {after}")


WORDS = st.text(alphabet="ghijk !?", max_size=20)


@given(WORDS, st.sampled_from([(param.values[1], param.values[2]) for param in DETECTED]), WORDS)
def test_words_around_an_identifier_stay(before: str, detected: tuple[str, str], after: str) -> None:
    text, placeholder = detected
    assert deidentify(f"{before} {text} {after}") == f"{before} {placeholder} {after}"


@pytest.mark.parametrize(
    "unit",
    [
        "@", "1", "a.", "1-", "+", ":", "a@", "@a", "@a.", "a.b@", "0 ", "12 ", "123 ", "a:", "://", "www.", "(at)",
        "@[1:", "\u200b", "1\u200b", "x.y/", "+4917012345", "0049(0)", "tel:1234567", "512 345 678,", "1.2.3.4.", "00-",
        "AAA AAA 11 ", "DE89 3", made_up_iban("DE"), made_up_iban("NL"), "612345678.12:34:56:78:9a:bc",
        "\uff20123a:ff1.5", "12345 Ab ", "st. 1, 12345 Ab ", "LV-1234 ", "born 1.2.1990 ", "plate A 12 ", "12.34567, ",
        "A12 BCDE ", "u/abc ", "a#1234 ", "ISBN 1-2", "2001:db8::", "www.abc-def.gh ", "12 rue ", "(at)a", "<a", "1A ",
        ", Ab 12345 ", "A 1, Ab 123 45 ", "AB 123 plate ", "N 1° 2' ", "1, Ab Cd Ef 1234", "x, 1234 ", "-1/2",
    ],
)  # fmt: skip
@pytest.mark.parametrize("tail", [pytest.param("", marks=pytest.mark.ci), " x.y/z a@b.cc"], ids=["bare", "open gates"])
def test_the_time_grows_with_the_length_only(unit: str, tail: str) -> None:
    text = unit * (100_000 // len(unit)) + tail
    started = time.thread_time()
    deidentify(text, (), "de")
    assert time.thread_time() - started < 5


def test_a_text_that_keeps_uncovering_identifiers_is_withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "_ROUNDS", 1)
    assert deidentify("call 0170 1234567") == "[WITHHELD]"
    assert deidentify("[WITHHELD]") == "[WITHHELD]"


def test_a_text_of_very_many_numbers_is_withheld() -> None:
    assert deidentify("1, " * 30_000) == "[WITHHELD]"
