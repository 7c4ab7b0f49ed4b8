"""Every way by hand in which a training client might hear of what is hidden: none sings, and none leaves anything out.

What finds a leak is shown to find one: at the end the gateway is loosened on purpose, one thing at a time.
"""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import schema.training.trainable_content
from db.policy.compile import bind_predicate, compiled_views, conditions_of
from db.policy.document import parse_policy
from schema.actor import Role
from schema.build import build_schema
from schema.governed import governance_of
from schema.relay.connection import PageInfo, page_info
from schema.relay.ids import IdKind, ids_of
from tests.promises.oracle import codes_of
from tests.schema.test_roles import SDL, object_types, readers
from tests.support.canaries import CANARY, CanaryWorld, canary_database, canary_world, heard, readings
from tests.support.facts import DAY, NOW
from tests.support.gateway import SECRET
from tests.support.leak_probe import (
    CLIENT,
    EVERYTHING,
    IDS,
    LOOK,
    SIZES,
    WALKS,
    Hearing,
    Loaded,
    delivered,
    listening,
    put_view,
)
from tests.support.mutants import Killed
from tests.support.ordinary_cases import ordinary_every
from tests.support.turning_cases import POLICY
from tests.support.worlds import BUILT_FEATURES, TICK

# A connection that served nobody yet costs 0.15 s, so ordinary runs use few of them.
CONNECTIONS = pytest.mark.parametrize(
    ("fresh", "every"),
    [
        pytest.param(True, False, id="fresh"),
        pytest.param(False, False, id="pooled"),
        pytest.param(True, True, id="fresh, every size", marks=pytest.mark.long),
        pytest.param(False, True, id="pooled, every size", marks=pytest.mark.long),
    ],
)
# What fails whenever another one does, so that no item fails through the other alone.
IMPLIED = {"AUTHOR_ADULT_NOW": {"AUTHOR_ADULT_AT_CREATION"}, "NOTICE_DELIVERED": {"NOTICE_PERIOD_ELAPSED"}}
ENFORCED = parse_policy(json.dumps(POLICY))
ENDED = NOW + DAY + TICK  # when the programme is over
PLANT = """INSERT INTO grounds.canary (item, reason, planted_by, planted_at)
SELECT id, 'It can never qualify.', 'operator', now() FROM grounds.content WHERE platform_id = %s"""
OF_THE_STATEMENT = {"PROGRAMME_ACTIVE", "PURPOSE_MATCH"}  # they hold for every item or for none


def sizes(fresh: bool, every: bool) -> tuple[int, ...]:
    """Return the sizes of the pages that are asked for."""
    if every:
        return SIZES
    return SIZES[3:4] if fresh else SIZES[1::2]


