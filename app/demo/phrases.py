"""Short everyday texts in the languages of the made-up platform, composed from phrases.json."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

Draw = Callable[[], float]
Option = TypeVar("Option")

_ALTERNATIVES = re.compile(r"\[([^\]]+)\]")
_EMOJI = ("🙂", "🌞", "🌧️", "🍅", "🚲", "🎶", "🐈", "📚", "❤️", "👩‍🌾")
_ADJECTIVES = ("quiet", "early", "amber", "windy", "little", "curious", "mossy", "paper")
_NOUNS = ("harbour", "lark", "teapot", "meadow", "lantern", "walnut", "bicycle", "cloud")

# Ranges that regulators keep for fiction (BNetzA, ARCEP, PTS, ComReg, Ofcom), so that no real telephone rings.
_TELEPHONES = {
    "de": "+49 30 23125 ###",
    "en": "+44 20 7946 0###",
    "fr": "+33 1 99 00 ## ##",
    "ga": "+353 20 91# ####",
    "sv": "+46 8 465 004 ##",
}
_IBANS = {"de": ("DE", 18), "da": ("DK", 14), "et": ("EE", 16), "lt": ("LT", 16), "sv": ("SE", 20)}


@dataclass(frozen=True, slots=True)
class Phrasebook:
    """The parts of one language, each a whole sentence that can stand beside any other.

    `identifiers` maps the kind of an identifier to a sentence with a `{}` for it, `check` is one for any kind that
    asks an assistant to look it over; `reservation` asks not to train.
    """

    openings: tuple[str, ...]
    bodies: tuple[str, ...]
    closings: tuple[str, ...]
    reactions: tuple[str, ...]
    replies: tuple[str, ...]
    questions: tuple[str, ...]
    asides: tuple[str, ...]
    messages: tuple[str, ...]
    enquiries: tuple[str, ...]
    identifiers: Mapping[str, str]
    check: str
    reservation: str


def choose(draw: Draw, options: Sequence[Option]) -> Option:
    """Draw one of the demo's options, each as likely as the next; `draw` returns numbers of [0, 1)."""
    return options[int(draw() * len(options))]


@cache
def phrasebooks() -> Mapping[str, Phrasebook]:
    """Read the demo's phrases by language (BCP 47), with every `[one|other]` expanded into sentences of its own."""
    books: dict[str, Phrasebook] = {}
    for language, parts in _phrases()["phrasebooks"].items():
        written: dict[str, Any] = {
            name: tuple(_expand_templates(part)) if isinstance(part, list) else part for name, part in parts.items()
        }
        books[language] = Phrasebook(**written)
    return books


@cache
def languages_of_country(country: str | None) -> tuple[str, ...]:
    """Return the languages that the demo's authors write in a country (ISO 3166-1); a repeated one is likelier."""
    return tuple(_phrases()["spoken"].get(country or "", "en").split())


def compose_text(kind: str, language: str, draw: Draw) -> str:
    """Compose a made-up text of a kind of content in a language of `phrasebooks()`; KeyError for another language.

    About 3 % end with a made-up identifier: e-mail, telephone number, IBAN, handle, IP address or tracked link.
    """
    book = phrasebooks()[language]
    sentences = _COMPOSERS.get(kind, _compose_caption)(book, draw)
    if draw() < 0.03:
        identifier = choose(draw, tuple(_IDENTIFIERS))
        value = _IDENTIFIERS[identifier](language, draw)
        if kind == "AI_INTERACTION":
            return book.check.format(value)
        sentences.append(book.identifiers[identifier].format(value))
    if kind in _PUBLISHED_KINDS and draw() < 0.12:
        sentences.append(choose(draw, _EMOJI))
    return ("\n" if draw() < 0.04 else " ").join(sentences)


def compose_long_text(language: str, draw: Draw) -> str:
    """Compose a made-up text of forty sentences, for the screens and limits that only a long one meets."""
    return " ".join(choose(draw, phrasebooks()[language].bodies) for _ in range(40))


@cache
def _phrases() -> dict[str, dict[str, Any]]:
    """Read the demo's phrases from phrases.json."""
    read: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("phrases.json").read_text("utf-8"))
    return read


def _expand_templates(templates: list[str]) -> Iterator[str]:
    """Expand each phrase of the demo with alternatives into one phrase per combination."""
    for template in templates:
        if found := _ALTERNATIVES.search(template):
            before, after = template[: found.start()], template[found.end() :]
            yield from (before + alternative + after for alternative in found[1].split("|"))
        else:
            yield template


