"""Training clients as officers see, register, suspend and resume them, and the last verification."""

from datetime import datetime
from typing import Annotated

import strawberry

from db.delivery.clients import ClientRow, SuspensionRow, last_verification, list_clients, list_suspensions
from db.delivery.retractions import register_webhook, webhook_key
from db.oversight.officer import ActOutcome
from grounds_client.webhook import webhook_secret
from schema.actor import CLIENT_NAME
from schema.context import Info
from schema.errors import BadInput
from schema.governed import EXAMINERS, OFFICERS, governed
from schema.oversight.holds import MAX_LENGTH, acting_officer
from schema.oversight.webhook_address import check_webhook_address


@strawberry.type(description="The webhook to which a client's retractions are posted.")
class Webhook:
    host: str = governed(EXAMINERS, description="The host of the webhook, without the rest of its address.")
    attempted_at: datetime | None = governed(EXAMINERS, description="The time of the last attempt to post.")
    failures: int = governed(EXAMINERS, description="The number of consecutive attempts without a 2xx response.")


@strawberry.type(description="An officer's order to deliver nothing to a client.")
class ClientSuspension:
    reason: str = governed(EXAMINERS, description="The reason that the officer gave.")
    suspended_by: str = governed(EXAMINERS, description="The name of the officer who suspended the client.")
    suspended_at: datetime = governed(EXAMINERS, description="The time of the suspension.")
    resume_requested_by: str | None = governed(
        EXAMINERS, description="The name of the officer who requested the end of the suspension."
    )
    resume_requested_at: datetime | None = governed(
        EXAMINERS, description="The time of that request, which a second officer must confirm."
    )
    resumed_by: str | None = governed(EXAMINERS, description="The name of the officer who confirmed the request.")
    resumed_at: datetime | None = governed(EXAMINERS, description="The time at which the suspension ended.")


@strawberry.type(description="A training client with its deliveries and retractions.")
class Client:
    name: str = governed(EXAMINERS, description="The name of the client.")
    registered_at: datetime = governed(EXAMINERS, description="The time of its registration.")
    suspended: bool = governed(EXAMINERS, description="Whether an officer suspended the client.")
    suspensions: list[ClientSuspension] = governed(
        EXAMINERS, description="The suspensions of the client, newest first."
    )
    overdue_since: datetime | None = governed(
        EXAMINERS, description="The time since which deliveries are stopped because a retraction was not acknowledged."
    )
    pages: int = governed(EXAMINERS, description="The number of pages delivered.")
    items: int = governed(EXAMINERS, description="The number of items on those pages, counting repeats.")
    last_delivered_at: datetime | None = governed(EXAMINERS, description="The time of the last delivery.")
    retractions: int = governed(EXAMINERS, description="The number of retractions issued.")
    acknowledged: int = governed(EXAMINERS, description="The number of retractions that the client acknowledged.")
    unacknowledged: int = governed(
        EXAMINERS, description="The number of retractions that the client has not acknowledged."
    )
    overdue: int = governed(EXAMINERS, description="The number of unacknowledged retractions past their deadline.")
    webhook: Webhook | None = governed(EXAMINERS, description="The webhook of the client, null if there is none.")


@strawberry.type(description="The result of a run of `grounds verify`, as the database records it.")
class LedgerVerification:
    verified_at: datetime = governed(EXAMINERS, description="The time of the run.")
    verified_by: str = governed(EXAMINERS, description="The administrator's login to the database.")
    checkpoints: int = governed(EXAMINERS, description="The number of checkpoints verified.")
    receipts: int = governed(EXAMINERS, description="The number of receipts verified.")
    unsealed: int = governed(
        EXAMINERS, description="The number of receipts not yet sealed, and therefore not verified."
    )
    findings: int = governed(EXAMINERS, description="The number of differences from the sealed state.")
    newest_checkpoint_at: datetime | None = governed(
        EXAMINERS, description="The time at which the newest checkpoint was sealed."
    )


