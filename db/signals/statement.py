"""What a signal is, what is read of one, and how the statements of several are settled."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple

from db.vocabulary import RightsSource, TrainAI


class Standard(StrEnum):
    """The standards and conventions whose signals the gateway can read."""

    CONTENT_USAGE = "http-header Content-Usage"
    X_ROBOTS_TAG = "http-header X-Robots-Tag"
    TDM_RESERVATION = "http-header tdm-reservation"
    HTTP_HEADERS = "http-headers"
    SEC_GPC = "http-request header Sec-GPC"
    ROBOTS_TXT = "robots.txt"
    TDMREP_JSON = "/.well-known/tdmrep.json"
    HTML = "text/html"
    C2PA = "C2PA assertion"
    C2PA_UNVERIFIED = "C2PA assertion in a manifest whose signature fails"
    DATA_MINING = "XMP plus:DataMining"
    MINOR_MODEL_AGE = "XMP plus:MinorModelAgeDisclosure"
    USER_INTENTS = "org.user-intents.declaration"
    AI_PREFERENCES = "community.lexicon.preference.ai"
    ACTIVITY_OBJECT = "ActivityStreams object"
    ACTIVITY_ACTOR = "ActivityPub actor"
    TEXT = "text of the item"


class Precedence(IntEnum):
    """Where TDMRep was stated: of several places the last one here counts (TDMRep, section 8)."""

    FILE = 0
    HEADER = 1
    EMBEDDED = 2


@dataclass(frozen=True, slots=True)
class Found:
    """A signal as it was found: its standard, its value in the shape of that standard, and what it was found about.

    `path` is the item's path where the standard has rules by path, and its record's collection in AT Protocol.
    `has_media` tells whether the item is or has a picture, film or sound, and `consumer` which entity of AT Protocol
    the platform is, None where that is not known.
    """

    standard: Standard
    value: Any
    path: str | None = None
    has_media: bool = False
    consumer: str | None = None


class Statement(NamedTuple):
    """What a signal says of training: in which standard, and how; `fault` says why it could not be read."""

    source: RightsSource
    train_ai: TrainAI
    fault: str | None = None
    precedence: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read of one signal.

    `objected_at` is the instant of a statement about a whole account, `UNDATED` where it states none; `minors` is a
    finding for the scanner of that name; `crawl` is False where the item must not be fetched at all. `fault` says why a
    signal, or a part of one, could not be read.
    """

    statements: tuple[Statement, ...] = ()
    objected_at: datetime | None = None
    minors: str | None = None
    crawl: bool | None = None
    fault: str | None = None


UNDATED = datetime.max.replace(tzinfo=UTC)
NOTHING = Reading()


def reserved(source: RightsSource, fault: str) -> Statement:
    """Return the reading of a signal that reserves because it cannot be read."""
    return Statement(source, "n", fault)


def combine_statements(*statements: Statement) -> Reading:
    """Make one reading of a signal's statements; the first fault is the reading's."""
    return Reading(statements, fault=next((each.fault for each in statements if each.fault), None))


def strictest(statements: Iterable[TrainAI]) -> TrainAI:
    """Combine signals' statements of equal rank: any `n`, else any `y`, else `unknown`."""
    combined = set(statements)
    return "n" if "n" in combined else "y" if "y" in combined else "unknown"


def settle_signals(readings: Iterable[Reading]) -> dict[RightsSource, TrainAI]:
    """Settle the signals of each standard: of the statements of the highest precedence the strictest counts."""
    ranked: dict[RightsSource, dict[int, set[TrainAI]]] = {}
    for reading in readings:
        for statement in reading.statements:
            ranked.setdefault(statement.source, {}).setdefault(statement.precedence, set()).add(statement.train_ai)
    return {source: strictest(ranks[max(ranks)]) for source, ranks in ranked.items()}


def stated_instant(value: object) -> datetime | None:
    """Read an instant in a signal (RFC 3339, with an offset), or None where none can be read."""
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else None
        return None if instant is None or instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
