"""The decision of an earlier time: as it was decided then, by what was known then; corrections rewrite nothing."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from db.connection import open_database
from db.records.as_of import decision_as_of, policy_as_of
from schema.actor import Role
from tests.support.agreement import enforce, load_lines, oracle_for
from tests.support.facts import NOW, fact, instant
from tests.support.gateway import SECRET, TestGateway, open_gateway
from tests.support.mutants import Killed
from tests.support.ordinary_cases import ordinary_every
from tests.support.worlds import make_batch

pytestmark = pytest.mark.database

EXPLAIN = """query E($id: ID!, $asOf: AsOf) { eligibility(contentId: $id, asOf: $asOf) {
  permitted ground summary policyVersion decidedAt conditions { code outcome required evidence }
} }"""
LOADED = NOW - timedelta(days=60)


@pytest.fixture
async def history_gateway(gateway: TestGateway) -> TestGateway:
    gateway.set_clock(LOADED)
    await gateway.ingest([fact("account"), fact("notice"), fact("content")])
    gateway.set_clock(NOW)
    return gateway


async def explained(gateway: TestGateway, valid: datetime | None = None, known: datetime | None = None) -> Any:
    as_of = None if valid is None else {"validAt": valid.isoformat(), "knownAt": (known or valid).isoformat()}
    data = await gateway.ask(Role.AUDITOR, EXPLAIN, {"id": "item", "asOf": as_of})
    return data["eligibility"]


@pytest.mark.parametrize("edge", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_an_instant_at_the_edge_of_the_calendar_is_a_clear_error(history_gateway: TestGateway, edge: str) -> None:
    answer = await history_gateway.post(Role.AUDITOR, EXPLAIN, {"id": "item", "asOf": {"validAt": edge}})
    (error,) = answer.json()["errors"]
    assert "the time is outside the years 1 to 9999 in UTC (correct the time)" in error["message"]


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
async def test_a_decision_is_reproduced_whatever_became_of_its_facts(history_gateway: TestGateway, change: str) -> None:
    before = await explained(history_gateway)
    assert before["permitted"]
    history_gateway.set_clock(NOW + timedelta(days=1))
    await history_gateway.ingest(RECORDS[change])
    history_gateway.set_clock(NOW + timedelta(days=2))
    now = await explained(history_gateway)
    assert not now["permitted"]
    assert await explained(history_gateway, NOW) == before
    later = NOW + timedelta(days=2)
    assert await explained(history_gateway, later, later) == now


@pytest.mark.parametrize("table", ["content", "account", "notice"])
async def test_versions_that_are_not_kept_are_noticed(history_gateway: TestGateway, killed: Killed, table: str) -> None:
    history_gateway.execute(f"ALTER TABLE grounds.{table} DISABLE TRIGGER kept")
    before = await explained(history_gateway)
    history_gateway.set_clock(NOW + timedelta(days=1))
    changes = {"content": "a deletion", "account": "another birth date", "notice": "a bounce"}
    await history_gateway.ingest(RECORDS[changes[table]])
    after = await explained(history_gateway, NOW)
    killed(f"versions of {table} are not kept", "history", None if after == before else f"as of {NOW:%F}: {after}"[:80])


async def test_references_are_those_of_their_version(history_gateway: TestGateway) -> None:
    history_gateway.set_clock(NOW + timedelta(days=1))
    await history_gateway.ingest([fact("account", id="child", born_on="2015-01-01")])
    await history_gateway.ingest([fact("content", day=3, references=[{"account": "child", "relation": "TAG"}])])
    history_gateway.set_clock(NOW + timedelta(days=2))
    await history_gateway.ingest([fact("content", day=4)])
    outcome = {
        day: outcomes(await explained(history_gateway, NOW + timedelta(days=day)))["NO_MINOR_REFERENCED"]
        for day in range(3)
    }
    assert outcome == {0: "PASS", 1: "FAIL", 2: "PASS"}


async def test_what_was_loaded_late_counts_from_when_it_happened_only_for_who_knows_it(
    history_gateway: TestGateway,
) -> None:
    await history_gateway.ingest([fact("objection", account="author", received_at="2026-05-01T00:00:00Z")])
    then = instant("2026-05-15T00:00:00Z")
    assert outcomes(await explained(history_gateway, then, then))["NO_ACTIVE_OBJECTION"] == "PASS"
    assert outcomes(await explained(history_gateway, then, NOW))["NO_ACTIVE_OBJECTION"] == "FAIL"
    earlier = instant("2026-04-15T00:00:00Z")
    assert outcomes(await explained(history_gateway, earlier, NOW))["NO_ACTIVE_OBJECTION"] == "PASS"


async def test_as_of_before_a_withdrawal_still_says_excluded(history_gateway: TestGateway) -> None:
    await history_gateway.ingest([fact("objection", account="author", received_at="2026-05-01T00:00:00Z")])
    withdrawn = NOW + timedelta(days=1)
    history_gateway.set_clock(withdrawn)
    await history_gateway.ingest(
        [fact("objection", day=3, account="author", received_at="2026-05-01T00:00:00Z", withdrawn_at=NOW.isoformat())]
    )
    history_gateway.set_clock(NOW + timedelta(days=30))
    assert (await explained(history_gateway))["permitted"]
    for known in (NOW, NOW + timedelta(days=30)):
        assert outcomes(await explained(history_gateway, NOW, known))["NO_ACTIVE_OBJECTION"] == "FAIL"


async def test_a_hold_counts_in_its_time(history_gateway: TestGateway) -> None:
    opened = 'mutation { openHold(scope: GLOBAL, authority: "a", reason: "b") { id } }'
    hold = (await history_gateway.ask(Role.PRIVACY_OFFICER, opened))["openHold"]["id"]
    history_gateway.set_clock(NOW + timedelta(days=1))
    for officer in ("first", "second"):
        lift = "mutation L($id: ID!) { liftHold(id: $id) { id } }"
        await history_gateway.ask(Role.PRIVACY_OFFICER, lift, {"id": hold}, name=officer)
    history_gateway.set_clock(NOW + timedelta(days=9))
    held = {
        hours: outcomes(await explained(history_gateway, NOW + timedelta(hours=hours), NOW + timedelta(days=9)))
        for hours in (-1, 0, 30, 48)
    }
    assert {hours: each["NO_REGULATORY_HOLD"] for hours, each in held.items()} == {
        **{-1: "PASS", 0: "FAIL", 30: "FAIL", 48: "PASS"}
    }


async def test_an_item_that_was_not_known_then_has_no_decision(history_gateway: TestGateway) -> None:
    assert await explained(history_gateway, LOADED - timedelta(days=1)) is None


async def test_every_version_is_kept_without_its_text(history_gateway: TestGateway) -> None:
    for day in range(3, 6):
        history_gateway.set_clock(NOW + timedelta(days=day))
        await history_gateway.ingest([fact("content", day=day, text=f"A heron stood by the weir on day {day}.")])
    versions = history_gateway.execute(
        "SELECT facts::text FROM grounds.fact_version WHERE relation = 'content' ORDER BY recorded_at"
    )
    assert len(versions) == 3
    assert not any("heron" in facts for (facts,) in versions)


async def test_text_of_a_deleted_item_goes_within_a_week_and_the_ledger_stays(history_gateway: TestGateway) -> None:
    before = await explained(history_gateway)
    deleted = NOW + timedelta(days=1)
    history_gateway.set_clock(deleted)
    await history_gateway.ingest([fact("content", day=3, deleted_at=deleted.isoformat()), fact("content", id="other")])
    for days, gone in ((5, 0), (6, 1), (7, 0)):
        history_gateway.set_clock(deleted + timedelta(days=days))
        assert history_gateway.execute("SELECT grounds.purge_texts(10)") == [(gone,)]
    assert history_gateway.execute("SELECT platform_id FROM grounds.content WHERE text IS NOT NULL") == [("other",)]
    assert await explained(history_gateway, NOW) == before


async def test_a_server_removes_texts_by_itself_and_says_how_many(
    history_gateway: TestGateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await history_gateway.ingest([fact("content", day=3, deleted_at=NOW.isoformat())])
    history_gateway.set_clock(NOW + timedelta(days=6))
    async with open_gateway(
        history_gateway.database_url, tmp_path / "another"
    ):  # what is due is done at the start, too
        for _ in range(100):
            if history_gateway.execute("SELECT count(*) FROM grounds.content WHERE purged_at IS NOT NULL") == [(1,)]:
                break
            await asyncio.sleep(0.05)
    assert "texts removed" in capsys.readouterr().out


async def test_text_of_what_was_retracted_and_is_permitted_again_stays(history_gateway: TestGateway) -> None:
    assert len(await history_gateway.pull()) == 1
    for audience in ("FRIENDS", "PUBLIC"):
        history_gateway.execute("UPDATE grounds.content SET audience = %s", audience)
        history_gateway.execute("SELECT grounds.retract_due()")
    assert history_gateway.execute("SELECT kind FROM grounds.retraction") == [("RETRACT",)]
    history_gateway.set_clock(NOW + timedelta(days=6))
    assert history_gateway.execute("SELECT grounds.purge_texts(10)") == [(0,)]
    history_gateway.execute("UPDATE grounds.content SET audience = 'FRIENDS'")
    assert history_gateway.execute("SELECT grounds.purge_texts(10)") == [(1,)]


async def test_text_of_what_was_retracted_for_good_goes_and_comes_only_from_the_platform(
    history_gateway: TestGateway,
) -> None:
    assert len(await history_gateway.pull()) == 1
    await history_gateway.ingest([fact("objection", account="author", received_at=NOW.isoformat())])
    history_gateway.execute("SELECT grounds.retract_due()")
    history_gateway.set_clock(NOW + timedelta(days=6))
    assert history_gateway.execute("SELECT grounds.purge_texts(10)") == [(1,)]
    withdrawn_at = (NOW + timedelta(minutes=1)).isoformat()  # at the instant of receipt it would withdraw nothing
    withdrawn = fact("objection", day=3, account="author", received_at=NOW.isoformat(), withdrawn_at=withdrawn_at)
    await history_gateway.ingest([withdrawn])
    history_gateway.execute("UPDATE grounds.client SET acknowledged = 1")
    history_gateway.set_clock(NOW + timedelta(days=30))
    assert outcomes(await explained(history_gateway))["DEIDENTIFIED"] == "UNKNOWN"
    assert await history_gateway.pull() == []
    await history_gateway.ingest([fact("content", day=4)])
    assert len(await history_gateway.pull()) == 1


@pytest.mark.parametrize("seed", ordinary_every(2, range(300, 302)))
async def test_every_decision_of_a_generated_world_is_reproduced_when_more_has_come(
    gateway: TestGateway, seed: int
) -> None:
    batch = make_batch(seed, 30)
    first, *_ = [clock for clock, _ in batch.stages]
    gateway.set_clock(first - timedelta(days=1))
    await enforce(gateway, batch)
    oracle = oracle_for(batch)
    decided: dict[datetime, dict[str, Any]] = {}
    for clock, lines in batch.stages:
        gateway.set_clock(clock)
        await load_lines(gateway, oracle, clock, lines)
        decided[clock] = await gateway.decisions()
    assert len(decided) > 1
    numbers = dict(gateway.execute("SELECT platform_id, id FROM grounds.content"))
    async with open_database(gateway.database_url, SECRET) as database:
        for clock, expected in decided.items():
            policy = await policy_as_of(database.examiner("AUDITOR"), clock)
            assert policy.version == batch.policy["version"]
            for item in Random(seed).sample(sorted(expected), 12):  # one decision of the past takes up to a second
                permitted, ground, outcomes = expected[item]
                decision = await decision_as_of(
                    database.examiner("AUDITOR"), numbers[item], policy, policy.purposes[0], clock, clock
                )
                assert decision is not None, item
                told = {
                    code: {True: "PASS", False: "FAIL", None: "UNKNOWN"}[decision.outcomes[code]] for code in outcomes
                }
                assert (decision.permitted, decision.ground, told) == (permitted, ground, outcomes), (item, clock)


async def test_only_examiners_ask_about_the_past(history_gateway: TestGateway) -> None:
    as_of = {"validAt": NOW.isoformat()}
    own = await history_gateway.ask(Role.DATA_SUBJECT, "{ contents(first: 1) { nodes { id } } }", subject="author")
    variables = {"id": own["contents"]["nodes"][0]["id"], "asOf": as_of}
    answer = (await history_gateway.post(Role.DATA_SUBJECT, EXPLAIN, variables, subject="author")).json()
    assert answer["errors"][0]["message"].startswith("asOf: is for officers and auditors only")
    found = (await history_gateway.ask(Role.PRIVACY_OFFICER, EXPLAIN, {"id": "item", "asOf": as_of}))["eligibility"]
    assert found["permitted"]
