"""An item's history: its recipients, and its facts in the order in which they became known."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import strawberry

from db.records.timeline import FactRow, RecipientRow, load_facts
from schema.context import Context, Info
from schema.enums import described_enum
from schema.governed import EXAMINERS, governed
from schema.records.consent import MAX_PAGE_SIZE
from schema.records.stated_models import StatedModel, stated_models
from schema.relay.connection import Connection, check_page_size, connection_of_objects, read_cursor
from schema.relay.ids import IdKind
from schema.training.retractions import RetractionKind


@described_enum(
    "The state of the latest retraction of an item for a client.",
    NONE="The item was not retracted, or was delivered again after the retraction.",
    UNACKNOWLEDGED="The client has not acknowledged the retraction.",
    ACKNOWLEDGED="The client acknowledged the retraction.",
    OVERDUE="The deadline passed without an acknowledgement.",
)
class RetractionState(StrEnum):
    NONE = "NONE"
    UNACKNOWLEDGED = "UNACKNOWLEDGED"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    OVERDUE = "OVERDUE"


async def _resolve_models(root: "Recipient", info: Info) -> list[StatedModel]:
    """Resolve `Recipient.models`: what the client states of its training runs with the item."""
    runs = await info.context.item_runs.load(root.item)
    return stated_models([row for row in runs if (row.client, row.purpose) == (root.client, root.purpose)])


@strawberry.type(description="A client that received an item.")
class Recipient:
    item: strawberry.Private[int]
    client: str = governed(EXAMINERS, description="The name of the client.")
    purpose: str = governed(EXAMINERS, description="The purpose of the client.")
    delivered_at: datetime = governed(EXAMINERS, description="The time of the first delivery.")
    deliveries: int = governed(EXAMINERS, description="The number of deliveries.")
    policy_version: str = governed(
        EXAMINERS, description="The version of the policy that was in force at the first delivery."
    )
    retraction: RetractionState = governed(
        EXAMINERS,
        description=(
            "The state of the latest retraction, NONE if there is no retraction or the item was delivered again."
        ),
    )
    retraction_kind: RetractionKind | None = governed(
        EXAMINERS, description="The action that the client must take, null if the item was not retracted."
    )
    models: list[StatedModel] = governed(
        EXAMINERS,
        resolver=_resolve_models,
        description="The models that were trained with the item, according to the client; empty if the client named "
        "none.",
    )


@described_enum(
    "The kind of an event of an item or its account.",
    CONTENT_RECORDED="The item was recorded.",
    CONTENT_EDITED="The item was edited.",
    CONTENT_DELETED="The item was deleted.",
    CONTENT_CHANGED="Another fact of the item changed.",
    AUDIENCE_CHANGED="The audience of the item changed.",
    RIGHTS_RESERVED="An opt-out from training (a reservation of rights) was stated or withdrawn.",
    SCANNED="A scan of the item gave a new result.",
    TEXT_REMOVED="The text was removed from the gateway, or the platform sent a removed text again.",
    ACCOUNT_RECORDED="The account was recorded.",
    ACCOUNT_CHANGED="A fact of the account changed.",
    BIRTH_DATE_CHANGED="The birth date of the account changed.",
    RECORD_QUARANTINED="An input line could not be read, so the item or account that it describes was quarantined.",
    NOTICE_SENT="A notice was sent to the account.",
    NOTICE_DELIVERED="A notice was delivered to the account.",
    NOTICE_BOUNCED="A notice to the account bounced.",
    OBJECTION_RECEIVED="An objection that applies to the account was received.",
    OBJECTION_WITHDRAWN="An objection that applies to the account was withdrawn.",
    CONSENT_GIVEN="The account gave consent.",
    CONSENT_WITHDRAWN="The account withdrew consent.",
    HOLD_OPENED="A hold that covers the item was opened.",
    HOLD_LIFTED="A hold that covers the item was lifted.",
    DELIVERED="A client received the item.",
    RETRACTED=(
        "The gateway told a client that the client must stop using the item, or that the client can use the item again."
    ),
)
class TimelineEntryKind(StrEnum):
    CONTENT_RECORDED = "CONTENT_RECORDED"
    CONTENT_EDITED = "CONTENT_EDITED"
    CONTENT_DELETED = "CONTENT_DELETED"
    CONTENT_CHANGED = "CONTENT_CHANGED"
    AUDIENCE_CHANGED = "AUDIENCE_CHANGED"
    RIGHTS_RESERVED = "RIGHTS_RESERVED"
    SCANNED = "SCANNED"
    TEXT_REMOVED = "TEXT_REMOVED"
    ACCOUNT_RECORDED = "ACCOUNT_RECORDED"
    ACCOUNT_CHANGED = "ACCOUNT_CHANGED"
    BIRTH_DATE_CHANGED = "BIRTH_DATE_CHANGED"
    RECORD_QUARANTINED = "RECORD_QUARANTINED"
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


@strawberry.type(description="An event of an item or its account, without text or birth date.")
class TimelineEntry:
    kind: TimelineEntryKind = governed(EXAMINERS, description="The kind of the event.")
    occurred_at: datetime = governed(
        EXAMINERS, description="The time at which the event happened, as the platform reported it."
    )
    recorded_at: datetime = governed(EXAMINERS, description="The time at which the gateway learned of the event.")
    sentence: str = governed(EXAMINERS, description="The event in one sentence.")


def recipient_of(item: int, row: RecipientRow) -> Recipient:
    """Show a client that received an item as the GraphQL object `Recipient`."""
    return Recipient(
        item=item,
        client=row.client,
        purpose=row.purpose,
        delivered_at=row.delivered_at,
        deliveries=row.times,
        policy_version=row.policy,
        retraction=RetractionState(row.retraction),
        retraction_kind=RetractionKind(row.retraction_kind) if row.retraction_kind else None,
    )


async def timeline_page(context: Context, item: int, first: int, after: str | None) -> Connection[TimelineEntry]:
    """Resolve a page of an item's history. A cursor is a place: what becomes known later stands behind it."""
    start = read_cursor(context.ids, IdKind.TIMELINE_CURSOR, after)
    size = check_page_size(first, MAX_PAGE_SIZE)
    entries = [*_timeline_entries(await load_facts(context.reader, item))]
    entries.sort(key=lambda entry: (entry.recorded_at, entry.occurred_at))
    nodes = entries[start : start + size]
    cursors = context.ids.encode_all(IdKind.TIMELINE_CURSOR, range(start + 1, start + 1 + len(nodes)))
    return connection_of_objects(nodes, cursors, after, has_next=len(entries) > start + size)


