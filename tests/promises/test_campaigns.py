"""A notice binds what it said: decisions by what campaigns told, whatever becomes of a campaign or a notice later."""

import json
from datetime import timedelta
from typing import Any

import pytest

from db.ingest import merge
from db.policies.activation import activate_policy
from db.policy.compile import compiled_views
from db.policy.document import parse_policy
from schema.actor import Role
from tests.promises.oracle import DEFAULT_POLICY
from tests.support.dashboard import dashboard_browser
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import TestGateway, put_page_view
from tests.support.mutants import Killed
from tests.support.ordinary_cases import ordinary_every
from tests.support.retractions import settled

VIDEO_TOLD = {"purposes": ["GENAI_TRAINING"], "kinds": ["VIDEO"], "products": ["FACEBOOK"]}
POST_TOLD = VIDEO_TOLD | {"kinds": ["POST"]}
SCANNED = {"special_category": "CLEAR", "safety": "CLEAR", "minors": "CLEAR"}
WITH_VIDEO: dict[str, Any] = DEFAULT_POLICY | {
    "version": "with-video",
    "grounds": {"PUBLIC_CONTENT": {"kinds": ["POST", "VIDEO"], "products": ["FACEBOOK", "INSTAGRAM"]}},
}
RESEARCH_TOO: dict[str, Any] = DEFAULT_POLICY | {"version": "research", "purposes": ["GENAI_TRAINING", "RESEARCH"]}
WHY = """query Why($id: ID!, $purpose: String) {
  eligibility(contentId: $id, purpose: $purpose) { purpose permitted conditions { code outcome evidence } }
}"""
POSITIONS = """query Positions($id: ID!) {
  content(id: $id) { account { consent { position purposes { purpose position since } } } }
}"""
FEED = "{ retractions(first: 100) { nodes { kind } } }"


def campaign(epoch: str, *told: dict[str, Any], day: int = 2, **fields: Any) -> dict[str, Any]:
    """State a campaign."""
    return {"record": "campaign", "id": epoch, "told": list(told), "texts": {}} | {
        "observed_at": f"2026-01-{day:02}T00:00:00Z",
        **fields,
    }


def enforce(gateway: TestGateway, policy: dict[str, Any]) -> None:
    activate_policy(gateway.database_url, parse_policy(json.dumps(policy)))


@pytest.fixture
async def known(gateway: TestGateway) -> TestGateway:
    """A gateway that knows a post and a video of an account that was told by the campaign 2025-04."""
    gateway.set_clock(NOW)
    video = fact("content", id="video", kind="VIDEO", scans=SCANNED)
    answer = await gateway.ingest([fact("account"), fact("content", scans=SCANNED), video, fact("notice")])
    assert answer["total"]["accepted"] == 4
    return gateway


async def outcome(gateway: TestGateway, item: str = "item", purpose: str | None = None) -> tuple[str, str]:
    """Return the outcomes of NOTICE_DELIVERED and NOTICE_PERIOD_ELAPSED."""
    asked = {"id": item, "purpose": purpose}
    eligibility = (await gateway.ask(Role.PRIVACY_OFFICER, WHY, asked))["eligibility"]
    found = {result["code"]: result["outcome"] for result in eligibility["conditions"]}
    return found["NOTICE_DELIVERED"], found["NOTICE_PERIOD_ELAPSED"]


async def evidence(gateway: TestGateway, item: str) -> str | None:
    """Return the evidence of NOTICE_DELIVERED that an officer reads."""
    eligibility = (await gateway.ask(Role.PRIVACY_OFFICER, WHY, {"id": item}))["eligibility"]
    (found,) = [result["evidence"] for result in eligibility["conditions"] if result["code"] == "NOTICE_DELIVERED"]
    return found  # type: ignore[no-any-return]


async def kinds(gateway: TestGateway, **claims: Any) -> list[str]:
    return sorted(item["kind"] for item in await gateway.pull(**claims))


def told_of_video(delivered_at: str = "2026-04-13T09:00:00Z", **fields: Any) -> dict[str, Any]:
    return fact("notice", id="of-video", epoch="2025-12", delivered_at=delivered_at, **fields)


