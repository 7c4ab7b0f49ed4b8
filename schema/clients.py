"""Training clients as officers see, register and suspend them; and what the last look at their receipts found."""

from datetime import datetime
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

import strawberry

from db.clients import ClientRow, SuspensionRow, clients, last_verification, suspensions
from db.officers import Outcome
from db.webhook import register_webhook, webhook_key
from schema.actor import CLIENT_NAME
from schema.context import Context
from schema.errors import BadInput
from schema.governed import EXAMINERS, OFFICERS, governed
from schema.holds import LONGEST, acting

LONGEST_URL = 2000

Info = strawberry.Info[Context, None]


@strawberry.type(description="Where a client's retractions are posted, and how far that came.")
class Webhook:
    """Hold what officers see of a webhook."""

    host: str = governed(EXAMINERS, description="Of its address, no more: the rest may be a secret.")
    attempted_at: datetime | None = governed(EXAMINERS, description="When something was posted to it last.")
    failures: int = governed(EXAMINERS, description="How many times in a row it did not answer with a 2xx.")


@strawberry.type(description="An officer's order that nothing is delivered to a client.")
class ClientSuspension:
    """Hold a suspension."""

    reason: str = governed(EXAMINERS)
    suspended_by: str = governed(EXAMINERS)
    suspended_at: datetime = governed(EXAMINERS)
    resume_asked_by: str | None = governed(EXAMINERS)
    resume_asked_at: datetime | None = governed(
        EXAMINERS, description="When an officer asked that it be over; another has to agree."
    )
    resumed_by: str | None = governed(EXAMINERS)
    resumed_at: datetime | None = governed(EXAMINERS)


@strawberry.type(description="A training client, what it received and what it owes.")
class Client:
    """Hold a client."""

    name: str = governed(EXAMINERS)
    registered_at: datetime = governed(EXAMINERS)
    suspended: bool = governed(EXAMINERS, description="By an officer; nothing is delivered.")
    suspensions: list[ClientSuspension] = governed(EXAMINERS, description="By officers, the latest first.")
    overdue_since: datetime | None = governed(
        EXAMINERS, description="Since when nothing is delivered until it acknowledges what it was told."
    )
    pages: int = governed(EXAMINERS, description="How many pages it received.")
    items: int = governed(EXAMINERS, description="How many items these held, each time counted.")
    last_delivered_at: datetime | None = governed(EXAMINERS)
    retractions: int = governed(EXAMINERS)
    acknowledged: int = governed(EXAMINERS, description="How many of the retractions it acted on, as it says.")
    unacknowledged: int = governed(EXAMINERS)
    overdue: int = governed(EXAMINERS, description="How many of the unacknowledged are past their dueBy.")
    webhook: Webhook | None = governed(EXAMINERS)


@strawberry.type(
    description="What a run of `grounds verify` found, as the database says. It vouches for nothing: a checkpoint that"
    " is kept elsewhere does."
)
class Verification:
    """Hold what a verification found."""

    at: datetime = governed(EXAMINERS)
    by: str = governed(EXAMINERS, description="The administrator's login to the database.")
    checkpoints: int = governed(EXAMINERS)
    receipts: int = governed(EXAMINERS, description="How many receipts were verified.")
    unsealed: int = governed(EXAMINERS, description="How many were not sealed yet, and so not verified.")
    findings: int = governed(EXAMINERS, description="How many things were not as they were sealed; 0: it is sound.")
    up_to: datetime | None = governed(EXAMINERS, description="When the newest checkpoint was sealed.")


@strawberry.type(description="A training client that was registered.")
class RegisteredClient:
    """Hold a client and what its operator has to be given."""

    name: str = governed(OFFICERS)
    webhook: str | None = governed(OFFICERS, description="Where its retractions are posted.")
    signing_key: str = governed(
        OFFICERS,
        description="What signs them, 32 bytes in hexadecimal: a secret of this client. It follows from the gateway's.",
    )


async def all_clients(info: Info) -> list[Client]:
    """List every client."""
    return await _listed(info, None)


async def verification(info: Info) -> Verification | None:
    """Give what the last verification found."""
    found = await last_verification(info.context.reader)
    return Verification(**found._asdict()) if found else None


