"""GraphQL over HTTP, to the letter of its specification; and every bad request told what was wrong and what to do."""

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psycopg
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from app.auth.dev_issuer import DEVELOPMENT_AUDIENCE, DEVELOPMENT_ISSUER
from app.http.graphql import BODY_LIMIT, SOURCE_LIMIT, TOKEN_LIMIT
from schema.actor import Role
from tests.support.facts import NOW, fact
from tests.support.gateway import TestGateway

NEWER, OLDER = "application/graphql-response+json", "application/json"
VIEWER = "{ viewer { role } }"
ANSWERED = {"data": {"viewer": {"role": "AUDITOR"}}}
REQUEST_ERRORS = [
    ({"query": "{"}, "Syntax Error"),
    ({"query": "{ viewer { role } } \0"}, "U+0000"),
    ({"query": "{ a" * 400}, "nested too deeply"),
    ({"query": "{ viewer { " + "role " * TOKEN_LIMIT + "} }"}, "more than 1000 tokens"),
    ({"query": "{ nothing }"}, "Cannot query field 'nothing' on type 'Query'"),
    ({"query": "{ viewer }"}, "must have a selection of subfields"),
    ({"query": "{ contents { nodes { id } } }"}, "of type 'Int!' is required"),
    ({"query": '{ contents(first: "1") { nodes { id } } }'}, "Int cannot represent non-integer value"),
    ({"query": "{ trainableContent(first: 1, filter: {kinds: [PAST]}) { nodes { id } } }"}, "'PAST' does not exist"),
    ({"query": "query Q($n: Int!) { contents(first: $n) { nodes { id } } }"}, "Variable '$n' has invalid value"),
    ({"query": "query Q($n: Int!) { contents(first: $n) { nodes { id } } }", "variables": {"n": "x"}}, "'$n'"),
    (
        {"query": "query Q { viewer { role } }", "operationName": "R"},
        "operationName: must be an operation of the document, which has ",
    ),
    (
        {"query": "query Q { viewer { role } } query R { viewer { role } }"},
        "operationName: is missing, and the operations of the document are ",
    ),
    (
        {"query": "fragment F on Query { viewer { role } }"},
        "operationName: is missing, and the operations of the document are ",
    ),
    ({"query": "subscription { viewer { role } }"}, "subscription"),
    ({"query": "mutation { viewer { role } }"}, "on type 'Mutation'"),
]
BROKEN = (b"", b"{", b"\xff\xfe", b'{"query": "\xff"}', b"\0", b"{'a': 1}", b'{"query": "{ a }", "id": "\\ud800"}')
BATCHES = (b"[]", b'[{"query": "{ viewer { role } }"}]', b"7", b"null")
NO_TEXTS: tuple[Any, ...] = (7, {}, [VIEWER], True)
NO_NAMES: tuple[Any, ...] = (7, {}, ["Q"])
NO_OBJECTS: tuple[Any, ...] = ([], [1], "{}", 7, True)
NO_REQUESTS: list[tuple[Any, str]] = [
    *((content, "the body must be valid JSON") for content in BROKEN),
    *((content, "batches are not supported") for content in BATCHES),
    *(({"query": query}, "query: is missing") for query in (None, "")),
    *(({"query": query}, "query: must be a string") for query in NO_TEXTS),
    ({"query": "#" * (SOURCE_LIMIT + 1)}, f"query: must have at most {SOURCE_LIMIT} characters"),
    *(({"query": VIEWER, "operationName": name}, "operationName: must be a string") for name in NO_NAMES),
    *(({"query": VIEWER, "variables": value}, "variables: must be a JSON object or null") for value in NO_OBJECTS),
    *(({"query": VIEWER, "extensions": value}, "extensions: must be a JSON object or null") for value in NO_OBJECTS),
]


def headers(gateway: TestGateway, **more: str) -> dict[str, str]:
    bearer = {"Authorization": f"Bearer {gateway.token(Role.AUDITOR)}", "Content-Type": OLDER}
    return bearer | {name.replace("_", "-"): value for name, value in more.items()}


async def send(gateway: TestGateway, content: bytes | Any, **more: str) -> httpx.Response:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return await gateway.client.post("/graphql", content=body, headers=headers(gateway, **more))


def error_message(response: httpx.Response) -> str:
    """Read the first message; every answer that is none must say in JSON what was wrong."""
    assert response.headers["content-type"].endswith("json; charset=utf-8")
    message = response.json()["errors"][0]["message"]
    assert isinstance(message, str)
    assert "Traceback" not in response.text
    return message


