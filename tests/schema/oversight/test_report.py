"""The report for an authority: a generated year as the oracle counts it, signed, and the same on the page."""

import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from db.oversight.report import has_valid_signature
from schema.actor import Role
from tests.promises.oracle.world import World
from tests.support.agreement import judged
from tests.support.dashboard import dashboard_browser
from tests.support.facts import fact
from tests.support.gateway import TestGateway
from tests.support.mutants import Killed

START = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2026, 12, 31, 12, tzinfo=UTC)
YEAR = {"first": "2026-01-01", "last": "2026-12-31"}
REPORT = """query R($first: Date!, $last: Date!) {
  authorityReport(firstDay: $first, lastDay: $last) { document signature publicKey } }"""
CHANNELS = ("FORM", "EMAIL", "LETTER", "PHONE")


def moment(random: random.Random) -> str:
    """Choose an instant from a month before the year to its last day."""
    return (START + timedelta(hours=random.randrange(-30 * 24, 360 * 24))).isoformat()


def generated_year(seed: int) -> list[tuple[datetime, dict[str, Any]]]:
    """Generate the facts of a year, each with the instant at which it is loaded."""
    chosen = random.Random(seed)
    facts: list[tuple[datetime, dict[str, Any]]] = []
    for n in range(60):
        country, name = chosen.choice(["DE", "IE", "GR", None]), f"a{n}"
        person = f"p{chosen.randrange(50)}"
        facts.append((START, fact("account", id=name, country=country, person=person)))
        for k in range(chosen.randrange(3)):
            delivered = moment(chosen)
            bounced = moment(chosen) if chosen.random() < 0.2 else None
            stated: dict[str, Any] = {"sent_at": delivered, "delivered_at": delivered, "bounced_at": bounced}
            facts.append((at(delivered), fact("notice", id=f"n{n}-{k}", account=name, observed_at=delivered, **stated)))
        for k in range(chosen.randrange(4)):
            language = chosen.choice(["de", "en", "el", None])
            facts.append((START, fact("content", id=f"c{n}-{k}", account=name, language=language)))
        if chosen.random() < 0.3:
            received, target = moment(chosen), name if chosen.random() < 0.8 else f"unknown-{n}"
            stated = {"account": target, "received_at": received, "channel": chosen.choice(CHANNELS)}
            later = at(received) + timedelta(minutes=chosen.randrange(10_000))
            if chosen.random() < 0.2:
                stated["withdrawn_at"] = (at(received) + timedelta(days=1)).isoformat()
            facts.append((max(later, START), fact("objection", id=f"o{n}", observed_at=received, **stated)))
    return sorted(facts, key=lambda each: each[0])


def at(stated: str) -> datetime:
    return max(datetime.fromisoformat(stated), START)


async def loaded(gateway: TestGateway, seed: int) -> World:
    """Load a generated year into the gateway, by weeks, and into the oracle; count the last day."""
    oracle, waiting = World(), generated_year(seed)
    day = START
    while waiting:
        day += timedelta(days=7)
        due = [each for each in waiting if each[0] <= day]
        waiting = waiting[len(due) :]
        if due:
            gateway.set_clock(day)
            answer = await gateway.ingest([each for _, each in due])
            assert answer["total"]["rejected"] == 0, answer
            for _, each in due:
                assert oracle.load(json.dumps(each), day) == "accepted"
    gateway.set_clock(END)
    await gateway.take_coverage()
    return oracle


def in_year(instant: datetime | None) -> bool:
    return instant is not None and START <= instant < datetime(2027, 1, 1, tzinfo=UTC)


def expected(oracle: World) -> dict[str, Any]:
    """Count by the oracle's facts and decisions what the report has to say of the year."""
    stored = oracle.facts.stored
    told = {
        each["account"]
        for each in stored["notice"].values()
        if in_year(each["delivered_at"]) and each["bounced_at"] is None
    }
    received = [each for each in stored["objection"].values() if in_year(each["received_at"])]
    items, permitted = Counter[str](), Counter[str]()
    for item, (is_permitted, *_) in judged(oracle, END).items():
        account = stored["account"][stored["content"][item]["account"]]
        items[account["country"] or "unknown"] += 1
        permitted[account["country"] or "unknown"] += is_permitted
    return {
        "accounts": len(told),
        "persons": len({stored["account"][name]["person"] for name in told}),
        "byCountry": dict(Counter(stored["account"][name]["country"] or "unknown" for name in told)),
        "bounced": sum(in_year(each["bounced_at"]) for each in stored["notice"].values()),
        "received": len(received),
        "byChannel": dict(Counter(each["channel"] or "UNKNOWN" for each in received)),
        "withdrawn": sum(each["withdrawn_at"] is not None for each in received),
        "coverage": {name: {"items": items[name], "permitted": permitted[name]} for name in items},
    }