async def _register_client(
    info: Info,
    name: Annotated[str, strawberry.argument(description="As the claim `client` of its tokens has it.")],
    webhook: Annotated[
        str | None,
        strawberry.argument(
            description="Where to post its retractions: https, or http on this machine. null: nowhere; left out: as it"
            " is. A new URL is posted what is not acknowledged yet; the same URL is tried again at once."
        ),
    ] = strawberry.UNSET,
) -> RegisteredClient:
    context = info.context
    if not CLIENT_NAME.fullmatch(name):
        raise BadInput(f"name: is no client's name (it matches {CLIENT_NAME.pattern})")
    stated = webhook is not strawberry.UNSET
    if stated and webhook is not None:
        _check(webhook)
    found = await register_webhook(
        context.database.staff, context.actor.name, name, stated=stated, url=webhook if stated else None
    )
    key = webhook_key(context.gateway.secret, name)
    return RegisteredClient(name=name, webhook=found, signing_key=key.hex())


async def _suspend_client(info: Info, name: str, reason: str) -> Client:
    if not 0 < len(reason.strip()) <= LONGEST:
        raise BadInput(f"reason: is empty or longer than {LONGEST} characters (say it in a sentence)")
    outcome = await acting(info.context).suspend_client(name, reason)
    if outcome is None:
        raise BadInput("name: is no client (take it from clients, or register it first)")
    if outcome is Outcome.SUSPENDED_BEFORE:
        raise BadInput("name: is suspended already (see clients.suspensions)")
    return (await _listed(info, name))[0]


async def _resume_client(info: Info, name: str) -> Client:
    outcome = await acting(info.context).resume_client(name)
    if outcome is None:
        raise BadInput("name: is no client that an officer suspended (take it from clients)")
    if outcome is Outcome.SAME_OFFICER:
        raise BadInput("name: you asked for this already, and resuming takes two officers (have another one resume it)")
    return (await _listed(info, name))[0]


async def _listed(info: Info, name: str | None) -> list[Client]:
    reader = info.context.reader
    rows, suspended = await clients(reader, name), await suspensions(reader)
    return [_client(row, suspended.get(row.id, [])) for row in rows]


def _client(row: ClientRow, suspended: list[SuspensionRow]) -> Client:
    shown = {name: value for name, value in row._asdict().items() if name != "id" and not name.startswith("webhook_")}
    webhook = None
    if row.webhook_host is not None:
        failures = row.webhook_failures or 0
        webhook = Webhook(host=row.webhook_host, attempted_at=row.webhook_attempted_at, failures=failures)
    return Client(**shown, webhook=webhook, suspensions=[ClientSuspension(**each._asdict()) for each in suspended])


def _check(url: str) -> None:
    """Raise BadInput for what retractions are not posted to. It is never quoted: a path may be a secret."""
    try:
        parts = urlsplit(url)
        sound = bool(parts.hostname) and parts.port != 0 and len(url) <= LONGEST_URL
    except ValueError:
        sound = False
    if not sound or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise BadInput(f"webhook: is no URL of at most {LONGEST_URL} characters (percent-encode what is special in it)")
    if "@" in parts.netloc or parts.fragment:
        raise BadInput("webhook: has credentials or a fragment (leave them out: what is posted is signed)")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_here(parts)):
        raise BadInput("webhook: is not https, and its host is not this machine (write https://...)")


def _is_here(parts: SplitResult) -> bool:
    try:
        return parts.hostname == "localhost" or ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


@strawberry.type
class ClientMutation:
    """Register, suspend and resume clients."""

    register_client: RegisteredClient = governed(
        OFFICERS,
        resolver=_register_client,
        description="Make a training client known, state where its retractions are posted, and read its signing key.",
    )
    suspend_client: Client = governed(
        OFFICERS,
        resolver=_suspend_client,
        description="Deliver nothing to a client, from the next page on. What it was told and owes stays as it is.",
    )
    resume_client: Client = governed(
        OFFICERS,
        resolver=_resume_client,
        description="Ask that a suspended client receive items again; a second officer's call makes it so.",
    )
