"""Policies are refused for uses that no campaign told of and for too short periods; an overdue policy stops."""

import json
from datetime import timedelta
from typing import Any

import pytest

from db.policies.activation import activate_policy
from db.policy.document import PolicyError, default_policy, parse_policy
from schema.actor import Role
from tests.promises.test_campaigns import VIDEO_TOLD, campaign, told_of_video
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import TestGateway
from tests.support.retractions import settled

PROPOSE = "mutation Propose($document: String!) { proposePolicy(document: $document) { proposedBy } }"
SIMULATE = """query Simulate($document: String!) {
  simulatePolicy(document: $document) {
    gained lost byPurpose { name gained lost } untold { purpose kind accounts untold }
  }
}"""
SHOWN = "{ policy { controller { name } reviewBy assessments { kind validUntil onOverdue } warnings } }"
EXPLAIN = """{ eligibility(contentId: "item") { permitted conditions { code outcome evidence } } }"""
FEED = "{ retractions(first: 100) { nodes { kind } } }"
DPIA: dict[str, Any] = {"kind": "DPIA", "reference": "DPIA-7", "sha256": "a" * 64, "approved_by": "the board"}
VIDEO_TOO = {"PUBLIC_CONTENT": {"kinds": ["POST", "VIDEO"], "products": ["FACEBOOK"]}}


def changed(**fields: Any) -> str:
    return json.dumps(json.loads(default_policy().document()) | {"version": "next"} | fields)


async def refusal(gateway: TestGateway, query: str, document: str) -> str:
    answer = (await gateway.post(Role.PRIVACY_OFFICER, query, {"document": document})).json()
    message: str = answer["errors"][0]["message"]
    return message


@pytest.fixture
async def known(gateway: TestGateway) -> TestGateway:
    gateway.set_clock(NOW)
    await gateway.ingest([fact("account"), fact("content"), fact("notice")])
    return gateway


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"purposes": ["GENAI_TRAINING", "ADVERTISING"]}, "named the purpose ADVERTISING"),
        ({"grounds": VIDEO_TOO}, "named the kind VIDEO"),
        (
            {"grounds": {"PUBLIC_CONTENT": {"kinds": ["POST"], "products": ["THREADS"]}}},
            "named the product THREADS",
        ),
        (
            {"grounds": {"PUBLIC_CONTENT": {"kinds": ["POST"], "products": ["MESSENGER"]}}},
            "named POST on MESSENGER",
        ),
        (
            {"notice": {"epoch": "2025-05", "period_days": 30}},
            "no campaign of epoch 2025-05 or later named the purpose",
        ),
    ],
)
async def test_a_policy_is_refused_for_what_no_campaign_told(
    known: TestGateway, fields: dict[str, Any], said: str
) -> None:
    assert said in await refusal(known, PROPOSE, changed(**fields))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"regions": ["DE", "EL"]}, "regions.1: EL is not an ISO 3166-1 country code"),
        ({"regions": ["UK"]}, "UK is not an ISO 3166-1 country code"),
        ({"regions": ["XX"]}, "XX is not an ISO 3166-1 country code"),
        ({"notice": {"epoch": "2025-04", "period_days": 13}}, "notice.period_days"),
        ({"notice": {"epoch": "2025-04", "period_days": "45"}}, "notice.period_days"),
        ({"dwell": {"withdrawal_days": 0}}, "dwell.withdrawal_days"),
        ({"controller": {"name": "A platform"}}, "controller.address"),
        ({"assessments": [DPIA | {"valid_until": "soon"}]}, "assessments.0.valid_until"),
    ],
)
async def test_a_policy_under_the_floors_is_refused_wherever_it_is_brought(
    known: TestGateway, fields: dict[str, Any], said: str
) -> None:
    for query in (PROPOSE, SIMULATE):
        assert said in await refusal(known, query, changed(**fields))
    with pytest.raises(PolicyError, match=said):
        parse_policy(changed(**fields))


async def test_a_policy_without_a_controller_is_refused_and_can_be_simulated(known: TestGateway) -> None:
    said = "document: policy next: controller: is missing (state its name, address, contact, data protection officer"
    assert (await refusal(known, PROPOSE, changed(controller=None))).startswith(said)
    await known.ask(Role.PRIVACY_OFFICER, SIMULATE, {"document": changed(controller=None)})


