"""The edges: what reaches the gateway at all, what each answer tells browsers, and that no failure tells anything."""

import asyncio
import base64
import hashlib
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from app.auth.dev_issuer import DevelopmentIssuer
from app.http.boundary import CONTENT_POLICY, LOCAL_NAMES, MAX_HEAD_BYTES, SECURITY_HEADERS, host_names
from app.http.graphql import BODY_LIMIT
from app.server.serve import running_server
from app.settings import Settings
from schema.actor import Role
from tests.support.facts import fact
from tests.support.gateway import PULL, SECRET, TestGateway, new_client
from tests.support.shared_server import SharedServer

VIEWER = {"query": "{ viewer { role } }"}
ORIGIN = "https://app.example.org"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
INTROSPECTION = ("{ __schema { queryType { name } } }", '{ __type(name: "Query") { name } }')
READING = {Role.AUDITOR: ("{ contents(first: 1) { nodes { id } } }", None), Role.TRAINING_CLIENT: (PULL, {"first": 1})}


@asynccontextmanager
async def opened(database_url: str, data: Path, **settings: Any) -> AsyncIterator[TestGateway]:
    """Serve a prepared database with settings of the test's own."""
    made = Settings(data=data, database_url=database_url, secret=SECRET.decode(), **settings)
    issuer = DevelopmentIssuer.open(made.data_folder())
    async with (
        running_server(made, database_url, "127.0.0.1", 0) as (server, _),
        new_client(server.address) as client,
    ):
        yield TestGateway(server.address, database_url, issuer, client)


