"""No identity bleeds into another: interleaved requests of eight identities over pools that are smaller than they are.

Each identity asks its questions alone first, and those answers are held against the facts. In the storm that follows
every answer must be the same again, its receipt apart, while requests are dropped and time out; and every connection
that a pool lends must be as good as new.
"""

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
import uvloop

import app.http.graphql
from app.auth.dev_issuer import DevelopmentIssuer
from app.server.serve import running_server
from app.settings import Settings
from db.connection import Connection, connection, open_database
from db.policies.activation import activate_policy
from db.policy.document import default_policy
from schema.actor import Actor, Role
from schema.context import Context, Gateway
from schema.relay.ids import IdKind, Ids, ids_of
from tests.promises.test_refusals import Line
from tests.support.facts import NOW, fact
from tests.support.gateway import SECRET, TestGateway, new_client
from tests.support.ordinary_cases import ordinary_every
from tests.support.session_state import Inspection, differences, state

pytestmark = pytest.mark.database

CONNECTIONS = 2
LINES = 16  # so many requests at once
DROPPED = 0.1
PEOPLE = ("ada", "ben", "cyd")
OBJECTOR = "ben"
TOLD = ("GENAI_TRAINING", "EVALUATION")  # nobody was told of advertising, so that nothing is permitted for it
POLICY = default_policy().model_copy(update={"version": "two", "purposes": (*TOLD, "ADVERTISING")})

ID = re.compile(rb'"(?:id|receipt|startCursor|endCursor)":"([^"]*)"')
RECEIPT = re.compile(rb'"receipt":"[^"]*"')
TOO_LONG, BUSY = (
    b"the request took too long (request fewer items or fields)",
    b"all database connections are in use (try again)",
)
ENDS = "pageInfo { hasNextPage startCursor endCursor }"
WHO = "viewer { name role client purpose }"
ITEM = "id text author { id } reason { receipt decidedAt }"
PULL = f"query Q($after: String) {{ {WHO} trainableContent(first: 3, after: $after) {{ nodes {{ {ITEM} }} {ENDS} }} }}"
NODE = f"query Q($id: ID!) {{ {WHO} node(id: $id) {{ ... on TrainableContent {{ {ITEM} }} ... on Content {{ id }} }} }}"
OWN = f"query Q($after: String) {{ {WHO} contents(first: 2, after: $after) {{ nodes {{ id account {{ id }} }} {ENDS} }}"
OWN += " }"
LOOK = f"query Q($id: ID!) {{ {WHO} content(id: $id) {{ id kind }} account(id: $id) {{ id region }} }}"
WHY = f"query Q($id: ID!) {{ {WHO} eligibility(contentId: $id) {{ permitted ground }} }}"
EVENTS = f"{{ {WHO} consentEvents(first: 9) {{ nodes {{ id kind }} {ENDS} }} accounts(first: 2) {{ nodes {{ id }} }} }}"
RULES = f"{{ {WHO} policy {{ version purposes }} }}"
Asked = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Facts:
    """The ids of what exists: by person the items, the account and its events, and the permitted items."""

    items: dict[str, list[int]]
    accounts: dict[str, int]
    events: dict[str, list[int]]
    permitted: list[int]


