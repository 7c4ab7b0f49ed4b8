"""Every way by hand in which a training client might hear of what is hidden: none sings, and none leaves anything out.

What finds a leak is shown to find one: at the end the gateway is loosened on purpose, one thing at a time.
"""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

import schema.trainable
from app.issuer import DevelopmentIssuer
from db.embedded import remove_embedded_postgres
from db.policy.compile import compiled_views, conditions_of, predicate
from db.policy.document import parse_policy
from schema.actor import Role
from schema.build import build_schema
from schema.connection import PageInfo, page_info
from schema.governed import governance_of
from schema.ids import Kind, ids_of
from tests.agreement import enforce, load
from tests.app.test_cli import serving
from tests.canary import CANARY, CanaryWorld, canary_database, canary_world, copy_of, heard, readings
from tests.cases import POLICY
from tests.facts import DAY, NOW, fact
from tests.gateway import SECRET, TestGateway
from tests.hearing import (
    CLIENT,
    ERRORS,
    FORBIDDEN,
    IDS,
    LOOK,
    SIZES,
    WALKS,
    Hearing,
    listening,
)
from tests.oracle_records import CONDITIONS
from tests.schema.test_roles import SDL, object_types, readers, training_login
from tests.worlds import TICK

EVERYTHING = WALKS["nodes with everything"]
FRESH = pytest.mark.parametrize("fresh", [True, False], ids=["fresh", "pooled"])
# What fails whenever another one does, so that no item fails through the other alone.
IMPLIED = {"AUTHOR_ADULT_NOW": {"AUTHOR_ADULT_AT_CREATION"}, "NOTICE_DELIVERED": {"NOTICE_PERIOD_ELAPSED"}}
ENFORCED = parse_policy(json.dumps(POLICY))
ENDED = NOW + DAY + TICK  # when the programme is over
CLAIMS = (
    "SELECT set_config('grounds.client', grounds.register_client('client')::text, FALSE),"
    " set_config('grounds.purpose', 'GENAI_TRAINING', FALSE)"
)
OF_THE_STATEMENT = {"PROGRAMME_ACTIVE", "PURPOSE_MATCH"}  # they hold for every item or for none


@dataclass(frozen=True)
class Loaded:
    """Hold a world, and the administrator's URL of a database that it is loaded into."""

    world: CanaryWorld
    url: str


