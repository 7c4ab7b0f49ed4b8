"""AIPREF: the vocabulary of usage preferences (draft-ietf-aipref-vocab) in `Content-Usage`."""

from collections.abc import Iterable

from db.signals.statement import NOTHING, Found, Reading, Statement, combine_statements, strictest
from db.signals.structured_fields import StructuredFieldError, parse_dictionary
from db.vocabulary import RightsSource, TrainAI

_TRAINING = "train-ai"
# Labels of drafts 01 to 04 whose category held generative training. An old reservation is kept; an old allowance gives
# nothing, since today's draft does not know the label.
_EARLIER_LABELS = frozenset({"train-genai", "genai", "ai", "tdm", "all", "bots"})


def read_content_usage(found: Found) -> Reading:
    """Read the signal of a header `Content-Usage`: one field, or its lines where they are still apart."""
    lines = found.value if isinstance(found.value, list) else [found.value]
    return usage_statement(lines)


def usage_statement(preferences: Iterable[object]) -> Reading:
    """Read and combine AIPREF preferences as a signal. What cannot be read is `unknown`, and a fault."""
    read = [_preference(each) for each in preferences if not (isinstance(each, str) and not each.strip())]
    if not read:
        return NOTHING
    fault = next((fault for _, fault in read if fault), None)
    return combine_statements(Statement(RightsSource.AIPREF, strictest(train_ai for train_ai, _ in read), fault))


def _preference(preference: object) -> tuple[TrainAI, str | None]:
    """Read one AIPREF preference on training, with the fault that it has."""
    if not isinstance(preference, str):
        return "unknown", "Content-Usage is not a string"
    try:
        members = parse_dictionary(preference)
    except StructuredFieldError as error:
        return "unknown", f"Content-Usage {error}"
    if members.get(_TRAINING) == "n" or any(members.get(label) == "n" for label in _EARLIER_LABELS):
        return "n", None
    return ("y" if members.get(_TRAINING) == "y" else "unknown"), None
