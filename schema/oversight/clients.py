"""The officers' API for training clients, and the queries for the last verification and background jobs."""

from datetime import datetime
from typing import Annotated

import strawberry

from db.delivery.clients import ClientRow, SuspensionRow, last_verification, list_clients, list_suspensions
from db.delivery.retractions import register_webhook, webhook_key
from db.jobs import JOB_STATES, JobState
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
    host: str = governed(EXAMINERS, description="The host of the webhook's address, without the path.")
    attempted_at: datetime | None = governed(
        EXAMINERS, description="The time of the last attempt to post a retraction, null before the first attempt."
    )
    failures: int = governed(EXAMINERS, description="The number of consecutive attempts without a 2xx response.")


@strawberry.type(description="An officer's order to deliver nothing to a client.")
class ClientSuspension:
    reason: str = governed(EXAMINERS, description="The reason that the officer gave.")
    suspended_by: str = governed(EXAMINERS, description="The name of the officer who suspended the client.")
    suspended_at: datetime = governed(EXAMINERS, description="The time of the suspension.")
    resume_requested_by: str | None = governed(
        EXAMINERS,
        description="The name of the officer who requested the end of the suspension, null if no officer requested it.",
    )
    resume_requested_at: datetime | None = governed(
        EXAMINERS,
        description=(
            "The time of the request to end the suspension, null without a request; a second officer must confirm "
            "the request."
        ),
    )
    resumed_by: str | None = governed(
        EXAMINERS, description="The name of the officer who confirmed the end of the suspension, null until then."
    )
    resumed_at: datetime | None = governed(
        EXAMINERS, description="The time at which the suspension ended, null while it is in effect."
    )


@strawberry.type(description="A training client with its deliveries and retractions.")
class Client:
    name: str = governed(EXAMINERS, description="The name of the client.")
    registered_at: datetime = governed(EXAMINERS, description="The time at which the client was registered.")
    suspended: bool = governed(EXAMINERS, description="Whether a suspension by an officer is in effect for the client.")
    suspensions: list[ClientSuspension] = governed(
        EXAMINERS, description="The suspensions of the client, newest first."
    )
    overdue_since: datetime | None = governed(
        EXAMINERS,
        description=(
            "The time at which deliveries stopped because a retraction was not acknowledged in time, null if no "
            "retraction is overdue."
        ),
    )
    pages: int = governed(EXAMINERS, description="The number of pages that were delivered to the client.")
    items: int = governed(
        EXAMINERS,
        description="The number of items on all delivered pages; an item that was delivered twice counts twice.",
    )
    last_delivered_at: datetime | None = governed(
        EXAMINERS, description="The time of the last delivery, null before the first."
    )
    retractions: int = governed(EXAMINERS, description="The number of retractions that were issued to the client.")
    acknowledged: int = governed(EXAMINERS, description="The number of retractions that the client acknowledged.")
    unacknowledged: int = governed(
        EXAMINERS, description="The number of retractions that the client has not acknowledged."
    )
    overdue: int = governed(
        EXAMINERS,
        description=("The number of retractions whose deadline passed without an acknowledgement by the client."),
    )
    webhook: Webhook | None = governed(EXAMINERS, description="The webhook of the client, null if there is none.")


@strawberry.type(description="A background job of the gateway, for example the one that writes retractions.")
class BackgroundJob:
    name: str = governed(EXAMINERS, description="The name of the job.")
    last_success_at: datetime | None = governed(
        EXAMINERS, description="The time at which the job last succeeded, null if the job has never succeeded."
    )
    failing_since: datetime | None = governed(
        EXAMINERS, description="The time since which every run of the job has failed, null if the last run succeeded."
    )
    error_kind: str | None = governed(
        EXAMINERS, description="The kind of error of the last run, null if the last run succeeded."
    )
    is_overdue: bool = governed(
        EXAMINERS,
        description=(
            "Whether the job is overdue: the time since its last success is longer than ten minutes plus two "
            "intervals of the job."
        ),
    )


@strawberry.type(description="The result of a run of `grounds verify`, as recorded in the database.")
class LedgerVerification:
    verified_at: datetime = governed(EXAMINERS, description="The time of the run.")
    verified_by: str = governed(
        EXAMINERS, description=("The database user with which an administrator ran `grounds verify`.")
    )
    checkpoints: int = governed(EXAMINERS, description="The number of checkpoints that were verified.")
    receipts: int = governed(EXAMINERS, description="The number of receipts that were verified.")
    unsealed: int = governed(
        EXAMINERS,
        description="The number of receipts that no checkpoint contains yet and that therefore were not verified.",
    )
    findings: int = governed(
        EXAMINERS,
        description="The number of differences that the run found between the database and the checkpoints.",
    )
    newest_checkpoint_at: datetime | None = governed(
        EXAMINERS, description="The time at which the gateway wrote the newest checkpoint, null if there is none."
    )


