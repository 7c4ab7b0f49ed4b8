"""The ledger: whatever is done to sealed receipts or to their checkpoints is found, and nothing else is."""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.server.jobs import background_jobs
from app.server.scheduler import run_job_once
from db.access.declaration import WORKER
from db.connection import Connection, open_database
from db.delivery import ledger
from db.delivery.ledger import Audit, TrustedCheckpoint, seal_receipts, signing_key, verify_chain
from db.delivery.merkle import merkle_root
from db.secrets import role_password
from tests.support.database_sessions import administering, working
from tests.support.gateway import SECRET, set_clock
from tests.support.ledger_tampering import KEY, Tampering, newest, rewritten, tamperings
from tests.support.mutants import Killed

pytestmark = pytest.mark.database

WRITE = """
INSERT INTO grounds.delivery (client, purpose, policy, decided_at, lowest, highest, item_count, items, item_bits,
    file_sha256)
SELECT 1 + n % 3, 'GENAI_TRAINING', '2025-05-27', timestamptz '2026-06-01Z' + n * interval '1 s',
    n * 100 + 1, n * 100 + 2 + n % 4, 2 + n % 4,
    CASE WHEN n % 2 = 0 THEN ARRAY(SELECT n * 100 + k FROM generate_series(1, 2 + n % 4) k) END,
    CASE WHEN n % 2 = 1 THEN set_byte('\\x00', 0, ((1 << (2 + n % 4)::int) - 1)) END,
    CASE WHEN n % 3 = 0 THEN sha256(int8send(n)) END
FROM (SELECT coalesce(max(id), 0) AS last FROM grounds.delivery) d, generate_series(last + 1, last + $1::int) n
"""


async def write(url: str, receipts: int) -> None:
    """Write receipts, the last of each five of them in vain: so that numbers are missing."""
    connection = await asyncpg.connect(url)
    for at in range(0, receipts, 5):
        await connection.execute(WRITE, min(5, receipts - at))
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(WRITE, 2)
        await transaction.rollback()
    await connection.close()


async def sealed(url: str, at_most: int = ledger.MAX_RECEIPTS_PER_CHECKPOINT) -> int:
    """Seal as the worker; return how many receipts there were."""
    async with working(url) as connection:
        before = await connection.fetchval("SELECT coalesce(max(last_receipt), 0) FROM grounds.newest_checkpoint()")
        await seal_receipts(connection, KEY, at_most)
        return int(
            await connection.fetchval(
                "SELECT coalesce(max(receipts), 0) FROM grounds.newest_checkpoint() WHERE last_receipt > $1", before
            )
        )


async def audited(*connections: Connection, kept: Sequence[TrustedCheckpoint] = ()) -> Audit:
    audit = Audit(KEY.public_key(), kept)
    await verify_chain(connections, audit)
    for connection in connections:
        await connection.execute("RESET ROLE")
    return audit


async def findings(url: str) -> list[str]:
    async with administering(url) as one, administering(url) as two:
        return (await audited(one, two)).findings


def root_of(leaves: list[bytes]) -> bytes:
    """Compute a root as RFC 6962 words it."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + root_of(leaves[:split]) + root_of(leaves[split:])).digest()


@given(st.integers(0, 70), st.binary(max_size=3))
def test_a_root_is_that_of_rfc_6962(size: int, salt: bytes) -> None:
    leaves = [hashlib.sha256(salt + bytes([number])).digest() for number in range(size)]
    assert merkle_root(b"".join(leaves)) == root_of(leaves)


@pytest.mark.ci
def test_a_sealed_ledger_is_sound_whatever_its_size_and_its_batches(database_url: str) -> None:
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(st.tuples(st.integers(0, 35), st.integers(1, 40)), max_size=2))
    def sound(steps: list[tuple[int, int]]) -> None:
        asyncio.run(_sound(database_url, steps))

    sound()


async def _sound(url: str, steps: list[tuple[int, int]]) -> None:
    with psycopg.connect(url, autocommit=True) as administrator:
        administrator.execute("TRUNCATE grounds.delivery, grounds.checkpoint RESTART IDENTITY")
    written = 0
    for receipts, at_most in steps:
        await write(url, receipts)
        while await sealed(url, at_most):
            pass
        written += receipts
    await write(url, 3)
    async with administering(url) as connection:
        audit = await audited(connection)
    assert (audit.findings, audit.receipts, audit.unsealed) == ([], written, 3)


@pytest.fixture
async def ledger_url(database_url: str) -> str:
    """A ledger of 24 receipts in six checkpoints, the administrator's URL."""
    for _ in range(2):
        await write(database_url, 12)
        while await sealed(database_url, 4):
            pass
    assert await findings(database_url) == []
    return database_url


