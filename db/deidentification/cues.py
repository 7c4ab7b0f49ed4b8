"""Words that often stand before personal data, such as "born", in the official languages of the EU and two countries.

`words.json` gives them by their beginnings, in lower case, as parts of regular expressions. `cue_before` asks whether
one stands shortly before a place, in the same line and with no digit between.
"""

import json
import re
from enum import Enum, auto
from importlib import resources

_WORDS = json.loads(resources.files("db.deidentification").joinpath("words.json").read_text(encoding="utf-8"))


def words_of(name: str) -> str:
    """Return a regular expression of the words in words.json that announce one kind of personal data.

    Words with the same first letter are one branch: Python tries the branches one after the other.
    """
    branches: dict[str, list[str]] = {}
    for word in _WORDS[name]:
        is_letter = word[0].isalpha() and word[1:2] not in ("?", "*", "+", "{")
        branches.setdefault(word[0] if is_letter else word, []).append(word[1:] if is_letter else "")
    return f"(?:{'|'.join(first + _any_of(rests) for first, rests in branches.items())})"


def _any_of(rests: list[str]) -> str:
    """Return a regular expression of what follows a word's first letter in the words of one kind."""
    return f"(?:{'|'.join(rests)})" if any(rests) else ""


class Cue(Enum):
    """What a word says of the number or the date that follows."""

    PHONE = auto()
    BIRTH = auto()
    PLATE = auto()
    DOCUMENT = auto()
    NATIONAL_NUMBER = auto()
    VERSION = auto()
    BOOK = auto()


_ENDING = {cue: re.compile(rf"(?<![^\W_]){words_of(cue.name)}[^0-9\n]*\Z") for cue in Cue}
_ANYWHERE = {cue: re.compile(rf"(?<![^\W_]){words_of(cue.name)}") for cue in Cue}


def cue_before(cue: Cue, text: str, place: int, within: int) -> int | None:
    """Return where a word that announces personal data begins before a place in a text, if there is one."""
    found = _ENDING[cue].search(text[max(0, place - within) : place].lower())
    return None if found is None else max(0, place - within) + found.start()


def cue_after(cue: Cue, text: str, place: int, within: int) -> bool:
    """Return whether a word that announces personal data stands after a place in a text."""
    return _ANYWHERE[cue].search(text[place : place + within].lower()) is not None
