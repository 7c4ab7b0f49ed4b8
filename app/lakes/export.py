"""Export a lake: the facts of one snapshot of the database, and the texts of what is permitted in it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg

from app.lakes.folder import README, README_TEXT, SNAPSHOT, LakeError, new_folder, sign_folder, write_private
from db.access.declaration import STAFF, TRAINING
from db.access.role_names import read_role_names
from db.connection import Connection, Database
from db.delivery.ledger import signing_key
from db.lake.facts import FACTS, Facts
from db.lake.snapshot import Snapshot, read_snapshot
from db.policy.document import sql_instant
from db.secrets import role_password
from schema.relay.ids import Ids, ids_of

_KEYS_PER_READ: Final = 100_000
_PLANS: Final = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "enable_sort")
"""The query plans that are switched off for logins that read single items, and that an export of all items needs."""
_ITEMS_PER_READ: Final = 20_000


async def export_lake(
    database: Database, url: str, secret: bytes, folder: Path, client: str, purpose: str, *, with_texts: bool = False
) -> tuple[Snapshot, dict[str, int]]:
    """Export the facts that decisions for a client and purpose read; return the snapshot and the rows of each table.

    All is read in one snapshot of the database. With texts, those of the items are added that the database permits in
    this snapshot, and no others. Raises LakeError.
    """
    from app.lakes.parquet import FactWriter

    rows = {}
    with new_folder(folder) as unfinished:
        async with _reading(url, secret, STAFF) as staff:
            client_id = await staff.fetchval("SELECT k.id FROM grounds.client k WHERE k.name = $1", client)
            if client_id is None:
                raise LakeError(
                    f"--client: there is no training client {client} (the client must first send a request to the"
                    " gateway)"
                )
            await _claim_for_export(staff, client_id, purpose)
            snapshot = await read_snapshot(staff, client, purpose)
            if purpose not in snapshot.policy.purposes:
                raise LakeError(f"--purpose: the policy in force does not have {purpose}")
            now = sql_instant(snapshot.decided_at)
            for facts in FACTS:
                writer = FactWriter(unfinished / "facts" / facts.name, facts.columns)
                async for csv in _read_facts(staff, facts, now):
                    await asyncio.to_thread(writer.add, csv)
                await asyncio.to_thread(writer.close)
                rows[facts.name] = writer.rows
            if with_texts:
                same = await staff.fetchval("SELECT pg_export_snapshot()")
                ids = ids_of(database.first_secret, f"client:{client}", database.incarnations)
                async with _reading(url, secret, TRAINING, same) as training:
                    await _claim_for_export(training, client_id, purpose)
                    rows["texts"] = await _export_texts(training, unfinished, ids, await _range_of(staff, FACTS[0]))
        write_private(unfinished / SNAPSHOT, snapshot.model_dump_json(indent=2).encode())
        write_private(unfinished / README, README_TEXT.encode())
        await asyncio.to_thread(sign_folder, unfinished, signing_key(secret), rows)
    return snapshot, rows


@asynccontextmanager
async def _reading(url: str, secret: bytes, role: str, snapshot: str | None = None) -> AsyncIterator[Connection]:
    """Open a connection that reads all rows of the database in one snapshot, which may be that of another."""
    login = (await read_role_names(url)).of(role)
    opened = await asyncpg.connect(
        url, user=login, password=role_password(secret, login), server_settings={"application_name": "grounds lake"}
    )
    try:
        async with opened.transaction(isolation="repeatable_read", readonly=True):
            if snapshot is not None:
                await opened.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
            for setting in ("statement_timeout", "idle_in_transaction_session_timeout"):
                await opened.execute("SELECT set_config($1, '0', TRUE)", setting)
            if role == STAFF:
                await opened.execute("SELECT set_config('grounds.examiner', 'PRIVACY_OFFICER', TRUE)")
                for plan in _PLANS:
                    await opened.execute("SELECT set_config($1, 'on', TRUE)", plan)
            yield opened
    finally:
        await opened.close()


async def _claim_for_export(connection: Connection, client: int, purpose: str) -> None:
    """Claim the client and the purpose for which a lake is exported."""
    for claim, value in (("client", str(client)), ("purpose", purpose)):
        await connection.execute("SELECT set_config($1, $2, TRUE)", f"grounds.{claim}", value)


async def _read_facts(staff: Connection, facts: Facts, now: str) -> AsyncIterator[bytes]:
    """Read the rows of a table of a lake as CSV, some at a time."""
    statement = facts.statement(now)
    numbers = await _range_of(staff, facts)
    for start in numbers[::_KEYS_PER_READ]:
        yield await _copy(staff, statement, start, start + _KEYS_PER_READ - 1)


async def _range_of(staff: Connection, facts: Facts) -> range:
    """Return the numbers from the first to the last row of a table of a lake; none without rows."""
    row = await staff.fetchrow(facts.range_statement())
    return range(row[0], row[1] + 1) if row and row[0] is not None else range(0)


async def _copy(connection: Connection, statement: str, *values: int) -> bytes:
    """Read the rows of a statement as CSV."""
    read: list[bytes] = []

    async def keep(block: bytes) -> None:
        """Keep a block of CSV."""
        read.append(block)

    await connection.copy_from_query(statement, *values, output=keep, format="csv")
    return b"".join(read)


async def _export_texts(training: Connection, folder: Path, ids: Ids, numbers: range) -> int:
    """Export the de-identified texts of the items that the database permits, with the client's pseudonyms."""
    from app.lakes.parquet import TextWriter

    writer = TextWriter(folder / "texts" / "text", ids)
    statement = (
        f"SELECT {', '.join(TextWriter.READ)} FROM grounds.trainable_content"
        " WHERE id >= $1::bigint AND id <= $2::bigint ORDER BY id"
    )
    for start in numbers[::_ITEMS_PER_READ]:
        csv = await _copy(training, statement, start, start + _ITEMS_PER_READ - 1)
        await asyncio.to_thread(writer.add, csv)
    await asyncio.to_thread(writer.close)
    return writer.rows
