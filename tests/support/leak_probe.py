"""Listen to a gateway that serves the world of canaries, as a training client does: the documents, and the ear.

WALKS, FORBIDDEN and ERRORS take one more in a line.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from app.auth.dev_issuer import DevelopmentIssuer
from app.server.serve import running_server
from app.settings import Settings
from db.connection import Database
from schema.actor import Role
from schema.relay.ids import IdKind, ids_of
from tests.support.canaries import CanaryWorld, heard, readings
from tests.support.gateway import SECRET, TestGateway, new_client, put_page_view, settle_offers

SIZES = (1, 5, 16, 53, 100, 1000)
CLIENT = "client"
EVERY = 3  # after so many requests comes one of another client, over the same connection
FIELDS = """id kind product language createdMonth text media { type url sha256 } author { id region }
  reason { ground legalBasis { title iri } summary conditions { code outcome required evidence }
    policyVersion decidedAt receipt }"""
INFO = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
ASKED = "query Walk($first: Int!, $after: String, $filter: TrainableContentFilter)"
PAGE = "page: trainableContent(first: $first, after: $after, filter: $filter)"
IDS = f"{ASKED} {{ {PAGE} {{ nodes {{ id }} {INFO} }} }}"
WALKS = {
    "nodes with everything": f"{ASKED} {{ {PAGE} {{ nodes {{ {FIELDS} }} {INFO} }} }}",
    "edges": f"{ASKED} {{ {PAGE} {{ __typename edges {{ cursor node {{ id text author {{ id }} }} }} {INFO} }} }}",
    "cursors alone": f"{ASKED} {{ {PAGE} {{ edges {{ cursor }} {INFO} }} }}",
    "aliases": f"""{ASKED} {{ {PAGE} {{ items: nodes {{ one: id a: text b: text c: media {{ d: url }}
        e: reason {{ f: conditions {{ g: evidence }} }} }} {INFO} }} }}""",
    "fragments": f"""{ASKED} {{ ...Root }} fragment Root on Query {{ {PAGE} {{ nodes {{ ...Item }} {INFO} }} }}
        fragment Item on TrainableContent {{ ... on Node {{ id }} text reason {{ ...Why }} ... {{ language }} }}
        fragment Why on QualifyingReason {{ summary conditions {{ ... on ConditionResult {{ code evidence }} }} }}""",
    "directives": f"""{ASKED} {{ {PAGE} {{ nodes {{ id text @include(if: true) media @skip(if: false) {{ url }}
        kind @skip(if: true) }} edges @include(if: false) {{ cursor }} {INFO} }} }}""",
    "a batch of root fields": f"""{ASKED} {{ {PAGE} {{ nodes {{ id }} {INFO} }}
        first: trainableContent(first: 53) {{ nodes {{ text language media {{ url }} }} {INFO} }}
        same: trainableContent(first: 16, after: $after) {{ edges {{ node {{ id text }} }} }}
        prompts: trainableContent(first: 9, filter: {{ kinds: [AI_INTERACTION] }}) {{ nodes {{ text }} {INFO} }}
        viewer {{ name client }} }}""",
    "beside policies": f"""{ASKED} {{ policy {{ version grounds {{ kinds conditions }} }} conditions {{ sentence }}
        {PAGE} {{ nodes {{ id text }} {INFO} }} }}""",
}
EVERYTHING = WALKS["nodes with everything"]
LOOK = f"... on TrainableContent {{ {FIELDS} }} ... on Content {{ audience }} ... on Account {{ adult }} __typename"
# What only others may read: asked for by the platform's ids, and by everybody's ids, of what is hidden.
FORBIDDEN = {
    "content": "query Q($id: ID!) { content(id: $id) { platformId textPreview textSha256 language account { id } } }",
    "contents": "{ contents(first: 100) { nodes { platformId textPreview } pageInfo { hasNextPage endCursor } } }",
    "contents by id": "query Q($of: [String!]!) { contents(first: 9, platformIds: $of) { nodes { id platformId } } }",
    "account": "query Q($id: ID!) { account(id: $id) { id birthYear consent { objections { id } notices { id } } } }",
    "accounts": "{ accounts(first: 100) { edges { cursor node { id product contents(first: 9) { nodes { id } } } } } }",
    "eligibility": "query Q($id: ID!) { eligibility(contentId: $id) { permitted conditions { code evidence } } }",
    "events": "{ consentEvents(first: 100) { nodes { id kind occurredAt } pageInfo { endCursor } } }",
    "own account": "{ viewer { name account { id } } }",
    "a content's account by its node": "query Q($id: ID!) { node(id: $id) { ... on Content { account { id } } } }",
}
NODE, ONE = "node(id: $id) { id }", "trainableContent(first: 1"
ERRORS = {
    "no such field": f"query Q($id: ID!) {{ {ONE}) {{ nodes {{ txt }} totalCount }} {NODE} }}",
    "no such type": "query Q($id: ID!) { node(id: $id) { ... on Canry { id } } }",
    "an id where a number belongs": "query Q($id: ID!) { trainableContent(first: $id) { nodes { id } } }",
    "an id where a cursor belongs": f"query Q($id: String!) {{ {ONE}, after: $id) {{ nodes {{ id text }} }} }}",
    "no such kind": f'query Q($id: ID!) {{ {NODE} {ONE}, filter: {{kinds: ["x"]}}) {{ nodes {{ id }} }} }}',
    "no such day": f'query Q($id: ID!) {{ {NODE} {ONE}, filter: {{createdMonths: ["x"]}}) {{ nodes {{ id }} }} }}',
    "NUL": f'query Q($id: ID!) {{ {NODE} {ONE}, filter: {{languages: ["\\u0000"]}}) {{ nodes {{ id }} }} }}',
    "too many": f"query Q($id: ID!) {{ {NODE} trainableContent(first: 1001) {{ nodes {{ id text }} }} }}",
    "too few": f"query Q($id: ID!) {{ {NODE} trainableContent(first: 0) {{ nodes {{ id text }} }} }}",
    "no such number": f"query Q($id: ID!) {{ {NODE} trainableContent(first: 99999999999) {{ nodes {{ id }} }} }}",
    "two fields of one name": f"query Q($id: ID!) {{ a: {NODE} a: {ONE}) {{ nodes {{ id }} }} }}",
    "not closed": "query Q($id: ID!) { node(id: $id) { id",
    "a mutation": "mutation Q($id: ID!) { ingest(id: $id) { id } }",
    "a subscription": f"subscription Q($id: ID!) {{ {NODE} }}",
}


@dataclass(frozen=True)
class Loaded:
    """A world, and the administrator's URL of a database that holds it."""

    world: CanaryWorld
    url: str


