"""Read what everyone can read: holds, policies, checkpoints, releases, models, and whether there were incidents."""

from datetime import date, datetime
from typing import NamedTuple

from db.connection import Database, connection, fetch_rows
from db.delivery.ledger import COLUMNS, Checkpoint


class PublicHoldRow(NamedTuple):
    """A hold of everything, of a country or of a product that an authority ordered."""

    scope: str
    value: str | None
    authority: str
    opened_at: datetime


class PublicPolicyRow(NamedTuple):
    """A policy, and from when until when it was in force; `in_force_until` is None for the one that is."""

    version: str
    title: str
    in_force_from: datetime
    in_force_until: datetime | None


class PublicReleaseRow(NamedTuple):
    """A release of which a client received a file."""

    name: str
    purpose: str
    started_month: date


class PublicModelRow(NamedTuple):
    """A model that a client stated, and the names of the releases that it used."""

    model: str
    purpose: str
    started_month: date
    releases: list[str]


async def public_holds(database: Database) -> list[PublicHoldRow]:
    """Read from the database the holds that stop deliveries now and that everyone can see."""
    rows = await fetch_rows(database.dashboard, "SELECT * FROM grounds.public_holds()")
    return [PublicHoldRow(*row) for row in rows]


async def public_policies(database: Database) -> list[PublicPolicyRow]:
    """Read from the database the policies with the times for which they were in force, the latest first."""
    rows = await fetch_rows(database.dashboard, "SELECT * FROM grounds.public_policies()")
    return [PublicPolicyRow(*row) for row in rows]


async def had_incidents(database: Database) -> bool:
    """Read from the database whether an item was ever delivered after an objection to it was received."""
    async with connection(database.dashboard) as borrowed:
        return bool(await borrowed.fetchval("SELECT grounds.had_incidents()"))


async def public_releases(database: Database, at_most: int) -> list[PublicReleaseRow]:
    """Read from the database the releases that everyone can see, the newest first."""
    async with connection(database.dashboard) as borrowed:
        found = await borrowed.fetch("SELECT * FROM grounds.public_releases($1)", at_most)
    return [PublicReleaseRow(*row) for row in found]


async def public_models(database: Database, at_most: int) -> list[PublicModelRow]:
    """Read from the database the stated models that everyone can see, the newest statement first."""
    async with connection(database.dashboard) as borrowed:
        found = await borrowed.fetch("SELECT * FROM grounds.public_models($1)", at_most)
    return [PublicModelRow(*row) for row in found]


async def newest_public_checkpoint(database: Database) -> Checkpoint | None:
    """Read the newest checkpoint from the database for everyone; None if nothing is sealed yet."""
    async with connection(database.dashboard) as borrowed:
        row = await borrowed.fetchrow(f"SELECT {COLUMNS} FROM grounds.newest_checkpoint()")
    return Checkpoint(*row) if row else None


async def public_checkpoints(database: Database, first_number: int, at_most: int) -> list[Checkpoint]:
    """Read from the database the checkpoints from a number on, for everyone who follows the chain."""
    statement = f"SELECT {COLUMNS} FROM grounds.checkpoints_from($1, $2)"
    rows = await fetch_rows(database.dashboard, statement, first_number, at_most)
    return [Checkpoint(*row) for row in rows]
