"""The staging table of each record type: its columns, and the conversion of a record to a row.

The fields stand once, in `db/ingest/records.py`: from them come the temporary table, the columns of COPY, the digest,
and the columns that a merge inserts and updates.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from operator import attrgetter
from typing import Annotated, Any, Final, NamedTuple, get_args, get_origin

import orjson
from asyncpg import Range

from db.deidentification.names import NameModels, NameRecogniser, RecogniserFailed
from db.deidentification.spans import Span
from db.deidentification.text import PIPELINE_VERSION, deidentify, is_blank, personal_placeholder
from db.deidentification.visible_text import read_visible_text
from db.ingest.contacts import contact_of_id
from db.ingest.records import MODELS, AccountRecord, Campaign, ContentRecord, ObjectionRecord, Record
from db.ingest.signals import NO_SIGNALS, SIGNAL_COLUMNS, signals_of_account, signals_of_content
from db.vocabulary import MEDIUM_KINDS, Audience, ContentKind, Conversation, Scan, TextFormat

Row = tuple[Any, ...]


class MadeColumns(NamedTuple):
    """What is made of a record's other fields: the values of the made columns, and what the digest knows of them."""

    values: Row
    stated: Row


@dataclass(frozen=True)
class Stage:
    """A stage: the single-valued fields of a record under their own names, and the columns made of its other fields.

    `made` names the made columns with their types, in the order in which `make` gives their values, and `made_of` the
    fields that they are made of. `elsewhere` are the columns that the record's own table does not have.
    """

    record: str
    made: dict[str, str]
    make: Callable[[Any], MadeColumns]
    made_of: frozenset[str] = frozenset()
    elsewhere: frozenset[str] = frozenset()

    @cached_property
    def fields(self) -> dict[str, str]:
        """Return the single-valued fields of a record of ingest with the types of their columns."""
        special = {"record", "id", "observed_at", *self.made_of}
        model = MODELS[self.record]
        return {
            name: _column_type(field.annotation) for name, field in model.model_fields.items() if name not in special
        }

    @cached_property
    def columns(self) -> dict[str, str]:
        """Return every column of the table that stages a record of ingest, with its type, in the order of rows."""
        known = {"line": "bigint", "platform_id": "text"}
        return known | self.fields | self.made | {"observed_at": "timestamptz", "digest": "bytea"}

    @cached_property
    def stored(self) -> tuple[str, ...]:
        """Return the staged columns that the record's own table has too, but `platform_id`, which never changes."""
        return tuple(name for name in self.columns if name not in {"line", "platform_id", *self.elsewhere})

    def row(self, number: int, record: Record) -> Row:
        """Make the staged row of a record of ingest, from the line of that number."""
        single = self._single(record)
        values, stated = self.make(record)
        digest = hashlib.blake2b(orjson.dumps((*single, *stated)), digest_size=16).digest()
        return (number, record.id, *single, *values, record.observed_at, digest)

    @cached_property
    def _single(self) -> Callable[[Record], Row]:
        """Return the function that takes the single-valued fields from a record of ingest."""
        if not self.fields:
            return lambda _: ()
        return attrgetter(*self.fields)


def _column_type(annotation: object) -> str:
    """Return the SQL type of the column that stages a field of a record of ingest."""
    if get_origin(annotation) is Annotated:
        return _column_type(get_args(annotation)[0])
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)] or [annotation]
    if len(kinds) == 1 and kinds[0] is not annotation:
        return _column_type(kinds[0])
    if isinstance(annotation, type) and issubclass(annotation, datetime | str):
        return "timestamptz" if issubclass(annotation, datetime) else "text"
    raise TypeError(f"{annotation}: no column has this type (list the field's columns in made_of)")


def _account_columns(record: AccountRecord) -> MadeColumns:
    """Make the staged columns of an account's record of ingest that are no single fields."""
    windows = [
        Range(w.since, w.until, lower_inc=w.since is not None, upper_inc=w.until is not None)
        for w in record.compromised
    ]
    contacts = sorted(set(record.contacts))
    ends = sorted({(str(window.since), str(window.until)) for window in record.compromised})
    read = signals_of_account(record) if record.signals else NO_SIGNALS
    own_contact = contact_of_id(record.id)
    return MadeColumns((windows, contacts, own_contact, *read[:4]), (ends, contacts, read.stated))


