"""Refusals, errors, answers to an ingest and logs: none tells a training client, or anybody, of what is hidden."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.auth.dev_issuer import DevelopmentIssuer
from db.embedded_postgres import remove_embedded_postgres
from db.policy.compile import compiled_views
from db.policy.document import parse_policy
from schema.actor import Role
from schema.relay.ids import IdKind, ids_of
from tests.schema.test_roles import training_login
from tests.support.agreement import enforce, load
from tests.support.canaries import CANARY, heard
from tests.support.command import serving
from tests.support.facts import NOW, fact
from tests.support.gateway import SECRET, TestGateway, new_client
from tests.support.leak_probe import (
    CLIENT,
    ERRORS,
    EVERYTHING,
    FORBIDDEN,
    IDS,
    SIZES,
    WALKS,
    Hearing,
    Loaded,
    known_names,
    put_view,
)
from tests.support.ordinary_cases import ordinary_every
from tests.support.turning_cases import POLICY

ENFORCED = parse_policy(json.dumps(POLICY))
CLAIMS = (
    "SELECT set_config('grounds.client', grounds.register_client('client')::text, FALSE),"
    " set_config('grounds.purpose', 'GENAI_TRAINING', FALSE)"
)


@pytest.mark.parametrize("role", ordinary_every(3, [Role.TRAINING_CLIENT, Role.DASHBOARD, Role.PLATFORM_INGEST]))
@pytest.mark.parametrize("path", FORBIDDEN)
async def test_what_only_others_may_read_is_answered_alike_whatever_is_asked_for(
    hearing: Hearing, path: str, role: Role
) -> None:
    answers = set()
    for name in [*known_names(hearing)[::7], "never there", ""]:
        response = await hearing.post(FORBIDDEN[path], {"id": name, "of": [name]}, role=role)
        assert hearing.faults(response) == []
        answers.add(response.text)
    (answer,) = answers
    data = json.loads(answer).get("data") or {}
    assert not any(value for name, value in data.items() if name != "viewer"), data
    assert not (data.get("viewer") or {}).get("account")


async def test_a_cursor_of_another_is_refused_in_the_same_words(hearing: Hearing) -> None:
    words = set()
    for audience in ("client:other", "staff", "subject:plain-0"):
        cursors = ids_of(SECRET, audience).encode_all(IdKind.TRAINABLE_CONTENT_CURSOR, list(hearing.items))
        for cursor in [*cursors[::23], "never given out"]:
            response = await hearing.post(EVERYTHING, {"first": 5, "after": cursor})
            assert hearing.faults(response) == []
            words.add(response.text)
    (told,) = words
    assert json.loads(told)["data"] is None


async def test_who_may_not_ask_is_given_nothing_at_all(loosened: Hearing) -> None:
    for first in SIZES:
        with pytest.raises(AssertionError, match="purpose: ADVERTISING is not a purpose of the policy"):
            await loosened.walk(EVERYTHING, first, set(), purpose="ADVERTISING")


async def test_a_suspended_client_is_told_so_and_nothing_else(loosened: Hearing) -> None:
    loosened.gateway.execute("SELECT grounds.register_client('suspended')")
    loosened.gateway.execute("UPDATE grounds.client SET suspended = TRUE WHERE name = 'suspended'")
    for first in SIZES:
        response = await loosened.post(EVERYTHING, {"first": first}, client="suspended")
        assert response.json()["data"] is None
        assert "while it is suspended" in response.json()["errors"][0]["message"]
        assert loosened.faults(response) == []


@pytest.mark.parametrize("path", ERRORS)
async def test_an_error_says_nothing_of_what_is_hidden(hearing: Hearing, path: str) -> None:
    hidden = [number for number, item in hearing.items.items() if item in hearing.world.excluded]
    ids = ids_of(SECRET, f"client:{CLIENT}").encode_all(IdKind.TRAINABLE_CONTENT, hidden[::29])
    for id in [*ids, *known_names(hearing)[1::11]]:
        response = await hearing.post(ERRORS[path], {"id": id})
        assert response.json()["errors"], response.text
        assert hearing.faults(response) == []


async def test_a_failure_of_the_database_says_nothing_of_the_row_that_it_failed_on(
    loosened: Hearing, capfd: pytest.CaptureFixture[str]
) -> None:
    failing = "CASE WHEN starts_with(c.platform_id, 'canary') THEN c.text::int ELSE 1 END = 1"
    put_view(loosened, compiled_views(ENFORCED)["trainable_content"].replace("\nWHERE ", f"\nWHERE {failing} AND ", 1))
    with training_login(loosened.gateway.database_url) as connection:
        connection.execute(CLAIMS)
        with pytest.raises(psycopg.errors.InvalidTextRepresentation) as raised:
            connection.execute("SELECT * FROM grounds.trainable_content")
    assert heard(str(raised.value)), "the database itself says it"
    for document in (EVERYTHING, IDS):
        response = await loosened.post(document, {"first": 1000})
        assert response.json()["errors"][0]["extensions"]["code"] == "INTERNAL"
        assert loosened.faults(response) == []
    assert heard("".join(capfd.readouterr())) == []


BAD: list[tuple[str, dict[str, Any]]] = [
    *(("account", {field: CANARY}) for field in ("kind", "country", "born_on", "status", "product", "status_since")),
    *(("content", {field: CANARY}) for field in ("kind", "audience", "created_at", "edited_at", "deleted_at")),
    ("account", {"contacts": [CANARY]}),
    ("account", {"compromised": [{"from": CANARY}]}),
    ("content", {"language": f"{CANARY}!"}),
    ("content", {"media": [{"type": CANARY, "url": 7}]}),
    ("content", {"rights": [{"source": CANARY}]}),
    ("content", {"scans": {"safety": CANARY}}),
    ("content", {"references": [{"account": CANARY}]}),
    ("content", {"text": f"{CANARY}\0"}),
    ("content", {"kind": "PRIVATE_MESSAGE", "audience": "EVERYBODY"}),
    ("notice", {"epoch": CANARY}),
    ("objection", {"scope": CANARY}),
    ("objection", {"contact": CANARY}),
    ("consent", {"given_at": CANARY}),
]


def bad_lines() -> Iterator[str]:
    """Write lines that are set aside, with a canary wherever they state something but an id."""
    for number, (record, changes) in enumerate(BAD):
        free = {"account": {"person": CANARY}, "content": {"text": CANARY}}.get(record, {})
        line = json.dumps(fact(record, id=f"bad-{number}") | free | changes)
        yield from (line, f'{line[:-1]}, "text": "{CANARY}')
    yield from (CANARY, f'"{CANARY}"', f'["{CANARY}"]', f'{{"record": "{CANARY}", "text": "{CANARY}"}}')


async def test_the_answer_to_an_ingest_says_of_a_line_its_id_and_nothing_else_that_it_states(loosened: Hearing) -> None:
    answer = await loosened.gateway.ingest(line for _, lines in loosened.world.batch.stages for line in lines)
    assert answer["total"]["accepted"] == 0
    ids = [mark for rejected in answer["rejects"] for mark in heard(rejected["id"])]
    assert heard(json.dumps(answer)) == ids != []
    lines = list(bad_lines())
    answer = await loosened.gateway.ingest(lines)
    assert answer["total"]["rejected"] == len(answer["rejects"]) == len(lines)
    assert heard(json.dumps(answer)) == []
    good = [fact("content", id=f"new-{place}", text=f"A {CANARY} sang.") for place in range(9)]
    assert heard(json.dumps(await loosened.gateway.ingest(good))) == []


async def test_a_server_logs_nothing_of_what_it_keeps_back(loaded: Loaded, tmp_path: Path) -> None:
    data, claims = tmp_path / "data", {Role.DATA_SUBJECT: {"subject": "plain-0"}}
    with serving(data, tmp_path / "log", env={"GROUNDS_SECRET": SECRET.decode()}) as server:
        async with new_client(server.address) as client:
            gateway = TestGateway(server.address, server.database_url, DevelopmentIssuer.open(data), client)
            await enforce(gateway, loaded.world.batch)
            await load(gateway, loaded.world.batch)
            gateway.set_clock(NOW)
            await gateway.ingest(bad_lines())
            hidden = next(iter(loaded.world.excluded))
            asked = {"first": 53, "id": hidden, "of": [hidden]}
            for role in Role:
                for document in (*WALKS.values(), *FORBIDDEN.values(), *ERRORS.values()):
                    await gateway.post(role, document, asked, **claims.get(role, {}))
            for view in ("trainable_content", "offered_content"):
                gateway.execute(f"ALTER VIEW grounds.{view} RENAME TO {view}_is_gone")
            for document in WALKS.values():
                await gateway.post(Role.TRAINING_CLIENT, document, asked)
        assert server.stop() == 0
    said = (tmp_path / "log").read_text() + (data / "postgres" / "log").read_text()
    remove_embedded_postgres(data / "postgres")
    assert said.count('"failure"') == len(WALKS)
    assert heard(said) == []
