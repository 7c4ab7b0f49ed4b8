"""The texts of an item: read to what is visible, and de-identified."""

from typing import Any, NamedTuple

from db.deidentification.spans import Span
from db.deidentification.text import PIPELINE_VERSION, deidentify, personal_placeholder
from db.deidentification.visible_text import is_blank, read_visible_text
from db.ingest.records import ContentRecord
from db.vocabulary import TextFormat


class ItemTexts(NamedTuple):
    """What is stored of the texts of an item; what `text` and `media` say stands here alone.

    `text` is None where nothing of it can be seen. `pipeline` is the version that de-identified the text and the
    descriptions of the media: 0 where there is none of either. `names_sought` is whether a recogniser looked for names.
    """

    text: str | None
    media: list[dict[str, Any]]
    pipeline: int
    names_sought: bool


def read_texts(record: ContentRecord) -> ItemTexts:
    """Read and de-identify the texts in an item's record of ingest; a private message has none."""
    text = _text(record)
    media = [
        {"type": m.type, "url": m.url, "sha256": m.sha256, "alt": m.alt and deidentify(m.alt, (), record.language)}
        for m in record.media
    ]
    has_words = text is not None or any(medium["alt"] for medium in media)
    return ItemTexts(text, media, PIPELINE_VERSION if has_words else 0, record.personal_spans is not None)


def _text(record: ContentRecord) -> str | None:
    """Return the de-identified visible text of an item's record of ingest."""
    if not record.text:
        return None
    text = record.text
    spans = [Span(span.start, span.end, personal_placeholder(span.kind)) for span in record.personal_spans or ()]
    if record.text_format is TextFormat.HTML:
        text, spans = read_visible_text(text, spans)
    return None if is_blank(text) else deidentify(text, spans, record.language)