def _content_columns(record: ContentRecord) -> MadeColumns:
    """Make the staged columns of an item's record of ingest that are no single fields."""
    private = record.kind is ContentKind.PRIVATE_MESSAGE
    texts = None if private else _read_texts(record)
    scans = record.scans
    read = signals_of_content(record) if record.signals or record.rights else NO_SIGNALS
    scanned: Findings = (scans.special_category, scans.safety, scans.minors) if scans else (None, None, None)
    found = (*scanned[:2], read.minors or scanned[2])
    references = sorted({(r.account, r.relation) for r in record.references if r.account})
    contacts = sorted({(r.contact, r.relation) for r in record.references if r.contact})
    rights = sorted({(r.source, r.train_ai) for r in record.rights})
    flags = [m.deidentified for m in record.media]
    values = (
        *_body_columns(texts),
        *_columns_of(references),
        *_columns_of(contacts),
        *(*read[:4], *found),
        None if texts is None else _media_deidentified(flags, texts.text is not None),
        not private and (bool(record.media) or record.kind in MEDIUM_KINDS),
        *(*fact_bits(record, found, reserved=read.reserved, media_deidentified=flags), None),
    )
    stated = None if private else read.stated
    # A private message leaves nothing of its text and media behind, not even in a digest.
    body = () if private else (record.text, [tuple(medium) for medium in record.media], _stated_spans(record))
    return MadeColumns(values, (*body, record.text_format, references, contacts, rights, stated, *scanned))


_recogniser: NameRecogniser | None = None


def configure_names(models: NameModels) -> None:
    """Set the recognisers of names for all texts that this process de-identifies."""
    global _recogniser
    _recogniser = NameRecogniser(models) if models else None


def find_names(texts: Iterable[str], language: str | None) -> list[list[Span]] | None:
    """Find the names of persons in the texts of one item; None if nothing looked. Raises RecogniserFailed."""
    if _recogniser is None:
        return None
    found = list(map(partial(_recogniser.find, language=language), texts))
    return None if None in found else [spans or [] for spans in found]


class ItemTexts(NamedTuple):
    """The stored texts of an item: the de-identified text, and the descriptions of its media.

    `text` is None where nothing of it can be seen. `pipeline` is the version that de-identified the text and the
    descriptions of the media: 0 where there is none of either. `names_sought` is whether a recogniser looked for names.
    Both are None where a recogniser failed: then no text is stored, and DEIDENTIFIED is unknown.
    """

    text: str | None
    media: list[dict[str, Any]]
    pipeline: int | None
    names_sought: bool | None


def _read_texts(record: ContentRecord) -> ItemTexts:
    """Read and de-identify the texts of an item's record of ingest that is no private message."""
    text, spans = _visible_text(record)
    descriptions = [medium.alt for medium in record.media if medium.alt]
    try:
        names = find_names([text or "", *descriptions], record.language)
    except RecogniserFailed:
        return ItemTexts(None, _media_with(record, {}), None, None)
    of_text, *of_descriptions = names or [[] for _ in range(1 + len(descriptions))]
    made = None if text is None else deidentify(text, [*spans, *of_text], record.language)
    alts = {
        alt: deidentify(alt, found, record.language) for alt, found in zip(descriptions, of_descriptions, strict=True)
    }
    has_words = made is not None or any(alts.values())
    is_sought = names is not None or record.personal_spans is not None
    return ItemTexts(made, _media_with(record, alts), PIPELINE_VERSION if has_words else 0, is_sought)


def _media_with(record: ContentRecord, alts: dict[str, str]) -> list[dict[str, Any]]:
    """Return the media of an item's record of ingest as they are stored, with their de-identified descriptions."""
    return [{"type": m.type, "url": m.url, "sha256": m.sha256, "alt": m.alt and alts.get(m.alt)} for m in record.media]


def _visible_text(record: ContentRecord) -> tuple[str | None, list[Span]]:
    """Return the visible text of an item's record of ingest, and the platform's personal spans in it."""
    if not record.text:
        return None, []
    text = record.text
    spans = [Span(span.start, span.end, personal_placeholder(span.kind)) for span in record.personal_spans or ()]
    if record.text_format is TextFormat.HTML:
        text, spans = read_visible_text(text, spans)
    return (None, []) if is_blank(text) else (text, spans)


def _body_columns(texts: ItemTexts | None) -> Row:
    """Make the staged columns of the texts in an item's record of ingest."""
    if texts is None:
        return (None, None, None, None)
    return (texts.text, orjson.dumps(texts.media).decode() if texts.media else None, texts.pipeline, texts.names_sought)


def _stated_spans(record: ContentRecord) -> list[tuple[int, int, str]] | None:
    """Return the personal spans in an item's record of ingest, as they are compared."""
    if record.personal_spans is None:
        return None
    return [(span.start, span.end, span.kind) for span in record.personal_spans]


def _columns_of(references: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]]:
    """Separate the references in an item's record of ingest into names and relations."""
    return [named for named, _ in references], [relation for _, relation in references]


