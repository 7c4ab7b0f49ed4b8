"""The enumerations and scalars of the API. Each value has a description."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from enum import Enum, StrEnum
from typing import Any, NewType, TypeVar, cast

import strawberry
from graphql import GraphQLError
from strawberry.schema.types.base_scalars import DateDefinition, DateTimeDefinition
from strawberry.types.enum import StrawberryEnumDefinition
from strawberry.types.scalar import ScalarDefinition

from db.policy.grounds import GroundCode
from db.vocabulary import (
    AccountKind,
    AccountStatus,
    Audience,
    ContentKind,
    Conversation,
    MessageKind,
    NoticeChannel,
    ObjectionChannel,
    ObjectionScope,
    RightsSource,
    TargetKind,
)
from schema.actor import Role

EnumT = TypeVar("EnumT", bound=type[Enum])


def described_enum(description: str, *, name: str | None = None, **values: str) -> Callable[[EnumT], EnumT]:
    """Register an enumeration of the GraphQL API with the description of each of its values, given by name."""

    def register(enumeration: EnumT) -> EnumT:
        """Register one enumeration of the GraphQL API."""
        strawberry.enum(enumeration, name=name, description=description)
        definition = cast(StrawberryEnumDefinition, cast(Any, enumeration).__strawberry_definition__)
        for value in definition.values:
            value.description = values.get(value.name)
        return enumeration

    return register


described_enum(
    "The role of an access token, which determines the fields that the token may read.",
    TRAINING_CLIENT="A training job that pulls permitted content for one purpose.",
    DASHBOARD="A user of the dashboard, limited to policies, conditions and published counts.",
    PRIVACY_OFFICER="A privacy officer, with write access to holds, policies, clients and objections.",
    AUDITOR="A reviewer with read access to decisions and evidence.",
    DATA_SUBJECT="The holder of an account, with access to their own data.",
    PLATFORM_INGEST="The platform's own system, which sends facts and reports notices.",
    PUBLIC="Everyone, without a token; the public page uses this role.",
)(Role)
described_enum(
    "The legal ground for which an item can be permitted.",
    name="Ground",
    PUBLIC_CONTENT="Legitimate interest is the legal basis for the use of content that is public on the platform.",
    AI_INTERACTION="Legitimate interest is the legal basis for the use of prompts to the platform's AI assistant.",
    OPTED_IN="Consent: the author gave consent and has not withdrawn it.",
)(GroundCode)
described_enum(
    "The kind of an item.",
    POST="A post.",
    COMMENT="A comment on another item.",
    CAPTION="The caption of a photo or video.",
    PHOTO="A photo.",
    VIDEO="A video.",
    AUDIO="An audio recording.",
    AI_INTERACTION="A prompt to the platform's AI assistant.",
    PRIVATE_MESSAGE="A private message, which is never permitted and whose text is never stored.",
    BUSINESS_MESSAGE="A message to or from a business, which is never permitted.",
)(ContentKind)
described_enum(
    "The audience of an item on the platform.",
    PUBLIC="Visible to everyone.",
    UNLISTED="Visible to everyone with the link.",
    FRIENDS="Visible to the author's friends.",
    GROUP="Visible to the members of a group.",
    ONLY_ME="Visible to the author only.",
)(Audience)
described_enum(
    "The participants of a conversation with the platform's AI assistant.",
    ASSISTANT_ONLY="The author and the AI assistant only.",
    GROUP="Other people take part too.",
)(Conversation)
described_enum(
    "The kind of an account.",
    PERSONAL="The account of a natural person.",
    PAGE="The account of a page, such as a page of a club.",
    BUSINESS="The account of a business.",
)(AccountKind)
described_enum(
    "The status of an account on the platform.",
    ACTIVE="The account is active.",
    DEACTIVATED="The account was deactivated by its holder.",
    DELETION_PENDING="The deletion of the account was requested and is not complete.",
    DELETED="The account was deleted.",
    MEMORIALISED="The holder of the account has died.",
    SUSPENDED="The account was suspended by the platform.",
)(AccountStatus)
described_enum(
    "The channel of a notice.",
    IN_APP="The notice is shown in the platform's app.",
    EMAIL="The notice is sent by e-mail.",
)(NoticeChannel)
described_enum(
    "The kind of a message of a campaign.",
    NOTICE="The notice of the campaign; a delivered notice counts for conditions.",
    REMINDER="A reminder that is sent before the notice period ends; the reminder does not count as a notice.",
    EDUCATION="A message that explains the use of content for training; the message does not count as a notice.",
)(MessageKind)
described_enum(
    "The content that an objection covers.",
    ALL="All content of the account.",
    PUBLIC_CONTENT="All kinds of content except prompts to the AI assistant.",
    AI_INTERACTIONS="Prompts to the AI assistant only.",
)(ObjectionScope)
described_enum(
    "The channel through which an objection was received.",
    FORM="The objection form.",
    EMAIL="An e-mail.",
    LETTER="A letter.",
    PHONE="A telephone call.",
    API="The API.",
    THIRD_PARTY="A representative of the person.",
)(ObjectionChannel)
described_enum(
    "Whether an entry of an objection identifies an account, a person or a contact.",
    name="ObjectionTargetKind",
    ACCOUNT="An account, identified by the platform's id.",
    PERSON="A person, identified by the platform's id.",
    CONTACT="A contact, identified by the SHA-256 of an e-mail address, phone number or user name.",
)(TargetKind)


described_enum(
    "The standard or convention that a signal about training follows.",
    AIPREF="The Content-Usage header or rule of the IETF's AI Preferences.",
    TDMREP="The TDM Reservation Protocol of a W3C community group.",
    C2PA="An assertion of C2PA or CAWG in the metadata of a media file.",
    IPTC="The metadata property `Data Mining` of the standards IPTC and PLUS.",
    ATPROTO="A record of AT Protocol.",
    ACTIVITYPUB="A flag of ActivityPub.",
    CONTENT_SIGNALS="A Content Signals line in a robots.txt file.",
    PLATFORM="A setting or convention of the platform.",
    NATURAL_LANGUAGE="A sentence that the author wrote.",
)(RightsSource)


@described_enum(
    "The meaning of a signal for training.",
    ALLOWED="The signal allows training; this alone does not make the item permitted.",
    RESERVED="The signal opts the item out of training.",
    UNKNOWN="The signal neither allows training nor opts the item out, or it could not be read.",
)
class TrainingStatement(StrEnum):
    ALLOWED = "ALLOWED"
    RESERVED = "RESERVED"
    UNKNOWN = "UNKNOWN"


@described_enum(
    "The code of a condition in the catalogue.",
    PROGRAMME_ACTIVE="The policy is in effect, and no overdue review or assessment stops the policy.",
    PURPOSE_MATCH="The policy permits the client's purpose, and the client is not suspended.",
    NO_REGULATORY_HOLD="No open hold covers the item.",
    REGION_COVERED="The author's country is one that the policy covers.",
    ACCOUNT_IN_GOOD_STANDING="The author's account has been active for at least the policy's waiting time.",
    ACCOUNT_KIND_COVERED="The author's account is of a kind that the policy covers.",
    AUTHOR_ADULT_NOW="The author is an adult at the time of the decision.",
    AUTHOR_ADULT_AT_CREATION="The author was an adult when the item was created.",
    NOT_COMPROMISED_AT_CREATION="The author's account was not compromised when the item was created.",
    NOTICE_DELIVERED="A notice of this purpose, kind of content and product was delivered to the author's account.",
    NOTICE_PERIOD_ELAPSED="The notice period that began with the delivery of the notice has ended.",
    NO_ACTIVE_OBJECTION="No objection that covers the item is active for the author.",
    CONTENT_KIND_COVERED="The ground covers this kind of content on this product.",
    AUDIENCE_PUBLIC="The item, and every item that it belongs to, is public.",
    CONVERSATION_OWN="If the item is a prompt, only the author and the AI assistant take part in the conversation.",
    AUDIENCE_STABLE="The audience of the item has been the same for at least the policy's waiting time.",
    CONTENT_LIVE="The item has not been deleted.",
    CONTENT_SETTLED=(
        "The item has not changed for at least the policy's waiting time, and no protection of the item was "
        "removed recently."
    ),
    NO_OBJECTOR_REFERENCED="Neither the item nor its family references an account with an active objection.",
    NO_MINOR_REFERENCED="Neither the item nor its family references the account of a minor, and no scan found a minor.",
    NO_RIGHTS_RESERVATION="No rights statement or signal opts the item or its family out of training.",
    NO_SPECIAL_CATEGORY="The scans of the item and its family found no special categories of personal data.",
    CONTENT_SAFE="The safety scans found nothing in the item or its family.",
    DEIDENTIFIED="The text and all media of the item are de-identified.",
    OPTED_IN="The author gave consent and has not withdrawn it.",
)
class ConditionCode(StrEnum):
    PROGRAMME_ACTIVE = "PROGRAMME_ACTIVE"
    PURPOSE_MATCH = "PURPOSE_MATCH"
    NO_REGULATORY_HOLD = "NO_REGULATORY_HOLD"
    REGION_COVERED = "REGION_COVERED"
    ACCOUNT_IN_GOOD_STANDING = "ACCOUNT_IN_GOOD_STANDING"
    ACCOUNT_KIND_COVERED = "ACCOUNT_KIND_COVERED"
    AUTHOR_ADULT_NOW = "AUTHOR_ADULT_NOW"
    AUTHOR_ADULT_AT_CREATION = "AUTHOR_ADULT_AT_CREATION"
    NOT_COMPROMISED_AT_CREATION = "NOT_COMPROMISED_AT_CREATION"
    NOTICE_DELIVERED = "NOTICE_DELIVERED"
    NOTICE_PERIOD_ELAPSED = "NOTICE_PERIOD_ELAPSED"
    NO_ACTIVE_OBJECTION = "NO_ACTIVE_OBJECTION"
    CONTENT_KIND_COVERED = "CONTENT_KIND_COVERED"
    AUDIENCE_PUBLIC = "AUDIENCE_PUBLIC"
    CONVERSATION_OWN = "CONVERSATION_OWN"
    AUDIENCE_STABLE = "AUDIENCE_STABLE"
    CONTENT_LIVE = "CONTENT_LIVE"
    CONTENT_SETTLED = "CONTENT_SETTLED"
    NO_OBJECTOR_REFERENCED = "NO_OBJECTOR_REFERENCED"
    NO_MINOR_REFERENCED = "NO_MINOR_REFERENCED"
    NO_RIGHTS_RESERVATION = "NO_RIGHTS_RESERVATION"
    NO_SPECIAL_CATEGORY = "NO_SPECIAL_CATEGORY"
    CONTENT_SAFE = "CONTENT_SAFE"
    DEIDENTIFIED = "DEIDENTIFIED"
    OPTED_IN = "OPTED_IN"


Region = NewType("Region", str)


def _parse_instant(value: object) -> datetime:
    """Parse a DateTime of the GraphQL API. Raises GraphQLError if it lies outside the calendar."""
    instant = _PARSE_DATE_TIME(value)
    try:
        instant.astimezone(UTC)
    except OverflowError:
        raise GraphQLError(
            "Value cannot represent a DateTime, because the time is outside the years 1 to 9999 in UTC (correct "
            "the time)."
        ) from None
    return instant


_PARSE_DATE_TIME = cast("Callable[[object], datetime]", DateTimeDefinition.parse_value)
SCALARS: dict[object, ScalarDefinition] = {
    Region: strawberry.scalar(
        name="Region",
        description="A country as its ISO 3166-1 alpha-2 code, such as `IE`.",
        serialize=str,
        parse_value=str,
    ),
    date: replace(DateDefinition, description="A day in the format YYYY-MM-DD."),
    datetime: replace(
        DateTimeDefinition,
        description="A point in time in the format of RFC 3339 with an offset from UTC.",
        parse_value=_parse_instant,
    ),
}

__all__ = [
    "SCALARS",
    "AccountKind",
    "AccountStatus",
    "Audience",
    "ConditionCode",
    "ContentKind",
    "Conversation",
    "GroundCode",
    "MessageKind",
    "NoticeChannel",
    "ObjectionChannel",
    "ObjectionScope",
    "Region",
    "RightsSource",
    "Role",
    "TargetKind",
    "TrainingStatement",
    "described_enum",
]