def bearer(gateway: TestGateway, role: Role = Role.AUDITOR, **claims: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {gateway.token(role, **claims)}"}


async def raw(gateway: TestGateway, sent: bytes) -> bytes:
    """Send bytes as they are, and read until the gateway closes the connection."""
    place = urlsplit(gateway.address)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(sent)
    try:
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()


def error_message(response: httpx.Response) -> str:
    assert response.headers["content-type"].endswith("json; charset=utf-8")
    (error,) = response.json()["errors"]
    return str(error["message"])


async def test_only_what_names_this_machine_is_served_unless_other_names_are_set(gateway: TestGateway) -> None:
    async def asked(host: str) -> httpx.Response:
        return await gateway.client.post("/graphql", json=VIEWER, headers=bearer(gateway) | {"Host": host})

    for host in ("localhost", "LocalHost:80", "127.0.0.1", "127.0.0.1:65535", "[::1]", "[::1]:8000", "localhost:"):
        assert (await asked(host)).json() == {"data": {"viewer": {"role": "AUDITOR"}}}, host
    for host in ("grounds.example.org", "localhost.example.org", "127.0.0.1.example.org:80", "0.0.0.0", "127.1", "::1"):
        response = await asked(host)
        assert (response.status_code, host in response.text) == (421 if host != "::1" else 400, False), host
        assert error_message(response).startswith("Host: ")
    said = (
        "Host: is not a name of this gateway (use another name, or ask the operator to add this one to GROUNDS_HOSTS)"
    )
    for path in ("/graphql", "/ingest", "/nothing"):
        assert error_message(await gateway.client.get(path, headers={"Host": "grounds.example.org"})) == said


async def test_a_host_that_is_missing_malformed_or_there_twice_is_refused(gateway: TestGateway) -> None:
    for hosts in ("", "Host:\r\n", "Host: [::1\r\n", "Host: a:b\r\n", "Host: localhost\r\nHost: localhost\r\n"):
        answer = await raw(gateway, f"GET /graphql HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 400 "), hosts
        assert b'{"errors":[{"message":"Host: must state the gateway\'s name exactly once (' in answer
    absolute = b"GET http://localhost/graphql HTTP/1.1\r\nHost: grounds.example.org\r\nConnection: close\r\n\r\n"
    assert (await raw(gateway, absolute)).startswith(b"HTTP/1.1 421 ")


async def test_probes_are_answered_whatever_they_name(gateway: TestGateway) -> None:
    for host in ("10.1.2.3:8000", "", "grounds.example.org"):
        for path in ("/health", "/ready"):
            assert (await gateway.client.get(path, headers={"Host": host})).status_code == 200


async def test_the_hosts_that_are_set_are_all_that_are_served(shared_server: SharedServer) -> None:
    hosts = frozenset({"grounds.example.org", "[2001:db8::7]"})
    async with shared_server.gateway(hosts=hosts) as gateway:
        for host, status in (("Grounds.example.org:443", 200), ("[2001:DB8::7]", 200), ("localhost", 421)):
            response = await gateway.client.post("/graphql", json=VIEWER, headers=bearer(gateway) | {"Host": host})
            assert response.status_code == status, host


@pytest.mark.parametrize(
    ("listening", "more"),
    [
        ("0.0.0.0", set()),
        ("::", set()),
        ("127.0.0.1", set()),
        ("10.0.0.7", {"10.0.0.7"}),
        ("2001:DB8::7", {"[2001:db8::7]"}),
        ("Grounds.local", {"grounds.local"}),
    ],
)
def test_the_address_that_it_listens_on_is_one_of_its_names_but_no_wildcard(listening: str, more: set[str]) -> None:
    assert host_names(frozenset(), listening) == LOCAL_NAMES | more
    assert host_names(frozenset({"grounds.example.org"}), listening) == {"grounds.example.org"}


async def test_where_it_listens_on_every_address_it_says_one_that_it_answers(database_url: str, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data", database_url=database_url, secret=SECRET.decode())
    async with running_server(settings, database_url, "0.0.0.0", 0) as (server, _), httpx.AsyncClient() as client:
        assert server.address.startswith("http://127.0.0.1:")
        assert (await client.get(f"{server.address}/graphql")).status_code == 401
        wildcard = server.address.replace("127.0.0.1", "0.0.0.0")
        assert (await client.get(f"{wildcard}/graphql")).status_code == 421


async def test_every_answer_has_the_headers_that_keep_browsers_safe(gateway: TestGateway) -> None:
    known = bearer(gateway)
    requests: list[tuple[int, str, str, dict[str, Any]]] = [
        (200, "POST", "/graphql", {"json": VIEWER, "headers": known}),
        (200, "GET", "/graphql", {"params": VIEWER, "headers": known}),
        (200, "HEAD", "/graphql", {"params": VIEWER, "headers": known}),
        (200, "GET", "/health", {}),
        (200, "GET", "/ready", {}),
        (200, "POST", "/ingest", {"content": b"", "headers": bearer(gateway, Role.PLATFORM_INGEST)}),
        (400, "POST", "/graphql", {"json": {}, "headers": known}),
        (401, "POST", "/graphql", {"json": VIEWER}),
        (401, "POST", "/ingest", {}),
        (403, "POST", "/ingest", {"headers": known}),
        (404, "GET", "/nothing", {}),
        (405, "PUT", "/graphql", {"headers": known}),
        (406, "GET", "/graphql", {"headers": known | {"Accept": "text/html"}}),
        (413, "POST", "/graphql", {"json": {"query": "#" * BODY_LIMIT}, "headers": known}),
        (415, "POST", "/graphql", {"content": b"{}", "headers": known}),
        (421, "GET", "/graphql", {"headers": {"Host": "grounds.example.org"}}),
    ]
    for status, method, path, asked in requests:
        response = await gateway.client.request(method, path, **asked)
        assert response.status_code == status
        assert {name: response.headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS
        assert response.headers.get_list("content-security-policy") == [CONTENT_POLICY]
        assert not {"server", "strict-transport-security", "vary", "set-cookie"} & response.headers.keys()
    for broken in (b"nonsense\r\n\r\n", b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n"):
        answer = (await raw(gateway, broken)).decode().lower()
        assert answer.startswith("http/1.1 400 ")
        assert all(f"\r\n{name}: {value}\r\n".lower() in answer for name, value in SECURITY_HEADERS.items())


async def test_no_other_origin_is_told_anything_unless_it_is_set(gateway: TestGateway) -> None:
    asking = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    preflight = await gateway.client.options("/graphql", headers=asking)
    answer = await gateway.client.post("/graphql", json=VIEWER, headers=bearer(gateway) | {"Origin": ORIGIN})
    assert (preflight.status_code, answer.status_code) == (405, 200)
    for response in (preflight, answer):
        assert not [name for name in response.headers if name.startswith("access-control-")]


async def test_the_origins_that_are_set_may_ask_and_no_other(shared_server: SharedServer) -> None:
    async with shared_server.gateway(origins=frozenset({ORIGIN})) as gateway:
        for origin in (
            ORIGIN,
            f"{ORIGIN}:444",
            "http://app.example.org",
            "https://example.org",
            "null",
            f"{ORIGIN}.org",
        ):
            asking = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            asking["Access-Control-Request-Headers"] = "authorization,content-type"
            preflight = await gateway.client.options("/graphql", headers=asking)
            answer = await gateway.client.post("/graphql", json=VIEWER, headers=bearer(gateway) | {"Origin": origin})
            allowed = origin if origin == ORIGIN else None
            assert preflight.status_code == (200 if allowed else 400)
            for response in (preflight, answer):
                assert response.headers.get("access-control-allow-origin") == allowed
                assert "access-control-allow-credentials" not in response.headers
                assert "Origin" in response.headers["vary"]
                assert response.headers["content-security-policy"] == CONTENT_POLICY


async def test_an_ide_is_given_to_browsers_where_it_is_set_and_only_the_page_is_free(
    shared_server: SharedServer,
) -> None:
    async with shared_server.gateway(graphiql=True) as gateway:
        response = await gateway.client.get("/graphql", headers={"Accept": BROWSER})
        assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
        policy = dict(part.split(" ", 1) for part in response.headers["content-security-policy"].split("; "))
        assert response.headers.get_list("content-security-policy") == [response.headers["content-security-policy"]]
        loaded = set(re.findall(r'(?:src|href)="(https?://[^"]+)"', response.text))
        assert len(loaded) == 7
        assert {url for url in f"{policy['script-src']} {policy['style-src']}".split() if "://" in url} == loaded
        (script,) = re.findall(r"<script>(.*?)</script>", response.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy["script-src"].split()
        assert "unsafe" not in policy["script-src"]
        assert (policy["default-src"], policy["connect-src"]) == ("'none'", "'self'")
        assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
        for accept in ("application/json", "*/*", "application/json, text/html;q=0.9"):
            response = await gateway.client.get("/graphql", params=VIEWER, headers={"Accept": accept})
            assert (response.status_code, error_message(response).startswith("the bearer token is missing")) == (
                401,
                True,
            )
            assert response.headers["content-security-policy"] == CONTENT_POLICY
        assert (await gateway.client.post("/graphql", json=VIEWER, headers={"Accept": "text/html"})).status_code == 406
        assert (await gateway.client.get("/health", headers={"Accept": BROWSER})).json() == {"status": "healthy"}


async def test_no_page_is_given_to_browsers_unless_it_is_set(gateway: TestGateway) -> None:
    for accepted in ("text/html", BROWSER):
        response = await gateway.client.get("/graphql", headers={"Accept": accepted})
        assert (response.status_code, response.headers["location"]) == (303, "/dashboard/graphql")
    sent = bearer(gateway) | {"Accept": "text/html"}
    assert (await gateway.client.get("/graphql", headers=sent)).status_code == 406
    response = await gateway.client.get("/graphql", params=VIEWER, headers={"Accept": BROWSER})
    assert (response.status_code, response.headers["content-type"]) == (401, "application/json; charset=utf-8")


async def test_the_schema_is_told_to_nobody_where_introspection_is_off(shared_server: SharedServer) -> None:
    async with shared_server.gateway(introspection=False) as gateway:
        for role in Role:
            claims: dict[str, Any] = {"subject": "author"} if role is Role.DATA_SUBJECT else {}
            for query in INTROSPECTION:
                answer = (await gateway.post(role, query, **claims)).json()
                assert "data" not in answer
                assert "GraphQL introspection has been disabled" in answer["errors"][0]["message"]
            named = await gateway.ask(role, "{ __typename viewer { __typename } }", **claims)
            assert named == {"__typename": "Query", "viewer": {"__typename": "Viewer"}}


async def test_the_schema_is_told_to_whoever_has_a_token_by_default(gateway: TestGateway) -> None:
    for query in INTROSPECTION:
        assert (await gateway.post(Role.DASHBOARD, query)).json().keys() == {"data"}
        assert (await gateway.client.post("/graphql", json={"query": query})).status_code == 401


def send_slowly(address: str, head: bytes, more: bytes, most: int) -> int:
    """Send a request that never comes to the point; return how many bytes were taken before the connection ended."""
    place = urlsplit(address)
    with socket.create_connection((place.hostname, place.port)) as connection:
        taken = 0
        try:
            connection.sendall(head)
            while taken < most:
                connection.sendall(more)
                taken += len(more)
        except OSError:
            pass
        return taken


@pytest.mark.parametrize(
    ("head", "more"),
    [
        (b"GET /health?", b"x" * 4096),
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: ", b"x" * 4096),
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\n", b"X: y\r\n" * 512),
        (b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x" * 4096),
        (b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ", b"x" * 4096),
    ],
)
async def test_a_request_that_never_comes_to_the_point_is_ended(gateway: TestGateway, head: bytes, more: bytes) -> None:
    # What the two machines' sockets hold in between is taken as well.
    assert await asyncio.to_thread(send_slowly, gateway.address, head, more, 64 * 2**20) < 16 * 2**20
    long = {"X": "x" * (MAX_HEAD_BYTES // 2)}
    assert (await gateway.client.get("/health", headers=long)).status_code == 200


LOCKED = "the database took too long (try again)"


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_who_finds_every_connection_in_use_is_asked_to_try_again(
    database_url: str, tmp_path: Path, method: str
) -> None:
    async with opened(database_url, tmp_path / "data", connections=1) as gateway:
        await gateway.ingest([fact("account"), fact("content")])
        for role, (query, variables) in READING.items():
            await gateway.ask(role, query, variables)
            with psycopg.connect(gateway.database_url) as connection:
                connection.execute("LOCK TABLE grounds.content IN ACCESS EXCLUSIVE MODE")
                # One training client would wait for its own operations first.
                claims = [{"client": f"client-{n}"} if role is Role.TRAINING_CLIENT else {} for n in range(16)]
                asked = (ask(gateway, method, role, query, variables, **each) for each in claims)
                responses = await asyncio.gather(*asked)
            assert [response.status_code for response in responses] == [503] * 16
            assert {response.headers["retry-after"] for response in responses} == {"1"}
            told = [error_message(response) for response in responses]
            assert told.count("all database connections are in use (try again)") >= 8
            assert set(told) <= {"all database connections are in use (try again)", LOCKED}
            assert (await ask(gateway, method, role, query, variables)).json().keys() == {"data"}


async def ask(
    gateway: TestGateway, method: str, role: Role, query: str, variables: dict[str, Any] | None, **claims: str
) -> httpx.Response:
    if method == "POST":
        return await gateway.post(role, query, variables, **claims)
    params = {"query": query, "variables": json.dumps(variables)}
    return await gateway.client.get("/graphql", params=params, headers=bearer(gateway, role, **claims))


@pytest.mark.ci
async def test_a_request_that_takes_longer_than_ten_seconds_is_ended(database_url: str, tmp_path: Path) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        name = connection.info.dbname
        for role in ("grounds_training", "grounds_staff"):
            for limit in ("statement_timeout", "lock_timeout"):
                connection.execute(f"ALTER ROLE {role} IN DATABASE {name} SET {limit} = 0".encode())
    async with opened(database_url, tmp_path / "data") as gateway:
        await gateway.ingest([fact("account"), fact("content")])
        for role, (query, variables) in READING.items():
            await gateway.ask(role, query, variables)
        with psycopg.connect(database_url) as connection:
            connection.execute("LOCK TABLE grounds.content IN ACCESS EXCLUSIVE MODE")
            asked = (ask(gateway, method, role, *READING[role]) for role in READING for method in ("POST", "GET"))
            responses = await asyncio.gather(*asked, trickle(gateway))
        pages = [response for response in responses if response.status_code == 200]
        assert len(pages) == 2  # a page of trainable content gives up by itself, after 5 s
        assert {response.json()["errors"][0]["extensions"]["code"] for response in pages} == {"TIMEOUT"}
        for response in responses:
            if response not in pages:
                assert (response.status_code, response.headers["retry-after"]) == (503, "1")
                assert error_message(response) == "the request took too long (request fewer items or fields)"
        for role, (query, variables) in READING.items():
            await gateway.ask(role, query, variables)


async def trickle(gateway: TestGateway) -> httpx.Response:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(12):
            yield b" "
            await asyncio.sleep(1)

    headers = bearer(gateway) | {"Content-Type": "application/json"}
    return await gateway.client.post("/graphql", content=body(), headers=headers)
