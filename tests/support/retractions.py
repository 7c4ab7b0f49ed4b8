"""Items that were delivered and are retracted, what the feed then says, and how a client shows that it lost some."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from schema.actor import Role
from schema.relay.ids import IdKind, ids_of
from tests.support.facts import NOW, fact
from tests.support.gateway import SECRET, TestGateway

REGISTER = "mutation R($name: String!, $webhook: String) { registerClient(name: $name, webhook: $webhook) { FIELDS } }"
REGISTER = REGISTER.replace("FIELDS", "name webhook signingSecret")
NOT_LOOKED_AT = (
    "SELECT (SELECT count(*) FROM grounds.retraction_queue)"
    " + (SELECT count(*) FROM grounds.retraction_check WHERE pages IS NULL AND failed_at IS NULL)"
)


async def deliver(gateway: TestGateway, count: int, *clients: str) -> list[str]:
    """Deliver so many items to clients; return the items' names."""
    names = [f"item-{number}" for number in range(count)]
    gateway.set_clock(NOW - timedelta(days=60))
    await gateway.ingest([fact("account"), fact("notice"), *(fact("content", id=name) for name in names)])
    gateway.set_clock(NOW)
    for client in clients or ("client",):
        assert len(await gateway.pull(1000, client=client)) == count
    return names


async def retract(gateway: TestGateway, names: Iterable[str], day: int = 9) -> None:
    """Let items be permitted no longer; the feed says so a moment later."""
    await gateway.ingest([fact("content", day, id=name, audience="FRIENDS") for name in names])


async def supersede(gateway: TestGateway, names: Iterable[str], day: int = 5) -> None:
    """Let items be edited."""
    edited = {"edited_at": NOW.isoformat(), "text": "A heron stood by the lake."}
    await gateway.ingest([fact("content", day, id=name, **edited) for name in names])


async def register(gateway: TestGateway, webhook: str | None, client: str = "client") -> str:
    """Register a client's webhook as an officer; return the signing secret."""
    asked = {"name": client, "webhook": webhook}
    answer = (await gateway.ask(Role.PRIVACY_OFFICER, REGISTER, asked))["registerClient"]
    assert (answer["name"], answer["webhook"]) == (client, webhook)
    secret: str = answer["signingSecret"]
    return secret


async def settled(gateway: TestGateway) -> None:
    """Wait until every change was looked at once."""
    for _ in range(400):
        if gateway.execute(NOT_LOOKED_AT) == [(0,)]:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("changes are not looked at")


def retraction_ids(gateway: TestGateway, client: str = "client") -> list[str]:
    """Return the id of every retraction of a client, in order."""
    ids = ids_of(SECRET, f"client:{client}")
    rows = gateway.execute(
        "SELECT r.id FROM grounds.retraction r JOIN grounds.client k ON k.id = r.client"
        " WHERE k.name = %s ORDER BY r.id",
        client,
    )
    return [ids.encode(IdKind.RETRACTION, number) for (number,) in rows]


def fault(told: Sequence[str], applied: Sequence[str]) -> str | None:
    """Return what is wrong with what a client applied: all in order, repeats allowed, none missing; None if nothing."""
    places = {id: place for place, id in enumerate(told)}
    before = -1
    for id in applied:
        if places[id] > before + 1:
            return f"retraction {before + 1} of {len(told)} was passed over"
        before = places[id]
    missing = len(told) - len(set(applied))
    return f"{missing} of {len(told)} retractions never came" if missing else None


def alter(gateway: TestGateway, function: str, *changes: tuple[str, str]) -> None:
    """Build a function of the database otherwise than it is."""
    ((text,),) = gateway.execute("SELECT pg_get_functiondef(%s::regprocedure)", f"grounds.{function}")
    for old, new in changes:
        assert old in text, f"{function} does not have: {old}"
        text = text.replace(old, new)
    gateway.execute(text.replace("%", "%%"))


def entries(page: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the retractions of a page of GraphQL's feed, each with its cursor."""
    return [{"cursor": edge["cursor"], **edge["node"]} for edge in page["retractions"]["edges"]]
