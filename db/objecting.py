"""File and withdraw objections, see those that nobody could be matched to, and what was delivered of somebody's items.

Whatever is filed is committed, and so in force, when these return.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from db.objections import TARGETS, UNMATCHED
from db.records import ObjectionChannel, ObjectionScope
from db.session import Database, Pool, Reader, connection, writing

MOST_ITEMS = 1000


@dataclass(frozen=True, slots=True)
class Filer:
    """Act for somebody: the pool of that audience, and the claims that say who it is."""

    pool: Pool
    claims: dict[str, str]

    @classmethod
    def form(cls, database: Database) -> "Filer":
        """Act for whoever fills the public form in: for a contact or an account, known or not."""
        return cls(database.subject, {"form": "/object"})

    @classmethod
    def subject(cls, database: Database, account: str) -> "Filer":
        """Act for the person whose account the platform calls so, and for that account alone."""
        return cls(database.subject, {"subject": account})

    @classmethod
    def officer(cls, database: Database, name: str) -> "Filer":
        """Act for a privacy officer, for anybody."""
        return cls(database.staff, {"examiner": "PRIVACY_OFFICER", "officer": name})


class Target(NamedTuple):
    """Say whom an objection is for: an ACCOUNT or PERSON by the platform's id, a CONTACT by its hash."""

    kind: str
    value: str


class Filed(NamedTuple):
    """Hold what a person is told of an objection: the reference, and the instant from which it is in force."""

    reference: str
    received_at: datetime


class UnmatchedRow(NamedTuple):
    """Hold an objection that reaches no known account; `targets` are `KIND value`."""

    id: int
    reference: str
    scope: str
    channel: str | None
    received_at: datetime
    targets: list[str]


class DeliveryRow(NamedTuple):
    """Hold a page that a client received, and which of a person's own items were on it."""

    id: int
    client: str
    purpose: str
    policy: str
    decided_at: datetime
    items: list[int]


async def file_objection(filer: Filer, target: Target, scope: ObjectionScope, channel: ObjectionChannel) -> Filed:
    """File an objection. Raises asyncpg.InsufficientPrivilegeError for a target that this filer may not name."""
    async with writing(filer.pool, **filer.claims) as borrowed:
        row = await borrowed.fetchrow(
            "SELECT reference, received_at FROM grounds.file_objection($1, $2, $3, $4)", *target, scope, channel
        )
    assert row is not None, "the function gives one row"
    return Filed(*row)


async def withdraw_objection(filer: Filer, reference: str) -> datetime | None:
    """Withdraw an objection; give when it was withdrawn, or None where this filer has no such one to withdraw.

    It stays in force for the policy's dwell after that.
    """
    async with writing(filer.pool, **filer.claims) as borrowed:
        withdrawn_at: datetime | None = await borrowed.fetchval("SELECT grounds.withdraw_objection($1)", reference)
    return withdrawn_at


async def decision_time(database: Database) -> datetime:
    """Give the instant of decisions, which is what a link's expiry is compared with."""
    async with connection(database.dashboard) as borrowed:
        now: datetime = await borrowed.fetchval("SELECT grounds.decision_time()")
        return now


async def references_of(reader: Reader, numbers: Sequence[int]) -> dict[int, str]:
    """Read the references of objections, by their numbers; what the reader may not see is left out."""
    rows = await reader.fetch(
        "SELECT id, platform_id FROM grounds.objection_in_force WHERE id = ANY ($1::bigint[])", numbers
    )
    return {row["id"]: row["platform_id"] for row in rows}


async def unmatched_objections(reader: Reader, after: int, first: int) -> tuple[list[UnmatchedRow], bool]:
    """Read a page of objections that reach no known account, not withdrawn or rejected, and whether there is more."""
    rows = await reader.fetch(_UNMATCHED, after, first)
    return [UnmatchedRow(*row) for row in rows[:first]], len(rows) > first


async def deliveries_of(reader: Reader, items: Sequence[int]) -> list[DeliveryRow]:
    """Read which clients received some of a data subject's own items, the latest first.

    What is not the reader's own is left out. Raises ValueError for more than MOST_ITEMS items.
    """
    if len(items) > MOST_ITEMS:
        raise ValueError(f"{len(items)} items are more than {MOST_ITEMS}")
    rows = await reader.fetch("SELECT * FROM grounds.deliveries_of_subject($1::bigint[])", items)
    return [DeliveryRow(*row) for row in rows]


async def numbered_items(reader: Reader) -> tuple[dict[int, int], int]:
    """Number a data subject's own items in the order in which they came: item -> 1, 2, 3 …

    Gives the latest MOST_ITEMS of them, the latest first, and how many there are in all.
    """
    rows = await reader.fetch(
        "SELECT c.id, count(*) OVER () AS held FROM grounds.content c ORDER BY c.id DESC LIMIT $1", MOST_ITEMS
    )
    held = rows[0]["held"] if rows else 0
    return {row["id"]: held - behind for behind, row in enumerate(rows)}, held


_UNMATCHED = f"""
SELECT o.id, o.platform_id, o.scope, o.channel, o.received_at, {TARGETS} AS targets
FROM grounds.objection_in_force o WHERE o.id > $1 AND {UNMATCHED} ORDER BY o.id LIMIT $2::int + 1
"""