def figures_of(report: dict[str, Any]) -> dict[str, Any]:
    """Take from a report what `expected` counts."""
    notices, objections = report["notices"], report["objections"]
    return {
        **notices,
        **{name: objections[name] for name in ("received", "byChannel", "withdrawn")},
        "coverage": report["coverage"]["byCountry"],
    }


async def report_of(gateway: TestGateway, **days: str) -> dict[str, Any]:
    found = (await gateway.ask(Role.AUDITOR, REPORT, YEAR | days))["authorityReport"]
    report: dict[str, Any] = json.loads(found["document"])
    assert has_valid_signature(report, found["signature"], found["publicKey"])
    return report


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_report_of_a_generated_year_is_what_the_oracle_counts(gateway: TestGateway, seed: int) -> None:
    oracle = await loaded(gateway, seed)
    report = await report_of(gateway)
    assert figures_of(report) == expected(oracle)
    assert report == await report_of(gateway), "each figure is the same when it is computed again"
    unknown = sum(each["account"].startswith("unknown") for each in oracle.facts.stored["objection"].values())
    assert report["objections"]["unmatched"] <= unknown
    assert report["objections"]["secondsToEffect"]["max"] >= report["objections"]["secondsToEffect"]["median"] >= 0
    earlier = await report_of(gateway, first="2025-06-01", last="2025-06-30")
    assert (earlier["notices"]["accounts"], earlier["objections"]["received"], earlier["coverage"]) == (0, 0, None)


async def test_a_report_lists_what_stopped_and_what_was_delivered(gateway: TestGateway) -> None:
    gateway.set_clock(END - timedelta(days=100))
    await gateway.ingest([fact("account"), fact("notice"), fact("content")])
    await gateway.pull()
    hold = 'mutation { openHold(scope: COUNTRY, value: "GR", authority: "An authority", reason: "An order") { id } }'
    await gateway.ask(Role.PRIVACY_OFFICER, hold)
    own = hold.replace('COUNTRY, value: "GR"', 'ACCOUNT, value: "author"')
    await gateway.ask(Role.PRIVACY_OFFICER, own)
    gateway.set_clock(END)
    report = await report_of(gateway)
    assert [(each["scope"], each["value"]) for each in report["holds"]] == [("COUNTRY", "GR"), ("ACCOUNT", None)]
    assert report["deliveries"] == {"receipts": 1, "items": 1, "clients": 1}
    assert [each["version"] for each in report["policies"]] == ["2025-05-27"]
    assert '"author"' not in json.dumps(report)
    for role in (Role.DASHBOARD, Role.TRAINING_CLIENT):
        answer = (await gateway.post(role, REPORT, YEAR)).json()
        assert "authorityReport is for" in answer["errors"][0]["message"]


async def test_an_outsider_checks_the_signature_and_a_changed_figure_is_noticed(
    gateway: TestGateway, killed: Killed
) -> None:
    gateway.set_clock(END)
    await gateway.ingest([fact("account"), fact("notice")])
    found = (await gateway.ask(Role.AUDITOR, REPORT, YEAR))["authorityReport"]
    report = json.loads(found["document"])
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(found["publicKey"]))
    public = (await gateway.client.get("/transparency.json")).json()["publicRecord"]["ledger"]["publicKey"]
    assert found["publicKey"] == public
    text = json.dumps(report, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    key.verify(bytes.fromhex(found["signature"]), b"grounds report\n" + text.encode())
    report["notices"]["accounts"] += 1
    changed = has_valid_signature(report, found["signature"], found["publicKey"])
    killed("a figure changed after signing", "db/oversight/report.py", None if changed else "the signature is wrong")


async def test_the_page_shows_the_report_and_gives_the_signed_file(gateway: TestGateway, tmp_path: Path) -> None:
    gateway.set_clock(END)
    await gateway.ingest([fact("account"), fact("notice", delivered_at="2026-02-01T00:00:00Z"), fact("content")])
    await gateway.take_coverage()
    async with dashboard_browser(gateway, Role.PRIVACY_OFFICER) as browser:
        empty = await browser.get("/dashboard/report")
        assert (empty.status_code, "First day" in empty.text) == (200, True)
        days = {"from": "2026-01-01", "to": "2026-12-31"}
        page = await browser.get("/dashboard/report", params=days)
        assert "1 account received a notice" in page.text
        file = await browser.get("/dashboard/report", params=days | {"format": "json"})
        signed = file.json()
        assert has_valid_signature(signed["report"], signed["signature"], signed["publicKey"])
        assert "attachment" in file.headers["content-disposition"]
        wrong = await browser.get("/dashboard/report", params={"from": "2026-12-31", "to": "2026-01-01"})
        assert (wrong.status_code, "lastDay: must be" in wrong.text) == (422, True)
