"""The notice summary counts each account that notices concern once, in the best state of its notices."""

from typing import Any

from schema.actor import Role
from tests.support.campaigns import CAMPAIGN, put_into_outbox
from tests.support.facts import NOW, fact
from tests.support.gateway import TestGateway

SUMMARY = """query S($epoch: String) { noticeSummary(epoch: $epoch) {
  epoch countedAt requiringNotice
  counts { country channel accounts delivered pending unknown bounced notSent }
} }"""
NAMES = ("accounts", "delivered", "pending", "unknown", "bounced", "notSent")


async def accounts_by_state(
    gateway: TestGateway, epoch: str | None = "2025-04"
) -> dict[tuple[str | None, str | None], list[int]]:
    gateway.execute("SELECT grounds.count_notices()")
    (found,) = (await gateway.ask(Role.AUDITOR, SUMMARY, {"epoch": epoch}))["noticeSummary"]
    assert (found["epoch"], found["countedAt"]) == (epoch, NOW.isoformat())
    counts = {(each["country"], each["channel"]): [each[name] for name in NAMES] for each in found["counts"]}
    assert all(row[0] == sum(row[1:]) for row in counts.values())
    assert found["requiringNotice"] == counts[None, None][0] - counts[None, None][1]
    return counts


def notice(number: int, account: str, **fields: Any) -> dict[str, Any]:
    return fact("notice", id=f"n-{number}", account=account) | {"delivered_at": None} | fields


async def test_each_account_is_counted_once_in_its_best_state(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    past, later = "2025-04-14T09:59:00Z", "2026-07-01T00:00:00Z"
    names = ("reached", "sent", "announced", "bounced", "never", "french", "earlier")
    others = [
        fact("account", id="minor", born_on="2012-01-01"),
        fact("account", id="objected"),
        fact("account", id="gone"),
    ]
    others[2] |= {"status": "DELETED"}
    await gateway.ingest([*(fact("account", id=name) for name in names), *others])
    await gateway.ingest([fact("account", 3, id="french", country="FR"), fact("objection", account="objected")])
    await gateway.ingest(
        [
            CAMPAIGN | {"id": "2026-01"},
            notice(1, "reached", channel="EMAIL", bounced_at=past, delivered_at=past),
            notice(2, "reached", delivered_at=past),
            notice(3, "sent", channel="EMAIL", sent_at=past),
            notice(4, "announced", delivered_at=later),
            notice(5, "bounced", channel="EMAIL", sent_at=past, bounced_at=past),
            notice(6, "french", channel="EMAIL", delivered_at=past, epoch="2026-01"),
            notice(7, "earlier", delivered_at=past, epoch="2025-03"),
            notice(20, "never", delivered_at=past, epoch="2026-02"),
            *(notice(8 + place, each["id"], delivered_at=past) for place, each in enumerate(others)),
        ]
    )
    counts = await accounts_by_state(gateway)
    assert counts == {
        (None, None): [7, 2, 2, 0, 1, 2],
        (None, "EMAIL"): [7, 1, 1, 0, 2, 3],
        (None, "IN_APP"): [7, 1, 1, 0, 0, 5],
        ("IE", None): [6, 1, 2, 0, 1, 2],
        ("IE", "EMAIL"): [6, 0, 1, 0, 2, 3],
        ("IE", "IN_APP"): [6, 1, 1, 0, 0, 4],
        ("FR", None): [1, 1, 0, 0, 0, 0],
        ("FR", "EMAIL"): [1, 1, 0, 0, 0, 0],
        ("FR", "IN_APP"): [1, 0, 0, 0, 0, 1],
    }
    assert gateway.execute("SELECT count(*) FROM grounds.accounts_requiring_notice('2025-04')") == [(5,)]


async def test_who_was_told_of_some_uses_only_still_requires_a_notice_of_the_others(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    video = {"purposes": ["GENAI_TRAINING"], "kinds": ["VIDEO", "POST"], "products": ["FACEBOOK"]}
    await gateway.ingest(
        [
            *(fact("account", id=name) for name in ("all", "post", "none")),
            fact("account", id="elsewhere", product="INSTAGRAM"),
            CAMPAIGN | {"id": "2025-12", "told": [video]},
            CAMPAIGN | {"id": "2026-01", "told": [video | {"kinds": ["POST"]}]},
            notice(1, "all", delivered_at="2026-01-05T00:00:00Z", epoch="2025-12"),
            notice(2, "post", delivered_at="2026-01-05T00:00:00Z", epoch="2026-01"),
            notice(3, "post", delivered_at="2026-01-05T00:00:00Z", epoch="2025-04"),
        ]
    )
    assert (await accounts_by_state(gateway, "2025-12"))[None, None] == [3, 1, 0, 0, 0, 2]
    assert (await accounts_by_state(gateway, "2026-01"))[None, None] == [3, 1, 0, 0, 0, 2]
    assert (await accounts_by_state(gateway, "2025-04"))[None, None] == [4, 1, 0, 0, 0, 3]
    for epoch, count in (("2025-12", 2), ("2026-01", 2), ("2025-04", 3), ("2026-02", 0)):
        assert gateway.execute(f"SELECT count(*) FROM grounds.accounts_requiring_notice('{epoch}')") == [(count,)]


async def test_what_a_campaign_has_under_way_waits_and_what_it_broke_off_is_unknown(gateway: TestGateway) -> None:
    gateway.set_clock(NOW)
    await gateway.ingest([fact("account", id=name) for name in ("a", "b", "c")])
    assert (await accounts_by_state(gateway))[None, None] == [3, 0, 0, 0, 0, 3]
    await put_into_outbox(gateway)
    assert (await accounts_by_state(gateway, "2026-05"))[None, "IN_APP"] == [3, 0, 3, 0, 0, 0]
    gateway.execute(
        "UPDATE grounds.notice_task SET state = 'UNKNOWN' WHERE id = (SELECT min(id) FROM grounds.notice_task)"
    )
    gateway.execute(
        "UPDATE grounds.notice_task SET state = 'FAILED' WHERE id = (SELECT max(id) FROM grounds.notice_task)"
    )
    for epoch in ("2026-05", "2025-04"):
        assert (await accounts_by_state(gateway, epoch))[None, None] == [3, 0, 1, 1, 0, 1]
    both = (await gateway.ask(Role.PRIVACY_OFFICER, SUMMARY))["noticeSummary"]
    assert [each["epoch"] for each in both] == ["2026-05", "2025-04"]
    assert (await gateway.ask(Role.PRIVACY_OFFICER, SUMMARY, {"epoch": "2020-01"}))["noticeSummary"] == []


async def test_dashboards_do_not_read_exact_numbers_of_people(gateway: TestGateway) -> None:
    answer = (await gateway.post(Role.DASHBOARD, SUMMARY)).json()
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
