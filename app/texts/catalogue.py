"""The texts for people, one folder per language: find them, check them, and let an operator replace them."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final

from app.settings import SettingsError
from app.texts.formatting import plural_categories

Texts = dict[str, Any]
ENGLISH: Final = "en"
_FILE: Final = "texts.json"
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}")
_PLACEHOLDER: Final = re.compile(r"\{[^{}]*\}")


class Catalogue:
    """The languages that are offered, and every text in each of them.

    English is the first language, and its texts are the measure: a language is offered if it has every text that
    English has, with the same placeholders.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Read the shipped texts, and those in `folder`, which replace them text by text. Raises SettingsError."""
        shipped = _read_folder(resources.files("app.texts"))
        replaced = _read_folder(folder) if folder else {}
        self._texts: dict[str, Texts] = {ENGLISH: _replace_texts(shipped[ENGLISH], replaced.get(ENGLISH, {}))}
        faults = list(text_faults(shipped[ENGLISH], self._texts[ENGLISH], ENGLISH))
        for language in sorted({*shipped, *replaced} - {ENGLISH}):
            texts = _replace_texts(shipped.get(language, {}), replaced.get(language, {}))
            found = list(text_faults(self._texts[ENGLISH], texts, language))
            if not found:
                self._texts[language] = texts
            elif language in replaced:
                faults += found
        if faults:
            raise SettingsError("\n".join(f"GROUNDS_TEXTS: {fault}" for fault in faults))
        self.languages = tuple(self._texts)

    def __getitem__(self, language: str) -> Texts:
        """Return every text in a language that is offered."""
        return self._texts[language]


@cache
def open_catalogue(folder: Path | None) -> Catalogue:
    """Read the texts for people once per folder. Raises SettingsError if a text of the folder cannot be used."""
    return Catalogue(folder)


def text_faults(measure: Mapping[str, Any], texts: Mapping[str, Any], language: str) -> Iterator[str]:
    """Name each text for people that is missing, unknown or empty, or has other placeholders than English has."""
    wanted, there = dict(_flat_texts(measure)), dict(_flat_texts(texts))
    for place in sorted(wanted.keys() | there.keys()):
        here = f"{language}/{_FILE}: {place}"
        if place not in there:
            yield f"{here}: is missing (add the text)"
        elif place not in wanted:
            yield f"{here}: is not a text of the pages (remove it)"
        else:
            yield from (f"{here}: {fault}" for fault in _faults_of_text(wanted[place], there[place], language))


def _faults_of_text(wanted: Any, text: Any, language: str) -> Iterator[str]:
    """Name what is wrong with one text for people: its plural forms, its placeholders, or that it is empty."""
    if isinstance(wanted, dict):
        categories = plural_categories(language)
        if not isinstance(text, dict) or set(text) != categories:
            yield f"must have the plural forms {', '.join(sorted(categories))} (write one text for each)"
            return
        if not all(isinstance(form, str) and form.strip() for form in text.values()):
            yield "is empty (write the text)"
        elif any(set(_PLACEHOLDER.findall(form)) - {"{count}"} for form in text.values()):
            yield "must have no placeholder other than {count} (correct the text)"
        elif "{count}" not in "".join(text.values()):
            yield "must contain {count} (correct the text)"
    elif not isinstance(text, str) or not text.strip():
        yield "must be a text (write the text)"
    elif sorted(_PLACEHOLDER.findall(text)) != sorted(_PLACEHOLDER.findall(wanted)):
        named = ", ".join(sorted(set(_PLACEHOLDER.findall(wanted)))) or "no placeholder"
        yield f"must contain {named}, as in English (correct the text)"


def is_plural(value: Any) -> bool:
    """Return whether a text for people has plural forms."""
    return isinstance(value, dict) and bool(value) and set(value) <= {"zero", "one", "two", "few", "many", "other"}


def _flat_texts(texts: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """List the texts for people by their places, such as `object.title`; plural forms are one text."""
    for name, value in texts.items():
        if isinstance(value, dict) and not is_plural(value):
            yield from _flat_texts(value, f"{above}{name}.")
        else:
            yield above + name, value


def _replace_texts(texts: Texts, replaced: Mapping[str, Any]) -> Texts:
    """Replace texts for people one by one."""
    made = dict(texts)
    for name, value in replaced.items():
        old = made.get(name)
        nested = isinstance(old, dict) and isinstance(value, dict) and not is_plural(value)
        made[name] = _replace_texts(old, value) if nested and old is not None else value
    return made


def _read_folder(folder: Path | Traversable) -> dict[str, Texts]:
    """Read the texts for people in a folder with one folder per language. Raises SettingsError."""
    try:
        return {each.name: _read_file(each / _FILE) for each in folder.iterdir() if _is_language(each)}
    except OSError as error:
        raise SettingsError(f"GROUNDS_TEXTS: {folder}: {error.strerror} (name a folder with texts)") from None


def _is_language(folder: Path | Traversable) -> bool:
    """Return whether a folder has the name of a language and contains texts for people."""
    return bool(_LANGUAGE.fullmatch(folder.name)) and (folder / _FILE).is_file()


def _read_file(file: Path | Traversable) -> Texts:
    """Read the file with the texts for people in one language. Raises SettingsError."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise SettingsError(f"GROUNDS_TEXTS: {file}: must be a JSON object in UTF-8 (correct the file)")
    return found
