"""Register a campaign: store the uses that it names, and the text of a message in each language, permanently."""

import json
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from pydantic import ValidationError

from app.campaigns.templates import write_texts
from app.settings import SettingsError
from app.texts.catalogue import Catalogue
from db.connection import Database, connection
from db.ingest.merge import ingest_lines
from db.ingest.records import Campaign
from db.ingest.rejection import Rejected, record_faults
from db.ingest.staging import Stager
from db.notices.campaign_texts import StoredCampaign, register_texts, stored_campaign
from db.notices.outbox import hold_campaign_lock
from db.oversight.objection_filing import decision_time
from db.policies.store import policy_of
from db.policy.document import Use
from db.vocabulary import MessageKind


async def register_campaign(
    database: Database,
    document: bytes,
    message: MessageKind,
    folder: Path | None,
    catalogue: Catalogue | None = None,
) -> dict[str, str]:
    """Store a campaign's record and the texts of one of its messages; return each text's SHA-256 by language.

    Run again, it changes nothing, or adds languages. Raises SettingsError for a campaign that tells otherwise than it
    did, and for a text that lacks something or has another hash than the record states.
    """
    record = _parse_campaign(document)
    async with hold_campaign_lock(database.worker, record.id):
        policy = await policy_of(database.dashboard, None)
        assert policy is not None, "a policy is in force after the database was prepared"
        async with connection(database.worker) as borrowed:
            stored = await stored_campaign(borrowed, record.id)
        _raise_if_changed(record, stored)
        now = await decision_time(database)
        texts = write_texts(folder, message, policy, [Use(*use.split(" ")) for use in record.uses], now, catalogue)
        hashes = {language: sha256(text.encode()).hexdigest() for language, text in texts.items()}
        if message is MessageKind.NOTICE:
            _raise_if_hashes_differ(record, stored, hashes)
            if stored is None or not stored.counts or hashes.items() - stored.texts.items():
                await _store_record(database, record, hashes, now)
        elif stored is None or not stored.texts:
            raise SettingsError(f"campaign {record.id}: the notice is not registered yet (register the notice first)")
        async with connection(database.worker) as borrowed:
            refused = await register_texts(borrowed, record.id, message, texts)
    if refused:
        raise SettingsError(
            "\n".join(
                f"{language}.txt: the text differs from the registered text (restore the registered text, which "
                "cannot be changed)"
                for language in refused
            )
        )
    return hashes


def _parse_campaign(document: bytes) -> Campaign:
    """Parse the record of a campaign that is registered; raises SettingsError."""
    try:
        record = Campaign.model_validate_json(document)
    except ValidationError as error:
        faults = record_faults("campaign", error)
        said = (
            f"campaign: {each.field}: {each.reason}" if each.field else f"campaign: {each.reason}" for each in faults
        )
        raise SettingsError("\n".join(said)) from None
    if not record.uses:
        raise SettingsError(f"campaign {record.id}: the field `told` is empty (state purposes, kinds and products)")
    return record


def _raise_if_changed(record: Campaign, stored: StoredCampaign | None) -> None:
    """Raise SettingsError where a campaign's record states other uses than the one that was registered and sent."""
    if stored is None or stored.told == set(record.uses):
        return
    changes = [f"adds {use}" for use in sorted(set(record.uses) - stored.told)]
    changes += [f"lacks {use}" for use in sorted(stored.told - set(record.uses))]
    raise SettingsError(
        f"campaign {record.id}: the field `told` must stay as it was registered, but this record {', '.join(changes)}"
        " (register a new campaign with another epoch)"
    )


def _raise_if_hashes_differ(record: Campaign, stored: StoredCampaign | None, hashes: Mapping[str, str]) -> None:
    """Raise SettingsError if the texts of a campaign are others than its record states or were registered."""
    stated = {language.lower(): digest for language, digest in record.texts.items()}
    faults = []
    for language, digest in sorted((stated | (stored.texts if stored else {})).items()):
        if language not in hashes:
            faults.append(f"texts.{language}: the text in this language is missing (add {language}.txt)")
        elif {digest, stated.get(language, digest)} != {hashes[language]}:
            faults.append(
                f"texts.{language}: the SHA-256 of the text is {hashes[language]}, which differs from the "
                "stated SHA-256 (correct the text or the hash)"
            )
    if faults:
        raise SettingsError("\n".join(f"campaign {record.id}: {fault}" for fault in faults))


async def _store_record(database: Database, record: Campaign, hashes: Mapping[str, str], now: datetime) -> None:
    """Store a campaign's record with the hash of each text, as one that is stated now."""
    stated = record.model_dump(exclude={"observed_at"}) | {"texts": hashes, "observed_at": now.isoformat()}

    async def lines() -> AsyncIterator[bytes]:
        """Yield a campaign's record as one line of NDJSON."""
        yield json.dumps(stated).encode()

    rejected: list[Rejected] = []
    stager = Stager()
    try:
        async with connection(database.ingest) as borrowed:
            await ingest_lines(borrowed, lines(), stager, on_rejected=rejected.append)
    finally:
        stager.close()
    if rejected:
        raise SettingsError(f"campaign {record.id}: {rejected[0].field or 'record'}: {rejected[0].reason}")
