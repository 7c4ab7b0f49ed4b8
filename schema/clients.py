"""Training clients as officers register them: their webhook, and the key that signs what is posted to it."""

from ipaddress import ip_address
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

import strawberry

from db.webhook import register_webhook, webhook_key
from schema.actor import CLIENT_NAME
from schema.context import Context
from schema.errors import BadInput
from schema.governed import OFFICERS, governed

LONGEST_URL = 2000

Info = strawberry.Info[Context, None]


@strawberry.type(description="A training client that was registered.")
class RegisteredClient:
    """Hold a client and what its operator has to be given."""

    name: str = governed(OFFICERS)
    webhook: str | None = governed(OFFICERS, description="Where its retractions are posted.")
    signing_key: str = governed(
        OFFICERS,
        description="What signs them, 32 bytes in hexadecimal: a secret of this client. It follows from the gateway's.",
    )


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
    """Register clients."""

    register_client: RegisteredClient = governed(
        OFFICERS,
        resolver=_register_client,
        description="Make a training client known, state where its retractions are posted, and read its signing key.",
    )
