"""Find names of persons in a text with the operator's recogniser, within this process. Nothing is downloaded.

A recogniser is a pipeline of spaCy, in a folder of the operator (the extra `pii`). Each language can have its own; the
one for ANY_LANGUAGE reads the texts of all others. A recogniser that cannot be loaded, or that fails, has not looked:
the caller must not treat the text as de-identified.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any, Final

from db.deidentification.spans import Span

ANY_LANGUAGE: Final = "*"
PERSON: Final = "[PERSON]"
_PERSON_LABELS: Final = frozenset({"PER", "PERSON", "PRS", "persName"})
"""The labels that the models of spaCy use for names of persons. The label depends on the corpus of the language."""
NameModels = Mapping[str, Path]
"""The folder of a recogniser by the language of texts, such as `de`, or ANY_LANGUAGE."""


class RecogniserFailed(Exception):
    """A recogniser of names that could not read a text, with the reason, which says nothing of the text."""


class NameRecogniser:
    """The recognisers of names of the operator. Each is loaded when a text needs it for the first time."""

    def __init__(self, models: NameModels) -> None:
        self._models = models
        self._loaded: dict[Path, Callable[[str], Any]] = {}
        self._failed: set[Path] = set()
        self._lock = Lock()  # a pipeline is not meant for two threads at once

    def load(self) -> None:
        """Load every recogniser of names. Raises RecogniserFailed for the first that cannot be loaded."""
        for folder in self._models.values():
            self._pipeline(folder)

    def find(self, text: str, language: str | None) -> list[Span] | None:
        """Find the names of persons in a text; None if no recogniser is for its language. Raises RecogniserFailed."""
        folder = self._models.get((language or "").partition("-")[0].lower(), self._models.get(ANY_LANGUAGE))
        if folder is None:
            return None
        with self._lock:
            pipeline = self._pipeline(folder)
            try:
                found = pipeline(text).ents
            except Exception as error:  # of any component of the operator's pipeline
                raise self._failure(folder, error) from None
        return [Span(each.start_char, each.end_char, PERSON) for each in found if each.label_ in _PERSON_LABELS]

    def _pipeline(self, folder: Path) -> Callable[[str], Any]:
        """Return the recogniser of names in a folder, loaded once."""
        if folder not in self._loaded:
            try:
                import spacy  # its package is an extra

                self._loaded[folder] = spacy.load(folder)
            except Exception as error:  # of a damaged folder, a missing package, or a wrong version
                raise self._failure(folder, error) from None
        return self._loaded[folder]

    def _failure(self, folder: Path, error: Exception) -> RecogniserFailed:
        """Describe why a recogniser of names failed, and log it the first time: never the text."""
        said = f"{folder}: {type(error).__name__}"
        if folder not in self._failed:
            self._failed.add(folder)
            logging.getLogger(__name__).error("the recogniser of names failed: %s", said)
        return RecogniserFailed(said)
