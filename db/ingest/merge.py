"""Store facts: stage lines in chunks, and merge each chunk in one transaction with the queries in `queries/`."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterable, Callable, Mapping, Set
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from io import BytesIO
from time import monotonic
from typing import Any

import aiosql
import asyncpg

from db.connection import Connection, JournalOfPool
from db.delivery.offers import MAX_ITEMS_PER_FOLD
from db.ingest.records import MODELS
from db.ingest.rejection import Rejected
from db.ingest.stages import COLUMNS, STAGES
from db.ingest.staging import StagedBlock, Stager, whole_lines
from db.policy.document import parse_policy
from db.vocabulary import PLATFORM_PRODUCTS

queries: Any = aiosql.from_path(
    str(resources.files("db") / "ingest" / "queries"), "asyncpg", mandatory_parameters=False
)

MAX_FOLD_SECONDS = 2.0
"""The longest time for which an ingest waits, at its end, for the offers of its items."""
_ONLY_RESTRICTING = frozenset({"objection"})
"""The records of ingest that rarely permit anything: their acknowledgement does not wait for offers."""
MAX_CHANGES = 10  # of a campaign, named with its line
MAX_REPORTED = 1000  # signals that could not be read: each is also named by the evidence of its item


@dataclass(slots=True)
class Summary:
    """The number of lines per record (or none that could be read) and outcome: accepted, unchanged, stale, rejected."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    notices: Counter[str] = field(default_factory=Counter)
    """The number of accepted notices by epoch. After the merge, only the notices of unknown campaigns are counted."""
    unreadable_signals: list[Rejected] = field(default_factory=list)
    """The signals of stored lines that could not be read; only the first ones if there are many."""
    changed_campaigns: list[Rejected] = field(default_factory=list)
    """The lines that differ from an earlier record of the same campaign. A use counts only if every record states
    it."""
    still_set_aside: Counter[str] = field(default_factory=Counter)
    """The number of valid lines, by record type, that do not end a quarantine, because they are not newer than the
    invalid line."""
    unasked_consents: int = 0
    """The number of stored consents that do not count, because the policy does not require consent from the account."""

    def count_records(self, record: str | None, outcome: str, count: int = 1) -> None:
        """Count the records of an ingest that have one outcome."""
        self.counts.setdefault(record or "unreadable", Counter())[outcome] += count

    def add_notices(self, epoch: str, count: int) -> None:
        """Count the notices of an ingest by their campaign's epoch."""
        self.notices[epoch] += count

    def total(self, outcome: str) -> int:
        """Sum one outcome over all records of an ingest."""
        return sum(counter[outcome] for counter in self.counts.values())

    def as_dict(self) -> dict[str, dict[str, int]]:
        """Return the counts of an ingest for its answer, every outcome named."""
        order = (*MODELS, "unreadable")
        outcomes = ("accepted", "unchanged", "stale", "rejected")
        return {
            record: {outcome: self.counts[record][outcome] for outcome in outcomes}
            for record in order
            if record in self.counts
        }


async def ingest_lines(
    connection: Connection,
    blocks: AsyncIterable[bytes],
    stager: Stager,
    *,
    on_rejected: Callable[[Rejected], None],
    on_progress: Callable[[int], None] = lambda _: None,
    journal: JournalOfPool | None = None,
) -> Summary:
    """Ingest NDJSON into the database and count the outcomes of its records.

    Each chunk is one transaction: a crash loses nothing that was accepted, and running again finishes the job.
    At the end, what it permits is offered (`_fold_ingested`). The next chunk is staged while one merges.
    `on_progress` hears of the bytes of each chunk that is merged.
    """
    summary = Summary()
    await _create_stages(connection)
    products = await _products(connection)
    waiting: asyncio.Task[StagedBlock] | None = None
    size = 0
    try:
        async for chunk, line in whole_lines(blocks):
            now = await connection.fetchval("SELECT grounds.decision_time()")
            staged = asyncio.create_task(stager.stage(chunk, line, products, now, first=line == 1))
            if waiting is not None:
                await _merge(connection, await waiting, summary, on_rejected, journal)
                on_progress(size)
            waiting, size = staged, len(chunk)
        if waiting is not None:
            await _merge(connection, await waiting, summary, on_rejected, journal)
            on_progress(size)
    finally:
        if waiting is not None:
            waiting.cancel()
    for row in await connection.fetch(_KNOWN_CAMPAIGNS, list(summary.notices)):
        del summary.notices[row["platform_id"]]
    await _fold_ingested(connection, {record for record, counts in summary.counts.items() if counts["accepted"]})
    return summary


