"""Read the target of an objection, file and withdraw it, and read those that match no account.

There is one reading of a target, whether an officer states it or a person types it.

Whatever is filed is committed, and so in force, when these return.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import asyncpg

from db.connection import Database, Pool, Reader, connection, write_transaction
from db.ingest.contacts import Contact, ContactError, ContactKind, ContactProblem, read_contact
from db.oversight.objection_review import TARGETS, UNMATCHED
from db.vocabulary import MAX_ID_BYTES, ObjectionChannel, ObjectionScope, TargetKind


class Target(NamedTuple):
    """The target of an objection: an ACCOUNT or PERSON by the platform's id, a CONTACT by its hash.

    `others` are the hashes of the other writings of the same contact.
    """

    kind: TargetKind
    value: str
    others: tuple[str, ...] = ()


class TargetProblem(StrEnum):
    """The reasons why a text is no target."""

    MISSING = "MISSING"
    AMBIGUOUS = "AMBIGUOUS"
    EMAIL = "EMAIL"
    PHONE = "PHONE"
    COUNTRY = "COUNTRY"
    NAME = "NAME"
    ADDRESS = "ADDRESS"
    ID = "ID"


class TargetError(ValueError):
    """A target that cannot be read: the problem, and the field (account, person or contact) that has it.

    `countries` are those in which a phone number without its country code is one.
    """

    def __init__(
        self, problem: TargetProblem, field: str | None = None, said: str = "", countries: tuple[str, ...] = ()
    ) -> None:
        super().__init__(said or _REASONS[problem])
        self.problem = problem
        self.field = field
        self.countries = countries


_REASONS = {
    TargetProblem.MISSING: "must have one of account, person and contact (state one)",
    TargetProblem.AMBIGUOUS: "must have only one of account, person and contact (remove the others)",
    TargetProblem.ADDRESS: "must not be an e-mail address or phone number (pass it as contact)",
    TargetProblem.ID: f"must have 1 to {MAX_ID_BYTES} bytes, and only printable characters (state the platform's id)",
}


def stated_target(
    account: str | None = None, person: str | None = None, contact: str | None = None, country: str | None = None
) -> Target:
    """Read the one field that states an objection's target; a contact is an address or its hash.

    `country` is that of a phone number without its country code. Raises TargetError unless exactly one is stated, and
    is well formed.
    """
    stated = {TargetKind.ACCOUNT: account, TargetKind.PERSON: person, TargetKind.CONTACT: contact}
    given = [(kind, value) for kind, value in stated.items() if value is not None]
    if len(given) != 1:
        raise TargetError(TargetProblem.AMBIGUOUS if given else TargetProblem.MISSING)
    ((kind, value),) = given
    if kind is TargetKind.CONTACT:
        return contact_target(stated_contact(value, country))
    if not is_platform_id(value):
        raise TargetError(TargetProblem.ID, kind.lower())
    if _is_address(value):
        raise TargetError(TargetProblem.ADDRESS, kind.lower())
    return Target(kind, value)


def stated_contact(typed: str, country: str | None = None, language: str | None = None) -> Contact:
    """Read the contact that an objection states, as people type it. Raises TargetError for what is none."""
    if not typed.strip():
        raise TargetError(
            TargetProblem.MISSING, "contact", "is empty (write an e-mail address, a phone number or a user name)"
        )
    try:
        return read_contact(typed, country, language)
    except ContactError as error:
        raise TargetError(TargetProblem(error.problem), "contact", str(error), error.countries) from None


def contact_target(contact: Contact) -> Target:
    """Return the target of an objection by a contact."""
    return Target(TargetKind.CONTACT, contact.hashes[0], contact.hashes[1:])


def _is_address(value: str) -> bool:
    """Return whether an objection's id looks like an address that must not be stored in clear."""
    try:
        kind = read_contact(value).kind
    except ContactError as error:
        return error.problem is ContactProblem.EMAIL
    return kind is ContactKind.EMAIL or (kind is ContactKind.PHONE and value.startswith("+"))


def is_platform_id(value: str) -> bool:
    """Return whether an objection's target can be an id of the platform: printable, and not too long."""
    return value.isprintable() and 1 <= len(value.encode()) <= MAX_ID_BYTES


@dataclass(frozen=True, slots=True)
class ObjectionSubmitter:
    """The submitter of an objection: the pool of an audience, and the claims of its identity."""

    pool: Pool
    claims: dict[str, str]

    @classmethod
    def form(cls, database: Database) -> "ObjectionSubmitter":
        """Make the submitter of objections by the public form, for a contact or an account, known or not."""
        return cls(database.subject, {"form": "/object"})

    @classmethod
    def subject(cls, database: Database, account: str) -> "ObjectionSubmitter":
        """Make the submitter of a data subject's objections, by the platform's id, for the own account only."""
        return cls(database.subject, {"subject": account})

    @classmethod
    def officer(cls, database: Database, name: str) -> "ObjectionSubmitter":
        """Make the submitter of objections that a privacy officer files, for any target."""
        return cls(database.staff, {"examiner": "PRIVACY_OFFICER", "officer": name})


