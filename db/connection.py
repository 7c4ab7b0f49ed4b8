"""Connection pools: one per audience, each with its own login role, shared fairly within."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import asyncpg
from prometheus_client import CollectorRegistry, Gauge, Histogram

from db.access.declaration import DASHBOARD, INGEST, STAFF, SUBJECT, TRAINING, WORKER
from db.access.role_names import RoleNames, read_role_names
from db.administrator import DatabaseError
from db.connection_types import Connection as Connection
from db.connection_types import Connections
from db.incarnations import Incarnations, load_incarnations
from db.journal.outbox import Journal
from db.secrets import Secrets, role_password, unwrap_secrets

ACQUIRE_SECONDS = 1.0
CONNECT_SECONDS = 5.0
MAX_CACHED_STATEMENT = 65_536  # bytes: a decision of the past has 18,000, and to plan it takes longer than to make it


class PoolExhausted(Exception):
    """The failure to borrow a connection because all of an audience were in use for ACQUIRE_SECONDS."""


class JournalUnavailable(PoolExhausted):
    """The failure to write a change to the journal. The change is committed, and is written to the journal later."""


class DeliveryPaused(PoolExhausted):
    """The refusal to deliver anything at this moment; the client is not told why."""


UNREACHABLE = (
    *(ConnectionError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.CannotConnectNowError),
    *(asyncpg.AdminShutdownError, asyncpg.CrashShutdownError, asyncpg.TooManyConnectionsError),
    asyncpg.InternalClientError,  # where PostgreSQL is killed as a statement begins
)
"""The errors that a statement raises if the database cannot be reached, or stops during the statement."""
UNAVAILABLE = (PoolExhausted, OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""The errors that a statement raises if the database cannot be reached or does not answer as expected."""


METRICS = CollectorRegistry()
"""The metrics of the pools, which `/metrics` also shows."""
_CONNECTIONS = Gauge(
    "grounds_pool_connections",
    "Connections of a pool that are in use, and requests that wait for a connection.",
    ("pool", "state"),
    registry=METRICS,
    multiprocess_mode="livesum",
)
_WAIT_SECONDS = Histogram(
    "grounds_pool_wait_seconds",
    "Time that a request waited for a connection.",
    ("pool",),
    buckets=(0.001, 0.01, 0.1, 0.5, 1, 5),
    registry=METRICS,
)


class Sharer(NamedTuple):
    """The borrower of connections: a training client, an officer, a person, an address.

    `reserved` says that it may have the connections that are kept free of others.
    """

    name: str
    reserved: bool = False
    wait_seconds: float = ACQUIRE_SECONDS


_sharer: ContextVar[Sharer | None] = ContextVar("sharer", default=None)


@contextmanager
def borrowing_as(name: str, *, reserved: bool = False, wait_seconds: float = ACQUIRE_SECONDS) -> Iterator[None]:
    """Borrow database connections in this block as one of the sharers of a pool, such as a client."""
    token = _sharer.set(Sharer(name, reserved, wait_seconds))
    try:
        yield
    finally:
        _sharer.reset(token)