def _compose_post(book: Phrasebook, draw: Draw) -> list[str]:
    """Compose the sentences of a made-up post."""
    sentences = [choose(draw, book.bodies)]
    if draw() < 0.85:
        sentences.insert(0, choose(draw, book.openings))
    if draw() < 0.85:
        sentences.append(choose(draw, book.closings))
    return sentences


def _compose_caption(book: Phrasebook, draw: Draw) -> list[str]:
    """Compose the sentences of a made-up caption."""
    sentences = [choose(draw, book.bodies)]
    if draw() < 0.7:
        sentences.append(choose(draw, book.closings))
    return sentences


def _compose_comment(book: Phrasebook, draw: Draw) -> list[str]:
    """Compose the sentences of a made-up comment."""
    sentences = [choose(draw, book.replies if draw() < 0.5 else book.bodies)]
    if draw() < 0.85:
        sentences.insert(0, choose(draw, book.reactions))
    if draw() < 0.5:
        sentences.append(choose(draw, book.closings))
    return sentences


def _compose_question(book: Phrasebook, draw: Draw) -> list[str]:
    """Compose the sentences of a made-up question to the AI assistant."""
    sentences = [choose(draw, book.questions)]
    for _ in range(int(draw() * 3)):
        aside = choose(draw, book.asides)
        if aside not in sentences:
            sentences.append(aside)
    return sentences


def _compose_message(book: Phrasebook, draw: Draw) -> list[str]:
    """Compose the sentence of a made-up private message."""
    return [choose(draw, book.messages)]


def _compose_enquiry(book: Phrasebook, draw: Draw) -> list[str]:
    """Compose the sentences of a made-up message to a business."""
    return list({choose(draw, book.enquiries): None, choose(draw, book.enquiries): None})


def _made_up_number(draw: Draw, digits: int) -> str:
    """Make up a number with the given number of digits for a text of the demo."""
    return f"{int(draw() * 10**digits):0{digits}d}"


def _made_up_email(_language: str, draw: Draw) -> str:
    """Make up an e-mail address for a text of the demo."""
    return f"{choose(draw, _ADJECTIVES)}.{choose(draw, _NOUNS)}{_made_up_number(draw, 3)}@example.org"


def _made_up_handle(_language: str, draw: Draw) -> str:
    """Make up a user's handle for a text of the demo."""
    return f"@{choose(draw, _ADJECTIVES)}_{choose(draw, _NOUNS)}_{_made_up_number(draw, 3)}"


def _made_up_telephone(language: str, draw: Draw) -> str:
    """Make up a telephone number of the language's country for a text of the demo."""
    pattern = _TELEPHONES.get(language) or choose(draw, tuple(_TELEPHONES.values()))
    return "".join(_made_up_number(draw, 1) if sign == "#" else sign for sign in pattern)


def _made_up_iban(language: str, draw: Draw) -> str:
    """Make up an IBAN for a text of the demo that has the right check digits and belongs to no bank."""
    country, digits = _IBANS.get(language, _IBANS["de"])
    # No bank has a code of zeros, so the check digits hold (ISO 13616) and the account exists nowhere.
    account = _made_up_number(draw, 10).zfill(digits)
    letters = "".join(str(int(letter, 36)) for letter in country)
    compact = f"{country}{98 - int(f'{account}{letters}00') % 97:02d}{account}"
    return compact if draw() < 0.5 else " ".join(compact[start : start + 4] for start in range(0, len(compact), 4))


def _made_up_address(_language: str, draw: Draw) -> str:
    """Make up an IP address for a text of the demo."""
    # RFC 5737 and RFC 3849: addresses for documentation.
    network = choose(draw, ("192.0.2.", "198.51.100.", "203.0.113.", "2001:db8::"))
    return f"{network}{1 + int(draw() * 254)}"


def _made_up_link(_language: str, draw: Draw) -> str:
    """Make up a web link for a text of the demo."""
    return f"https://example.org/{choose(draw, _NOUNS)}?ref={_made_up_number(draw, 8)}"


_COMPOSERS: Mapping[str, Callable[[Phrasebook, Draw], list[str]]] = {
    "POST": _compose_post,
    "COMMENT": _compose_comment,
    "AI_INTERACTION": _compose_question,
    "PRIVATE_MESSAGE": _compose_message,
    "BUSINESS_MESSAGE": _compose_enquiry,
}
_IDENTIFIERS: Mapping[str, Callable[[str, Draw], str]] = {
    "email": _made_up_email,
    "phone": _made_up_telephone,
    "iban": _made_up_iban,
    "handle": _made_up_handle,
    "ip": _made_up_address,
    "url": _made_up_link,
}
_PUBLISHED_KINDS = frozenset({"POST", "COMMENT", "CAPTION", "PHOTO", "VIDEO", "AUDIO"})