async def _fold_ingested(connection: Connection, stored: Set[str]) -> None:
    """Update the offers of what an ingest has stored, so that the next page has it; `stored` names its records.

    The connection is ingest's, and in no transaction. What takes too long, or waits for a job, is left to that job:
    until then, pages skip the items.
    """
    if stored <= _ONLY_RESTRICTING:
        return
    until = monotonic() + MAX_FOLD_SECONDS
    while monotonic() < until:
        try:
            if not await connection.fetchval("SELECT grounds.fold_ingested($1)", MAX_ITEMS_PER_FOLD):
                return
        except (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError):
            return


async def _create_stages(connection: Connection) -> None:
    """Create the tables in which ingest stages a chunk, unless the session has them.

    All at once: each transaction that touches one empties them all when it commits, which takes 5 ms.
    """
    if await connection.fetchval("SELECT to_regclass('pg_temp.stage_rejected')") is None:
        await connection.execute("\n".join(statement("create_stage", record) for record in COLUMNS))


async def _products(connection: Connection) -> frozenset[str]:
    """Read which products an account may name in a record of ingest."""
    document = await connection.fetchval("SELECT document::text FROM grounds.policy WHERE active")
    return parse_policy(document).products if document else PLATFORM_PRODUCTS


async def _merge(
    connection: Connection,
    chunk: StagedBlock,
    summary: Summary,
    on_rejected: Callable[[Rejected], None],
    journal: JournalOfPool | None,
) -> None:
    """Merge a chunk of ingest in one transaction; count only lines that are committed and in the journal."""
    merged: list[_Round] = []
    async with connection.transaction():
        await _run_queries(connection, "account", "begin_merge")
        for stages in chunk.rounds:
            if merged:
                await connection.execute(_CLEAR)  # rows only: TRUNCATE makes new files, and most rounds are small
            merged.append(await _merge_round(connection, stages))
    if journal is not None:
        await journal.write_changes()
    for round_ in merged:
        for record, outcome, count in round_.outcomes:
            summary.count_records(record, "rejected" if outcome in _CONFLICTS else _OUTCOMES[outcome], count)
        for epoch, count in round_.notices:
            summary.add_notices(epoch, count)
        summary.unreadable_signals += round_.unreadable[: MAX_REPORTED - len(summary.unreadable_signals)]
        summary.changed_campaigns += round_.changed[: MAX_REPORTED - len(summary.changed_campaigns)]
        summary.unasked_consents += round_.unasked_consents
        summary.still_set_aside.update({record: count for record, count in round_.still_set_aside if count})
    conflicts = [rejected for round_ in merged for rejected in round_.conflicts]
    for rejected in sorted([*chunk.rejected, *conflicts], key=lambda rejected: rejected.number):
        on_rejected(rejected)
    for rejected in chunk.rejected:
        summary.count_records(rejected.record, "rejected")


@dataclass(frozen=True, slots=True)
class _Round:
    """The outcomes of a round, as counts by record, and the lines that conflict with a stored one.

    Beside them the counts of accepted notices by epoch, the signals of stored lines that could not be read, and the
    counts of good lines by record that do not replace a bad one.
    """

    outcomes: list[tuple[str, str | None, int]]
    conflicts: list[Rejected]
    notices: list[tuple[str, int]]
    unreadable: list[Rejected]
    still_set_aside: list[tuple[str, int]]
    changed: list[Rejected]
    unasked_consents: int


