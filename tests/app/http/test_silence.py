"""No exception, statement, suggestion, token or datum in an answer or in the log, however a request fails."""

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLEnumValue,
    GraphQLField,
    GraphQLInt,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLString,
    graphql_sync,
)

from app.auth.dev_issuer import DevelopmentIssuer
from app.http.graphql import format_errors
from db.embedded_postgres import remove_embedded_postgres
from schema.actor import Role
from tests.support.command import Serving, serving
from tests.support.facts import NOW, fact
from tests.support.gateway import NO_CERTIFICATES, PULL, TestGateway, clock_statement

ASKED, HELD = "asked-canary", "held-canary"  # in requests, and in the database
SUGGESTIVE = [
    ("{ contentz(id: 1) { id } }", None),
    ("{ content(idd: 1) { id } }", None),
    ("{ content(id: 1) { ... on Contents { id } } }", None),
    ("query Q($id: IDD) { content(id: $id) { id } }", {"id": 1}),
    ("{ content(id: 1) @skipp(if: true) { id } }", None),
    ("{ trainableContent(first: 1, filter: { kinds: [POSTS] }) { nodes { id } } }", None),
    ("{ trainableContent(first: 1, filter: { kindz: [POST] }) { nodes { id } } }", None),
    (PULL, {"first": 1, "filter": {"kinds": ["POSTS"]}}),
    (PULL, {"first": 1, "filter": {"kindz": ["POST"]}}),
]


async def test_no_error_suggests_a_name(gateway: TestGateway) -> None:
    for query, variables in SUGGESTIVE:
        for error in (await gateway.post(Role.AUDITOR, query, variables)).json()["errors"]:
            assert not re.search("did you mean|perhaps|contents'|'Content'|'kinds'|'POST'", error["message"])


async def test_a_value_of_the_clients_own_is_told_back_in_short_and_without_the_words_of_an_exception(
    gateway: TestGateway,
) -> None:
    long = ASKED * 2000
    for variables, said in (
        ({"first": long}, "Int cannot represent non-integer value: '" + ASKED),
        ({"first": 1, "after": [long, {"x": long}]}, "String cannot represent a non string value: ['" + ASKED),
        ({"first": 1, "filter": long}, "to be an object, found: '" + ASKED),
        ({"first": 1, "filter": {"createdMonths": [long]}}, "Value cannot represent a Date"),
        (
            {"first": 1, "filter": {"createdMonths": ["2026-13-01"]}},
            "cannot represent a Date (write it like 2026-05-27)",
        ),
        ({"first": None}, "of non-null type 'Int!' not to be None"),
    ):
        response = await gateway.post(Role.TRAINING_CLIENT, PULL, variables)
        (error,) = response.json()["errors"]
        assert said in error["message"]
        assert len(response.content) < 1000
        assert "isoformat" not in error["message"]
        assert "month" not in error["message"].partition("Date")[2]
    nullable = "query Q($first: Int = 1) { contents(first: $first) { nodes { id } } }"
    (error,) = (await gateway.post(Role.AUDITOR, nullable, {"first": None})).json()["errors"]
    assert (error["path"], "to non-null type 'Int!' not to be None" in error["message"]) == (["contents"], True)
    literal = f'{{ trainableContent(first: 1, filter: {{ createdMonths: ["{ASKED}"] }}) {{ nodes {{ id }} }} }}'
    (error,) = (await gateway.post(Role.TRAINING_CLIENT, literal)).json()["errors"]
    assert error["message"] == "filter.createdMonths: Value cannot represent a Date (write it like 2026-05-27)"
    assert error["extensions"] == {"code": "GRAPHQL_VALIDATION_FAILED"}
    assert [place["line"] for place in error["locations"]] == [1]


