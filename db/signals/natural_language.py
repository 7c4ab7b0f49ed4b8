"""Natural language: a sentence that refuses training on what its author made.

No court asks for it so far (OLG Hamburg, 10 December 2025, 5 U 104/24, left a further appeal); this is the protective
reading. A sentence that only speaks of AI and training says nothing.
"""

import re

from db.signals.statement import NOTHING, Found, Reading, Statement, combine_statements, reserved
from db.vocabulary import RightsSource

_SENTENCES = re.compile(r"[.!?;\n\r]+(?=\s|$)|[\n\r]+")
_TAG = re.compile(r"#\s?(?:no|not|kein[e]?|sin|pas_?d)_?-?(?:gen)?_?(?:ai|ki|ia)(?:_?-?training)?\b|\bnoai\b")
_MACHINE = re.compile(
    r"\b(?:a\.?i|ki|ia|llms?|chatbots?|machine learning|artificial intelligence|künstliche\w* intelligenz"
    r"|intelligence artificielle|inteligencia artificial|intelligenza artificiale|sprachmodelle?\w*)\b"
)
# Typographic apostrophes are made plain before these are looked for.
_REFUSAL = re.compile(
    r"\b(?:not|no|never|don't|refuse|forbid|prohibit\w*|object|objection|opt(?:ed|ing)?[ -]?out"
    r"|without my (?:consent|permission)|reserve[ds]?"
    r"|nicht|kein[e]?\w*|widerspr\w+|untersag\w*|verbiete\w*|verbote\w*"
    r"|pas|interdi\w*|m'oppose|oppose|no autorizo|prohíb\w*|prohib\w*|me opongo"
    r"|non|vieto|vietat\w*|oppongo|rifiuto)\b"
)
_TRAINING = re.compile(r"\btrain(?:ing|ed|s)?\b|training\b|trainier\w*|entra[îi]n\w*|entren\w*|addestr\w*|\bscrap\w+")
_OWN = re.compile(
    r"\b(?:i|my|mine|me|ich|mein\w*|je|j'\w+|mes|mon|ma|mis?|mios?|yo|io|miei|mio|mia|mie|all rights|do not|don't"
    r"|this (?:post|work|picture|photo|image|art|content|text)|these (?:posts|works|pictures|photos|images))\b"
)


def read_text(found: Found) -> Reading:
    """Read the signal in an item's text: a sentence in which its author refuses training on it reserves."""
    if not isinstance(found.value, str):
        return combine_statements(reserved(RightsSource.NATURAL_LANGUAGE, "the text is not a string"))
    text = found.value.casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    if _TAG.search(text) or any(_refuses(sentence) for sentence in _SENTENCES.split(text)):
        return combine_statements(Statement(RightsSource.NATURAL_LANGUAGE, "n"))
    return NOTHING


def _refuses(sentence: str) -> bool:
    """Return whether a sentence of an item's text is a signal: it refuses training on its author's work."""
    return all(words.search(sentence) for words in (_MACHINE, _TRAINING, _REFUSAL, _OWN))
