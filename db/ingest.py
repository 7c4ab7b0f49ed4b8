"""Take facts in: lines are staged in chunks, and each chunk is merged in one transaction."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from db.lines import LINE_LIMIT
from db.policy.document import parse_policy
from db.records import MODELS, PLATFORM_PRODUCTS
from db.session import Connection, queries
from db.stager import StagedBlock, Stager
from db.staging import COLUMNS, Rejected

CHUNK_BYTES = 2 * LINE_LIMIT


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
    stager: Stager,
    *,
    on_rejected: Callable[[Rejected], None],
    on_progress: Callable[[int], None] = lambda _: None,
) -> Summary:
    """Stream NDJSON into the database and count what became of it.

    Each chunk is one transaction: a crash loses nothing that was accepted, and running again finishes the job.
    The next chunk is staged while one merges. `on_progress` hears of the bytes of each chunk that is merged.
    """
    summary = Summary()
    await queries.create_stages(connection)
    products = await _products(connection)
    waiting: asyncio.Task[StagedBlock] | None = None
    size = 0
    try:
        async for chunk, line in _chunks(blocks):
            now = await connection.fetchval("SELECT grounds.decision_time()")
            staged = asyncio.create_task(stager.stage(chunk, line, products, now, first=line == 1))
            if waiting is not None:
                await _merge(connection, await waiting, summary, on_rejected)
                on_progress(size)
            waiting, size = staged, len(chunk)
        if waiting is not None:
            await _merge(connection, await waiting, summary, on_rejected)
            on_progress(size)
    finally:
        if waiting is not None:
            waiting.cancel()
    return summary


async def _products(connection: Connection) -> frozenset[str]:
    document = await connection.fetchval("SELECT document::text FROM grounds.policy WHERE active")
    return parse_policy(document).products if document else PLATFORM_PRODUCTS


async def _chunks(blocks: AsyncIterable[bytes]) -> AsyncIterator[tuple[bytes, int]]:
    """Cut a stream into chunks of whole lines, each with the number of its first line.

    Of a line that is longer than two chunks the middle is left out: it is too long anyway, and memory stays flat.
    """
    held = bytearray()
    line = 1
    async for block in blocks:
        held += block
        if len(held) < CHUNK_BYTES:
            continue
        end = held.rfind(b"\n") + 1
        if end:
            chunk = bytes(held[:end])
            yield chunk, line
            line += chunk.count(b"\n")
            del held[:end]
        elif len(held) > 2 * CHUNK_BYTES:
            del held[2 * CHUNK_BYTES :]
    if held:
        yield bytes(held), line


async def _merge(
    connection: Connection, chunk: StagedBlock, summary: Summary, on_rejected: Callable[[Rejected], None]
) -> None:
    """Merge a chunk in one transaction; only what is committed is counted and reported."""
    merged: list[_Round] = []
    async with connection.transaction():
        await queries.begin_merge(connection)
        for stages in chunk.rounds:
            if merged:
                await connection.execute(_CLEAR)  # rows only: TRUNCATE makes new files, and most rounds are small
            merged.append(await _merge_round(connection, stages))
    for round_ in merged:
        for record, outcome, count in round_.outcomes:
            summary.add(record, _SAID[outcome], count)
    conflicts = [rejected for round_ in merged for rejected in round_.conflicts]
    for rejected in sorted([*chunk.rejected, *conflicts], key=lambda rejected: rejected.number):
        on_rejected(rejected)
    for rejected in chunk.rejected:
        summary.add(rejected.record, "rejected")


@dataclass(frozen=True, slots=True)
class _Round:
    """Say what became of a round: how many lines of a record had which outcome, and which stood against others."""

    outcomes: list[tuple[str, str | None, int]]
    conflicts: list[Rejected]


async def _merge_round(connection: Connection, stages: dict[str, bytes]) -> _Round:
    """Merge one round: accounts first, so that everything has something to point to; what was set aside last."""
    for name, rows in stages.items():
        await connection.copy_to_table(f"stage_{name}", source=BytesIO(rows), columns=COLUMNS[name])
    if "account" in stages:
        await queries.judge_account(connection)
        await queries.insert_accounts(connection)
    await queries.name_accounts(connection)
    for name in MODELS:
        if name in stages:
            for step in _STEPS[name]:
                await getattr(queries, step)(connection)
    outcomes = [(row[0], row[1], row[2]) for row in await connection.fetch(queries.count_outcomes.sql)]
    conflicts = []
    if any(outcome == "conflict" for _, outcome, _ in outcomes):
        conflicts = [_conflict(dict(row)) for row in await connection.fetch(queries.conflicts.sql)]
        await queries.set_conflicts_aside(connection)
    if conflicts or "rejected" in stages:
        for step in ("time_rejected", "quarantine_rejected", "force_objections", "target_forced_objections"):
            await getattr(queries, step)(connection)
    return _Round(outcomes, conflicts)


_STEPS = {
    "account": ("link_persons", "link_contacts", "move_content", "store_account"),
    "content": ("judge_content", "insert_content", "update_content", "drop_references", "insert_references"),
    "notice": ("judge_notice", "take_back_bounces", "insert_notice", "update_notice"),
    "objection": ("judge_objection", "insert_objection", "update_objection", "insert_targets"),
    "consent": ("judge_consent", "insert_consent", "update_consent"),
}
_SAID = {None: "accepted", "changed": "accepted", "unchanged": "unchanged", "stale": "stale", "conflict": "rejected"}
_CLEAR = "; ".join(f"DELETE FROM stage_{name}" for name in COLUMNS)


def _conflict(row: Mapping[str, Any]) -> Rejected:
    return Rejected(
        row["line"],
        "observed_at",
        "says otherwise than the stored record of the same instant (send the right one with a later observed_at)",
        b"",
        row["record"],
        row["platform_id"],
    )