@dataclass(frozen=True, slots=True)
class _WatchedColumn:
    """A watched column and what its change means: `gone` if it became null or false; `at` is the time."""

    kind: TimelineEntryKind
    said: str
    gone: str | None = None
    at: str = "observed_at"


_ITEM = {
    "audience": _WatchedColumn(
        TimelineEntryKind.AUDIENCE_CHANGED, "The audience of the item changed from {old} to {new}.", at="audience_since"
    ),
    "edited_at": _WatchedColumn(
        TimelineEntryKind.CONTENT_EDITED, "The item was edited.", "The edit of the item was reverted.", "edited_at"
    ),
    "deleted_at": _WatchedColumn(
        TimelineEntryKind.CONTENT_DELETED, "The item was deleted.", "The item was restored.", "deleted_at"
    ),
    "kind": _WatchedColumn(TimelineEntryKind.CONTENT_CHANGED, "The kind of the item changed from {old} to {new}."),
    "account": _WatchedColumn(TimelineEntryKind.CONTENT_CHANGED, "The item now belongs to another account."),
    "reserved": _WatchedColumn(
        TimelineEntryKind.RIGHTS_RESERVED,
        "A reservation of rights was stated for the item.",
        "The reservation of rights for the item was withdrawn.",
    ),
    "special_category": _WatchedColumn(
        TimelineEntryKind.SCANNED, "The result of the scan for special categories changed from {old} to {new}."
    ),
    "safety": _WatchedColumn(
        TimelineEntryKind.SCANNED, "The result of the scan for safety changed from {old} to {new}."
    ),
    "minors": _WatchedColumn(
        TimelineEntryKind.SCANNED, "The result of the scan for minors changed from {old} to {new}."
    ),
    "conversation": _WatchedColumn(
        TimelineEntryKind.CONTENT_CHANGED, "The participants of the conversation changed from {old} to {new}."
    ),
    "parent": _WatchedColumn(
        TimelineEntryKind.CONTENT_CHANGED, "The item now has another parent.", "The item no longer has a parent."
    ),
    "purged_at": _WatchedColumn(
        TimelineEntryKind.TEXT_REMOVED,
        "The text of the item was removed from the gateway.",
        "The text of the item was sent to the gateway again.",
        "purged_at",
    ),
}
_ACCOUNT = {
    "status": _WatchedColumn(
        TimelineEntryKind.ACCOUNT_CHANGED, "The status of the account changed from {old} to {new}.", at="status_since"
    ),
    "born_on": _WatchedColumn(
        TimelineEntryKind.BIRTH_DATE_CHANGED,
        "The birth date of the account was corrected.",
        "The birth date of the account was removed.",
    ),
    "country": _WatchedColumn(
        TimelineEntryKind.ACCOUNT_CHANGED, "The country of the account changed from {old} to {new}."
    ),
    "kind": _WatchedColumn(TimelineEntryKind.ACCOUNT_CHANGED, "The kind of the account changed from {old} to {new}."),
    "product": _WatchedColumn(
        TimelineEntryKind.ACCOUNT_CHANGED, "The product of the account changed from {old} to {new}."
    ),
    "compromised": _WatchedColumn(
        TimelineEntryKind.ACCOUNT_CHANGED, "The periods in which the account was compromised changed."
    ),
}
_INITIAL_VALUES: dict[str, Any] = {"edited_at": None, "deleted_at": None, "reserved": False, "purged_at": None}
_SENTENCES = {
    TimelineEntryKind.RECORD_QUARANTINED: (
        "An input line about the {record} could not be read; the {record} is quarantined until a valid line arrives."
    ),
    TimelineEntryKind.NOTICE_SENT: "A notice was sent to the account.",
    TimelineEntryKind.NOTICE_DELIVERED: "A notice was delivered to the account.",
    TimelineEntryKind.NOTICE_BOUNCED: "A notice to the account bounced.",
    TimelineEntryKind.OBJECTION_RECEIVED: "An objection that applies to the account was received.",
    TimelineEntryKind.OBJECTION_WITHDRAWN: "An objection that applies to the account was withdrawn.",
    TimelineEntryKind.CONSENT_GIVEN: "The account gave consent.",
    TimelineEntryKind.CONSENT_WITHDRAWN: "The account withdrew consent.",
    TimelineEntryKind.HOLD_OPENED: "A hold that covers the item ({scope}) was opened by order of {authority}.",
    TimelineEntryKind.HOLD_LIFTED: "A hold that covers the item ({scope}) was lifted.",
    TimelineEntryKind.DELIVERED: "{client} received the item for the purpose {purpose}, under the policy {policy}.",
}
_RETRACTION_SENTENCES = {
    RetractionKind.RETRACT: "{client} was told to delete the item.",
    RetractionKind.SUPERSEDE: "{client} was told to delete the item; an edited version might follow.",
    RetractionKind.HOLD: "{client} was told not to use the item until further notice.",
    RetractionKind.RELEASE: "{client} was told that it may use the item again.",
}