async def found_by(connection: Connection, tampering: Tampering, kept: Sequence[TrustedCheckpoint] = ()) -> list[str]:
    """Tamper, verify, and take it back."""
    taken_back = connection.transaction()
    await taken_back.start()
    await tampering.work(connection)
    found = (await audited(connection, kept=kept if tampering.needs_kept else ())).findings
    await taken_back.rollback()
    return found


async def test_a_thousand_tamperings_are_found(ledger_url: str) -> None:
    unnoticed, tried = [], 0
    async with administering(ledger_url) as connection:
        kept = [TrustedCheckpoint("kept.json", await newest(connection))]
        for tampering in await tamperings(connection):
            if not await found_by(connection, tampering, kept):
                unnoticed.append(tampering.name)
            tried += 1
    assert (unnoticed, await findings(ledger_url)) == ([], [])
    assert tried >= 1000


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE grounds.delivery SET client = 9 WHERE id = 2", "some of the 4 receipts were edited or swapped"),
        ("DELETE FROM grounds.delivery WHERE id IN (1, 3)", "2 of the 4 receipts are missing"),
        ("UPDATE grounds.checkpoint SET receipts = 3 WHERE number = 1", "was edited, or signed with another key"),
        (
            "DELETE FROM grounds.checkpoint WHERE number = 2",
            "missing: checkpoint 2; no checkpoint covers receipts 5 to",
        ),
        (
            "DELETE FROM grounds.checkpoint WHERE number < 3",
            "missing: checkpoints 1 to 2; no checkpoint covers receipt",
        ),
        (
            "CREATE OR REPLACE FUNCTION grounds.receipt_leaf(d grounds.delivery) RETURNS bytea LANGUAGE sql"
            " RETURN sha256('')",
            "grounds.receipt_leaf was replaced",
        ),
    ],
)
async def test_what_is_wrong_is_told_in_words(ledger_url: str, statement: str, words: str) -> None:
    async with administering(ledger_url) as connection:
        await connection.execute(statement)
        first, *_ = (await audited(connection)).findings
    assert words in first


async def test_only_a_checkpoint_kept_elsewhere_shows_what_the_holder_of_the_secret_did(ledger_url: str) -> None:
    async with administering(ledger_url) as connection:
        kept = [TrustedCheckpoint("kept.json", await newest(connection))]
        await connection.execute("UPDATE grounds.delivery SET client = 9 WHERE id = 2")
        await rewritten(connection, KEY)
        assert (await audited(connection)).findings == []
        (found,) = (await audited(connection, kept=kept)).findings
        number = kept[0].checkpoint.number
        assert found == f"kept.json: checkpoint {number} is missing: the ledger ends with checkpoint 1"
    async with administering(ledger_url) as connection:
        stranger = await newest(connection)
        kept = [TrustedCheckpoint("forged.json", stranger.signed(Ed25519PrivateKey.generate()))]
        (found,) = (await audited(connection, kept=kept)).findings
        assert found == "forged.json: was edited, or signed with another key"


async def test_another_secret_has_another_key(ledger_url: str) -> None:
    async with administering(ledger_url) as connection:
        audit = Audit(signing_key(SECRET + b".").public_key())
        await verify_chain([connection], audit)
    assert len(audit.findings) == audit.checkpoints


async def overtaken(url: str) -> tuple[int, list[str]]:
    """Write a receipt that is committed after a later one; return how many were sealed between, and what is found."""
    async with administering(url) as slow:
        await slow.execute(WRITE, 1)
        await write(url, 1)
        first = await sealed(url)
        await slow.execute("COMMIT; BEGIN")
    await write(url, 1)
    await sealed(url)
    return first, await findings(url)


async def test_a_receipt_that_is_committed_late_is_waited_for(database_url: str) -> None:
    assert await overtaken(database_url) == (0, [])
    async with administering(database_url) as connection:
        assert ((await audited(connection)).receipts, (await audited(connection)).unsealed) == (3, 0)


async def test_a_build_that_does_not_wait_for_it_is_noticed(database_url: str, killed: Killed) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "CREATE OR REPLACE FUNCTION grounds.settled_receipt() RETURNS bigint LANGUAGE sql VOLATILE AS"
            " 'SELECT last_value FROM grounds.delivery_id_seq'"
        )
    _, found = await overtaken(database_url)
    killed("what is committed late is not waited for", "settled_receipt()", found[0] if found else None)


async def test_an_old_snapshot_seals_nothing(database_url: str) -> None:
    await write(database_url, 1)
    connection = await asyncpg.connect(database_url, user=WORKER, password=role_password(SECRET, WORKER))
    with pytest.raises(asyncpg.RaiseError, match="READ COMMITTED only"):
        async with connection.transaction(isolation="repeatable_read"):
            await seal_receipts(connection, KEY)
    await connection.close()


