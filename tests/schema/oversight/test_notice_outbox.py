"""The outbox of the app over HTTP: the platform reads what is to be shown, and says what became of it."""

from pathlib import Path
from typing import Any

import pytest

from schema.actor import Role
from tests.support.campaigns import EPOCH, notify, person, register
from tests.support.facts import DAY, NOW, fact
from tests.support.gateway import TestGateway

PENDING = """query Pending($first: Int!, $after: String) {
  pendingNotices(first: $first, after: $after) {
    edges { cursor node { noticeId } }
    nodes { noticeId accountId epoch message language subject body }
    pageInfo { hasNextPage endCursor }
  }
}"""
RECORD = """mutation Record($input: [NoticeDeliveryInput!]!) {
  recordNoticeDelivery(input: $input) { noticeId state }
}"""


async def pending_page(gateway: TestGateway, first: int = 100, after: str | None = None) -> dict[str, Any]:
    page: dict[str, Any] = await gateway.ask(Role.PLATFORM_INGEST, PENDING, {"first": first, "after": after})
    return page["pendingNotices"]  # type: ignore[no-any-return]


async def notice_of(gateway: TestGateway, account: str) -> str:
    nodes = (await pending_page(gateway))["nodes"]
    return next(str(node["noticeId"]) for node in nodes if node["accountId"] == account)


async def record(gateway: TestGateway, *reports: dict[str, Any]) -> list[str | None]:
    data = await gateway.ask(Role.PLATFORM_INGEST, RECORD, {"input": reports})
    return [said["state"] for said in data["recordNoticeDelivery"]]


@pytest.fixture
async def campaign(gateway: TestGateway, tmp_path: Path) -> TestGateway:
    """A campaign in the app to three people: one writes in German, one has an item that lacks only the notice."""
    gateway.set_clock(NOW)
    await gateway.ingest(
        [
            *(person(name) for name in ("author", "writes", "third")),
            fact("content"),
            fact("content", id="german", account="writes", language="de"),
        ]
    )
    await register(gateway)
    done = notify(gateway.database_url, None, tmp_path / "data", "--channel", "IN_APP")
    assert done.returncode == 0, done.stderr
    return gateway


async def test_the_platform_reads_what_is_to_be_shown_page_by_page(campaign: TestGateway) -> None:
    first = await pending_page(campaign, 2)
    assert first["pageInfo"]["hasNextPage"]
    assert [edge["node"]["noticeId"] for edge in first["edges"]] == [node["noticeId"] for node in first["nodes"]]
    second = await pending_page(campaign, 2, first["pageInfo"]["endCursor"])
    assert not second["pageInfo"]["hasNextPage"]
    nodes = [*first["nodes"], *second["nodes"]]
    assert {node["accountId"]: node["language"] for node in nodes} == {"author": "en", "writes": "de", "third": "en"}
    assert {node["epoch"] for node in nodes} == {EPOCH}
    assert all("https://grounds.example.org/object?t=" in node["body"] for node in nodes)
    assert {node["subject"][:5] for node in nodes} == {"Your ", "Ihre "}


async def test_what_is_shown_counts_from_its_delivery_on_and_a_late_bounce_voids_it_at_once(
    campaign: TestGateway,
) -> None:
    notice = await notice_of(campaign, "author")
    assert not (await campaign.decisions())["item"][0]
    delivered = {"noticeId": notice, "deliveredAt": NOW.isoformat()}
    assert await record(campaign, delivered, {"noticeId": "nothing", "deliveredAt": NOW.isoformat()}) == [
        "DELIVERED",
        None,
    ]
    assert {node["accountId"] for node in (await pending_page(campaign))["nodes"]} == {"writes", "third"}
    assert not (await campaign.decisions())["item"][0]
    campaign.set_clock(NOW + 60 * DAY)
    assert (await campaign.decisions())["item"][0]
    assert await record(campaign, {"noticeId": notice, "bouncedAt": (NOW + 60 * DAY).isoformat()}) == ["BOUNCED"]
    assert await campaign.pull() == []
    assert await record(campaign, delivered) == ["BOUNCED"]
    assert await campaign.pull() == []


