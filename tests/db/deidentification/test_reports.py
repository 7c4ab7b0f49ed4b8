"""What was reported of texts, case by case: what has to go, what has to stay, and in which language."""

import pytest

import db.deidentification.text as pipeline
from db.deidentification.text import DETECTOR_STAGES, Detector, DetectorStage, deidentify
from db.deidentification.visible_text import read_visible_text
from tests.support.mutants import Killed

GONE = [
    ("de", "Ruf an: 0170 5550119.", "Ruf an: [PHONE]."),
    ("de", "030/12345678", "[PHONE]"),
    ("es", "848 429400", "[PHONE]"),
    ("sv", "08-123 456 78", "[PHONE]"),
    ("lt", "8 5 212 3456", "[PHONE]"),
    ("da", "Tlf. 12345678", "Tlf. [PHONE]"),
    ("nb", "mob 41234567", "mob [PHONE]"),
    ("et", "\U0001f4de 51234567", "\U0001f4de [PHONE]"),
    ("lv", "t\u0101lr. 67123456", "t\u0101lr. [PHONE]"),
    (None, "tel. 0170 5550119", "tel. [PHONE]"),
    (None, "+49 170 5550119", "[PHONE]"),
    ("en", "from ::ffff:192.0.2.1 today", "from [IP] today"),
    ("en", "jane.doe @example.org", "[EMAIL]"),
    ("pl", "jane(ma\u0142pa)example.pl", "[EMAIL]"),
    ("de", "Geboren am 12.3.1985 in K\u00f6ln.", "Geboren am [BIRTH_DATE] in K\u00f6ln."),
    ("de", "am 12. M\u00e4rz 1985 in K\u00f6ln geboren", "am [BIRTH_DATE] in K\u00f6ln geboren"),
    ("fr", "N\u00e9e le 12 mars 1985.", "N\u00e9e le [BIRTH_DATE]."),
    ("en", "Born March 12, 1985.", "Born [BIRTH_DATE]."),
    ("hu", "sz\u00fcletett: 1985. m\u00e1rcius 12.", "sz\u00fcletett: [BIRTH_DATE]."),
    ("de", "Kennzeichen K-AB 1234 gesucht", "Kennzeichen [PLATE] gesucht"),
    ("fr", "La plaque est AB-123-CD.", "La plaque est [PLATE]."),
    ("en", "passport no. C01X00T47", "passport no. [DOCUMENT]"),
    ("es", "n\u00famero de la Seguridad Social 281234567840", "n\u00famero de la Seguridad Social [DOCUMENT]"),
    ("es", "NASS: 28 12345678 40", "NASS: [DOCUMENT]"),
    ("es", "NASS 28/12345678/40", "NASS [NATIONAL_ID]"),
    ("es", "mi n\u00famero es 28/12345678/40", "mi n\u00famero es [NATIONAL_ID]"),
    ("fr", "le 1/84/12/76/451/089/46", "le [NATIONAL_ID]"),
    ("fr", "le 1/84/12/2A/451/089/33", "le [NATIONAL_ID]"),
    ("cs", "v dopise st\u00e1lo 601 123 456", "v dopise st\u00e1lo [PHONE]"),
    ("cs", "850730/1209", "[NATIONAL_ID]"),
    ("hu", "az ABC-123 rendsz\u00e1m\u00fa aut\u00f3", "az [PLATE] rendsz\u00e1m\u00fa aut\u00f3"),
    ("cs", "Dlouh\u00e1 12, Plze\u0148, 301 00", "[ADDRESS]"),
    ("fr", "Appt 3, 80 rue Victor-Hugo - 69003 Lyon", "[ADDRESS]"),
    ("en", "N 46\u00b0 35.528' E 019\u00b0 35.528'", "[LOCATION]"),
    ("pl", "NIP 526-104-08-28", "NIP [NATIONAL_ID]"),
    ("de", "RVNR 65170839J003", "RVNR [DOCUMENT]"),
    ("de", "Rentenversicherungsnummer 65 170839 J 003", "Rentenversicherungsnummer [DOCUMENT]"),
    ("de", "Lindenstra\u00dfe 12, 50667 K\u00f6ln", "[ADDRESS]"),
    ("fr", "12 rue de la Paix, 75002 Paris", "[ADDRESS]"),
    ("hu", "1052 Budapest, V\u00e1ci utca 12.", "[ADDRESS]"),
    ("en", "I sat at 52.520008, 13.404954.", "I sat at [LOCATION]."),
    ("en", "52\u00b031'12\"N 13\u00b024'18\"E", "[LOCATION]"),
    ("de", "www.anna-beispiel.example", "[URL]"),
    ("en", "ask u/janedoe or jane.bsky.social", "ask [HANDLE] or [HANDLE]"),
    ("en", "did:plc:ewvi7nxzyoun6zhxrhs64oiz", "[HANDLE]"),
    ("en", "add jane#1234 or keybase.io/jane", "add [HANDLE] or [URL]"),
]
MORE = [
    ("en", "DE89 3704 0044 0532 0130 00", "[IBAN]"),
    ("es", "12345678Z", "[NATIONAL_ID]"),
    ("en", "00:1a:2b:3c:4d:5e", "[DEVICE]"),
    ("en", "hi @jane", "hi [HANDLE]"),
]
STAYS = [
    ("de", "800-1000 Leute"),
    ("de", "Die Stra\u00dfe war nass, 2019 wie 2020."),
    ("de", "450-1200 m"),
    ("de", "Nr. 2580/2001"),
    ("en", "Regulation 2019/790 and 1182/71"),
    ("en", "ISBN 978-3-16-148410-0, ISBN 0-306-40615-2 and ISSN 1234-5679"),
    ("el", "978-3-16-148410-0"),
    ("cs", "2026-06-02 20:17"),
    ("hr", "1717243200"),
    ("fr", "2.1.3.1. Objet"),
    ("en", "a line\n2.1.3.1 Scope"),
    ("en", "Version 2.10.3.4"),
    ("de", "12.345.678 M\u00e4dchen"),
    ("es", "12.345.678 millones"),
    ("de", "Kolleg@innen und Student@innen"),
    ("es", "amig@s"),
    ("pl", "12 345 678 z nich"),
    ("de", "1.048.576 (2^20)"),
    ("da", "34 41 22 91 besøgende"),
    (None, "0170 5550119"),
    ("en", "born in 1985"),
    ("de", "Laut Protokoll, Punkt 3, kamen 2019 Leute."),
    ("cs", "V roce 2019, Praha, 301 00 lid\u00ed"),
    ("en", "in Paris, about 12345 people"),
    ("cs", "verze v 601 123 456"),
    ("en", "The A4 plates are 100 years old."),
    ("de", "Im Jahr 2019 waren 12345 Besucher da."),
]