async def _merge_round(connection: Connection, stages: dict[str, bytes]) -> _Round:
    """Merge one round of ingest: accounts first, because other records refer to them, and rejected lines last."""
    for name, rows in stages.items():
        await connection.copy_to_table(f"stage_{name}", source=BytesIO(rows), columns=list(COLUMNS[name]))
    if "account" in stages:
        await _run_queries(connection, "account", "judge", "insert_account")
    await _run_queries(connection, "account", "name_accounts")
    for record in STAGES:
        if record in stages:
            await _run_queries(connection, record, *_STEPS[record])
    found = await connection.fetch(statement_of_all("count_outcomes"))
    outcomes = [(row["record"], row["outcome"], row["count"]) for row in found]
    conflicts = []
    if any(outcome in _CONFLICTS for _, outcome, _ in outcomes):
        conflicts = [_conflict(dict(row)) for row in await connection.fetch(statement_of_all("conflicts"))]
        for record in STAGES:
            await _run_queries(connection, record, "set_conflicts_aside")
    if conflicts or "rejected" in stages:
        await _run_queries(connection, "rejected", *_STEPS["rejected"])
    notices = await connection.fetch(statement("count_notices", "notice")) if "notice" in stages else []
    aside = await connection.fetch(statement_of_all("still_set_aside"))
    return _Round(
        outcomes,
        conflicts,
        [(row["epoch"], row["count"]) for row in notices],
        await _unreadable_signals(connection, stages),
        [(row["record"], row["count"]) for row in aside],
        await _changed_campaigns(connection) if "campaign" in stages else [],
        await connection.fetchval(statement("count_unasked_consents", "consent")) if "consent" in stages else 0,
    )


async def _changed_campaigns(connection: Connection) -> list[Rejected]:
    """Return the lines of ingest that change the uses of their campaign, each with its changes."""
    rows = await connection.fetch(statement("changed_campaigns", "campaign"))
    return [
        Rejected(row["line"], "told", _told_otherwise(row["changes"]), b"", "campaign", row["platform_id"])
        for row in rows
    ]


async def _unreadable_signals(connection: Connection, stages: dict[str, bytes]) -> list[Rejected]:
    """Read which signals of a chunk of ingest could not be read."""
    rows = [
        row
        for record in ("account", "content")
        if record in stages
        for row in await connection.fetch(statement("unreadable_signals", record))
    ]
    return [_unreadable(dict(row), fault) for row in rows for fault in row["unreadable"]]


async def _run_queries(connection: Connection, record: str, *names: str) -> None:
    """Run named queries of ingest for a record."""
    for name in names:
        await connection.execute(statement(name, record))


_STEPS = {
    "account": (
        *("link_persons", "link_contacts", "move_content", "judge_taking_back", "update_account"),
        *("carry_last_known", "carry_to_stored_account", "let_stored_wait", "let_persons_wait", "object_by_signals"),
    ),
    "content": (
        *("judge", "judge_taking_back", "keep_private", "insert_content", "update_content", "keep_stored_private"),
        *("carry_last_known", "carry_to_stored_content", "let_stored_wait", "let_families_wait"),
        *("drop_references", "insert_references"),
        *("name_contacts", "insert_contact_references", "object_by_items_signals"),
    ),
    "notice": ("judge", "judge_bounces", "insert", "update", "let_accounts_wait"),
    "objection": ("judge", "widen_stated", "insert", "update", "widen_stored", "insert_targets"),
    "consent": ("judge", "insert", "update"),
    "campaign": ("judge", "refuse_changed_texts", "note_changed_campaigns", "insert", "narrow_campaigns"),
    "rejected": ("time_rejected", "quarantine_rejected", "force_objections", "target_forced_objections"),
}
_KNOWN_CAMPAIGNS = (
    "SELECT c.platform_id FROM (SELECT set_config('grounds.ingest', 'on', TRUE) AS ingest OFFSET 0) claim"
    " CROSS JOIN LATERAL (SELECT platform_id FROM grounds.campaign"
    " WHERE platform_id = ANY ($1::text[]) AND claim.ingest <> '' OFFSET 0) c"
)
_OUTCOMES = {None: "accepted", "changed": "accepted", "unchanged": "unchanged", "stale": "stale"}
_CONFLICTS = {
    "conflict": (
        "observed_at",
        (
            "the stored record has the same observed_at, but different values (send the correct record with a later"
            " observed_at)"
        ),
    ),
    "other text": (
        "texts",
        "an earlier record has a different hash for the same language (send the earlier hash again, with a later "
        "observed_at)",
    ),
}
"""The reason why a valid line is set aside, by outcome: the name of the field, and the text of the reason."""
_CLEAR = "; ".join(f"DELETE FROM stage_{name}" for name in COLUMNS)


