"""What Grounds is measured beside: the bare SQL, and plain strawberry.

`python -m tests.bench.contenders` serves plain strawberry, and prints its address: an ordinary schema over the
statement that Grounds itself sends, without tokens, limits or roles.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from asyncio import create_subprocess_exec, sleep
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import psycopg
import strawberry
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.extensions import ParserCache, ValidationCache

from app.server.serve import bind_socket
from app.settings import Settings
from db.connection import Connection
from db.delivery.pages import MAX_ID, page_statement
from db.policies.activation import active_policy
from db.policy.compile import conditions_of, page_columns
from db.policy.document import Policy
from db.policy.grounds import GROUNDS
from db.secrets import role_password
from schema.enums import ContentKind, GroundCode
from schema.records.eligibility import Outcome, evidence_of_policy
from schema.relay.ids import IdKind, Ids, ids_of

CLIENT = "bench"
PURPOSE = "GENAI_TRAINING"
CONNECTIONS = 16
START_SECONDS = 60.0
CHECKOUT = Path(__file__).parents[2]


async def bare(connection: Connection, after: int, size: int) -> bytes:
    """Read a page from the view, for the client that the session claims to be, and encode it."""
    select = f"SELECT {', '.join(page_columns())} FROM grounds.trainable_content WHERE id > $1 ORDER BY id LIMIT $2"
    return orjson.dumps([dict(row) for row in await connection.fetch(select, after, size)])


async def bare_with_receipt(connection: Connection, after: int, size: int, client: int) -> bytes:
    """Read a page and write its receipt, by the statement that Grounds itself sends, and encode it."""
    return orjson.dumps(
        [dict(row) for row in await connection.fetch(page_statement(()), str(client), PURPOSE, after, size, MAX_ID)]
    )


class Address(str):
    """The host and port of a server, and its process."""

    process: int

    def cpu(self) -> float:
        """Return the seconds of CPU that the server used so far, its children included."""
        return cpu_of(self.process)


def cpu_of(process: int) -> float:
    """Return the seconds of CPU that a process and its children used so far, all their threads."""
    used = 0
    for thread in Path(f"/proc/{process}/task").glob("*"):
        used += int((thread / "schedstat").read_text().split()[0])
        children = (thread / "children").read_text().split()
        used += sum(round(cpu_of(int(child)) * 1e9) for child in children)
    return used / 1e9


@asynccontextmanager
async def running(
    command: Sequence[str | Path], environment: Mapping[str, str], *, processes: int = 1
) -> AsyncIterator[Address]:
    """Run a server as a process of its own, and yield the host and port that it says, each of its processes once."""
    with tempfile.TemporaryFile() as said:
        process = await create_subprocess_exec(
            *command, env={**os.environ, **environment}, cwd=CHECKOUT, stdout=said, stderr=subprocess.STDOUT
        )
        try:
            address = Address(await _address(process, said.fileno(), processes))
            address.process = process.pid
            yield address
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _address(process: Any, said: int, processes: int) -> str:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.returncode is None:
        addresses = re.findall(rb"http://([\w.]+:\d+)", os.pread(said, 1 << 20, 0))
        if len(addresses) >= processes:
            return str(addresses[0].decode())
        await sleep(0.05)
    raise SystemExit(f"a server did not start (see what it said):\n{os.pread(said, 1 << 20, 0).decode()}")


@asynccontextmanager
async def plain_strawberry(settings: Settings, url: str, client: int) -> AsyncIterator[Address]:
    """Run plain strawberry, and yield its host and port."""
    environment = {"DATABASE_URL": url, "GROUNDS_SECRET": settings.secret_bytes().decode(), "CLIENT": str(client)}
    async with running([sys.executable, "-m", "tests.bench.contenders"], environment) as address:
        yield address


class Page:
    """A delivered page, and what its rows share."""

    def __init__(self, rows: list[asyncpg.Record], policy: Policy, ids: Ids) -> None:
        self.last = rows.pop()
        self.rows = rows
        self.policy = policy
        self.ids = ids
        self.receipt = ids.encode(IdKind.RECEIPT, self.last["receipt"])


@strawberry.type
class Media:
    type: str
    url: str
    sha256: str | None


@strawberry.type
class Author:
    id: strawberry.ID
    region: str | None


@strawberry.type
class LegalBasis:
    title: str
    iri: str


@strawberry.type
class Condition:
    code: str
    outcome: Outcome
    required: bool
    evidence: str | None


@strawberry.type
class Reason:
    page: strawberry.Private[Page]
    row: strawberry.Private[asyncpg.Record]
    ground: GroundCode
    summary: str
    policy_version: str
    decided_at: datetime
    receipt: strawberry.ID

    @strawberry.field
    def legal_basis(self) -> LegalBasis:
        ground = GROUNDS[self.ground]
        return LegalBasis(title=ground.basis, iri=ground.dpv)

    @strawberry.field
    def conditions(self) -> list[Condition]:
        policy, passed = self.page.policy, []
        for condition in conditions_of(policy):
            if condition.code in GROUNDS[self.ground].required:
                evidence, shown = condition.evidence, None
                if evidence is not None:
                    of_policy = evidence.of_policy
                    shown = (
                        evidence_of_policy(evidence, policy) if of_policy else evidence.show(self.row[evidence.column])
                    )
                passed.append(Condition(code=condition.code, outcome=Outcome.PASS, required=True, evidence=shown))
        return passed


@strawberry.type
class TrainableContent:
    page: strawberry.Private[Page]
    row: strawberry.Private[asyncpg.Record]
    id: strawberry.ID
    kind: ContentKind
    product: str
    language: str | None
    created_month: date
    text: str
    author: Author

    @strawberry.field
    def media(self) -> list[Media]:
        return [Media(**medium) for medium in orjson.loads(self.row["media"] or "[]")]

    @strawberry.field
    def reason(self) -> Reason:
        ground = GROUNDS[GroundCode(self.row["ground"])]
        return Reason(
            page=self.page,
            row=self.row,
            ground=ground.code,
            summary=ground.summary,
            policy_version=self.page.last["policy"],
            decided_at=self.page.last["decided_at"],
            receipt=strawberry.ID(self.page.receipt),
        )


@strawberry.type
class PageInfo:
    has_next_page: bool
    end_cursor: str


@strawberry.type
class TrainableContentConnection:
    nodes: list[TrainableContent]
    page_info: PageInfo


@strawberry.type
class Query:
    @strawberry.field
    async def trainable_content(
        self, info: strawberry.Info[dict[str, Any], None], first: int, after: str
    ) -> TrainableContentConnection:
        pool, ids = info.context["pool"], info.context["ids"]
        start = ids.decode_as(IdKind.TRAINABLE_CONTENT_CURSOR, after)
        rows = await pool.fetch(page_statement(()), info.context["client"], PURPOSE, start, first, MAX_ID)
        page = Page(rows, info.context["policy"], ids)
        return TrainableContentConnection(
            nodes=_nodes(page),
            page_info=PageInfo(
                has_next_page=page.last["has_next"],
                end_cursor=ids.encode(IdKind.TRAINABLE_CONTENT_CURSOR, page.rows[-1]["id"]),
            ),
        )


def _nodes(page: Page) -> list[TrainableContent]:
    names = page.ids.encode_all(IdKind.TRAINABLE_CONTENT, [row["id"] for row in page.rows])
    authors = page.ids.encode_all(IdKind.AUTHOR, [row["account"] for row in page.rows])
    return [
        TrainableContent(
            page=page,
            row=row,
            id=strawberry.ID(name),
            kind=ContentKind(row["kind"]),
            product=row["product"],
            language=row["language"],
            created_month=row["created_month"],
            text=row["text"] or "",
            author=Author(id=strawberry.ID(author), region=row["country"]),
        )
        for row, name, author in zip(page.rows, names, authors, strict=True)
    ]


class Endpoint(GraphQL[dict[str, Any], None]):
    """An endpoint that answers as strawberry does, with its caches of documents, and encodes as the others do."""

    def __init__(self, shared: dict[str, Any]) -> None:
        super().__init__(strawberry.Schema(Query, extensions=[ParserCache, ValidationCache]), graphql_ide=None)
        self._shared = shared

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> dict[str, Any]:
        return self._shared

    def encode_json(self, data: object) -> bytes:
        return orjson.dumps(data)


def _pool(url: str, secret: bytes) -> "asyncpg.Pool[asyncpg.Record]":
    """Make a pool that is like that of Grounds: it resets nothing between two statements."""

    async def nothing(_: Connection) -> None:
        pass

    role, password = "grounds_training", role_password(secret, "grounds_training")
    return asyncpg.create_pool(
        url,
        user=role,
        password=password,
        reset=nothing,
        min_size=CONNECTIONS,
        max_size=CONNECTIONS,
        # It is busy with objects for longer than the role's five seconds before it reads on.
        server_settings={"statement_timeout": "0"},
    )


def main() -> None:
    """Serve plain strawberry until SIGTERM."""
    settings = Settings()
    assert settings.database_url is not None
    url, secret = settings.database_url, settings.secret_bytes()
    with psycopg.connect(url) as connection:
        policy = active_policy(connection)
    shared: dict[str, Any] = {
        "client": os.environ["CLIENT"],
        "ids": ids_of(secret, f"client:{CLIENT}"),
        "policy": policy,
    }

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with _pool(url, secret) as pool:
            shared["pool"] = pool
            yield

    application = Starlette(routes=[Route("/graphql", Endpoint(shared))], lifespan=lifespan)
    with bind_socket("127.0.0.1", 0) as listener:
        listener.listen()
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        uvicorn.Server(
            uvicorn.Config(application, loop="uvloop", http="httptools", log_level="warning", access_log=False)
        ).run(sockets=[listener])


if __name__ == "__main__":
    main()
