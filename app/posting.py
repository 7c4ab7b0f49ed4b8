"""Post retractions to the webhooks of their clients: in order, at least once, a slow one in nobody's way."""

import asyncio
import ssl
import time
from functools import lru_cache
from typing import Final

import httpx
import orjson

from app.observe import observe
from app.webhook import SIGNATURE, sign
from db.session import Connection
from db.webhook import DueWebhook, due_webhooks, record_webhook, webhook_key
from schema.ids import ids_of
from schema.retractions import cursors_of, retraction_as_json

RETRACTIONS: Final = 500
AT_ONCE: Final = 16
ANSWER_SECONDS: Final = 5.0
ROUND_SECONDS: Final = 5.0
"""How long a round goes on with those that answer, while others have not yet; then it is committed."""


async def post_due(worker: Connection, secret: bytes) -> int:
    """Post to every webhook what it was not sent yet; give how many requests were answered with a 2xx.

    Of each webhook one request is under way at a time, so that what it is sent stays in order.
    """
    due = await due_webhooks(worker, [], AT_ONCE, RETRACTIONS)
    if not due:
        return 0
    ends, arrived = time.monotonic() + ROUND_SECONDS, 0
    under_way: dict[asyncio.Task[bool], DueWebhook] = {}
    async with httpx.AsyncClient(verify=_trusted(), follow_redirects=False, trust_env=False) as client:
        try:
            while due or under_way:
                under_way |= {asyncio.create_task(_post(client, secret, each)): each for each in due}
                done, _ = await asyncio.wait(under_way, timeout=0.5, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    await record_webhook(worker, under_way.pop(task), arrived=task.result())
                    arrived += task.result()
                room = AT_ONCE - len(under_way) if time.monotonic() < ends else 0
                due = await due_webhooks(worker, [each.client for each in under_way.values()], room, RETRACTIONS)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
    return arrived


async def _post(client: httpx.AsyncClient, secret: bytes, due: DueWebhook) -> bool:
    """Post to one webhook; tell whether it answered with a 2xx. What else it says is not read."""
    body = _body(secret, due)
    signature = sign(webhook_key(secret, due.name), body, time.time())
    headers = {"Content-Type": "application/json", SIGNATURE: signature}
    try:
        async with (
            asyncio.timeout(ANSWER_SECONDS),
            client.stream("POST", due.url, content=body, headers=headers, timeout=ANSWER_SECONDS) as answer,
        ):
            if answer.is_success:
                return True
            observe.webhook_failed(due.name, str(answer.status_code))
    except Exception as error:  # whatever it is, it is tried again, and others go on
        observe.webhook_failed(due.name, type(error).__name__)
    return False


def _body(secret: bytes, due: DueWebhook) -> bytes:
    ids = ids_of(secret, f"client:{due.name}")
    retractions = [retraction_as_json(ids, row) for row in due.rows]
    return orjson.dumps({"retractions": retractions, "cursor": cursors_of(ids, due.rows[-1:])[0]})


@lru_cache(maxsize=1)
def _trusted() -> ssl.SSLContext:
    """Trust whom this machine trusts; read once, for it takes 20 ms."""
    return ssl.create_default_context()
