"""The public record: what everyone can read without a token, as the public page shows it."""

from datetime import date, datetime
from typing import Annotated

import strawberry

from db.delivery.ledger import Checkpoint as StoredCheckpoint
from db.delivery.ledger import signing_key
from db.oversight.public_record import (
    had_incidents,
    newest_public_checkpoint,
    public_checkpoints,
    public_holds,
    public_models,
    public_policies,
    public_releases,
)
from db.records.campaign import list_campaigns
from schema.context import Info
from schema.errors import BadInput
from schema.governed import OPEN, governed
from schema.oversight.holds import HoldScope
from schema.records.campaign import Campaign, campaign_of

MAX_CHECKPOINTS = 1000
MAX_LISTED = 100
_MAX_NUMBER = 2**31 - 1  # of an Int of GraphQL


@strawberry.type(description="A policy and the time for which it was in force.")
class PolicyInForce:
    version: str = governed(OPEN, description="The version of the policy.")
    title: str = governed(OPEN, description="The title of the policy.")
    in_force_from: datetime = governed(OPEN, description="The time from which the policy was in force.")
    in_force_until: datetime | None = governed(
        OPEN, description="The time until which the policy was in force, null if there is no end."
    )


@strawberry.type(description="A hold that stops deliveries now; holds of single accounts are not public.")
class PublicHold:
    scope: HoldScope = governed(OPEN, description="The scope of the hold.")
    value: str | None = governed(OPEN, description="The country or the product, null for all content.")
    authority: str = governed(OPEN, description="The authority that ordered the hold.")
    opened_at: datetime = governed(OPEN, description="The time at which the hold was opened.")


@strawberry.type(
    description="A release of which a training client received a file; its size and version are not public."
)
class PublicRelease:
    name: str = governed(OPEN, description="The name that the client gave.")
    purpose: str = governed(OPEN, description="The purpose for which the items were given out.")
    started_month: date = governed(OPEN, description="The first day of the month in which the release was started.")


@strawberry.type(description="A model, as a training client stated it; the gateway cannot check the statement.")
class PublicModel:
    model: str = governed(OPEN, description="The name of the model.")
    purpose: str = governed(OPEN, description="The purpose of the training.")
    started_month: date = governed(OPEN, description="The first day of the month in which the training started.")
    releases: list[str] = governed(OPEN, description="The names of the releases that the training used.")


@strawberry.type(
    description=(
        "A signed summary of deliveries; if the ledger (the stored receipts) is changed later, the summary "
        "shows the change."
    )
)
class LedgerCheckpoint:
    number: int = governed(OPEN, description="The number of the checkpoint, counted from 1.")
    text: str = governed(
        OPEN,
        description="The signed text; its line `previous` contains the SHA-256 of the previous checkpoint's text.",
    )
    signature: str = governed(OPEN, description="The Ed25519 signature of the text, in hexadecimal.")


async def _resolve_checkpoints(
    info: Info,
    first_number: Annotated[
        int, strawberry.argument(description="The number of the first checkpoint to return, 1 or higher.")
    ],
) -> list[LedgerCheckpoint]:
    """Resolve `PublicLedger.checkpoints`: the checkpoints of the ledger from a number on."""
    if not 1 <= first_number <= _MAX_NUMBER:
        raise BadInput("firstNumber: must be 1 or higher (pass the number of the checkpoint that you stored)")
    found = await public_checkpoints(info.context.database, first_number, MAX_CHECKPOINTS)
    return [_checkpoint_of(each) for each in found]


@strawberry.type(description="The key and checkpoints with which everyone can check that the ledger was not changed.")
class PublicLedger:
    public_key: str = governed(OPEN, description="The Ed25519 public key of the gateway, in hexadecimal.")
    newest_checkpoint: LedgerCheckpoint | None = governed(
        OPEN, description="The newest checkpoint, null if there is none yet."
    )
    checkpoints: list[LedgerCheckpoint] = governed(
        OPEN,
        resolver=_resolve_checkpoints,
        description=f"At most {MAX_CHECKPOINTS} checkpoints in order, beginning with the number `firstNumber`.",
    )