def _conflict(row: Mapping[str, Any]) -> Rejected:
    """Describe a record of ingest that conflicts with a stored one."""
    return Rejected(row["line"], *_CONFLICTS[row["outcome"]], b"", row["record"], row["platform_id"])


def _unreadable(row: Mapping[str, Any], fault: str) -> Rejected:
    """Describe a signal in a record of ingest that cannot be read, though the record is stored."""
    place, _, reason = fault.partition(": ")
    return Rejected(row["line"], place, reason, b"", row["record"], row["platform_id"])


def _told_otherwise(changes: list[str]) -> str:
    """Describe how a line of ingest changes the uses of its campaign; only the first changes if there are many."""
    more = f" and {len(changes) - MAX_CHANGES} more" if len(changes) > MAX_CHANGES else ""
    said = ", ".join(changes[:MAX_CHANGES]) + more
    return (
        f"{said}: a use counts only if every version of the record names the use (name other uses in a new campaign "
        f"with another epoch)"
    )


def statement(name: str, record: str) -> str:
    """Return a named SQL query of ingest for a record (or, of the stages, for `rejected`)."""
    query: str = getattr(queries, name).sql
    if "{versions}" in query:
        query = query.replace("{versions}", getattr(queries, f"versions_of_{record}").sql.rstrip("; \n"))
    return _filled(query, record)


def statement_of_all(name: str) -> str:
    """Return a named SQL query of ingest for every record at once: the rows of all of them."""
    return " UNION ALL ".join(statement(name, record).rstrip("; \n") for record in STAGES)


# What else waits where a line takes something back: the family that an item left.
_OTHERS_THAT_WAIT = {
    "content": "CASE WHEN (before).belongs_to IS DISTINCT FROM (after).belongs_to THEN (before).belongs_to END",
}
_OF_A_REJECTED_LINE = ("account", "person", "contact", "received_at")


@cache
def _filled(query: str, record: str) -> str:
    """Fill the names of a record's tables and columns into an SQL query of ingest."""
    definitions = ", ".join(f"{column} {type_}" for column, type_ in COLUMNS[record].items())
    if record not in STAGES:
        return query.format(record=record, definitions=definitions)
    stage = STAGES[record]
    belongs = "account" in stage.stored
    values = {column: "a.id" if column == "account" else f"s.{column}" for column in stage.stored}
    return query.format(
        record=record,
        definitions=definitions,
        kinds="c.account_kinds" if record == "account" else "c.item_kinds",
        others=_OTHERS_THAT_WAIT.get(record, "NULL::text"),
        columns=", ".join(values),
        values=", ".join(values.values()),
        assignments=", ".join(f"{column} = {value}" for column, value in values.items()),
        account="JOIN grounds.account a ON a.platform_id = s.account" if belongs else "",
        targets=", ".join(column if column in stage.columns else "NULL" for column in _OF_A_REJECTED_LINE),
    )