@pytest.mark.parametrize(("language", "text", "made"), GONE)
def test_what_was_missed_is_taken_out(language: str | None, text: str, made: str) -> None:
    assert deidentify(text, (), language) == made


@pytest.mark.parametrize(("language", "text"), STAYS)
def test_what_was_taken_by_mistake_stays(language: str | None, text: str) -> None:
    assert deidentify(text, (), language) == text


def test_a_mention_in_html_goes_with_its_name() -> None:
    html = '<a href="https://e.example/@jane">@<span>jane</span></a>, <b>0170</b> <b>5550119</b>, jane&#64;e.example'
    assert deidentify(read_visible_text(html)[0], (), "de") == "[HANDLE], [PHONE], [EMAIL]"


@pytest.mark.parametrize("missing", [detector for stage in DETECTOR_STAGES for detector in stage.detectors])
def test_a_missing_detector_is_noticed(missing: Detector, monkeypatch: pytest.MonkeyPatch, killed: Killed) -> None:
    stages = [
        DetectorStage(stage.characters, stage.surroundings, *(each for each in stage.detectors if each is not missing))
        for stage in DETECTOR_STAGES
    ]
    monkeypatch.setattr(pipeline, "DETECTOR_STAGES", stages)
    left = next((text for language, text, made in MORE + GONE if deidentify(text, (), language) != made), None)
    killed(f"no {missing.__name__}", "the pipeline", f"left: {left}" if left else None)
