"""What is recorded of an item, for those who explain it: its recipients, and its facts in the order they were known."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import strawberry

from db.explain import FactRow, RecipientRow, facts_of
from schema.connection import Connection, checked_first, connection_of, read_cursor
from schema.consent import MOST_ROWS
from schema.context import Context
from schema.governed import EXAMINERS, governed
from schema.ids import Kind
from schema.retractions import RetractionKind


@strawberry.enum(description="How far a client came with the latest retraction of what it received.")
class RetractionState(StrEnum):
    """Name how far a client came."""

    NONE = "NONE"
    TOLD = "TOLD"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    OVERDUE = "OVERDUE"


@strawberry.type(description="A client that received an item.")
class Recipient:
    """Hold a recipient."""

    client: str = governed(EXAMINERS)
    purpose: str = governed(EXAMINERS)
    delivered_at: datetime = governed(EXAMINERS, description="The first time.")
    times: int = governed(EXAMINERS)
    policy_version: str = governed(EXAMINERS, description="Under which it was delivered the first time.")
    retraction: RetractionState = governed(
        EXAMINERS, description="NONE where nothing was retracted, or the item was delivered again since."
    )
    retraction_kind: RetractionKind | None = governed(EXAMINERS, description="What the client was told to do.")


@strawberry.enum(description="What happened to an item, to its account, or to who received it.")
class TimelineKind(StrEnum):
    """Name what happened."""

    ITEM_RECORDED = "ITEM_RECORDED"
    ITEM_EDITED = "ITEM_EDITED"
    ITEM_DELETED = "ITEM_DELETED"
    ITEM_CHANGED = "ITEM_CHANGED"
    AUDIENCE_CHANGED = "AUDIENCE_CHANGED"
    RIGHTS_RESERVED = "RIGHTS_RESERVED"
    SCANNED = "SCANNED"
    TEXT_REMOVED = "TEXT_REMOVED"
    ACCOUNT_RECORDED = "ACCOUNT_RECORDED"
    ACCOUNT_CHANGED = "ACCOUNT_CHANGED"
    BIRTH_DATE_CHANGED = "BIRTH_DATE_CHANGED"
    LINE_SET_ASIDE = "LINE_SET_ASIDE"
    NOTICE_SENT = "NOTICE_SENT"
    NOTICE_DELIVERED = "NOTICE_DELIVERED"
    NOTICE_BOUNCED = "NOTICE_BOUNCED"
    OBJECTION_RECEIVED = "OBJECTION_RECEIVED"
    OBJECTION_WITHDRAWN = "OBJECTION_WITHDRAWN"
    CONSENT_GIVEN = "CONSENT_GIVEN"
    CONSENT_WITHDRAWN = "CONSENT_WITHDRAWN"
    HOLD_OPENED = "HOLD_OPENED"
    HOLD_LIFTED = "HOLD_LIFTED"
    DELIVERED = "DELIVERED"
    RETRACTED = "RETRACTED"


@strawberry.type(description="Something that is recorded of an item or its account. No text, and no birth date.")
class TimelineEntry:
    """Hold an entry."""

    kind: TimelineKind = governed(EXAMINERS)
    occurred_at: datetime = governed(EXAMINERS, description="When it happened, as it was stated.")
    recorded_at: datetime = governed(EXAMINERS, description="When it became known here.")
    sentence: str = governed(EXAMINERS)


def recipient_of(row: RecipientRow) -> Recipient:
    """Show a recipient."""
    return Recipient(
        client=row.client,
        purpose=row.purpose,
        delivered_at=row.delivered_at,
        times=row.times,
        policy_version=row.policy,
        retraction=RetractionState(row.retraction),
        retraction_kind=RetractionKind(row.retraction_kind) if row.retraction_kind else None,
    )


async def timeline_page(context: Context, item: int, first: int, after: str | None) -> Connection[TimelineEntry]:
    """Read a page of an item's facts. A cursor is a place: what becomes known later stands behind it."""
    start = read_cursor(context.ids, Kind.TIMELINE_CURSOR, after)
    size = checked_first(first, MOST_ROWS)
    entries = [*_entries(await facts_of(context.reader, item))]
    entries.sort(key=lambda entry: (entry.recorded_at, entry.occurred_at))
    nodes = entries[start : start + size]
    cursors = context.ids.write_all(Kind.TIMELINE_CURSOR, range(start + 1, start + 1 + len(nodes)))
    return connection_of(nodes, cursors, after, has_next=len(entries) > start + size)


@dataclass(frozen=True, slots=True)
class _Watched:
    """Say what the change of a column means: `gone` where it became null or false; `at` has the time of it."""

    kind: TimelineKind
    said: str
    gone: str | None = None
    at: str = "observed_at"