@pytest.fixture(scope="module")
def loaded(cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    world = canary_world()
    return Loaded(world, canary_database(cluster, world, tmp_path_factory.mktemp("loaded")))


@pytest.fixture(scope="module")
def wide(cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """The same with so many permitted items that a page of 1,000 is full."""
    world = canary_world(1_100)
    return Loaded(world, canary_database(cluster, world, tmp_path_factory.mktemp("wide")))


@pytest.fixture
async def hearing(loaded: Loaded, tmp_path: Path) -> AsyncIterator[Hearing]:
    """A gateway over the world, for tests that change none of it."""
    async with listening(loaded.url, tmp_path, loaded.world) as opened:
        yield opened


@pytest.fixture
async def loosened(loaded: Loaded, tmp_path: Path) -> AsyncIterator[Hearing]:
    """A gateway over a copy of the world, for tests that break it."""
    with copy_of(loaded.url) as url:
        async with listening(url, tmp_path, loaded.world) as opened:
            yield opened


def test_every_condition_hides_something_by_itself(loaded: Loaded) -> None:
    excluded = loaded.world.excluded
    for code in set(CONDITIONS) - OF_THE_STATEMENT:
        alone = [item for item, missed in excluded.items() if code in missed <= {code} | IMPLIED.get(code, set())]
        assert alone, code
        assert all(heard(item) for item in alone)
    lines = b"".join(line for _, lines in loaded.world.batch.stages for line in lines)
    assert min(lines.count(kind) for kind in (b"PRIVATE_MESSAGE", b"BUSINESS_MESSAGE", b"-whisper-", b"childs-")) > 3
    assert not any(heard(str(item)) for item in loaded.world.permitted.items())
    assert len(loaded.world.permitted) > 60
    assert len(excluded) > 150


def test_a_canary_is_heard_however_it_sings() -> None:
    whole, cut = f"{CANARY}-text-0012", f"{CANARY}-te…"
    assert heard(f"a {whole} and {whole.upper()}") == [whole, whole]
    assert heard(cut) == [f"a piece of a {CANARY}"]
    assert heard(whole, {"lang"}) == heard(whole, {"text"}, "0013") == [whole]
    assert heard(whole, {"text"}) == heard(whole, {"text"}, "0012") == []
    staffs = ids_of(SECRET, "staff").write(Kind.CONTENT, 7)
    assert readings(f'["{staffs}", "{staffs}x"]', "staff") == [(Kind.CONTENT, 7)]
    assert readings(staffs, "client:client") == []


async def test_hidden_items_lie_among_and_behind_the_permitted_ones(hearing: Hearing) -> None:
    permitted = [item in hearing.world.permitted for _, item in sorted(hearing.items.items())]
    assert not any(permitted[-40:])
    turns = sum(one != other for one, other in pairwise(permitted))
    assert turns > 50


@FRESH
@pytest.mark.parametrize("path", WALKS)
async def test_a_walk_delivers_what_is_permitted_and_nothing_else(hearing: Hearing, path: str, fresh: bool) -> None:
    everything = len(hearing.world.permitted)  # a last page that is full, with hidden items behind it
    for first in (*SIZES, everything, everything - 1):
        assert await hearing.walk(WALKS[path], first, fresh=fresh) == [], first


@FRESH
async def test_a_full_page_of_a_thousand_sings_of_nothing(wide: Loaded, tmp_path: Path, fresh: bool) -> None:
    assert len(wide.world.permitted) >= 1_100
    async with listening(wide.url, tmp_path, wide.world) as hearing:
        for first in SIZES[3:]:
            assert await hearing.walk(EVERYTHING, first, fresh=fresh) == []


def filters(world: CanaryWorld) -> Iterator[tuple[dict[str, list[str]], set[str]]]:
    """Give each filter with one value, those of hidden items among them, some with two, and what is due to each."""
    fields = {"kinds": "kind", "products": "product", "languages": "language", "grounds": "ground"}
    fields["createdMonths"] = "month"
    records = [json.loads(line) for _, lines in world.batch.stages for line in lines if b'"content"' in line]
    hidden = [record for record in records if record["id"] in world.excluded]
    values: dict[str, set[str]] = {
        "kinds": set(enum("ContentKind")),
        "products": {"FACEBOOK", "INSTAGRAM", "MESSENGER", "WHATSAPP", CANARY},
        "languages": {item.language for item in world.permitted.values() if item.language}
        | {record["language"] for record in hidden[:3]},
        "grounds": set(enum("Ground")),
        "createdMonths": {item.month for item in world.permitted.values()} | {"2024-02-28", "2022-03-31"},
    }
    for name, chosen in values.items():
        for one in sorted(chosen):
            yield {name: [one]}, due(world, {fields[name]: {one}})
        yield {name: []}, set()
    for kind in ("POST", "PRIVATE_MESSAGE"):
        for ground in values["grounds"]:
            yield {"kinds": [kind], "grounds": [ground]}, due(world, {"kind": {kind}, "ground": {ground}})


def due(world: CanaryWorld, wanted: dict[str, set[str]]) -> set[str]:
    """Give the items that have one of the values wanted of each field; a day stands for its month."""
    if "month" in wanted:
        wanted = {"month": {f"{day[:7]}-01" for day in wanted["month"]}}
    items = world.permitted.items()
    return {name for name, item in items if all(getattr(item, field) in values for field, values in wanted.items())}


def enum(name: str) -> list[str]:
    kind: Any = SDL.type_map[name]
    return list(kind.values)


@FRESH
@pytest.mark.parametrize("first", SIZES)
async def test_a_filter_narrows_and_reveals_nothing(hearing: Hearing, first: int, fresh: bool) -> None:
    tried: dict[str, set[str]] = {}
    for filter, expected in filters(hearing.world):
        assert await hearing.walk(IDS, first, expected, filter=filter, fresh=fresh) == [], filter
        for name in filter:
            tried[name] = tried.get(name, set()) | expected
    declared: Any = SDL.type_map["TrainableContentFilter"]
    assert tried.keys() == declared.fields.keys(), "a filter that is not tried (add it to filters())"
    assert all(tried.values())


@FRESH
async def test_a_node_is_a_permitted_item_or_nothing(hearing: Hearing, fresh: bool) -> None:
    ids = ids_of(SECRET, f"client:{CLIENT}")
    permitted = {number for number, item in hearing.items.items() if item in hearing.world.permitted}
    numbers = range(1, max(hearing.items) + 4)
    for kind in Kind:
        tried = numbers if kind is Kind.TRAINABLE_CONTENT else numbers[::9]
        for start in range(0, len(tried), 5):
            asked = {f"n{number}": ids.write(kind, number) for number in tried[start : start + 5]}
            response = await hearing.post(nodes(asked), asked, fresh=fresh)
            assert hearing.faults(response) == []
            assert "errors" not in response.json(), response.text
            shown = {name for name, node in response.json()["data"].items() if node is not None}
            due = {f"n{number}" for number in permitted} if kind is Kind.TRAINABLE_CONTENT else set()
            assert shown == due & asked.keys(), kind


def nodes(asked: dict[str, str]) -> str:
    """Write a batch of root fields, one a node."""
    declared = ", ".join(f"${name}: ID!" for name in asked)
    return f"query Nodes({declared}) {{ {' '.join(f'{name}: node(id: ${name}) {{ {LOOK} }}' for name in asked)} }}"


def known_names(hearing: Hearing) -> list[str]:
    """Give what others call some hidden items and accounts: one for each way to be excluded."""
    numbers = {item: number for number, item in hearing.items.items()}
    names = []
    for item in {missed: item for item, missed in hearing.world.excluded.items()}.values():
        names += [item, ids_of(SECRET, "staff").write(Kind.CONTENT, numbers[item])]
        names += [ids_of(SECRET, "client:other").write(Kind.TRAINABLE_CONTENT, numbers[item])]
    accounts = [account for account in hearing.world.numbers if heard(account)]
    return [*names, *accounts[::20], ids_of(SECRET, "staff").write(Kind.ACCOUNT, 1)]


@pytest.mark.parametrize("role", [Role.TRAINING_CLIENT, Role.DASHBOARD, Role.PLATFORM_INGEST])
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


def test_nothing_that_a_training_client_reads_is_a_count() -> None:
    counts = {
        f"{kind}.{name}"
        for kind, declared in object_types(SDL).items()
        for name, field in declared.fields.items()
        if Role.TRAINING_CLIENT in readers(field) and ("Int" in str(field.type) or "Float" in str(field.type))
    }
    assert counts == {"Policy.noticePeriodDays", "Acknowledged.left"}  # of the own feed, which the client reads whole


async def test_a_cursor_of_another_is_refused_in_the_same_words(hearing: Hearing) -> None:
    words = set()
    for audience in ("client:other", "staff", "subject:plain-0"):
        cursors = ids_of(SECRET, audience).write_all(Kind.TRAINABLE_CONTENT_CURSOR, list(hearing.items))
        for cursor in [*cursors[::23], "never given out"]:
            response = await hearing.post(EVERYTHING, {"first": 5, "after": cursor})
            assert hearing.faults(response) == []
            words.add(response.text)
    (told,) = words
    assert json.loads(told)["data"] is None


async def test_a_cursor_behind_the_last_item_shows_nothing_of_those_that_follow(hearing: Hearing) -> None:
    last = max(number for number, item in hearing.items.items() if item in hearing.world.permitted)
    ids = ids_of(SECRET, f"client:{CLIENT}")
    for number in range(last, max(hearing.items) + 2):
        after = ids.write(Kind.TRAINABLE_CONTENT_CURSOR, number)
        page = (await hearing.post(EVERYTHING, {"first": 1, "after": after})).json()["data"]["page"]
        assert page["nodes"] == []
        assert page["pageInfo"]["hasNextPage"] is False


async def test_who_may_not_ask_is_given_nothing_at_all(loosened: Hearing) -> None:
    for first in SIZES:
        assert await loosened.walk(EVERYTHING, first, set(), purpose="ADVERTISING") == []


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
    ids = ids_of(SECRET, f"client:{CLIENT}").write_all(Kind.TRAINABLE_CONTENT, hidden[::29])
    for id in [*ids, *known_names(hearing)[1::11]]:
        response = await hearing.post(ERRORS[path], {"id": id})
        assert response.json()["errors"], response.text
        assert hearing.faults(response) == []


async def test_a_failure_of_the_database_says_nothing_of_the_row_that_it_failed_on(
    loosened: Hearing, capfd: pytest.CaptureFixture[str]
) -> None:
    failing = "CASE WHEN starts_with(c.platform_id, 'canary') THEN c.text::int ELSE 1 END = 1"
    put_view(loosened, compiled_views(ENFORCED)["trainable_content"].replace("WHERE ", f"WHERE {failing} AND ", 1))
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


def put_view(hearing: Hearing, body: str) -> None:
    """Put another view in the place of the one that pages are read from."""
    hearing.gateway.execute(f"CREATE OR REPLACE VIEW grounds.trainable_content WITH (security_barrier) AS {body}")


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
        async with httpx.AsyncClient(base_url=server.address, timeout=60) as client:
            gateway = TestGateway(server.address, server.database_url, DevelopmentIssuer.open(data), client)
            enforce(gateway, loaded.world.batch)
            await load(gateway, loaded.world.batch)
            gateway.set_clock(NOW)
            await gateway.ingest(bad_lines())
            hidden = next(iter(loaded.world.excluded))
            asked = {"first": 53, "id": hidden, "of": [hidden]}
            for role in Role:
                for document in (*WALKS.values(), *FORBIDDEN.values(), *ERRORS.values()):
                    await gateway.post(role, document, asked, **claims.get(role, {}))
            gateway.execute("ALTER VIEW grounds.trainable_content RENAME TO gone")
            for document in WALKS.values():
                await gateway.post(Role.TRAINING_CLIENT, document, asked)
        assert server.stop() == 0
    said = (tmp_path / "log").read_text() + (data / "postgres" / "log").read_text()
    remove_embedded_postgres(data / "postgres")
    assert said.count('"failure"') == len(WALKS)
    assert heard(said) == []


async def test_a_page_that_forgets_a_condition_is_heard(loosened: Hearing) -> None:
    silent = []
    for code in CONDITIONS:
        view = compiled_views(ENFORCED)["trainable_content"]
        for condition in conditions_of(ENFORCED):
            rule = predicate(condition, ENFORCED, unclaimed="TRUE")
            if condition.code in {code} | IMPLIED.get(code, set()):
                assert rule in view
                view = view.replace(rule, "TRUE")
        put_view(loosened, view)
        loosened.gateway.set_clock(ENDED if code == "PROGRAMME_ACTIVE" else NOW)
        purpose = "ADVERTISING" if code == "PURPOSE_MATCH" else "GENAI_TRAINING"
        due: set[str] | None = set() if code in OF_THE_STATEMENT else None
        faults = await loosened.walk(EVERYTHING, 1000, due, purpose=purpose)
        if not any(fault.startswith("not permitted" if due is not None else f"{CANARY}-text-") for fault in faults):
            silent.append(code)
    assert silent == []


@pytest.mark.parametrize(
    ("role", "field", "query"),
    [
        (Role.AUDITOR, "Content.textPreview", "{ contents(first: 100) { nodes { textPreview } } }"),
        (Role.DATA_SUBJECT, "Content.platformId", "{ contents(first: 100) { nodes { platformId } } }"),
    ],
)
async def test_a_field_that_everybody_may_read_is_heard(
    hearing: Hearing, monkeypatch: pytest.MonkeyPatch, role: Role, field: str, query: str
) -> None:
    claims: dict[str, Any] = {"subject": "plain-0"} if role is Role.DATA_SUBJECT else {}
    assert heard((await hearing.post(query, role=role, **claims)).text) == []
    kind, _, name = field.partition(".")
    governance = governance_of(object_types(build_schema().core)[kind].fields[name])
    monkeypatch.setattr(governance, "readers", frozenset(Role))
    assert heard((await hearing.post(query, role=role, **claims)).text)


async def test_a_page_that_says_there_is_more_is_heard(hearing: Hearing, monkeypatch: pytest.MonkeyPatch) -> None:
    def more(cursors: list[str], *, after: str | None, has_next: bool) -> PageInfo:
        return page_info(cursors, after=after, has_next=True)

    monkeypatch.setattr(schema.trainable, "page_info", more)
    faults = await hearing.walk(EVERYTHING, 1000)
    assert faults == ["a page that is not full says that there is more", "there is something behind the last page"]