@dataclass
class Hearing:
    """A gateway over the world, and its pools."""

    gateway: TestGateway
    database: Database
    world: CanaryWorld
    items: dict[int, str]  # what the platform calls an item, by its number

    tokens: dict[str, str] = field(default_factory=dict)
    asked: int = 0

    async def post(
        self,
        query: str,
        variables: dict[str, Any] | None = None,
        *,
        fresh: bool = False,
        role: Role = Role.TRAINING_CLIENT,
        **claims: Any,
    ) -> httpx.Response:
        """Ask, on connections that served nobody yet or on those that serve another training client now and then."""
        self.asked += 1
        if fresh:
            await self.database.training.connections.expire_connections()
        elif self.asked % EVERY == 1:
            await self._send(f"{{ {ONE}) {{ nodes {{ id }} }} }}", None, Role.TRAINING_CLIENT, {"client": "other"})
        return await self._send(query, variables, role, claims, "close" if fresh else "keep-alive")

    async def _send(
        self, query: str, variables: Any, role: Role, claims: dict[str, Any], connection: str = "keep-alive"
    ) -> httpx.Response:
        bearer = f"{role} {claims}"
        if bearer not in self.tokens:
            self.tokens[bearer] = self.gateway.token(role, **claims)
        headers = {"Authorization": f"Bearer {self.tokens[bearer]}", "Connection": connection}
        return await self.gateway.client.post(
            "/graphql", json={"query": query, "variables": variables}, headers=headers
        )

    def faults(self, response: httpx.Response, *, mine: str = f"client:{CLIENT}") -> list[str]:
        """Find what an answer tells that it may not: canaries, and ids of others."""
        text = response.text + str(response.headers)
        others = {"staff", "subject:plain-0", "client:other", f"client:{CLIENT}"} - {mine}
        return heard(text) + [f"{each} of {other}" for other in others for each in readings(text, other)]

    async def walk(
        self, document: str, first: int, expected: Collection[str] | None = None, *, filter: Any = None, **asking: Any
    ) -> list[str]:
        """Walk a list to its end, and once more behind it; find what is wrong with what was delivered."""
        asked: dict[str, Any] = {"first": first, "after": None, "filter": filter}
        items: list[str] = []
        faults: list[str] = []
        more = True
        while more and not faults:
            page, numbers = await self._page(document, asked, asking, faults)
            items += (self.items.get(number, "nothing") for number in numbers)
            more = page["pageInfo"]["hasNextPage"]
            if more and len(numbers) < first:
                faults.append("a page that is not full says that there is more")
            asked["after"] = page["pageInfo"]["endCursor"] or asked["after"]
        if asked["after"]:
            page, numbers = await self._page(document, asked, asking, faults)
            if numbers or page["pageInfo"]["hasNextPage"]:
                faults.append("there is something behind the last page")
        expected = self.world.permitted.keys() if expected is None else set(expected)
        faults += [f"delivered twice: {item}" for item in set(items) if items.count(item) > 1]
        faults += [f"not permitted, and delivered: {item}" for item in set(items) - set(expected)]
        return faults + [f"permitted, and not delivered: {item}" for item in set(expected) - set(items)]

    async def _page(
        self, document: str, asked: dict[str, Any], asking: dict[str, Any], faults: list[str]
    ) -> tuple[dict[str, Any], list[int]]:
        response = await self.post(document, asked, **asking)
        faults += self.faults(response)
        answer = response.json()
        assert "errors" not in answer, answer["errors"]
        page = answer["data"]["page"]
        return page, delivered(json.dumps({**page, "pageInfo": None}))