@pytest.fixture(scope="module")
def wide(cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """The same with so many permitted items that a page of 1,000 is full."""
    world = canary_world(1_100)
    return Loaded(world, canary_database(cluster, world, tmp_path_factory.mktemp("wide")))


def test_every_condition_hides_something_by_itself(loaded: Loaded) -> None:
    excluded = loaded.world.excluded
    for code in set(codes_of(BUILT_FEATURES)) - OF_THE_STATEMENT:
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
    staffs = ids_of(SECRET, "staff").encode(IdKind.CONTENT, 7)
    assert readings(f'["{staffs}", "{staffs}x"]', "staff") == [(IdKind.CONTENT, 7)]
    assert readings(staffs, "client:client") == []


async def test_hidden_items_lie_among_and_behind_the_permitted_ones(hearing: Hearing) -> None:
    permitted = [item in hearing.world.permitted for _, item in sorted(hearing.items.items())]
    assert not any(permitted[-40:])
    turns = sum(one != other for one, other in pairwise(permitted))
    assert turns > 50


@CONNECTIONS
@pytest.mark.parametrize("path", ordinary_every(4, WALKS))
async def test_a_walk_delivers_what_is_permitted_and_nothing_else(
    hearing: Hearing, path: str, fresh: bool, every: bool
) -> None:
    everything = len(hearing.world.permitted)  # a last page that is full, with hidden items behind it
    for first in (*sizes(fresh, every), everything, everything - 1):
        assert await hearing.walk(WALKS[path], first, fresh=fresh) == [], first


async def test_a_walk_by_pages_of_one_delivers_what_is_permitted(hearing: Hearing) -> None:
    assert await hearing.walk(IDS, 1) == []


@pytest.mark.ci
async def test_a_full_page_of_a_thousand_sings_of_nothing(wide: Loaded, tmp_path: Path) -> None:
    assert len(wide.world.permitted) >= 1_100
    async with listening(wide.url, tmp_path, wide.world) as hearing:
        for first, fresh in ((100, False), (1000, False), (1000, True)):
            assert await hearing.walk(EVERYTHING, first, fresh=fresh) == []


def filters(world: CanaryWorld) -> Iterator[tuple[dict[str, Any], set[str]]]:
    """List each filter with one value, those of hidden items included, some with two, and the items due to each."""
    fields = {"kinds": "kind", "products": "product", "languages": "language", "grounds": "ground"}
    fields["createdMonths"] = "month"
    records = [json.loads(line) for _, lines in world.batch.stages for line in lines if b'"content"' in line]
    hidden = [record for record in records if record["id"] in world.excluded]
    values: dict[str, set[str]] = {
        "kinds": {kind for ground in ENFORCED.grounds.values() for kind in ground.kinds},
        "products": {"FACEBOOK", "INSTAGRAM", "MESSENGER", "WHATSAPP"},
        "languages": {item.language for item in world.permitted.values() if item.language}
        | {record["language"] for record in hidden[:3]},
        "grounds": set(ENFORCED.grounds),
        "createdMonths": {item.month for item in world.permitted.values()} | {"2024-02-28", "2022-03-31"},
    }
    for name, chosen in values.items():
        for one in sorted(chosen):
            yield {name: [one]}, due(world, {fields[name]: {one}})
        yield {name: []}, set()
    everything = set(world.permitted)
    yield {"createdFromMonth": "2020-01-01", "createdUntilMonth": "2030-01-01"}, everything
    yield {"sample": {"share": 1, "seed": "a seed"}}, everything
    for ground in values["grounds"]:
        yield {"kinds": ["POST"], "grounds": [ground]}, due(world, {"kind": {"POST"}, "ground": {ground}})


def due(world: CanaryWorld, wanted: dict[str, set[str]]) -> set[str]:
    """Return the items that have one of the values wanted of each field; a day stands for its month."""
    if "month" in wanted:
        wanted = {"month": {f"{day[:7]}-01" for day in wanted["month"]}}
    items = world.permitted.items()
    return {name for name, item in items if all(getattr(item, field) in values for field, values in wanted.items())}


@CONNECTIONS
async def test_a_filter_narrows_and_reveals_nothing(hearing: Hearing, fresh: bool, every: bool) -> None:
    tried: dict[str, set[str]] = {}
    ascending = sorted(filters(hearing.world), key=lambda each: len(each[1]))
    by_names = {tuple(filter): (filter, expected) for filter, expected in ascending}  # the widest of each
    for filter, expected in by_names.values() if fresh and not every else ascending:
        for first in sizes(fresh, every):
            assert await hearing.walk(IDS, first, expected, filter=filter, fresh=fresh) == [], (filter, first)
        for name in filter:
            tried[name] = tried.get(name, set()) | expected
    declared: Any = SDL.type_map["TrainableContentFilter"]
    others = {"regions", "mediaTypes"}  # tests/schema/training/test_asking.py
    assert tried.keys() | others == declared.fields.keys(), "a filter that is not tried (add it to filters())"
    assert all(tried.values())


@CONNECTIONS
async def test_a_node_is_a_permitted_item_or_nothing(hearing: Hearing, fresh: bool, every: bool) -> None:
    ids = ids_of(SECRET, f"client:{CLIENT}")
    permitted = {number for number, item in hearing.items.items() if item in hearing.world.permitted}
    numbers = range(1, max(hearing.items) + 4)
    for kind in IdKind:
        step = 1 if kind is IdKind.TRAINABLE_CONTENT else 9
        tried = numbers[:: step * 8 if fresh and not every else step]
        for start in range(0, len(tried), 5):
            asked = {f"n{number}": ids.encode(kind, number) for number in tried[start : start + 5]}
            response = await hearing.post(nodes(asked), asked, fresh=fresh)
            assert hearing.faults(response) == []
            assert "errors" not in response.json(), response.text
            shown = {name for name, node in response.json()["data"].items() if node is not None}
            due = {f"n{number}" for number in permitted} if kind is IdKind.TRAINABLE_CONTENT else set()
            assert shown == due & asked.keys(), kind


def nodes(asked: dict[str, str]) -> str:
    """Write a batch of root fields, one a node."""
    declared = ", ".join(f"${name}: ID!" for name in asked)
    return f"query Nodes({declared}) {{ {' '.join(f'{name}: node(id: ${name}) {{ {LOOK} }}' for name in asked)} }}"


def test_nothing_that_a_training_client_reads_is_a_count() -> None:
    counts = {
        f"{kind}.{name}"
        for kind, declared in object_types(SDL).items()
        for name, field in declared.fields.items()
        if not {Role.PUBLIC, Role.DASHBOARD} & set(readers(field))  # published counts: tests/db/coverage
        and Role.TRAINING_CLIENT in readers(field)
        and ("Int" in str(field.type) or "Float" in str(field.type))
    }
    assert counts == {
        *(f"Release.{name}" for name in ("bytes", "files", "filesWritten", "items")),  # of the client's own files
        "TrainingRun.receiptIntervals",  # of what the client itself stated
        "RetractionAcknowledgement.remaining",  # of the own feed, which the client reads whole
    }


async def test_a_cursor_behind_the_last_item_shows_nothing_of_those_that_follow(hearing: Hearing) -> None:
    last = max(number for number, item in hearing.items.items() if item in hearing.world.permitted)
    ids = ids_of(SECRET, f"client:{CLIENT}")
    for number in range(last, max(hearing.items) + 2):
        after = ids.encode(IdKind.TRAINABLE_CONTENT_CURSOR, number)
        page = (await hearing.post(EVERYTHING, {"first": 1, "after": after})).json()["data"]["page"]
        assert page["nodes"] == []
        assert page["pageInfo"]["hasNextPage"] is False


def view_without(code: str) -> str:
    """Write the view of pages without a condition, and without what fails whenever it does."""
    view = compiled_views(ENFORCED)["trainable_content"]
    for condition in conditions_of(ENFORCED):
        rule = bind_predicate(condition, ENFORCED, unclaimed="TRUE")
        if condition.code in {code} | IMPLIED.get(code, set()):
            assert rule in view
            view = view.replace(rule, "TRUE")
    return view


@pytest.mark.ci
async def test_a_page_that_forgets_a_condition_is_heard(loosened: Hearing) -> None:
    silent = []
    for code in codes_of(BUILT_FEATURES):
        put_view(loosened, view_without(code))
        loosened.gateway.set_clock(ENDED if code == "PROGRAMME_ACTIVE" else NOW)
        if code == "PURPOSE_MATCH":  # one page: the empty one behind the last is an error for this purpose
            answer = await loosened.post(EVERYTHING, {"first": 1000}, purpose="ADVERTISING")
            silent += [] if answer.json()["data"]["page"]["nodes"] else [code]
            continue
        due: set[str] | None = set() if code in OF_THE_STATEMENT else None
        faults = await loosened.walk(EVERYTHING, 1000, due, purpose="GENAI_TRAINING")
        if not any(fault.startswith("not permitted" if due is not None else f"{CANARY}-text-") for fault in faults):
            silent.append(code)
    assert silent == []


async def test_a_page_that_forgets_a_condition_stops_at_a_planted_item(loosened: Hearing, killed: Killed) -> None:
    gateway, excluded = loosened.gateway, loosened.world.excluded
    numbers = {item: number for number, item in loosened.items.items()}
    planted = {
        code: next(item for item, missed in excluded.items() if code in missed <= {code} | IMPLIED.get(code, set()))
        for code in codes_of(BUILT_FEATURES)
        if code not in OF_THE_STATEMENT  # without those, pages have permitted items
    }
    for item in set(planted.values()):
        gateway.execute(PLANT, item)  # some only wait, and no officer can plant these
    assert await loosened.walk(EVERYTHING, 100) == []
    for code in planted:
        put_view(loosened, view_without(code))
        served = await pages_before_a_planted_item(loosened, {numbers[item] for item in planted.values()})
        found = gateway.execute(
            "SELECT c.platform_id FROM grounds.canary_incident i JOIN grounds.content c ON c.id = i.item"
        )
        killed(
            f"no {code}, and a planted item", "the page's view", f"page {served + 1} is not served" if found else None
        )
        assert {name for (name,) in found} <= {planted[other] for other in {code} | IMPLIED.get(code, set())}
        holds = gateway.execute("SELECT scope, lifted_at FROM grounds.hold WHERE authority = 'Grounds'")
        assert holds == [("GLOBAL", None)]
        assert gateway.execute(
            "SELECT count(*) FROM grounds.delivery d, grounds.items_of(d) i JOIN grounds.canary k ON k.item = i"
        ) == [(0,)]
        assert delivered((await loosened.post(EVERYTHING, {"first": 1000})).text) == []
        gateway.execute("DELETE FROM grounds.hold WHERE id IN (SELECT hold FROM grounds.canary_incident)")
        gateway.execute("DELETE FROM grounds.canary_incident")


async def pages_before_a_planted_item(hearing: Hearing, planted: set[int]) -> int:
    """Pull pages until one is not served, and return how many were."""
    asked: dict[str, Any] = {"first": 16, "after": None}
    for served in range(100):
        response = await hearing.post(EVERYTHING, asked)
        assert planted.isdisjoint(delivered(response.text))
        if response.status_code == 503:
            assert "deliveries are paused at the moment" in response.text
            return served
        asked["after"] = response.json()["data"]["page"]["pageInfo"]["endCursor"]
    raise AssertionError("every page is served")


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

    monkeypatch.setattr(schema.training.trainable_content, "page_info", more)
    faults = await hearing.walk(EVERYTHING, 1000)
    assert faults == ["a page that is not full says that there is more", "there is something behind the last page"]