_ITEM = {
    "audience": _Watched(TimelineKind.AUDIENCE_CHANGED, "Its audience is {new}; it was {old}.", at="audience_since"),
    "edited_at": _Watched(TimelineKind.ITEM_EDITED, "It was edited.", "Its edit was taken back.", "edited_at"),
    "deleted_at": _Watched(TimelineKind.ITEM_DELETED, "It was deleted.", "Its deletion was taken back.", "deleted_at"),
    "kind": _Watched(TimelineKind.ITEM_CHANGED, "It is a {new}; it was a {old}."),
    "account": _Watched(TimelineKind.ITEM_CHANGED, "It belongs to another account."),
    "reserved": _Watched(
        TimelineKind.RIGHTS_RESERVED, "A reservation of rights was stated.", "Its reservation of rights was taken back."
    ),
    "special_category": _Watched(TimelineKind.SCANNED, "The scan for special categories says {new}; it said {old}."),
    "safety": _Watched(TimelineKind.SCANNED, "The scan for safety says {new}; it said {old}."),
    "purged_at": _Watched(
        TimelineKind.TEXT_REMOVED, "Its text was removed here.", "Its text was sent again.", "purged_at"
    ),
}
_ACCOUNT = {
    "status": _Watched(TimelineKind.ACCOUNT_CHANGED, "Its account is {new}; it was {old}.", at="status_since"),
    "born_on": _Watched(
        TimelineKind.BIRTH_DATE_CHANGED,
        "The birth date of its account was corrected.",
        "The birth date was taken back.",
    ),
    "country": _Watched(TimelineKind.ACCOUNT_CHANGED, "The country of its account is {new}; it was {old}."),
    "kind": _Watched(TimelineKind.ACCOUNT_CHANGED, "Its account is a {new}; it was a {old}."),
    "product": _Watched(TimelineKind.ACCOUNT_CHANGED, "Its account is on {new}; it was on {old}."),
    "compromised": _Watched(TimelineKind.ACCOUNT_CHANGED, "The times in which its account was compromised changed."),
}
_BEFORE: dict[str, Any] = {"edited_at": None, "deleted_at": None, "reserved": False, "purged_at": None}
_SENTENCES = {
    TimelineKind.LINE_SET_ASIDE: "A line about its {record} could not be used; it stays shut until a good one comes.",
    TimelineKind.NOTICE_SENT: "A notice was sent to its account.",
    TimelineKind.NOTICE_DELIVERED: "A notice was delivered to its account.",
    TimelineKind.NOTICE_BOUNCED: "A notice to its account bounced.",
    TimelineKind.OBJECTION_RECEIVED: "An objection that reaches its account was received.",
    TimelineKind.OBJECTION_WITHDRAWN: "An objection that reaches its account was withdrawn.",
    TimelineKind.CONSENT_GIVEN: "Its account consented.",
    TimelineKind.CONSENT_WITHDRAWN: "Its account withdrew consent.",
    TimelineKind.HOLD_OPENED: "A hold that covers it ({scope}) was opened by order of {authority}.",
    TimelineKind.HOLD_LIFTED: "A hold that covers it ({scope}) was lifted.",
    TimelineKind.DELIVERED: "{client} received it for {purpose}, under policy {policy}.",
}
_TOLD = {
    RetractionKind.RETRACT: "{client} was told to delete it.",
    RetractionKind.SUPERSEDE: "{client} was told to delete it, and that an edited version may come.",
    RetractionKind.HOLD: "{client} was told not to use it for now.",
    RetractionKind.RELEASE: "{client} was told that it may use it again.",
}


def _entries(facts: list[FactRow]) -> Iterator[TimelineEntry]:
    item: dict[str, Any] | None = None
    account: dict[str, Any] | None = None
    for row in facts:
        if row.kind == "item":
            if item is None:
                said = f"It became known: a {row.facts['kind']}, audience {_word(row.facts['audience'])}."
                yield _entry(TimelineKind.ITEM_RECORDED, row, said, "created_at")
            yield from _changes(row, item, _ITEM)
            item = row.facts
        elif row.kind == "account":
            if row.facts["known"]:
                if account is None:
                    said = f"Its account became known: {row.facts['kind']} on {row.facts['product']}, "
                    said += f"country {_word(row.facts['country'])}, {row.facts['status']}."
                    yield _entry(TimelineKind.ACCOUNT_RECORDED, row, said)
                yield from _changes(row, account, _ACCOUNT)
                account = row.facts
        elif row.kind == TimelineKind.RETRACTED:
            urgent = " It had been delivered after an objection was received." if row.facts["urgent"] else ""
            said = _TOLD[RetractionKind(row.facts["told"])].format(**row.facts) + urgent
            yield _at(TimelineKind.RETRACTED, row.occurred_at, row, said)
        else:
            kind = TimelineKind(row.kind)
            yield _at(kind, row.occurred_at, row, _SENTENCES[kind].format(**row.facts))


def _changes(row: FactRow, before: dict[str, Any] | None, watched: dict[str, _Watched]) -> Iterator[TimelineEntry]:
    """Say what differs from the version before; of the first one, what it states beyond being there."""
    for column, each in watched.items():
        new = row.facts[column]
        old = _BEFORE.get(column, new) if before is None else before[column]
        if new != old:
            gone = each.gone if new in (None, False) else None
            said = gone or each.said.format(new=_word(new), old=_word(old))
            yield _entry(each.kind, row, said, "observed_at" if gone else each.at)


def _entry(kind: TimelineKind, row: FactRow, said: str, at: str = "observed_at") -> TimelineEntry:
    stated = row.facts[at]
    return _at(kind, datetime.fromisoformat(stated) if stated else row.recorded_at, row, said)


def _at(kind: TimelineKind, occurred_at: datetime, row: FactRow, said: str) -> TimelineEntry:
    return TimelineEntry(kind=kind, occurred_at=occurred_at, recorded_at=row.recorded_at, sentence=said)


def _word(value: Any) -> str:
    return "unknown" if value is None else str(value)
