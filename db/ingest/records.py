"""The pydantic models of the records that a platform sends, one record per line."""

import json
import re
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    TypeAdapter,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from db.ingest.media_address import check_media_address
from db.signals.reader import MAX_PATH_LENGTH, MAX_VALUE_BYTES
from db.signals.statement import Standard
from db.vocabulary import (
    MAX_ID_BYTES,
    AccountKind,
    AccountStatus,
    Audience,
    ContentKind,
    Conversation,
    NoticeChannel,
    ObjectionChannel,
    ObjectionScope,
    RightsSource,
    Scan,
    TextFormat,
    TrainAI,
)

LINE_LIMIT = 1024 * 1024
_RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]([01]\d|2[0-3]):\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)", re.ASCII
)
MAX_TOLD = 30
"""The maximum number of entries in each list of a campaign."""
_LAST_YEAR = 9000  # a period after a later instant would leave the calendar
_DAY = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?", re.ASCII)


class Line(NamedTuple):
    """A line: its number from 1, its bytes, and whether it exceeds LINE_LIMIT."""

    number: int
    data: bytes
    too_long: bool = False


def _instant(value: object) -> datetime | None:
    """Parse an instant of a record of ingest (RFC 3339), None for null."""
    if value is None:
        return None
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise ValueError("must be a time of RFC 3339 with an offset (write it like 2025-05-27T12:00:00Z)")
    is_leap = value[17:19] == "60"
    try:
        instant = datetime.fromisoformat((f"{value[:17]}59{value[19:]}" if is_leap else value).upper())
        if instant.tzinfo is not UTC:
            instant = instant.astimezone(UTC)
        if is_leap:
            instant = _after_leap_second(instant)
    except (ValueError, OverflowError):
        raise ValueError("is a time that does not exist (check the day, the hour and the offset)") from None
    if instant.year > _LAST_YEAR:
        raise ValueError(f"is after the year {_LAST_YEAR} (correct it, or state null if there is no time)")
    return instant


def _after_leap_second(second_before: datetime) -> datetime:
    """Return the second after a leap second in a record of ingest; ValueError unless it ends a day of UTC."""
    if (second_before.hour, second_before.minute) != (23, 59):
        raise ValueError("no leap second")
    return second_before + timedelta(seconds=1)


def _stated_instant(value: object) -> datetime:
    """Parse an instant that a record of ingest has to state."""
    instant = _instant(value)
    if instant is None:
        raise ValueError("is missing (state the time, like 2025-05-27T12:00:00Z)")
    return instant


def fits_id(value: str) -> bool:
    """Return whether the length of a text in a record of ingest is one that an id can have."""
    return 0 < len(value) <= MAX_ID_BYTES and len(value.encode("utf-8", "surrogatepass")) <= MAX_ID_BYTES


def _within_bytes(value: str) -> str:
    """Refuse an id in a record of ingest that is too long to be indexed."""
    if not fits_id(value):
        raise ValueError(f"is longer than {MAX_ID_BYTES} bytes (use a shorter id in every record)")
    return value


def _birth_date(value: object) -> str | None:
    """Parse the birth date of an account's record of ingest: a day, month or year."""
    if value is None:
        return None
    parts = _DAY.fullmatch(value) if isinstance(value, str) else None
    if parts is None:
        raise ValueError("must be a day, a month or a year (write 2001-05-27, 2001-05, 2001 or null)")
    try:
        date(*(int(part or 1) for part in parts.groups()))
    except ValueError:
        raise ValueError("is a day that does not exist (correct it)") from None
    return parts.string