async def test_a_policy_that_adds_video_gains_it_only_thirty_days_after_its_campaign_reached_the_author(
    known: TestGateway,
) -> None:
    await known.ingest([campaign("2025-12", VIDEO_TOLD)])
    enforce(known, WITH_VIDEO)
    assert (await kinds(known), await outcome(known, "video")) == (["POST"], ("FAIL", "UNKNOWN"))
    await known.ingest([told_of_video(NOW.isoformat())])
    assert (await kinds(known), await outcome(known, "video")) == (["POST"], ("PASS", "FAIL"))
    known.set_clock(NOW + 32 * DAY)
    assert await kinds(known) == ["POST", "VIDEO"]


async def test_an_explanation_says_which_campaign_was_delivered_and_which_was_needed(known: TestGateway) -> None:
    await known.ingest([campaign("2025-12", VIDEO_TOLD), campaign("2025-03", VIDEO_TOLD)])
    enforce(known, WITH_VIDEO)
    told = "by campaign {}, which named GENAI_TRAINING for {} on FACEBOOK"
    assert await evidence(known, "item") == "delivered in 2025-W16 " + told.format("2025-04", "POST")
    use = "GENAI_TRAINING for VIDEO on FACEBOOK"
    needed = f"{use}: the notice of campaign 2025-12 is needed; delivered notices: 2025-04"
    assert await evidence(known, "video") == needed
    await known.ingest([told_of_video()])
    assert await evidence(known, "video") == "delivered in 2026-W16 " + told.format("2025-12", "VIDEO")
    await known.ingest([campaign("2025-12", day=3), fact("notice", 9, bounced_at="2026-05-01T00:00:00Z")])
    untold = f"{use}: no campaign named this use; delivered notices: 2025-12"
    assert await evidence(known, "video") == untold


@pytest.mark.parametrize(
    "told",
    ordinary_every(
        4,
        [
            VIDEO_TOLD | {"kinds": ["AUDIO"]},
            VIDEO_TOLD | {"products": ["INSTAGRAM"]},
            VIDEO_TOLD | {"purposes": ["ADVERTISING"]},
            VIDEO_TOLD | {"kinds": []},
        ],
    ),
    ids=["another kind", "another product", "another purpose", "nothing"],
)
async def test_a_notice_counts_for_nothing_that_its_campaign_did_not_tell(
    known: TestGateway, told: dict[str, Any]
) -> None:
    await known.ingest([campaign("2025-12", told), told_of_video()])
    activate_policy(known.database_url, parse_policy(json.dumps(WITH_VIDEO)))
    assert await outcome(known, "video") == ("FAIL", "UNKNOWN")


async def test_a_notice_of_an_unknown_campaign_is_kept_and_counts_once_the_campaign_arrives(
    known: TestGateway,
) -> None:
    answer = await known.ingest([told_of_video()])
    assert answer["noticesOfUnknownCampaigns"] == {"2025-12": 1}
    enforce(known, WITH_VIDEO)
    assert await outcome(known, "video") == ("FAIL", "UNKNOWN")
    answer = await known.ingest([campaign("2025-12", VIDEO_TOLD)])
    assert (answer["noticesOfUnknownCampaigns"], answer["total"]["accepted"]) == ({}, 1)
    assert await outcome(known, "video") == ("PASS", "PASS")


async def test_the_campaign_may_stand_behind_its_notices_in_one_file(known: TestGateway) -> None:
    answer = await known.ingest([told_of_video(), campaign("2025-12", VIDEO_TOLD)])
    assert answer["noticesOfUnknownCampaigns"] == {}


@pytest.mark.parametrize("order", [(2, 3), (3, 2)], ids=["in order", "backwards"])
async def test_of_several_versions_of_a_campaign_what_all_of_them_say_was_told(
    known: TestGateway, order: tuple[int, int]
) -> None:
    versions = {
        2: campaign("2025-12", VIDEO_TOLD, POST_TOLD),
        3: campaign("2025-12", VIDEO_TOLD, day=3),
    }
    for day in order:
        await known.ingest([versions[day]])
    assert known.execute("SELECT told FROM grounds.campaign WHERE platform_id = '2025-12'") == [
        (["GENAI_TRAINING VIDEO FACEBOOK"],)
    ]
    await known.ingest([campaign("2025-12", VIDEO_TOLD, POST_TOLD, day=4)])
    assert known.execute("SELECT cardinality(told) FROM grounds.campaign WHERE platform_id = '2025-12'") == [(1,)]


