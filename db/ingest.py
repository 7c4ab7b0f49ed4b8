"""Take facts in: lines are staged in chunks, and each chunk is merged in one transaction."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field

from db.lines import Line, LineSplitter
from db.policy.document import PLATFORM_PRODUCTS, parse_policy
from db.records import MODELS
from db.session import Connection, queries
from db.staging import COLUMNS, Chunk, Rejected, stage_chunk

CHUNK_LINES = 5000
CHUNK_BYTES = 8 * 1024 * 1024


@dataclass(slots=True)
class Summary:
    """Count what became of the lines: record -> accepted, unchanged, stale, rejected. A bad line may have no record."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, record: str | None, outcome: str, count: int = 1) -> None:
        """Count lines of one outcome."""
        self.counts.setdefault(record or "unreadable", Counter())[outcome] += count

    def total(self, outcome: str) -> int:
        """Sum one outcome over all records."""
        return sum(counter[outcome] for counter in self.counts.values())

    def as_dict(self) -> dict[str, dict[str, int]]:
        """Lay the counts out for an answer, every outcome named."""
        order = (*MODELS, "unreadable")
        outcomes = ("accepted", "unchanged", "stale", "rejected")
        return {
            record: {outcome: self.counts[record][outcome] for outcome in outcomes}
            for record in order
            if record in self.counts
        }


async def ingest(
    connection: Connection,
    blocks: AsyncIterable[bytes],
    *,
    on_rejected: Callable[[Rejected], None],
    on_progress: Callable[[int], None] = lambda _: None,
    executor: Executor | None = None,
) -> Summary:
    """Stream NDJSON into the database and count what became of it.

    Each chunk is one transaction: a crash loses nothing that was accepted, and running again finishes the job.
    `on_progress` hears how many bytes are merged. The next chunk is staged, in `executor`, while one merges.
    """
    summary = Summary()
    await queries.create_stages(connection)
    products = await _products(connection)
    loop = asyncio.get_running_loop()
    waiting: tuple[asyncio.Future[Chunk], int] | None = None
    async for lines, size in _chunks(blocks):
        now = await connection.fetchval("SELECT grounds.decision_time()")
        staged = loop.run_in_executor(executor, stage_chunk, lines, products, now)
        if waiting is not None:
            await _merge(connection, await waiting[0], summary, on_rejected)
            on_progress(waiting[1])
        waiting = staged, size
    if waiting is not None:
        await _merge(connection, await waiting[0], summary, on_rejected)
        on_progress(waiting[1])
    return summary


async def _products(connection: Connection) -> frozenset[str]:
    document = await connection.fetchval("SELECT document::text FROM grounds.policy WHERE active")
    return parse_policy(document).products if document else PLATFORM_PRODUCTS


async def _chunks(blocks: AsyncIterable[bytes]) -> AsyncIterator[tuple[list[Line], int]]:
    """Gather lines into chunks bounded by lines and by bytes, each with the bytes that it took from the stream."""
    splitter = LineSplitter()
    lines: list[Line] = []
    held = taken = 0
    async for block in blocks:
        taken += len(block)
        for line in splitter.feed(block):
            lines.append(line)
            held += len(line.data)
            if len(lines) >= CHUNK_LINES or held >= CHUNK_BYTES:
                yield lines, taken
                lines, held, taken = [], 0, 0
    lines.extend(splitter.close())
    if lines or taken:
        yield lines, taken


async def _merge(
    connection: Connection, chunk: Chunk, summary: Summary, on_rejected: Callable[[Rejected], None]
) -> None:
    """Merge a chunk in one transaction; only what is committed is counted and reported."""
    outcomes: list[tuple[str, str, int]] = []
    conflicts: list[Rejected] = []
    async with connection.transaction():
        await queries.one_ingest_at_a_time(connection)
        for stages in chunk.rounds:
            await _merge_round(connection, stages)
            outcomes += [tuple(row) async for row in queries.count_outcomes(connection)]
            conflicts += [_conflict(row) async for row in queries.conflicts(connection)]
            await connection.execute(_CLEAR)
    for record, outcome, count in outcomes:
        summary.add(record, _SAID[outcome], count)
    for rejected in sorted([*chunk.rejected, *conflicts], key=lambda rejected: rejected.number):
        on_rejected(rejected)
    for rejected in chunk.rejected:
        summary.add(rejected.record, "rejected")


async def _merge_round(connection: Connection, stages: dict[str, list[tuple[object, ...]]]) -> None:
    """Merge one round: names first, so that everything has something to point to; what was set aside last."""
    for name, rows in stages.items():
        await connection.copy_records_to_table(f"stage_{name}", records=rows, columns=COLUMNS[name])
    await queries.name_accounts(connection)
    for name in MODELS:
        if name in stages:
            for step in _STEPS[name]:
                await getattr(queries, step)(connection)
    await queries.set_conflicts_aside(connection)
    for step in ("time_rejected", "quarantine_rejected", "force_objections", "target_forced_objections"):
        await getattr(queries, step)(connection)


_STEPS = {
    "account": ("judge_account", "link_persons", "link_contacts", "store_account"),
    "content": ("judge_content", "insert_content", "update_content", "drop_references", "insert_references"),
    "notice": ("judge_notice", "take_back_bounces", "insert_notice", "update_notice"),
    "objection": ("judge_objection", "insert_objection", "update_objection", "insert_targets"),
    "consent": ("judge_consent", "insert_consent", "update_consent"),
}
_SAID = {None: "accepted", "changed": "accepted", "unchanged": "unchanged", "stale": "stale", "conflict": "rejected"}
_CLEAR = "TRUNCATE " + ", ".join(f"stage_{name}" for name in COLUMNS)


def _conflict(row: object) -> Rejected:
    number, record, name = row  # type: ignore[misc]  # a record of the query `conflicts`
    return Rejected(
        number,
        "observed_at",
        "says otherwise than the stored record of the same instant (send the right one with a later observed_at)",
        b"",
        record,
        name,
    )