def delivered(text: str) -> list[int]:
    """Read the numbers of the items in a page, in their order; of one that shows cursors alone, theirs."""
    found = readings(text, f"client:{CLIENT}")
    items = [number for kind, number in found if kind is IdKind.TRAINABLE_CONTENT]
    return items or [number for kind, number in found if kind is IdKind.TRAINABLE_CONTENT_CURSOR]


def known_names(hearing: Hearing) -> list[str]:
    """Return what others call some hidden items and accounts: one for each way to be excluded."""
    numbers = {item: number for number, item in hearing.items.items()}
    names = []
    for item in {missed: item for item, missed in hearing.world.excluded.items()}.values():
        names += [item, ids_of(SECRET, "staff").encode(IdKind.CONTENT, numbers[item])]
        names += [ids_of(SECRET, "client:other").encode(IdKind.TRAINABLE_CONTENT, numbers[item])]
    accounts = [account for account in hearing.world.numbers if heard(account)]
    return [*names, *accounts[::20], ids_of(SECRET, "staff").encode(IdKind.ACCOUNT, 1)]


def put_view(hearing: Hearing, body: str) -> None:
    """Put another view in the place of the one that pages are read from."""
    put_page_view(hearing.gateway.database_url, body)


@asynccontextmanager
async def listening(url: str, data: Path, world: CanaryWorld) -> AsyncIterator[Hearing]:
    """Serve a world's database with one connection for all training clients, so that each is lent to all of them."""
    settings = Settings(data=data, database_url=url, secret=SECRET.decode(), connections=1)
    issuer = DevelopmentIssuer.open(settings.data_folder())
    async with (
        running_server(settings, url, "127.0.0.1", 0) as (server, database),
        new_client(server.address) as client,
    ):
        gateway = TestGateway(server.address, url, issuer, client, offers=settings.offers)
        if settings.offers:
            await asyncio.to_thread(settle_offers, url)
        items = dict(gateway.execute("SELECT id, platform_id FROM grounds.content"))
        yield Hearing(gateway, database, world, items)
