"""The facts a platform sends: one pydantic model a record of the ingest format."""

import re
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StringConstraints, model_validator


class ContentKind(StrEnum):
    """Name what an item is."""

    POST = "POST"
    COMMENT = "COMMENT"
    CAPTION = "CAPTION"
    PHOTO = "PHOTO"
    VIDEO = "VIDEO"
    AUDIO = "AUDIO"
    AI_INTERACTION = "AI_INTERACTION"
    PRIVATE_MESSAGE = "PRIVATE_MESSAGE"
    BUSINESS_MESSAGE = "BUSINESS_MESSAGE"


class Audience(StrEnum):
    """Name who can see an item on the platform."""

    PUBLIC = "PUBLIC"
    FRIENDS = "FRIENDS"
    GROUP = "GROUP"
    ONLY_ME = "ONLY_ME"


class AccountKind(StrEnum):
    """Name what an account is."""

    PERSONAL = "PERSONAL"
    PAGE = "PAGE"
    BUSINESS = "BUSINESS"


class AccountStatus(StrEnum):
    """Name the state of an account on the platform."""

    ACTIVE = "ACTIVE"
    DEACTIVATED = "DEACTIVATED"
    DELETION_PENDING = "DELETION_PENDING"
    DELETED = "DELETED"
    MEMORIALISED = "MEMORIALISED"
    SUSPENDED = "SUSPENDED"


class NoticeChannel(StrEnum):
    """Name how a notice reached its account."""

    IN_APP = "IN_APP"
    EMAIL = "EMAIL"


class ObjectionScope(StrEnum):
    """Name what an objection covers."""

    ALL = "ALL"
    PUBLIC_CONTENT = "PUBLIC_CONTENT"
    AI_INTERACTIONS = "AI_INTERACTIONS"


class ObjectionChannel(StrEnum):
    """Name how an objection came in."""

    FORM = "FORM"
    EMAIL = "EMAIL"
    LETTER = "LETTER"
    API = "API"
    THIRD_PARTY = "THIRD_PARTY"


class Scan(StrEnum):
    """Name what a scanner found."""

    CLEAR = "CLEAR"
    FLAGGED = "FLAGGED"


PLATFORM_PRODUCTS = frozenset({"FACEBOOK", "INSTAGRAM", "MESSENGER", "WHATSAPP"})

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]([01]\d|2[0-3]):\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_LAST_YEAR = 9000  # a period after a later instant would leave the calendar
_DAY = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?", re.ASCII)


def _instant(value: object) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise ValueError("is not an instant of RFC 3339 with an offset (write it like 2025-05-27T12:00:00Z)")
    try:
        instant = datetime.fromisoformat(value if value.isupper() else value.upper())
        if instant.tzinfo is not UTC:
            instant = instant.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is an instant that does not exist (check the day, the hour and the offset)") from None
    if instant.year > _LAST_YEAR:
        raise ValueError(f"is an instant after the year {_LAST_YEAR} (leave it null where there is none)")
    return instant


def _stated_instant(value: object) -> datetime:
    instant = _instant(value)
    if instant is None:
        raise ValueError("is missing (state the instant, like 2025-05-27T12:00:00Z)")
    return instant


def _birth_date(value: object) -> str | None:
    if value is None:
        return None
    parts = _DAY.fullmatch(value) if isinstance(value, str) else None
    if parts is None:
        raise ValueError("is not a day, month or year (write 2001-05-27, 2001-05, 2001 or null)")
    try:
        date(*(int(part or 1) for part in parts.groups()))
    except ValueError:
        raise ValueError("is a day that does not exist") from None
    return parts.string


# NUL is the one character that PostgreSQL cannot store.
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
Id = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Language = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", max_length=64)]
Epoch = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]
Product = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Instant = Annotated[datetime, PlainValidator(_stated_instant)]
MaybeInstant = Annotated[datetime | None, PlainValidator(_instant)]
BirthDate = Annotated[str | None, PlainValidator(_birth_date)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Window(_Part):
    """State when an account was in somebody else's hands: both ends belong to it, and a missing end is open."""

    since: MaybeInstant = Field(None, alias="from")
    until: MaybeInstant = Field(None, alias="to")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.since and self.until and self.since > self.until:
            raise ValueError("ends before it begins (swap from and to)")
        return self


class Medium(_Part):
    """State a picture, film or sound that belongs to an item."""

    type: Text
    url: Text
    sha256: Hash | None = None
    deidentified: bool | None = None


class Reference(_Part):
    """State an account that an item names, tags, shows or quotes."""

    account: Id
    relation: Literal["TAG", "MENTION", "COAUTHOR", "DEPICTED", "QUOTE"]


class Right(_Part):
    """State a signal that reserves or allows training."""

    source: Literal["AIPREF", "TDMREP", "C2PA", "PLATFORM", "NATURAL_LANGUAGE"]
    train_ai: Literal["y", "n", "unknown"]


class Scans(_Part):
    """State what the scanners found."""

    special_category: Scan | None = None
    safety: Scan | None = None


class Account(_Part):
    """State an account."""

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
    observed_at: Instant


class Content(_Part):
    """State an item."""

    record: Literal["content"]
    id: Id
    account: Id
    kind: ContentKind
    audience: Audience | None = None
    audience_since: MaybeInstant = None
    language: Language | None = None
    text: Text | None = None
    media: list[Medium]
    created_at: Instant
    edited_at: MaybeInstant = None
    deleted_at: MaybeInstant = None
    parent: Id | None = None
    references: list[Reference]
    rights: list[Right]
    scans: Scans | None = None
    observed_at: Instant


class Notice(_Part):
    """State a notice to an account."""

    record: Literal["notice"]
    id: Id
    account: Id
    channel: NoticeChannel
    epoch: Epoch
    sent_at: MaybeInstant = None
    delivered_at: MaybeInstant = None
    bounced_at: MaybeInstant = None
    observed_at: Instant


class Objection(_Part):
    """State an objection: by account, person or contact hash, one of them at least."""

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
        if self.account is None and self.person is None and self.contact is None:
            raise ValueError("names no account, person or contact (name one of them)")
        return self


class Consent(_Part):
    """State a consent; only a policy whose basis is consent reads it."""

    record: Literal["consent"]
    id: Id
    account: Id
    given_at: MaybeInstant = None
    withdrawn_at: MaybeInstant = None
    observed_at: Instant


Record = Account | Content | Notice | Objection | Consent
MODELS: dict[str, type[Record]] = {
    "account": Account,
    "content": Content,
    "notice": Notice,
    "objection": Objection,
    "consent": Consent,
}
