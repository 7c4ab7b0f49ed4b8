"""Answer reads that need no receipt by a standby server, which must have applied what the primary server committed.

Before each read, the primary server states the position of its log. The standby server answers only if it has applied
the log up to this position, so that it shows no decision that the primary server has replaced. In all other cases, the
primary server answers.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import asyncpg
from prometheus_client import Counter

from db.access.declaration import DASHBOARD, STAFF, TRAINING
from db.access.role_names import read_role_names
from db.connection import METRICS, UNAVAILABLE, UNREACHABLE, Database, Pool, PoolExhausted, connection, open_pool
from db.connection_types import Connection

CHECK_SECONDS: Final = 1.0
"""The longest time to connect to a standby server and to ask for its state."""
WAIT_SECONDS: Final = 0.25
"""The longest time to wait until a standby server has applied the log."""
BEHIND_SECONDS: Final = 1.0
GONE_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.005
_CLOCK_TOLERANCE: Final = timedelta(seconds=1)
_LOST: Final = (
    *(*UNREACHABLE, PoolExhausted, OSError, TimeoutError),
    asyncpg.SerializationError,  # the log removed rows that the read needed
    *(asyncpg.ReadOnlySQLTransactionError, asyncpg.ObjectNotInPrerequisiteStateError),
)
"""The errors after which the primary server is asked. All others would be its answer too."""
_READS: Final = Counter(
    "grounds_replica_reads",
    "Reads that the replica may answer, by the server that answered: replica or primary.",
    ("server",),
    registry=METRICS,
)
# What is visible at the primary server is in its log up to this position. Only the commits of grounds.derive_backlog do
# not wait for the log: without them, decisions are pending, so that a server permits less.
_PRIMARY = """
SELECT pg_wal_lsn_diff(l.lsn, '0/0')::bigint AS position, substr(pg_walfile_name(l.lsn), 1, 8) AS timeline,
    (SELECT s.system_identifier FROM pg_control_system() s) AS system, clock_timestamp() AS clock
FROM pg_current_wal_flush_lsn() l (lsn)"""
_STANDBY = """
SELECT coalesce(pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint, -1) AS position,
    (SELECT lpad(upper(to_hex(c.timeline_id)), 8, '0') FROM pg_control_checkpoint() c) AS timeline,
    (SELECT s.system_identifier FROM pg_control_system() s) AS system, clock_timestamp() AS clock,
    pg_is_in_recovery() AS in_recovery"""


class _Position(NamedTuple):
    """The state of the primary server at a moment: its log, and its clock.

    A server that was promoted elsewhere writes another timeline of the log, so that positions cannot be compared.
    """

    position: int
    timeline: str
    system: int
    clock: datetime
    at: float


@dataclass(slots=True)
class _Rest:
    """The time until which a standby server is not asked, because it was behind or gone."""

    until: float = 0.0

    def begin(self, seconds: float) -> None:
        """Ask the standby server no more for some seconds."""
        self.until = time.monotonic() + seconds


@dataclass(frozen=True, slots=True)
class Replica:
    """The connections of one audience to a standby server, and one to the primary server to compare both."""

    pool: Pool
    primary: Pool
    rest: _Rest = field(default_factory=_Rest)

    async def fetch(self, statement: str, *values: Any) -> list[asyncpg.Record] | None:
        """Run one statement that only reads at the standby server; return None if the primary server must run it."""
        rows = await self._fetch_if_current(statement, values) if time.monotonic() >= self.rest.until else None
        _READS.labels("primary" if rows is None else "replica").inc()
        return rows

    async def _fetch_if_current(self, statement: str, values: Sequence[Any]) -> list[asyncpg.Record] | None:
        """Run a statement at the standby server; return None if it is behind, or cannot be reached or compared."""
        try:
            wanted = await _position_of(self.primary)
        except UNAVAILABLE:
            return None
        try:
            async with asyncio.timeout(CHECK_SECONDS) as limit, connection(self.pool) as borrowed:
                if await _is_current(borrowed, wanted):
                    limit.reschedule(None)
                    return await borrowed.fetch(statement, *values)
            self.rest.begin(BEHIND_SECONDS)
        except _LOST:
            self.rest.begin(GONE_SECONDS)
        return None


async def _position_of(primary: Pool) -> _Position:
    """Ask the primary server for the position of its log."""
    async with connection(primary) as borrowed:
        row = await borrowed.fetchrow(_PRIMARY)
    assert row is not None, "the statement returns one row"
    return _Position(row["position"], row["timeline"], row["system"], row["clock"], time.monotonic())


async def _is_current(standby: Connection, wanted: _Position) -> bool:
    """Wait until a standby server has applied the primary server's log; return whether it has, and can be compared."""
    end = time.monotonic() + WAIT_SECONDS
    while True:
        state = await standby.fetchrow(_STANDBY)
        assert state is not None, "the statement returns one row"
        elapsed = timedelta(seconds=time.monotonic() - wanted.at)
        if (
            not state["in_recovery"]
            or (state["timeline"], state["system"]) != (wanted.timeline, wanted.system)
            or not -_CLOCK_TOLERANCE < state["clock"] - wanted.clock < elapsed + _CLOCK_TOLERANCE
        ):
            return False
        if state["position"] >= wanted.position:
            return True
        if time.monotonic() >= end:
            return False
        await asyncio.sleep(_POLL_SECONDS)


@asynccontextmanager
async def open_replica(
    database: Database, primary: str, replica: str | None, secrets: Sequence[bytes], connections: int
) -> AsyncIterator[Database]:
    """Open connections to a standby server, for the pools whose reads it can answer.

    `primary` and `replica` are the URLs of the servers. The standby server need not be reachable now. Without a
    `replica`, the primary server answers all reads.
    """
    if replica is None:
        yield database
        return
    fewer, rest, names = max(2, connections // 2), _Rest(), await read_role_names(primary)
    asked = open_pool(primary, secrets, names, DASHBOARD, 2)
    pools = [
        open_pool(replica, secrets, names, role, size, lazily=True)
        for role, size in ((STAFF, fewer), (DASHBOARD, 2), (TRAINING, fewer))
    ]
    async with AsyncExitStack() as opened:
        for pool in (asked, *pools):
            await opened.enter_async_context(pool.connections)
        staff, dashboard, training = (Replica(pool, asked, rest) for pool in pools)
        yield replace(
            database,
            staff=replace(database.staff, replica=staff),
            dashboard=replace(database.dashboard, replica=dashboard),
            eligibility=replace(database.eligibility, replica=training),
        )
