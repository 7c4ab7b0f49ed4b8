"""Coverage over HTTP, exact for officers and auditors."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

from db.coverage import noise, snapshot
from db.policies.activation import activate_policy
from db.policy.document import parse_policy
from schema.actor import Role
from tests.promises.oracle import DEFAULT_POLICY
from tests.support.counted_platform import (
    CODES,
    COVERAGE,
    DIMENSIONS,
    all_items,
    ask,
    counted_gateway,
    facts,
    generated_platform,
    refused,
    table,
)
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import TestGateway, open_gateway
from tests.support.publication_attack import Item

pytestmark = pytest.mark.database


async def test_officers_and_auditors_read_exact_counts_of_everything(gateway: TestGateway) -> None:
    persons = generated_platform(3)
    items = all_items(persons)
    await counted_gateway(gateway, persons)
    permitted = sum(not item.failing for item in items)
    for role in (Role.PRIVACY_OFFICER, Role.AUDITOR):
        answer = await ask(gateway, role, "COUNTRY", "KIND")
        assert answer["exact"]
        counts = Counter((item.country, item.kind) for item in items)
        good = Counter((item.country, item.kind) for item in items if not item.failing)
        assert table(answer) == {key: (count, good[key]) for key, count in counts.items()}
        assert {(row["margin"], row["suppressed"]) for row in answer["rows"]} == {(0, False)}
        found = {each["condition"]: (each["total"], each["exclusive"]) for each in answer["total"]["exclusions"]}
        assert [found[code] for code in CODES] == [
            (sum(n in item.failing for item in items), sum(item.failing == {n} for item in items)) for n in range(4)
        ]
        assert sum(any for any, _ in found.values()) == sum(len(item.failing) for item in items)
        assert answer["funnel"][-1]["remaining"] == answer["total"]["permitted"] == permitted
        finest = Counter(tuple(item[:5]) for item in items)
        everything = await ask(gateway, role, *DIMENSIONS[:5])
        assert {key: n for key, (n, _) in table(everything).items()} == finest
    row = (await ask(gateway, Role.AUDITOR, "KIND", filter={"countries": ["IE"], "languages": ["en"]}))["rows"][0]
    matching = [i for i in items if (i.country, i.language, i.kind) == ("IE", "en", row["key"][0]["value"])]
    assert row["items"] == len(matching)
    assert row["permittedShare"] == pytest.approx(sum(not i.failing for i in matching) / len(matching))
    assert (await ask(gateway, Role.AUDITOR, "KIND", "PRODUCT", filter={"languages": ["xx"]}))["total"]["items"] == 0


async def test_conditions_are_a_dimension(gateway: TestGateway) -> None:
    persons = generated_platform(3)
    await counted_gateway(gateway, persons)
    exact = table(await ask(gateway, Role.AUDITOR, "CONDITION", "KIND"))
    failing = Counter((CODES[place], item.kind) for item in all_items(persons) for place in item.failing)
    assert exact == {key: (count, 0) for key, count in failing.items()}


async def test_what_was_delivered_and_retracted_is_counted_once_an_item(gateway: TestGateway) -> None:
    await counted_gateway(gateway, [[Item(country=country)] * 30 for country in ("IE", "AT")])
    for client in ("client", "another"):
        assert len(await gateway.pull(client=client)) == 60
    await gateway.ingest([fact("objection", account="1-AT-FACEBOOK", received_at="2026-05-30T00:00:00Z")])
    gateway.execute("SELECT set_config('grounds.job', 'test', FALSE)")
    for _ in range(3):
        gateway.execute("SELECT grounds.retract_due()")
    gateway.set_clock(NOW + DAY)
    await gateway.take_coverage()
    answer = await ask(gateway, Role.AUDITOR, "COUNTRY")
    assert {row["key"][0]["value"]: (row["delivered"], row["retracted"]) for row in answer["rows"]} == {
        "IE": (30, 0), "AT": (30, 30)
    }  # fmt: skip


RESEARCH_TOO = DEFAULT_POLICY | {"version": "research-too", "purposes": ["GENAI_TRAINING", "RESEARCH"]}
TOLD_OF_RESEARCH = [
    {"purposes": ["RESEARCH"], "kinds": kinds, "products": products}
    for kinds, products in (
        (["POST", "COMMENT", "CAPTION", "PHOTO"], ["FACEBOOK", "INSTAGRAM"]),
        (["AI_INTERACTION"], ["FACEBOOK", "INSTAGRAM", "MESSENGER"]),
    )
]


async def test_each_purpose_of_the_policy_has_counts_of_its_own(
    gateway: TestGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noise, "PRIVACY_LOSS", 10.0**6)
    gateway.set_clock(NOW)
    campaign = fact("campaign", id="2025-12", told=TOLD_OF_RESEARCH, texts={})
    told = fact("notice", id="of research", account="1-IE-FACEBOOK", epoch="2025-12")
    told["delivered_at"] = "2026-01-05T09:00:00Z"
    await gateway.ingest([campaign, *facts([[Item()] * 20, [Item()] * 20, [Item(failing=frozenset({0}))] * 10]), told])
    activate_policy(gateway.database_url, parse_policy(json.dumps(RESEARCH_TOO)))
    for purpose, items in (("GENAI_TRAINING", 40), ("RESEARCH", 20)):
        assert len(await gateway.pull(purpose=purpose, client=f"for-{purpose}")) == items
    objection = fact("objection", account="1-IE-FACEBOOK", received_at="2026-05-30T00:00:00Z")
    await gateway.ingest([objection | {"scope": "ALL"}])
    gateway.execute("SELECT set_config('grounds.job', 'test', FALSE)")
    for _ in range(3):
        gateway.execute("SELECT grounds.retract_due()")
    monkeypatch.setattr(snapshot, "ITEMS_PER_STEP", 1)  # of two purposes: one item in each step
    await gateway.take_coverage()
    for role in (Role.AUDITOR, Role.DASHBOARD):
        found = {purpose: await ask(gateway, role, "KIND", purpose=purpose) for purpose in RESEARCH_TOO["purposes"]}
        totals = {purpose: answer["total"] for purpose, answer in found.items()}
        assert {
            purpose: [total[name] for name in ("items", "permitted", "delivered", "retracted")]
            for purpose, total in totals.items()
        } == {"GENAI_TRAINING": [50, 20, 40, 20], "RESEARCH": [50, 0, 20, 20]}
        excluded = {each["condition"]: each["total"] for each in totals["RESEARCH"]["exclusions"] if each["total"]}
        assert excluded.get("NOTICE_DELIVERED") == (30 if role is Role.AUDITOR else None), "withheld: too few items"
        assert table(found["RESEARCH"])["POST",] == (50, 0)
        by_default = await ask(gateway, role, "KIND")
        assert by_default == found["GENAI_TRAINING"]
        assert (by_default["purpose"], by_default["purposes"]) == ("GENAI_TRAINING", ["GENAI_TRAINING", "RESEARCH"])
        said = await refused(gateway, "KIND", role=role, purpose="ADVERTISING")
        assert said == "purpose: must be a purpose of policy research-too (use one of GENAI_TRAINING, RESEARCH)"


async def test_there_is_nothing_before_the_first_snapshot(gateway: TestGateway) -> None:
    await gateway.take_coverage()
    for role in (Role.DASHBOARD, Role.AUDITOR):
        assert await ask(gateway, role, "KIND") is None


async def test_what_is_old_is_kept_by_less(gateway: TestGateway) -> None:
    await counted_gateway(gateway, [[Item()] * 20])
    first = NOW.date().isoformat()
    three = ("KIND", "COUNTRY", "LANGUAGE")
    assert table(await ask(gateway, Role.AUDITOR, *three, day=first)) == {("POST", "IE", "en"): (20, 20)}
    gateway.set_clock(NOW + 36 * DAY)
    await gateway.take_coverage()
    assert table(await ask(gateway, Role.AUDITOR, *three[:2], day=first)) == {("POST", "IE"): (20, 20)}
    asked = {"groupBy": list(three), "day": first}
    answer = (await gateway.post(Role.AUDITOR, COVERAGE, asked)).json()
    assert "are kept for only 35 days" in answer["errors"][0]["message"]
    gateway.set_clock(NOW + 402 * DAY)
    await gateway.take_coverage()
    assert await ask(gateway, Role.AUDITOR, day=first) is None


async def test_a_snapshot_that_was_broken_off_goes_on_or_begins_anew(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    await gateway.ingest(facts([[Item()] * 50]))
    codes = "ARRAY(SELECT 'CODE' || n FROM generate_series(1, 24) n)"
    for statement in [codes] * 4:
        assert gateway.execute(f"SELECT grounds.count_coverage({statement}, 20, 20, 5, '{{}}')") == [("MORE",)]
    gateway.set_clock(NOW + DAY)
    await gateway.take_coverage()
    assert table(await ask(gateway, Role.AUDITOR, "KIND")) == {("POST",): (50, 50)}
    assert gateway.execute("SELECT count(*) FROM grounds.coverage_snapshot") == [(1,)]
    assert gateway.execute("SELECT count(*) FROM grounds.coverage_part") == [(0,)]


async def test_a_server_takes_the_days_snapshot_by_itself(gateway: TestGateway, tmp_path: Path) -> None:
    gateway.set_clock(NOW)
    await gateway.ingest(facts([[Item()] * 20]))
    async with open_gateway(gateway.database_url, tmp_path / "another") as another, asyncio.timeout(30):
        while (answer := await ask(another, Role.AUDITOR, "KIND")) is None:  # noqa: ASYNC110 - by a job
            await asyncio.sleep(0.1)
        assert table(answer) == {("POST",): (20, 20)}


async def test_languages_are_counted_with_their_dialects_beneath(gateway: TestGateway) -> None:
    spoken = ["de", "de-DE", "DE-at", "de-AT", "fr", None]
    items = [Item(language=language) for language in spoken]  # type: ignore[arg-type]  # unknown
    await counted_gateway(gateway, [items])
    query = """query ($filter: CoverageFilter) { coverage(groupBy: [LANGUAGE], filter: $filter) {
        rows { key { value } items dialects { language items permitted } } } }"""
    rows = (await gateway.ask(Role.AUDITOR, query))["coverage"]["rows"]
    assert {row["key"][0]["value"]: row["items"] for row in rows} == {"de": 4, "fr": 1, "unknown": 1}
    (german,) = (row["dialects"] for row in rows if row["key"][0]["value"] == "de")
    assert {each["language"]: each["items"] for each in german} == {"de": 1, "de-de": 1, "de-at": 2}
    filtered = (await gateway.ask(Role.AUDITOR, query, {"filter": {"languages": ["DE"]}}))["coverage"]["rows"]
    assert [row["items"] for row in filtered] == [4]
    answer = (await gateway.post(Role.AUDITOR, query, {"filter": {"languages": ["de-AT"]}})).json()
    assert "without a dialect" in answer["errors"][0]["message"]


async def test_a_filter_that_can_match_nothing_is_refused_by_name(gateway: TestGateway) -> None:
    await counted_gateway(gateway, [[Item()] * 20])
    refusals: list[tuple[str, list[str], str]] = [
        ("products", ["MYSPACE"], "must be one or more of FACEBOOK, INSTAGRAM, MESSENGER, WHATSAPP, unknown"),
        ("products", ["facebook"], "must be one or more of FACEBOOK"),
        ("languages", ["German language"], "must be language codes"),
        ("countries", ["de"], "must be country codes"),
        ("months", ["2026-13"], "must be months"),
    ]
    for role in (Role.AUDITOR, Role.DASHBOARD):
        for name, values, said in refusals:
            message = await refused(gateway, "KIND", role=role, filter={name: values})
            assert message.startswith(f"filter.{name}: {said}")
        for name, values in (("products", ["WHATSAPP", "unknown"]), ("countries", ["unknown"]), ("languages", ["MT"])):
            assert await ask(gateway, role, "KIND", filter={name: values}), name