def _media_deidentified(flags: list[bool | None], has_text: bool) -> bool | None:
    """Return whether all media in a record of ingest are de-identified; None if that is unknown."""
    if not flags:
        return True if has_text else None
    return False if False in flags else None if None in flags else True


class FactBits(NamedTuple):
    """The facts of an item that fail, and those that are not known; a fact that is in neither passes."""

    failing: int
    unknown: int


_AUDIENCE: Final = 32
Findings = tuple[str | None, str | None, str | None]
"""The results of the scans of an item for special categories, safety and minors."""


def fact_bits(
    item: ContentRecord, scans: Findings, *, reserved: bool, media_deidentified: list[bool | None]
) -> FactBits:
    """Return the facts in an item's record of ingest whose reversal waits, as bits.

    These fail under every policy. Whether a kind is covered depends on the policy: `db/sql/taking_back.sql` judges it.

    1 is its deletion, 2 a reservation, 4, 8 and 16 the findings `scans`, 32 the audience, 64 the conversation,
    128 the media.
    """
    failing = unknown = 0
    if item.deleted_at is not None:
        failing |= 1
    if reserved:
        failing |= 2
    for bit, found in zip((4, 8, 16), scans, strict=True):
        if found is None:
            unknown |= bit
        elif found != Scan.CLEAR:
            failing |= bit
    if item.audience is None:
        unknown |= _AUDIENCE
    elif item.audience is not Audience.PUBLIC:
        failing |= _AUDIENCE
    if item.conversation is None:
        unknown |= 64
    elif item.conversation is not Conversation.ASSISTANT_ONLY:
        failing |= 64
    if False in media_deidentified:
        failing |= 128
    elif None in media_deidentified:
        unknown |= 128
    return FactBits(failing, unknown)


def _objection(record: ObjectionRecord) -> MadeColumns:
    """Make the staged columns of an objection's record of ingest that are no single fields."""
    return MadeColumns((record.received_at, record.account), ())


def _campaign(record: Campaign) -> MadeColumns:
    """Make the staged columns of a campaign's record of ingest that are no single fields."""
    told = record.uses
    texts = {language.lower(): digest for language, digest in sorted(record.texts.items())}
    return MadeColumns((told, orjson.dumps(texts).decode(), []), (told, texts))


def _no_columns(_: Record) -> MadeColumns:
    """Make no staged columns for a record of ingest that has only single fields."""
    return MadeColumns((), ())


STAGES: dict[str, Stage] = {
    stage.record: stage
    for stage in (
        Stage(
            "account",
            made={"compromised": "tstzmultirange", "contacts": "text[]", "own_contact": "text"} | SIGNAL_COLUMNS,
            make=_account_columns,
            made_of=frozenset({"compromised", "contacts", "signals"}),
            elsewhere=frozenset({"objections", "unreadable"}),
        ),
        Stage(
            "content",
            made={"text": "text", "media": "json", "pipeline": "smallint", "names_sought": "boolean"}
            | {"referenced": "text[]", "relations": "text[]"}
            | {"referenced_contacts": "text[]", "contact_relations": "text[]"}
            | SIGNAL_COLUMNS
            | {"special_category": "text", "safety": "text", "minors": "text"}
            | {"media_deidentified": "boolean", "needs_minors_scan": "boolean"}
            | {"failing_facts": "smallint", "unknown_facts": "smallint", "stated_kind": "text"},
            make=_content_columns,
            made_of=frozenset(
                {"text", "text_format", "personal_spans", "media", "references", "rights", "signals", "scans"}
            ),
            elsewhere=frozenset({"referenced", "relations", "referenced_contacts", "contact_relations"})
            | {"objections", "unreadable"},
        ),
        Stage("notice", made={}, make=_no_columns),
        Stage(
            "objection",
            made={"last_received_at": "timestamptz", "named_account": "text"},
            make=_objection,
            elsewhere=frozenset({"account", "person", "contact"}),
        ),
        Stage("consent", made={}, make=_no_columns),
        Stage(
            "campaign",
            made={"told": "text[]", "texts": "jsonb", "changes": "text[]"},
            make=_campaign,
            made_of=frozenset({"told", "texts"}),
            elsewhere=frozenset({"changes"}),
        ),
    )
}
REJECTED: dict[str, str] = {
    "line": "bigint",
    **dict.fromkeys(("record", "platform_id"), "text"),
    **{"digest": "bytea", "observed_at": "timestamptz"},
    **dict.fromkeys(("account", "person", "contact"), "text"),
    "received_at": "timestamptz",
}
"""The columns of the stage table for lines that were set aside, with their types."""

COLUMNS: dict[str, dict[str, str]] = {name: stage.columns for name, stage in STAGES.items()} | {"rejected": REJECTED}
"""The columns of every stage table with their types, in the order of the rows' values."""