async def test_a_delivery_in_the_future_does_not_count_yet(campaign: TestGateway) -> None:
    notice = await notice_of(campaign, "author")
    await record(campaign, {"noticeId": notice, "deliveredAt": (NOW + 10 * DAY).isoformat()})
    assert (await campaign.decisions())["item"][2]["NOTICE_DELIVERED"] == "FAIL"


async def test_who_objects_or_was_told_otherwise_is_not_shown_the_notice_any_more(campaign: TestGateway) -> None:
    await campaign.ingest(
        [
            fact("objection", account="third"),
            fact("notice", id="by-letter", account="writes", epoch=EPOCH, delivered_at="2026-05-31T00:00:00Z"),
        ]
    )
    assert [node["accountId"] for node in (await pending_page(campaign))["nodes"]] == ["author"]


async def test_a_second_run_adds_who_is_new_and_shows_nobody_a_second_notice(
    campaign: TestGateway, tmp_path: Path
) -> None:
    before = (await pending_page(campaign))["nodes"]
    await record(campaign, {"noticeId": before[0]["noticeId"], "deliveredAt": NOW.isoformat()})
    await campaign.ingest([person("fourth")])
    assert notify(campaign.database_url, None, tmp_path / "data", "--channel", "IN_APP").returncode == 0
    after = (await pending_page(campaign))["nodes"]
    assert after[:2] == before[1:]
    assert [node["accountId"] for node in after[2:]] == ["fourth"]


async def test_a_text_that_was_shown_is_kept_no_longer(campaign: TestGateway) -> None:
    nodes = (await pending_page(campaign))["nodes"]
    await record(campaign, *({"noticeId": node["noticeId"], "deliveredAt": NOW.isoformat()} for node in nodes))
    assert campaign.execute("SELECT count(*) FROM grounds.notice_task WHERE body IS NOT NULL") == [(0,)]
    assert campaign.execute("SELECT DISTINCT sent_at FROM grounds.notice") == [(None,)]


@pytest.mark.parametrize(
    ("report", "told"),
    [
        ({}, "input.0: must have exactly one of deliveredAt and bouncedAt"),
        (
            {"deliveredAt": NOW.isoformat(), "bouncedAt": NOW.isoformat()},
            "input.0: must have exactly one of deliveredAt and bouncedAt",
        ),
        ({"deliveredAt": "2026-06-01T12:00:00"}, "input.0.deliveredAt: must have an offset"),
        ({"bouncedAt": "0001-01-01T00:00:00Z"}, "input.0.bouncedAt: must be in a year from 2000 to 9000"),
        ({"deliveredAt": "9999-12-31T23:59:59Z"}, "input.0.deliveredAt: must be in a year from 2000 to 9000"),
        ({"noticeId": "\0", "bouncedAt": NOW.isoformat()}, "input.0.noticeId: must be the id of a notice"),
    ],
)
async def test_a_report_that_says_nothing_clear_is_refused(
    gateway: TestGateway, report: dict[str, Any], told: str
) -> None:
    answer = await gateway.post(Role.PLATFORM_INGEST, RECORD, {"input": [{"noticeId": "n", **report}]})
    (error,) = answer.json()["errors"]
    assert error["message"].startswith(told)
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


async def test_so_many_reports_fit_and_more_do_not(gateway: TestGateway) -> None:
    reports = [{"noticeId": f"n-{number}", "bouncedAt": NOW.isoformat()} for number in range(500)]
    assert await record(gateway, *reports) == [None] * 500
    for wrong in ([], [*reports, reports[0]]):
        answer = await gateway.post(Role.PLATFORM_INGEST, RECORD, {"input": wrong})
        assert "must have 1 to 500 reports" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.PLATFORM_INGEST])
async def test_nobody_but_the_platform_reads_or_reports(gateway: TestGateway, role: Role) -> None:
    claims = {"subject": "author"} if role is Role.DATA_SUBJECT else {}
    for query, variables in ((PENDING, {"first": 1}), (RECORD, {"input": [{"noticeId": "n"}]})):
        answer = await gateway.post(role, query, variables, **claims)
        assert answer.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
