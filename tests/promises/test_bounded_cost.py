"""No request costs the server much, however it is written; and each limit that sees to it can be seen failing."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import orjson
import psycopg
import pytest

from app.settings import Settings
from grounds_client import limits
from schema.build import build_schema
from schema.execution import operations
from tests.bench.hostile import (
    ATTEMPTS,
    ENOUGH_SECONDS,
    ENOUGH_TIMES,
    GRAPHS,
    Onslaught,
    Server,
    attacked,
    load,
    onslaught,
    served,
    waited,
)
from tests.support.gateway import SECRET
from tests.support.hostile_documents import (
    FAMILIES,
    MULTIPLIED,
    Attack,
    corpus,
    fragment_graphs,
    has_few_tokens,
    longest,
    squared,
)
from tests.support.mutants import Killed
from tests.support.ordinary_cases import ordinary_every

FEW_GRAPHS = 100
MAX_BYTES = 4096
MAX_GROWTH = 50.0  # MiB
MAX_WAITING = 0.05
LIMITED = b" more than "  # what a refusal says beside a limit
SET = "from schema.execution import operations; operations."
UNBOUNDED = {
    "no limit on values": (
        SET + "MAX_VALUES = 10**9",
        MULTIPLIED["multiplied"].replace("{ id }", "{ eligibility { ground } }"),
    ),
    "no limits on how it is written": (SET + "limit_errors = lambda _: ()", squared(60)),
}


@pytest.fixture(scope="module")
def database(cluster: str) -> Iterator[str]:
    with psycopg.connect(cluster, autocommit=True) as connection:
        connection.execute("CREATE DATABASE attacked TEMPLATE template_of_tests STRATEGY file_copy")
        yield f"{cluster.rpartition('/')[0]}/attacked"
        connection.execute("DROP DATABASE attacked WITH (FORCE)")


@pytest.fixture(scope="module")
def settings(database: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(data=tmp_path_factory.mktemp("attacked"), database_url=database, secret=SECRET.decode())


@pytest.fixture(scope="module")
def server(settings: Settings, database: str) -> Iterator[Server]:
    with served(settings, database) as running:
        load(running)
        yield running


@pytest.fixture(scope="module", params=[FEW_GRAPHS, pytest.param(GRAPHS, marks=pytest.mark.long)])
def attacks(request: pytest.FixtureRequest) -> list[Attack]:
    return [*corpus(), *fragment_graphs(request.param)]


@pytest.fixture(scope="module")
def results(server: Server, attacks: list[Attack]) -> Onslaught:
    return onslaught(server, attacks)


def test_the_attacks_are_many_and_differ(attacks: list[Attack]) -> None:
    graphs = {attack.body() for attack in attacks if attack.name.startswith("fragment graph")}
    assert len({attack.name for attack in attacks}) == len(attacks)
    assert len({attack.body() for attack in attacks}) == len(attacks)
    assert len(graphs) in (FEW_GRAPHS, GRAPHS)
    assert len(attacks) - len(graphs) >= 30


def test_each_costs_the_server_a_few_times_what_an_answer_within_the_limits_does(
    server: Server, results: Onslaught
) -> None:
    with closing(server.connect()) as client:
        for attack, answer in results.answers:
            if answer.cpu > ENOUGH_TIMES * results.allowed:
                assert server.times(client, attack, results.dearest) < ENOUGH_TIMES, attack.name


@pytest.mark.exhaustive
def test_each_is_answered_within_100_ms_of_the_servers_cpu(results: Onslaught) -> None:
    assert not {attack.name: answer.cpu for attack, answer in results.answers if answer.cpu > ENOUGH_SECONDS}


def test_none_is_a_failure_of_the_server(server: Server, results: Onslaught) -> None:
    assert {answer.status for _, answer in results.answers} <= {200, 400, 413}
    assert not [attack.name for attack, answer in results.answers if b"internal error" in answer.body]
    assert not [line for line in server.log if b'"event": "failure"' in line]


def test_a_refusal_is_json_of_a_few_kilobytes(results: Onslaught) -> None:
    long = {}
    for attack, answer in results.answers:
        answered = orjson.loads(answer.body)
        if "errors" in answered and len(answer.body) > MAX_BYTES:
            long[attack.name] = len(answer.body)
    assert not long


def test_what_is_within_the_limits_is_answered_and_pages_beyond_are_not(results: Onslaught) -> None:
    for attack, answer in results.answers:
        errors = orjson.loads(answer.body).get("errors")
        if attack.answered:
            assert errors is None, attack.name
        elif attack.name.startswith("pages: "):
            assert (
                "values, more than the allowed 45,000 (request fewer fields or smaller pages)" in errors[0]["message"]
            )


def test_the_servers_memory_does_not_grow(results: Onslaught) -> None:
    assert results.grown < MAX_GROWTH


@pytest.mark.parametrize("name", ordinary_every(2, UNBOUNDED))
def test_a_server_without_the_limit_is_caught(settings: Settings, server: Server, name: str, killed: Killed) -> None:
    broken, query = UNBOUNDED[name]
    attack = Attack(name, query)
    assert settings.database_url is not None
    with closing(server.connect()) as client:
        assert LIMITED in server.send(client, attack).body
    with served(settings, settings.database_url, broken=broken) as other, closing(other.connect()) as client:
        answer = other.send(client, attack)
    spent = f"not refused: {answer.cpu * 1e3:.0f} ms of CPU"
    killed(name, "schema/execution/limits.py", None if LIMITED in answer.body else spent)


@pytest.mark.exhaustive
async def test_fragments_that_are_measured_wherever_they_are_spread_are_caught(
    monkeypatch: pytest.MonkeyPatch, killed: Killed
) -> None:
    def measured(fragments: Any, name: str, measure: Callable[[Any], Any]) -> Any:
        return measure(fragments._definitions[name].selection_set)

    doublings = FAMILIES["fragment doublings"](16)
    assert await cpu(doublings) < ENOUGH_SECONDS
    monkeypatch.setattr(limits.Fragments, "measured", measured)
    note(killed, "fragments measured wherever they are spread", await cpu(doublings))


@pytest.mark.exhaustive
async def test_more_errors_than_are_shown_are_caught(monkeypatch: pytest.MonkeyPatch, killed: Killed) -> None:
    quoted = longest(FAMILIES["an object"], has_few_tokens)
    assert await cpu(quoted) < ENOUGH_SECONDS
    monkeypatch.setattr(operations, "MAX_ERRORS", 100)
    note(killed, "a hundred errors looked for", await cpu(quoted))


async def cpu(query: str) -> float:
    """Execute what is refused before anything is asked of the database: the least seconds of CPU of some attempts."""
    schema = build_schema()
    taken = []
    for attempt in range(ATTEMPTS):
        started = time.thread_time()
        assert (await schema.execute(" " * attempt + query)).errors
        taken.append(time.thread_time() - started)
    return min(taken)


def note(killed: Killed, name: str, seconds: float) -> None:
    killed(name, "grounds_client/limits.py", f"{seconds * 1e3:.0f} ms of CPU" if seconds > ENOUGH_SECONDS else None)


@pytest.mark.exhaustive
def test_a_light_client_waits_little_longer_beside_attackers(server: Server, attacks: list[Attack]) -> None:
    alone, _ = waited(server, 30)
    with attacked(server, [attack for attack in attacks if not attack.answered]):
        beside, _ = waited(server, 60)
    assert beside - alone < MAX_WAITING
