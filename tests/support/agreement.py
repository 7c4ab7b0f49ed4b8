"""Compare the gateway with the oracle on a batch of worlds, and make a disagreement small enough to read."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import product

import psycopg

from db.policies.activation import activate_policy
from db.policy.document import parse_policy
from tests.promises.oracle import DEFAULT_POLICY, OUTCOMES, World, read_line
from tests.support.gateway import TestGateway, clock_statement
from tests.support.worlds import MARK, Batch, Hold

Judgement = tuple[bool, str, Mapping[str, str]]  # permitted, ground, and the outcome of each condition
CLIENT = "client"


@dataclass(frozen=True)
class Disagreement:
    """A difference: where it shows, at which instant, and what either side states."""

    where: str
    at: datetime
    expected: object
    got: object

    def __str__(self) -> str:
        return f"{self.where} at {self.at.isoformat()}: expected {self.expected}, got {self.got}"


async def enforce(gateway: TestGateway, batch: Batch) -> None:
    """Load the campaigns of a batch, and put its policy in force."""
    if batch.campaigns:
        await gateway.ingest(batch.campaigns)
    if batch.policy is not DEFAULT_POLICY:
        activate_policy(gateway.database_url, parse_policy(json.dumps(batch.policy)))


def oracle_for(batch: Batch) -> World:
    """Make an oracle that knows a batch's policy and campaigns."""
    oracle = World(batch.policy, batch.features)
    for line in batch.campaigns:
        oracle.load(line, batch.stages[0][0])
    return oracle


async def load(gateway: TestGateway, batch: Batch) -> tuple[World, list[Disagreement]]:
    """Load a batch into the gateway over HTTP and into an oracle; return the oracle and where the answers differ.

    Holds are opened after the first stage and after the last, so that accounts come before and after theirs.
    """
    oracle, found = oracle_for(batch), []
    for number, (clock, lines) in enumerate(batch.stages):
        gateway.set_clock(clock)
        found += await load_lines(gateway, oracle, clock, lines)
        if number == 0:
            open_holds(gateway, oracle, batch.holds[::2])
    open_holds(gateway, oracle, batch.holds[1::2])
    return oracle, found


async def load_lines(gateway: TestGateway, oracle: World, clock: datetime, lines: list[bytes]) -> list[Disagreement]:
    """Load lines into both and compare how many of each record were accepted, unchanged, stale and rejected."""
    answer = await gateway.ingest(lines)
    got = Counter(
        {(record, outcome): count for record, counts in answer["records"].items() for outcome, count in counts.items()}
    )
    expected: Counter[tuple[str, str]] = Counter()
    for line in lines:
        record = read_line(line)[0].get("record")
        named = record if isinstance(record, str) and record in oracle.records else "unreadable"
        expected[named, oracle.load(line, clock)] += 1
    return [] if +got == expected else [Disagreement("the answer to a load", clock, expected - got, got - expected)]


def open_holds(gateway: TestGateway, oracle: World, holds: list[Hold]) -> None:
    """Open holds in both, but for those that the oracle refuses."""
    opened = [hold for hold in holds if _is_opened(oracle, hold)]
    with psycopg.connect(gateway.database_url, autocommit=True) as connection:
        connection.cursor().executemany(
            "INSERT INTO grounds.hold (scope, value, authority, reason, opened_at, lifted_at)"
            " VALUES (%s, %s, 'An authority', 'A reason', %s, %s)",
            [(hold.scope, hold.value, hold.opened_at, hold.lifted_at) for hold in opened],
        )


def _is_opened(oracle: World, hold: Hold) -> bool:
    try:
        oracle.open_hold(hold.scope, hold.value, hold.opened_at, hold.lifted_at)
    except ValueError:
        return False
    return True


@contextmanager
def reading(database_url: str) -> Iterator[psycopg.Connection]:
    """Open a connection that claims what a training client claims, with the administrator's login.

    It looks facts up by index, as the gateway's logins do: a comparison takes a tenth of the time.
    """
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT set_config('jit', 'off', FALSE), set_config('enable_seqscan', 'off', FALSE),"
            " set_config('grounds.purpose', 'GENAI_TRAINING', FALSE),"
            " set_config('grounds.client', grounds.register_client(%s)::text, FALSE)",
            [CLIENT],
        )
        yield connection


def compare(
    connection: psycopg.Connection, oracle: World, instants: list[datetime], mark: str = MARK
) -> tuple[int, list[Disagreement]]:
    """Compare both compiled views with the oracle at some instants, for each purpose of the policy.

    Return how many decisions, and the differences.
    """
    decided, found = 0, []
    for instant, purpose in product(instants, oracle.policy.document["purposes"]):
        connection.execute(clock_statement(instant))
        connection.execute("SELECT set_config('grounds.purpose', %s, FALSE)", [purpose])
        expected, got = judged(oracle, instant, purpose), decisions(connection, oracle, mark)
        found += differences(expected, got, instant)
        due, page = permitted(expected), permitted_items(connection, mark)
        found += [Disagreement(f"the page's {item}", instant, item in due, item in page) for item in due ^ page]
        decided += len(expected)
    return decided, found


