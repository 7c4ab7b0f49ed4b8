"""The only door to the database: a pool for each audience, each with a login role of its own."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import aiosql
import asyncpg

from db.access import DASHBOARD, INGEST, STAFF, SUBJECT, TRAINING, WORKER
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
    """Hold the pools: what each audience connects through. What all may know, everybody reads as a dashboard does."""

    training: Pool
    staff: Pool
    subject: Pool
    dashboard: Pool
    ingest: Pool
    worker: Pool

    def examiner(self, role: str) -> "Reader":
        """Read as an officer or an auditor."""
        return Reader(self.staff, "examiner", role, "decision")

    def client(self, number: int) -> "Reader":
        """Read as a training client: its own receipts and retractions."""
        return Reader(self.training, "client", str(number), "trainable_content")

    def data_subject(self, account: str) -> "Reader":
        """Read as the person whose account the platform calls so."""
        return Reader(self.subject, "subject", account, "own_decision")


@dataclass(frozen=True, slots=True)
class Reader:
    """Read for somebody: every statement claims who that is, and row security shows nothing without the claim."""

    pool: Pool
    claim: str
    who: str
    decisions: str
    """The view that holds the decisions that this reader may see."""

    async def fetch(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        """Run one statement, and hand out its rows."""
        async with connection(self.pool) as borrowed:
            return await borrowed.fetch(_claiming(statement, self.claim, len(values) + 1), *values, self.who)

    async def fetchval(self, statement: str, *values: Any) -> Any:
        """Run one statement, and hand out the one value that it finds, or None."""
        rows = await self.fetch(statement, *values)
        return rows[0][0] if rows else None


@lru_cache(maxsize=256)
def _claiming(statement: str, claim: str, position: int) -> str:
    """Wrap a statement so that it claims for its own transaction, in one round trip.

    The claim stands in a condition of its own above a query that OFFSET 0 keeps whole: PostgreSQL decides such a
    condition before it asks for the first row.
    """
    said = f"set_config('grounds.{claim}', ${position}, TRUE)"
    return f"SELECT q.* FROM ({statement} OFFSET 0) q WHERE (SELECT {said}) <> ''"


@asynccontextmanager
async def open_database(url: str, secret: bytes, *, connections: int = 8) -> AsyncIterator[Database]:
    """Open the pools, and close them at the end. `connections` is the size of the training pool."""
    fewer = max(2, connections // 2)
    sizes = {TRAINING: connections, STAFF: fewer, SUBJECT: fewer, DASHBOARD: 2, INGEST: 2, WORKER: 4}
    async with AsyncExitStack() as opened:
        pools = [await opened.enter_async_context(_pool(url, secret, role, size)) for role, size in sizes.items()]
        yield Database(*pools)


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


@asynccontextmanager
async def writing(pool: Pool, **claims: str) -> AsyncIterator[Connection]:
    """Borrow a connection for one transaction that may write, and that claims who does.

    The logins of officers and data subjects only read unless they say otherwise, and write by the owner's functions.
    """
    async with connection(pool) as borrowed, borrowed.transaction():
        await borrowed.execute("SET TRANSACTION READ WRITE")
        for claim, who in claims.items():
            await borrowed.execute("SELECT set_config($1, $2, TRUE)", f"grounds.{claim}", who)
        yield borrowed


def _pool(url: str, secret: bytes, role: str, size: int) -> Pool:
    """Make a pool that logs in as one role, so that there is no role to set and none to forget."""
    return asyncpg.create_pool(
        url,
        user=role,
        password=role_password(secret, role),
        min_size=1,
        max_size=size,
        command_timeout=30 if role not in (INGEST, WORKER) else None,
        server_settings={"application_name": role},
        reset=None if role in (INGEST, WORKER) else _nothing_to_reset,
    )


async def _nothing_to_reset(connection: Connection) -> None:
    """Spare a round trip: these roles run single statements, whose claims end with their transaction."""