async def test_a_leaf_without_one_of_the_columns_is_noticed(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    async with administering(ledger_url) as connection:
        whole = await connection.fetchval("SELECT prosrc FROM pg_proc WHERE oid = 'grounds.receipt_leaf'::regproc")
        parts = {
            "id": "int8send(d.id)",
            "client": "int4send(d.client)",
            "purpose": "convert_to(d.purpose, 'UTF8')",
            "policy": "convert_to(d.policy, 'UTF8')",
            "decided_at": "timestamptz_send(d.decided_at)",
            "item_count": "int4send(d.item_count)",
            "items": "array_send(d.items)",
            "item_bits": "int4send(octet_length(d.item_bits)) || d.item_bits",
            "file_sha256": "d.file_sha256",
            "lowest": "int8send(d.lowest)",
            "highest": "int8send(d.highest)",
        }
        columns = [tampering for tampering in await tamperings(connection) if tampering.column]
    assert {tampering.column for tampering in columns} == set(parts)
    for column, part in parts.items():
        body = whole.replace(part, "''::bytea")
        assert body != whole
        async with administering(ledger_url) as connection:
            await connection.execute(
                "CREATE OR REPLACE FUNCTION grounds.receipt_leaf(d grounds.delivery) RETURNS bytea LANGUAGE sql"
                f" STABLE AS $${body}$$"
            )
            (found,) = (await audited(connection)).findings[:1]
            assert "receipt_leaf was replaced" in found
            with monkeypatch.context() as patch:  # a release that was built so
                patch.setattr(ledger, "_LEAF_FUNCTION_SHA256", hashlib.sha256(body.encode()).hexdigest())
                await rewritten(connection, KEY)
                unnoticed = [
                    each.name for each in columns if each.column == column and not await found_by(connection, each)
                ]
        killed(f"no {column} in the leaf", "receipt_leaf()", f"not found: {unnoticed[0]}" if unnoticed else None)


async def test_sealing_reads_only_what_is_not_sealed(ledger_url: str) -> None:
    await write(ledger_url, 2)
    async with working(ledger_url) as connection:
        await connection.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        await seal_receipts(connection, KEY)
        read = await connection.fetchval(
            "SELECT idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'delivery'"
        )
    assert read == 2


async def test_two_processes_that_seal_while_pages_are_served_keep_one_chain(database_url: str) -> None:
    (job,) = [each for each in background_jobs(database_url, SECRET) if each.name == "seal"]
    async with open_database(database_url, SECRET) as one, open_database(database_url, SECRET) as two:
        writers = [asyncio.create_task(write(database_url, 40)) for _ in range(3)]
        while not all(writer.done() for writer in writers):
            await asyncio.gather(run_job_once(one, job), run_job_once(two, job))
        assert await run_job_once(one, job) == 0  # it was not a full batch: the rest can wait for the next turn
        await run_job_once(two, job)
    async with administering(database_url) as connection:
        audit = await audited(connection)
    assert (audit.findings, audit.receipts, audit.unsealed) == ([], 120, 0)
    assert audit.checkpoints > 1


async def test_a_crash_between_leaves_nothing_half(database_url: str) -> None:
    await write(database_url, 7)
    connection = await asyncpg.connect(database_url, user=WORKER, password=role_password(SECRET, WORKER))
    transaction = connection.transaction()
    await transaction.start()
    await seal_receipts(connection, KEY)
    assert await connection.fetchval("SELECT receipts FROM grounds.newest_checkpoint()") == 7
    connection.terminate()
    await write(database_url, 2)
    assert await sealed(database_url) == 9
    assert await findings(database_url) == []


async def test_a_clock_that_is_set_back_harms_nothing(database_url: str) -> None:
    for year in (2026, 2020, 2031):
        set_clock(database_url, datetime(year, 6, 1, 12, 0, 0, 500, tzinfo=UTC))
        await write(database_url, 4)
        assert await sealed(database_url) == 4
    assert await findings(database_url) == []
    async with administering(database_url) as connection:
        assert (await newest(connection)).sealed_at == "2031-06-01T12:00:00.0005"


async def test_an_administrator_who_is_no_superuser_can_verify(ledger_url: str) -> None:
    name = f"admin_{uuid4().hex}"
    with psycopg.connect(ledger_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{name}' IN ROLE grounds_owner".encode())
    try:
        plain = await asyncpg.connect(ledger_url, user=name, password=name)
        async with plain.transaction():
            audit = Audit(KEY.public_key())
            await verify_chain([plain], audit)
            assert (audit.findings, audit.receipts) == ([], 24)
        await plain.close()
    finally:
        with psycopg.connect(ledger_url, autocommit=True) as connection:
            connection.execute(f"DROP ROLE {name}".encode())
