"""`grounds verify` as people run it: what it prints, exports and compares, and what it ends with."""

import json
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from app.cli.verify import EXIT_CHANGED
from app.server.jobs import background_jobs
from app.server.scheduler import run_job_once
from db.connection import open_database
from schema.actor import Role
from tests.support.command import grounds
from tests.support.database_pauses import job_stopped
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import SECRET, TestGateway
from tests.support.ledger_tampering import KEY, rewritten

pytestmark = pytest.mark.xdist_group("command")

PUBLIC_KEY = KEY.public_key().public_bytes_raw().hex()


def verified(url: str, data: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    return grounds("verify", *arguments, data=data, env={"DATABASE_URL": url, "GROUNDS_SECRET": SECRET.decode()})


async def sealed(url: str) -> None:
    """Do the job that the server does every ten seconds."""
    (job,) = [each for each in background_jobs(url, SECRET) if each.name == "seal"]
    async with open_database(url, SECRET) as database:
        await run_job_once(database, job)


@pytest.fixture
async def delivered(gateway: TestGateway) -> AsyncIterator[str]:
    """Three pages that a client pulled, in one checkpoint, and no job that seals more; the administrator's URL."""
    gateway.set_clock(NOW)
    await gateway.ingest([fact("account"), fact("notice"), *(fact("content", id=f"item-{n}") for n in range(3))])
    assert len(await gateway.pull(first=1)) == 3
    await sealed(gateway.database_url)
    async with job_stopped(gateway, "seal"):
        yield gateway.database_url


async def test_a_sound_ledger_is_told_of_and_its_checkpoint_can_be_stored_elsewhere(
    delivered: str, tmp_path: Path
) -> None:
    file = tmp_path / "checkpoint.json"
    told = verified(delivered, tmp_path, "--export", file)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout == (
        "The ledger is sound. 1 checkpoints, 3 receipts and 0 reads by staff were verified,"
        " 0 receipts and 0 reads are not sealed yet.\n"
        f"Public key (Ed25519): {PUBLIC_KEY}\n"
    )
    again = verified(delivered, tmp_path, "--checkpoint", file, "--checkpoint", file)
    assert (again.returncode, again.stdout) == (0, told.stdout)


async def test_officers_see_what_the_last_run_found(gateway: TestGateway, delivered: str, tmp_path: Path) -> None:
    query = "{ ledgerVerification { verifiedAt verifiedBy checkpoints receipts unsealed findings newestCheckpointAt } }"
    assert (await gateway.ask(Role.AUDITOR, query)) == {"ledgerVerification": None}
    verified(delivered, tmp_path)
    assert len(await gateway.pull(first=1)) == 3
    gateway.set_clock(NOW + DAY)
    verified(delivered, tmp_path)
    seen = (await gateway.ask(Role.PRIVACY_OFFICER, query))["ledgerVerification"]
    (login,) = gateway.execute("SELECT CURRENT_USER")[0]
    # A job can seal some of them meanwhile.
    assert (seen["receipts"] + seen["unsealed"], seen["receipts"] >= 3, seen["checkpoints"] >= 1) == (6, True, True)
    assert (seen["verifiedBy"], seen["verifiedAt"], seen["findings"]) == (login, "2026-06-02T12:00:00+00:00", 0)
    assert seen["newestCheckpointAt"] >= "2026-06-01T12:00:00+00:00"
    gateway.execute("UPDATE grounds.delivery SET item_count = 9 WHERE id = 2")
    verified(delivered, tmp_path)
    assert (await gateway.ask(Role.AUDITOR, query))["ledgerVerification"]["findings"] == 1
    gateway.execute("DELETE FROM grounds.verification WHERE findings = 1")
    assert (await gateway.ask(Role.AUDITOR, query))["ledgerVerification"] == seen


async def test_somebody_else_can_verify_what_was_exported(delivered: str, tmp_path: Path) -> None:
    verified(delivered, tmp_path, "--export", tmp_path / "checkpoint.json")
    kept = json.loads((tmp_path / "checkpoint.json").read_text())
    assert kept["public_key"] == PUBLIC_KEY
    text = (
        f"grounds checkpoint 1\nnumber: {kept['number']}\nfirst receipt: {kept['first_receipt']}\n"
        f"last receipt: {kept['last_receipt']}\nreceipts: {kept['receipts']}\n"
        f"staff reads: {kept['staff_reads']}\nstaff read digest: {kept['staff_read_digest']}\n"
        f"incarnation: {kept['incarnation']}\npublic key: {kept['public_key']}\nroot: {kept['root']}\n"
        f"previous: {kept['previous']}\nsealed at: {kept['sealed_at']}Z\n"
    )
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(kept["public_key"]))
    key.verify(bytes.fromhex(kept["signature"]), text.encode())
    assert (kept["number"], kept["first_receipt"], kept["receipts"]) == (1, 1, 3)
    assert kept["previous"] == "0" * 64
    assert kept["sealed_at"] == "2026-06-01T12:00:00"