class Filed(NamedTuple):
    """A filed objection as the submitter sees it: its reference, and the instant from which it is in effect."""

    reference: str
    received_at: datetime


class UnmatchedRow(NamedTuple):
    """An objection that matches no known account; `targets` are `KIND value`."""

    id: int
    reference: str
    scope: str
    channel: str | None
    received_at: datetime
    targets: list[str]


DATED_CHANNELS = (ObjectionChannel.LETTER, ObjectionChannel.PHONE, ObjectionChannel.EMAIL)
"""The channels of objections for which an officer must state when the objection was received."""


class ReceiptTimeError(ValueError):
    """A time at which an objection cannot have been received, in words that say how to correct it."""


async def file_objection(
    filer: ObjectionSubmitter,
    target: Target,
    scope: ObjectionScope,
    channel: ObjectionChannel,
    received_at: datetime | None = None,
) -> Filed:
    """Store an objection, received now unless an officer states when.

    Raises ReceiptTimeError, and asyncpg.InsufficientPrivilegeError for a target that its submitter may not name.
    """
    if received_at is not None:
        _check_receipt_time(received_at, channel)
    try:
        async with write_transaction(filer.pool, **filer.claims) as borrowed:
            row = await borrowed.fetchrow(
                "SELECT reference, received_at FROM grounds.file_objection($1, $2, $3, $4, $5)",
                *(target.kind, [target.value, *target.others], scope, channel, received_at),
            )
    except asyncpg.DatetimeFieldOverflowError:
        raise ReceiptTimeError("must not be in the future (state when the objection was received)") from None
    assert row is not None, "the function gives one row"
    return Filed(*row)


def _check_receipt_time(received_at: datetime, channel: ObjectionChannel) -> None:
    """Raise ReceiptTimeError if the receipt of an objection has no time zone, or its channel states the time itself."""
    if received_at.tzinfo is None:
        raise ReceiptTimeError("must have a time zone (write it like 2026-05-27T12:00:00Z)")
    if channel not in DATED_CHANNELS:
        raise ReceiptTimeError(f"needs one of the channels {', '.join(DATED_CHANNELS)} (state the channel)")


async def is_unmatched(officer: ObjectionSubmitter, reference: str) -> bool:
    """Return whether a filed objection matches no known account. Only officers can ask; the form never shows it."""
    async with write_transaction(officer.pool, **officer.claims) as borrowed:
        unmatched: bool = await borrowed.fetchval(
            "SELECT EXISTS (SELECT FROM grounds.objection_in_force o"
            " JOIN grounds.unmatched_objections() n ON n.objection = o.id WHERE o.platform_id = $1)",
            reference,
        )
    return unmatched


async def withdraw_objection(filer: ObjectionSubmitter, reference: str) -> datetime | None:
    """Store that an objection was withdrawn; return when, or None where the submitter has no such one.

    It stays in force for the policy's dwell after that.
    """
    async with write_transaction(filer.pool, **filer.claims) as borrowed:
        withdrawn_at: datetime | None = await borrowed.fetchval("SELECT grounds.withdraw_objection($1)", reference)
    return withdrawn_at


async def decision_time(database: Database) -> datetime:
    """Read the database's instant of decisions, with which a link's expiry to object is compared."""
    async with connection(database.dashboard) as borrowed:
        now: datetime = await borrowed.fetchval("SELECT grounds.decision_time()")
        return now


async def references_of(reader: Reader, numbers: Sequence[int]) -> dict[int, str]:
    """Read from the database the references of objections, by their numbers, as far as the reader may see them."""
    rows = await reader.fetch(
        "SELECT id, platform_id FROM grounds.objection_in_force WHERE id = ANY ($1::bigint[])", numbers
    )
    return {row["id"]: row["platform_id"] for row in rows}


async def unmatched_objections(reader: Reader, after: int, first: int) -> tuple[list[UnmatchedRow], bool]:
    """Read from the database a page of open objections that match no account, and whether there are more."""
    rows = await reader.fetch(_UNMATCHED, after, first)
    reader.people.objections.update(row["id"] for row in rows[:first])
    return [UnmatchedRow(*row) for row in rows[:first]], len(rows) > first


_UNMATCHED = f"""
SELECT o.id, o.platform_id, o.scope, o.channel, o.received_at, {TARGETS} AS targets
FROM grounds.objection_in_force o WHERE o.id > $1 AND {UNMATCHED} ORDER BY o.id LIMIT $2::int + 1
"""