@dataclass(frozen=True)
class Identity:
    """The identity behind a request: the role, and the token's other claims."""

    role: Role
    client: str | None = None
    purpose: str | None = None
    subject: str | None = None

    @property
    def viewer(self) -> dict[str, str | None]:
        """Return what every answer must call it."""
        name = self.client or self.subject or f"development-{self.role.lower()}"
        return {"name": name, "role": self.role.value, "client": self.client, "purpose": self.purpose}

    @property
    def ids(self) -> Ids:
        """Return the only ids that it may be shown."""
        audiences = {Role.TRAINING_CLIENT: f"client:{self.client}", Role.DATA_SUBJECT: f"subject:{self.subject}"}
        return ids_of(SECRET, audiences.get(self.role, "staff"))

    def asks(self, facts: Facts) -> list[Asked]:
        """Return what it asks, again and again."""
        every = sorted(number for numbers in facts.items.values() for number in numbers)
        if self.role is Role.DASHBOARD:
            return [(RULES, {})]
        if self.role is Role.TRAINING_CLIENT:
            one: list[Asked] = [(NODE, {"id": id}) for id in self.ids.encode_all(IdKind.TRAINABLE_CONTENT, every)]
            return [*self._pages(PULL, IdKind.TRAINABLE_CONTENT_CURSOR, every), *one]
        items = self.ids.encode_all(IdKind.CONTENT, every)
        named = [(LOOK, {"id": id}) for id in (*PEOPLE, f"item-of-{OBJECTOR}-1", "nobody", *items)]
        reasons = [(WHY, {"id": id}) for id in (items[0], items[-1])]
        nodes = [(NODE, {"id": id}) for id in items]
        return [*self._pages(OWN, IdKind.CONTENT_CURSOR, every), *named, *reasons, *nodes, (EVENTS, {})]

    def _pages(self, query: str, kind: IdKind, numbers: list[int]) -> list[Asked]:
        return [(query, {"after": after}) for after in (None, *self.ids.encode_all(kind, numbers))]

    def read(self, answer: bytes) -> list[tuple[IdKind, int] | None]:
        """Read every id of an answer as its own; None for one of somebody else."""
        return [self.ids.decode(text.decode()) for text in ID.findall(answer)]

    def check(self, given: set[tuple[IdKind, int] | None], facts: Facts) -> None:
        """Compare its answer to a lone request with the facts."""
        assert None not in given, "an id of somebody else"
        items = facts.permitted if self.purpose in TOLD else []
        people = PEOPLE if self.role is Role.PRIVACY_OFFICER else [name for name in PEOPLE if name == self.subject]
        expected = {(IdKind.TRAINABLE_CONTENT, number) for number in items}
        expected |= {(IdKind.AUTHOR, facts.accounts[name]) for name in PEOPLE if name != OBJECTOR and items}
        expected |= {(IdKind.CONTENT, number) for name in people for number in facts.items[name]}
        expected |= {(IdKind.ACCOUNT, facts.accounts[name]) for name in people}
        expected |= {(IdKind.CONSENT_EVENT, number) for name in people for number in facts.events[name]}
        passing = {kind for kind in IdKind if kind is IdKind.RECEIPT or kind.name.endswith("_CURSOR")}
        assert {found for found in given if found and found[0] not in passing} == expected


IDENTITIES = (
    Identity(Role.TRAINING_CLIENT, "alpha", "GENAI_TRAINING"),
    Identity(Role.TRAINING_CLIENT, "beta", "EVALUATION"),
    Identity(Role.TRAINING_CLIENT, "alpha", "ADVERTISING"),
    *(Identity(Role.DATA_SUBJECT, subject=name) for name in PEOPLE),
    Identity(Role.PRIVACY_OFFICER),
    Identity(Role.DASHBOARD),
)


@dataclass(frozen=True)
class Question:
    """A query of an identity, and its answer without concurrent requests, less its receipt."""

    identity: Identity
    token: str
    body: bytes
    alone: bytes


@dataclass
class Storm:
    """The queries of a storm, their results, and the faults."""

    address: str
    questions: dict[Identity, list[Question]]
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    receipts: dict[int, tuple[Identity, list[int]]] = field(default_factory=dict)

    async def rage(self, requests: int) -> None:
        """Ask so often, over all lines at once, each request as anybody."""
        turns = iter(range(requests))
        await asyncio.gather(*(self._ask(turns, random.Random(line)) for line in range(LINES)))

    async def _ask(self, turns: Iterator[int], chance: random.Random) -> None:
        line = Line(self.address)
        for _ in turns:
            question = chance.choice(self.questions[chance.choice(IDENTITIES)])
            if chance.random() < DROPPED:
                await line.drop(question.token, question.body, chance)
                self.outcomes["dropped"] += 1
            else:
                self._judge(question, *await line.ask(question.token, question.body))
        line.close()

    def _judge(self, question: Question, head: bytes, body: bytes) -> None:
        if head.startswith(b"HTTP/1.1 503 ") and (TOO_LONG in body or BUSY in body):
            self.outcomes["timed out" if TOO_LONG in body else "busy"] += 1
            return
        self.outcomes["answered"] += 1
        identity = question.identity
        given = identity.read(body)
        if None in given:
            self.faults[f"an id of somebody else for {identity}"] += 1
        elif RECEIPT.sub(b"", body) != question.alone:
            self.faults[f"another answer than alone for {identity}"] += 1
        items = [found[1] for found in given if found and found[0] is IdKind.TRAINABLE_CONTENT]
        for receipt in {found[1] for found in given if found and found[0] is IdKind.RECEIPT}:
            self.faults[f"a receipt twice for {identity}"] += receipt in self.receipts
            self.receipts[receipt] = (identity, items)