async def test_a_tampered_ledger_ends_with_its_own_code_and_is_not_exported(delivered: str, tmp_path: Path) -> None:
    with psycopg.connect(delivered, autocommit=True) as connection:
        connection.execute("UPDATE grounds.delivery SET item_count = 9 WHERE id = 2")
    told = verified(delivered, tmp_path, "--export", tmp_path / "checkpoint.json")
    assert (told.returncode, told.stderr) == (EXIT_CHANGED, "")
    assert told.stdout.splitlines()[:2] == [
        "checkpoint 1 (receipts 1 to 3): some of the 3 receipts were edited or swapped",
        "The ledger is NOT sound: 1 findings. 1 checkpoints, 3 receipts and 0 reads by staff were verified,"
        " 0 receipts and 0 reads are not sealed yet.",
    ]
    assert not (tmp_path / "checkpoint.json").exists()


async def test_a_kept_checkpoint_finds_what_was_cut_off_and_what_was_rewritten_by_the_server_itself(
    delivered: str, tmp_path: Path
) -> None:
    file = tmp_path / "checkpoint.json"
    assert verified(delivered, tmp_path, "--export", file).returncode == 0
    with psycopg.connect(delivered, autocommit=True) as connection:
        connection.execute("DELETE FROM grounds.checkpoint")
        connection.execute("DELETE FROM grounds.delivery WHERE id = 3")
    assert "2 receipts and 0 reads are not sealed yet" in verified(delivered, tmp_path).stdout
    told = verified(delivered, tmp_path, "--checkpoint", file)
    assert (told.returncode, told.stdout.splitlines()[0]) == (
        EXIT_CHANGED,
        f"{file}: checkpoint 1 is missing: the ledger ends with nothing sealed",
    )
    administrator = await asyncpg.connect(delivered)
    await rewritten(administrator, KEY)
    await administrator.close()
    assert verified(delivered, tmp_path).returncode == 0
    told = verified(delivered, tmp_path, "--checkpoint", file)
    assert (told.returncode, told.stdout.splitlines()[0]) == (
        EXIT_CHANGED,
        f"{file}: checkpoint 1 differs from this copy: the ledger was rewritten",
    )


async def test_what_cannot_be_done_is_told(gateway: TestGateway, tmp_path: Path) -> None:
    url = gateway.database_url
    none = verified(url, tmp_path, "--export", tmp_path / "checkpoint.json")
    assert (none.returncode, none.stdout.splitlines()[0]) == (
        2,
        "The ledger is sound. 0 checkpoints, 0 receipts and 0 reads by staff were verified,"
        " 0 receipts and 0 reads are not sealed yet.",
    )
    assert none.stderr.startswith("grounds: --export: there is no checkpoint yet (")
    for content in ("", "{", "[]", '{"number": 1}', os.urandom(9).hex()):
        (tmp_path / "wrong.json").write_text(content)
        wrong = verified(url, tmp_path, "--checkpoint", tmp_path / "wrong.json")
        said = f"grounds: {tmp_path / 'wrong.json'}: is not a checkpoint (pass a file that --export wrote)\n"
        assert (wrong.returncode, wrong.stdout, wrong.stderr) == (2, "", said)
    missing = verified(url, tmp_path, "--checkpoint", tmp_path / "missing.json")
    assert (missing.returncode, missing.stderr) == (
        2,
        f"grounds: {tmp_path / 'missing.json'}: No such file or directory\n",
    )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE POLICY everybody ON grounds.delivery USING (TRUE)")
    gap = verified(url, tmp_path)
    assert (gap.returncode, gap.stdout) == (2, "")
    assert "policy everybody on grounds.delivery" in gap.stderr
