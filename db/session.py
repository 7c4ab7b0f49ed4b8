"""The only door to the database: a pool for each audience, each with a login role of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

import aiosql
import asyncpg

from db.admin import role_password

ACQUIRE_SECONDS = 1.0

if TYPE_CHECKING:  # generic in the stubs only
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Connection = asyncpg.Connection
    Pool = asyncpg.Pool

# Named queries, each with its sentence, from db/queries/*.sql.
queries: Any = aiosql.from_path(str(resources.files("db") / "queries"), "asyncpg", mandatory_parameters=False)


class Busy(Exception):
    """Say that every connection of an audience was in use for ACQUIRE_SECONDS."""


@dataclass(frozen=True, slots=True)
class Database:
    """Hold the pools: what training clients, staff and data subjects, and the platform's ingest connect through."""

    training: Pool
    staff: Pool
    ingest: Pool


@asynccontextmanager
async def open_database(url: str, secret: bytes, *, connections: int = 8) -> AsyncIterator[Database]:
    """Open the pools, and close them at the end. `connections` is the size of the training pool."""
    training = _pool(url, secret, "grounds_training", connections)
    staff = _pool(url, secret, "grounds_staff", max(2, connections // 2))
    ingest = _pool(url, secret, "grounds_ingest", 2)
    async with training, staff, ingest:
        yield Database(training, staff, ingest)


@asynccontextmanager
async def connection(pool: Pool) -> AsyncIterator[Connection]:
    """Borrow a connection; raise Busy rather than queue for long."""
    try:
        borrowed = await pool.acquire(timeout=ACQUIRE_SECONDS)
    except TimeoutError:
        raise Busy from None
    try:
        yield borrowed
    finally:
        await pool.release(borrowed)


def _pool(url: str, secret: bytes, role: str, size: int) -> Pool:
    """Make a pool that logs in as one role, so that there is no role to set and none to forget."""
    return asyncpg.create_pool(
        url,
        user=role,
        password=role_password(secret, role),
        min_size=1,
        max_size=size,
        command_timeout=30 if role != "grounds_ingest" else None,
        server_settings={"application_name": role},
        reset=_nothing_to_reset if role == "grounds_training" else None,
    )


async def _nothing_to_reset(connection: Connection) -> None:
    """Spare a round trip: the training role only runs the page statement, whose claims end with its transaction."""
