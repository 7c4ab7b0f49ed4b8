"""The shards of releases: announce a range, read it, store its file, and hand it out without what was struck."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from itertools import count
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg
import orjson

from db.access.declaration import TRAINING
from db.access.role_names import read_role_names
from db.connection import Connection
from db.delivery.pages import PERMITTED, Filter, Sample, narrowing, numbered_clauses
from db.policy.compile import page_columns
from db.secrets import role_password

_ITEMS_PER_READ: Final = 20_000
_READ_MILLISECONDS: Final = 60_000
"""The timeout for reading a shard. Skipping an item takes 1 to 7 microseconds, and reading an item takes 10 to 20."""


class AnnouncedShard(NamedTuple):
    """A shard that is to be read: whose it is, what narrows it, and from which item to which."""

    release: int
    number: int
    client: int
    client_name: str
    purpose: str
    filter: str
    first: int
    last: int
    attempt: UUID


class ReadPart(NamedTuple):
    """Permitted items of a shard as CSV, in the columns of `db.policy.compile.page_columns`."""

    policy: str
    decided_at: datetime
    csv: bytes


class OpenedShard(NamedTuple):
    """A shard of a release that is about to be handed out: its file, and the items to be cut from it.

    `state` is WRITTEN, or says why there is no file.
    """

    state: str
    file: str | None
    gone: list[int] | None


class HandedOutShard(NamedTuple):
    """A shard of a release whose receipt is written. Without a `policy`, nothing may leave."""

    sha256: bytes
    byte_count: int
    receipt: int | None
    is_new: bool
    counts: str
    policy: str | None


@dataclass(frozen=True, slots=True)
class ShardFile:
    """The file of a shard: its name in the folder of releases, and what it has."""

    name: str
    sha256: bytes
    byte_count: int
    counts: dict[str, Any]


class ShardNotReadable(Exception):
    """A shard that cannot be read at this moment: the client is suspended, or the rules are about to change."""


def filter_as_json(narrowed: Filter) -> str:
    """Write the filter of a release for the database."""
    return orjson.dumps({name: value for name, value in asdict(narrowed).items() if value is not None}).decode()


def filter_from_json(text: str) -> Filter:
    """Read the filter of a release from the database."""
    stated = orjson.loads(text)
    for name in ("from_month", "until_month"):
        if name in stated:
            stated[name] = date.fromisoformat(stated[name])
    if "months" in stated:
        stated["months"] = [date.fromisoformat(month) for month in stated["months"]]
    if "sample" in stated:
        stated["sample"] = Sample(**stated["sample"])
    assert set(stated) <= {field.name for field in fields(Filter)}
    return Filter(**stated)


@asynccontextmanager
async def training_connection(url: str, secret: bytes) -> AsyncIterator[Connection]:
    """Open a connection that reads shards, by the login of training clients, so that row security is theirs."""
    login = (await read_role_names(url)).of(TRAINING)
    opened = await asyncpg.connect(
        url,
        user=login,
        password=role_password(secret, login),
        server_settings={"application_name": "grounds releases", "statement_timeout": str(_READ_MILLISECONDS)},
    )
    try:
        yield opened
    finally:
        await opened.close()


async def announce_shard(worker: Connection) -> AnnouncedShard | None:
    """Announce the next shard that is to be read, and commit that; None where there is none."""
    row = await worker.fetchrow("SELECT * FROM grounds.announce_shard()")
    return None if row is None else AnnouncedShard(*row)


async def read_shard(training: Connection, shard: AnnouncedShard) -> AsyncIterator[ReadPart]:
    """Read the permitted items of an announced shard, some at a time, as its client. Nothing is delivered by that.

    Each part is read in a snapshot of its own, taken after the shard was announced, with the answer to whether
    the client may receive anything. Raises ShardNotReadable.
    """
    for first in range(shard.first, shard.last + 1, _ITEMS_PER_READ):
        last = min(first + _ITEMS_PER_READ - 1, shard.last)
        yield await _read_part(training, shard, first, last)


async def _read_part(training: Connection, shard: AnnouncedShard, first: int, last: int) -> ReadPart:
    """Read the permitted items of a shard from one item to another."""
    used, values = narrowing(filter_from_json(shard.filter))
    clauses = " AND ".join(f"({' OR '.join(each)})" for each in numbered_clauses(used, count(3)))
    statement = (
        f"SELECT {', '.join(page_columns())} FROM grounds.{PERMITTED}"
        f" WHERE id >= $1::bigint AND id <= $2::bigint{clauses and ' AND ' + clauses} ORDER BY id"
    )
    read: list[bytes] = []

    async def keep(block: bytes) -> None:
        """Keep a block of a shard's CSV."""
        read.append(block)

    async with training.transaction(isolation="repeatable_read", readonly=True):
        for claim, who in (("client", str(shard.client)), ("purpose", shard.purpose)):
            await training.execute("SELECT set_config($1, $2, TRUE)", f"grounds.{claim}", who)
        asked = await training.fetchrow("SELECT * FROM grounds.release_may_be_read()")
        if asked is None or asked["policy"] is None:
            raise ShardNotReadable
        await training.copy_from_query(statement, first, last, *values, output=keep, format="csv")
    return ReadPart(asked["policy"], asked["decided_at"], b"".join(read))