@strawberry.type(description="A registered training client, with the secret of the client's webhook.")
class RegisteredClient:
    name: str = governed(OFFICERS, description="The name of the client.")
    webhook: str | None = governed(
        OFFICERS, description="The address to which the client's retractions are posted, null if there is none."
    )
    signing_secret: str = governed(
        OFFICERS,
        description=(
            "The secret with which webhook requests are signed: `whsec_` followed by base64, as in Standard Webhooks."
        ),
    )


async def resolve_clients(info: Info) -> list[Client]:
    """Resolve `clients` for officers: every training client."""
    return await _client_by_name(info, None)


async def resolve_ledger_verification(info: Info) -> LedgerVerification | None:
    """Resolve `ledgerVerification` for officers: what the last verification found."""
    found = await last_verification(info.context.reader)
    return LedgerVerification(**found._asdict()) if found else None


async def resolve_background_jobs(info: Info) -> list[BackgroundJob]:
    """Resolve `backgroundJobs` for officers and auditors: the state of every background job."""
    rows = await info.context.reader.fetch(JOB_STATES)
    return [BackgroundJob(name=name, **JobState(*state)._asdict()) for name, *state in rows]


async def _register_client(
    info: Info,
    name: Annotated[
        str,
        strawberry.argument(description="The name of the client, which is the claim `client` in the client's tokens."),
    ],
    webhook: Annotated[
        str | None,
        strawberry.argument(
            description=(
                "The HTTPS address to which retractions are posted; pass null to remove the address, or omit the "
                "argument to keep the address."
            )
        ),
    ] = strawberry.UNSET,
) -> RegisteredClient:
    """Resolve the officers' mutation `registerClient`: register a client, or change its webhook."""
    context = info.context
    if not CLIENT_NAME.fullmatch(name):
        raise BadInput(f"name: must match {CLIENT_NAME.pattern} (correct it)")
    stated = webhook is not strawberry.UNSET
    if stated and webhook is not None:
        check_webhook_address(webhook, context.gateway.webhook_networks)
    found = await register_webhook(
        context.database.staff, context.actor.name, name, stated=stated, url=webhook if stated else None
    )
    secret = webhook_secret(webhook_key(context.database.first_secret, name))
    return RegisteredClient(name=name, webhook=found, signing_secret=secret)


async def _suspend_client(
    info: Info,
    name: Annotated[str, strawberry.argument(description="The name of the client.")],
    reason: Annotated[str, strawberry.argument(description="The reason for the suspension.")],
) -> Client:
    """Resolve the officers' mutation `suspendClient`: suspend a client at once."""
    if not 0 < len(reason.strip()) <= MAX_LENGTH:
        raise BadInput(f"reason: must have 1 to {MAX_LENGTH} characters (state it in one sentence)")
    outcome = await acting_officer(info.context).suspend_client(name, reason)
    if outcome is None:
        raise BadInput("name: must be a registered client (use a name from clients, or register the client first)")
    if outcome is ActOutcome.SUSPENDED_BEFORE:
        raise BadInput("name: is already suspended (read clients.suspensions for the reason)")
    return (await _client_by_name(info, name))[0]


async def _resume_client(
    info: Info, name: Annotated[str, strawberry.argument(description="The name of the client.")]
) -> Client:
    """Resolve the officers' mutation `resumeClient`: ask to resume a client, or agree as the second officer."""
    outcome = await acting_officer(info.context).resume_client(name)
    if outcome is None:
        raise BadInput("name: must be a client that an officer suspended (use a name from clients)")
    if outcome is ActOutcome.SAME_OFFICER:
        raise BadInput("name: you already requested to resume this client (ask another officer to resume the client)")
    return (await _client_by_name(info, name))[0]


async def _client_by_name(info: Info, name: str | None) -> list[Client]:
    """Show officers the training client with a name, or every client."""
    reader = info.context.reader
    rows, suspended = await list_clients(reader, name), await list_suspensions(reader)
    return [_client(row, suspended.get(row.id, [])) for row in rows]


def _client(row: ClientRow, suspended: list[SuspensionRow]) -> Client:
    """Show officers a training client as a GraphQL object, with its webhook and suspensions."""
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
        description=(
            "Registers a training client, and returns the secret with which the requests to the client's "
            "webhook are signed."
        ),
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
