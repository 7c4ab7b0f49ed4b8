"""What is found of labelled texts, and what is taken of ordinary ones: no figure falls, and each is high enough."""

import gzip
import os
import re
from itertools import islice
from pathlib import Path

import pytest

from db.deidentification import addresses
from db.deidentification.languages import COUNTRIES_OF_LANGUAGES
from db.deidentification.text import find_identifiers
from tests.support.deidentification_figures import Figures, measure, stated_figures, table
from tests.support.labelled_texts import UNSEEN, labelled_texts
from tests.support.mutants import Killed
from tests.support.second_labelled_texts import second_texts

GOALS = {
    **dict.fromkeys(("e-mail", "IBAN", "card", "phone, international"), 0.97),
    "phone, national": 0.95,
    **dict.fromkeys(("address", "birth date", "plate", "document"), 0.90),
    **dict.fromkeys(("range", "ISBN", "act", "date"), 0.98),
}
MANUALS = Path("/usr/share/man")
FORTUNES = Path("/usr/share/games/fortunes")
LANGUAGES_OF_FORTUNES = {"": "en", "bg": "bg", "cs": "cs", "de": "de", "es": "es", "ga": "ga"}
WORDS_PER_FALSE_HIT = 30_000
TRUE_OF_MANUALS = {
    "[EMAIL]",
    "[URL]",
    "[HANDLE]",
    "[IP]",
}  # addresses of authors and examples, and signs of configuration
_MACRO = re.compile(r"(?m)^[.'](?:\\\".*|[A-Za-z]{1,2}\b ?)")
_ESCAPE = re.compile(r"\\f(?:\[[^\]]*\]|\(..|.)|\\[&|^/,%]|\\s[+-]?\d|\\\(..|\\\[\w+\]")


@pytest.fixture(scope="module")
def figures() -> Figures:
    texts = second_texts(UNSEEN)
    assert len(texts) > 3000
    return measure(texts)


def test_every_kind_reaches_its_goal(figures: Figures) -> None:
    assert below_goals(figures) == {}
    assert below_goals(measure(labelled_texts(UNSEEN))) == {}


def below_goals(figures: Figures) -> dict[str, float]:
    return {kind: figures.recall(kind) for kind, goal in GOALS.items() if figures.recall(kind) < goal}


def test_a_detector_that_is_missing_lowers_its_figure(monkeypatch: pytest.MonkeyPatch, killed: Killed) -> None:
    monkeypatch.setattr(addresses, "_TOWN_LAST", ())
    kinds = below_goals(measure([each for each in second_texts(UNSEEN) if each.kind in GOALS]))
    killed("no layout of addresses", "db/deidentification/addresses.py", f"below its goal: {', '.join(kinds)}")
    assert kinds.keys() == {"address"}


def test_both_halves_differ_in_their_sentences_and_values() -> None:
    tuning, unseen = second_texts("tuning"), second_texts(UNSEEN)
    assert len(tuning) == len(unseen)
    assert not {each.text for each in tuning} & {each.text for each in unseen}


def test_no_figure_of_the_readme_falls(figures: Figures) -> None:
    fallen = [
        f"{stated} is {measured} now"
        for stated, measured in zip(stated_figures().splitlines(), table(figures).splitlines(), strict=True)
        if any(now < before for now, before in zip(percentages(measured), percentages(stated), strict=True))
    ]
    assert fallen == [], "run: python -m tests.support.deidentification_figures"


def percentages(row: str) -> list[float]:
    return [float(number) for number in re.findall(r"([0-9.]+) %", row)]


def test_manual_pages_have_hardly_any_false_hit() -> None:
    folders = [(language, MANUALS / language) for language in COUNTRIES_OF_LANGUAGES]
    pages = [(language, page) for language, folder in folders for page in sorted(folder.glob("man*/*.gz"))]
    pages += [("en", page) for page in islice(sorted(MANUALS.glob("man[1578]/*.gz")), 0, None, 200)]
    words = hits = 0
    for language, page in pages[::3]:
        if page.is_symlink() or not os.access(page, os.R_OK):
            continue
        text = _ESCAPE.sub("", _MACRO.sub("", gzip.decompress(page.read_bytes()).decode(errors="replace")))
        words += len(text.split())
        found = find_identifiers(text.replace("\\-", "-"), COUNTRIES_OF_LANGUAGES[language])
        hits += sum(span.placeholder not in TRUE_OF_MANUALS for span in found)
    if words < 10 * WORDS_PER_FALSE_HIT:
        pytest.skip("this machine has too few manual pages")
    assert hits * WORDS_PER_FALSE_HIT <= words


@pytest.mark.ci
def test_fortunes_have_hardly_any_false_hit() -> None:
    """Jokes, quotations and excerpts of chats. What is found in them is taken for false, although half of it is not."""
    words = hits = 0
    for folder, language in LANGUAGES_OF_FORTUNES.items():
        for file in sorted((FORTUNES / folder).glob("**/*" if folder else "*")):
            if not file.is_file() or file.suffix in (".dat", ".u8"):
                continue
            for text in fortunes_of(file):
                words += len(text.split())
                found = find_identifiers(text, COUNTRIES_OF_LANGUAGES[language])
                hits += sum(span.placeholder not in TRUE_OF_MANUALS for span in found)
    if words < 10 * WORDS_PER_FALSE_HIT:
        pytest.skip("this machine has too few fortunes")
    assert hits * WORDS_PER_FALSE_HIT <= words


def fortunes_of(file: Path) -> list[str]:
    """Cut a file of fortunes, in UTF-8 or Latin-1, at the lines that separate them."""
    content = file.read_bytes()
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return re.split(r"(?m)^%\n", text)