def _timeline_entries(facts: list[FactRow]) -> Iterator[TimelineEntry]:
    """Write an item's history as entries with sentences, from its recorded versions."""
    item: dict[str, Any] | None = None
    account: dict[str, Any] | None = None
    for row in facts:
        if row.kind == "item":
            if item is None:
                said = (
                    f"The item was recorded: {row.facts['kind']}, audience {_lower_case_code(row.facts['audience'])}."
                )
                yield _entry_of_version(TimelineEntryKind.CONTENT_RECORDED, row, said, "created_at")
            yield from _change_entries(row, item, _ITEM)
            item = row.facts
        elif row.kind == "account":
            if row.facts["is_known"]:
                if account is None:
                    said = f"The account was recorded: {row.facts['kind']} on {row.facts['product']}, "
                    said += f"country {_lower_case_code(row.facts['country'])}, {row.facts['status']}."
                    yield _entry_of_version(TimelineEntryKind.ACCOUNT_RECORDED, row, said)
                yield from _change_entries(row, account, _ACCOUNT)
                account = row.facts
        elif row.kind == TimelineEntryKind.RETRACTED:
            incident = (
                " The item had been delivered after an objection was received." if row.facts["is_incident"] else ""
            )
            said = _RETRACTION_SENTENCES[RetractionKind(row.facts["told"])].format(**row.facts) + incident
            yield _make_entry(TimelineEntryKind.RETRACTED, row.occurred_at, row, said)
        else:
            kind = TimelineEntryKind(row.kind)
            yield _make_entry(kind, row.occurred_at, row, _SENTENCES[kind].format(**row.facts))


def _change_entries(
    row: FactRow, before: dict[str, Any] | None, watched: dict[str, _WatchedColumn]
) -> Iterator[TimelineEntry]:
    """Write what differs from a record's version before; of the first one, what it states beyond being there."""
    for column, each in watched.items():
        new = row.facts[column]
        old = _INITIAL_VALUES.get(column, new) if before is None else before[column]
        if new != old:
            gone = each.gone if new in (None, False) else None
            said = gone or each.said.format(new=_lower_case_code(new), old=_lower_case_code(old))
            yield _entry_of_version(each.kind, row, said, "observed_at" if gone else each.at)


def _entry_of_version(kind: TimelineEntryKind, row: FactRow, said: str, at: str = "observed_at") -> TimelineEntry:
    """Write the entry of an item's history for a version of a record."""
    stated = row.facts[at]
    return _make_entry(kind, datetime.fromisoformat(stated) if stated else row.recorded_at, row, said)


def _make_entry(kind: TimelineEntryKind, occurred_at: datetime, row: FactRow, said: str) -> TimelineEntry:
    """Make one entry of an item's history."""
    return TimelineEntry(kind=kind, occurred_at=occurred_at, recorded_at=row.recorded_at, sentence=said)


def _lower_case_code(value: Any) -> str:
    """Return a code for a sentence of an item's history, `unknown` for none."""
    return "unknown" if value is None else str(value)