async def test_a_campaign_that_changes_what_it_told_is_reported_and_tells_no_more_than_before(
    known: TestGateway, killed: Killed, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        campaign("2025-12", POST_TOLD),
        campaign("2025-12", POST_TOLD, VIDEO_TOLD, day=3),
        campaign("2025-11", VIDEO_TOLD, day=3),
        campaign("2025-11", POST_TOLD),
    ]
    answer = await known.ingest([*lines, told_of_video()])
    reported = {(each["line"], each["id"], each["field"], each["reason"]) for each in answer["changedCampaigns"]}
    words = (
        "a use counts only if every version of the record names the use (name other uses in a new campaign with"
        " another epoch)"
    )
    assert reported == {
        (2, "2025-12", "told", f"adds GENAI_TRAINING VIDEO FACEBOOK: {words}"),
        (4, "2025-11", "told", f"adds GENAI_TRAINING POST FACEBOOK, lacks GENAI_TRAINING VIDEO FACEBOOK: {words}"),
    }
    query = "{ campaigns { epoch told { kind } disputed { kind } } }"
    shown = (await known.ask(Role.PRIVACY_OFFICER, query))["campaigns"]
    assert [(each["epoch"], len(each["told"]), len(each["disputed"])) for each in shown] == [
        ("2025-12", 1, 1), ("2025-11", 0, 2), ("2025-04", 11, 0)
    ]  # fmt: skip
    await known.ingest([campaign("2025-10", VIDEO_TOLD)])
    enforce(known, WITH_VIDEO)
    assert await outcome(known, "video") == ("FAIL", "UNKNOWN")
    async with dashboard_browser(known, Role.AUDITOR) as browser:
        page = (await browser.get("/dashboard/notices-and-objections")).text
    assert "campaign 2025-12 announce different uses of data: genai training for video on facebook." in page
    assert (await known.ingest(lines[:1]))["changedCampaigns"] == [], "it says nothing else than what counts"

    narrow, statement = "INTERSECT SELECT unnest(s.told) ORDER", merge.statement
    assert narrow in statement("narrow_campaigns", "campaign")
    monkeypatch.setattr(
        merge, "statement", lambda *named: statement(*named).replace(narrow, narrow.replace("INTERSECT", "UNION"))
    )
    await known.ingest([campaign("2025-12", POST_TOLD, VIDEO_TOLD, day=4)])
    told = (await outcome(known, "video"))[0]
    killed("a campaign that adds to what it told", "merge_campaign.sql", told if told == "PASS" else None)


async def test_a_text_stays_as_it_was_sent_and_languages_can_be_added(known: TestGateway) -> None:
    await known.ingest([campaign("2025-12", VIDEO_TOLD, texts={"en": "a" * 64})])
    answer = await known.ingest([campaign("2025-12", VIDEO_TOLD, day=3, texts={"en": "a" * 64, "de-AT": "b" * 64})])
    assert answer["total"]["accepted"] == 1
    answer = await known.ingest([campaign("2025-12", VIDEO_TOLD, day=4, texts={"EN": "c" * 64})])
    (rejected,) = answer["rejects"]
    assert (rejected["field"], rejected["reason"].partition(" (")[0]) == (
        "texts",
        "an earlier record has a different hash for the same language",
    )
    assert known.execute("SELECT texts FROM grounds.campaign WHERE platform_id = '2025-12'") == [
        ({"en": "a" * 64, "de-at": "b" * 64},)
    ]


async def test_a_campaign_that_was_set_aside_counts_for_nothing_until_a_good_later_record(known: TestGateway) -> None:
    for day, wrong, expected in (
        (3, {"told": "VIDEO"}, "FAIL"),
        (3, {}, "FAIL"),
        (5, {}, "PASS"),
        (6, {"texts": {"en": "short"}}, "FAIL"),
    ):
        await known.ingest([campaign("2025-04", POST_TOLD, day=day) | wrong])
        assert (await outcome(known))[0] == expected, (day, wrong)


@pytest.mark.parametrize(
    "change",
    [
        [fact("notice", 9, bounced_at="2026-05-01T00:00:00Z")],
        [campaign("2025-04", VIDEO_TOLD, day=9)],
        [campaign("2025-04", POST_TOLD, day=9, texts=7)],
    ],
    ids=["a bounce", "a narrower campaign", "a campaign set aside"],
)
async def test_what_was_delivered_is_retracted_when_its_notice_counts_no_longer(
    known: TestGateway, change: list[dict[str, Any]]
) -> None:
    assert await kinds(known) == ["POST"]
    await known.ingest(change)
    assert await kinds(known) == []
    await settled(known)
    feed = (await known.ask(Role.TRAINING_CLIENT, FEED))["retractions"]["nodes"]
    assert feed == [{"kind": "RETRACT"}]


