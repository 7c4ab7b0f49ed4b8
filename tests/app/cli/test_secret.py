"""Another secret is refused by every command and changes nothing; a rotation loses nothing that was given out."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from app.auth.signed_links import LinkAction, link_path, sign_link
from app.server.checkpoint_files import export_newest_checkpoint, raise_if_restored, read_checkpoint
from db.access.declaration import LOGIN_ROLES, WORKER
from db.administrator import DatabaseError
from db.connection import open_database
from db.delivery.ledger import seal_receipts, signing_key
from db.journal.files import JournalFiles
from db.secrets import role_password
from db.setup import check_database, load_secrets, set_passwords
from schema.actor import Role
from tests.support.command import grounds
from tests.support.facts import NOW, fact
from tests.support.gateway import PULL, SECRET, TestGateway, open_gateway, set_clock

pytestmark = pytest.mark.database

NEW = b"the secret that comes after this"
COMMANDS = (
    *(["migrate"], ["status"], ["verify"], ["restored"], ["serve", "--port", "0"], ["demo", "--check", "--port", "0"]),
    *(["backup", "new.backup"], ["policy", "show"], ["campaign", "list"], ["canary", "list"], ["ingest", "-"]),
    ["objection", "file", "--account", "author", "--channel", "LETTER"],
)


@pytest.fixture
def url(database_url: str) -> Iterator[str]:
    """A database whose login roles, which the whole server has, get the passwords of the tests' secret again."""
    yield database_url
    with psycopg.connect(database_url, autocommit=True) as connection:
        set_passwords(connection, SECRET)


def settings_of(url: str, secret: bytes, **more: str) -> dict[str, str]:
    return {"DATABASE_URL": url, "GROUNDS_SECRET": secret.decode(), **more}


async def test_every_command_refuses_another_secret_and_locks_nobody_out(url: str, tmp_path: Path) -> None:
    async with open_database(url, SECRET) as database:
        for command in COMMANDS:
            refused = grounds(*command, data=tmp_path, env=settings_of(url, NEW), cwd=tmp_path)
            assert (refused.returncode, "another secret" in refused.stderr) == (2, True), (command, refused.stderr)
        # What a running gateway would do next.
        psycopg.connect(url, user=WORKER, password=role_password(SECRET, WORKER)).close()
        async with database.worker.connections.acquire() as borrowed:
            assert await borrowed.fetchval("SELECT grounds.current_incarnation()") == 0
    check_database(url, SECRET)


async def pulled(gateway: TestGateway) -> list[str]:
    return sorted(item["id"] for item in await gateway.pull(first=2))


def public_key(secret: bytes) -> str:
    return signing_key(secret).public_key().public_bytes_raw().hex()


def key_that_signed(file: Path) -> str:
    """Verify an exported checkpoint with the key that it names, as anyone can, and return the key."""
    kept = read_checkpoint(file).checkpoint
    Ed25519PublicKey.from_public_bytes(kept.public_key).verify(kept.signature, kept.text)
    assert f"public key: {kept.public_key.hex()}\n" in kept.text.decode()
    return kept.public_key.hex()


async def seal(url: str, secret: bytes, folder: Path) -> None:
    """Seal the receipts and export the checkpoint, as the job of a gateway with this secret does."""
    connection = await asyncpg.connect(url)
    await connection.execute("SELECT pg_advisory_lock(hashtextextended('job:seal', 0))")
    async with connection.transaction():
        await seal_receipts(connection, signing_key(secret))
    await export_newest_checkpoint(connection, folder)
    await connection.close()


def verify(url: str, folder: Path, *options: object) -> None:
    """Verify the ledger with the new secret, which finds nothing."""
    verified = grounds("verify", *options, data=folder / "data", env=settings_of(url, NEW))
    assert verified.returncode == 0, verified.stdout + verified.stderr


def end_idle_sessions(url: str) -> None:
    """Let a gateway log in anew, as it does after a while."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND usename = ANY (%s) AND state = 'idle'",
            [list(LOGIN_ROLES)],
        )


async def test_a_rotation_under_load_fails_no_request_and_what_was_given_out_is_read(url: str, tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("journal", "checkpoints")}
    for folder in folders.values():
        folder.mkdir()
    journal, checkpoints = folders.values()
    set_clock(url, NOW)
    token = sign_link(SECRET, "author", LinkAction.OBJECT, datetime.now(UTC) + timedelta(days=400))
    both = settings_of(url, NEW, GROUNDS_PREVIOUS_SECRETS=SECRET.decode(), GROUNDS_JOURNAL=str(journal))
    async with open_gateway(url, tmp_path / "data", previous_secrets=NEW.decode(), **folders) as gateway:
        await gateway.ingest([fact("account"), fact("notice"), *(fact("content", id=f"item {n}") for n in range(5))])
        before = await pulled(gateway)
        page = (await gateway.ask(Role.TRAINING_CLIENT, PULL, {"first": 2}))["trainableContent"]
        await seal(url, SECRET, checkpoints)
        rotating = asyncio.create_task(asyncio.to_thread(grounds, "secret", "rotate", data=tmp_path / "data", env=both))
        pulls = 0
        while not rotating.done() or pulls < 5:
            assert await pulled(gateway) == before
            pulls += 1
        rotated = await rotating
        assert (rotated.returncode, "is rotated" in rotated.stdout) == (0, True), rotated.stderr
        end_idle_sessions(url)
        assert await pulled(gateway) == before
        await gateway.ingest([fact("account", 3, id="minor", born_on="2015-01-01")])
    with pytest.raises(DatabaseError, match="another secret"):
        check_database(url, SECRET)
    again = grounds("secret", "rotate", data=tmp_path / "data", env=both).stdout
    assert again == "The database already has this secret.\n"
    raise_if_restored(url, NEW, checkpoints)
    verify(url, tmp_path, "--export", tmp_path / "newest.json")
    assert key_that_signed(tmp_path / "newest.json") == public_key(SECRET)
    async with open_gateway(url, tmp_path / "data", secret=NEW.decode(), **folders) as gateway:
        assert await pulled(gateway) == before
        await gateway.ask(Role.TRAINING_CLIENT, PULL, {"first": 2, "after": page["pageInfo"]["endCursor"]})
        assert (await gateway.client.get(link_path(token, LinkAction.OBJECT))).status_code == 200
        await gateway.ingest([fact("objection", account="author")])
        await seal(url, NEW, checkpoints)
    assert set(map(key_that_signed, checkpoints.glob("*.json"))) == {public_key(SECRET), public_key(NEW)}
    verify(url, tmp_path, "--checkpoint", tmp_path / "newest.json", "--checkpoint", max(checkpoints.glob("*.json")))
    tables = [table for table, _ in JournalFiles(journal, NEW).read(load_secrets(url, NEW).readable)]
    assert set(tables) == {"account", "objection", "objection_target"}