def test_a_deadline_is_a_day_or_an_instant_whose_end_the_calendar_has() -> None:
    for until in ("2026-W05-1", "20260101", "2026-01-01T10:00:00", "9999-12-31", "0001-01-01"):
        with pytest.raises(PolicyError, match=r"assessments.0.valid_until: must be (a day or|in a year)"):
            parse_policy(changed(assessments=[DPIA | {"valid_until": until}]))


async def test_a_simulation_says_how_many_accounts_were_not_told_before_the_policy_is_in_force(
    known: TestGateway,
) -> None:
    scans = {"special_category": "CLEAR", "safety": "CLEAR", "minors": "CLEAR"}
    await known.ingest([campaign("2025-12", VIDEO_TOLD), fact("content", id="video", kind="VIDEO", scans=scans)])

    async def simulated() -> dict[str, Any]:
        document = {"document": changed(grounds=VIDEO_TOO)}
        found: dict[str, Any] = (await known.ask(Role.PRIVACY_OFFICER, SIMULATE, document))["simulatePolicy"]
        return found

    before = await simulated()
    assert (before["gained"], before["lost"]) == (0, 0)
    assert before["untold"] == [
        {"purpose": "GENAI_TRAINING", "kind": "POST", "accounts": 1, "untold": 0},
        {"purpose": "GENAI_TRAINING", "kind": "VIDEO", "accounts": 1, "untold": 1},
    ]
    await known.ingest([told_of_video()])
    after = await simulated()
    assert [each["untold"] for each in after["untold"]] == [0, 0]


@pytest.mark.parametrize(
    "fields",
    [
        {"assessments": [DPIA | {"valid_until": "2026-06-03", "on_overdue": "STOP"}]},
        {"assessments": [DPIA | {"valid_until": "2026-06-03T10:00:00Z", "on_overdue": "STOP"}]},
        {"review_by": "2026-06-03", "on_overdue": "STOP"},
        {"assessments": [DPIA | {"valid_until": "2026-06-03"}], "on_overdue": "STOP"},
    ],
    ids=["a day", "an instant", "a review", "an assessment that leaves it to the policy"],
)
async def test_an_overdue_assessment_stops_the_programme_and_clients_are_told_to_hold(
    known: TestGateway, fields: dict[str, Any]
) -> None:
    activate_policy(known.database_url, parse_policy(changed(**fields)))
    last = NOW + timedelta(days=1, hours=22)  # the day has ended at UTC+14
    known.set_clock(last)
    assert len(await known.pull()) == 1
    known.set_clock(last + timedelta(microseconds=1))
    assert await known.pull() == []
    explained = (await known.ask(Role.AUDITOR, EXPLAIN))["eligibility"]
    (programme,) = [each for each in explained["conditions"] if each["code"] == "PROGRAMME_ACTIVE"]
    assert programme["outcome"] == "FAIL"
    assert programme["evidence"].startswith("stopped: ")
    known.execute("SELECT grounds.retract_due()")
    await settled(known)
    feed = (await known.ask(Role.TRAINING_CLIENT, FEED))["retractions"]["nodes"]
    assert feed == [{"kind": "HOLD"}]
    activate_policy(known.database_url, parse_policy(changed(version="renewed")))
    await settled(known)
    feed = (await known.ask(Role.TRAINING_CLIENT, FEED))["retractions"]["nodes"]
    assert [each["kind"] for each in feed] == ["HOLD", "RELEASE"]


async def test_an_overdue_assessment_that_only_warns_stops_nothing_and_is_shown(known: TestGateway) -> None:
    overdue = [DPIA | {"valid_until": "2026-01-01", "on_overdue": "WARN"}]
    activate_policy(known.database_url, parse_policy(changed(assessments=overdue)))
    known.set_clock(NOW + DAY)
    assert len(await known.pull()) == 1
    policy = (await known.ask(Role.AUDITOR, SHOWN))["policy"]
    assert policy["controller"] == {"name": "Example Platform Ltd"}
    assert policy["assessments"] == [{"kind": "DPIA", "validUntil": "2026-01-01", "onOverdue": "WARN"}]
    assert any("assessment DPIA" in warning for warning in policy["warnings"])
