"""Post retractions to clients' webhooks: in order, at least once, without one delaying another."""

import asyncio
import hashlib
import socket
import ssl
import time
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

import httpx
import orjson

from app.telemetry import observe
from db.connection import Connection
from db.delivery.retractions import DueWebhook, due_webhooks, record_webhook, webhook_key
from db.incarnations import FIRST_INCARNATION, Incarnations
from grounds_client.webhook import sign_webhook, webhook_secret
from schema.oversight.webhook_address import Networks, is_allowed
from schema.relay.ids import ids_of
from schema.training.retractions import cursors_of, retraction_as_json

MAX_RETRACTIONS: Final = 500
BATCH_SIZE: Final = 16
RESPONSE_SECONDS: Final = 5.0
ROUND_SECONDS: Final = 5.0
"""The time after which a round starts no more requests. At the end of the round, the results are committed."""


class AddressNotAllowed(Exception):
    """A host name that means an address that is neither public nor in a network that the operator allows."""


async def post_due_webhooks(
    worker: Connection, secret: bytes, networks: Networks, incarnations: Incarnations = FIRST_INCARNATION
) -> int:
    """Post new retractions to every client's webhook; return how many requests were answered with a 2xx.

    Of each webhook one request is under way at a time, so that what it is sent stays in order.
    """
    due = await due_webhooks(worker, [], BATCH_SIZE, MAX_RETRACTIONS)
    if not due:
        return 0
    ends, arrived = time.monotonic() + ROUND_SECONDS, 0
    under_way: dict[asyncio.Task[bool], DueWebhook] = {}
    async with httpx.AsyncClient(verify=_tls_context(), follow_redirects=False, trust_env=False) as client:
        try:
            while due or under_way:
                under_way |= {
                    asyncio.create_task(_post_webhook(client, secret, incarnations, each, networks)): each
                    for each in due
                }
                done, _ = await asyncio.wait(under_way, timeout=0.5, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    await record_webhook(worker, under_way.pop(task), arrived=task.result())
                    arrived += task.result()
                room = BATCH_SIZE - len(under_way) if time.monotonic() < ends else 0
                due = await due_webhooks(worker, [each.client for each in under_way.values()], room, MAX_RETRACTIONS)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
    return arrived


async def _post_webhook(
    client: httpx.AsyncClient, secret: bytes, incarnations: Incarnations, due: DueWebhook, networks: Networks
) -> bool:
    """Post retractions to one client's webhook; return whether it answered with a 2xx. The rest is not read."""
    body = _webhook_body(secret, incarnations, due)
    # The id follows from the body: a receiver knows what it was posted before, however often that is repeated.
    webhook_id = "msg_" + hashlib.sha256(body).hexdigest()[:32]
    signed = sign_webhook(webhook_secret(webhook_key(secret, due.name)), webhook_id, body, time.time())
    headers = {"Content-Type": "application/json", **signed}
    try:
        async with asyncio.timeout(RESPONSE_SECONDS):
            request = await pin_address(client.build_request("POST", due.url, content=body, headers=headers), networks)
            answer = await client.send(request, stream=True)
            await answer.aclose()
        if answer.is_success:
            return True
        observe.webhook_failed(due.name, str(answer.status_code))
    except Exception as error:  # whatever it is, it is tried again, and others go on
        observe.webhook_failed(due.name, type(error).__name__)
    return False


async def pin_address(request: httpx.Request, networks: Networks) -> httpx.Request:
    """Resolve the host of an HTTP request once, check all its addresses, and send the request to the first.

    So a name cannot mean another address between the check and the connection. Raises AddressNotAllowed.
    """
    host = request.url.host
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, request.url.port or 443, type=socket.SOCK_STREAM)
    addresses = [ip_address(address[0]) for *_, address in found]
    if not all(is_allowed(address, networks) for address in addresses):
        raise AddressNotAllowed
    request.url = request.url.copy_with(host=str(addresses[0]))
    request.extensions = {**request.extensions, "sni_hostname": host}  # the certificate is still that of the name
    return request


def _webhook_body(secret: bytes, incarnations: Incarnations, due: DueWebhook) -> bytes:
    """Write the retractions that are due as the body of a client's webhook request."""
    ids = ids_of(secret, f"client:{due.name}", incarnations)
    retractions = [retraction_as_json(ids, row) for row in due.rows]
    return orjson.dumps({"retractions": retractions, "cursor": cursors_of(ids, due.rows[-1:])[0]})


@lru_cache(maxsize=1)
def _tls_context() -> ssl.SSLContext:
    """Return the certificates trusted for clients' webhooks, read once, which takes 20 ms."""
    return ssl.create_default_context()
