"""A policy that adds a use by a new campaign, from the simulation to the delivery; and one that nobody was told of."""

import json
from pathlib import Path
from typing import Any

import pytest

from db.policies.activation import activate_due_policy
from db.policy.document import default_policy
from schema.actor import Role
from tests.promises.oracle import DEFAULT_POLICY
from tests.support.campaigns import email_of, notify, person, register
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import TestGateway

pytestmark = pytest.mark.xdist_group("command")

EPOCH = "2026-12"
BEGIN = NOW.replace(month=12)
CAMPAIGN = {
    "record": "campaign",
    "id": EPOCH,
    "told": [{"purposes": ["GENAI_TRAINING"], "kinds": ["VIDEO"], "products": ["FACEBOOK", "INSTAGRAM"]}],
    "texts": {},
    "observed_at": "2026-11-01T00:00:00Z",
}
WITH_VIDEO: dict[str, Any] = DEFAULT_POLICY | {
    "version": "with-video",
    "controller": json.loads(default_policy().document())["controller"],
    "grounds": DEFAULT_POLICY["grounds"]
    | {
        "PUBLIC_CONTENT": {
            "kinds": ["POST", "COMMENT", "CAPTION", "PHOTO", "VIDEO"],
            "products": ["FACEBOOK", "INSTAGRAM"],
        }
    },
}
SIMULATE = """query S($document: String!) { simulatePolicy(document: $document) {
  gained lost untold { purpose kind accounts untold }
} }"""
PROPOSE = "mutation P($document: String!) { proposePolicy(document: $document) { policy { version } } }"
APPROVE = "mutation A($version: String!) { activatePolicy(version: $version) { activatedAt } }"
PENDING = "{ pendingNotices(first: 10) { nodes { noticeId accountId language body } } }"
RECORD = "mutation R($input: [NoticeDeliveryInput!]!) { recordNoticeDelivery(input: $input) { state } }"
WHAT_I_WAS_SENT = "{ viewer { notices { epoch language sentText { text sha256 } campaign { told { kind } } } } }"


@pytest.fixture
async def world(gateway: TestGateway) -> TestGateway:
    """Two authors who were told of everything but videos, each with a post and a video."""
    gateway.set_clock(BEGIN)
    scans = {"special_category": "CLEAR", "safety": "CLEAR", "minors": "CLEAR"}
    records = [
        record
        for name in ("reached", "missed")
        for record in (
            person(name),
            fact("content", id=f"{name}-post", account=name, scans=scans),
            fact("content", id=f"{name}-video", account=name, kind="VIDEO", scans=scans),
            fact("notice", id=f"{name}-notice", account=name),
        )
    ]
    assert (await gateway.ingest(records))["total"]["accepted"] == 8
    return gateway


async def simulated(gateway: TestGateway, policy: dict[str, Any], purpose: str, kind: str) -> tuple[int, int, int]:
    """Return the items that a policy gains, and of the accounts that a use concerns all and those not told."""
    found = (await gateway.ask(Role.PRIVACY_OFFICER, SIMULATE, {"document": json.dumps(policy)}))["simulatePolicy"]
    assert found["lost"] == 0
    (use,) = [each for each in found["untold"] if (each["purpose"], each["kind"]) == (purpose, kind)]
    return found["gained"], use["accounts"], use["untold"]


async def refusal(gateway: TestGateway, policy: dict[str, Any]) -> str:
    answer = (await gateway.post(Role.PRIVACY_OFFICER, PROPOSE, {"document": json.dumps(policy)})).json()
    return str(answer["errors"][0]["message"])


async def put_in_force(gateway: TestGateway, policy: dict[str, Any]) -> None:
    await gateway.ask(Role.PRIVACY_OFFICER, PROPOSE, {"document": json.dumps(policy)})
    await gateway.ask(Role.PRIVACY_OFFICER, APPROVE, {"version": policy["version"]}, name="second officer")
    assert activate_due_policy(gateway.database_url)


async def delivered(gateway: TestGateway) -> list[tuple[str, str]]:
    """Return the platform's id of each item that a client may have, by its kind."""
    decided = await gateway.decisions()
    served = sorted(item["kind"] for item in await gateway.pull())
    found = sorted((name.partition("-")[2].upper(), name) for name, (permitted, *_) in decided.items() if permitted)
    assert served == [kind for kind, _ in found]
    return found


async def test_video_is_delivered_of_those_whom_its_campaign_reached_and_thirty_days_later(
    world: TestGateway, tmp_path: Path
) -> None:
    posts = [("POST", "missed-post"), ("POST", "reached-post")]
    assert await delivered(world) == posts
    assert await simulated(world, WITH_VIDEO, "GENAI_TRAINING", "VIDEO") == (0, 2, 2)
    assert "no campaign of epoch 2025-04 or later named the kind VIDEO" in await refusal(world, WITH_VIDEO)
    hashes = await register(world, CAMPAIGN)
    assert await simulated(world, WITH_VIDEO, "GENAI_TRAINING", "VIDEO") == (0, 2, 2)
    await put_in_force(world, WITH_VIDEO)
    assert await delivered(world) == posts

    done = notify(world.database_url, None, tmp_path / "data", "--epoch", EPOCH, "--channel", "IN_APP")
    assert done.returncode == 0, done.stderr
    pending = (await world.ask(Role.PLATFORM_INGEST, PENDING))["pendingNotices"]["nodes"]
    assert {node["accountId"] for node in pending} == {"reached", "missed"}
    assert all("public videos" in node["body"] and "public posts" not in node["body"] for node in pending)
    (shown,) = [node["noticeId"] for node in pending if node["accountId"] == "reached"]
    await world.ask(Role.PLATFORM_INGEST, RECORD, {"input": [{"noticeId": shown, "deliveredAt": BEGIN.isoformat()}]})
    assert await simulated(world, WITH_VIDEO, "GENAI_TRAINING", "VIDEO") == (0, 2, 1)

    world.set_clock(BEGIN + 29 * DAY)
    assert await delivered(world) == posts
    world.set_clock(BEGIN + 33 * DAY)
    assert await delivered(world) == [*posts, ("VIDEO", "reached-video")]

    notices = (await world.ask(Role.DATA_SUBJECT, WHAT_I_WAS_SENT, subject="reached"))["viewer"]["notices"]
    assert [(each["epoch"], each["language"]) for each in notices] == [("2025-04", None), (EPOCH, "en")]
    assert notices[0]["sentText"] is None
    assert notices[1]["sentText"]["sha256"] == hashes["en"]
    assert "public videos" in notices[1]["sentText"]["text"]
    assert email_of("reached") not in notices[1]["sentText"]["text"]
    assert notices[1]["campaign"]["told"] == [{"kind": "VIDEO"}, {"kind": "VIDEO"}]


async def test_a_purpose_that_no_campaign_told_of_is_refused_with_its_name(world: TestGateway) -> None:
    policy = DEFAULT_POLICY | {"version": "ads", "purposes": ["GENAI_TRAINING", "ADVERTISING"]}
    assert await simulated(world, policy, "ADVERTISING", "POST") == (0, 2, 2)
    assert await simulated(world, policy, "GENAI_TRAINING", "POST") == (0, 2, 0)
    told = await refusal(world, policy)
    assert "purposes: no campaign of epoch 2025-04 or later named the purpose ADVERTISING" in told
    assert "GENAI_TRAINING" not in told
