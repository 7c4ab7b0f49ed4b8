"""Trusted documents: named by their SHA-256, all that some roles may send, and none that is not what its key says."""

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.http.graphql import SOURCE_LIMIT, TOKEN_LIMIT
from app.http.persisted_documents import open_documents
from app.settings import SettingsError
from schema.actor import Role
from schema.build import build_schema
from tests.app.http.test_middleware import bearer
from tests.support.command import grounds
from tests.support.facts import NOW, fact
from tests.support.gateway import PULL, SECRET, TestGateway
from tests.support.shared_server import SharedServer

NEWER, OLDER = "application/graphql-response+json", "application/json"
VIEWER = "{ viewer { role } }"
TWO = "query First { viewer { role } } query Second { viewer { name } }"
LONG = "{ viewer { role } } #" + "x" * SOURCE_LIMIT
MANY = " ".join(f"query Q{number} {{ viewer {{ role }} }}" for number in range(TOKEN_LIMIT // 8 + 1))
ITEM = "id kind product language createdMonth text author { id region } reason { ground summary receipt decidedAt }"
PAGES = (
    "query Pages($first: Int!) { "
    + " ".join(f"page{number}: trainableContent(first: $first) {{ nodes {{ {ITEM} }} }}" for number in range(5))
    + " }"
)
OTHER = "{ viewer { name } }"
NOT_SUPPORTED = {"message": "PersistedQueryNotSupported", "extensions": {"code": "PERSISTED_QUERY_NOT_SUPPORTED"}}
"""What Apollo's clients expect, to send the text from then on."""
CANARY = "canary"
KEPT = (Role.TRAINING_CLIENT, Role.DASHBOARD)


def identifier(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def manifest(file: Path, *texts: str) -> Path:
    file.write_text(json.dumps({identifier(text): text for text in texts}))
    return file


@pytest.fixture
async def trusting(shared_server: SharedServer, tmp_path: Path) -> AsyncIterator[TestGateway]:
    """A gateway with trusted documents, to which training clients and dashboards are kept."""
    documents = manifest(tmp_path / "documents.json", VIEWER, TWO, LONG, MANY, PULL, PAGES)
    settings = {"documents": documents, "documents_only": frozenset(KEPT)}
    async with shared_server.gateway(**settings) as gateway:
        yield gateway


async def send(
    gateway: TestGateway, role: Role, asked: Mapping[str, Any], method: str = "POST", media: str = NEWER
) -> httpx.Response:
    headers = bearer(gateway, role) | {"Accept": media}
    if method == "POST":
        return await gateway.client.post("/graphql", json=asked, headers=headers)
    params = {name: value if isinstance(value, str) else json.dumps(value) for name, value in asked.items()}
    return await gateway.client.get("/graphql", params=params, headers=headers)


def persisted(text: str, **more: Any) -> dict[str, Any]:
    """Name a document as Apollo's clients do."""
    stated = {"version": 1, "sha256Hash": hashlib.sha256(text.encode()).hexdigest()}
    return {"extensions": {"persistedQuery": stated | more}}


def message(response: httpx.Response) -> str:
    assert "data" not in response.json()
    (error,) = response.json()["errors"]
    assert error["message"].endswith(")"), "it says what to do"
    return str(error["message"])


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_trusted_document_is_named_by_its_digest_or_sent_as_it_is(trusting: TestGateway, method: str) -> None:
    for role in (Role.AUDITOR, *KEPT):
        for asked in (
            {"documentId": identifier(VIEWER)},
            persisted(VIEWER),
            {"query": VIEWER},
            {"query": VIEWER, "documentId": identifier(VIEWER)},
            {"query": VIEWER, "documentId": identifier(VIEWER), **persisted(VIEWER)},
            {"query": "", **persisted(VIEWER), "documentId": ""},
        ):
            response = await send(trusting, role, asked, method)
            assert response.json() == {"data": {"viewer": {"role": role}}}, asked


async def test_variables_and_the_name_of_an_operation_go_with_a_trusted_document(trusting: TestGateway) -> None:
    trusting.set_clock(NOW)
    await trusting.ingest([fact("account"), fact("notice"), fact("content")])
    asked: dict[str, Any] = {"documentId": identifier(PULL), "variables": {"first": 5}}
    answer = (await send(trusting, Role.TRAINING_CLIENT, asked)).json()
    assert len(answer["data"]["trainableContent"]["nodes"]) == 1
    answer = (await send(trusting, Role.DASHBOARD, {"documentId": identifier(TWO), "operationName": "First"})).json()
    assert answer == {"data": {"viewer": {"role": "DASHBOARD"}}}
    for name, said in (
        (None, "operationName: is missing, and the operations of the document are "),
        ("Third", "operationName: must be an operation of the document, which has "),
    ):
        refused = await send(trusting, Role.DASHBOARD, {"documentId": identifier(TWO), "operationName": name})
        assert message(refused).startswith(said)


@pytest.mark.parametrize("media", [NEWER, OLDER])
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_roles_that_are_kept_to_trusted_documents_may_send_nothing_else(
    trusting: TestGateway, method: str, media: str
) -> None:
    others = (OTHER, VIEWER + " ", "{", "{ __typename }", "query { viewer { role } }", "{ nothing }")
    for role in KEPT:
        for query in others:
            for asked in ({"query": query}, {"query": query, "documentId": identifier(query)}):
                response = await send(trusting, role, asked, method, media)
                assert response.status_code == (400 if media == NEWER else 200)
                said = f"query: is not a trusted document, and {role} may send only trusted documents"
                said += " (send the documentId of a trusted document)"
                assert message(response) == said
                assert response.json()["errors"][0]["extensions"] == {"code": "FORBIDDEN"}
    assert (await send(trusting, Role.AUDITOR, {"query": OTHER}, method, media)).json().keys() == {"data"}


@pytest.mark.parametrize("media", [NEWER, OLDER])
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_document_that_is_not_known_is_an_error_of_the_request(
    trusting: TestGateway, method: str, media: str
) -> None:
    for role in (Role.AUDITOR, Role.DASHBOARD):
        for name in (identifier(OTHER), identifier(VIEWER).upper(), identifier(VIEWER)[7:], "sha256:", VIEWER, "../x"):
            response = await send(trusting, role, {"documentId": name}, method, media)
            assert response.status_code == (400 if media == NEWER else 200)
            assert message(response).startswith("documentId: is not the id of a trusted document (")
        response = await send(trusting, role, persisted(OTHER), method, media)
        assert response.status_code == (400 if media == NEWER else 200)
        assert response.json()["errors"] == [NOT_SUPPORTED]


async def test_a_document_is_never_registered_by_sending_it(trusting: TestGateway) -> None:
    for asked in ({"query": OTHER, **persisted(OTHER)}, {"query": OTHER, "documentId": identifier(OTHER)}):
        answer = (await send(trusting, Role.AUDITOR, asked)).json()
        assert answer.keys() == {"data"}
        assert (await send(trusting, Role.AUDITOR, persisted(OTHER))).json()["errors"] == [NOT_SUPPORTED]
        assert message(await send(trusting, Role.DASHBOARD, asked)).startswith("query: is not a trusted document, and ")


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_what_does_not_agree_with_itself_is_refused(trusting: TestGateway, method: str) -> None:
    name, shape = identifier(VIEWER), 'must be {"version": 1, "sha256Hash": "<hex>"}'
    for asked, said in (
        ({"query": OTHER, "documentId": name}, "documentId: does not match query"),
        ({"query": OTHER, **persisted(VIEWER)}, "documentId: does not match query"),
        (
            {"documentId": identifier(OTHER), **persisted(VIEWER)},
            "documentId: does not match extensions.persistedQuery",
        ),
        (persisted(VIEWER, version=2), shape),
        (persisted(VIEWER, sha256Hash=7), shape),
        ({"extensions": {"persistedQuery": name}, "documentId": name}, shape),
        ({"query": VIEWER, "extensions": {"persistedQuery": {"version": 1}}}, shape),
    ):
        for role in (Role.AUDITOR, Role.DASHBOARD):
            for media in (NEWER, OLDER):
                response = await send(trusting, role, asked, method, media)
                assert (response.status_code, said in message(response)) == (400, True), asked
    for wrong in (7, [name], {"sha256": name}, True):
        assert message(await send(trusting, Role.AUDITOR, {"documentId": wrong})).startswith(
            "documentId: must be a string"
        )
    for batch in ([{"documentId": name}], [persisted(VIEWER)]):
        response = await trusting.client.post("/graphql", json=batch, headers=bearer(trusting, Role.DASHBOARD))
        assert (response.status_code, "batches are not supported" in message(response)) == (400, True)


async def test_only_a_text_that_is_sent_is_bounded_in_length_and_tokens(trusting: TestGateway) -> None:
    for text, operation in ((LONG, None), (MANY, "Q7")):
        for role in (Role.AUDITOR, Role.DASHBOARD):
            named = {"documentId": identifier(text), "operationName": operation}
            assert (await send(trusting, role, named)).json() == {"data": {"viewer": {"role": role}}}
            response = await send(trusting, role, {"query": text, "operationName": operation})
            assert (response.status_code, response.json().keys()) == (400, {"errors"})


async def test_a_trusted_document_may_ask_for_as_many_values_as_any_other(trusting: TestGateway) -> None:
    for first, known in ((10, "data"), (1000, "errors")):
        asked = {"documentId": identifier(PAGES), "variables": {"first": first}}
        assert (await send(trusting, Role.TRAINING_CLIENT, asked)).json().keys() == {known}


async def test_without_a_manifest_every_text_is_taken_and_no_name(gateway: TestGateway) -> None:
    assert (await send(gateway, Role.AUDITOR, {"query": VIEWER, **persisted(VIEWER)})).json().keys() == {"data"}
    assert (await send(gateway, Role.AUDITOR, persisted(VIEWER))).json()["errors"] == [NOT_SUPPORTED]
    assert message(await send(gateway, Role.AUDITOR, {})).startswith("query: is missing (send the document as a string")


def refused(file: Path, content: Any, *, introspection: bool = True) -> list[str]:
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(SettingsError) as told:
        open_documents(file, frozenset(), build_schema(introspection=introspection))
    assert CANARY not in str(told.value)
    return str(told.value).splitlines()


def test_documents_that_are_not_what_their_key_says_stop_the_start(tmp_path: Path) -> None:
    file = tmp_path / "documents.json"
    assert refused(file, f'{{\n"{CANARY}')[0].startswith(f"GROUNDS_DOCUMENTS: {file} is not valid JSON at line ")
    for content in ("[]", "7", f'"{CANARY}"', "null"):
        assert refused(file, content)[0].startswith(f"GROUNDS_DOCUMENTS: {file} must be an object (")
    good = identifier(VIEWER)
    wrong = {
        good: VIEWER,
        identifier(OTHER): f"{{ {CANARY} }}",
        f"query {{ {CANARY} }}": identifier(VIEWER),
        good[7:]: VIEWER,
        "sha256:" + good[7:].upper(): VIEWER,
        identifier("7"): 7,
    }
    digest = "is not the SHA-256 of its document"
    told = refused(file, wrong)
    for line, name, said in zip(
        told,
        (identifier(OTHER), "entry 3", "entry 4", "entry 5", identifier("7")),
        (digest, digest, digest, digest, "must be a string"),
        strict=True,
    ):
        assert line.startswith(f"GROUNDS_DOCUMENTS: {name} {said} (")


def test_documents_that_could_not_be_executed_stop_the_start(tmp_path: Path) -> None:
    deep = (
        "{ node(id: 1) "
        + "{ ... on Account { contents(first: 1) { nodes { author " * 4
        + "{ id"
        + " } } } }" * 4
        + "} }"
    )
    for text, said in (
        (f"{{ {CANARY}", "cannot be parsed at line 1, column "),
        (f"{{\n  {CANARY}\n}}", "is not valid for this schema at line 2, column 3 ("),
        (f'{{ trainableContent(first: "{CANARY}") {{ nodes {{ id }} }} }}', "is not valid for this schema at line 1"),
        (deep, "is not valid for this schema"),
        ("{ " + " ".join(f"{CANARY}{n}: __typename" for n in range(20)) + " }", "is not valid for this schema"),
        ("mutation { deleteEverything }", "is not valid for this schema"),
        ("fragment F on Query { viewer { role } }", "is not valid for this schema"),
        ("", "cannot be parsed"),
    ):
        (line,) = refused(tmp_path / "documents.json", {identifier(text): text})
        assert line.startswith(f"GROUNDS_DOCUMENTS: {identifier(text)} {said}"), line
    asking = {identifier(text): text for text in ("{ __schema { queryType { name } } }",)}
    assert "is not valid for this schema" in refused(tmp_path / "documents.json", asking, introspection=False)[0]


@pytest.mark.xdist_group("serve")
def test_a_wrong_manifest_stops_the_server_in_its_own_words(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "documents.json"
    env = {"DATABASE_URL": database_url, "GROUNDS_SECRET": SECRET.decode(), "GROUNDS_DOCUMENTS": str(file)}
    env["GROUNDS_DOCUMENTS_ONLY"] = "TRAINING_CLIENT,DASHBOARD"
    told = grounds("serve", "--port", "0", data=tmp_path / "data", env=env)
    said = f"grounds: GROUNDS_DOCUMENTS: cannot read {file}, No such file or directory (name a readable JSON file)\n"
    assert (told.returncode, told.stdout, told.stderr) == (2, "", said)
    file.write_text(json.dumps({identifier(VIEWER): f"{{ {CANARY} }}"}))
    told = grounds("serve", "--port", "0", data=tmp_path / "data", env=env)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith(
        f"grounds: GROUNDS_DOCUMENTS: {identifier(VIEWER)} is not the SHA-256 of its document"
    )
    assert CANARY not in told.stderr