# NUL is the one character that PostgreSQL cannot store.
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
Place = Annotated[str, StringConstraints(max_length=MAX_PATH_LENGTH, pattern=r"^[^\x00]*$")]
Id = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\x00]*$"), AfterValidator(_within_bytes)]
Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Language = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", max_length=64)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")]
Epoch = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]
Product = Annotated[str, StringConstraints(min_length=1, max_length=64)]
MediaAddress = Annotated[str, StringConstraints(max_length=2000), AfterValidator(check_media_address)]
_IS_INSTANT: dict[str, Any] = {"type": "string", "format": "date-time"}
_IS_BIRTH_DATE: dict[str, Any] = {"type": "string", "pattern": r"^\d{4}(-\d\d(-\d\d)?)?$"}
_OR_NULL = {"type": "null"}
Instant = Annotated[datetime, PlainValidator(_stated_instant), WithJsonSchema(_IS_INSTANT)]
MaybeInstant = Annotated[
    datetime | None, PlainValidator(_instant), WithJsonSchema({"anyOf": [_IS_INSTANT, _OR_NULL], "default": None})
]
BirthDate = Annotated[
    str | None, PlainValidator(_birth_date), WithJsonSchema({"anyOf": [_IS_BIRTH_DATE, _OR_NULL], "default": None})
]


class _RecordPart(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Window(_RecordPart):
    """The time in which an account was compromised: both ends are included, and a missing end is open."""

    since: MaybeInstant = Field(None, alias="from")
    until: MaybeInstant = Field(None, alias="to")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        """Refuse a window in a record of ingest that ends before it begins."""
        if self.since and self.until and self.since > self.until:
            raise ValueError("ends before it begins (swap `from` and `to`)")
        return self


class Medium(_RecordPart):
    """A picture, film or sound of an item."""

    type: Text
    url: MediaAddress
    sha256: Hash | None = None
    deidentified: bool | None = None
    alt: Text | None = None


class PersonalSpan(_RecordPart):
    """A part of a text that names or describes a person, as found by the platform's own recogniser.

    `start` and `end` count code points of the text as sent; `end` is not included.
    """

    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=0)]
    kind: Text


class Reference(_RecordPart):
    """An account that an item names, tags, shows or quotes."""

    account: Id | None = None
    contact: Hash | None = None
    relation: Literal["TAG", "MENTION", "COAUTHOR", "DEPICTED", "QUOTE"]

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        """Refuse a reference in a record of ingest unless it names either an account or a contact."""
        if (self.account is None) == (self.contact is None):
            raise ValueError("must have either `account` or `contact` (state one of them)")
        return self


class Right(_RecordPart):
    """A statement of the platform that forbids or allows training with the item."""

    source: RightsSource
    train_ai: TrainAI


class Signal(_RecordPart):
    """A signal: its standard, its original value, the place where it was found, and the time at which it was seen.

    If the time is missing, the time of the record counts.
    """

    standard: Standard
    value: Any = None
    location: Place | None = None
    path: Place | None = None
    seen_at: MaybeInstant = None

    @field_validator("value")
    @classmethod
    def _short(cls, value: object) -> object:
        """Refuse a signal in a record of ingest that is too long."""
        text = value if isinstance(value, str) else json.dumps(value)
        if len(text) > MAX_VALUE_BYTES or len(text.encode()) > MAX_VALUE_BYTES:
            raise ValueError(f"is longer than {MAX_VALUE_BYTES} bytes (send only the part about training)")
        return value


class Scans(_RecordPart):
    """The findings of the scanners."""

    special_category: Scan | None = None
    safety: Scan | None = None
    minors: Scan | None = None


class AccountRecord(_RecordPart):
    """An account."""

    record: Literal["account"]
    id: Id
    person: Id | None = None
    product: Product
    kind: AccountKind
    born_on: BirthDate = None
    country: Country | None = None
    status: AccountStatus
    status_since: MaybeInstant = None
    compromised: list[Window]
    contacts: list[Hash]
    signals: list[Signal] = []
    observed_at: Instant