async def lose_patience(over: asyncio.Event) -> None:
    """Let the gateway give up on what it is doing, for a moment, again and again."""
    with pytest.MonkeyPatch.context() as patch:
        while not over.is_set():
            for seconds, lasting in ((2.0, 0.05), (0.003, 0.005)):
                patch.setattr(app.http.graphql, "REQUEST_SECONDS", seconds)
                await asyncio.sleep(lasting)


async def known(gateway: TestGateway) -> Facts:
    """Load three people with four items each, and one item of each that nobody may train on; one of them objected."""
    gateway.set_clock(NOW)
    activate_policy(gateway.database_url, POLICY)
    told = {"purposes": list(TOLD), "kinds": ["POST"], "products": ["FACEBOOK"]}
    campaign = {"record": "campaign", "id": "2025-05", "told": [told], "texts": {}}
    records = [fact("objection", account=OBJECTOR), campaign | {"observed_at": "2026-01-02T00:00:00Z"}]
    for name in PEOPLE:
        records += [fact("account", id=name), fact("notice", id=f"notice-to-{name}", account=name, epoch="2025-05")]
        for at, audience in enumerate(("PUBLIC", "FRIENDS", "PUBLIC", "PUBLIC", "PUBLIC")):
            item = {"id": f"item-of-{name}-{at}", "audience": audience, "text": f"The heron of {name}."}
            records.append(fact("content") | item | {"account": name})
    assert (await gateway.ingest(records))["total"]["rejected"] == 0
    join = "grounds.content c JOIN grounds.account a ON a.id = c.account"
    rows = gateway.execute(f"SELECT a.platform_id, a.id, c.id, c.audience FROM {join} ORDER BY c.id")
    items = {name: [item for owner, _, item, _ in rows if owner == name] for name in PEOPLE}
    permitted = [item for owner, _, item, audience in rows if owner != OBJECTOR and audience == "PUBLIC"]
    accounts = {row[0]: row[1] for row in rows}
    ledger = gateway.execute("SELECT id, coalesce(account, %s) FROM grounds.consent_event", accounts[OBJECTOR])
    events = {name: [event for event, owner in ledger if owner == accounts[name]] for name in PEOPLE}
    return Facts(items, accounts, events, permitted)


async def alone(identity: Identity, token: str, address: str, facts: Facts) -> list[Question]:
    """Ask everything once while nobody else does, and hold the answers against the facts."""
    line = Line(address)
    questions: list[Question] = []
    given: set[tuple[IdKind, int] | None] = set()
    for query, variables in identity.asks(facts):
        body = json.dumps({"query": query, "variables": variables}).encode()
        _, answer = await line.ask(token, body)
        told = json.loads(answer)
        assert "errors" not in told, told["errors"]
        assert told["data"]["viewer"] == identity.viewer
        given.update(identity.read(answer))
        questions.append(Question(identity, token, body, RECEIPT.sub(b"", answer)))
    line.close()
    identity.check(given, facts)
    return questions


async def stormy(database_url: str, data: Path, requests: int, spoil: Callable[[], None] = lambda: None) -> Storm:
    """Serve with few connections; let each identity ask alone, spoil the gateway or not, and let a storm rage over it.

    Its connections are inspected meanwhile and afterwards.
    """
    settings = Settings(data=data, database_url=database_url, secret=SECRET.decode(), connections=CONNECTIONS)
    issuer = DevelopmentIssuer.open(settings.data_folder())
    async with (
        running_server(settings, database_url, "127.0.0.1", 0) as (server, database),
        new_client(server.address) as client,
    ):
        gateway = TestGateway(server.address, database_url, issuer, client)
        facts = await known(gateway)
        storm = Storm(server.address, {})
        for one in IDENTITIES:
            token = issuer.token(one.role, client=one.client, purpose=one.purpose, subject=one.subject)
            storm.questions[one] = await alone(one, token, server.address, facts)
        inspection = await Inspection.open(database_url, database)
        assert {"grounds.client", "grounds.purpose"} <= set(inspection.claims)
        spoil()
        over = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(inspection.watch(over))
            group.create_task(lose_patience(over))
            await storm.rage(requests)
            over.set()
        await inspection.all_at_once()
    storm.outcomes["inspected"] = inspection.inspected
    storm.faults += inspection.faults
    return storm


# A request that times out lets go of coroutines that graphql-core made and had not begun.
let_go = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")


