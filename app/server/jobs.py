"""The background jobs, each with its interval."""

import asyncio
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.releases.writer import ReleaseWriter
from app.server.checkpoint_files import export_newest_checkpoint
from app.server.scheduler import Job, in_transaction
from app.telemetry import observe
from app.webhooks.sender import post_due_webhooks
from db.connection import Connection, Database
from db.coverage.snapshot import take_coverage
from db.delivery.ledger import seal_receipts, signing_key
from db.delivery.offers import audit_offers, discard_offers, keep_offers
from db.delivery.retractions import purge_texts, record_deliveries, retract_due
from db.incarnations import FIRST_INCARNATION
from db.journal.outbox import Journal
from db.notices.counts import count_notices
from db.oversight.objection_review import record_matched_objections
from db.oversight.placeholders import apply_placeholders, count_shared_links
from db.policies.activation import activate_due_policy
from db.records.retention import DEFAULT_VERSIONS_DAYS, remove_versions
from db.standings import derive_standing_backlog
from schema.oversight.webhook_address import Networks


def background_jobs(
    url: str,
    secret: bytes,
    webhook_networks: Networks = frozenset(),
    offers: bool = False,
    checkpoints: Path | None = None,
    releases: Path | None = None,
    journal: Journal | None = None,
    database: Database | None = None,
    versions_days: int = DEFAULT_VERSIONS_DAYS,
) -> tuple[Job, ...]:
    """Return the server's background jobs. `url` is the administrator's, for what only the owner may do.

    With `offers` they are kept; otherwise what is left of them is removed. `checkpoints` is the folder that checkpoints
    are exported to, `releases` the one of the files of releases. The `journal` is written. What
    clients keep, ids for example, is as the `database` has it. Versions of records are removed after `versions_days`.
    """
    return (
        Job("policy", 0.5, partial(_put_in_force, url=url)),
        Job("standings", 0.5, derive_standing_backlog),
        Job("retract", 1, retract_due),
        *_jobs_of_offers(offers),
        *_jobs_of_releases(url, secret, releases),
        *_jobs_of_journal(journal),
        Job("deliveries", 1, record_deliveries),
        _job_of_webhooks(secret, webhook_networks, database),
        Job("notices", 600, count_notices),
        Job("objections", 60, record_matched_objections),
        Job("placeholders", 60, apply_placeholders),
        Job("shared links", 3600, count_shared_links),
        Job("purge", 3600, _remove_texts),
        Job("versions", 3600, partial(remove_versions, days=versions_days)),
        Job("coverage", 60, take_coverage),
        Job("seal", 10, partial(_seal_and_export, key=signing_key(secret), folder=checkpoints)),
    )


async def _put_in_force(connection: Connection, url: str) -> int:
    """Put a due policy in force as a background job."""
    if await connection.fetchval("SELECT grounds.due_policy() IS NULL"):
        return 0
    activating = asyncio.ensure_future(asyncio.to_thread(activate_due_policy, url))
    try:
        return int(await asyncio.shield(activating))
    finally:  # a thread cannot be stopped: a server that stops waits for it
        await asyncio.wait([activating])


async def _seal_and_export(connection: Connection, key: Ed25519PrivateKey, folder: Path | None) -> int:
    """Seal receipts as a background job, and export the newest checkpoint once it is committed."""
    async with connection.transaction():
        sealed = await seal_receipts(connection, key)
    if folder is not None:
        await export_newest_checkpoint(connection, folder)
    return sealed


async def _remove_texts(connection: Connection) -> int:
    """Remove old texts as a background job, and log how many."""
    removed = await purge_texts(connection)
    if removed:
        observe.texts_removed(removed)
    return removed


def _job_of_webhooks(secret: bytes, networks: Networks, database: Database | None) -> Job:
    """Return the background job that posts retractions to webhooks, with the ids that clients keep."""
    first = database.first_secret if database else secret
    incarnations = database.incarnations if database else FIRST_INCARNATION
    post = partial(post_due_webhooks, secret=first, networks=networks, incarnations=incarnations)
    return Job("webhook", 1, in_transaction(post))


def _jobs_of_journal(journal: Journal | None) -> tuple[Job, ...]:
    """Return the background jobs that write the journal and remove its old files."""
    if journal is None:
        return ()
    return (Job("journal", 1, journal.write_changes), Job("files of the journal", 3600, journal.remove_old_files))


def _jobs_of_offers(kept: bool) -> tuple[Job, ...]:
    """Return the background jobs that keep and audit offers, or the one that discards them."""
    if not kept:
        return (Job("offers", 60, discard_offers),)
    return (Job("offers", 0.5, keep_offers), Job("audit of offers", 10, audit_offers))


def _jobs_of_releases(url: str, secret: bytes, folder: Path | None) -> tuple[Job, ...]:
    """Return the background jobs that write the files of releases, and remove them."""
    if folder is None:
        return ()
    writer = ReleaseWriter(url, secret, folder)
    return (Job("releases", 1, writer.write_next), Job("release files", 60, writer.remove_files))