class FairShare:
    """The order in which clients and other sharers get one of the `size` connections.

    A sharer holds at most half of them or `most`, and all that may not have the reserve leave `reserve` of them free.
    Of those that wait, the one that holds fewest is next, so that nothing is gained by asking more often. What has no
    sharer, such as a job, is not bounded.
    """

    def __init__(self, size: int, reserve: int = 0, most: int | None = None) -> None:
        self._free = size
        self._open = max(1, size - reserve)  # for those that may not have the reserve
        self._most = most or max(1, size // 2)
        self._held: Counter[Sharer | None] = Counter()
        self._waiting: list[tuple[Sharer | None, asyncio.Future[None]]] = []

    async def acquire(self, sharer: Sharer | None) -> None:
        """Wait for a turn at a pool of database connections, and take it."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((sharer, turn))
        self._grant()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was granted at the last moment
                self.release(sharer)
            else:
                self._waiting.remove((sharer, turn))
            raise

    def release(self, sharer: Sharer | None) -> None:
        """Release a turn at a pool of database connections."""
        self._free += 1
        self._open += not _is_unbounded(sharer)
        self._held[sharer] -= 1
        self._held += Counter()  # keeps what is above zero
        self._grant()

    def _grant(self) -> None:
        """Grant turns at a pool of connections to the sharers that wait and may have one; of equals to the first."""
        while allowed := [each for each in self._waiting if not each[1].done() and self.may_have(each[0])]:
            sharer, turn = chosen = min(allowed, key=lambda each: self._held[each[0]])
            self._waiting.remove(chosen)
            self._free -= 1
            self._open -= not _is_unbounded(sharer)
            self._held[sharer] += 1
            turn.set_result(None)

    def may_have(self, sharer: Sharer | None) -> bool:
        """Return whether a sharer of a pool of database connections may have another one."""
        within = sharer is None or self._held[sharer] < self._most
        return self._free > 0 and within and (_is_unbounded(sharer) or self._open > 0)


def _is_unbounded(sharer: Sharer | None) -> bool:
    """Return whether no limit applies to a sharer of a pool of connections."""
    return sharer is None or sharer.reserved


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """The connections of one audience, and how they are shared."""

    connections: Connections
    share: FairShare
    role: str
    """The login role of the pool, which is also the pool's name in the metrics."""
    journal: "JournalOfPool | None" = None
    """The journal. Before the gateway answers a request, it writes each change of this pool to the journal."""
    replica: "ReadSource | None" = None
    """A standby server that can answer reads which write no receipt."""


class ReadSource(Protocol):
    """A server besides the primary one that can answer reads."""

    async def fetch(self, statement: str, *values: Any) -> list[asyncpg.Record] | None:
        """Run one statement that only reads; return None if the primary server must run it."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class JournalOfPool:
    """The journal of a database, and the connections that move changes to it."""

    journal: Journal
    worker: Pool

    async def write_changes(self) -> None:
        """Write to the journal what was committed. Raises JournalUnavailable."""
        try:
            async with connection(self.worker) as borrowed:
                await self.journal.write_changes(borrowed)
        except UNAVAILABLE as error:
            raise JournalUnavailable from error


@dataclass(frozen=True, slots=True)
class Database:
    """The pools, one per audience. Public data is read through the dashboard's; `probe` is for readiness only."""

    training: Pool
    staff: Pool
    subject: Pool
    dashboard: Pool
    ingest: Pool
    worker: Pool
    probe: Pool
    eligibility: Pool
    """The training pool, for reads that write no receipt."""
    incarnations: Incarnations
    """The incarnations of the database, which ids contain. They are read once, because a gateway must stop before a
    restored database is accepted."""
    secrets: Secrets
    first_secret: bytes
    """The database's first secret. It never changes, because clients keep ids and webhook keys that are derived from
    it."""

    def examiner(self, role: str) -> "Reader":
        """Return a reader of the database for an officer or an auditor."""
        return Reader(self.staff, "examiner", role, "decision")

    def public(self) -> "Reader":
        """Return a reader of the database for everyone: campaigns, and what the public functions show."""
        return Reader(self.dashboard, "public", "everyone", "")

    def client(self, number: int) -> "Reader":
        """Return a reader of the database for a training client: its own receipts and retractions."""
        return Reader(self.training, "client", str(number), "trainable_content")

    def data_subject(self, account: str) -> "Reader":
        """Return a reader of the database for a data subject, by the platform's id of the account."""
        return Reader(self.subject, "subject", account, "own_decision")


@dataclass(frozen=True, slots=True)
class PeopleRead:
    """The people whose data was read: by their accounts, by their items, and by their objections."""

    accounts: set[int] = field(default_factory=set)
    items: set[int] = field(default_factory=set)
    objections: set[int] = field(default_factory=set)

    def __bool__(self) -> bool:
        """Return whether a reader of the database read the data of any person."""
        return bool(self.accounts or self.items or self.objections)


@dataclass(frozen=True, slots=True)
class Reader:
    """A reader with an identity: every statement claims it, and row security shows nothing without the claim.

    What reads rows about people adds them to `people`: reads by staff are recorded before they are answered.
    """

    pool: Pool
    claim: str
    who: str
    decisions: str
    """The name of the view with the decisions that this reader may see."""
    people: PeopleRead = field(default_factory=PeopleRead, compare=False)

    async def fetch(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        """Run one statement on the database by the audience's login, and return its rows."""
        return await fetch_rows(self.pool, _with_claim(statement, self.claim, len(values) + 1), *values, self.who)

    async def fetchval(self, statement: str, *values: Any) -> Any:
        """Run one statement on the database by the audience's login; return the one value that it finds, or None."""
        rows = await self.fetch(statement, *values)
        return rows[0][0] if rows else None


async def fetch_rows(pool: Pool, statement: str, *values: Any) -> list[asyncpg.Record]:
    """Run one statement that only reads, at a standby server if the pool has one that is current."""
    rows = await pool.replica.fetch(statement, *values) if pool.replica is not None else None
    if rows is not None:
        return rows
    async with connection(pool) as borrowed:
        return await borrowed.fetch(statement, *values)


@lru_cache(maxsize=256)
def _with_claim(statement: str, claim: str, position: int) -> str:
    """Wrap an SQL statement so that it claims for its own transaction, in one round trip.

    The claim stands in a condition of its own above a query that OFFSET 0 keeps whole: PostgreSQL decides such a
    condition before it asks for the first row.
    """
    said = f"set_config('grounds.{claim}', ${position}, TRUE)"
    return f"SELECT q.* FROM ({statement} OFFSET 0) q WHERE (SELECT {said}) <> ''"


@asynccontextmanager
async def open_database(
    url: str, secret: bytes, *, connections: int = 8, journal: Journal | None = None, coming: Sequence[bytes] = ()
) -> AsyncIterator[Database]:
    """Open the pools of database connections, and close them at the end. `connections` sizes the training pool.

    What protects people is written to the `journal` too. If the secret is rotated meanwhile to one of those `coming`,
    new connections log in with its passwords. Raises DatabaseError where the database keeps a journal, and none is
    given.

    Objections and officers share their pools with those that read much, and find a connection kept free.
    """
    fewer, known, names = max(2, connections // 2), (secret, *coming), await read_role_names(url)
    pools = (
        open_pool(url, known, names, TRAINING, connections),
        open_pool(url, known, names, STAFF, fewer, reserve=1),
        open_pool(url, known, names, SUBJECT, fewer, reserve=1),
        open_pool(url, known, names, DASHBOARD, 2),
        open_pool(url, known, names, INGEST, 2),
        open_pool(url, known, names, WORKER, 4),
        open_pool(url, known, names, DASHBOARD, 1),
    )
    async with AsyncExitStack() as opened:
        for pool in pools:
            await opened.enter_async_context(pool.connections)
        async with connection(pools[-1]) as borrowed:
            incarnations = await load_incarnations(borrowed)
            secrets = unwrap_secrets(secret, await borrowed.fetchval("SELECT grounds.previous_secrets()"), coming)
            if journal is None and await borrowed.fetchval("SELECT grounds.keeps_journal()"):
                raise DatabaseError(
                    "this database keeps a journal (set GROUNDS_JOURNAL to its folder; to end the journal, start the"
                    " gateway once with GROUNDS_JOURNAL=none)"
                )
        shared = None
        if journal is not None:  # with connections of its own: an objection must not wait for a job
            shared = JournalOfPool(journal, open_pool(url, known, names, WORKER, 2))
            await opened.enter_async_context(shared.worker.connections)
        training, staff, subject, dashboard, ingest, worker, probe = (replace(pool, journal=shared) for pool in pools)
        by_role = (training, staff, subject, dashboard, ingest, worker, probe, training)
        yield Database(*by_role, incarnations, secrets, secrets.first)


@asynccontextmanager
async def connection(pool: Pool, *, wait_seconds: float | None = None) -> AsyncIterator[Connection]:
    """Borrow a database connection, in turn with those that share the pool; raise PoolExhausted after a time."""
    sharer = _sharer.get()
    try:
        with _CONNECTIONS.labels(pool.role, "waiting").track_inprogress(), _WAIT_SECONDS.labels(pool.role).time():
            async with asyncio.timeout(wait_seconds or (sharer.wait_seconds if sharer else ACQUIRE_SECONDS)):
                await pool.share.acquire(sharer)
    except TimeoutError:
        raise PoolExhausted from None
    try:
        with _CONNECTIONS.labels(pool.role, "in use").track_inprogress():
            async with pool.connections.acquire(timeout=CONNECT_SECONDS) as borrowed:
                yield borrowed
    finally:
        pool.share.release(sharer)


@asynccontextmanager
async def write_transaction(pool: Pool, **claims: str) -> AsyncIterator[Connection]:
    """Borrow a database connection for one transaction that may write, and that claims the actor.

    The logins of officers and data subjects only read unless they say otherwise, and write by the owner's functions.
    """
    async with connection(pool) as borrowed, borrowed.transaction():
        await borrowed.execute("SET TRANSACTION READ WRITE")
        for claim, who in claims.items():
            await borrowed.execute("SELECT set_config($1, $2, TRUE)", f"grounds.{claim}", who)
        yield borrowed
    if pool.journal is not None:
        await pool.journal.write_changes()


def open_pool(
    url: str, secrets: Sequence[bytes], names: RoleNames, role: str, size: int, reserve: int = 0, lazily: bool = False
) -> Pool:
    """Make a pool of database connections that log in as one role, so that no statement has to set a role.

    With `lazily`, the server need not be reachable before the first statement.
    """
    runs_transactions, login = role in (INGEST, WORKER), names.of(role)

    async def log_in(*given: Any, **options: Any) -> "asyncpg.Connection[asyncpg.Record]":
        """Connect with the password of the first secret that the database accepts."""
        *rest, last = secrets
        for secret in rest:
            with suppress(asyncpg.InvalidPasswordError):
                return await asyncpg.connect(*given, password=role_password(secret, login), **options)
        return await asyncpg.connect(*given, password=role_password(last, login), **options)

    connections = asyncpg.create_pool(
        url,
        user=login,
        connect=log_in,
        min_size=0 if lazily else 1,
        max_size=size,
        command_timeout=None if runs_transactions else 30,
        server_settings={"application_name": login},
        max_cacheable_statement_size=MAX_CACHED_STATEMENT,
        reset=None if runs_transactions else _nothing_to_reset,
    )
    return Pool(connections, FairShare(size, reserve), role)


async def _nothing_to_reset(connection: Connection) -> None:
    """Return an empty statement to reset a connection, because the claims of these roles end with their transaction."""