@let_go
@pytest.mark.parametrize(
    "requests",
    [1_000, pytest.param(2_500, marks=pytest.mark.ci), pytest.param(20_000, marks=pytest.mark.exhaustive)],
)
def test_no_identity_bleeds_into_another_and_every_connection_is_as_good_as_new(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, requests: int
) -> None:
    storm = uvloop.run(stormy(database_url, tmp_path, requests))
    assert storm.faults == Counter()
    seen = storm.outcomes
    assert seen["answered"] + seen["dropped"] + seen["timed out"] + seen["busy"] == requests
    assert seen["answered"] > requests / 10  # on a busy machine, more of them time out
    assert seen["timed out"] > 0
    assert seen["dropped"] + seen["timed out"] > requests / 10
    assert seen["inspected"] > requests / 80
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT d.id, c.name, d.purpose, ARRAY(SELECT grounds.items_of(d))"
            " FROM grounds.delivery d JOIN grounds.client c ON c.id = d.client"
        ).fetchall()
    written = {number: whose for number, *whose in rows}
    for receipt, (identity, items) in storm.receipts.items():
        assert written[receipt] == [identity.client, identity.purpose, items]
    assert {(name, purpose) for name, purpose, _ in written.values()} == {
        (one.client, one.purpose) for one in IDENTITIES if one.purpose in TOLD
    }
    assert [record.getMessage() for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []


OUTLIVES = r"set_config('grounds.\1', \2, FALSE)"  # its transaction
KEPT = rf"coalesce(nullif(current_setting('grounds.\1', TRUE), ''), {OUTLIVES})"  # where there is one already


@let_go
@pytest.mark.parametrize(
    ("claim", "spoilt", "fault"),
    ordinary_every(
        5,
        [
            ("client", OUTLIVES, "left over in pool training: claims"),
            ("subject", OUTLIVES, "left over in pool subject: claims"),
            ("examiner", OUTLIVES, "left over in pool staff: claims"),
            ("purpose", KEPT, "another answer than alone"),
            ("subject", KEPT, "another answer than alone"),
        ],
    ),
    ids=["client outlives", "subject outlives", "examiner outlives", "purpose kept", "subject kept"],
)
def test_a_claim_of_the_session_is_noticed(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, claim: str, spoilt: str, fault: str
) -> None:
    fetch: Callable[..., Any] = asyncpg.Connection.fetch
    made = re.compile(rf"set_config\('grounds\.({claim})', (\$\d), TRUE\)")
    found: list[tuple[str, str]] = []

    def fetch_spoilt(borrowed: Connection, query: str, *values: object, **options: Any) -> Any:
        found.extend(made.findall(query))
        return fetch(borrowed, made.sub(spoilt, query), *values, **options)

    storm = uvloop.run(
        stormy(database_url, tmp_path, 500, lambda: monkeypatch.setattr(asyncpg.Connection, "fetch", fetch_spoilt))
    )
    assert len(found) > 20, "statements make their claims in other words"
    assert [each for each in storm.faults if each.startswith(fault)]


@pytest.mark.ci
@let_go
def test_a_context_that_is_kept_for_the_next_request_is_noticed(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: dict[Role, Context] = {}

    def keeping(actor: Actor, gateway: Gateway) -> Context:
        return kept.setdefault(actor.role, Context(actor, gateway))

    storm = uvloop.run(
        stormy(database_url, tmp_path, 500, lambda: monkeypatch.setattr(app.http.graphql, "Context", keeping))
    )
    assert storm.faults


@pytest.mark.parametrize(
    ("statement", "left"),
    [
        ("BEGIN", "transaction"),
        ("SELECT set_config('grounds.purpose', 'GENAI_TRAINING', FALSE)", "claims"),
        ("SET work_mem = '8MB'", "setting work_mem"),
        ("SELECT pg_advisory_lock(7)", "advisory locks"),
        ("CREATE TEMP TABLE mine AS SELECT 7 AS one", "temporary tables"),
        ("CREATE TEMP TABLE stage_content AS SELECT 7 AS one", "temporary tables"),
        ("PREPARE mine AS SELECT 7", "prepared statements"),
        ("DECLARE mine CURSOR WITH HOLD FOR SELECT 7", "cursors"),
        ("LISTEN mine", "channels"),
    ],
)
async def test_whatever_a_session_holds_over_is_noticed(database_url: str, statement: str, left: str) -> None:
    claims = ["grounds.client", "grounds.purpose"]
    async with open_database(database_url, SECRET, connections=1) as database, connection(database.ingest) as borrowed:
        fresh = await state(borrowed, claims)
        assert differences(await state(borrowed, claims), fresh) == []
        await borrowed.execute(statement)
        assert differences(await state(borrowed, claims), fresh) == [left]
        await borrowed.execute("ROLLBACK" if left == "transaction" else "SELECT 1")