def judged(oracle: World, instant: datetime, purpose: str = "GENAI_TRAINING") -> dict[str, Judgement]:
    """Decide every item by the oracle."""
    found: dict[str, Judgement] = {}
    for item in oracle.content_ids():
        decision = oracle.decide(item, instant, purpose)
        found[item] = (decision.permitted, decision.ground, decision.outcomes)
    return found


def permitted(judgements: Mapping[str, Judgement]) -> set[str]:
    """Return the items that may be delivered."""
    return {item for item, judgement in judgements.items() if judgement[0]}


def decisions(connection: psycopg.Connection, oracle: World, mark: str = MARK) -> dict[str, Judgement]:
    """Read every decision from the view that explains."""
    codes = oracle.codes
    columns = ", ".join(f'd."{code}"' for code in codes)
    rows = connection.execute(
        f"SELECT c.platform_id, d.permitted, d.ground, {columns}"
        " FROM grounds.decision d JOIN grounds.content c USING (id)".encode()
    )
    return {
        item: (permitted, ground, {code: OUTCOMES[verdict] for code, verdict in zip(codes, verdicts, strict=True)})
        for item, permitted, ground, *verdicts in rows
        if item.startswith(mark)
    }


def permitted_items(connection: psycopg.Connection, mark: str = MARK) -> set[str]:
    """Read every item of the view that pages are read from."""
    rows = connection.execute("SELECT c.platform_id FROM grounds.trainable_content t JOIN grounds.content c USING (id)")
    return {item for (item,) in rows if item.startswith(mark)}


def differences(
    expected: Mapping[str, Judgement], got: Mapping[str, Judgement], instant: datetime
) -> list[Disagreement]:
    """Compare decisions; of an item that differs, say only what differs."""
    found = []
    for item in sorted(expected.keys() | got.keys()):
        if expected.get(item) != got.get(item):
            found.append(Disagreement(item, instant, *_apart(expected.get(item), got.get(item))))
    return found


def _apart(expected: Judgement | None, got: Judgement | None) -> tuple[object, object]:
    if expected is None or got is None:
        return expected, got
    sides = [{"permitted": side[0], "ground": side[1], **side[2]} for side in (expected, got)]
    names = [name for name in sides[0] | sides[1] if sides[0].get(name) != sides[1].get(name)]
    wanted, given = ({name: str(side.get(name)) for name in names} for side in sides)
    return wanted, given


async def explain(gateway: TestGateway, batch: Batch, found: list[Disagreement]) -> str:
    """Write a small reproduction: the fewest lines that still differ, with their clocks, and what either side says."""
    small, left = await _shrunk(gateway, batch, found)
    stages = "\n".join(
        f"loaded at {clock.isoformat()}:\n" + "\n".join(f"  {line.decode(errors='backslashreplace')}" for line in lines)
        for clock, lines in small.stages
    )
    policy = {name: value for name, value in batch.policy.items() if value != DEFAULT_POLICY.get(name)}
    differing = "\n".join(map(str, left[:5]))
    return (
        f"seed {batch.seed}: {len(found)} differences, the first: {found[0]}\n{stages}\nholds: {small.holds}\n"
        f"policy, where not the default: {policy}\n{differing}"
    )


async def _shrunk(gateway: TestGateway, batch: Batch, found: list[Disagreement]) -> tuple[Batch, list[Disagreement]]:
    """Leave lines out as long as both sides still differ; each attempt has a mark of its own in the same database."""
    instants = sorted({difference.at for difference in found[:3]})
    lines = [(clock, line) for clock, stage in batch.stages for line in stage]
    best, left, size, number = batch, found, len(lines), 0xD000
    while size := size // 2:
        start = 0
        while start < len(lines) and number < 0xFFFF:
            number += 1
            fewer = lines[:start] + lines[start + size :]
            attempt = _remarked(batch, fewer, f"{number:04x}")
            differing = await _attempt(gateway, attempt, instants, f"{number:04x}")
            if differing:
                best, left, lines = attempt, differing, fewer
            else:
                start += size
    return best, left


async def _attempt(gateway: TestGateway, batch: Batch, instants: list[datetime], mark: str) -> list[Disagreement]:
    oracle, found = await load(gateway, batch)
    with reading(gateway.database_url) as connection:
        return found + compare(connection, oracle, instants, mark)[1]


def _remarked(batch: Batch, lines: list[tuple[datetime, bytes]], mark: str) -> Batch:
    """Make a batch of some lines under another mark; an empty stage stays, for the holds come after the first."""
    stages = [
        (clock, [line.replace(MARK.encode(), mark.encode()) for at, line in lines if at == clock])
        for clock, _ in batch.stages
    ]
    named = {tag[:8] for _, stage in stages for tag in _tags(stage, mark)}
    holds = [
        replace(hold, value=hold.value.replace(MARK, mark) if hold.value else None)
        for hold in batch.holds
        if hold.scope != "ACCOUNT" or (hold.value or "").replace(MARK, mark)[:8] in named
    ]
    return replace(batch, stages=stages, holds=holds)


def _tags(lines: list[bytes], mark: str) -> Iterator[str]:
    for line in lines:
        for part in line.decode(errors="replace").split(f'"{mark}')[1:]:
            yield mark + part