async def test_every_decision_is_for_a_purpose(known: TestGateway) -> None:
    await known.ingest([campaign("2025-12", POST_TOLD | {"purposes": ["RESEARCH"]})])
    enforce(known, RESEARCH_TOO)
    assert (await outcome(known), await outcome(known, purpose="RESEARCH")) == (("PASS", "PASS"), ("FAIL", "UNKNOWN"))
    assert (await kinds(known), await kinds(known, client="other", purpose="RESEARCH")) == (["POST"], [])
    consent = (await known.ask(Role.PRIVACY_OFFICER, POSITIONS, {"id": "item"}))["content"]["account"]["consent"]
    assert consent["position"] == "NOT_OBJECTED"
    assert [(each["purpose"], each["position"]) for each in consent["purposes"]] == [
        ("GENAI_TRAINING", "NOT_OBJECTED"),
        ("RESEARCH", "NOT_NOTICED"),
    ]
    answer = (await known.post(Role.PRIVACY_OFFICER, WHY, {"id": "item", "purpose": "ADS"})).json()
    assert answer["errors"][0]["message"].startswith(
        "purpose: must be a purpose of the policy (use GENAI_TRAINING or RESEARCH)"
    )
    await known.ingest([fact("notice", id="research", epoch="2025-12", delivered_at="2026-02-02T00:00:00Z")])
    assert await kinds(known, client="other", purpose="RESEARCH") == ["POST"]
    await known.ingest([fact("notice", 9, bounced_at="2026-05-01T00:00:00Z")])
    await settled(known)
    for client, purpose, expected in (("client", "GENAI_TRAINING", 1), ("other", "RESEARCH", 0)):
        claims: dict[str, Any] = {"client": client, "purpose": purpose}
        feed = (await known.ask(Role.TRAINING_CLIENT, FEED, **claims))["retractions"]["nodes"]
        assert len(feed) == (1 if client == "client" and expected else 0), client


async def test_a_past_decision_knows_the_campaigns_of_its_time(known: TestGateway) -> None:
    enforce(known, WITH_VIDEO)
    query = """query Past($at: DateTime!) {
      eligibility(contentId: "video", asOf: { validAt: $at, knownAt: $at }) { conditions { code outcome } }
    }"""
    known.set_clock(NOW + DAY)
    await known.ingest([campaign("2025-12", VIDEO_TOLD), told_of_video()])
    known.set_clock(NOW + 2 * DAY)
    await known.ingest([campaign("2025-12", day=3)])
    for hours, expected in ((12, "FAIL"), (25, "PASS"), (49, "FAIL")):
        at = (NOW + timedelta(hours=hours)).isoformat()
        eligibility = (await known.ask(Role.AUDITOR, query, {"at": at}))["eligibility"]
        found = {result["code"]: result["outcome"] for result in eligibility["conditions"]}
        assert found["NOTICE_DELIVERED"] == expected, hours


@pytest.mark.parametrize(
    ("old", "new", "told"),
    ordinary_every(
        3,
        [
            ("(c.kind || ' ' || s.product)", "('POST ' || s.product)", VIDEO_TOLD | {"kinds": ["POST"]}),
            ("(c.kind || ' ' || s.product)", "(c.kind || ' INSTAGRAM')", VIDEO_TOLD | {"products": ["INSTAGRAM"]}),
            ("t.purpose = ", "t.purpose <> ", VIDEO_TOLD | {"purposes": ["ADVERTISING"]}),
        ],
    ),
    ids=["a campaign's kind", "a campaign's product", "a campaign's purpose"],
)
async def test_a_gateway_that_ignores_what_a_campaign_told_is_caught(
    known: TestGateway, old: str, new: str, told: dict[str, Any], killed: Killed
) -> None:
    await known.ingest([campaign("2025-04", day=3), campaign("2025-12", told), told_of_video()])
    enforce(known, WITH_VIDEO)
    assert "VIDEO" not in await kinds(known)
    body = compiled_views(parse_policy(json.dumps(WITH_VIDEO)))["trainable_content"]
    assert old in body
    put_page_view(known.database_url, body.replace(old, new))
    served = await kinds(known)
    killed(f"{old} -> {new}", "the page's view", f"it serves {', '.join(served)}" if "VIDEO" in served else None)