@pytest.mark.parametrize("media", [NEWER, OLDER])
async def test_an_error_of_the_request_is_400_in_the_newer_media_type_and_200_in_the_older(
    gateway: TestGateway, media: str
) -> None:
    for body, said in REQUEST_ERRORS:
        response = await send(gateway, body, Accept=media)
        assert said in error_message(response), body
        assert response.status_code == (400 if media == NEWER else 200), body
        assert response.headers["content-type"] == f"{media}; charset=utf-8"
        assert "data" not in response.json(), "nothing was executed"


@pytest.mark.parametrize("media", [NEWER, OLDER])
async def test_an_error_of_a_field_is_200_with_the_data_there_is(gateway: TestGateway, media: str) -> None:
    body = {"query": "{ viewer { role } trainableContent(first: 1) { nodes { id } } policy { document } }"}
    response = await send(gateway, body, Accept=media)
    assert (response.status_code, response.headers["content-type"]) == (200, f"{media}; charset=utf-8")
    assert response.json()["data"] is None
    (error,) = response.json()["errors"]
    assert (error["extensions"], error["path"]) == ({"code": "FORBIDDEN"}, ["trainableContent"])
    body = {"query": "{ viewer { role } content(id: 7) { textPreview } }"}
    assert (await send(gateway, body, Accept=media)).json() == {"data": {**ANSWERED["data"], "content": None}}


@pytest.mark.parametrize("media", [NEWER, OLDER])
async def test_what_is_no_request_is_400_in_either_media_type(gateway: TestGateway, media: str) -> None:
    for content, said in NO_REQUESTS:
        response = await send(gateway, content, Accept=media)
        assert said in error_message(response), content
        assert error_message(response).endswith(")"), "it says what to do"
        assert (response.status_code, response.headers["content-type"]) == (400, f"{media}; charset=utf-8")


async def test_null_and_what_is_not_known_are_as_if_they_were_not_there(gateway: TestGateway) -> None:
    for more in ({"operationName": None, "variables": None, "extensions": None}, {"id": 7}, {"extensions": {"a": 1}}):
        assert (await send(gateway, {"query": VIEWER, **more})).json() == ANSWERED
    named = {"query": "query Q { viewer { role } } query R { viewer { name } }", "operationName": "Q"}
    assert (await send(gateway, named)).json() == ANSWERED