async def _resolve_policies(info: Info) -> list[PolicyInForce]:
    """Resolve `PublicRecord.policies`: which policy was in force when."""
    return [PolicyInForce(**row._asdict()) for row in await public_policies(info.context.database)]


async def _resolve_public_holds(info: Info) -> list[PublicHold]:
    """Resolve `PublicRecord.holds`: the holds that everyone can see."""
    rows = await public_holds(info.context.database)
    return [PublicHold(**row._asdict() | {"scope": HoldScope(row.scope)}) for row in rows]


async def _resolve_public_campaigns(info: Info) -> list[Campaign]:
    """Resolve `PublicRecord.campaigns`: what each campaign told, with its texts."""
    return [campaign_of(row) for row in await list_campaigns(info.context.database.public())]


async def _resolve_had_incidents(info: Info) -> bool:
    """Resolve `PublicRecord.hadIncidents`: whether an objection was ever disregarded."""
    return await had_incidents(info.context.database)


async def _resolve_public_releases(info: Info) -> list[PublicRelease]:
    """Resolve `PublicRecord.releases`: the releases that everyone can see."""
    return [PublicRelease(**row._asdict()) for row in await public_releases(info.context.database, MAX_LISTED)]


async def _resolve_public_models(info: Info) -> list[PublicModel]:
    """Resolve `PublicRecord.models`: the models that clients stated."""
    return [PublicModel(**row._asdict()) for row in await public_models(info.context.database, MAX_LISTED)]


async def _resolve_public_ledger(info: Info) -> PublicLedger:
    """Resolve `PublicRecord.ledger`: the key and the newest checkpoint."""
    newest = await newest_public_checkpoint(info.context.database)
    key = signing_key(info.context.gateway.secret).public_key().public_bytes_raw().hex()
    return PublicLedger(public_key=key, newest_checkpoint=_checkpoint_of(newest) if newest else None)


@strawberry.type(description="The part of the gateway's records that everyone can read without a token.")
class PublicRecord:
    policies: list[PolicyInForce] = governed(
        OPEN, resolver=_resolve_policies, description="The policies that are or were in force, newest first."
    )
    holds: list[PublicHold] = governed(
        OPEN,
        resolver=_resolve_public_holds,
        description="The holds that stop deliveries now, except holds of single accounts.",
    )
    campaigns: list[Campaign] = governed(
        OPEN, resolver=_resolve_public_campaigns, description="The campaigns with their texts, newest first."
    )
    had_incidents: bool = governed(
        OPEN,
        resolver=_resolve_had_incidents,
        description=(
            "Whether the gateway ever delivered an item after the platform had received an objection to the use "
            "of the item."
        ),
    )
    releases: list[PublicRelease] = governed(
        OPEN,
        resolver=_resolve_public_releases,
        description=f"The newest {MAX_LISTED} releases of which a training client received a file, newest first.",
    )
    models: list[PublicModel] = governed(
        OPEN,
        resolver=_resolve_public_models,
        description=f"The {MAX_LISTED} newest models that training clients trained, as the clients stated.",
    )
    ledger: PublicLedger = governed(
        OPEN,
        resolver=_resolve_public_ledger,
        description="The key and checkpoints with which everyone can check the ledger.",
    )


def resolve_public_record() -> PublicRecord:
    """Resolve the root field `publicRecord` of the GraphQL API, whose fields read what they show."""
    return PublicRecord()


def _checkpoint_of(stored: StoredCheckpoint) -> LedgerCheckpoint:
    """Show a checkpoint of the ledger to everyone as a GraphQL object."""
    return LedgerCheckpoint(number=stored.number, text=stored.text.decode(), signature=stored.signature.hex())