async def test_a_value_that_a_resolver_returned_is_not_told_where_it_fits_no_type() -> None:
    kind = GraphQLEnumType("Kind", {"GOOD": GraphQLEnumValue("GOOD")})
    types: dict[str, Any] = {
        "kind": kind,
        "number": GraphQLInt,
        "text": GraphQLString,
        "object": GraphQLObjectType("Row", {"text": GraphQLField(GraphQLString)}, is_type_of=lambda *_: False),
    }
    fields = {name: GraphQLField(each, resolve=lambda *_: {"value": HELD}) for name, each in types.items()}
    schema = GraphQLSchema(GraphQLObjectType("Query", fields))
    for query in ("{ kind }", "{ number }", "{ text }", "{ object { text } }"):
        result = graphql_sync(schema, query)
        assert result.errors is not None
        assert HELD in result.errors[0].message
        (error,) = format_errors(result.errors)
        assert HELD not in str(error)
        assert error["extensions"] == {"code": "INTERNAL"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A `grounds serve` whose database holds a canary wherever it can."""
    folder = tmp_path_factory.mktemp("edges")
    with serving(folder / "data", folder / "log") as server:
        execute(server, clock_statement(NOW).decode())
        records = [
            fact("account", id=HELD, person=HELD, product="FACEBOOK"),
            fact("notice", id=HELD, account=HELD),
            fact("content", id=HELD, account=HELD, text=f"A {HELD} sang.", language=HELD),
        ]
        body = "\n".join(map(json.dumps, records))
        answer = httpx.post(
            f"{server.address}/ingest", content=body, headers=bearer(server, Role.PLATFORM_INGEST)
        ).json()
        assert answer["total"]["accepted"] == 3
        yield server
    remove_embedded_postgres(folder / "data" / "postgres")


def bearer(server: Serving, role: Role) -> dict[str, str]:
    claims = {"client": "a-client", "purpose": "GENAI_TRAINING"} if role is Role.TRAINING_CLIENT else {}
    return {"Authorization": f"Bearer {DevelopmentIssuer.open(server.data).token(role, **claims)}"}  # type: ignore[arg-type]  # names


def execute(server: Serving, *statements: str) -> None:
    with psycopg.connect(server.database_url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


DECIDING = "CREATE OR REPLACE FUNCTION grounds.decision_time() RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$ BEGIN "
ITEM = f'{{ eligibility(contentId: "{HELD}") {{ permitted }} }}'
LISTED = "{ contents(first: 1) { nodes { platformId } } }"
PULLED = "{ trainableContent(first: 1) { nodes { id } } }"


def failure(server: Serving, role: Role, query: str) -> dict[str, Any]:
    """Ask for what must fail, and return the first error."""
    headers = bearer(server, role) | {"User-Agent": ASKED, "Origin": f"https://{ASKED}.example.org", "Cookie": ASKED}
    body = {"query": f"query {ASKED.replace('-', '_')} {query} # {ASKED}", "variables": {ASKED: ASKED}}
    answer = httpx.post(f"{server.address}/graphql", json=body, headers=headers, timeout=30, verify=NO_CERTIFICATES)
    assert HELD not in answer.text
    assert ASKED not in answer.text
    error: dict[str, Any] = answer.json()["errors"][0]
    return error


def silent(server: Serving) -> list[str]:
    """Read the log: every line is an observation of ours, and none holds what was asked, held, or thrown."""
    written = server.log.read_text() + (server.data / "postgres" / "log").read_text(errors="replace")
    for secret in (ASKED, HELD, "Traceback", "SELECT", "postgresql://", "Bearer", "decision_time", "eyJ"):
        assert secret not in written, written
    return [json.loads(line)["event"] for line in server.log.read_text().splitlines()]


@pytest.mark.xdist_group("serve")
def test_what_the_database_throws_reaches_no_answer_and_no_log(served: Serving) -> None:
    throwing = f"RAISE EXCEPTION '{HELD}' USING DETAIL = '{HELD}', HINT = '{HELD}'; END $$"
    waiting = "PERFORM pg_sleep(30); RETURN now(); END $$"
    for body, code in ((throwing, "INTERNAL"), (waiting, "TIMEOUT")):
        execute(served, DECIDING + body)
        with ThreadPoolExecutor() as pool:
            told = pool.map(partial(failure, served), (Role.AUDITOR, Role.TRAINING_CLIENT), (ITEM, PULLED))
        assert [error["extensions"]["code"] for error in told] == [code, code]
    execute(served, clock_statement(NOW).decode())
    assert "failure" in silent(served)


@pytest.mark.xdist_group("serve")
def test_a_database_that_goes_away_in_mid_request_is_said_not_to_answer(served: Serving) -> None:
    told: list[dict[str, Any]] = []
    for role, query in ((Role.AUDITOR, LISTED), (Role.TRAINING_CLIENT, PULLED)):
        with psycopg.connect(served.database_url) as connection:
            connection.execute("LOCK TABLE grounds.content IN ACCESS EXCLUSIVE MODE")
            asking = threading.Thread(target=lambda r=role, q=query: told.append(failure(served, r, q)))
            asking.start()
            ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            while asking.is_alive():
                connection.execute(ending)
                time.sleep(0.01)
            asking.join()
    assert told == 2 * [{"message": "the database does not answer (try again)"}]
    assert "failure" in silent(served)


@pytest.mark.xdist_group("serve")
def test_a_value_that_the_schema_does_not_know_is_not_told(served: Serving) -> None:
    for column, good in (("kind", "PERSONAL"), ("status", "ACTIVE")):
        execute(served, f"UPDATE grounds.account SET {column} = '{HELD}'")
        query = "{ accounts(first: 5) { nodes { kind status } } }"
        assert failure(served, Role.AUDITOR, query)["extensions"] == {"code": "INTERNAL"}
        execute(served, f"UPDATE grounds.account SET {column} = '{good}'")
    silent(served)


BAD = [
    f"{ASKED}\r\n\r\n".encode(),
    f"GET /{ASKED}\xff HTTP/1.1\r\nHost: localhost\r\n\r\n".encode("latin-1"),
    f"GET /graphql?query=%ff%00{ASKED} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode(),
    f"GET /graphql HTTP/1.1\r\nHost: {ASKED}\r\nConnection: close\r\n\r\n".encode(),
    f"GET /{ASKED} HTTP/1.1\r\nHost: localhost\r\nX: \xff{ASKED}\x00\r\n\r\n".encode("latin-1"),
    f"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Length: {ASKED}\r\n\r\n".encode(),
    f"POST /graphql HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{ASKED}\r\n".encode(),
    f"GET /graphql HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ASKED}\r\nConnection: close\r\n\r\n".encode(),
    f"GET /{ASKED} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n\r\n".encode(),
    f"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{ASKED}".encode(),
]


@pytest.mark.xdist_group("serve")
def test_bytes_that_are_no_request_reach_no_answer_and_no_log(served: Serving) -> None:
    place = urlsplit(served.address)
    for sent in BAD:
        with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
            connection.sendall(sent)
            answer = b""
            while block := connection.recv(65536):
                answer += block
        assert answer.startswith(b"HTTP/1.1 4"), sent
        assert ASKED.encode() not in answer
    headers = bearer(served, Role.AUDITOR) | {"Content-Type": "application/json"}
    for content in (
        b"\xff" + ASKED.encode(),
        f'{{"query": "{ASKED}'.encode(),
        f'{{"query": "\\ud800{ASKED}"}}'.encode(),
    ):
        response = httpx.post(f"{served.address}/graphql", content=content, headers=headers, verify=NO_CERTIFICATES)
        assert (response.status_code, ASKED in response.text) == (400, False)
    silent(served)


@pytest.mark.xdist_group("serve")
def test_variables_that_are_absurd_are_told_of_in_short_and_never_logged(served: Serving) -> None:
    deep: Any = ASKED
    for _ in range(500):
        deep = [deep]
    absurd: tuple[Any, ...] = (
        10**300,
        -(10**18),
        1e308,
        ASKED * 5000,
        [ASKED] * 3000,
        {ASKED: deep},
        deep,
        {"": {"": {}}},
        "\0" + ASKED,
    )
    for value in absurd:
        for query in (
            "query Q($x: ID!) { content(id: $x) { id } }",
            "query Q($x: [String!]) { contents(first: 1, platformIds: $x) { nodes { id } } }",
            "query Q($x: Int!) { contents(first: $x) { nodes { id } } }",
            "query Q($x: TrainableContentFilter) { trainableContent(first: 1, filter: $x) { nodes { id } } }",
        ):
            body = {"query": query, "variables": {"x": value}}
            answer = httpx.post(
                f"{served.address}/graphql", json=body, headers=bearer(served, Role.AUDITOR), timeout=30
            )
            assert (answer.status_code, len(answer.content) < 5000) == (200, True)
            assert HELD not in answer.text
    silent(served)