async def test_a_body_over_64_kib_is_refused_announced_or_not(gateway: TestGateway) -> None:
    def blocks(size: int) -> AsyncIterator[bytes]:
        async def give() -> AsyncIterator[bytes]:
            for _ in range(size // 1024):
                yield b" " * 1024

        return give()

    start = json.dumps({"query": VIEWER}).encode()
    assert (await send(gateway, start + b" " * (BODY_LIMIT - len(start)))).json() == ANSWERED
    for size in (BODY_LIMIT + 1, 5_000_000):
        response = await send(gateway, start + b" " * (size - len(start)))
        assert response.status_code == 413
        assert f"longer than {BODY_LIMIT} bytes" in error_message(response)
    response = await gateway.client.post("/graphql", content=blocks(2 * BODY_LIMIT), headers=headers(gateway))
    assert response.status_code == 413
    assert f"longer than {BODY_LIMIT} bytes" in error_message(response)
    assert (await send(gateway, {"query": VIEWER})).json() == ANSWERED


async def test_only_json_in_utf_8_is_taken(gateway: TestGateway) -> None:
    body = json.dumps({"query": VIEWER})
    for kind in ("text/plain", "application/graphql", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        response = await send(gateway, body.encode(), Content_Type=kind)
        assert (response.status_code, error_message(response)) == (
            415,
            "Content-Type: must be application/json (send the body as JSON)",
        )
    response = await send(gateway, body.encode("utf-16"), Content_Type="application/json; charset=utf-16")
    assert (response.status_code, error_message(response)) == (
        415,
        "Content-Type: must have the charset UTF-8 (send the body in UTF-8)",
    )
    for kind in ("application/json; charset=UTF-8", 'application/json;charset="utf-8"', "Application/JSON"):
        assert (await send(gateway, body.encode(), Content_Type=kind)).json() == ANSWERED


async def test_a_compressed_body_is_refused_by_its_encoding(gateway: TestGateway) -> None:
    headers = {"Authorization": f"Bearer {gateway.token(Role.AUDITOR)}", "Content-Type": "application/json"}
    body = gzip.compress(b'{"query": "{ viewer { role } }"}')
    for encoding in ("gzip", "br", "GZIP"):
        response = await gateway.client.post("/graphql", content=body, headers=headers | {"Content-Encoding": encoding})
        said = "Content-Encoding: must not be set (send the body uncompressed)"
        assert (response.status_code, error_message(response)) == (415, said)
    plain = gzip.decompress(body)
    response = await gateway.client.post("/graphql", content=plain, headers=headers | {"Content-Encoding": "identity"})
    assert response.json() == {"data": {"viewer": {"role": "AUDITOR"}}}


async def test_the_media_type_of_the_answer_is_negotiated(gateway: TestGateway) -> None:
    wishes = {
        OLDER: (
            "",
            "*/*",
            "application/*",
            OLDER,
            f"{OLDER}, {NEWER};q=0.5",
            f"{NEWER};q=0, */*",
            "text/html, */*;q=0.1",
        ),
        NEWER: (NEWER, f"{NEWER}, {OLDER}", f"{OLDER};q=0.9, {NEWER}", f"{NEWER}; charset=utf-8", NEWER.upper()),
    }
    for media, accepted in wishes.items():
        for accept in accepted:
            response = await send(gateway, {"query": VIEWER}, **({"Accept": accept} if accept else {}))
            assert (response.status_code, response.headers["content-type"]) == (200, f"{media}; charset=utf-8"), accept
            assert response.json() == ANSWERED
    for accept in ("text/html", f"{NEWER};q=0", "application/xml, image/*", f"{OLDER};q=nonsense"):
        response = await send(gateway, {"query": VIEWER}, Accept=accept)
        assert response.status_code == 406, accept
        assert (
            error_message(response)
            == f"Accept: must allow a media type that the gateway can send (add {NEWER} or {OLDER})"
        )


async def test_a_query_can_be_sent_by_get(gateway: TestGateway) -> None:
    async def get(**asked: str) -> httpx.Response:
        return await gateway.client.get("/graphql", params=asked, headers=headers(gateway))

    assert (await get(query=VIEWER)).json() == ANSWERED
    named = 'query Q($id: ID = "") { viewer { role } content(id: $id) { id } } query R { viewer { name } }'
    asked = await get(query=named, operationName="Q", variables='{"id": "x"}', extensions="{}")
    assert asked.json() == {"data": {**ANSWERED["data"], "content": None}}
    assert (await get(query=VIEWER, operationName="", variables="", extensions="")).json() == ANSWERED
    for wrong, said in (
        ({}, "query: is missing"),
        ({"query": VIEWER, "variables": "{"}, "variables must be valid JSON"),
        ({"query": VIEWER, "variables": "[1]"}, "variables: must be a JSON object or null"),
        ({"query": VIEWER, "extensions": "7"}, "extensions: must be a JSON object or null"),
    ):
        response = await get(**wrong)
        assert (response.status_code, said in error_message(response)) == (400, True)
    headed = await gateway.client.head("/graphql", params={"query": VIEWER}, headers=headers(gateway))
    assert (headed.status_code, headed.content) == (200, b"")


@pytest.mark.parametrize("media", [NEWER, OLDER])
async def test_a_mutation_by_get_is_405(gateway: TestGateway, media: str) -> None:
    for query, name in (("mutation { __typename }", ""), ("query Q { viewer { role } } mutation M { a }", "M")):
        asked = {"query": query, "operationName": name}
        response = await gateway.client.get("/graphql", params=asked, headers=headers(gateway, Accept=media))
        assert (response.status_code, response.headers["allow"]) == (405, "POST")
        assert error_message(response) == "a mutation cannot be sent by GET (send the request by POST)"


async def test_another_method_and_another_path_are_refused_in_json(gateway: TestGateway) -> None:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        response = await gateway.client.request(method, "/graphql", headers=headers(gateway))
        assert (response.status_code, error_message(response)) == (405, "this path does not support the request method")
        assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}
    assert (await gateway.client.get("/ingest")).status_code == 405
    for path in ("/nothing", "/graphiql", "/graphql/x", "/%00", "/../etc/passwd"):
        response = await gateway.client.get(path)
        assert (response.status_code, error_message(response).startswith("this path does not exist")) == (
            404,
            True,
        )


async def test_nobody_is_anonymous(gateway: TestGateway) -> None:
    good = gateway.token(Role.AUDITOR)
    key = gateway.issuer._key
    then = int(time.time()) - 3700
    claims = {"iss": DEVELOPMENT_ISSUER, "aud": DEVELOPMENT_AUDIENCE, "sub": "x", "iat": then, "exp": then + 3600}
    expired = jwt.encode({"alg": "ES256", "kid": key.kid}, claims | {"role": "AUDITOR"}, key)
    stranger = jwt.encode({"alg": "ES256"}, claims | {"role": "AUDITOR"}, ECKey.generate_key("P-256"))
    for value, said in (
        (None, "the bearer token is missing"),
        ("Basic dTpw", "the header Authorization is malformed"),
        ("Bearer nonsense", "the header Authorization is malformed"),
        (f"Bearer {expired}", "the token has expired"),
        (f"Bearer {stranger}", "the token's signature matches no key of the issuer"),
        (f"Bearer {good[:-8]}AAAAAAAA", "the token's signature matches no key of the issuer"),
    ):
        given = {"Content-Type": OLDER} | ({"Authorization": value} if value else {})
        for media in (NEWER, OLDER):
            response = await gateway.client.post("/graphql", content=b"{", headers=given | {"Accept": media})
            assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
            assert response.headers["content-type"] == f"{media}; charset=utf-8"
            assert said in error_message(response)
            assert value is None or value.split()[1] not in response.text


async def test_a_nul_is_told_of_and_no_fault_of_ours(gateway: TestGateway) -> None:
    nul = '"a\\u0000b"'
    asked = {
        Role.AUDITOR: (
            *(f"content(id: {nul}) {{ id }}", f"account(id: {nul}) {{ id }}", f"policy(version: {nul}) {{ version }}"),
            *(
                f"eligibility(contentId: {nul}) {{ permitted }}",
                f"contents(first: 1, platformIds: [{nul}]) {{ nodes {{ id }} }}",
            ),
        ),
        Role.TRAINING_CLIENT: (f"trainableContent(first: 1, filter: {{languages: [{nul}]}}) {{ nodes {{ id }} }}",),
    }
    for role, fields in asked.items():
        for field in fields:
            (error,) = (await gateway.post(role, f"{{ {field} }}".replace("\\\\", "\\"))).json()["errors"]
            assert error["extensions"] == {"code": "BAD_USER_INPUT"}, field
            assert ("the character NUL" if role is Role.AUDITOR else "must be language ranges") in error["message"]


async def test_what_fails_inside_is_told_as_a_reference_only(
    gateway: TestGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.set_clock(NOW)
    await gateway.ingest(
        [fact("account"), fact("notice"), fact("content", text="Nobody may read this canary in a log.")]
    )
    gateway.execute("ALTER VIEW grounds.decision RENAME TO gone")
    answer = (await gateway.post(Role.AUDITOR, '{ eligibility(contentId: "item") { permitted } }')).json()
    (error,) = answer["errors"]
    assert (error["extensions"], error["path"]) == ({"code": "INTERNAL"}, ["eligibility"])
    reference = (
        error["message"].removeprefix("an internal error occurred (give the operator the reference ").removesuffix(")")
    )
    assert len(reference) == 8
    logged = "".join(capsys.readouterr())
    assert reference in logged
    assert "UndefinedTableError" in logged
    assert "canary" not in logged
    assert "Traceback" not in logged


async def test_a_database_that_keeps_waiting_is_told_of(gateway: TestGateway) -> None:
    await gateway.ingest([fact("account"), fact("content")])
    with psycopg.connect(gateway.database_url) as connection:
        connection.execute("LOCK TABLE grounds.content IN ACCESS EXCLUSIVE MODE")
        answer = await gateway.post(Role.AUDITOR, "{ contents(first: 1) { nodes { id } } }")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["errors"][0]["message"] == "the database took too long (try again)"


async def test_a_client_without_a_connection_for_it_is_asked_to_try_again(gateway: TestGateway) -> None:
    await gateway.ingest([fact("account"), fact("content")])
    query = "{ contents(first: 1) { nodes { id } } }"
    with psycopg.connect(gateway.database_url) as connection:
        connection.execute("LOCK TABLE grounds.content IN ACCESS EXCLUSIVE MODE")
        responses = await asyncio.gather(*(gateway.post(Role.AUDITOR, query) for _ in range(40)))
    assert {(response.status_code, response.headers.get("retry-after")) for response in responses} == {(503, "1")}
    assert "all database connections are in use (try again)" in set(map(error_message, responses))
