"""A language is offered when it is whole; an operator's texts replace the shipped ones, or are refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.settings import SettingsError
from app.texts.catalogue import Catalogue, open_catalogue, text_faults
from app.texts.formatting import LocalFormat, own_name
from tests.support.repository import ROOT

TEXTS = ROOT / "app" / "texts"
LANGUAGES = {"bg", "cs", "da", "de", "el", "en", "es", "et", "fi", "fr", "ga", "hr", "hu", "is", "it", "lt", "lv"}
LANGUAGES |= {"mt", "nb", "nl", "pl", "pt", "ro", "sk", "sl", "sv"}


def texts_in(language: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((TEXTS / language / "texts.json").read_text(encoding="utf-8"))
    return found


def test_every_shipped_language_is_whole_and_offered() -> None:
    shipped = {file.parent.name for file in TEXTS.glob("*/texts.json")}
    faults = {language: list(text_faults(texts_in("en"), texts_in(language), language)) for language in shipped}
    assert {language: found for language, found in faults.items() if found} == {}
    assert set(open_catalogue(None).languages) == shipped == LANGUAGES


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ({"page": {"site": ""}}, "page.site: must be a text"),
        ({"page": {"sight": "x"}}, "page.sight: is not a text of the pages"),
        ({"me": {"since": "Seither."}}, "me.since: must contain {time}"),
        ({"days": {"one": "ein Tag"}}, "days: must have the plural forms one, other"),
        ({"days": {"one": "ein Tag", "other": "Tage"}}, "days: must contain {count}"),
        ({"days": {"one": "ein Tag", "other": "{number} Tage"}}, "days: must have no placeholder other than {count}"),
    ],
)
def test_a_text_of_the_operator_that_will_not_do_stops_the_start(
    tmp_path: Path, texts: dict[str, Any], told: str
) -> None:
    (tmp_path / "de").mkdir()
    (tmp_path / "de" / "texts.json").write_text(json.dumps(texts))
    with pytest.raises(SettingsError) as refused:
        Catalogue(tmp_path)
    assert f"GROUNDS_TEXTS: de/texts.json: {told}" in str(refused.value)


def test_the_operator_replaces_single_texts_and_adds_a_whole_language(tmp_path: Path) -> None:
    for language, texts in {"de": {"page": {"site": "Ihre Daten"}}, "cy": texts_in("en")}.items():
        (tmp_path / language).mkdir()
        (tmp_path / language / "texts.json").write_text(json.dumps(texts))
    # Welsh has six plural forms, and English two.
    with pytest.raises(SettingsError, match=r"cy/texts\.json: days: must have the plural forms few, many, one, other"):
        Catalogue(tmp_path)
    forms = dict.fromkeys(("zero", "one", "two", "few", "many", "other"), "{count}")
    welsh = texts_in("en") | {"days": forms}
    welsh["me"]["items_count"] = forms
    (tmp_path / "cy" / "texts.json").write_text(json.dumps(welsh))
    made = Catalogue(tmp_path)
    assert {*made.languages} == {*open_catalogue(None).languages, "cy"}
    assert made["de"]["page"] == texts_in("de")["page"] | {"site": "Ihre Daten"}


def test_dates_numbers_and_names_are_those_of_the_language() -> None:
    german, english = LocalFormat("de"), LocalFormat("en")
    assert german.day("2026-11-22") == "22. November 2026"
    assert german.instant("2026-11-22T16:34:00+00:00") == "22. November 2026, 16:34 UTC"
    assert english.month("2026-05") == "May 2026"
    assert (german.number(12345), german.country("GR"), german.country("X1")) == ("12.345", "Griechenland", "X1")
    assert [own_name(each) for each in ("de", "el", "mt", "nb")] == ["Deutsch", "Ελληνικά", "Malti", "Norsk bokmål"]
    days = {"one": "{count} dzień", "few": "{count} dni", "many": "{count} dni"}
    assert [LocalFormat("pl").counted(days, count) for count in (1, 2, 30)] == ["1 dzień", "2 dni", "30 dni"]