class ContentRecord(_RecordPart):
    """An item."""

    record: Literal["content"]
    id: Id
    account: Id
    kind: ContentKind
    audience: Audience | None = None
    conversation: Conversation | None = None
    audience_since: MaybeInstant = None
    language: Language | None = None
    text: Text | None = None
    text_format: TextFormat | None = None
    personal_spans: list[PersonalSpan] | None = None
    media: list[Medium]
    created_at: Instant
    edited_at: MaybeInstant = None
    deleted_at: MaybeInstant = None
    parent: Id | None = None
    references: list[Reference]
    rights: list[Right]
    signals: list[Signal] = []
    scans: Scans | None = None
    observed_at: Instant

    @field_validator("personal_spans")
    @classmethod
    def _within_text(cls, spans: list[PersonalSpan] | None, fields: ValidationInfo) -> list[PersonalSpan] | None:
        """Refuse personal spans in an item's record of ingest that are not within its text."""
        length = len(fields.data.get("text") or "")
        for span in spans or ():
            if not span.start <= span.end <= length:
                raise ValueError(
                    f"contains a span that is not within the text of {length} code points (count in code points)"
                )
        return spans


class NoticeRecord(_RecordPart):
    """A notice to an account."""

    record: Literal["notice"]
    id: Id
    account: Id
    channel: NoticeChannel
    epoch: Epoch
    sent_at: MaybeInstant = None
    delivered_at: MaybeInstant = None
    bounced_at: MaybeInstant = None
    observed_at: Instant


TARGETS = ("account", "person", "contact")
UNTARGETED = "must have an account, a person or a contact (state one of them)"


class ObjectionRecord(_RecordPart):
    """An objection. It names at least one of these: an account, a person, or the hash of a contact."""

    record: Literal["objection"]
    id: Id
    account: Id | None = None
    person: Id | None = None
    contact: Hash | None = None
    scope: ObjectionScope
    received_at: Instant
    channel: ObjectionChannel
    withdrawn_at: MaybeInstant = None
    observed_at: Instant

    @model_validator(mode="after")
    def _targeted(self) -> Self:
        """Refuse an objection's record of ingest that names no target."""
        if self.account is None and self.person is None and self.contact is None:
            raise ValueError(UNTARGETED)
        return self


class ConsentRecord(_RecordPart):
    """A consent, which counts only if the policy asks for consent."""

    record: Literal["consent"]
    id: Id
    account: Id
    given_at: MaybeInstant = None
    withdrawn_at: MaybeInstant = None
    observed_at: Instant


class Told(_RecordPart):
    """Uses that a campaign named: each purpose, with each kind on each product."""

    purposes: Annotated[list[Name], Field(max_length=MAX_TOLD)]
    kinds: Annotated[list[ContentKind], Field(max_length=MAX_TOLD)]
    products: Annotated[list[Name], Field(max_length=MAX_TOLD)]


class Campaign(_RecordPart):
    """A campaign: the uses that its notices named, and the hash of the text in each language."""

    record: Literal["campaign"]
    id: Epoch
    told: Annotated[list[Told], Field(max_length=MAX_TOLD)]
    texts: dict[Language, Hash]
    observed_at: Instant

    @model_validator(mode="after")
    def _each_language_once(self) -> Self:
        """Refuse a campaign's record of ingest that names a language twice."""
        if len({language.lower() for language in self.texts}) < len(self.texts):
            raise ValueError(
                "texts: contains a language twice (upper and lower case are the same; state each language once)"
            )
        return self

    @property
    def uses(self) -> list[str]:
        """Return the uses that a campaign's record of ingest named, as `PURPOSE KIND PRODUCT`, each once, sorted."""
        uses = (use for part in self.told for use in product(part.purposes, part.kinds, part.products))
        return sorted({" ".join(use) for use in uses})


Record = AccountRecord | ContentRecord | NoticeRecord | ObjectionRecord | ConsentRecord | Campaign
MODELS: dict[str, type[Record]] = {
    "account": AccountRecord,
    "content": ContentRecord,
    "notice": NoticeRecord,
    "objection": ObjectionRecord,
    "consent": ConsentRecord,
    "campaign": Campaign,
}


def records_schema() -> dict[str, Any]:
    """Return the JSON Schema of a line; the field `record` selects the type of the record."""
    lines: TypeAdapter[Any] = TypeAdapter(Annotated[Record, Field(discriminator="record")])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | lines.json_schema()