async def store_shard(
    worker: Connection, shard: AnnouncedShard, file: ShardFile, items: Sequence[int], read: ReadPart
) -> bool:
    """Record the file of an announced shard; return whether it is wanted still."""
    stored: bool = await worker.fetchval(
        "SELECT grounds.store_shard($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        *(shard.release, shard.number, shard.attempt, read.policy, read.decided_at),
        *(len(items), bits_of(items, shard.first, shard.last)),
        *(file.name, file.sha256, file.byte_count, orjson.dumps(file.counts).decode()),
    )
    return stored


async def open_shard(training: Connection, release: int, number: int) -> OpenedShard:
    """Open a shard of a release for the claimed client, and lock it for the transaction."""
    return OpenedShard(*await training.fetchrow("SELECT * FROM grounds.open_shard($1, $2)", release, number) or ())


async def hand_out_shard(
    training: Connection, release: int, number: int, gone: Sequence[int], cut: ShardFile | None
) -> HandedOutShard:
    """Record the delivery of an opened shard of a release, and write its receipt; `cut` lacks the removed items."""
    name, sha256, size, counts = (cut.name, cut.sha256, cut.byte_count, cut.counts) if cut else (None, None, None, {})
    row = await training.fetchrow(
        "SELECT * FROM grounds.hand_out_shard($1, $2, $3, $4, $5, $6, $7)",
        *(release, number, gone, name, sha256, size, orjson.dumps(counts).decode()),
    )
    return HandedOutShard(*row or ())


async def lose_shard(training: Connection, release: int, number: int) -> None:
    """Mark an opened shard of a release to be written again, because its file is missing."""
    await training.execute("SELECT grounds.lose_shard($1, $2)", release, number)


def bits_of(items: Sequence[int], first: int, last: int) -> bytes:
    """Write items of a shard as a bitset over its range; bit n, as PostgreSQL counts, stands for the item first + n."""
    bits = bytearray((last - first) // 8 + 1)
    for item in items:
        bits[(item - first) >> 3] |= 1 << ((item - first) & 7)
    return bytes(bits)


async def release_files(worker: Connection) -> set[str]:
    """Read the names of the files that shards of releases have."""
    return {row[0] for row in await worker.fetch("SELECT f FROM grounds.release_files() f")}


async def retire_shards(worker: Connection) -> int:
    """Retire files of releases that clients do not request and that contain items that are no longer permitted."""
    retired: int = await worker.fetchval("SELECT grounds.retire_shards()")
    return retired


async def fail_release(worker: Connection, release: int, failure: str) -> None:
    """Record why shards of a release cannot be written at this moment."""
    await worker.execute("SELECT grounds.fail_release($1, $2)", release, failure)
