"""A running gateway as tests see it: facts in, questions by role over HTTP, and a clock that can be set."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx
import psycopg

from app.auth.dev_issuer import DevelopmentIssuer
from app.server.serve import running_server
from app.settings import Settings
from db.access.declaration import WORKER
from db.coverage.snapshot import take_coverage
from db.secrets import role_password
from schema.actor import Role
from tests.support.shared_database import SharedDatabase, fetch_all

NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
SECRET = b"a secret of tests, of tests only"

ISSUE_LINK = "mutation Issue($account: String!) { issueReadingLink(account: $account) { path expiresAt } }"
DECISIONS = """query Decisions($after: String) {
  contents(first: 100, after: $after) {
    nodes { platformId eligibility { permitted ground conditions { code outcome required } } }
    pageInfo { hasNextPage endCursor }
  }
}"""
PULL = """query Pull($first: Int!, $after: String, $filter: TrainableContentFilter) {
  trainableContent(first: $first, after: $after, filter: $filter) {
    nodes { id kind product language text author { id } reason { ground receipt } }
    pageInfo { hasNextPage endCursor }
  }
}"""


@dataclass
class TestGateway:
    """A running gateway."""

    __test__ = False  # its name begins like a test's

    address: str
    database_url: str
    issuer: DevelopmentIssuer
    client: httpx.AsyncClient
    shared: SharedDatabase | None = None
    """The database, if other tests have it before and after."""
    offers: bool = False
    """Whether pages are read from offers."""

    def token(self, role: Role, **claims: Any) -> str:
        """Sign a token; a training client is called `client` unless said otherwise."""
        if role is Role.TRAINING_CLIENT:
            claims = {"client": "client", "purpose": "GENAI_TRAINING", **claims}
        return self.issuer.token(role, **claims)

    async def post(
        self, role: Role, query: str, variables: dict[str, Any] | None = None, **claims: Any
    ) -> httpx.Response:
        """Send a GraphQL request."""
        headers = {"Authorization": f"Bearer {self.token(role, **claims)}"}
        return await self.client.post("/graphql", json={"query": query, "variables": variables}, headers=headers)

    async def ask(
        self, role: Role, query: str, variables: dict[str, Any] | None = None, **claims: Any
    ) -> dict[str, Any]:
        """Send a GraphQL request that must succeed, and return its data."""
        answer = (await self.post(role, query, variables, **claims)).json()
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    async def ingest(self, records: Iterable[dict[str, Any] | str | bytes]) -> dict[str, Any]:
        """Send facts, records or raw lines, over HTTP, and return the answer."""
        lines = b"".join(_line(record) for record in records)
        headers = {"Authorization": f"Bearer {self.token(Role.PLATFORM_INGEST)}"}
        for _ in range(20):
            response = await self.client.post("/ingest", content=lines, headers=headers, timeout=600)
            if response.status_code != 503:  # on a busy machine, all connections can be in use: send the stream again
                break
            await asyncio.sleep(0.2)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def decisions(self) -> dict[str, tuple[bool, str, dict[str, str]]]:
        """Walk every decision as an officer: platform id -> permitted, ground, outcome by code."""
        found: dict[str, tuple[bool, str, dict[str, str]]] = {}
        after = None
        while True:
            page = (await self.ask(Role.PRIVACY_OFFICER, DECISIONS, {"after": after}))["contents"]
            for node in page["nodes"]:
                eligibility = node["eligibility"]
                outcomes = {result["code"]: result["outcome"] for result in eligibility["conditions"]}
                found[node["platformId"]] = (eligibility["permitted"], eligibility["ground"], outcomes)
            if not page["pageInfo"]["hasNextPage"]:
                return found
            after = page["pageInfo"]["endCursor"]

    async def reading_token(self, account: str = "author") -> str:
        """Let the platform issue a link to an account's own data, and return its token."""
        issued = await self.ask(Role.PLATFORM_INGEST, ISSUE_LINK, {"account": account})
        token: str = parse_qs(urlsplit(issued["issueReadingLink"]["path"]).query)["t"][0]
        return token

    async def pull(self, first: int = 100, filter: dict[str, Any] | None = None, **claims: Any) -> list[dict[str, Any]]:
        """Pull every page as a training client, from offers that are whole."""
        await self.settle()
        items: list[dict[str, Any]] = []
        after = None
        while True:
            variables = {"first": first, "after": after, "filter": filter}
            page = (await self.ask(Role.TRAINING_CLIENT, PULL, variables, **claims))["trainableContent"]
            items += page["nodes"]
            if not page["pageInfo"]["hasNextPage"]:
                return items
            after = page["pageInfo"]["endCursor"]

    async def settle(self) -> None:
        """Wait until pages show all that is permitted now, as if a second had passed."""
        if self.offers:
            await asyncio.to_thread(settle_offers, self.database_url)

    async def platform_ids(self, ids: Iterable[str]) -> list[str]:
        """Resolve a training client's ids to the platform's, as an officer."""
        query = "query Which($id: ID!) { content(id: $id) { platformId } }"
        return [(await self.ask(Role.PRIVACY_OFFICER, query, {"id": id}))["content"]["platformId"] for id in ids]

    async def take_coverage(self) -> None:
        """Take the day's snapshot of coverage, as the job would some time."""
        worker = await asyncpg.connect(self.database_url, user=WORKER, password=role_password(SECRET, WORKER))
        await worker.execute("SELECT pg_advisory_lock(hashtextextended('job:coverage', 0))")
        while await take_coverage(worker):
            pass
        await worker.close()

    def set_clock(self, now: datetime) -> None:
        """Let every decision, and every load, from here on happen at this instant."""
        self.execute(clock_statement(now).decode())

    def execute(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement as the administrator."""
        if self.shared is not None:
            return self.shared.execute(statement, *values)
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            return fetch_all(connection, statement, *values)


def put_page_view(database_url: str, body: str) -> None:
    """Put another view in the place of the one from which the rules give pages, and read no page from offers."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        put = f"CREATE OR REPLACE VIEW grounds.trainable_content WITH (security_barrier) AS {body}"
        connection.execute(put.encode())
        connection.execute("UPDATE grounds.offer_set SET state = 'FAULTY' WHERE state <> 'DROPPED'")
        connection.execute(
            "INSERT INTO grounds.offer_set (purpose, state) SELECT p, 'FAULTY'"
            " FROM unnest(grounds.policy_purposes()) p ON CONFLICT DO NOTHING"
        )


def settle_offers(database_url: str) -> None:
    """Fold and build all offers, after which pages show all that they could have shown before.

    So a page that is read next is as the rules decide, and yet no page before the fold showed more.
    """
    with psycopg.connect(database_url, autocommit=True) as connection:
        before = _offered_items(connection)
        while any(sum(fetch_all(connection, f"SELECT grounds.{name}(10000)")[0]) for name in _STEPS_OF_OFFERS):
            pass
        assert before <= _offered_items(connection), "a fold took back what a page could have shown"


_STEPS_OF_OFFERS = ("fold_offers", "build_offers")


def _offered_items(connection: psycopg.Connection) -> set[tuple[str, int]]:
    """Read what a client that is not suspended would be shown from offers at this moment: purposes and items."""
    found: set[tuple[str, int]] = set()
    with connection.transaction(force_rollback=True):  # the client is none of the test's, and takes none of its ids
        fetch_all(
            connection,
            "INSERT INTO grounds.client (id, name) OVERRIDING SYSTEM VALUE VALUES (1000000, 'of no test')"
            " RETURNING set_config('grounds.client', id::text, TRUE)",
        )
        for (purpose,) in fetch_all(connection, "SELECT unnest(grounds.policy_purposes())"):
            fetch_all(connection, "SELECT set_config('grounds.purpose', %s, TRUE)", purpose)
            found |= {(purpose, item) for (item,) in fetch_all(connection, "SELECT id FROM grounds.offered_content")}
    return found


def set_clock(database_url: str, now: datetime) -> None:
    """Replace the one function that every decision takes the time from."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(clock_statement(now))


def clock_statement(now: datetime) -> bytes:
    """Write the statement that sets the clock."""
    return (
        "CREATE OR REPLACE FUNCTION grounds.decision_time() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE"
        f" RETURN timestamptz '{now.astimezone(UTC).isoformat()}'"
    ).encode()


@asynccontextmanager
async def open_gateway(database_url: str, data: Path, **settings: Any) -> AsyncIterator[TestGateway]:
    """Serve a prepared database on a free port."""
    here: dict[str, Any] = {"webhook_networks": "127.0.0.0/8,::1", "secret": SECRET.decode()}  # where tests receive
    made = Settings(data=data, database_url=database_url, **here | settings)
    issuer = DevelopmentIssuer.open(made.data_folder())
    async with (
        running_server(made, database_url, "127.0.0.1", 0) as (server, _),
        new_client(server.address) as client,
    ):
        yield TestGateway(server.address, database_url, issuer, client, offers=made.offers)


def new_client(address: str, **options: Any) -> httpx.AsyncClient:
    """Make a client for plain HTTP; one that reads the machine's certificates costs 25 ms of CPU."""
    return httpx.AsyncClient(base_url=address, **{"timeout": 60, "verify": NO_CERTIFICATES, **options})


def _line(record: dict[str, Any] | str | bytes) -> bytes:
    if isinstance(record, bytes):
        return record + b"\n"
    return (record if isinstance(record, str) else json.dumps(record)).encode() + b"\n"
