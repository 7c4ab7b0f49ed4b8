"""Releases: start, cancel and read them, and what their manifests name."""

from datetime import datetime
from typing import Final, NamedTuple

from db.connection import Connection, Pool, Reader, write_transaction


class ReleaseRow(NamedTuple):
    """A release, and how far it is written."""

    id: int
    client: int
    name: str
    purpose: str
    filter: str
    started_at: datetime
    cancelled_at: datetime | None
    cancelled_by: str | None
    failure: str | None
    major: int
    minor: int
    shards: int
    written: int
    items: int
    byte_count: int
    policies: list[str]

    @property
    def version(self) -> str:
        """Return the version of a release as Semantic Versioning writes it."""
        return f"{self.major}.{self.minor}.0"


class ShardRow(NamedTuple):
    """A written shard as a release's manifest names it."""

    number: int
    item_count: int
    byte_count: int
    sha256: bytes
    policy: str
    decided_at: datetime
    receipt: int | None
    counts: str


MAX_RELEASES_PER_CLIENT: Final = 100
"""The number of releases that a client can have at a time, without those that were cancelled."""


class TooManyReleases(Exception):
    """The failure to start a release because the client has MAX_RELEASES_PER_CLIENT."""


async def start_release(pool: Pool, client: int, purpose: str, name: str, filter: str, shard: int) -> int | None:
    """Store a release of a client with its shards to be written; None where it has one of this name.

    Raises TooManyReleases.
    """
    async with write_transaction(pool, client=str(client), purpose=purpose) as borrowed:
        started: int | None = await borrowed.fetchval(
            "SELECT grounds.start_release($1, $2, $3, $4)", name, filter, shard, MAX_RELEASES_PER_CLIENT
        )
    if started == 0:
        raise TooManyReleases
    return started


async def cancel_release(pool: Pool, release: int, **claims: str) -> bool:
    """Cancel a release, as its client or as an officer; return whether there is such a release."""
    async with write_transaction(pool, **claims) as borrowed:
        found: bool = await borrowed.fetchval("SELECT grounds.cancel_release($1)", release)
        return found


async def find_release(reader: Reader, release: int) -> ReleaseRow | None:
    """Read a release that the reader may see."""
    rows = await reader.fetch(_RELEASES, release, 0, 1)
    return ReleaseRow(*rows[0]) if rows else None


async def page_of_releases(reader: Reader, after: int, first: int) -> tuple[list[ReleaseRow], bool]:
    """Read a page of the releases that the reader may see, as they were started, and whether there are more."""
    rows = await reader.fetch(_RELEASES, None, after, first + 1)
    return [ReleaseRow(*row) for row in rows[:first]], len(rows) > first


async def publish_release(training: Connection, release: int) -> bool:
    """Let a manifest name the version of the claimed client's release; return whether every shard is written."""
    published: bool = await training.fetchval("SELECT grounds.publish_release($1)", release)
    return published


async def load_release(training: Connection, release: int) -> ReleaseRow:
    """Read the claimed client's release in the transaction that publishes it."""
    row = await training.fetchrow(_RELEASES, release, 0, 1)
    assert row is not None
    return ReleaseRow(*row)


async def load_shards(training: Connection, release: int) -> list[ShardRow]:
    """Read the shards of the claimed client's release that have items."""
    rows = await training.fetch(
        "SELECT number, item_count, byte_count, sha256, policy, decided_at, delivery, counts"
        " FROM grounds.release_shard WHERE release = $1 AND item_count > 0 ORDER BY number",
        release,
    )
    return [ShardRow(*row) for row in rows]


async def removed_items(training: Connection, release: int, major: int) -> list[int]:
    """Read the items that a client received by a release and that were removed from it since a version."""
    items: list[int] = await training.fetchval("SELECT grounds.removed_from_release($1, $2)", release, major)
    return items


_RELEASES = """
SELECT r.id, r.client, r.name, r.purpose, r.filter::text, r.started_at, r.cancelled_at, r.cancelled_by, r.failure,
    r.major, r.minor, s.shards, s.written, s.items, s.byte_count, s.policies
FROM grounds.release r CROSS JOIN LATERAL (
    SELECT count(*) AS shards, count(*) FILTER (WHERE state = 'WRITTEN') AS written,
        coalesce(sum(item_count) FILTER (WHERE state = 'WRITTEN'), 0)::bigint AS items,
        coalesce(sum(byte_count) FILTER (WHERE state = 'WRITTEN'), 0)::bigint AS byte_count,
        coalesce(array_agg(DISTINCT policy) FILTER (WHERE state = 'WRITTEN'), '{}') AS policies
    FROM grounds.release_shard WHERE release = r.id) s
WHERE ($1::bigint IS NULL OR r.id = $1) AND r.id > $2::bigint ORDER BY r.id LIMIT $3::int
"""
