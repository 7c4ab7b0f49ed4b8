"""The decision of an earlier time: as it was decided then, by what was known then; corrections rewrite nothing."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from db.past import decision_as_of
from db.session import open_database
from schema.actor import Role
from tests.agreement import enforce, load_lines
from tests.facts import NOW, fact, instant
from tests.gateway import SECRET, TestGateway, open_gateway
from tests.mutants import Killed
from tests.oracle import World
from tests.worlds import make_batch

EXPLAIN = """query E($id: ID!, $asOf: AsOf) { eligibility(contentId: $id, asOf: $asOf) {
  permitted ground summary policyVersion decidedAt conditions { code outcome required evidence }
} }"""
LOADED = NOW - timedelta(days=60)


@pytest.fixture
async def kept(database_url: str, tmp_path: Path) -> AsyncIterator[TestGateway]:
    async with open_gateway(database_url, tmp_path) as gateway:
        gateway.set_clock(LOADED)
        await gateway.ingest([fact("account"), fact("notice"), fact("content")])
        gateway.set_clock(NOW)
        yield gateway


async def explained(gateway: TestGateway, valid: datetime | None = None, known: datetime | None = None) -> Any:
    as_of = None if valid is None else {"validAt": valid.isoformat(), "knownAt": (known or valid).isoformat()}
    data = await gateway.ask(Role.AUDITOR, EXPLAIN, {"id": "item", "asOf": as_of})
    return data["eligibility"]


def outcomes(eligibility: Any) -> dict[str, str]:
    return {each["code"]: each["outcome"] for each in eligibility["conditions"]}


RECORDS: dict[str, list[dict[str, Any]]] = {
    "an objection": [fact("objection", account="author")],
    "a deletion": [fact("content", day=3, deleted_at="2026-05-01T00:00:00Z")],
    "another birth date": [fact("account", day=3, born_on="2010-01-01")],
    "a bounce": [fact("notice", day=3, bounced_at="2026-05-30T00:00:00Z")],
    "a narrowed audience": [fact("content", day=3, audience="FRIENDS")],
    "a minor named": [
        fact("account", id="child", born_on="2015-01-01"),
        fact("content", day=3, references=[{"account": "child", "relation": "TAG"}]),
    ],
    "a minor account of the same person": [
        fact("account", day=3, person="p"),
        fact("account", id="young", person="p", born_on="2012-01-01"),
    ],
    "a bad line": [fact("content", day=3, audience="PUBLIK")],
    "a window of compromise": [
        fact("account", day=3, compromised=[{"from": "2025-12-31T00:00:00Z", "to": "2026-01-02T00:00:00Z"}])
    ],
    "another product": [fact("account", day=3, product="WHATSAPP")],
}


@pytest.mark.parametrize("change", RECORDS)
async def test_a_decision_is_reproduced_whatever_became_of_its_facts(kept: TestGateway, change: str) -> None:
    before = await explained(kept)
    assert before["permitted"]
    kept.set_clock(NOW + timedelta(days=1))
    await kept.ingest(RECORDS[change])
    kept.set_clock(NOW + timedelta(days=2))
    now = await explained(kept)
    assert not now["permitted"]
    assert await explained(kept, NOW) == before
    later = NOW + timedelta(days=2)
    assert await explained(kept, later, later) == now


@pytest.mark.parametrize("table", ["content", "account", "notice"])
async def test_versions_that_are_not_kept_are_noticed(kept: TestGateway, killed: Killed, table: str) -> None:
    kept.execute(f"ALTER TABLE grounds.{table} DISABLE TRIGGER kept")
    before = await explained(kept)
    kept.set_clock(NOW + timedelta(days=1))
    changes = {"content": "a deletion", "account": "another birth date", "notice": "a bounce"}
    await kept.ingest(RECORDS[changes[table]])
    after = await explained(kept, NOW)
    killed(f"versions of {table} are not kept", "history", None if after == before else f"as of {NOW:%F}: {after}"[:80])


async def test_references_are_those_of_their_version(kept: TestGateway) -> None:
    kept.set_clock(NOW + timedelta(days=1))
    await kept.ingest([fact("account", id="child", born_on="2015-01-01")])
    await kept.ingest([fact("content", day=3, references=[{"account": "child", "relation": "TAG"}])])
    kept.set_clock(NOW + timedelta(days=2))
    await kept.ingest([fact("content", day=4)])
    outcome = {
        day: outcomes(await explained(kept, NOW + timedelta(days=day)))["NO_MINOR_REFERENCED"] for day in range(3)
    }
    assert outcome == {0: "PASS", 1: "FAIL", 2: "PASS"}


async def test_what_was_loaded_late_counts_from_when_it_happened_only_for_who_knows_it(kept: TestGateway) -> None:
    await kept.ingest([fact("objection", account="author", received_at="2026-05-01T00:00:00Z")])
    then = instant("2026-05-15T00:00:00Z")
    assert outcomes(await explained(kept, then, then))["NO_ACTIVE_OBJECTION"] == "PASS"
    assert outcomes(await explained(kept, then, NOW))["NO_ACTIVE_OBJECTION"] == "FAIL"
    earlier = instant("2026-04-15T00:00:00Z")
    assert outcomes(await explained(kept, earlier, NOW))["NO_ACTIVE_OBJECTION"] == "PASS"


async def test_as_of_before_a_withdrawal_still_says_excluded(kept: TestGateway) -> None:
    await kept.ingest([fact("objection", account="author", received_at="2026-05-01T00:00:00Z")])
    withdrawn = NOW + timedelta(days=1)
    kept.set_clock(withdrawn)
    await kept.ingest(
        [fact("objection", day=3, account="author", received_at="2026-05-01T00:00:00Z", withdrawn_at=NOW.isoformat())]
    )
    kept.set_clock(NOW + timedelta(days=30))
    assert (await explained(kept))["permitted"]
    for known in (NOW, NOW + timedelta(days=30)):
        assert outcomes(await explained(kept, NOW, known))["NO_ACTIVE_OBJECTION"] == "FAIL"


async def test_a_hold_counts_in_its_time(kept: TestGateway) -> None:
    opened = 'mutation { openHold(scope: GLOBAL, authority: "a", reason: "b") { id } }'
    hold = (await kept.ask(Role.PRIVACY_OFFICER, opened))["openHold"]["id"]
    kept.set_clock(NOW + timedelta(days=1))
    for officer in ("first", "second"):
        lift = "mutation L($id: ID!) { liftHold(id: $id) { id } }"
        await kept.ask(Role.PRIVACY_OFFICER, lift, {"id": hold}, name=officer)
    kept.set_clock(NOW + timedelta(days=9))
    held = {
        hours: outcomes(await explained(kept, NOW + timedelta(hours=hours), NOW + timedelta(days=9)))
        for hours in (-1, 0, 30, 48)
    }
    assert {hours: each["NO_REGULATORY_HOLD"] for hours, each in held.items()} == {
        **{-1: "PASS", 0: "FAIL", 30: "FAIL", 48: "PASS"}
    }


async def test_an_item_that_was_not_known_then_has_no_decision(kept: TestGateway) -> None:
    assert await explained(kept, LOADED - timedelta(days=1)) is None


async def test_every_version_is_kept_without_its_text(kept: TestGateway) -> None:
    for day in range(3, 6):
        kept.set_clock(NOW + timedelta(days=day))
        await kept.ingest([fact("content", day=day, text=f"A heron stood by the weir on day {day}.")])
    versions = kept.execute(
        "SELECT facts::text FROM grounds.fact_version WHERE relation = 'content' ORDER BY recorded_at"
    )
    assert len(versions) == 3
    assert not any("heron" in facts for (facts,) in versions)


async def test_text_of_a_deleted_item_goes_within_a_week_and_the_ledger_stays(kept: TestGateway) -> None:
    before = await explained(kept)
    deleted = NOW + timedelta(days=1)
    kept.set_clock(deleted)
    await kept.ingest([fact("content", day=3, deleted_at=deleted.isoformat()), fact("content", id="other")])
    for days, gone in ((5, 0), (6, 1), (7, 0)):
        kept.set_clock(deleted + timedelta(days=days))
        assert kept.execute("SELECT grounds.purge_texts(10)") == [(gone,)]
    assert kept.execute("SELECT platform_id FROM grounds.content WHERE text IS NOT NULL") == [("other",)]
    assert await explained(kept, NOW) == before


async def test_a_server_removes_texts_by_itself_and_says_how_many(
    kept: TestGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await kept.ingest([fact("content", day=3, deleted_at=NOW.isoformat())])
    kept.set_clock(NOW + timedelta(days=6))
    async with open_gateway(kept.database_url, tmp_path / "another"):  # what is due is done at the start, too
        for _ in range(100):
            if kept.execute("SELECT count(*) FROM grounds.content WHERE purged_at IS NOT NULL") == [(1,)]:
                break
            await asyncio.sleep(0.05)
    assert "texts removed" in capsys.readouterr().out


async def test_text_of_what_was_retracted_for_good_goes_and_comes_only_from_the_platform(kept: TestGateway) -> None:
    assert len(await kept.pull()) == 1
    await kept.ingest([fact("objection", account="author", received_at=NOW.isoformat())])
    kept.execute("SELECT grounds.retract_due()")
    kept.set_clock(NOW + timedelta(days=6))
    assert kept.execute("SELECT grounds.purge_texts(10)") == [(1,)]
    withdrawn = fact("objection", day=3, account="author", received_at=NOW.isoformat(), withdrawn_at=NOW.isoformat())
    await kept.ingest([withdrawn])
    kept.execute("UPDATE grounds.client SET overdue_at = 'infinity'")
    kept.set_clock(NOW + timedelta(days=30))
    assert outcomes(await explained(kept))["DEIDENTIFIED"] == "UNKNOWN"
    assert await kept.pull() == []
    await kept.ingest([fact("content", day=4)])
    assert len(await kept.pull()) == 1


@pytest.mark.parametrize("seed", range(300, 302))
async def test_every_decision_of_a_generated_world_is_reproduced_when_more_has_come(
    gateway: TestGateway, seed: int
) -> None:
    batch = make_batch(seed, 30)
    first, *_ = [clock for clock, _ in batch.stages]
    gateway.set_clock(first - timedelta(days=1))
    enforce(gateway, batch)
    oracle = World(batch.policy)
    decided: dict[datetime, dict[str, Any]] = {}
    for clock, lines in batch.stages:
        gateway.set_clock(clock)
        await load_lines(gateway, oracle, clock, lines)
        decided[clock] = await gateway.decisions()
    assert len(decided) > 1
    numbers = dict(gateway.execute("SELECT platform_id, id FROM grounds.content"))
    async with open_database(gateway.database_url, SECRET) as database:
        for clock, expected in decided.items():
            for item, (permitted, ground, outcomes) in expected.items():
                found = await decision_as_of(database.examiner("AUDITOR"), numbers[item], clock, clock)
                assert found is not None, item
                decision, policy = found
                told = {
                    code: {True: "PASS", False: "FAIL", None: "UNKNOWN"}[decision.outcomes[code]] for code in outcomes
                }
                assert (decision.permitted, decision.ground, told) == (permitted, ground, outcomes), (item, clock)
                assert policy.version == batch.policy["version"]


async def test_only_examiners_ask_about_the_past(kept: TestGateway) -> None:
    as_of = {"validAt": NOW.isoformat()}
    own = await kept.ask(Role.DATA_SUBJECT, "{ contents(first: 1) { nodes { id } } }", subject="author")
    variables = {"id": own["contents"]["nodes"][0]["id"], "asOf": as_of}
    answer = (await kept.post(Role.DATA_SUBJECT, EXPLAIN, variables, subject="author")).json()
    assert answer["errors"][0]["message"].startswith("asOf: is for examiners")
    found = (await kept.ask(Role.PRIVACY_OFFICER, EXPLAIN, {"id": "item", "asOf": as_of}))["eligibility"]
    assert found["permitted"]
