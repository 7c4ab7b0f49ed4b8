"""Measure how much of what labelled texts contain is found, and write the table of `db/deidentification/README.md`.

`./run python -m tests.support.deidentification_figures` writes it, from the half of the second collection of texts that
nothing was tuned on.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from db.deidentification.languages import countries_of
from db.deidentification.text import deidentify, find_identifiers
from tests.support.labelled_texts import LANGUAGES, LabelledText
from tests.support.repository import ROOT
from tests.support.second_labelled_texts import UNSEEN, second_texts

README = ROOT / "db" / "deidentification" / "README.md"
BEGIN, END = "<!-- figures: begin -->\n", "<!-- figures: end -->\n"
_PLACEHOLDER = re.compile(r"\[[A-Z_]+\]")
_LEFT = re.compile(r"\w\w")
MAX_TAKEN_BESIDE = 12  # a word in front of an address can go with it


@dataclass
class Figures:
    """Counts by kind and by language: texts, those dealt with rightly, hits, and those on something labelled."""

    texts: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    hits: Counter[str] = field(default_factory=Counter)
    true_hits: Counter[str] = field(default_factory=Counter)
    found_kinds: dict[str, bool] = field(default_factory=dict)

    def recall(self, name: str) -> float:
        """Return the share of the texts of a kind or language that were dealt with rightly."""
        return self.right[name] / self.texts[name]

    def precision(self, name: str) -> float:
        """Return the share of the hits that lie on something labelled."""
        return self.true_hits[name] / self.hits[name] if self.hits[name] else 1.0


def measure(texts: list[LabelledText]) -> Figures:
    """De-identify each text and compare with its label."""
    figures = Figures()
    for each in texts:
        language = each.language[:2]
        names = (each.kind, language) if each.is_found else (each.kind,)
        figures.found_kinds[each.kind] = each.is_found
        figures.texts.update(names)
        if _is_right(each):
            figures.right.update(names)
        for span in find_identifiers(each.text, countries_of(each.language)):
            figures.hits.update((each.kind, language))
            if each.is_found and span.start < each.end and each.start < span.end:
                figures.true_hits.update((each.kind, language))
    return figures


def _is_right(each: LabelledText) -> bool:
    """Return whether all of an identifier went and the text around it stayed, or all of an ordinary number stayed."""
    made = deidentify(each.text, (), each.language)
    if not each.is_found:
        return made == each.text
    before, after = each.text[: each.start], each.text[each.end :]
    kept = next(
        (place for place, (one, other) in enumerate(zip(before, made, strict=False)) if one != other), len(before)
    )
    if not made.endswith(after) or kept < len(before) - MAX_TAKEN_BESIDE:
        return False
    between = made[kept : len(made) - len(after)]
    return "[" in between and _LEFT.search(_PLACEHOLDER.sub(" ", between)) is None


def table(figures: Figures) -> str:
    """Write the figures as tables of Markdown."""
    return BEGIN + "".join(f"{row}\n" for row in _rows(figures)) + END


def _rows(figures: Figures) -> Iterator[str]:
    yield from ("| kind | texts | recall | precision |", "|---|---|---|---|")
    for kind in sorted(kind for kind, is_found in figures.found_kinds.items() if is_found):
        yield _row(figures, kind)
    yield from ("", "| language | texts | recall | precision |", "|---|---|---|---|")
    for name in LANGUAGES:
        yield _row(figures, name)
    yield from ("", "| what stays | texts | left alone |", "|---|---|---|")
    for kind in sorted(kind for kind, is_found in figures.found_kinds.items() if not is_found):
        yield f"| {kind} | {figures.texts[kind]} | {_percent(figures.recall(kind))} |"


def _row(figures: Figures, name: str) -> str:
    recall, precision = _percent(figures.recall(name)), _percent(figures.precision(name))
    return f"| {name} | {figures.texts[name]} | {recall} | {precision} |"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def stated_figures() -> str:
    """Return the tables that the README states."""
    text = README.read_text(encoding="utf-8")
    return text[text.index(BEGIN) : text.index(END) + len(END)]


if __name__ == "__main__":
    written = README.read_text(encoding="utf-8").replace(stated_figures(), table(measure(second_texts(UNSEEN))))
    README.write_text(written, encoding="utf-8")