@strawberry.type(description="A training client after its registration.")
class RegisteredClient:
    name: str = governed(OFFICERS, description="The name of the client.")
    webhook: str | None = governed(OFFICERS, description="The address to which its retractions are posted.")
    signing_secret: str = governed(
        OFFICERS,
        description="The secret that signs the webhook, `whsec_` and base64 as Standard Webhooks has it.",
    )


async def resolve_clients(info: Info) -> list[Client]:
    """List every client."""
    return await _client_by_name(info, None)


async def ledger_verification(info: Info) -> LedgerVerification | None:
    """Return what the last verification found."""
    found = await last_verification(info.context.reader)
    return LedgerVerification(**found._asdict()) if found else None


async def _register_client(
    info: Info,
    name: Annotated[
        str, strawberry.argument(description="The name of the client, as the claim `client` of its tokens states it.")
    ],
    webhook: Annotated[
        str | None,
        strawberry.argument(
            description="The HTTPS address to which retractions are posted, null for none, omitted to keep it."
        ),
    ] = strawberry.UNSET,
) -> RegisteredClient:
    context = info.context
    if not CLIENT_NAME.fullmatch(name):
        raise BadInput(f"name: is no client's name (it matches {CLIENT_NAME.pattern})")
    stated = webhook is not strawberry.UNSET
    if stated and webhook is not None:
        check_webhook_address(webhook, context.gateway.webhook_networks)
    found = await register_webhook(
        context.database.staff, context.actor.name, name, stated=stated, url=webhook if stated else None
    )
    secret = webhook_secret(webhook_key(context.gateway.secret, name))
    return RegisteredClient(name=name, webhook=found, signing_secret=secret)


async def _suspend_client(
    info: Info,
    name: Annotated[str, strawberry.argument(description="The name of the client.")],
    reason: Annotated[str, strawberry.argument(description="The reason for the suspension.")],
) -> Client:
    if not 0 < len(reason.strip()) <= MAX_LENGTH:
        raise BadInput(f"reason: is empty or longer than {MAX_LENGTH} characters (state it in one sentence)")
    outcome = await acting_officer(info.context).suspend_client(name, reason)
    if outcome is None:
        raise BadInput("name: is no client (take it from clients, or register it first)")
    if outcome is ActOutcome.SUSPENDED_BEFORE:
        raise BadInput("name: is suspended already (see clients.suspensions)")
    return (await _client_by_name(info, name))[0]


async def _resume_client(
    info: Info, name: Annotated[str, strawberry.argument(description="The name of the client.")]
) -> Client:
    outcome = await acting_officer(info.context).resume_client(name)
    if outcome is None:
        raise BadInput("name: is no client that an officer suspended (take it from clients)")
    if outcome is ActOutcome.SAME_OFFICER:
        raise BadInput("name: you requested this already (another officer must resume it)")
    return (await _client_by_name(info, name))[0]


async def _client_by_name(info: Info, name: str | None) -> list[Client]:
    reader = info.context.reader
    rows, suspended = await list_clients(reader, name), await list_suspensions(reader)
    return [_client(row, suspended.get(row.id, [])) for row in rows]


def _client(row: ClientRow, suspended: list[SuspensionRow]) -> Client:
    shown = {name: value for name, value in row._asdict().items() if name != "id" and not name.startswith("webhook_")}
    webhook = None
    if row.webhook_host is not None:
        failures = row.webhook_failures or 0
        webhook = Webhook(host=row.webhook_host, attempted_at=row.webhook_attempted_at, failures=failures)
    return Client(**shown, webhook=webhook, suspensions=[ClientSuspension(**each._asdict()) for each in suspended])


@strawberry.type
class ClientMutation:
    """The mutations on clients."""

    register_client: RegisteredClient = governed(
        OFFICERS,
        resolver=_register_client,
        description="Registers a training client with its webhook and returns its signing secret.",
    )
    suspend_client: Client = governed(
        OFFICERS,
        resolver=_suspend_client,
        description="Stops all deliveries to a client from the next page on.",
    )
    resume_client: Client = governed(
        OFFICERS,
        resolver=_resume_client,
        description="Requests the end of a suspension, or confirms the request of another officer.",
    )
